"""Each primitive against an independent spelling: exact rationals, Python integers, struct."""

import ctypes
import ctypes.util
import warnings
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from graphc import dtypes, scalar
from graphc.dtypes import DType
from graphc.errors import InternalError
from graphc.scalar import Scalar
from graphc.scalar_interpreter import apply, evaluate

SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, -2.5, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 3e38]
INTEGERS = [d for d in dtypes.REAL if d.is_integer]


def _array(values: object, dtype: DType) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.asarray(values, dtype=dtype.numpy)


def _same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    nan = np.isnan(a) & np.isnan(b)
    word = np.dtype(f"u{a.dtype.itemsize}")
    return a.dtype == b.dtype and bool(np.all(nan | (a.view(word) == b.view(word))))


def test_every_primitive_has_a_row() -> None:
    from graphc import scalar_interpreter

    assert set(scalar_interpreter._ROWS) == set(scalar.PRIMITIVES)


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_integers_wrap(dtype: DType) -> None:
    limits = np.iinfo(dtype.numpy)
    values = [limits.min, limits.min + 1, 0, 1, 2, 3, 7, limits.max - 1, limits.max]
    a = _array([x for x in values for _ in values], dtype)
    b = _array(values * len(values), dtype)
    exact: dict[str, Callable[[int, int], int]] = {
        "add": lambda x, y: x + y, "sub": lambda x, y: x - y, "mul": lambda x, y: x * y,
        "and": lambda x, y: x & y, "or": lambda x, y: x | y, "xor": lambda x, y: x ^ y,
    }  # fmt: skip
    for name, function in exact.items():
        want = [
            (function(int(x), int(y)) - limits.min) % 2**dtype.bits + limits.min
            for x, y in zip(a, b, strict=True)
        ]
        assert apply(name, [a, b], dtype).tolist() == want, name


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_division_truncates(dtype: DType) -> None:
    values = [v for v in (-128, -7, -6, -1, 1, 2, 3, 7, 127) if v > 0 or dtype.is_signed]
    pairs = [(x, y) for x in values for y in values if (x, y) != (-128, -1)]
    a, b = (_array([p[i] for p in pairs], dtype) for i in (0, 1))
    quotients = [abs(x) // abs(y) * (1 if x * y > 0 else -1) for x, y in pairs]
    assert apply("quotient", [a, b], dtype).tolist() == quotients
    remainders = [x - q * y for (x, y), q in zip(pairs, quotients, strict=True)]
    assert apply("modulus", [a, b], dtype).tolist() == remainders


def test_shifts_follow_the_signedness() -> None:
    rows = [
        ("shr", dtypes.int32, -8, 1, -4),
        ("shr", dtypes.uint32, 2**32 - 8, 1, 2**31 - 4),
        ("shl", dtypes.int8, 65, 2, 4),
    ]
    for name, dtype, value, count, want in rows:
        assert apply(name, [_array(value, dtype), _array(count, dtype)], dtype) == want


@pytest.mark.parametrize("dtype", [dtypes.float32, dtypes.float64], ids=str)
def test_signs_of_zero_and_nan(dtype: DType) -> None:
    minus = _array([-0.0, -0.3, -0.5], dtype)
    for name in ("ceil", "trunc", "rint"):
        assert np.signbit(apply(name, [minus], dtype)).all(), name
    assert np.signbit(apply("floor", [minus[:1]], dtype)).all()
    assert apply("rint", [_array([0.5, 1.5, 2.5], dtype)], dtype).tolist() == [0, 2, 2]
    nan = _array([np.nan, -np.nan, 0.0, -0.0, np.inf], dtype)
    assert (np.signbit(apply("neg", [nan], dtype)) != np.signbit(nan)).all()
    assert not np.signbit(apply("abs", [nan], dtype)).any()
    signed = apply("copysign", [nan, _array([-1.0] * 5, dtype)], dtype)
    assert np.signbit(signed).all()


def test_comparisons_with_nan() -> None:
    a, b = np.array([1.0, np.nan, 2.0]), np.array([np.nan, np.nan, 2.0])
    table = {"eq": [0, 0, 1], "ne": [1, 1, 0], "lt": [0, 0, 0], "le": [0, 0, 1]}
    for name, want in table.items():
        assert apply(name, [a, b], dtypes.bool_).tolist() == want


def _fma_cases(dtype: DType, count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    word = np.dtype(f"u{dtype.itemsize}")
    anything = [
        rng.integers(0, 2**dtype.bits, count, word, endpoint=False).view(dtype.numpy)
        for _ in range(3)
    ]
    a, b = (rng.standard_normal(count).astype(dtype.numpy) for _ in range(2))
    with np.errstate(all="ignore"):
        cancel = (-a * b).astype(dtype.numpy)
        tiny = np.finfo(dtype.numpy).tiny
        under = [a * tiny, b, (-a * b * tiny).astype(dtype.numpy)]
        half_way = [np.ones(count, dtype.numpy) * (1 + np.finfo(dtype.numpy).eps), b, b * 2.0**-24]
    grid = [_array(g.ravel(), dtype) for g in np.meshgrid(SPECIAL, SPECIAL, SPECIAL)]
    sets = [anything, [a, b, cancel], under, half_way, grid]
    return [np.concatenate([s[i] for s in sets]).astype(dtype.numpy) for i in range(3)]


def test_fma32_rounds_once() -> None:
    a, b, c = _fma_cases(dtypes.float32, 2000)
    got = apply("fma", [a, b, c], dtypes.float32)
    for x, y, z, result in zip(a, b, c, got, strict=True):
        if not np.isfinite([x, y, z, result]).all():
            continue
        exact = Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z))
        below, above = (
            np.nextafter(result, np.float32(-np.inf)),
            np.nextafter(result, np.float32(np.inf)),
        )
        error = abs(exact - Fraction(float(result)))
        for other in (below, above):
            if np.isfinite(other):
                assert error <= abs(exact - Fraction(float(other))), (x, y, z)


