"""The references: their types over all cases, and the corners that docs/semantics.md promises."""

import math
import warnings

import numpy as np
import pytest

from graphc import dtypes, ops
from graphc.dtypes import DType
from graphc.errors import GraphcIndexError, GraphcTypeError, ShapeError
from graphc.graph import Graph
from graphc.interpreter import interpret
from graphc.node import ArrayData, Node
from graphc.op import Op, all_ops, find
from tests.agreement import assert_agrees, reference, same
from tests.samples import Array, Case, accepted_dtypes, cases
from tests.test_op_matrix import computed_ops

COMPUTED = computed_ops()


@pytest.mark.parametrize("op", COMPUTED, ids=str)
def test_reference_gives_the_type_of_the_type_rule_and_writes_to_no_operand(op: Op) -> None:
    for dtype in accepted_dtypes(op):
        for case in cases(op, dtype):
            before = [a.copy() for a in case.operands]
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                reference(op, case)
            for a, b in zip(before, case.operands, strict=True):
                assert same(a, b).all()


@pytest.mark.parametrize("op", COMPUTED, ids=str)
def test_every_op_has_cases_and_a_summary(op: Op) -> None:
    assert all(list(cases(op, dtype)) for dtype in accepted_dtypes(op))
    assert op.summary
    assert op.operands or op.is_leaf or op.name == "iota"


def test_every_op_is_exported_under_its_name() -> None:
    for op in all_ops():
        assert getattr(ops, op.name, None) is op or getattr(ops, op.name + "_", None) is op
    assert {getattr(ops, name) for name in ops.__all__} == set(all_ops())


def _run(name: str, *operands: Array, **attributes: object) -> Array:
    op = find(name)
    assert op is not None
    return reference(op, Case(operands, attributes))


F32, I8, NAN, INF = np.float32, np.int8, math.nan, math.inf
CORNERS: list[tuple[str, list[object], list[object], type]] = [
    ("maximum", [[-0.0, 0.0, 1.0, NAN], [0.0, -0.0, NAN, 1.0]], [0.0, 0.0, NAN, NAN], F32),
    ("minimum", [[-0.0, 0.0, 1.0, NAN], [0.0, -0.0, NAN, 1.0]], [-0.0, -0.0, NAN, NAN], F32),
    ("floor_divide", [[7, -7, 5, -128, -128], [-2, 2, 0, -1, 0]], [-4, -4, 0, -128, 0], I8),
    ("remainder", [[7, -7, 5, -128, -128], [-2, 2, 0, -1, 0]], [-1, 1, 0, 0, 0], I8),
    ("floor_divide", [[1.0, -1.0, INF, 0.0], [0.0, INF, 2.0, 0.0]], [INF, -1.0, NAN, NAN], F32),
    ("remainder", [[-1.0, 1.0, -0.0, 5.5], [INF, INF, 3.0, -2.0]], [INF, 1.0, 0.0, -0.5], F32),
    ("power", [[2, -1, -1, 0, 1, 3, 0], [-1, -3, -4, -1, -9, 5, 0]], [0, -1, 1, 0, 1, -13, 1], I8),
    ("bitwise_left_shift", [[1, 1, 1, 65], [7, 8, -1, 2]], [-128, 0, 0, 4], I8),
    ("bitwise_right_shift", [[-128, -1, 64, -5], [7, 8, 100, -1]], [-1, -1, 0, -1], I8),
    ("abs", [[-128, -3, 3]], [-128, 3, 3], I8),
    ("negative", [[-128, 5]], [-128, -5], I8),
    ("sign", [[-0.0, 0.0, -2.0, INF, NAN]], [0.0, 0.0, -1.0, 1.0, NAN], F32),
    ("round", [[0.5, 1.5, 2.5, -0.5, -2.5]], [0.0, 2.0, 2.0, -0.0, -2.0], F32),
    ("ceil", [[-0.5, 0.5]], [-0.0, 1.0], F32),
    ("nextafter", [[0.0, 0.0, -0.0], [1.0, -0.0, 0.0]], [1e-45, -0.0, 0.0], F32),
    ("copysign", [[1.0, INF], [-0.0, -NAN]], [-1.0, -INF], F32),
    ("reciprocal", [[0.0, -0.0, INF]], [INF, -INF, 0.0], F32),
    ("sqrt", [[-0.0, -1.0, INF]], [-0.0, NAN, INF], F32),
    ("hypot", [[INF, 3e38], [NAN, 3e38]], [INF, INF], F32),
    ("logaddexp", [[-INF, INF], [-INF, INF]], [-INF, INF], F32),
    ("atan2", [[0.0, 0.0, -0.0], [-0.0, 0.0, -1.0]], [math.pi, 0.0, -math.pi], F32),
]  # fmt: skip


