"""The equations of views, casts, reductions and contractions, whose right sides compute shapes.

They follow the law for rules in passes/simplify.py: a view of a view is one view, a view that
changes nothing is its operand, a reduction over extents of one is a reshape, and a contraction of
integers that were made wider is one of the narrow integers. One function an op, found by the op's
name in `RULES`.
"""

from __future__ import annotations

from collections.abc import Callable

from graphc import ops
from graphc.dtypes import DType, promote
from graphc.node import Node, at_line


def simplify_view(node: Node) -> Node | None:
    """Return a simpler equal of `node`, or None."""
    rule = RULES.get(node.op.name)
    if rule is None:
        return None
    with at_line(node.line):
        return rule(node)


def _inner(node: Node, name: str) -> Node | None:
    """Return the operand of the operand of `node` where the operand is a `name`."""
    operand = node.inputs[0]
    return operand.inputs[0] if operand.op.name == name else None


def _same_type(node: Node) -> Node | None:
    return node.inputs[0] if node.inputs[0].type == node.type else None


def _reshape(node: Node) -> Node | None:
    inner = _inner(node, "reshape")
    if inner is not None:
        return ops.reshape(inner, shape=node.shape)
    return _same_type(node) or _reshape_of_broadcast(node)


def _reshape_of_broadcast(node: Node) -> Node | None:
    """A number broadcast and reshaped is the number broadcast."""
    inner = _inner(node, "broadcast_to")
    if inner is None or inner.shape != ():
        return None
    return ops.broadcast_to(inner, shape=node.shape)


def _broadcast(node: Node) -> Node | None:
    inner = _inner(node, "broadcast_to")
    if inner is not None:
        return ops.broadcast_to(inner, shape=node.shape)
    return _same_type(node)


def _permute(node: Node) -> Node | None:
    axes = node.attributes["axes"]
    if axes == tuple(range(len(axes))):
        return node.inputs[0]
    inner = _inner(node, "permute_dims")
    if inner is not None:
        first = node.inputs[0].attributes["axes"]
        return ops.permute_dims(inner, axes=tuple(first[a] for a in axes))
    uniform = _inner(node, "broadcast_to")
    if uniform is not None and uniform.shape == ():
        return ops.broadcast_to(uniform, shape=node.shape)
    return None


def _slice(node: Node) -> Node | None:
    a = node.attributes
    operand = node.inputs[0]
    whole = ((0,) * len(operand.shape), operand.shape, (1,) * len(operand.shape))
    if (a["start"], a["stop"], a["step"]) == whole:
        return operand
    uniform = _inner(node, "broadcast_to")
    if uniform is not None and uniform.shape == ():
        return ops.broadcast_to(uniform, shape=node.shape)
    return None


def _pad(node: Node) -> Node | None:
    return node.inputs[0] if not any(node.attributes["low"] + node.attributes["high"]) else None


def _concat(node: Node) -> Node | None:
    """Operands without elements vanish; one operand alone is the result."""
    axis = node.attributes["axis"]
    kept = [i for i in node.inputs if i.shape[axis]]
    if len(kept) == 1:
        return kept[0]
    return ops.concat(*kept, axis=axis) if 0 < len(kept) < len(node.inputs) else None


def _is_exact(source: DType, target: DType) -> bool:
    """Return whether `target` holds every value of `source`."""
    if source.kind == "bool" or (source.is_integer and source.bits == 64 and target.is_float):
        return False
    return promote(source, target) is target


def _cast(node: Node) -> Node | None:
    """A cast through a type that holds every value of the first is one cast."""
    inner = _inner(node, "cast")
    if inner is not None and _is_exact(inner.type.dtype, node.inputs[0].type.dtype):
        if inner.type.dtype is node.type.dtype:
            return inner
        return ops.cast(inner, dtype=node.type.dtype)
    return _same_type(node)


def _reduce(node: Node) -> Node | None:
    """Over axes of extent one, or over none, a reduction changes the shape only."""
    shape = node.inputs[0].shape
    if node.inputs[0].type.dtype is not node.type.dtype:
        return None
    if all(shape[axis] == 1 for axis in node.attributes["axes"]):
        return ops.reshape(node.inputs[0], shape=node.shape)
    return None


def _contraction(node: Node) -> Node | None:
    """Over narrow integers that were cast to the type of the sums, the cast is the contraction's.

    There are instructions for products of bytes. Of floats the rule would not be exact: those for
    bfloat16 take subnormals as zeros.
    """
    wide = node.inputs[0].type.dtype
    if not wide.is_integer or any(operand.op.name != "cast" for operand in node.inputs):
        return None
    a, b = (operand.inputs[0] for operand in node.inputs)
    narrow = a.type.dtype
    if narrow is not b.type.dtype or not narrow.is_integer or not _is_exact(narrow, wide):
        return None
    return node.op(a, b, **{**node.attributes, "dtype": node.type.dtype})


RULES: dict[str, Callable[[Node], Node | None]] = {
    "reshape": _reshape,
    "broadcast_to": _broadcast,
    "permute_dims": _permute,
    "slice": _slice,
    "pad": _pad,
    "concat": _concat,
    "cast": _cast,
    "contraction": _contraction,
    **dict.fromkeys(("sum", "prod", "max", "min", "any", "all"), _reduce),
}