@pytest.mark.parametrize("dtype", [dtypes.float32, dtypes.float64], ids=str)
def test_fma_is_that_of_the_c_library(dtype: DType) -> None:
    name = ctypes.util.find_library("m")
    if name is None:
        pytest.skip("no C mathematics library by that name on this platform")
    kind = ctypes.c_float if dtype is dtypes.float32 else ctypes.c_double
    function = getattr(ctypes.CDLL(name), "fmaf" if dtype is dtypes.float32 else "fma")
    function.argtypes, function.restype = [kind] * 3, kind
    a, b, c = _fma_cases(dtype, 2000)
    want = _array(
        [function(*t) for t in zip(a.tolist(), b.tolist(), c.tolist(), strict=True)], dtype
    )
    assert _same_bits(apply("fma", [a, b, c], dtype), want)


def _nearest_bfloat16(value: Fraction) -> int:
    """Return the bits of the bfloat16 nearest to a positive finite value, by bisection."""
    low, high = 0, 0x7F80
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _bfloat16_value(middle) <= value else (low, middle)
    below, above = value - _bfloat16_value(low), _bfloat16_value(high) - value
    return low if below < above or (below == above and low % 2 == 0) else high


def _bfloat16_value(bits: int) -> Fraction:
    if bits == 0x7F80:
        return Fraction(2) ** 128
    return Fraction(float(np.array(bits << 16, np.uint32).view(np.float32)))