@pytest.mark.parametrize(("name", "operands", "want", "kind"), CORNERS, ids=lambda x: str(x)[:24])
def test_corners(name: str, operands: list[object], want: object, kind: type) -> None:
    got = _run(name, *(np.array(o, kind) for o in operands))
    assert same(got, np.array(want, kind)).all(), got


CASTS: list[tuple[object, type | np.dtype, type | np.dtype, object]] = [
    ([NAN, INF, -INF, 300.0, -1.9, 127.9], F32, I8, [0, 127, -128, 127, -1, 127]),
    ([NAN, -1.0, 3e38], F32, np.uint64, [0, 0, 2**64 - 1]),
    ([2.0**63, -(2.0**63)], np.float64, np.int64, [2**63 - 1, -(2**63)]),
    ([300, -1], np.int32, np.uint8, [44, 255]),
    ([NAN, 0.0, -0.0, 0.1], F32, np.bool_, [True, False, False, True]),
    ([1 + 2.0**-8 + 2.0**-30, 1 + 2.0**-8], np.float64, dtypes.bfloat16.numpy, [1 + 2.0**-7, 1.0]),
    ([2**62 + 2**54 + 1], np.int64, dtypes.bfloat16.numpy, [2.0**62 * (1 + 2.0**-7)]),
    ([1e300, -1e-300], np.float64, F32, [INF, -0.0]),
    ([70000.0, 65519.0], F32, np.float16, [INF, 65504.0]),
]


@pytest.mark.parametrize(("values", "source", "target", "want"), CASTS, ids=lambda x: str(x)[:30])
def test_casts(values: object, source: type, target: type, want: object) -> None:
    got = _run("cast", np.array(values, source), dtype=dtypes.as_dtype(target))
    assert same(got, np.array(want, target)).all(), got


@pytest.mark.parametrize("dtype", dtypes.FLOATS, ids=str)
def test_reductions_of_zeros_nans_and_nothing(dtype: DType) -> None:
    kind = dtype.numpy
    zeros = np.array([[-0.0, -0.0], [0.0, -0.0], [-0.0, 0.0]], kind)
    assert np.signbit(_run("sum", zeros, axes=(1,))).tolist() == [True, False, False]
    assert np.signbit(_run("max", zeros, axes=(1,))).tolist() == [True, False, False]
    assert np.signbit(_run("min", zeros, axes=(1,))).tolist() == [True, True, True]
    nothing = np.zeros((2, 0), kind)
    assert not np.signbit(_run("sum", nothing, axes=(1,))).any()
    assert _run("prod", nothing, axes=(1,)).tolist() == [1, 1]
    nan = np.array([1, NAN, 3], kind)
    for name in ("sum", "prod", "max", "min"):
        assert np.isnan(_run(name, nan, axes=(0,))), name
    assert _run("argmax", nan, axis=0) == 1
    assert _run("argmin", np.array([1, -0.0, 0.0, -0.0], kind), axis=0) == 1


def _n(array: Array) -> Node:
    return ops.constant(value=ArrayData(array))


def _product(array: Array, dtype: DType) -> Node:
    return ops.contraction(_n(array), _n(array), lhs="ij", rhs="ij", out="", dtype=dtype)


