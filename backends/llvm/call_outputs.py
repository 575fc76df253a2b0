"""The arrays that a program returns: dense, aligned to 64 bytes, never handed out while held.

Memory fresh from the system costs a page fault for each page, which is more than the work of many
kernels. So a program keeps the blocks of its large outputs: a block is an array of bytes, every
output is a view of one, and NumPy lets each view, slice and memoryview of an output hold the block
that it reaches. A block to which the pool has the only reference is therefore free; counting
references under the lock of the interpreter is exact. Without that lock nothing is kept.
"""

from __future__ import annotations

import ctypes
import sys
import sysconfig
from collections import deque
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from graphc.state import ALIGNMENT
from graphc.tensor_type import TensorType

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"

LARGE_BYTES = 1024 * 1024
MOST_BLOCKS = 4  # of one output: results of successive calls are often held two at a time
MOST_BYTES = 256 * 1024 * 1024  # kept by one program

_ALONE = 2  # references to what one local variable holds, while getrefcount looks


def counts_references() -> bool:
    """Return whether counts of references say who holds an object in this interpreter.

    Python 3.14 lends references without counting them; builds without the lock count elsewhere.
    """
    return sys.implementation.name == "cpython" and sys.version_info < (3, 14) and _has_lock()


def _has_lock() -> bool:
    return not sysconfig.get_config_var("Py_GIL_DISABLED")


class OutputMaker:
    """Makes the arrays of one output: a call returns a fresh one, in any thread."""

    def __init__(self, type_: TensorType, budget: int) -> None:
        """`budget` is how many bytes may be kept for this output."""
        self._type, self.block_bytes = type_, type_.nbytes + ALIGNMENT
        self._blocks: deque[Array] = deque()
        self._most = 0
        if type_.nbytes > LARGE_BYTES and counts_references():
            self._most = min(MOST_BLOCKS, max(budget, 0) // self.block_bytes)

    @property
    def kept_bytes(self) -> int:
        """The most bytes that are kept while nobody holds them."""
        return self._most * self.block_bytes

    def __call__(self) -> Array:
        """Return an array. Raises MemoryError, which names the bytes."""
        block = self._take() if self._most else self._new()
        skip = -address_of(block) % ALIGNMENT
        return np.ndarray(self._type.shape, self._type.dtype.numpy, block, skip)

    def _take(self) -> Array:
        """Return a block that nobody holds; it stays in the pool, where others see it is held."""
        for _ in range(len(self._blocks)):
            try:
                block = self._blocks.popleft()  # from here on no other thread sees it
            except IndexError:  # others have taken them all for a moment
                break
            is_free = sys.getrefcount(block) == _ALONE
            self._blocks.append(block)
            if is_free:
                return block
        block = self._new()
        if len(self._blocks) < self._most:
            self._blocks.append(block)
        return block

    def _new(self) -> Array:
        try:
            return np.empty(self.block_bytes, np.uint8)
        except MemoryError:
            self._blocks.clear()
        try:
            return np.empty(self.block_bytes, np.uint8)
        except MemoryError:
            raise MemoryError(
                f"no {self.block_bytes} bytes for an output of {self._type}"
            ) from None


def makers(types: Sequence[TensorType]) -> tuple[OutputMaker, ...]:
    """Return a maker for each output of a program, which share the bytes that it may keep."""
    budget, result = MOST_BYTES, []
    for type_ in types:
        maker = OutputMaker(type_, budget)
        budget -= maker.kept_bytes
        result.append(maker)
    return tuple(result)


def address_of(array: Array) -> int:
    """Return the address of an array's data."""
    try:
        # three times as fast as the line below
        view = ctypes.c_char.from_buffer(array)  # type: ignore[arg-type]  # NumPy < 2.4 stubs
        return ctypes.addressof(view)
    except (TypeError, ValueError, BufferError):  # read-only, or empty
        return int(array.__array_interface__["data"][0])
