"""Pairs: what complex numbers are to kernels, which know floats alone.

A complex tensor of shape S is a float tensor of the shape (*S, 2), the real and the imaginary part
of each number side by side, which are the same bytes. Here are the ways from pairs to parts and
back, and the rules (`Op.on_pairs`) of ops with a scalar formula: what each is of pairs. Ops are
found by their names, so this module knows no declaration. It decides nothing about derivatives:
those are taken before there are pairs.

A product is (ac - bd) + i(ad + bc), each product and each sum rounded. A quotient is that of R.
Smith, "Algorithm 116: complex division", 1962, as in NumPy. docs/semantics.md says what infinities
and NaN give.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.arithmetic import filled, zeros_like
from graphc.errors import InternalError
from graphc.op import find

if TYPE_CHECKING:
    from graphc.node import Node
    from graphc.tensor_type import Shape, TensorType

    Operands = tuple[Node, ...]


def apply(name: str, /, *operands: Node, **attributes: Any) -> Node:
    """Return the node of the op called `name`."""
    op = find(name)
    if op is None:
        raise InternalError(f"{name} is not declared; import graphc.ops first")
    return op(*operands, **attributes)


def paired_type(type_: TensorType) -> TensorType:
    """Return the type of the pairs that stand for complex numbers; of other types, itself."""
    dtype = type_.dtype
    if not dtype.is_complex:
        return type_
    return type_.with_dtype(dtype.real).with_shape((*type_.shape, 2))


# --- parts ---------------------------------------------------------------------------------------


def part(pairs: Node, number: int) -> Node:
    """Return the real (0) or the imaginary (1) parts, without the last axis."""
    shape = pairs.shape[:-1]
    start, stop = (0,) * len(shape) + (number,), (*shape, number + 1)
    column = apply("slice", pairs, start=start, stop=stop, step=(1,) * len(stop))
    return apply("reshape", column, shape=shape)


def parts(pairs: Node) -> tuple[Node, Node]:
    """Return the real and the imaginary parts."""
    return part(pairs, 0), part(pairs, 1)


def paired(real: Node, imaginary: Node) -> Node:
    """Return pairs of real and imaginary parts."""
    columns = (apply("reshape", each, shape=(*each.shape, 1)) for each in (real, imaginary))
    return apply("concat", *columns, axis=len(real.shape))


def for_both_parts(node: Node, shape: Shape) -> Node:
    """Return what is one a number (a condition, an index) once for each of its parts."""
    column = apply("reshape", node, shape=(*node.shape, 1))
    return apply("broadcast_to", column, shape=(*shape, 2))


def conjugate(node: Node) -> Node:
    """Return the conjugates of complex numbers; what is real is its own."""
    return apply("conj", node) if node.type.dtype.is_complex else node


def _part_for_both(pairs: Node, number: int) -> Node:
    """Return one part of each pair in both places."""
    *shape, _ = pairs.shape
    start, stop = (0,) * len(shape) + (number,), (*shape, number + 1)
    column = apply("slice", pairs, start=start, stop=stop, step=(1,) * len(stop))
    return apply("broadcast_to", column, shape=pairs.shape)


def _exchanged(pairs: Node) -> Node:
    """Return pairs with each part in the place of the other."""
    *shape, _ = pairs.shape
    ones = (1,) * len(shape)
    start, stop = (0,) * len(shape) + (1,), (*shape, -1)
    return apply("slice", pairs, start=start, stop=stop, step=(*ones, -1))


def _row(pairs: Node, values: tuple[float, float]) -> Node:
    """Return one number for all real parts, and one for all imaginary ones."""
    from graphc.node import ArrayData  # node.py needs the module of ops first

    array = np.array(values, pairs.type.dtype.numpy)
    return apply("broadcast_to", apply("constant", value=ArrayData(array)), shape=pairs.shape)


# --- rules ---------------------------------------------------------------------------------------


def componentwise(node: Node, operands: Operands) -> Node:
    """Compute an op on pairs as on twice as many floats."""
    return node.op(*operands, **node.attributes)


def conj(node: Node, operands: Operands) -> Node:
    """Return pairs with the other sign of the imaginary parts."""
    return operands[0] * _row(operands[0], (1, -1))


def multiply(node: Node, operands: Operands) -> Node:
    """Return the products of pairs: a(c, d) + b(-d, c), which is one loop over the memory."""
    x, y = operands
    turned = _part_for_both(x, 1) * (_exchanged(y) * _row(y, (-1, 1)))
    return _part_for_both(x, 0) * y + turned


def square(node: Node, operands: Operands) -> Node:
    """Return the products of pairs with themselves."""
    return multiply(node, operands * 2)


def divide(node: Node, operands: Operands) -> Node:
    """Return the quotients of pairs: the larger part of the divisor divides the smaller first."""
    (a, b), (c, d) = map(parts, operands)
    size, other = apply("abs", c), apply("abs", d)
    is_first = apply("greater_equal", size, other)
    larger, smaller = _chosen(is_first, c, d), _chosen(is_first, d, c)
    ratio = smaller / larger
    scale = 1 / (larger + smaller * ratio)
    ahead, behind = _chosen(is_first, a, b), _chosen(is_first, b, a)
    by_ratio = behind * ratio
    real = (ahead + by_ratio) * scale
    turned = ahead * ratio
    imaginary = _chosen(is_first, behind - turned, turned - behind) * scale
    is_zero = apply("equal", size + other, zeros_like(size))
    return paired(_chosen(is_zero, a / size, real), _chosen(is_zero, b / size, imaginary))


def reciprocal(node: Node, operands: Operands) -> Node:
    """Return 1 divided by pairs."""
    real, _ = parts(operands[0])
    one = paired(filled(real.type, 1), filled(real.type, 0))
    return divide(node, (one, operands[0]))


def _chosen(condition: Node, x: Node, y: Node) -> Node:
    return apply("where", condition, x, y)


def equal(node: Node, operands: Operands) -> Node:
    """Return whether both parts are equal."""
    return _compared("equal", "logical_and", operands)


def not_equal(node: Node, operands: Operands) -> Node:
    """Return whether one part or both differ."""
    return _compared("not_equal", "logical_or", operands)


def _compared(name: str, combine: str, operands: Operands) -> Node:
    (a, b), (c, d) = map(parts, operands)
    return apply(combine, apply(name, a, c), apply(name, b, d))
