"""`graphc explain FILE.py:NAME`: groups, reasons, bytes and operations as text, or any stage."""

from __future__ import annotations

import argparse

from graphc.cli import UsageError
from graphc.cli.locate import add_target, load_program
from graphc.errors import GraphcValueError

STAGES = ("explain", "graph", "optimised", "kernels", "plan", "llvm", "asm", "opencl")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_target(parser)
    parser.add_argument("--stage", choices=STAGES, default="explain", help="which stage to print")


def run(options: argparse.Namespace) -> int:
    """Print the stage that was asked for."""
    program = load_program(options.target, options.types)
    if options.stage == "explain":
        print(program.explain())
        return 0
    try:
        print(program.text(options.stage))
    except GraphcValueError as error:  # a stage of another backend
        raise UsageError(f"{error.message}; {error.hint}") from None
    return 0