X, SCALAR = np.zeros((2, 3), np.float32), np.zeros((), np.float32)
PLACE = np.zeros((), np.int64)
REFUSED = [
    (lambda: ops.add(_n(X), _n(X.T)), ShapeError, "one shape"),
    (lambda: ops.add(_n(X), _n(X.astype(np.int32))), GraphcTypeError, "one dtype"),
    (lambda: ops.sin(_n(X.astype(np.int32))), GraphcTypeError, "floats"),
    (lambda: ops.where(_n(X), _n(X), _n(X)), GraphcTypeError, "condition"),
    (lambda: ops.max_(_n(X[:0]), axes=(0,)), ShapeError, "no elements"),
    (lambda: ops.argmin(_n(X[:0]), axis=0), ShapeError, "no elements"),
    (lambda: ops.sum_(_n(X), axes=(1, 0)), GraphcIndexError, "ascending"),
    (lambda: ops.sum_(_n(X), axes=(2,)), GraphcIndexError, "out of bounds"),
    (lambda: ops.reshape(_n(X), shape=(7,)), ShapeError, "elements"),
    (lambda: ops.broadcast_to(_n(X), shape=(3, 3)), ShapeError, "broadcast"),
    (lambda: ops.permute_dims(_n(X), axes=(0, 0)), GraphcIndexError, "permutation"),
    (lambda: ops.slice_(_n(X), start=(0, 0), stop=(3, 3), step=(1, 1)), IndexError, "axis 0"),
    (lambda: ops.slice_(_n(X), start=(0, 0), stop=(2, 3), step=(1, 0)), GraphcIndexError, "step"),
    (lambda: ops.pad(_n(X), _n(SCALAR), low=(-1, 0), high=(0, 0)), ShapeError, "count"),
    (lambda: ops.concat(_n(X), _n(X.T), axis=0), ShapeError, "axis 0"),
    (lambda: ops.contraction(_n(X), _n(X), lhs="ij", rhs="ij", out="k"), ShapeError, "'k'"),
    (lambda: ops.contraction(_n(X), _n(X), lhs="ij", rhs="ik", out="i"), ShapeError, "extents"),
    (lambda: ops.contraction(_n(X), _n(X), lhs="ij", rhs="kj", out="j"), ShapeError, "'ik'"),
    (lambda: _product(X, dtypes.int32), GraphcTypeError, "float32 cannot give int32"),
    (lambda: _product(X, dtypes.bfloat16), GraphcTypeError, "does not hold all float32"),
    (lambda: _product(X.astype(np.int8), dtypes.float32), GraphcTypeError, "is of another kind"),
    (lambda: _product(X.astype(np.int8), dtypes.float32), GraphcTypeError, "give float32"),
    (lambda: _product(X.astype(np.int8), dtypes.uint16), GraphcTypeError, "give uint16"),
    (lambda: ops.take(_n(X), _n(SCALAR), axis=0, mode="clip"), GraphcTypeError, "int64"),
    (lambda: ops.take(_n(X), _n(PLACE), axis=0, mode="wrap"), GraphcTypeError, "mode"),
    (lambda: ops.take(_n(X[:0]), _n(PLACE), axis=0, mode="clip"), GraphcIndexError, "no"),
]  # fmt: skip


@pytest.mark.parametrize(("build", "error", "words"), REFUSED, ids=lambda x: str(x)[:24])
def test_misuse_is_refused(build: object, error: type[Exception], words: str) -> None:
    assert callable(build)
    with pytest.raises(error, match=words) as caught:
        build()
    assert "test_reference.py" in str(caught.value)


def test_indices_out_of_range_raise_or_are_clipped() -> None:
    data, outside = np.arange(3.0), np.array([-1, 3])
    for name, updates in (("take", ()), ("take_along_axis", ()), ("scatter_add", (np.ones(2),))):
        with pytest.raises(GraphcIndexError, match="index -1 is out of bounds"):
            _run(name, data, outside, *updates, axis=0, mode="raise")
    assert _run("take", data, outside, axis=0, mode="clip").tolist() == [0, 2]
    added = _run("scatter_add", data, outside, np.ones(2), axis=0, mode="clip")
    assert added.tolist() == [1, 1, 3]


def test_repeated_updates_are_added_in_order_and_rounded_each() -> None:
    data, updates = np.array([2048], np.float16), np.array([1, 1, 1], np.float16)
    indices = np.zeros(3, np.int64)
    assert _run("scatter_add", data, indices, updates, axis=0, mode="raise") == 2048


def test_agreement_sees_a_wrong_sum() -> None:
    case = Case((np.linspace(0, 1, 50, dtype=np.float32),), {"axes": (0,)})
    assert_agrees(ops.sum_, case, reference(ops.sum_, case))
    with pytest.raises(AssertionError, match="1 wrong"):
        assert_agrees(ops.sum_, case, reference(ops.sum_, case) * np.float32(1.001))


def test_contractions_give_wider_numbers_than_they_take() -> None:
    small = np.full((2, 100), 100, np.int8)
    node = ops.contraction(_n(small), _n(small), lhs="ik", rhs="jk", out="ij", dtype=dtypes.int32)
    assert node.type.dtype is dtypes.int32
    assert interpret(Graph([], [node]), [])[0][0].tolist() == [[10**6] * 2] * 2
    third = np.full((2, 3), 1 / 3, dtypes.bfloat16.numpy)
    wide = {"lhs": "ik", "rhs": "jk", "out": "ij", "dtype": dtypes.float32}
    node = ops.contraction(_n(third), _n(third), **wide)
    exact = 3 * np.float32(third[0, 0]) ** 2
    assert interpret(Graph([], [node]), [])[0][0].tolist() == [[exact] * 2] * 2
