"""What the frontend asks of the passes without knowing them; the facade says once who does it.

`differentiator(outputs, cotangents, wrt)` gives, for each node of `wrt`, the sum over the outputs
of cotangent times derivative; zeros where nothing depends on the node. `batcher(roots, batched,
size)` gives, for each root, its image over examples and whether that has a new first axis.
`compiler(function)` gives a callable of arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from graphc.errors import InternalError
from graphc.node import Node

__all__ = ["set_batcher", "set_compiler", "set_differentiator"]

Differentiator: TypeAlias = Callable[
    [Sequence[Node], Sequence[Node], Sequence[Node]], Sequence[Node]
]
Batcher: TypeAlias = Callable[
    [Sequence[Node], Mapping[Node, Node], int], Sequence[tuple[Node, bool]]
]
Compiler: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]
_hooks: dict[str, Any] = {}


def set_differentiator(differentiator: Differentiator) -> None:
    """Say how graphs are differentiated."""
    _hooks["differentiator"] = differentiator


def set_batcher(batcher: Batcher) -> None:
    """Say how graphs are batched."""
    _hooks["batcher"] = batcher


def set_compiler(compiler: Compiler) -> None:
    """Say how a function of arrays is compiled."""
    _hooks["compiler"] = compiler


def hook(name: str) -> Any:
    """Return the function that was set; raises InternalError where none was."""
    if name not in _hooks:
        raise InternalError(f"no {name} is set; importing graphc sets it")
    return _hooks[name]
