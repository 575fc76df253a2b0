"""Discrete Fourier transforms, under NumPy's names: `graphc.fft.fft` and the others.

Operands may be real or complex, of any rank; float16 and bfloat16 are transformed as float32, and
integers as float64, so that results are complex64 or complex128. `n` and `s` cut the operand or put
zeros behind it; `norm` says where the factor 1/n is. The transforms themselves are NumPy's, called
when the program runs; derivatives of any order are transforms again.

>>> from graphc.frontend import input
>>> rfft(input((3, 8))).type
TensorType(shape=(3, 5), dtype=graphc.complex64)
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, SupportsIndex, TypeAlias

import numpy as np

from graphc.dtypes import DType, DTypeLike, as_dtype, float32, float64
from graphc.errors import GraphcTypeError, GraphcValueError
from graphc.frontend import complex_numbers, shapes
from graphc.frontend.operands import apply, as_node, cast, fail, normalise_axes, normalise_axis
from graphc.frontend.tensor import AxisLike, Tensor, TensorLike
from graphc.node import ArrayData, Node
from graphc.ops.fourier import TRANSPOSED
from graphc.ops.type_rules import PARTS
from graphc.ops.views import cut, padded

__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifft2", "ifftn", "ifftshift",
    "ihfft", "irfft", "irfft2", "irfftn", "rfft", "rfft2", "rfftfreq", "rfftn",
]  # fmt: skip

Extents: TypeAlias = "Sequence[SupportsIndex] | None"
Axes: TypeAlias = "Sequence[SupportsIndex] | None"
_LAST_TWO = (-2, -1)


def fft(
    x: TensorLike, n: SupportsIndex | None = None, axis: SupportsIndex = -1, norm: str | None = None
) -> Tensor:
    """Return the discrete Fourier transform along `axis`, over `n` elements of it.

    >>> from graphc.frontend import input
    >>> fft(input((3, 8), "float64"), n=5).type
    TensorType(shape=(3, 5), dtype=graphc.complex128)
    """
    return _whole("fft", "fft", x, _extents("fft", n), (axis,), norm)


def ifft(
    x: TensorLike, n: SupportsIndex | None = None, axis: SupportsIndex = -1, norm: str | None = None
) -> Tensor:
    """Return the inverse of `fft`."""
    return _whole("ifft", "ifft", x, _extents("ifft", n), (axis,), norm)


def fftn(x: TensorLike, s: Extents = None, axes: Axes = None, norm: str | None = None) -> Tensor:
    """Return the transform over several axes, all of them by default, over `s` elements of each.

    `s` without `axes` is of the last axes; -1 in it is the extent that there is.
    """
    return _whole("fftn", "fft", x, s, axes, norm)


def ifftn(x: TensorLike, s: Extents = None, axes: Axes = None, norm: str | None = None) -> Tensor:
    """Return the inverse of `fftn`."""
    return _whole("ifftn", "ifft", x, s, axes, norm)


def fft2(
    x: TensorLike, s: Extents = None, axes: Axes = _LAST_TWO, norm: str | None = None
) -> Tensor:
    """Return the transform over two axes."""
    return _whole("fft2", "fft", x, s, axes, norm)


def ifft2(
    x: TensorLike, s: Extents = None, axes: Axes = _LAST_TWO, norm: str | None = None
) -> Tensor:
    """Return the inverse of `fft2`."""
    return _whole("ifft2", "ifft", x, s, axes, norm)


# --- real signals --------------------------------------------------------------------------------


def rfft(
    x: TensorLike, n: SupportsIndex | None = None, axis: SupportsIndex = -1, norm: str | None = None
) -> Tensor:
    """Return the first n // 2 + 1 numbers of the transform of real x, which give the others."""
    return _real("rfft", x, _extents("rfft", n), (axis,), norm)


def irfft(
    x: TensorLike, n: SupportsIndex | None = None, axis: SupportsIndex = -1, norm: str | None = None
) -> Tensor:
    """Return the n real numbers of which `rfft` gives x; n is even where it is not given."""
    return _half("irfft", x, _extents("irfft", n), (axis,), norm)


def rfftn(x: TensorLike, s: Extents = None, axes: Axes = None, norm: str | None = None) -> Tensor:
    """Return the transform of real x over several axes, of the last of them the first half."""
    return _real("rfftn", x, s, axes, norm)


