"""How elementwise ops are declared: `elementwise` fills in what nearly all of them share.

The reference is written for the compute dtype and wrapped here: 16-bit floats are converted to
float32 before it and its result is rounded back, as a kernel does. A *pullback* is the derivative
written with operators: `pullback(cotangent, result, *operands)` gives the cotangent of the only
operand, or a tuple of them; None says that the result does not depend on the operand, or only in
steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from graphc.dtypes import DType, as_dtype
from graphc.node import Node
from graphc.op import Algebra, Domain, Elementwise, Op
from graphc.ops.type_rules import NUMERIC, TypeRule, elementwise_rule
from graphc.scalar import Formula
from graphc.tensor_type import TensorType

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
Pullback: TypeAlias = "Callable[..., Node | tuple[Node | None, ...] | None]"
OnPairs: TypeAlias = "Callable[[Node, tuple[Node, ...]], Node]"
Derivative: TypeAlias = "Callable[[Node, Node], Sequence[Node | None]]"

UNARY = ("x",)
BINARY = ("x", "y")
FLAT = Domain()
POSITIVE = Domain(0.1, 3.0)
NOT_ZERO = Domain(smooth_away_from=(0.0,))


def elementwise(  # noqa: PLR0913  # one keyword for each thing that an op may declare
    name: str,
    operands: tuple[str, ...],
    formula: Formula,
    reference: Callable[..., Any],
    *,
    kinds: tuple[str, ...] = NUMERIC,
    result: DType | None = None,
    type_rule: TypeRule | None = None,
    attributes: tuple[str, ...] = (),
    pullback: Pullback | None = None,
    algebra: Algebra = Algebra(),  # noqa: B008  # immutable
    domain: tuple[Domain, ...] | Domain = FLAT,
    in_float64: bool = False,
    takes_result: bool = False,
    native_16_bit: bool = False,
    on_pairs: OnPairs | None = None,
    summary: str,
) -> Op:
    """Declare an elementwise op.

    `result` is the dtype of the result where it is not the operands'; `type_rule` replaces the rule
    made of it and of `kinds`. `in_float64` evaluates the reference in float64 and rounds it, which
    makes it exact enough to judge a float32 formula. `formula` is for real numbers: an op that
    takes complex ones says in `on_pairs` what it is of pairs of floats.
    """
    wrapped = reference if native_16_bit else _through_compute_dtype(reference, in_float64)
    return Op(
        name=name,
        operands=operands,
        type_rule=type_rule or elementwise_rule(name, kinds, result),
        reference=wrapped if takes_result else _without_result(wrapped),
        lowering=Elementwise(formula, takes_result, native_16_bit),
        attributes=attributes,
        derivative=None if pullback is None else _derivative(pullback),
        algebra=algebra,
        kinds=kinds,
        domain=domain if isinstance(domain, tuple) else (domain,),
        on_pairs=on_pairs,
        summary=summary,
    )


def constant_in_steps(cotangent: Node, result: Node, *operands: Node) -> tuple[None, ...]:
    """Pull nothing back: the derivative is zero wherever it exists (floor, sign)."""
    return (None,) * len(operands)


def _through_compute_dtype(function: Callable[..., Any], in_float64: bool) -> Callable[..., Array]:
    def reference(*arrays: Array) -> Array:
        given = as_dtype(arrays[0].dtype)
        compute = given.compute.numpy
        wide = np.dtype(np.float64) if in_float64 and given.is_float else compute
        value = np.asarray(function(*(a.astype(wide, copy=False) for a in arrays)))
        if value.dtype == np.bool_:
            return value
        return value.astype(compute, copy=False).astype(given.numpy, copy=False)

    return reference


def _without_result(function: Callable[..., Any]) -> Callable[..., Array]:
    def reference(*arrays: Array, result: TensorType, **attributes: Any) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(function(*arrays, **attributes), dtype=result.dtype.numpy)

    return reference


def _derivative(pullback: Pullback) -> Derivative:
    def derivative(node: Node, cotangent: Node) -> Sequence[Node | None]:
        pulled = pullback(cotangent, node, *node.inputs)
        return pulled if isinstance(pulled, tuple) else (pulled,)

    return derivative
