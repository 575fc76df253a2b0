"""NumPy's own functions on tensors: `np.add(array, tensor)` and `np.sum(tensor)` build nodes.

NumPy hands a call with a tensor among its operands to the tensor (NEP 13 for ufuncs, NEP 18 for
other functions); here it is handed on to the function of graphc with the same meaning, and what has
none raises GraphcTypeError: `out=`, `where=`, functions that graphc lacks and keywords that a
function does not take. Where NumPy computes in floats, small integers become float64, not float16.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, NoReturn

import numpy as np

from graphc.dtypes import float64
from graphc.errors import GraphcTypeError
from graphc.frontend import (
    complex_numbers,
    constructors,
    contractions,
    elementwise,
    fft,
    indexing,
    linalg,
    padding,
    reductions,
    shapes,
    sorting,
)
from graphc.frontend.operands import as_node, fail
from graphc.frontend.tensor import Tensor

# Where NumPy's name of a ufunc differs from the array API's.
_UFUNC_NAMES = {
    "true_divide": "divide",
    "absolute": "abs",
    "power": "pow",
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arctan2": "atan2",
    "arcsinh": "asinh",
    "arccosh": "acosh",
    "arctanh": "atanh",
    "mod": "remainder",
    "fmod": "",
    "invert": "bitwise_invert",
    "left_shift": "bitwise_left_shift",
    "right_shift": "bitwise_right_shift",
    "conjugate": "conj",
}
_REDUCTIONS = {
    "add": "sum",
    "multiply": "prod",
    "maximum": "max",
    "minimum": "min",
    "logical_and": "all",
    "logical_or": "any",
    "logaddexp": "logsumexp",
}
_FUNCTION_NAMES = {
    "amax": "max", "amin": "min", "absolute": "abs", "around": "round", "concatenate": "concat",
    "vsplit": "", "hsplit": "",
}  # fmt: skip
_MODULES = (
    shapes, padding, reductions, indexing, contractions, elementwise, constructors, complex_numbers,
    sorting,
)  # fmt: skip


def call_ufunc(
    ufunc: np.ufunc, method: str, inputs: Sequence[Any], options: Mapping[str, Any]
) -> Any:
    """Return what a ufunc gives for tensors."""
    if method == "reduce" and ufunc.__name__ in _REDUCTIONS:
        return _reduce(ufunc, inputs, options)
    name = _UFUNC_NAMES.get(ufunc.__name__, ufunc.__name__)
    function = _UFUNCS.get(name) or _find(name)
    if method != "__call__" or function is None:
        suffix = "" if method == "__call__" else f".{method}"
        _refuse(f"numpy.{ufunc.__name__}{suffix} does not take tensors", inputs)
    return _call(function, f"numpy.{ufunc.__name__}", inputs, options)


def _reduce(ufunc: np.ufunc, inputs: Sequence[Any], options: Mapping[str, Any]) -> Any:
    name = f"numpy.{ufunc.__name__}.reduce"
    function = _find(_REDUCTIONS[ufunc.__name__])
    if function is None or len(inputs) != 1:
        _refuse(f"{name} takes a tensor and keywords", inputs)
    return _call(function, name, inputs, {"axis": 0, **options})


def call_function(
    function: Callable[..., Any], arguments: Sequence[Any], options: Mapping[str, Any]
) -> Any:
    """Return what a function of NumPy gives for tensors."""
    name, home = function.__name__, function.__module__ or ""
    if home in _NAMESPACES:
        namespace, special = _NAMESPACES[home]
        found = special.get(name) or _public(namespace, name)
    else:
        found = _SPECIAL.get(name) or _find(_FUNCTION_NAMES.get(name, name))
        home = "numpy"
    if found is None or (function.__module__ or "").split(".")[0] != "numpy":
        _refuse(f"{home}.{name} does not take tensors", arguments)
    return _call(found, f"{home}.{name}", arguments, options)


def _call(
    function: Callable[..., Any], name: str, operands: Sequence[Any], options: Mapping[str, Any]
) -> Any:
    """Call a function of graphc for `name`; what it does not take raises GraphcTypeError."""
    try:
        return function(*operands, **_supported(name, options, operands))
    except TypeError as error:
        if isinstance(error, GraphcTypeError) or "argument" not in str(error):
            raise
        _refuse(f"{name} on tensors: {error}", operands)


def _find(name: str) -> Callable[..., Any] | None:
    """Return the function of graphc called `name`, or None."""
    return next((f for module in _MODULES if (f := _public(module, name)) is not None), None)


def _public(module: ModuleType, name: str) -> Callable[..., Any] | None:
    """Return the function that a module exports under this name, or None."""
    return getattr(module, name) if name in module.__all__ else None


def _supported(name: str, options: Mapping[str, Any], operands: Sequence[Any]) -> dict[str, Any]:
    """Return the keywords without those that say nothing; refuses `out` and `where`."""
    kept = dict(options)
    for word, silent in (("out", None), ("where", True)):
        given = kept.pop(word, silent)
        if given is not silent and given is not np._NoValue:
            _refuse(f"{name}: {word}= is not possible with tensors, which never change", operands)
    return {k: v for k, v in kept.items() if v is not np._NoValue}


def _refuse(message: str, operands: Sequence[Any]) -> NoReturn:
    nodes = [as_node(x) for x in operands if isinstance(x, Tensor)]
    fail(GraphcTypeError, message, nodes, "use the functions of graphc, which have NumPy's names")


def _float_power(x: Any, y: Any) -> Tensor:
    """Return x to the power y, which NumPy computes in at least float64."""
    return elementwise.pow(constructors.constant(x, float64), constructors.constant(y, float64))


def _in_floats(name: str) -> Callable[[Tensor], Tensor]:
    """Return the op for what NumPy computes in floats and graphc, by itself, in integers."""

    def in_floats(x: Tensor) -> Tensor:
        floats = x if x.dtype.is_float else x.astype(float64)
        return elementwise.apply_elementwise(name, floats)

    return in_floats


def _reciprocal(x: Tensor) -> Tensor:
    """Return 1 / x; integers are refused, for which NumPy truncates it."""
    if not x.dtype.is_inexact:
        _refuse("numpy.reciprocal truncates integers to 0; 1 / tensor divides them in float64", [x])
    return elementwise.reciprocal(x)


def _variance(name: str) -> Callable[..., Any]:
    def function(
        x: Any, axis: Any = None, dtype: Any = None, ddof: float = 0, **options: Any
    ) -> Tensor:
        x = x if dtype is None else x.astype(dtype)
        keywords = {"correction": ddof} | options
        result: Tensor = getattr(reductions, name)(x, axis, **keywords)
        return result

    return function


def _stacked(axis: int) -> Callable[..., Any]:
    """Return vstack (axis 0) or hstack (axis 1) for operands of at least that many axes."""

    def function(tensors: Sequence[Any]) -> Tensor:
        if axis == 0:
            rows = [t[None, :] if np.ndim(t) == 1 else t for t in tensors]
            return shapes.concat(rows, 0)
        return shapes.concat(tensors, min(np.ndim(tensors[0]), 2) - 1)

    return function


def _sorted(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return sort or argsort with NumPy's keywords; it is stable whatever `kind` asks for."""

    def in_order(
        x: Tensor, axis: int | None = -1, kind: str | None = None, order: Any = None, *,
        stable: bool | None = None,
    ) -> Tensor:  # fmt: skip
        if order is not None:
            _refuse(f"numpy.{function.__name__}: order= is for records, which tensors are not", [x])
        return function(shapes.ravel(x)) if axis is None else function(x, axis)

    return in_order


