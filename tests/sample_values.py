"""Cases of ops, and values for them: special ones, random ones, and random bits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import ml_dtypes  # noqa: F401  # registers bfloat16 with NumPy
import numpy as np

from graphc import dtypes
from graphc.dtypes import DType
from graphc.op import Domain

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
Shape: TypeAlias = tuple[int, ...]

SPECIAL_FLOATS = (
    0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, -1.5, 2.0, 2.5, -2.5, 3.0, -3.0, 7.0, 0.1, -0.3, 10.25,
    88.0, -87.5, 127.0, 128.0, 255.0, -129.0, 32768.0, 65504.0, 1e-3, 1e-45, -1e-45, 1e-40,
    2.0**-126, 1e-30, 1e30, -1e30, 3e38, -3e38, 2.0**31, -(2.0**31), 2.0**63, -(2.0**63), 2.0**64,
    np.inf, -np.inf, np.nan, -np.nan,
)  # fmt: skip
SPECIAL_DOUBLES = (5e-324, -5e-324, 1e-310, 1e300, -1e300, 1.7e308, 1 + 2.0**-52, 709.0, -745.0)
SPECIAL_PARTS = (0.0, -0.0, 1.0, -2.5, 1e30, np.inf, -np.inf, np.nan)  # of complex numbers


@dataclass(frozen=True)
class Case:
    """Operands and attributes of one use of an op."""

    operands: tuple[Array, ...]
    attributes: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        given = [f"{a.dtype}{list(a.shape)}" for a in self.operands]
        return ", ".join([*given, *(f"{k}={v}" for k, v in self.attributes.items())])


def values(shape: Shape, dtype: DType, rng: np.random.Generator, domain: Domain) -> Array:
    """Return random values: floats from `domain`, off its kinks; integers and bool of all sizes."""
    if dtype is dtypes.bool_:
        return np.asarray(rng.random(shape) < 0.5)  # an array, of rank 0 too
    if dtype.is_integer:
        whole = random_bits(shape, dtype, rng)
        small = rng.integers(0, 10, shape).astype(dtype.numpy)
        return np.where(rng.random(shape) < 0.5, whole, small)
    if dtype.is_complex:
        both = [values(shape, dtype.real, rng, domain) for _ in range(2)]
        return np.asarray(both[0] + 1j * both[1]).astype(dtype.numpy)
    x = np.asarray(rng.uniform(domain.low, domain.high, shape))
    for kink in domain.smooth_away_from:
        near = np.abs(x - kink) < 0.05
        x = np.where(near, kink + np.where(x < kink, -0.05, 0.05) - 0.01 * (kink - x), x)
    return x.astype(dtype.numpy)


def random_bits(shape: Shape, dtype: DType, rng: np.random.Generator) -> Array:
    octets = rng.integers(0, 256, (*shape, dtype.itemsize), np.uint8)
    return np.asarray(octets.view(dtype.numpy)[..., 0])


def specials(dtype: DType) -> Array:
    """Return the values at which ops of this dtype tend to go wrong."""
    with np.errstate(all="ignore"):
        if dtype.is_float:
            wide = SPECIAL_FLOATS + (SPECIAL_DOUBLES if dtype is dtypes.float64 else ())
            return np.array(wide).astype(dtype.numpy)
        if dtype is dtypes.bool_:
            return np.array([False, True])
        if dtype.is_complex:
            parts = np.array(SPECIAL_PARTS).astype(dtype.real.numpy)
            pairs = np.stack(np.meshgrid(parts, parts), axis=-1).reshape(-1, 2)
            return pairs.view(dtype.numpy)[:, 0]
    limits = np.iinfo(dtype.numpy)
    ends = [limits.min, limits.min + 1, limits.max - 1, limits.max]
    small = [0, 1, 2, 3, 5, 7, 8, 10, 15, 16, 31, 32, 63, 64, 100]
    signed = [-1, -2, -3, -7, -8, -64] if dtype.is_signed else []
    return np.array([*ends, *small, *signed], dtype=dtype.numpy)
