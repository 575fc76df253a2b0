"""`stop_gradient`: an identity through which no cotangent flows.

Differentiation takes its operand for a constant, so its declared derivative is not that of its
formula, on purpose. Everything else may take it for its operand.
"""

from __future__ import annotations

import numpy as np

from graphc.ops.declare import UNARY, constant_in_steps, elementwise
from graphc.ops.type_rules import FLOAT

stop_gradient = elementwise(
    "stop_gradient", UNARY, lambda x: x, np.positive,
    kinds=FLOAT, pullback=constant_in_steps, native_16_bit=True,
    summary="x, a constant to differentiation",
)  # fmt: skip
