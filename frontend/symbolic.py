"""Functions on symbolic arguments: what the transforms of functions have in common.

A transform runs the user's function on fresh inputs, works on the graph that comes of it, and puts
the caller's tensors in the inputs' place. With the tensors themselves, what the function reads of
them by other ways would be taken for a part of its arguments. Given arrays, outside of tracing, a
transformed function is compiled and run.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from graphc.errors import GraphcTypeError, GraphcValueError
from graphc.frontend.constructors import input as make_input
from graphc.frontend.hooks import hook
from graphc.frontend.nn.module import Module
from graphc.frontend.operands import as_node, fail
from graphc.frontend.recording import Trace, current_trace, is_tracing
from graphc.frontend.structures import Structure, flatten_result, unflatten
from graphc.frontend.tensor import Tensor
from graphc.graph import belongs_to, substitute
from graphc.node import Node

__all__ = ["Subjects", "as_tensors", "compiled_on_arrays", "fresh_like", "substituted"]


def compiled_on_arrays(symbolic: Callable[..., Any]) -> Callable[..., Any]:
    """Return `symbolic`, compiled when it is called outside of tracing and without tensors."""
    compiled: list[Callable[..., Any]] = []

    @functools.wraps(symbolic)
    def function(*arguments: Any, **keywords: Any) -> Any:
        leaves, _ = flatten_result((arguments, dict(keywords)))
        if is_tracing() or any(isinstance(leaf, Tensor) for leaf in leaves):
            return symbolic(*arguments, **keywords)
        if not compiled:
            compiled.append(hook("compiler")(symbolic))
        return compiled[0](*arguments, **keywords)

    return function


def fresh_like(leaves: Sequence[Any]) -> list[Tensor]:
    """Return a fresh input of the type of each leaf."""
    fresh = [make_input(leaf.shape, leaf.dtype) for leaf in leaves]
    for tensor in fresh:
        belongs_to(tensor.node, "a derivative")
    return fresh


class Subjects:
    """The arguments that a function is transformed with respect to, fresh inputs in their place.

    `arguments` are those to call the function with, `fresh` the leaves of the subjects in order:
    inputs of the types of `leaves`, the caller's. The leaves of a module are its parameters, which
    stay as they are.
    """

    def __init__(self, argnums: int | Sequence[int], arguments: Sequence[Any]) -> None:
        self.arguments, self._is_one = list(arguments), isinstance(argnums, int)
        self.leaves: list[Any] = []
        self.fresh: list[Tensor] = []
        self._structures: list[Structure] = []
        for place in _places(argnums, len(arguments)):
            argument = arguments[place]
            if isinstance(argument, Module):
                self._add_module(argument)
            else:
                self.arguments[place] = self._add(as_tensors(argument))

    def _add(self, argument: Any) -> Any:
        if isinstance(argument, int | str):  # a static value, which would come back as it is
            fail(
                GraphcTypeError,
                f"there is no derivative with respect to {argument!r}, which is compiled in",
                hint="a float, a complex number or an array has one; argnums says which argument",
            )
        leaves, structure = flatten_result(argument)
        fresh = fresh_like(leaves)
        self._extend(leaves, fresh, structure)
        return unflatten(structure, fresh)

    def _add_module(self, module: Module) -> None:
        values = {path: Tensor(v.node) for path, v in module.named_parameters()}
        leaves, structure = flatten_result(values)
        self._extend(leaves, leaves, structure)

    def _extend(self, leaves: list[Any], fresh: list[Tensor], structure: Structure) -> None:
        self.leaves += leaves
        self.fresh += fresh
        self._structures.append(structure)

    def mapping(self) -> dict[Node, Node]:
        """Return what to put in the place of each fresh input: the caller's tensor."""
        pairs = zip(self.fresh, self.leaves, strict=True)
        return {fresh.node: as_node(leaf) for fresh, leaf in pairs if fresh is not leaf}

    def nested(self, results: Sequence[Any]) -> Any:
        """Return a result for each leaf in the structure of the subjects: a tuple if several."""
        found, start = [], 0
        for structure in self._structures:
            count = structure.leaf_count
            found.append(unflatten(structure, results[start : start + count]))
            start += count
        return found[0] if self._is_one else tuple(found)


def _places(argnums: int | Sequence[int], count: int) -> list[int]:
    given = list(argnums) if isinstance(argnums, Iterable) else [argnums]
    if isinstance(argnums, str | bool) or not all(isinstance(place, int) for place in given):
        fail(
            GraphcTypeError,
            f"argnums are numbers of positional arguments, not {argnums!r}",
            hint="argnums=0 is the first argument, argnums=(0, 1) are the first two",
        )
    if any(not -count <= place < count for place in given):
        fail(
            GraphcValueError,
            f"argnums {argnums} for a function called with {count} positional arguments",
            hint="arguments to differentiate with respect to are passed by position",
        )
    return [place % count for place in given]


def as_tensors(argument: Any) -> Any:
    """Return an argument that is a Python float or complex number as a tensor."""
    if isinstance(argument, float | complex):
        return Tensor(as_node(argument))
    return argument


def substituted(tree: Any, mapping: Mapping[Node, Node], recorded: Trace) -> Any:
    """Return `tree` with nodes replaced; hand the assignments on to the outer trace."""
    leaves, structure = flatten_result(tree)
    assignments = recorded.assignments
    roots = [*(as_node(x) for x in leaves), *(value for _, value in assignments)]
    replaced = substitute(roots, mapping)
    outer = current_trace()
    for (variable, _), value in zip(assignments, replaced[len(leaves) :], strict=True):
        if outer is not None:
            outer.assign(variable, value)
    return unflatten(structure, [Tensor(node) for node in replaced[: len(leaves)]])
