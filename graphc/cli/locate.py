"""Find what `FILE.py:NAME` names: load the file as a module and turn the object into a program."""

from __future__ import annotations

import argparse
import importlib.util
import pathlib
import sys
import traceback
from types import FunctionType, ModuleType
from typing import Any

import graphc
from graphc.api import Settings, compile_graph
from graphc.cli import UsageError
from graphc.errors import GraphcError
from graphc.passes import Options
from graphc.program import Program
from graphc.tensor_type import TensorType, read_type


def add_target(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name an object of a file, and the types to compile a function for."""
    parser.add_argument(
        "target", metavar="FILE.py:NAME", help="a program, graph, function or tensor"
    )
    parser.add_argument(
        "--input",
        dest="types",
        metavar="TYPE",
        action="append",
        default=[],
        help="for a function that was not called yet: the type of an argument, as float32[64,784]",
    )


def load_program(target: str, types: list[str]) -> Program:
    """Return the program that `target` names, compiled for `types` if it is a function.

    Raises UsageError where the file or the name is not there or the object is none of ours.
    """
    found = load_program_or_graph(target, types)
    if isinstance(found, graphc.Graph):
        return compile_graph(found, Settings("llvm", Options()))
    return found


def load_program_or_graph(target: str, types: list[str]) -> Program | graphc.Graph:
    """Return what `target` names: a graph as it is, anything else as `load_program` does."""
    found = _load_object(target)
    if isinstance(found, Program | graphc.Graph):
        return found
    if isinstance(found, graphc.CompiledFunction):
        return _program_of(found, [parse_type(t) for t in types], target)
    if isinstance(found, graphc.Tensor):
        return graphc.compile([found])
    if isinstance(found, FunctionType) and types:
        return _program_of(graphc.compile(found), [parse_type(t) for t in types], target)
    if isinstance(found, FunctionType):
        raise UsageError(f"{target} is a function: name its arguments' types with --input")
    raise UsageError(
        f"{target} is of type {type(found).__name__}, "
        "no program, graph, compiled function or tensor"
    )


def _program_of(
    function: graphc.CompiledFunction[Any, Any], types: list[TensorType], target: str
) -> Program:
    if types:
        return _compile_for(function, types, target)
    if not function.programs:
        raise UsageError(
            f"{target} was not called in the file: name its arguments' types with --input"
        )
    return function.programs[-1]


def _compile_for(
    function: graphc.CompiledFunction[Any, Any], types: list[TensorType], target: str
) -> Program:
    try:
        return function.program(*types)
    except GraphcError:
        raise
    except Exception as error:  # whatever the user's function raises while it is traced
        path = pathlib.Path(target.rpartition(":")[0])
        raise UsageError(f"{target} {_what_happened(error, path)}") from error


def parse_type(text: str) -> TensorType:
    """Return the type that `float32[64,784]` names; raises UsageError."""
    try:
        return read_type(text)
    except GraphcError as error:
        raise UsageError(error.message) from None


def _load_object(target: str) -> Any:
    file, colon, name = target.rpartition(":")
    if not colon or not name or not file:
        raise UsageError(f"{target!r} is not of the form FILE.py:NAME")
    path = pathlib.Path(file)
    if not path.is_file():
        raise UsageError(f"there is no file {file}")
    module = _load_module(path)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise UsageError(f"{file} holds no {name}")
        found = getattr(found, part)
    return found


def _load_module(path: pathlib.Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent.resolve()))
    sys.modules.setdefault(path.stem, module)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise UsageError(f"{path} {_what_happened(error, path)}") from error
    return module


def _what_happened(error: BaseException, path: pathlib.Path) -> str:
    """Say in one line what the file raised, and at which of its lines."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [
        f.lineno for f in frames if f.filename == str(path.resolve()) or f.filename == str(path)
    ]
    if isinstance(error, SyntaxError):
        lines = [error.lineno]
    place = f" at line {lines[-1]}" if lines else ""
    first = (str(error).splitlines() or [""])[0]
    return f"raised {type(error).__name__}{place}: {first}".rstrip(": ")
