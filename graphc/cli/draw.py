"""`graphc draw FILE.py:NAME -o out.svg`: a picture of a graph."""

from __future__ import annotations

import argparse
import pathlib

from graphc.cli import UsageError
from graphc.cli.locate import add_target, load_program
from graphc.draw import FORMATS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_target(parser)
    parser.add_argument("-o", "--output", required=True, metavar="PATH", help="the picture")
    parser.add_argument("--traced", action="store_true", help="draw the graph before the passes")


def run(options: argparse.Namespace) -> int:
    """Draw and say where the picture is."""
    if pathlib.Path(options.output).suffix[1:].lower() not in FORMATS:
        raise UsageError(f"{options.output} ends in none of " + ", ".join("." + f for f in FORMATS))
    program = load_program(options.target, options.types)
    try:
        program.draw(options.output, groups=not options.traced)
    except OSError as error:
        raise UsageError(f"cannot write {options.output}: {error.strerror}") from None
    print(f"{options.output}: {len(program.optimised.nodes)} nodes, {len(program.kernels)} kernels")
    return 0
