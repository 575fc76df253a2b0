"""Compute while compiling what depends on constants alone. Exact.

Requires a verified graph; guarantees the same bits as computing at run time: elements go through
the same scalar formulas as in the kernels, interpreted with NumPy, and views only move them. Sums
and products of many elements are left to the kernels, whose order of summation they must follow; so
are results that would take more memory than their operands beyond `LARGEST_GROWTH` bytes. An
elementwise op whose operands are all uniform (one number broadcast) is folded on that number.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from graphc import ops
from graphc.dtypes import DType
from graphc.graph import Graph, rebuild
from graphc.node import ArrayData, Node, at_line, constant_value, is_constant
from graphc.op import Concatenation, Elementwise, Gather, Guarded, Op, View, scalar_program
from graphc.scalar_interpreter import evaluate

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"

LARGEST_GROWTH = 4096


def fold_constants(graph: Graph) -> Graph:
    """Return `graph` with every foldable node replaced by a constant."""
    return graph.rewrite(lambda node, inputs: fold_node(rebuild(node, inputs)))


def fold_node(node: Node) -> Node:
    """Return the constant that `node` always is, or `node`."""
    if not node.inputs:
        return node
    if isinstance(node.op.lowering, Elementwise):
        return _fold_elementwise(node)
    if all(is_constant(i) for i in node.inputs) and _is_movement(node) and _is_small(node):
        arrays = [constant_value(i) for i in node.inputs]
        value = node.op.reference(*arrays, result=node.type, **node.attributes)
        return _view(node, arrays[0], value) or _constant(node, value)
    return node


def _view(node: Node, operand: Array, value: Array) -> Node | None:
    """Return the constant that shows the elements of a large `operand` in another order."""
    if not isinstance(node.op.lowering, View) or value.nbytes < LARGEST_GROWTH:
        return None
    if value.size != operand.size or not np.may_share_memory(value, operand):
        return None
    with at_line(node.line):
        return ops.constant(value=ArrayData(value, handed_over=True))


def _is_movement(node: Node) -> bool:
    if node.op.name == "broadcast_to":
        return False  # a broadcast costs nothing as it is, and folding it costs memory
    if isinstance(node.op.lowering, Gather):
        return bool(node.attributes["mode"] == "clip")
    return isinstance(node.op.lowering, View | Guarded | Concatenation)


def _is_small(node: Node) -> bool:
    return node.type.nbytes <= sum(i.type.nbytes for i in node.inputs) + LARGEST_GROWTH


def _fold_elementwise(node: Node) -> Node:
    if any(i.op.name not in ("constant", "broadcast_to") for i in node.inputs):
        return node
    if all(is_constant(i) for i in node.inputs):
        return _constant(node, apply_formula(node, [constant_value(i) for i in node.inputs]))
    scalars = [_uniform(i) for i in node.inputs]
    if any(s is None for s in scalars) or not node.shape:
        return node
    with at_line(node.line):
        small = node.op(*(s for s in scalars if s is not None), **node.attributes)
        return ops.broadcast_to(fold_node(small), shape=node.shape)


def _uniform(node: Node) -> Node | None:
    """Return the scalar constant that `node` shows everywhere, if it does."""
    while node.op.name == "broadcast_to":
        node = node.inputs[0]
    return node if is_constant(node) and node.shape == () else None


def apply_formula(node: Node, arrays: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """Return an elementwise node's value by its scalar formula: the bits that kernels compute."""
    lowering = node.op.lowering
    assert isinstance(lowering, Elementwise)
    given = [i.type.dtype for i in node.inputs]
    if lowering.native_16_bit:
        return _run(node.op, given, node.type.dtype, arrays)
    widened = [a.astype(d.compute.numpy) for a, d in zip(arrays, given, strict=True)]
    result = _run(node.op, [d.compute for d in given], node.type.dtype.compute, widened)
    with np.errstate(all="ignore"):
        return result.astype(node.type.dtype.numpy)


def _run(
    op: Op, given: list[DType], result: DType, arrays: list[np.ndarray[Any, Any]]
) -> np.ndarray[Any, Any]:
    program = scalar_program(op.name, tuple(given), result)
    return evaluate(program, *arrays, resolve=scalar_program)


def _constant(node: Node, value: np.ndarray[Any, Any]) -> Node:
    array = np.broadcast_to(np.asarray(value, node.type.dtype.numpy), node.shape)
    with at_line(node.line):
        return ops.constant(value=ArrayData(array))
