"""What each op is in PyTorch: functions of an op's operands and then its attributes, in order.

Most ops have one of a name; the others are spelled in the simplest words there are, so that
PyTorch's own differentiation gives what is compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.peers.row import Shape, functional, torch
from tests.samples import Array, Case

# --- by name -------------------------------------------------------------------------------------

NAMES = {
    "equal": "eq", "not_equal": "ne", "less": "lt", "less_equal": "le", "greater": "gt",
    "greater_equal": "ge", "subtract": "sub", "multiply": "mul", "divide": "div",
    "negative": "neg", "power": "pow", "bitwise_invert": "bitwise_not", "sigmoid": "sigmoid",
    "stop_gradient": "detach", "permute_dims": "permute",
} | {
    name: name
    for name in (
        "isnan", "isinf", "isfinite", "signbit", "where", "add", "remainder", "maximum", "minimum",
        "copysign", "abs", "square", "reciprocal", "broadcast_to", "reshape",
        "logical_and", "logical_or", "logical_xor", "logical_not", "bitwise_and", "bitwise_or",
        "bitwise_xor", "sqrt", "exp", "expm1", "log", "log1p", "log2", "log10", "erf", "hypot",
        "logaddexp", "floor", "ceil", "trunc", "round", "nextafter", "sin", "cos", "tan", "asin",
        "acos", "atan", "atan2", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh",
    )
}  # fmt: skip


def _named(name: str) -> Callable[..., Any]:
    return lambda *given: getattr(torch, name)(*given)


def _linear(name: str) -> Callable[..., Any]:
    return lambda *given: getattr(torch.linalg, name)(*given)


# --- views ---------------------------------------------------------------------------------------


def _cast(x: Any, dtype: Any) -> Any:
    return x.to(getattr(torch, dtype.name))


def _may_overflow(case: Case) -> bool:
    """Say whether a cast may leave the range of its dtype; NumPy has no bfloat16 for PyTorch's."""
    dtype, (x,) = case.attributes["dtype"], case.operands
    return dtype.name == "bfloat16" or dtype.kind == "uint" or not _is_usual(x)


def _is_usual(x: Array) -> bool:
    return bool(np.isfinite(x).all() and np.abs(x).max(initial=0) <= 100)


def _slice(x: Any, starts: Shape, stops: Shape, steps: Shape) -> Any:
    for axis, bounds in enumerate(zip(starts, stops, steps, strict=True)):
        x = x.index_select(axis, torch.tensor(range(*bounds), dtype=torch.int64))
    return x


def _padded(x: Any, low: Shape, high: Shape) -> Any:
    """Return x with zeros around it, or with less of it where a number is negative."""
    pairs = [extent for pair in zip(low[::-1], high[::-1], strict=True) for extent in pair]
    return functional.pad(x, pairs) if pairs else x


def _pad(x: Any, value: Any, low: Shape, high: Shape) -> Any:
    inside = _padded(torch.ones_like(x), low, high)
    return torch.where(inside == 1, _padded(x, low, high), value)


