"""Values in passing: `evaluate` computes tensors that need no input, in NumPy, node by node."""

from __future__ import annotations

from typing import Any

from graphc.errors import GraphcTypeError, GraphcValueError
from graphc.frontend.tensor import Tensor
from graphc.graph import Graph, stray_error, topological_order
from graphc.graph_compilation import Settings, compile_graph
from graphc.node import given_name
from graphc.passes import Options

__all__ = ["evaluate"]


def evaluate(*tensors: Tensor) -> Any:
    """Return the values of tensors that depend on no input, computed by the reference backend.

    One tensor gives an array, several give a list of arrays. Variables have their values of now.
    Raises GraphcValueError for a tensor that depends on an input.

    >>> import graphc
    >>> evaluate(graphc.arange(3) * 2)
    array([0, 2, 4])
    """
    for tensor in tensors:
        if not isinstance(tensor, Tensor):
            raise GraphcTypeError(f"an object of type {type(tensor).__name__} is no tensor")
    nodes = [tensor.node for tensor in tensors]
    first = next((n for n in topological_order(nodes) if n.op.name == "input"), None)
    if first is not None:
        raise stray_error([first]) or GraphcValueError(
            f"evaluate: the value depends on the input {given_name(first)} ({first.type})",
            hint="graphc.compile([y], inputs=[x]) makes a program that takes it",
            line=str(first.line or ""),
        )
    arrays = compile_graph(Graph([], nodes), Settings("reference", Options()))()
    return arrays[0] if len(arrays) == 1 else arrays