def _svd(
    x: Tensor, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False
) -> Any:
    if not compute_uv:
        return linalg.svdvals(x)
    if hermitian or (full_matrices and x.ndim > 1 and x.shape[-1] != x.shape[-2]):
        _refuse("numpy.linalg.svd of tensors: full_matrices=False, hermitian=False are there", [x])
    return linalg.svd(x)


def _qr(x: Tensor, mode: str = "reduced") -> Any:
    if mode != "reduced":
        _refuse(f"numpy.linalg.qr of tensors: the mode is reduced, not {mode}", [x])
    return linalg.qr(x)


def _pinv(x: Tensor, rcond: Any = None, hermitian: bool = False, **options: Any) -> Tensor:
    """Return the pseudo-inverse with NumPy's tolerance: 1e-15 where none is asked for."""
    tolerance = options.pop("rtol", 1e-15) if rcond is None else rcond
    if hermitian or options or isinstance(tolerance, Tensor) or np.ndim(tolerance):
        _refuse("numpy.linalg.pinv on tensors takes one number as its tolerance", [x])
    return linalg.pinv(x, rtol=tolerance)


def _lstsq(*operands: Any, **_: Any) -> NoReturn:
    _refuse("numpy.linalg.lstsq does not take tensors: it gives ranks", operands[:2])


def _shape(x: Tensor) -> tuple[int, ...]:
    return x.shape


def _rank(x: Tensor) -> int:
    return x.ndim


def _size(x: Tensor, axis: int | None = None) -> int:
    return x.size if axis is None else x.shape[axis]


_UFUNCS: dict[str, Callable[..., Any]] = {
    "float_power": _float_power,
    "fabs": _in_floats("abs"),
    "rint": _in_floats("round"),
    "reciprocal": _reciprocal,
    "divmod": divmod,
}
_SPECIAL: dict[str, Callable[..., Any]] = {
    "var": _variance("var"),
    "std": _variance("std"),
    "vstack": _stacked(0),
    "hstack": _stacked(1),
    "sort": _sorted(sorting.sort),
    "argsort": _sorted(sorting.argsort),
    "shape": _shape,
    "ndim": _rank,
    "size": _size,
}
_NAMESPACES: dict[str, tuple[ModuleType, dict[str, Callable[..., Any]]]] = {
    "numpy.fft": (fft, {}),
    "numpy.linalg": (linalg, {"lstsq": _lstsq, "pinv": _pinv, "qr": _qr, "svd": _svd}),
}