def _windows(x: Any, axes: Shape, sizes: Shape, strides: Shape, dilations: Shape) -> Any:
    for axis, size, stride, dilation in zip(axes, sizes, strides, dilations, strict=True):
        count = max(0, (x.shape[axis] - (size - 1) * dilation - 1) // stride + 1)
        places = torch.arange(count)[:, None] * stride + torch.arange(size) * dilation
        x = x.index_select(axis, places.reshape(-1)).unflatten(axis, (count, size))
        x = x.movedim(axis + 1, -1)
    return x


def _place_windows(
    x: Any, value: Any, axes: Shape, extents: Shape, strides: Shape, dilations: Shape
) -> Any:
    """Put each offset's elements at `place * stride + offset * dilation`, axis after axis."""
    rank = x.ndim - len(axes)
    inside = torch.ones_like(x)
    for number, (axis, extent) in enumerate(zip(axes, extents, strict=True)):
        stride, dilation, offsets = strides[number], dilations[number], rank + number
        places = torch.arange(x.shape[axis])[:, None] * stride
        places = places + torch.arange(x.shape[offsets]) * dilation
        shape = [1] * x.ndim
        shape[axis], shape[offsets] = places.shape
        index = places.reshape(shape).broadcast_to(x.shape)
        whole = list(x.shape)
        whole[axis] = extent
        x = torch.zeros(whole, dtype=x.dtype).scatter(axis, index, x)
        inside = torch.zeros(whole, dtype=x.dtype).scatter(axis, index, inside)
    return torch.where(inside == 1, x, value)


# --- contractions --------------------------------------------------------------------------------


def _contraction(a: Any, b: Any, lhs: str, rhs: str, out: str) -> Any:
    return torch.einsum(f"{lhs},{rhs}->{out}", a, b)


def _convolution(x: Any, w: Any, lhs: str, rhs: str, out: str, *geometry: Shape) -> Any:
    """Return windows of the spread and padded x, contracted with w."""
    strides, low, high, dilations, x_dilations = geometry
    digits = sorted(filter(str.isdigit, lhs))
    for digit, step, before, after in zip(digits, x_dilations, low, high, strict=True):
        axis = lhs.index(digit)
        whole = list(x.shape)
        whole[axis] = max(0, (x.shape[axis] - 1) * step + 1)
        apart = torch.zeros(whole, dtype=x.dtype)
        x = apart.index_add(axis, torch.arange(x.shape[axis]) * step, x)
        sides = [(before if n == axis else 0, after if n == axis else 0) for n in range(x.ndim)]
        x = _padded(x, *zip(*sides, strict=True))
    axes = tuple(lhs.index(digit) for digit in digits)
    sizes = tuple(w.shape[rhs.index(digit)] for digit in digits)
    viewed = _windows(x, axes, sizes, strides, dilations)
    places, offsets = str.maketrans("012", "ABC"), str.maketrans("012", "XYZ")
    inner = "".join(digits).translate(offsets)
    equation = f"{lhs.translate(places)}{inner},{rhs.translate(offsets)}->{out.translate(places)}"
    return torch.einsum(equation, viewed, w)


def _crops_all(case: Case) -> bool:
    """Say whether more is taken away at one end than there is, which `pad` refuses."""
    return min(case.attributes["low"], default=0) < -3


def _max_pool(x: Any, *geometry: Shape) -> Any:
    viewed = _windows(x, *geometry)
    return viewed.reshape(*viewed.shape[: x.ndim], math.prod(viewed.shape[x.ndim :])).amax(-1)


# --- reductions ----------------------------------------------------------------------------------


def _reduction(name: str) -> Callable[[Any, Shape], Any]:
    return lambda x, axes: getattr(torch, name)(x, dim=axes) if axes else x.clone()


def _prod(x: Any, axes: Shape) -> Any:
    for axis in reversed(axes):
        x = x.prod(axis)
    return x


def _cumulative(name: str) -> Callable[..., Any]:
    def function(x: Any, axis: int, reverse: bool) -> Any:
        found = getattr(torch, name)(x.flip(axis) if reverse else x, dim=axis)
        values = found if isinstance(found, torch.Tensor) else found.values
        return values.flip(axis) if reverse else values

    return function


def _iota(shape: Shape, axis: int, dtype: Any) -> Any:
    numbers = torch.arange(shape[axis], dtype=getattr(torch, dtype.name))
    return numbers.reshape([-1 if n == axis else 1 for n in range(len(shape))]).broadcast_to(shape)


def _argsort(x: Any, axis: int, descending: bool = False) -> Any:
    return torch.sort(x, dim=axis, descending=descending, stable=True).indices


# --- elements at places --------------------------------------------------------------------------


def _inside(indices: Any, extent: int) -> Any:
    return indices.clamp(0, max(extent - 1, 0))


def _take(data: Any, indices: Any, axis: int, mode: str) -> Any:
    inside = _inside(indices, data.shape[axis]).reshape(-1)
    shape = (*data.shape[:axis], *indices.shape, *data.shape[axis + 1 :])
    return data.index_select(axis, inside).reshape(shape)


def _take_along(data: Any, indices: Any, axis: int, mode: str) -> Any:
    return data.gather(axis, _inside(indices, data.shape[axis]))


def _scatter(name: str, *kind: str) -> Callable[..., Any]:
    """Return the scatter along one axis by a method of PyTorch's tensors."""

    def function(data: Any, indices: Any, updates: Any, axis: int, mode: str) -> Any:
        inside = _inside(indices, data.shape[axis]).reshape(-1)
        shape = (*data.shape[:axis], inside.numel(), *data.shape[axis + 1 :])
        return getattr(data, name)(axis, inside, updates.reshape(shape), *kind)

    return function


def _scatter_along(name: str, *kind: str) -> Callable[..., Any]:
    def function(data: Any, indices: Any, updates: Any, axis: int, mode: str) -> Any:
        return getattr(data, name)(axis, _inside(indices, data.shape[axis]), updates, *kind)

    return function


def _meet(case: Case) -> bool:
    """Say whether two updates meet in one place, where PyTorch does not say which one stays."""
    data, indices = case.operands[:2]
    axis = case.attributes["axis"]
    inside = np.clip(indices, 0, max(data.shape[axis] - 1, 0))
    return np.unique(inside).size < inside.size


def _meet_along(case: Case) -> bool:
    data, indices = case.operands[:2]
    axis = case.attributes["axis"]
    inside = np.sort(np.clip(indices, 0, max(data.shape[axis] - 1, 0)), axis)
    return bool((np.diff(inside, axis=axis) == 0).any())


# --- linear algebra ------------------------------------------------------------------------------


def _from_lower(a: Any) -> Any:
    """Return the symmetric matrices of which the lower triangles are given."""
    return torch.tril(a) + torch.tril(a, -1).mT


def _solve_triangular(a: Any, b: Any, lower: bool, transposed: bool) -> Any:
    matrix, upper = (a.mT, lower) if transposed else (a, not lower)
    return torch.linalg.solve_triangular(matrix, b, upper=upper)


def _cofactors(a: Any) -> Any:
    return torch.linalg.det(a)[..., None, None] * torch.linalg.inv(a).mT


def _reciprocal_gaps(values: Any) -> Any:
    same = torch.eye(values.shape[-1], dtype=torch.bool)
    gaps = values[..., None, :] - values[..., :, None]
    return torch.where(same, 0, 1 / torch.where(same, 1, gaps))


PEERS: dict[str, Callable[..., Any]] = {
    **{op: _named(name) for op, name in NAMES.items()},
    "gelu": lambda x: functional.gelu(x),
    **{name: _linear(name) for name in ("solve", "inv", "det", "slogdet", "qr")},
    **{name: _reduction(name) for name in ("sum", "any", "all")},
    "max": _reduction("amax"),
    "min": _reduction("amin"),
    "prod": _prod,
    "floor_divide": lambda x, y: torch.div(x, y, rounding_mode="floor"),
    "cast": _cast,
    "sign": lambda x: torch.where(torch.isnan(x), x, torch.sign(x)),  # PyTorch's of NaN is 0
    "bitwise_left_shift": lambda x, count: torch.bitwise_left_shift(x, count),
    "bitwise_right_shift": lambda x, count: torch.bitwise_right_shift(x, count),
    "slice": _slice,
    "pad": _pad,
    "concat": lambda *operands: torch.cat(operands[:-1], operands[-1]),
    "contraction": _contraction,
    "windows": _windows,
    "place_windows": _place_windows,
    "convolution": _convolution,
    "max_pool": _max_pool,
    "cumulative_sum": _cumulative("cumsum"),
    "cumulative_prod": _cumulative("cumprod"),
    "cumulative_max": _cumulative("cummax"),
    "cumulative_min": _cumulative("cummin"),
    "cumulative_logsumexp": _cumulative("logcumsumexp"),
    "iota": _iota,
    "argmax": lambda x, axis: torch.argmax(x, axis),
    "argmin": lambda x, axis: torch.argmin(x, axis),
    "argsort": _argsort,
    "take": _take,
    "take_along_axis": _take_along,
    "scatter_set": _scatter("index_copy"),
    "scatter_add": _scatter("index_add"),
    "scatter_max": _scatter("index_reduce", "amax"),
    "scatter_min": _scatter("index_reduce", "amin"),
    "scatter_multiply": _scatter("index_reduce", "prod"),
    "scatter_set_along_axis": _scatter_along("scatter"),
    "scatter_add_along_axis": _scatter_along("scatter_add"),
    "scatter_max_along_axis": _scatter_along("scatter_reduce", "amax"),
    "scatter_min_along_axis": _scatter_along("scatter_reduce", "amin"),
    "scatter_multiply_along_axis": _scatter_along("scatter_reduce", "prod"),
    "solve_triangular": _solve_triangular,
    "cholesky": lambda a: torch.linalg.cholesky(_from_lower(a)),
    "eigh": lambda a: torch.linalg.eigh(_from_lower(a)),
    "svd": lambda a: torch.linalg.svd(a, full_matrices=False),
    "pinv": lambda a, rtol: torch.linalg.pinv(a, rtol=rtol),
    "cofactors": _cofactors,
    "reciprocal_gaps": _reciprocal_gaps,
}
SIGN_FREE = frozenset({"qr", "svd", "eigh"})
LEFT_OUT: dict[str, Callable[[Case], bool]] = {  # what PyTorch leaves undefined, or refuses
    "cast": _may_overflow,
    "convolution": _crops_all,
    "remainder": lambda case: not all(map(_is_usual, case.operands)),  # NaN for large quotients
    "scatter_set": _meet,
    "scatter_set_along_axis": _meet_along,
}