def irfftn(x: TensorLike, s: Extents = None, axes: Axes = None, norm: str | None = None) -> Tensor:
    """Return the inverse of `rfftn`; the last extent is even where there is no `s`."""
    return _half("irfftn", x, s, axes, norm)


def rfft2(
    x: TensorLike, s: Extents = None, axes: Axes = _LAST_TWO, norm: str | None = None
) -> Tensor:
    """Return the transform of real x over two axes, of the second the first half."""
    return _real("rfft2", x, s, axes, norm)


def irfft2(
    x: TensorLike, s: Extents = None, axes: Axes = _LAST_TWO, norm: str | None = None
) -> Tensor:
    """Return the inverse of `rfft2`."""
    return _half("irfft2", x, s, axes, norm)


def hfft(
    x: TensorLike, n: SupportsIndex | None = None, axis: SupportsIndex = -1, norm: str | None = None
) -> Tensor:
    """Return the n real numbers that are the transform of a signal whose first half is x."""
    return irfft(complex_numbers.conj(x), n, axis, TRANSPOSED[_checked("hfft", norm)])


def ihfft(
    x: TensorLike, n: SupportsIndex | None = None, axis: SupportsIndex = -1, norm: str | None = None
) -> Tensor:
    """Return the inverse of `hfft`."""
    return complex_numbers.conj(rfft(x, n, axis, TRANSPOSED[_checked("ihfft", norm)]))


# --- frequencies ---------------------------------------------------------------------------------


def fftfreq(n: int, d: float = 1.0, *, dtype: DTypeLike = float32) -> Tensor:
    """Return the frequency of each number of a transform of n samples that are `d` apart."""
    return _constant("fftfreq", np.fft.fftfreq, n, d, dtype)


def rfftfreq(n: int, d: float = 1.0, *, dtype: DTypeLike = float32) -> Tensor:
    """Return the frequency of each number that `rfft` gives of n samples that are `d` apart."""
    return _constant("rfftfreq", np.fft.rfftfreq, n, d, dtype)


def fftshift(x: TensorLike, axes: AxisLike = None) -> Tensor:
    """Return x with frequency 0 in the middle of each axis, by default of all."""
    return _shifted("fftshift", x, axes, 1)


def ifftshift(x: TensorLike, axes: AxisLike = None) -> Tensor:
    """Return the inverse of `fftshift`."""
    return _shifted("ifftshift", x, axes, -1)


def _constant(
    name: str, function: Callable[[int, float], Any], n: int, d: float, dtype: DTypeLike
) -> Tensor:
    wanted = as_dtype(dtype)
    if type(n) is not int or n < 1:
        fail(GraphcValueError, f"{name}: the number of samples is at least 1, not {n!r}")
    if not isinstance(d, int | float | np.integer | np.floating):
        fail(GraphcTypeError, f"{name}: the distance of samples is a number, not {d!r}")
    if d == 0:
        fail(GraphcValueError, f"{name}: samples that are 0 apart have no frequencies")
    if not wanted.is_float:
        fail(GraphcTypeError, f"{name}: frequencies are floats, not {wanted}")
    return Tensor(apply("constant", value=ArrayData(function(n, d).astype(wanted.numpy))))


