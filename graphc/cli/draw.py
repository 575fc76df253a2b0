"""`graphc draw FILE.py:NAME -o out.svg`: a picture of a graph."""

from __future__ import annotations

import argparse
import pathlib

from graphc.cli import UsageError
from graphc.cli.locate import add_target, load_program_or_graph
from graphc.draw import FORMATS, draw_graph
from graphc.graph import Graph
from graphc.program import Program


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_target(parser)
    parser.add_argument("-o", "--output", required=True, metavar="PATH", help="the picture")
    parser.add_argument("--traced", action="store_true", help="draw the graph before the passes")


def run(options: argparse.Namespace) -> int:
    """Draw and say where the picture is."""
    if pathlib.Path(options.output).suffix[1:].lower() not in FORMATS:
        raise UsageError(f"{options.output} ends in none of " + ", ".join("." + f for f in FORMATS))
    if not pathlib.Path(options.output).parent.exists():
        raise UsageError(f"there is no directory {pathlib.Path(options.output).parent}")
    found = load_program_or_graph(options.target, options.types)
    try:
        print(f"{options.output}: {_draw(found, options.output, traced=options.traced)}")
    except OSError as error:
        raise UsageError(f"cannot write {options.output}: {error.strerror}") from None
    return 0


def _draw(found: Program | Graph, path: str, *, traced: bool) -> str:
    """Draw a graph or a program and return what it is made of."""
    if isinstance(found, Graph):
        draw_graph(found, path)
        return f"{len(found.nodes)} nodes"
    found.draw(path, groups=not traced)
    return f"{len(found.optimised.nodes)} nodes, {len(found.kernels)} kernels"
