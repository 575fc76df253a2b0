"""Rewrite a graph by equations. Exact, unless reassociation is allowed.

The law for rules. A rule is one equation, left to right, such that
1. it is exact: both sides have the same bits for every input of every dtype it applies to, NaN,
   infinities, signed zeros and subnormals included (which NaN is not said: all NaNs are one);
   `x * 0 -> 0`, `x - x -> 0` and `x + 0.0 -> x` (wrong for -0.0) are rules for integers only;
2. it is never worse: the right side has fewer computed nodes, or equally many and cheaper ones, and
   reads no more memory;
3. it has one direction: no sequence of rules leads back, so rewriting ends. The canonical form has
   constants on the right of commutative ops, and subtraction rather than addition of a negative.

Rules that hold in real arithmetic only are in REASSOCIATING and run on request. Laws which ops
declare (`Algebra`: identity, absorbing element, idempotence, involution, commutativity) are applied
by one rule each to every op. Rules about views are in `passes/simplify_views.py`, since they
compute shapes.

    rule    ::= pattern '->' pattern ('for' kind+)?      kind ::= a key of KINDS
    pattern ::= NAME          any node; equal names, equal nodes; `k…` matches constants only
              | number        that number or truth value everywhere, the sign of a zero included
              | op '(' pattern,* ')'
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TypeAlias

import numpy as np

from graphc import ops
from graphc.errors import InternalError
from graphc.graph import Graph, rebuild
from graphc.lazy import LazyProperty
from graphc.node import ArrayData, Node, at_line, scalar_value
from graphc.op import Elementwise, find
from graphc.passes.fold_constants import fold_node
from graphc.passes.simplify_views import simplify_view
from graphc.tensor_type import TensorType

EXACT = """
    subtract(x, 0.0) -> x                                       for float integer
    subtract(x, x) -> 0                                         for integer
    multiply(x, 0) -> 0                                         for integer
    divide(x, 1) -> x                                           for float
    multiply(x, -1) -> negative(x)                              for float integer
    divide(x, -1) -> negative(x)                                for float
    multiply(x, x) -> square(x)                                 for float integer
    add(x, negative(y)) -> subtract(x, y)                       for float integer
    add(negative(x), y) -> subtract(y, x)                       for float integer
    subtract(x, negative(y)) -> add(x, y)                       for float integer
    multiply(negative(x), negative(y)) -> multiply(x, y)        for float integer
    divide(negative(x), negative(y)) -> divide(x, y)            for float
    square(negative(x)) -> square(x)                            for float integer
    square(abs(x)) -> square(x)                                 for float integer
    abs(negative(x)) -> abs(x)                                  for float signed
    abs(abs(x)) -> abs(x)                                       for float integer
    abs(square(x)) -> square(x)                                 for float
    maximum(x, maximum(x, y)) -> maximum(x, y)                  for float integer
    minimum(x, minimum(x, y)) -> minimum(x, y)                  for float integer
    add(add(x, k1), k2) -> add(x, add(k1, k2))                  for integer
    multiply(multiply(x, k1), k2) -> multiply(x, multiply(k1, k2))  for integer
    where(True, x, y) -> x                                      for float integer bool
    where(False, x, y) -> y                                     for float integer bool
    where(c, x, x) -> x                                         for float integer bool
    where(logical_not(c), x, y) -> where(c, y, x)               for float integer bool
    logical_not(equal(x, y)) -> not_equal(x, y)                 for bool
    logical_not(not_equal(x, y)) -> equal(x, y)                 for bool
    floor(floor(x)) -> floor(x)                                 for float
    ceil(ceil(x)) -> ceil(x)                                    for float
    trunc(trunc(x)) -> trunc(x)                                 for float
    round(round(x)) -> round(x)                                 for float
    stop_gradient(x) -> x                                       for float
"""

REASSOCIATING = """
    add(add(x, k1), k2) -> add(x, add(k1, k2))                  for float
    multiply(multiply(x, k1), k2) -> multiply(x, multiply(k1, k2))  for float
    divide(x, k1) -> multiply(x, reciprocal(k1))                for float
    add(multiply(x, y), multiply(x, z)) -> multiply(x, add(y, z))   for float
    multiply(exp(x), exp(y)) -> exp(add(x, y))                  for float
    log(exp(x)) -> x                                            for float
