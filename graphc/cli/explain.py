"""`graphc explain FILE.py:NAME`: groups, reasons, bytes and operations as text, or any stage."""

from __future__ import annotations

import argparse

from graphc.cli.locate import add_target, load_program

STAGES = ("explain", "graph", "optimised", "kernels", "llvm", "asm", "opencl")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_target(parser)
    parser.add_argument("--stage", choices=STAGES, default="explain", help="which stage to print")


def run(options: argparse.Namespace) -> int:
    """Print the stage that was asked for."""
    program = load_program(options.target, options.types)
    print(program.explain() if options.stage == "explain" else program.text(options.stage))
    return 0
