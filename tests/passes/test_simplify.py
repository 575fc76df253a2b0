"""Rules: each one checked over all values of small types, and the shape rules text to text."""

from __future__ import annotations

import ast
import itertools
from typing import Any

import numpy as np
import pytest

from graphc import dtypes, ops
from graphc.dtypes import DType
from graphc.graph import Graph
from graphc.interpreter import evaluate
from graphc.node import ArrayData, Node, fresh_number
from graphc.op import all_ops
from graphc.passes.simplify import (
    EXACT,
    REASSOCIATING,
    Rule,
    parse_rule,
    rules,
    simplify,
    simplify_node,
)
from graphc.tensor_type import TensorType

EXACT_RULES = rules(EXACT)
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 6e-8, -6e-8, 6.1e-5, 1.0, -1.0, 0.5, 3.0, 65504.0]


def new_input(shape: tuple[int, ...], dtype: DType, name: str = "") -> Node:
    return ops.input_(number=fresh_number(), name=name, shape=shape, dtype=dtype)


def number(value: float, type_: TensorType) -> Node:
    wrapped = np.asarray(value).astype(type_.dtype.numpy)  # -1 as a uint8 is 255
    constant = ops.constant(value=ArrayData(wrapped))
    return ops.broadcast_to(constant, shape=type_.shape)


def names_of(rule: Rule) -> list[str]:
    called = {ast.unparse(n.func) for n in ast.walk(rule.left) if isinstance(n, ast.Call)}
    found = [n.id for n in ast.walk(rule.left) if isinstance(n, ast.Name)]
    return sorted({n for n in found if n not in called}, key=lambda n: (n == "c", n))


def build(pattern: ast.expr, named: dict[str, Node], type_: TensorType) -> Node:
    if isinstance(pattern, ast.Name):
        return named[pattern.id]
    if isinstance(pattern, ast.Call):
        op = next(o for o in all_ops() if o.name == ast.unparse(pattern.func))
        return op(*(build(a, named, type_) for a in pattern.args))
    value = ast.literal_eval(pattern)
    is_truth = isinstance(value, bool)
    return number(value, TensorType(type_.shape, dtypes.bool_) if is_truth else type_)


def all_values(dtype: DType) -> np.ndarray[Any, Any]:
    if dtype is dtypes.bool_:
        return np.array([False, True])
    bits = np.arange(2**dtype.bits, dtype=f"uint{dtype.bits}")
    return bits.view(dtype.numpy)


def grid(rule: Rule, dtype: DType) -> dict[str, np.ndarray[Any, Any]]:
    """All values of the first name, against all (8 bits) or all special values of the others."""
    axes = []
    for position, name in enumerate(names_of(rule)):
        own = dtypes.bool_ if name == "c" else dtype
        values = all_values(own)
        if own.bits == 16 and position > 0:
            values = np.array(SPECIAL, own.numpy)
        if own.bits == 8 and position > 1:
            values = values[::17]
        axes.append(values)
    grids = np.meshgrid(*axes, indexing="ij")
    return {n: np.ascontiguousarray(g.ravel()) for n, g in zip(names_of(rule), grids, strict=True)}


def dtypes_of(rule: Rule) -> list[DType]:
    if rule.kinds == {"bool"}:
        return [dtypes.float16, dtypes.int8]
    small = (dtypes.float16, dtypes.bfloat16, dtypes.int8, dtypes.uint8, dtypes.bool_)
    return [d for d in small if d.kind in rule.kinds]