"""

KINDS = {
    "float": ("float",),
    "integer": ("int", "uint"),
    "signed": ("int",),
    "bool": ("bool",),
}
_NUMBERS = ("constant", "broadcast_to")  # what `scalar_value` sees a number in
Bindings: TypeAlias = dict[str, Node]


@dataclass(frozen=True)
class Rule:
    """One equation, parsed. `kinds` are the dtype kinds of the node that the left side matches."""

    text: str
    left: ast.Call
    right: ast.expr
    kinds: frozenset[str]

    def apply(self, node: Node) -> Node | None:
        """Return what `node` is rewritten to, or None where the left side does not match."""
        bindings: Bindings = {}
        if not _matches(self.left, node, bindings):
            return None
        with at_line(node.line):
            return _build(self.right, bindings, node.type)

    @LazyProperty
    def _operand_ops(self) -> tuple[tuple[str, ...], ...]:
        """The names of the ops that each operand must be of, of which () is any."""
        return tuple(map(_possible_ops, self.left.args))

    def may_match(self, kind: str, operands: Sequence[str]) -> bool:
        """Return whether the left side may match a node of a kind of dtype over such operands."""
        pairs = zip(self._operand_ops, operands, strict=True)
        return kind in self.kinds and all(not names or name in names for names, name in pairs)


def parse_rule(text: str) -> Rule:
    """Return the rule that one line of a table states."""
    equation, _, kinds = text.partition(" for ")
    left, right = (ast.parse(side.strip(), mode="eval").body for side in equation.split("->"))
    if not isinstance(left, ast.Call):
        raise InternalError(f"the left side of a rule is an op: {text}")
    names = [KINDS[k] for k in kinds.split()]
    return Rule(text.strip(), left, right, frozenset(k for group in names for k in group))


def rules(table: str) -> tuple[Rule, ...]:
    """Return the rules of a table."""
    return tuple(parse_rule(line) for line in table.strip().splitlines())


@lru_cache(maxsize=4096)
def _candidates(
    reassociate: bool, root: str, kind: str, operands: tuple[str, ...]
) -> tuple[Rule, ...]:
    """Return the rules that may match a node, in their order, told by what it looks like."""
    found = _by_root(reassociate).get(root, ())
    return tuple(rule for rule in found if rule.may_match(kind, operands))


@cache
def _by_root(reassociate: bool) -> Mapping[str, tuple[Rule, ...]]:
    found: dict[str, tuple[Rule, ...]] = {}
    for rule in rules(EXACT) + (rules(REASSOCIATING) if reassociate else ()):
        root = _op_name(rule.left)
        found[root] = (*found.get(root, ()), rule)
    return found


def simplify(graph: Graph, *, reassociate: bool = False) -> Graph:
    """Return `graph` with every rule applied wherever it matches, operands before users."""
    return graph.rewrite(lambda n, inputs: simplify_node(rebuild(n, inputs), reassociate))


def simplify_node(node: Node, reassociate: bool = False) -> Node:
    """Return the simplest form of `node`, whose operands are simple already."""
    while True:
        simpler = _step(node, reassociate)
        if simpler is None or simpler is node:
            return node
        node = simpler


def _step(node: Node, reassociate: bool) -> Node | None:
    if node.is_tuple:
        return None
    declared = _apply_algebra(node) or simplify_view(node)
    if declared is not None:
        return declared
    operands = tuple([operand.op.name for operand in node.inputs])
    for rule in _candidates(reassociate, node.op.name, node.type.dtype.kind, operands):
        rewritten = rule.apply(node)
        if rewritten is not None:
            return rewritten
    return None


def _apply_algebra(node: Node) -> Node | None:
    """Apply the laws that the op declares; the first that matches, or None."""
    algebra, inputs = node.op.algebra, node.inputs
    if len(inputs) == 1:
        undone = algebra.involution and inputs[0].op is node.op
        return inputs[0].inputs[0] if undone else None
    if len(inputs) != 2 or not isinstance(node.op.lowering, Elementwise):
        return None
    x, y = inputs
    if x is not y and x.op.name not in _NUMBERS and y.op.name not in _NUMBERS:
        return None
    if algebra.commutative and scalar_value(x) is not None and scalar_value(y) is None:
        return rebuild(node, (y, x))
    if algebra.identity is not None and _is_number(y, algebra.identity) and x.type == node.type:
        return x
    if algebra.absorbing is not None and _is_number(y, algebra.absorbing) and y.type == node.type:
        return y
    return x if algebra.idempotent and x is y and x.type == node.type else None


def _is_number(node: Node, number: float) -> bool:
    value = scalar_value(node)
    if value is None or value != number:
        return False
    return not node.type.dtype.is_float or bool(np.signbit(value) == np.signbit(number))


def _op_name(call: ast.Call) -> str:
    assert isinstance(call.func, ast.Name)
    return call.func.id


def _possible_ops(pattern: ast.expr) -> tuple[str, ...]:
    if isinstance(pattern, ast.Call):
        return (_op_name(pattern),)
    is_any = isinstance(pattern, ast.Name) and not pattern.id.startswith("k")
    return () if is_any else _NUMBERS


def _matches(pattern: ast.expr, node: Node, bindings: Bindings) -> bool:
    if isinstance(pattern, ast.Name):
        if pattern.id.startswith("k") and scalar_value(node) is None:
            return False
        return bindings.setdefault(pattern.id, node) is node
    if isinstance(pattern, ast.Call):
        return node.op.name == _op_name(pattern) and all(
            _matches(p, i, bindings) for p, i in zip(pattern.args, node.inputs, strict=True)
        )
    return _is_number(node, ast.literal_eval(pattern))


def _build(pattern: ast.expr, bindings: Bindings, type_: TensorType) -> Node:
    """Return the node that the right side of a rule describes, simplified and folded."""
    if isinstance(pattern, ast.Name):
        return bindings[pattern.id]
    if isinstance(pattern, ast.Call):
        op = find(_op_name(pattern))
        if op is None:
            raise InternalError(f"a rule names the op {_op_name(pattern)}, which does not exist")
        built = op(*(_build(a, bindings, type_) for a in pattern.args))
        return fold_node(built)
    number = np.asarray(ast.literal_eval(pattern), type_.dtype.numpy)
    return ops.broadcast_to(ops.constant(value=ArrayData(number)), shape=type_.shape)
