"""Reverse-mode derivatives of `checkpoint` and `custom_vjp`.

*checkpoint*. The body is computed again, on operands that are there only `after` the cotangents
have arrived: other nodes than the forward ones, which so are dropped when the forward pass has read
them. What the body gives besides its results is kept from the forward pass and not computed again.

*custom_vjp*. The user's rule is asked.

`differentiate(outputs, cotangents, wrt)` is that of a graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from graphc import ops
from graphc.arithmetic import zeros_like
from graphc.body import Body
from graphc.graph import substitute
from graphc.node import Node
from graphc.op import Op
from graphc.ops.loops import items

Differentiate: TypeAlias = Callable[
    [Sequence[Node], Sequence[Node], Sequence[Node]], Sequence[Node]
]
Cotangents: TypeAlias = Sequence[Node | None]


def _checkpoint(
    node: Node, cotangents: Cotangents, needed: Sequence[bool], differentiate: Differentiate
) -> Cotangents:
    body: Body = node.attributes["body"]
    tokens = [cotangent for cotangent in cotangents if cotangent is not None]
    again = [ops.after(operand, *tokens) for operand in node.inputs]
    outputs = body.apply(*again)
    pairs = [(o, c) for o, c in zip(outputs, cotangents, strict=True) if c is not None]
    wrt = [operand for operand, is_needed in zip(again, needed, strict=True) if is_needed]
    pulled = differentiate([o for o, _ in pairs], [c for _, c in pairs], wrt)
    results = node.attributes["results"]
    # later than the cotangents too: what is computed of them again is not kept with them
    later = [ops.after(value, *tokens) for value in items(node)[results:]]
    kept = dict(zip(outputs[results:], later, strict=True))
    found = iter(substitute(pulled, kept))
    return [next(found) if is_needed else None for is_needed in needed]


def _custom_vjp(
    node: Node, cotangents: Cotangents, needed: Sequence[bool], differentiate: Differentiate
) -> Cotangents:
    given = [
        zeros_like(result) if cotangent is None else cotangent
        for result, cotangent in zip(items(node), cotangents, strict=True)
    ]
    found: Cotangents = node.attributes["rule"].pull_back(node.inputs, given, needed)
    return found


RULES: Mapping[Op, Callable[..., Cotangents]] = {
    ops.checkpoint: _checkpoint,
    ops.custom_vjp: _custom_vjp,
}