def assert_same_bits(left: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> None:
    assert left.dtype == right.dtype and left.shape == right.shape
    if left.dtype.kind in "fV":
        with np.errstate(invalid="ignore"):
            a, b = left.astype(np.float64), right.astype(np.float64)
        same = ((a == b) & (np.signbit(a) == np.signbit(b))) | (np.isnan(a) & np.isnan(b))
        assert same.all()
    else:
        assert (left == right).all()


def exhaust(rule: Rule, dtype: DType) -> int:
    """Compare both sides of a rule over its grid; return the number of points."""
    values = grid(rule, dtype)
    points = next(iter(values.values())).shape
    named = {n: new_input(points, dtypes.as_dtype(v.dtype), n) for n, v in values.items()}
    type_ = TensorType(points, dtype)
    sides = [build(side, named, type_) for side in (rule.left, rule.right)]
    left, right = evaluate(sides, {named[n]: v for n, v in values.items()})
    assert_same_bits(left, right)
    return int(np.prod(points))


@pytest.mark.parametrize("rule", EXACT_RULES, ids=lambda r: r.text)
def test_rule_is_exact_for_every_value(rule: Rule) -> None:
    assert dtypes_of(rule)
    for dtype in dtypes_of(rule):
        assert exhaust(rule, dtype) >= 256 or dtype is dtypes.bool_


@pytest.mark.parametrize(
    "wrong",
    [
        "add(x, 0.0) -> x for float",
        "multiply(x, 0) -> 0 for float",
        "subtract(x, x) -> 0 for float",
        "negative(subtract(x, y)) -> subtract(y, x) for float",
        "abs(x) -> x for integer",
        "where(True, x, y) -> y for float",
    ],
)
def test_the_check_finds_wrong_rules(wrong: str) -> None:
    rule = parse_rule(wrong)
    with pytest.raises(AssertionError):
        exhaust(rule, dtypes_of(rule)[0])


@pytest.mark.parametrize("rule", EXACT_RULES + rules(REASSOCIATING), ids=lambda r: r.text)
def test_rule_fires(rule: Rule) -> None:
    dtype = dtypes_of(rule)[0]
    type_ = TensorType((3,), dtype)
    named = {}
    for position, name in enumerate(names_of(rule)):
        own = dtypes.bool_ if name == "c" else dtype
        constant = number(2 + position, TensorType((3,), own))
        named[name] = constant if name.startswith("k") else new_input((3,), own, name)
    left = build(rule.left, named, type_)
    rewritten = rule.apply(left)
    assert rewritten is not None and rewritten is not left
    assert rewritten.type == left.type


LAWS = [
    (op, law)
    for op, law in itertools.product(all_ops(), ("identity", "absorbing", "idempotent"))
    if getattr(op.algebra, law) not in (None, False)
]


def law_sides(op: Any, law: str, x: Node) -> tuple[Node, Node]:
    if law == "idempotent":
        return op(x, x), x
    constant = number(getattr(op.algebra, law), x.type)
    return op(x, constant), x if law == "identity" else constant


@pytest.mark.parametrize(("op", "law"), LAWS, ids=str)
def test_declared_laws_are_exact(op: Any, law: str) -> None:
    tried = 0
    for dtype in (dtypes.float16, dtypes.bfloat16, dtypes.int8, dtypes.uint8, dtypes.bool_):
        if dtype.kind not in op.kinds:
            continue
        values = all_values(dtype)
        x = new_input(values.shape, dtype)
        left, right = evaluate(law_sides(op, law, x), {x: values})
        if left.dtype == right.dtype:
            assert_same_bits(left, right)
            tried += 1
    assert tried


@pytest.mark.parametrize("op", [o for o in all_ops() if o.algebra.commutative], ids=str)
def test_commutative_ops_commute(op: Any) -> None:
    dtype = dtypes.float16 if "float" in op.kinds else dtypes.int8
    dtype = dtype if dtype.kind in op.kinds else dtypes.bool_
    values = all_values(dtype)
    others = np.resize(np.array(SPECIAL if dtype.is_float else [0, 1], dtype.numpy), values.shape)
    x, y = (new_input(values.shape, dtype) for _ in range(2))
    assert_same_bits(*evaluate([op(x, y), op(y, x)], {x: values, y: others}))


def simplified(node: Node) -> Node:
    inputs = []
    pending = [node]
    while pending:
        current = pending.pop()
        pending.extend(current.inputs)
        if current.op.name == "input" and current not in inputs:
            inputs.append(current)
    return simplify(Graph(inputs, [node])).outputs[0]


def test_views_of_views_are_one_view() -> None:
    x = new_input((2, 3, 4), dtypes.float32)
    twice = ops.permute_dims(ops.permute_dims(x, axes=(1, 2, 0)), axes=(2, 0, 1))
    assert simplified(twice) is x
    reshaped = ops.reshape(ops.reshape(x, shape=(6, 4)), shape=(24,))
    assert simplified(reshaped) is ops.reshape(x, shape=(24,))
    spread = ops.broadcast_to(ops.broadcast_to(x, shape=(2, 2, 3, 4)), shape=(5, 2, 2, 3, 4))
    assert simplified(spread) is ops.broadcast_to(x, shape=(5, 2, 2, 3, 4))


def test_casts_through_a_wider_type_vanish() -> None:
    x = new_input((3,), dtypes.int16)
    wide = ops.cast(x, dtype=dtypes.float64)
    assert simplified(ops.cast(wide, dtype=dtypes.int16)) is x
    narrow = ops.cast(ops.cast(x, dtype=dtypes.int8), dtype=dtypes.int16)
    assert simplified(narrow) is narrow


def contracted(*operands: Node, dtype: DType | None = None) -> Node:
    return ops.contraction(*operands, lhs="ij", rhs="jk", out="ik", dtype=dtype)


@pytest.mark.parametrize("narrow", [dtypes.int8, dtypes.uint8, dtypes.int16])
def test_contractions_of_widened_integers_widen_them_themselves(narrow: DType) -> None:
    x, y = new_input((3, 5), narrow), new_input((5, 2), narrow)
    wide = contracted(*(ops.cast(n, dtype=dtypes.int32) for n in (x, y)))
    assert simplified(wide) is contracted(x, y, dtype=dtypes.int32)


def test_contractions_keep_casts_that_change_values_or_dtypes_that_differ() -> None:
    x, y, z = (new_input((4, 4), d) for d in (dtypes.int16, dtypes.int16, dtypes.int8))
    narrowed = contracted(*(ops.cast(n, dtype=dtypes.int8) for n in (x, y)), dtype=dtypes.int32)
    assert simplified(narrowed) is narrowed
    unlike = contracted(*(ops.cast(n, dtype=dtypes.int32) for n in (x, z)))
    assert simplified(unlike) is unlike
    of_floats = contracted(*(ops.cast(n, dtype=dtypes.float32) for n in (x, y)))
    assert simplified(of_floats) is of_floats


def test_casts_of_64_bit_integers_through_floats_stay() -> None:
    x = new_input((3,), dtypes.int64)
    through = ops.cast(ops.cast(x, dtype=dtypes.float64), dtype=dtypes.int64)
    assert simplified(through) is through


def test_sum_over_one_element_is_a_reshape() -> None:
    x = new_input((4, 1), dtypes.float32)
    assert simplified(ops.sum_(x, axes=(1,))) is ops.reshape(x, shape=(4,))


def test_constants_move_to_the_right() -> None:
    x = new_input((3,), dtypes.float32)
    two = number(2.0, x.type)
    assert simplified(ops.add(two, x)) is ops.add(x, two)


def test_float_sums_are_reassociated_only_on_request() -> None:
    x = new_input((3,), dtypes.float32)
    one = number(1.0, x.type)
    node = ops.add(ops.add(x, one), number(2.0, x.type))
    graph = Graph([x], [node])
    assert simplify(graph).outputs[0] is node
    assert simplify(graph, reassociate=True).outputs[0] is ops.add(x, number(3.0, x.type))


def test_rules_end_on_a_long_chain() -> None:
    x = node = new_input((3,), dtypes.float32)
    for _ in range(20_000):
        node = ops.negative(node)
    assert simplify(Graph([x], [node])).outputs[0] is x
    assert simplify_node(x) is x
