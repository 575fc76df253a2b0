"""`after`: an identity that is computed once something else has been.

It costs nothing, and keeps apart what is computed twice on purpose: nodes over `after(x, token)`
are other nodes than those over x, and run when the token is there. Rematerialisation is made of it
(`graphc.frontend.checkpointing`): what the forward pass made is dropped, and computed again when
the cotangent arrives.
"""

from __future__ import annotations

from graphc.node import Node
from graphc.op import Op, View
from graphc.ops.declare import Array
from graphc.ops.pairs import componentwise
from graphc.tensor_type import TensorType


def _rule(x: TensorType, *tokens: TensorType) -> TensorType:
    return x


def _reference(x: Array, *tokens: Array, result: TensorType) -> Array:
    return x


def _derivative(node: Node, cotangent: Node) -> tuple[Node | None, ...]:
    return (cotangent, *(None for _ in node.inputs[1:]))


after = Op(
    name="after",
    operands=("x", "*tokens"),
    type_rule=_rule,
    reference=_reference,
    lowering=View(lambda node, indices: indices),
    derivative=_derivative,
    batch=lambda node, operands: node.op(*operands),
    on_pairs=componentwise,
    summary="x, once the tokens have been computed",
)
