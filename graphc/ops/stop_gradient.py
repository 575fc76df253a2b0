"""`stop_gradient`: an identity through which no cotangent flows.

Differentiation takes its operand for a constant, so its declared derivative is not that of its
formula, on purpose. Everything else may take it for its operand.
"""

from __future__ import annotations

import numpy as np

from graphc.ops.declare import UNARY, constant_in_steps, elementwise
from graphc.ops.pairs import componentwise
from graphc.ops.type_rules import FIELD

stop_gradient = elementwise(
    "stop_gradient", UNARY, lambda x: x, np.positive,
    kinds=FIELD, pullback=constant_in_steps, native_16_bit=True,
    on_pairs=componentwise,
    summary="x, a constant to differentiation",
)  # fmt: skip
