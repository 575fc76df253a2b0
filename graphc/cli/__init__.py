"""The `graphc` command. Each subcommand is one file of this package, imported when it is asked for.

Bad arguments give one clear line on stderr and exit code 2; a failure of what was asked gives the
error's message and exit code 1. Output meant for machines (`--json`) goes to stdout alone.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import NoReturn

from graphc import settings
from graphc.errors import GraphcError
from graphc.version import __version__

# name -> (module of this package with `add_arguments` and `run`, one line of help)
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("demo", "train a classifier of handwritten digits, measure it and draw it"),
    "zoo": ("zoo", "train the classic networks of a course on real data, and draw them"),
    "draw": ("draw", "draw a graph or program of a Python file"),
    "explain": ("explain", "say what was fused in a program of a Python file, and why"),
    "bench": ("bench", "time the calls and the kernels of a program of a Python file"),
    "check": ("check", "check the derivatives of a function of a Python file"),
    "cache": ("cache", "look at the compiled code that is kept on disk, or remove it"),
    "doctor": ("doctor", "look at this machine: versions, CPU, threads, renderers, OpenCL devices"),
}


class UsageError(Exception):
    """The arguments are wrong; the message says how, in one line."""


class _Parser(argparse.ArgumentParser):
    """Reports wrong arguments in one line."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message} (see {self.prog} --help)", file=sys.stderr)
        raise SystemExit(2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = _build_parser(given)
    options = parser.parse_args(given)
    if options.command is None:
        parser.print_help()
        return 0
    try:
        _check_environment(options.command)
        return int(_module(options.command).run(options))
    except UsageError as error:
        print(f"graphc {options.command}: {error}", file=sys.stderr)
        return 2
    except GraphcError as error:
        print(f"graphc {options.command}: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output has gone, as in `graphc explain … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


def _check_environment(command: str) -> None:
    if command == "doctor":  # it reports what is wrong itself
        return
    try:
        settings.check()
    except GraphcError as error:
        raise UsageError(error.message) from None


def _build_parser(given: Sequence[str]) -> argparse.ArgumentParser:
    parser = _Parser(prog="graphc", description="A dataflow computational-graph compiler.")
    parser.add_argument("--version", action="version", version=f"graphc {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    for name, (_, summary) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary.capitalize() + ".")
        if name in given:  # only the module of the command that runs is imported
            _module(name).add_arguments(command)
    return parser


def _module(command: str) -> ModuleType:
    return importlib.import_module(f"graphc.cli.{COMMANDS[command][0]}")