def _shifted(name: str, x: TensorLike, axes: AxisLike, sign: int) -> Tensor:
    node = as_node(x)
    chosen = normalise_axes(name, axes, len(node.shape), node)
    if not chosen:
        return Tensor(node)
    return shapes.roll(Tensor(node), tuple(sign * (node.shape[a] // 2) for a in chosen), chosen)


# --- what they share -----------------------------------------------------------------------------


def _whole(
    name: str, op: str, x: TensorLike, extents: Extents, axes: Axes, norm: str | None
) -> Tensor:
    node = as_node(x)
    node = cast(node, _computed(node).complex)
    places, counts = _places(name, node, extents, axes)
    return Tensor(_transformed(name, op, node, places, counts, _checked(name, norm)))


def _real(name: str, x: TensorLike, extents: Extents, axes: Axes, norm: str | None) -> Tensor:
    node = as_node(x)
    if node.type.dtype.is_complex:
        fail(GraphcTypeError, f"{name} takes real numbers, not {node.type.dtype}", [node], PARTS)
    node = cast(node, _computed(node))
    places, counts = _places(name, node, extents, axes)
    if not places:
        fail(GraphcValueError, f"{name}: at least one axis is needed", [node])
    mode = _checked(name, norm)
    fitted = _fitted(name, node, places[-1], counts[-1])
    half = apply("rfft", fitted, axis=places[-1], norm=mode)
    return Tensor(_transformed(name, "fft", half, places[:-1], counts[:-1], mode))


def _half(name: str, x: TensorLike, extents: Extents, axes: Axes, norm: str | None) -> Tensor:
    node = as_node(x)
    node = cast(node, _computed(node).complex)
    places, counts = _places(name, node, extents, axes)
    if not places:
        fail(GraphcValueError, f"{name}: at least one axis is needed", [node])
    mode, last = _checked(name, norm), places[-1]
    n = 2 * (node.shape[last] - 1) if extents is None else counts[-1]
    if n < 1:
        fail(GraphcValueError, f"{name}: {n} numbers cannot be transformed", [node])
    node = _transformed(name, "ifft", node, places[:-1], counts[:-1], mode)
    fitted = _fitted(name, node, last, n // 2 + 1)
    return Tensor(apply("irfft", fitted, axis=last, norm=mode, n=n))


def _computed(node: Node) -> DType:
    """Return the dtype of the numbers that are transformed."""
    dtype = node.type.dtype
    return dtype.compute if dtype.is_inexact else float64


def _checked(name: str, norm: Any) -> str:
    if norm is None:
        return "backward"
    if not isinstance(norm, str) or norm not in TRANSPOSED:
        fail(GraphcValueError, f"{name}: norm is {norm!r}, not one of {', '.join(TRANSPOSED)}")
    return norm


def _places(
    name: str, node: Node, extents: Extents, axes: Axes
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the axes, in the caller's order, and how many elements of each are transformed."""
    rank = len(node.shape)
    given: tuple[Any, ...] = (extents, axes)
    if any(isinstance(each, SupportsIndex) for each in given):
        fail(GraphcTypeError, f"{name}: s and axes are sequences of integers", [node])
    if axes is None:
        axes = range(rank) if extents is None else range(-len(extents), 0)
    places = tuple(normalise_axis(name, axis, rank, node) for axis in axes)
    wanted = (-1,) * len(places) if extents is None else _integers(name, extents, node)
    if len(wanted) != len(places):
        fail(GraphcValueError, f"{name}: {len(wanted)} extents for {len(places)} axes", [node])
    counts = tuple(
        node.shape[place] if count == -1 else count
        for place, count in zip(places, wanted, strict=True)
    )
    return places, counts


def _extents(name: str, n: SupportsIndex | None) -> Extents:
    """Return `n` as one of `s`, in which -1 would be the extent that there is."""
    if isinstance(n, SupportsIndex) and operator.index(n) == -1:
        fail(GraphcValueError, f"{name}: -1 numbers cannot be transformed")
    return None if n is None else (n,)


def _integers(name: str, extents: Sequence[SupportsIndex], node: Node) -> tuple[int, ...]:
    try:
        return tuple(map(operator.index, extents))
    except TypeError:
        fail(GraphcTypeError, f"{name}: the number of elements is an integer", [node])


def _transformed(
    name: str, op: str, node: Node, places: Sequence[int], counts: Sequence[int], norm: str
) -> Node:
    """Return a transform over axes: all of them at once, unless one is named twice."""
    if len(set(places)) != len(places):
        for place, count in reversed([*zip(places, counts, strict=True)]):
            node = apply(op, _fitted(name, node, place, count), axes=(place,), norm=norm)
        return node
    for place, count in zip(places, counts, strict=True):
        node = _fitted(name, node, place, count)
    return apply(op, node, axes=tuple(sorted(places)), norm=norm) if places else node


def _fitted(name: str, node: Node, axis: int, count: int) -> Node:
    """Return a node with `count` elements along an axis: cut, or with zeros behind it."""
    if count < 1:
        fail(GraphcValueError, f"{name}: {count} numbers cannot be transformed", [node])
    have, shape = node.shape[axis], node.shape
    if have >= count:
        return cut(node, (0,) * len(shape), (*shape[:axis], count, *shape[axis + 1 :]))
    high = tuple(count - have if a == axis else 0 for a in range(len(shape)))
    return padded(node, (0,) * len(shape), high)
