"""Tracing: a Python function is run once on symbolic tensors, and what it did becomes a graph.

Arrays and tensors among the arguments, also inside tuples, lists and dicts, become inputs of their
types; everything else is passed as it is and so compiled in. The Python code runs once for each
`signature` of the arguments; assignments to variables are recorded and belong to the graph.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.dtypes import as_dtype
from graphc.frontend.constructors import input as make_input
from graphc.frontend.operands import as_node
from graphc.frontend.recording import Moded, Trace
from graphc.frontend.structures import Structure, flatten, flatten_result, unflatten
from graphc.frontend.tensor import Tensor
from graphc.graph import Graph
from graphc.node import Node
from graphc.tensor_type import TensorType

__all__ = ["Traced", "signature", "trace"]


@dataclass(frozen=True)
class Traced:
    """A traced function: inputs are the leaves of its arguments, outputs those of its result.

    `structure` is that of the result; `unflatten(structure, outputs)` puts it together. The trace
    holds for `modes` alone: the objects whose mode was asked for, and the mode.
    """

    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]
    assignments: tuple[tuple[Node, Node], ...]
    structure: Structure
    name: str = "main"
    modes: tuple[tuple[Moded, bool], ...] = ()

    @property
    def graph(self) -> Graph:
        """The graph of the function."""
        return Graph(self.inputs, self.outputs, self.assignments, self.name)


def trace(
    function: Callable[..., Any],
    arguments: Sequence[Any] = (),
    keywords: Mapping[str, Any] | None = None,
) -> Traced:
    """Return what `function(*arguments, **keywords)` computes, as nodes.

    Arrays, tensors and `TensorType`s among the arguments, also inside tuples, lists and dicts,
    become inputs of their types; all else is passed as it is. Raises what the function raises, and
    GraphcTypeError where its result holds what is neither a tensor nor static.

    >>> import numpy as np
    >>> traced = trace(lambda pair: pair["a"] + 1, [{"a": np.zeros(3)}])
    >>> [node.type for node in traced.outputs]
    [TensorType(shape=(3,), dtype=graphc.float64)]
    """
    leaves, structure = flatten((tuple(arguments), dict(keywords or {})))
    names = _input_names(function, structure)
    types = [type_of(leaf) for leaf in leaves]
    inputs = [make_input(t.shape, t.dtype, n) for t, n in zip(types, names, strict=True)]
    positional, named = unflatten(structure, inputs)
    with Trace() as recorded:
        outputs, result = flatten_result(function(*positional, **named))
        nodes = tuple(as_node(x) for x in outputs)
    name = getattr(function, "__name__", "")
    name = name if name.isidentifier() else "main"  # not <lambda>: it names files and text
    nodes_in = tuple(x.node for x in inputs)
    return Traced(nodes_in, nodes, recorded.assignments, result, name, recorded.modes)


def signature(
    arguments: Sequence[Any], keywords: Mapping[str, Any] | None = None
) -> tuple[Hashable, list[Any]]:
    """Return a key that is equal for calls that may share one program, and the leaves to run it on.

    The key holds the structure, every static argument, and the type of each leaf.
    """
    leaves, structure = flatten((tuple(arguments), dict(keywords or {})))
    return (structure, tuple(type_of(leaf) for leaf in leaves)), leaves


def takes_keyword(function: Callable[..., Any], name: str, *, or_any: bool = True) -> bool:
    """Return whether a function has a parameter of this name, or (`or_any`) takes any keyword.

    What has no signature is said to have none.
    """
    parameters = _parameters(function)
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    named = (p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL))
    return name in named or (or_any and takes_any)


def type_of(leaf: Tensor | np.ndarray[Any, Any] | np.generic | TensorType) -> TensorType:
    """Return the type of an array, a tensor or a type; raises GraphcTypeError otherwise."""
    if isinstance(leaf, TensorType):
        return leaf
    if isinstance(leaf, Tensor):
        return leaf.type
    return TensorType(leaf.shape, as_dtype(leaf.dtype))


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Return the parameters of a function, of a module those of its `forward`."""
    try:
        found = inspect.signature(getattr(function, "forward", function))
    except (TypeError, ValueError):
        return []
    return list(found.parameters.values())


def _input_names(function: Callable[..., Any], structure: Structure) -> list[str]:
    """Name each leaf after its parameter and its place inside it: `batch.0`, `params.weights`."""
    positional, named = structure.children
    parameters = _parameters(function)
    simple = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    names: list[str] = []
    for place, child in enumerate(positional.children):
        prefix = simple[place] if place < len(simple) else f"argument_{place}"
        names.extend(child.paths(prefix))
    for key, child in zip(named.keys, named.children, strict=True):
        names.extend(child.paths(key.value))
    return names
