"""When a result agrees with its op's reference: to the bit, but for rounding where that is allowed.

`assert_agrees` is for every way of computing an op. NaNs agree with each other, whatever their
bits; signs of zeros count. An op is held to the bit if it is in EXACT or gives no floats; any other
elementwise op may be off by `ulps`, and sums and products by the classic bound on their rounding.
"""

from __future__ import annotations

import numpy as np

from graphc import dtypes
from graphc.dtypes import DType, as_dtype
from graphc.op import Op
from graphc.tensor_type import TensorType
from tests.samples import Array, Case

EXACT = frozenset(
    ["add", "subtract", "multiply", "divide", "floor_divide", "remainder", "maximum", "minimum",
     "copysign", "nextafter", "negative", "abs", "sign", "square", "reciprocal", "sqrt", "floor",
     "ceil", "trunc", "round", "where", "cast", "stop_gradient", "complex", "conj", "imag", "real"]
)  # fmt: skip
ULPS = {"float16": 1, "bfloat16": 1, "float32": 1, "float64": 2}
# of ops made of several functions; the reference of gelu errs too
_ULPS_OF = {"sigmoid": ULPS | {"float32": 2}, "gelu": ULPS | {"float32": 2, "float64": 6}}
_ROUNDED_SUMS = (
    "sum",
    "prod",
    "contraction",
    "convolution",
    "cumulative_sum",
    "cumulative_prod",
    "cumulative_logsumexp",
)


def ulps(op: Op, dtype: DType) -> int:
    """Return the bound of an elementwise op that is not exact."""
    return _ULPS_OF.get(op.name, ULPS)[dtype.name]


def reference(op: Op, case: Case) -> Array:
    """Return what the reference of `op` gives, of the type that its type rule says.

    Several results are one row of all their elements, as `as_graph` has them.
    """
    types = [TensorType(a.shape, as_dtype(a.dtype)) for a in case.operands]
    result = op.type_rule(*types, **case.attributes)
    value = op.reference(*case.operands, result=result, **case.attributes)
    if not isinstance(result, tuple):
        return _checked(op, case, np.asarray(value), result)
    pairs = zip(value, result, strict=True)
    return np.concatenate([_checked(op, case, v, t).reshape(-1) for v, t in pairs])


def _checked(op: Op, case: Case, value: Array, type_: TensorType) -> Array:
    assert (value.dtype, value.shape) == (type_.dtype.numpy, type_.shape), (op, str(case))
    return value


def assert_agrees(op: Op, case: Case, got: Array, want: Array | None = None) -> None:
    """Fail, naming the first bad elements, where `got` is no right result of `op` in `case`."""
    want = reference(op, case) if want is None else want
    assert (got.dtype, got.shape) == (want.dtype, want.shape), f"{op} of {case}"
    got, want = as_parts(got), as_parts(want)
    bad = np.atleast_1d(~(same(got, want) | _is_near(op, case, got, want)))
    got, want = np.atleast_1d(got, want)
    if bad.any():
        places = [tuple(map(int, place)) for place in np.argwhere(bad)[:4]]
        lines = [f"at {p}: {got[p]!r}, not {want[p]!r}{_operands_at(case, p)}" for p in places]
        raise AssertionError(f"{op} of {case}: {int(bad.sum())} wrong\n" + "\n".join(lines))


def same(a: Array, b: Array) -> Array:
    """Return where two arrays of one type hold the same bits, or both NaN."""
    if a.dtype.kind == "c":
        return np.asarray(same(as_parts(a), as_parts(b)).all(axis=-1))
    if a.dtype.kind in "biu":
        return np.asarray(a == b)
    bits = np.dtype(f"u{a.dtype.itemsize}")
    equal_bits = np.ascontiguousarray(a).view(bits) == np.ascontiguousarray(b).view(bits)
    with np.errstate(invalid="ignore"):  # ml_dtypes complains of signalling NaNs
        return np.asarray((np.isnan(a) & np.isnan(b)) | equal_bits.reshape(a.shape))


def as_parts(array: Array) -> Array:
    """Return complex numbers as floats along a new last axis; of others, the array itself."""
    if array.dtype.kind != "c":
        return array
    parts = np.stack([array.real, array.imag], axis=-1)
    return np.ascontiguousarray(parts)


def ulps_apart(a: Array, b: Array) -> Array:
    """Return how many floats lie between; both zeros are one; infinite for one NaN."""
    word = np.dtype(f"i{a.dtype.itemsize}")
    places = []
    for x in (a, b):
        bits = np.ascontiguousarray(x).view(word).reshape(x.shape).astype(np.int64)
        places.append(np.where(bits < 0, np.iinfo(word).min - np.minimum(bits, 0), bits))
    with np.errstate(over="ignore"):  # the distance of int64 fits uint64, modulo 2**64
        above, below = np.maximum(*places).astype(np.uint64), np.minimum(*places).astype(np.uint64)
        apart = (above - below).astype(np.float64)
    return np.where(np.isnan(a) | np.isnan(b), np.inf, apart)


def _operands_at(case: Case, place: tuple[int, ...]) -> str:
    shapes = {a.shape for a in case.operands}
    if len(shapes) != 1 or len(place) != len(next(iter(shapes))):
        return ""
    return " for " + ", ".join(repr(a[place]) for a in case.operands)


def _is_near(op: Op, case: Case, got: Array, want: Array) -> Array:
    dtype = as_dtype(want.dtype)
    if not dtype.is_float or op.name in EXACT:
        return np.zeros(want.shape, bool)
    if op.name in _ROUNDED_SUMS:
        return _is_within_sum_bound(op, case, got, want, dtype)
    if not op.is_elementwise:
        return np.zeros(want.shape, bool)
    signs = (np.signbit(got) == np.signbit(want)) | (want != 0)
    near = np.asarray((ulps_apart(got, want) <= ulps(op, dtype)) & signs & np.isfinite(want))
    if op.name == "logaddexp":  # near 0 the error is relative to the operands
        largest = np.fmin(np.fmax(*map(_size, case.operands)), 1e300)
        near |= _absolute(got, want) <= 2 * epsilon(dtype) * largest
    return near


def _size(x: Array) -> Array:
    return np.abs(x.astype(np.complex128 if x.dtype.kind == "c" else np.float64))


def epsilon(dtype: DType) -> float:
    """Return the distance from 1 to the next float."""
    return {"bfloat16": 2.0**-7}.get(dtype.name) or float(np.finfo(dtype.numpy).eps)


def _absolute(got: Array, want: Array) -> Array:
    with np.errstate(all="ignore"):
        return np.abs(got.astype(np.float64) - want.astype(np.float64))


def _is_within_sum_bound(op: Op, case: Case, got: Array, want: Array, dtype: DType) -> Array:
    """Higham, "Accuracy and stability of numerical algorithms" (2002), 3.1: n u times the sizes."""
    magnitudes = Case(tuple(_size(a) for a in case.operands), case.attributes)
    sizes = reference(op, magnitudes).astype(np.float64)
    if as_dtype(case.operands[0].dtype).is_complex:
        sizes = np.stack([sizes] * 2, axis=-1)
    count = max(1, as_parts(case.operands[0]).size)
    unit = epsilon(dtype.compute) * count + epsilon(dtype) * (dtype is not dtype.compute)
    least = float(np.finfo(np.float32).tiny if dtype is not dtypes.float64 else 0)
    with np.errstate(all="ignore"):
        finite = np.isfinite(got.astype(np.float64)) & np.isfinite(want.astype(np.float64))
        return np.asarray(finite & (_absolute(got, want) <= unit * sizes + least * count))