@pytest.mark.parametrize(
    "source", [dtypes.float64, dtypes.int64, dtypes.uint64, dtypes.int32], ids=str
)
def test_bfloat16_is_rounded_once(source: DType) -> None:
    rng = np.random.default_rng(2)
    if source is dtypes.float64:
        halves = (rng.integers(0, 0x7F7F, 300).astype(np.uint32) << 16 | 0x8000).view(np.float32)
        tie = halves.astype(np.float64)
        values = np.concatenate([tie, np.nextafter(tie, 0), np.nextafter(tie, np.inf)])
        values = np.append(values, [5e-324, 1e300, float(np.finfo(np.float32).max)])
    else:
        bits = rng.integers(1, 2 ** (source.bits - 1), 300, np.uint64)
        base = bits >> rng.integers(0, source.bits - 1, 300).astype(np.uint64)
        exponents = [2**e for e in range(9, source.bits - 1)]
        ties = [e + e // 256 + d for e in exponents for d in (-1, 0, 1)]
        values = np.concatenate([base, np.array(ties, np.uint64)]).astype(source.numpy)
    want = [_nearest_bfloat16(Fraction(v.item())) for v in values]
    got = apply("convert", [values], dtypes.bfloat16)
    assert got.view(np.uint16).tolist() == want
    if source.is_signed:
        negative = apply("convert", [-values], dtypes.bfloat16).view(np.uint16)
        zero = np.array(want) == 0
        assert (
            np.where(zero & (source.kind == "int"), 0, np.array(want) | 0x8000) == negative
        ).all()


def test_float64_to_float16_is_rounded_once() -> None:
    tie = 1 + 2.0**-11
    values = np.array([tie, np.nextafter(tie, 2), np.nextafter(tie, 0), 65519.999999, 65520.0])
    got = apply("convert", [values], dtypes.float16)
    assert got.tolist() == [1.0, 1 + 2.0**-10, 1.0, 65504.0, np.inf]


@pytest.mark.parametrize("source", dtypes.FLOATS, ids=str)
@pytest.mark.parametrize("target", INTEGERS, ids=str)
def test_floats_saturate_into_integers(source: DType, target: DType) -> None:
    limits = np.iinfo(target.numpy)
    near = [2.0**e * s for e in (7, 8, 15, 16, 31, 32, 63, 64) for s in (1, -1, 0.999, -0.999)]
    values = _array([*near, 0.9, -0.9, 1.5, -1.5, np.inf, -np.inf, np.nan, -0.0], source)
    want = []
    for value in values.astype(np.float64).tolist():
        if np.isnan(value):
            want.append(0)
        elif abs(value) == np.inf:
            want.append(limits.max if value > 0 else limits.min)
        else:
            want.append(min(max(int(value), limits.min), limits.max))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert apply("convert", [values], target).tolist() == want


@pytest.mark.parametrize("source", INTEGERS, ids=str)
@pytest.mark.parametrize("target", INTEGERS, ids=str)
def test_integers_wrap_into_integers(source: DType, target: DType) -> None:
    limits, other = np.iinfo(target.numpy), np.iinfo(source.numpy)
    values = _array([other.min, 0, 1, 100, other.max - 1, other.max], source)
    want = [(int(v) - limits.min) % 2**target.bits + limits.min for v in values]
    assert apply("convert", [values], target).tolist() == want


@pytest.mark.parametrize("dtype", dtypes.REAL, ids=str)
def test_bool_to_and_from(dtype: DType) -> None:
    assert apply("convert", [np.array([False, True])], dtype).tolist() == [0, 1]
    assert apply("convert", [_array([0, 1, 2], dtype)], dtypes.bool_).tolist() == [0, 1, 1]
    if dtype.is_float:
        values = _array([np.nan, -0.0, np.inf], dtype)
        assert apply("convert", [values], dtypes.bool_).tolist() == [1, 0, 1]


def test_bitcast_literal_lookup_select() -> None:
    assert apply("bitcast", [np.array(1.0, np.float32)], dtypes.int32) == 0x3F800000
    assert apply("literal", [], dtypes.uint64, 2**64 - 1) == 2**64 - 1
    table = apply("lookup", [np.array([2, 0])], dtypes.float32, (1.5, 2.5, 3.5))
    assert table.tolist() == [3.5, 1.5] and table.dtype == np.float32
    halves = [_array([1.0, 2.0], dtypes.bfloat16), _array([3.0, 4.0], dtypes.bfloat16)]
    chosen = apply("select", [np.array([True, False]), *halves], dtypes.bfloat16)
    assert chosen.astype(np.float32).tolist() == [1.0, 4.0] and chosen.dtype == halves[0].dtype


def test_an_index_is_taken_modulo_a_power_of_two() -> None:
    places = np.array([-1, 4, 7, 2**31 - 1], np.int32)
    got = apply("lookup", [places], dtypes.int32, (10, 11, 12, 13))
    assert got.tolist() == [13, 10, 13, 13]
    got = apply("lookup", [places.view(np.uint32)], dtypes.int32, (10, 11, 12, 13))
    assert got.tolist() == [13, 10, 13, 13]


def test_rarely_is_the_formula_where_the_condition_holds() -> None:
    def root(x: Scalar, y: Scalar) -> Scalar:
        return scalar.sqrt(x) + y

    def outer(x: Scalar, y: Scalar) -> Scalar:
        return scalar.rarely(x > 4.0, root, -x, x, y)

    program = scalar.trace("outer", outer, [dtypes.float32] * 2)
    x = _array([1.0, 9.0, np.nan, -1.0], dtypes.float32)
    got = evaluate(program, x, _array(2.0, dtypes.float32))
    assert _same_bits(got, _array([-1.0, 5.0, np.nan, 1.0], dtypes.float32))
    with pytest.raises(InternalError, match="rarely"):
        scalar.trace("wrong", lambda x, y: scalar.rarely(x, root, x, x, y), [dtypes.float32] * 2)


def test_evaluate_broadcasts_and_calls() -> None:
    def square(x: Scalar) -> Scalar:
        return x * x

    def distance(x: Scalar, y: Scalar) -> Scalar:
        return scalar.sqrt(scalar.call("square", x) + scalar.call("square", y))

    program = scalar.trace("distance", distance, [dtypes.float32] * 2)
    x, y = _array([[3.0], [5.0]], dtypes.float32), _array([4.0, 12.0], dtypes.float32)
    result = evaluate(program, x, y, resolve=lambda n, d, _: scalar.trace(n, square, d))
    want = np.sqrt(x * x + y * y)
    assert result.dtype == np.float32 and result.shape == (2, 2)
    assert np.array_equal(result, want)
    with pytest.raises(InternalError):
        evaluate(program, x, y)


def test_evaluate_of_a_constant_has_the_shape_of_its_argument() -> None:
    program = scalar.trace("one", lambda x: x.literal(1), [dtypes.int32])
    assert evaluate(program, np.zeros((2, 3), np.int32)).shape == (2, 3)
    assert evaluate(program, np.zeros((0, 3), np.int32)).shape == (0, 3)
    with pytest.raises(InternalError):
        evaluate(program, np.zeros(3, np.int64))


def test_evaluate_returns_a_parameter_as_a_fresh_array() -> None:
    program = scalar.trace("same", lambda x: x, [dtypes.float64])
    given = np.arange(3.0)
    result = evaluate(program, given)
    assert np.array_equal(result, given) and result is not given and result.flags.writeable


def test_unknown_names_are_refused() -> None:
    with pytest.raises(InternalError):
        apply("tangent", [np.ones(2)], dtypes.float64)


def test_words_of_small_numbers() -> None:
    low, high = (_array([v], dtypes.bfloat16) for v in (3.0, -0.5))
    word = apply("pair", [low, high], dtypes.uint32)
    assert word.tolist() == [0xBF004040]
    total = apply("dot_bfloat16", [word, word, _array([1.0], dtypes.float32)], dtypes.float32)
    assert total.tolist() == [9.0 + (0.25 + 1.0)]
    # the second product goes first: 2**24 + 1 - 2**24 is 0 in this order, and 1 in the other
    one = apply("pair", [_array([1.0], dtypes.bfloat16)] * 2, dtypes.uint32)
    pair = apply("pair", [_array([v], dtypes.bfloat16) for v in (-(2.0**24), 1.0)], dtypes.uint32)
    total = apply("dot_bfloat16", [one, pair, _array([2.0**24], dtypes.float32)], dtypes.float32)
    assert total.tolist() == [0.0]
    quad = _array([0xFF028001], dtypes.uint32)  # -1, 2, -128, 1 or 255, 2, 128, 1
    zero = _array([-1], dtypes.int32)
    assert apply("dot_int8", [quad, quad, zero], dtypes.int32) == 1 + 4 + 128**2 + 1 - 1
    assert apply("dot_uint8", [quad, quad, zero], dtypes.int32) == 255**2 + 4 + 128**2 + 1 - 1
