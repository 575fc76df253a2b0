"""Calls that put their results into arrays of the caller: `program(x, out=y)`.

An array given for an output has its shape and dtype and can be written; it may have any strides and
alignment, and may share memory with the arguments, which are read as they were, but not with
another array that is given. The executable writes straight into what is dense and aligned to its
elements; the rest is computed elsewhere and copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np

from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError
from graphc.executable import Executable, RunsInto
from graphc.tensor_type import TensorType

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
_MOST_WORK = 10_000  # of the search for a common byte of two arrays with strides


def checked_outputs(out: Any, types: Sequence[TensorType]) -> list[Array | None]:
    """Return an array or None for each output.

    `out` is that list; for one output it may be the array itself. Raises GraphcTypeError,
    ShapeError or GraphcValueError where an array cannot take the output.
    """
    given = [out] if isinstance(out, np.ndarray) else out
    if not isinstance(given, list | tuple):
        raise GraphcTypeError(
            f"out takes an array, or a list of them, not {type(out).__name__}",
        )
    if len(given) != len(types):
        raise GraphcTypeError(
            f"out has {len(given)} arrays, but there are {len(types)} outputs",
            hint="None stands for an output that is to be made",
        )
    for number, (array, type_) in enumerate(zip(given, types, strict=True)):
        if array is not None:
            _check(number, array, type_)
    arrays = [(number, array) for number, array in enumerate(given) if array is not None]
    for (i, a), (j, b) in combinations(arrays, 2):
        if _overlap(a, b):
            raise GraphcValueError(f"the arrays for outputs {i} and {j} share memory")
    return list(given)


def _check(number: int, array: Any, type_: TensorType) -> None:
    if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray):
        raise GraphcTypeError(
            f"output {number} cannot be put into an object of type {type(array).__name__}",
            hint="pass a NumPy array, or None for an output that is to be made",
        )
    if array.dtype != type_.dtype.numpy:
        raise GraphcTypeError(f"output {number} is {type_}, but out is an array of {array.dtype}")
    if array.shape != type_.shape:
        raise ShapeError(f"output {number} is {type_}, but out has the shape {array.shape}")
    if not array.flags.writeable:
        raise GraphcValueError(f"output {number} cannot be put into an array that is read-only")
    if _overlaps_itself(array):
        raise GraphcValueError(
            f"output {number} cannot be put into an array whose elements share memory"
        )


def _overlaps_itself(array: Array) -> bool:
    """Return whether two elements of an array share memory, which strides can make."""
    if array.size < 2 or array.flags.c_contiguous:
        return False
    axes = [(abs(s), n) for s, n in zip(array.strides, array.shape, strict=True) if n > 1]
    reach = array.itemsize
    for stride, extent in sorted(axes):
        if stride < reach:
            break
        reach += stride * (extent - 1)
    else:
        return False  # each axis steps over all that the finer ones reach
    places = sum(np.ix_(*(np.arange(n) * s for s, n in axes)), np.zeros((), np.int64))
    return bool((np.diff(np.sort(places, axis=None)) < array.itemsize).any())


def _overlap(a: Array, b: Array) -> bool:
    """Return whether two arrays share an element; where that is hard to tell, whether they might.

    For arrays without elements it is False.
    """
    if not np.may_share_memory(a, b):
        return False
    try:
        return np.shares_memory(a, b, max_work=_MOST_WORK)  # type: ignore[arg-type]  # stubs: 0, -1
    except np.exceptions.TooHardError:
        return True


def run_into(
    executable: Executable, arguments: Sequence[Array], given: Sequence[Array | None]
) -> list[Array]:
    """Run `executable` and return the arrays that were `given`, filled, and fresh ones for None."""
    if not isinstance(executable, RunsInto):
        return _filled(given, executable.run(arguments))
    direct = [array if array is not None and _is_plain(array) else None for array in given]
    written = [array for array in direct if array is not None]
    apart = [a.copy() if any(np.may_share_memory(a, w) for w in written) else a for a in arguments]
    return _filled(given, executable.run_into(apart, direct))


def _filled(given: Sequence[Array | None], results: Sequence[Array]) -> list[Array]:
    filled = []
    for array, result in zip(given, results, strict=True):
        if array is not None and array is not result:
            array[...] = result
        filled.append(result if array is None else array)
    return filled


def _is_plain(array: Array) -> bool:
    flags = array.flags
    return flags.c_contiguous and flags.aligned and type(array) is np.ndarray
