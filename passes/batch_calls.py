"""Batching of `checkpoint` and `custom_vjp`: their bodies are batched, and stay what they are.

The derivative of a batched function with a rule of its own is its rule, batched: the rule is asked
about one example, and the graph that it gives is batched. Where an operand is the same for all
examples, its cotangent is the sum of theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphc import ops
from graphc.body import Body
from graphc.capture import new_parameter
from graphc.graph import substitute
from graphc.node import Node
from graphc.op import Op
from graphc.ops.calls import PullbackRule
from graphc.ops.loops import items
from graphc.passes.batch_loops import Batch, Flags, Rule, widened_body
from graphc.tensor_type import TensorType

if TYPE_CHECKING:
    from graphc.passes.batch import Image, Operands


def _checkpoint(node: Node, operands: Operands, batch: Batch) -> list[Image]:
    wide = widened_body(node.attributes["body"], operands.flags, (), operands.size, batch)
    attributes = {**node.attributes, "body": wide.body}
    results = items(node.op(*operands.all_plain(), **attributes))
    return list(zip(results, wide.flags, strict=True))


def _custom_vjp(node: Node, operands: Operands, batch: Batch) -> list[Image]:
    body: Body = node.attributes["body"]
    forced = (True,) * len(body.outputs)
    wide = widened_body(body, operands.flags, forced, operands.size, batch)
    rule = _BatchedRule(node.attributes["rule"], operands.flags, operands.size, batch)
    results = items(node.op(*operands.all_plain(), body=wide.body, rule=rule))
    return [(result, True) for result in results]


@dataclass(frozen=True, eq=False)
class _BatchedRule:
    """A rule for `size` examples, made of the rule for one."""

    rule: PullbackRule
    flags: Flags
    size: int
    batch: Batch

    @property
    def arguments(self) -> int:
        return self.rule.arguments

    def pull_back(
        self, operands: Sequence[Node], cotangents: Sequence[Node], needed: Sequence[bool]
    ) -> Sequence[Node | None]:
        """Return the cotangents of operands with examples where `flags` says so."""
        types = [
            _example(operand) if is_batched else operand.type
            for operand, is_batched in zip(operands, self.flags, strict=True)
        ]
        single = [new_parameter(type_) for type_ in types]
        seeds = [new_parameter(_example(cotangent)) for cotangent in cotangents]
        pulled = self.rule.pull_back(single, seeds, needed)
        pairs = list(zip(single, operands, self.flags, strict=True))
        images = {s: o for s, o, is_batched in pairs if is_batched}
        images |= dict(zip(seeds, cotangents, strict=True))
        asked = [node for node in pulled if node is not None]
        found = self.batch(asked, images, self.size)
        others = {s: o for s, o, is_batched in pairs if not is_batched}
        replaced = substitute([image for image, _ in found], others)
        flags = [is_batched for _, is_batched in found]
        results = iter(zip(replaced, flags, strict=True))
        return [
            None if node is None else self._fitted(*next(results), is_batched)
            for node, is_batched in zip(pulled, self.flags, strict=True)
        ]

    def _fitted(self, cotangent: Node, has_examples: bool, wants_examples: bool) -> Node:
        if not has_examples:
            cotangent = ops.broadcast_to(cotangent, shape=(self.size, *cotangent.shape))
        return cotangent if wants_examples else ops.sum_(cotangent, axes=(0,))


def _example(node: Node) -> TensorType:
    """Return the type of one of the examples along the first axis."""
    return TensorType(node.shape[1:], node.type.dtype)


RULES: Mapping[Op, Rule] = {ops.checkpoint: _checkpoint, ops.custom_vjp: _custom_vjp}
