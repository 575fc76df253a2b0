"""Elementwise functions against NumPy: promotion, broadcasting, Python numbers, operators."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc.frontend as gc
from graphc import dtypes
from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError
from graphc.frontend import elementwise
from graphc.op import Op, all_ops, forget
from graphc.ops.declare import UNARY
from graphc.ops.declare import elementwise as declare
from tests.frontend.evaluation import close, run, same, tensor, value

NUMPY_NAMES = {
    "asin": "arcsin", "acos": "arccos", "atan": "arctan", "asinh": "arcsinh", "acosh": "arccosh",
    "atanh": "arctanh", "atan2": "arctan2", "round": "rint", "bitwise_left_shift": "left_shift",
    "bitwise_right_shift": "right_shift", "pow": "power",
}  # fmt: skip
X = np.array([[0.5, -0.25, 0.75], [0.1, 0.9, -0.6]], np.float32)
NUMBERS = [d for d in dtypes.REAL if d is not dtypes.bfloat16]
ARITHMETIC: list[Callable[[Any, Any], Any]] = [operator.add, operator.mul, operator.truediv]


@pytest.mark.parametrize("name", sorted(set(elementwise.__all__) - {"astype", "stop_gradient"}))
def test_every_function_has_numpys_meaning(name: str) -> None:
    if name in ("erf", "sigmoid", "where", "clip"):
        return
    function = getattr(elementwise, name)
    reference = getattr(np, NUMPY_NAMES.get(name, name))
    more = np.array([0.5, 2.0, 1.5], np.float32)
    operands: list[Any] = [X] if getattr(reference, "nin", 1) == 1 else [X, more]
    if name.startswith("bitwise"):
        operands = [np.abs(x * 8).astype(np.int32) for x in operands]
    if name == "acosh":
        operands = [1 + np.abs(X)]
    with np.errstate(all="ignore"):
        close(run(function, *operands), reference(*operands))


@pytest.mark.parametrize("function", ARITHMETIC)
@pytest.mark.parametrize(("a", "b"), list(itertools.product(NUMBERS, NUMBERS)), ids=str)
def test_two_tensors_promote_as_in_numpy(
    function: Callable[[Any, Any], Any], a: dtypes.DType, b: dtypes.DType
) -> None:
    x, y = np.ones(3, a.numpy), np.ones(3, b.numpy)
    same(run(function, x, y), function(x, y))


@pytest.mark.parametrize("number", [True, 2, 2.5])
@pytest.mark.parametrize("dtype", NUMBERS, ids=str)
def test_python_numbers_are_weak(dtype: dtypes.DType, number: Any) -> None:
    x = np.ones(3, dtype.numpy)
    same(run(lambda t: t + number, x), x + number)
    same(run(lambda t: number * t, x), number * x)


def test_python_numbers_alone_take_default_types() -> None:
    assert gc.add(1, 2).dtype is dtypes.int64
    assert gc.add(1, 2.0).dtype is dtypes.float32
    assert gc.add(True, True).dtype is dtypes.bool_


def test_numpy_scalars_are_strong() -> None:
    assert (tensor(3) + np.float64(1)).dtype is dtypes.float64
    assert (np.float64(1) + tensor(3)).dtype is dtypes.float64


def test_bfloat16_promotes_with_the_others() -> None:
    x = tensor(3, dtype="bfloat16")
    assert (x + 1.5).dtype is dtypes.bfloat16
    assert (x + tensor(3, dtype="int8")).dtype is dtypes.bfloat16
    assert (x + tensor(3, dtype="float16")).dtype is dtypes.float32


def test_a_python_integer_that_does_not_fit_is_refused() -> None:
    with pytest.raises(GraphcValueError, match="300 does not fit uint8"):
        tensor(3, dtype="uint8") + 300


@pytest.mark.parametrize("number", [300, -1, 255, 2**40])
def test_comparison_with_an_integer_out_of_range_is_exact(number: int) -> None:
    x = np.array([0, 1, 255], np.uint8)
    same(run(lambda t: t < number, x), x < number)
    same(run(lambda t: t == number, x), x == number)


SHAPES = [((3, 1), (1, 4)), ((), (2, 3)), ((5,), (2, 5)), ((0, 3), (1, 3)), ((1,), (0,))]


@pytest.mark.parametrize(("a", "b"), SHAPES)
def test_operands_broadcast(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    x, y = np.random.default_rng(0).random(a), np.random.default_rng(1).random(b)
    same(run(operator.sub, x, y), x - y)


OPERATORS: list[Callable[[Any, Any], Any]] = [
    operator.add, operator.sub, operator.mul, operator.floordiv, operator.mod, operator.pow,
    operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift, operator.lt,
    operator.le, operator.gt, operator.ge, operator.eq, operator.ne, operator.truediv,
]  # fmt: skip


@pytest.mark.parametrize("function", OPERATORS)
def test_operators_and_reflected_operators(function: Callable[[Any, Any], Any]) -> None:
    x, y = np.array([7, 3, 12]), np.array([2, 5, 1])
    same(run(function, x, y), function(x, y))
    same(run(lambda t: function(t, 2), x), function(x, 2))
    same(run(lambda t: function(9, t), y), function(9, y))
    same(run(lambda t: function(t, y), x), function(x, y))
    same(run(lambda t: function(x, t), y), function(x, y))


def test_unary_operators_and_lists() -> None:
    x = np.array([1.5, -2.5, 0.5], np.float32)
    same(run(operator.neg, x), -x)
    same(run(abs, x), abs(x))
    same(run(operator.pos, x), x)
    same(run(round, x), np.rint(x))
    more = [1, 2, 3]
    same(run(lambda t: t + more, x), x + np.array(more))
    mask = np.array([True, False])
    same(run(operator.invert, mask), ~mask)


def test_in_place_operators_rebind() -> None:
    x = y = tensor(3)
    x += 1
    assert x is not y
    assert y.node.op.name == "input"


@pytest.mark.parametrize("name", ["add", "multiply", "maximum", "minimum", "bitwise_xor"])
def test_bools_have_numpys_meaning(name: str) -> None:
    x, y = np.array([True, True, False]), np.array([True, False, False])
    same(run(getattr(gc, name), x, y), getattr(np, name)(x, y))


def test_bools_have_no_difference() -> None:
    with pytest.raises(GraphcTypeError, match="subtract is not defined for bool"):
        tensor(3, dtype="bool") - tensor(3, dtype="bool")


def test_floats_have_no_bits() -> None:
    with pytest.raises(GraphcTypeError, match="bitwise_and is not defined for float32"):
        tensor(3) & 1


@pytest.mark.parametrize("name", ["floor", "round", "isnan", "isfinite", "isinf", "exp", "sign"])
def test_functions_of_floats_take_integers(name: str) -> None:
    x = np.array([3, -1, 0])
    close(run(getattr(gc, name), x), getattr(np, name)(x), 1e-15)


@pytest.mark.parametrize("exponent", [2, 1, -1, 0, 3, 0.5, 2.0])
def test_powers_by_numbers(exponent: float) -> None:
    x = np.array([0.5, 2.0, -0.0, np.inf, -3.0], np.float64)
    with np.errstate(all="ignore"):
        close(run(lambda t: t**exponent, x), x ** np.float64(exponent), 1e-15)


@pytest.mark.parametrize(
    ("low", "high"), [(0, 300), (-5, 100), (-(10**30), 10**30), (None, 256), (-1, None), (3, 1000)]
)
def test_clip_takes_integers_beyond_the_dtype(low: Any, high: Any) -> None:
    x = np.array([0, 7, 200, 255], np.uint8)
    same(run(lambda t: gc.clip(t, low, high), x), np.clip(x, low, high))
    with pytest.raises(GraphcValueError, match="300 does not fit uint8"):
        gc.clip(tensor(3, dtype="uint8"), 300)


@pytest.mark.parametrize(("exponent", "expected"), [(-1, [0, 1, -1, 0, 0]), (-2, [0, 1, 1, 0, 0])])
def test_negative_powers_of_integers_are_values(exponent: int, expected: list[int]) -> None:
    x = np.array([0, 1, -1, 2, -7], np.int32)
    same(run(lambda t: t**exponent, x), np.array(expected, np.int32))
    same(run(lambda t, y: t**y, x, np.full(5, exponent, np.int32)), np.array(expected, np.int32))
    with pytest.raises(GraphcValueError, match="does not fit uint8"):
        tensor(3, dtype="uint8") ** exponent


def test_where_promotes_and_takes_numbers_as_conditions() -> None:
    x = np.array([0.0, 2.0, np.nan], np.float32)
    same(run(lambda t: gc.where(t, t, 5), x), np.where(x, x, np.float32(5)))
    same(run(lambda t: gc.where(t > 1, [[1], [2]], 0.5), x), np.where(x > 1, [[1], [2]], 0.5))


def test_clip_keeps_nan_and_either_end_may_be_missing() -> None:
    x = np.array([-3.0, 0.5, 9.0, np.nan], np.float32)
    same(run(lambda t: gc.clip(t, 0, 1), x), np.clip(x, 0, 1))
    same(run(lambda t: t.clip(min=0), x), np.clip(x, 0, None))
    same(run(lambda t: t.clip(max=0), x), np.clip(x, None, 0))


def test_astype_of_the_same_type_is_the_node_itself() -> None:
    x = tensor(3)
    assert x.astype("float32").node is x.node
    assert x.astype(int).dtype is dtypes.int64


def test_shapes_that_do_not_broadcast_are_refused() -> None:
    with pytest.raises(ShapeError, match="do not broadcast"):
        tensor(3, 4) + tensor(3)


def test_special_functions() -> None:
    close(value(gc.erf(0.5)), np.float32(0.5204999), 1e-6)
    close(value(gc.sigmoid(0.0)), np.float32(0.5))


@pytest.fixture
def cube() -> Any:
    op: Op = declare(
        "cube", UNARY, lambda x: x * x * x, lambda x: x**3, summary="Return x * x * x."
    )
    yield op
    forget(op)


def test_an_op_declared_later_is_a_function_at_once(cube: Op) -> None:
    assert cube in all_ops()
    assert gc.cube.__doc__ == "Return x * x * x."
    same(run(gc.cube, np.array([2.0, -3.0])), np.array([8.0, -27.0]))
    with pytest.raises(AttributeError):
        _ = gc.no_such_function


@pytest.mark.parametrize("dtype", ["int16", "uint8", "float32"])
def test_divmod_is_the_quotient_and_the_remainder(dtype: str) -> None:
    x = np.array([7, 0, 9], dtype)
    for got, expected in zip(run(lambda t: divmod(t, 2), x), divmod(x, 2), strict=True):
        same(got, expected)
    for got, expected in zip(run(lambda t: divmod(20, t + 1), x), divmod(20, x + 1), strict=True):
        same(got, expected)
    with pytest.raises(TypeError, match="divmod"):
        divmod(tensor(3), {})  # type: ignore[operator]  # the mistake


HUGE: list[Callable[[Any], Any]] = [
    lambda x: x + 10**400, lambda x: x / 10**400, lambda x: -(10**400) - x, lambda x: x < 10**400,
    lambda x: x**10**400, lambda x: gc.where(x > 0, x, 10**5000),
    lambda x: gc.maximum(x, -(10**400)), lambda x: x.astype("int8") < 10**400,
    lambda x: x.astype("int32") + 10**400, lambda x: x.astype("int32") ** -(10**400),
    lambda x: x.astype("int32") / 10**400, lambda x: x.astype("bool") & 10**5000,
]  # fmt: skip


@pytest.mark.parametrize("function", HUGE)
def test_integers_beyond_every_type_are_refused_at_the_line(function: Callable[[Any], Any]) -> None:
    with pytest.raises(GraphcValueError) as caught:
        function(tensor(3))
    assert caught.value.line.startswith(__file__)


def test_integers_that_only_float64_holds() -> None:
    same(run(lambda x: x + 10**300, np.ones(1)), np.array([1e300]))
    same(run(lambda x: x + 10**300, np.ones(1, np.float32)), np.array([np.inf], np.float32))
    same(run(lambda x: x + 2**70, np.zeros(1, np.float32)), np.array([2.0**70], np.float32))
