"""Multiply in a smaller float: every contraction of float32 rounds its operands. Rounding.

    contraction(a, b) : float32  ->  contraction(cast(a), cast(b)) {dtype=float32} : float32

Products are added in float32, as before, and results and everything else stay float32. An operand
of several contractions is rounded once. Guarantees that a graph without such contractions, and any
graph in the precision float32, is the same object.
"""

from __future__ import annotations

from graphc import ops
from graphc.dtypes import DType, bfloat16, float32
from graphc.graph import Graph, rebuild
from graphc.node import Node, at_line
from graphc.op import Contraction

PRECISIONS: dict[str, DType] = {"float32": float32, "bfloat16": bfloat16}


def round_operands(graph: Graph, precision: str) -> Graph:
    """Return `graph` with its float32 contractions over operands of `precision`."""
    dtype = PRECISIONS[precision]
    if dtype is float32:
        return graph

    def replace(node: Node, inputs: tuple[Node, ...]) -> Node:
        node = rebuild(node, inputs)
        if (
            not isinstance(node.op.lowering, Contraction)
            or node.inputs[0].type.dtype is not float32
        ):
            return node
        attributes = {**node.attributes, "dtype": node.type.dtype}
        with at_line(node.line):
            return node.op(*(ops.cast(i, dtype=dtype) for i in node.inputs), **attributes)

    return graph.rewrite(replace)
