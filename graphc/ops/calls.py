"""Calls: bodies that are computed in place, and that derivatives treat in a way of their own.

    checkpoint(*operands; body, results)
        body       operands  ->  results, and what derivatives are allowed to keep besides
    custom_vjp(*operands; body, rule)
        body       operands  ->  results; `rule` says how cotangents are pulled back through it

Both are compositions: the first pass puts the body in the place of the node. What sets them apart
is in passes/differentiate_calls.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from graphc.body import Body
from graphc.errors import InternalError
from graphc.node import Node
from graphc.op import Composition, Op
from graphc.ops.declare import Array
from graphc.ops.loops import check_types
from graphc.tensor_type import TensorType

Types = tuple[TensorType, ...]


@runtime_checkable
class PullbackRule(Protocol):
    """How the user pulls cotangents back; compared by identity."""

    @property
    def arguments(self) -> int:
        """The first operands, of which the rule gives cotangents; the others are only read."""

    def pull_back(
        self, operands: Sequence[Node], cotangents: Sequence[Node], needed: Sequence[bool]
    ) -> Sequence[Node | None]:
        """Return a cotangent, or None for none, for each operand; one is given for each result.

        `needed` says of which operands the derivative asks one. Raises GraphcTypeError where that
        is an operand of which the rule knows nothing.
        """


def _expand(node: Node) -> tuple[Node, ...]:
    body: Body = node.attributes["body"]
    return body.apply(*node.inputs)


def _reference(*operands: Array, result: Types, body: Body, **_: Any) -> tuple[Array, ...]:
    return body.run(*operands)


def _checkpoint_rule(*operands: TensorType, body: Body, results: int) -> Types:
    check_types("the operands of checkpoint", operands, body.parameter_types)
    if not 0 <= results <= len(body.outputs):
        raise InternalError(f"checkpoint: {results} results of {len(body.outputs)}")
    return body.result_types


def _custom_rule(*operands: TensorType, body: Body, rule: PullbackRule) -> Types:
    check_types("the operands of custom_vjp", operands, body.parameter_types)
    if not isinstance(rule, PullbackRule):
        raise InternalError(f"custom_vjp: {rule!r} pulls nothing back")
    return body.result_types


checkpoint = Op(
    name="checkpoint",
    operands=("*operands",),
    attributes=("body", "results"),
    type_rule=_checkpoint_rule,
    reference=_reference,
    lowering=Composition(_expand),
    summary="a body whose inner values derivatives compute again",
)
custom_vjp = Op(
    name="custom_vjp",
    operands=("*operands",),
    attributes=("body", "rule"),
    type_rule=_custom_rule,
    reference=_reference,
    lowering=Composition(_expand),
    summary="a body with a derivative of its own",
)
