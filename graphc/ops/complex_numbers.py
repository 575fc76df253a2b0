"""Complex numbers: made of two parts, taken apart, conjugated.

The derivative of an op on complex numbers is that of its pairs of floats: the cotangent of x + iy
is a + ib where a and b are those of x and y. That is PyTorch's convention: descent subtracts the
gradient of a real-valued function, as ever. JAX's is the conjugate of it. Sums, products and
quotients are declared with those of other numbers (`graphc.ops.arithmetic`), and what they are of
pairs stands in `graphc.ops.pairs`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.arithmetic import zeros_like
from graphc.dtypes import DType
from graphc.node import Node
from graphc.op import OnPairs, Op
from graphc.ops import pairs
from graphc.ops.conversion import cast
from graphc.ops.declare import BINARY, UNARY, Array
from graphc.ops.type_rules import COMPLEX, FLOAT, TypeRule, check_kind, check_same
from graphc.tensor_type import TensorType

Operands = tuple[Node, ...]


def _as(node: Node, dtype: DType) -> Node:
    return node if node.type.dtype is dtype else cast(node, dtype=dtype)


# --- made of parts -------------------------------------------------------------------------------


def _complex_rule(x: TensorType, y: TensorType) -> TensorType:
    check_kind("complex", x.dtype, FLOAT)
    check_same("complex", x, y)
    return x.with_dtype(x.dtype.complex)


def _complex_reference(x: Array, y: Array, result: TensorType) -> Array:
    both = np.empty(result.shape, result.dtype.numpy)
    both.real, both.imag = x, y
    return both


def _complex_derivative(node: Node, cotangent: Node) -> tuple[Node, Node]:
    dtype = node.inputs[0].type.dtype
    return _as(real(cotangent), dtype), _as(imag(cotangent), dtype)


def _complex_pairs(node: Node, operands: Operands) -> Node:
    dtype = node.type.dtype.real
    return pairs.paired(*(_as(each, dtype) for each in operands))


complex_ = Op(
    name="complex",
    operands=BINARY,
    type_rule=_complex_rule,
    reference=_complex_reference,
    lowering=OnPairs(),
    derivative=_complex_derivative,
    kinds=FLOAT,
    on_pairs=_complex_pairs,
    summary="x + iy; complex64 of floats of 32 bits and fewer",
)

# --- taken apart ---------------------------------------------------------------------------------


def _part_rule(name: str) -> TypeRule:
    def rule(x: TensorType) -> TensorType:
        check_kind(name, x.dtype, COMPLEX)
        return x.with_dtype(x.dtype.real)

    return rule


def _part(
    name: str,
    number: int,
    reference: Callable[[Array], Any],
    derivative: Callable[[Node, Node], tuple[Node]],
    summary: str,
) -> Op:
    return Op(
        name=name,
        operands=UNARY,
        type_rule=_part_rule(name),
        reference=lambda x, result: np.array(reference(x)),
        lowering=OnPairs(),
        derivative=derivative,
        kinds=COMPLEX,
        on_pairs=lambda node, operands: pairs.part(operands[0], number),
        summary=summary,
    )


real = _part(
    "real", 0, np.real, lambda node, g: (complex_(g, zeros_like(g)),), "the x of x + iy"
)  # fmt: skip
imag = _part(
    "imag", 1, np.imag, lambda node, g: (complex_(zeros_like(g), g),), "the y of x + iy"
)  # fmt: skip

# --- conjugated ----------------------------------------------------------------------------------


def _conj_rule(x: TensorType) -> TensorType:
    check_kind("conj", x.dtype, COMPLEX)
    return x


conj: Op = Op(
    name="conj",
    operands=UNARY,
    type_rule=_conj_rule,
    reference=lambda x, result: np.conj(x),
    lowering=OnPairs(),
    derivative=lambda node, cotangent: (conj(cotangent),),
    kinds=COMPLEX,
    on_pairs=pairs.conj,
    summary="x - iy of x + iy",
)
