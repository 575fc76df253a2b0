"""What an elementwise op costs, counted in additions: by it passes decide what to repeat."""

from __future__ import annotations

from graphc.node import Node
from graphc.op import Checked, Elementwise, FromIndex, Gather, Guarded

# What may be computed again for each use rather than kept.
MOST_REPEATED = 3
# Hyperbolic, trigonometric, exponential and other ops that run a polynomial cost as much as this.
POLYNOMIAL = 12
_WEIGHTS: dict[str, int] = {
    **dict.fromkeys(("divide", "sqrt", "reciprocal", "hypot"), 4),
    **dict.fromkeys(("floor_divide", "remainder"), 8),
    **dict.fromkeys(
        (
            "add", "subtract", "multiply", "negative", "abs", "sign", "square", "minimum",
            "maximum", "equal", "not_equal", "less", "less_equal", "greater", "greater_equal",
            "logical_and", "logical_or", "logical_xor", "logical_not", "bitwise_and", "bitwise_or",
            "bitwise_xor", "bitwise_invert", "bitwise_left_shift", "bitwise_right_shift", "floor",
            "ceil", "trunc", "round", "signbit", "isnan", "isinf", "isfinite", "where", "cast",
            "copysign",
        ),
        1,
    ),
}  # fmt: skip
_BY_KIND: dict[type, int] = {FromIndex: 1, Guarded: 2, Checked: 4, Gather: 4}


def weight(node: Node) -> int:
    """Return the cost of one element of the node, its operands given; views are free."""
    lowering = node.op.lowering
    if isinstance(lowering, Elementwise):
        return _WEIGHTS.get(node.op.name, POLYNOMIAL)
    return _BY_KIND.get(type(lowering), 0)
