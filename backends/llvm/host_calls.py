"""Calls of host functions: from native code back into Python, on arrays over the memory of a plan.

`write_call` writes the call, which thread 0 makes; `HostCaller` is the object of Python that it
calls, with the address of a table of the addresses of its buffers. What that raises stays with the
calling thread until the program is done, and is then raised there; meanwhile the results are zeros,
on which whatever still runs is safe.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np

from graphc.backends.llvm.layout import HOST
from graphc.backends.llvm.writer import Writer
from graphc.interpreter import Array, values_of
from graphc.kernel import Access
from graphc.plan import STATUS, HostFunction
from graphc.tensor_type import TensorType

DECLARATION = f"declare i1 @{HOST}(ptr, ptr, ptr) nounwind"


def write_call(
    writer: Writer, routine: HostFunction, function: str, control: str, addresses: Sequence[str]
) -> None:
    """Write the call of Python's object at `function`; its buffers are at `addresses`."""
    table = writer.allocate("ptr", len(addresses))
    for number, address in enumerate(addresses):
        entry = writer.emit(f"getelementptr ptr, ptr {table}, i64 {number}")
        writer.line(f"store ptr {address}, ptr {entry}")
    done = writer.emit(f"call i1 @{HOST}(ptr {control}, ptr {function}, ptr {table})")
    with writer.guarded(writer.emit(f"xor i1 {done}, true")):
        for buffer, address in zip(routine.buffers, addresses, strict=True):
            if buffer.access is Access.OUT and buffer.type.nbytes:
                size = buffer.type.nbytes
                writer.line(
                    f"call void @llvm.memset.p0.i64(ptr {address}, i8 0, i64 {size}, i1 false)"
                )


_MOST_KEPT = 64  # sets of arrays over memory that comes again in the next call


class HostCaller:
    """Calls a host function: `caller(address)`. The table there begins with its buffers."""

    def __init__(self, routine: HostFunction) -> None:
        buffers = [buffer for buffer in routine.buffers if buffer.name != STATUS]
        self._node = routine.node
        self._operands = [b.type for b in buffers if b.access is Access.IN]
        self._results = [b.type for b in buffers if b.access is not Access.IN]
        self._table_bytes = 8 * len(buffers)
        self._arrays: dict[bytes, tuple[list[Array], list[Array]]] = {}

    def __call__(self, address: int) -> None:
        """Compute the results from the operands; raises what the reference raises."""
        table = ctypes.string_at(address, self._table_bytes)
        operands, results = self._arrays.get(table) or self._made(table)
        values = values_of(self._node, operands)
        for result, value in zip(results, values, strict=True):
            result[...] = value

    def _made(self, table: bytes) -> tuple[list[Array], list[Array]]:
        """Make the arrays of the operands and results at these addresses."""
        starts = iter(np.frombuffer(table, np.uint64).tolist())
        operands = [_array(next(starts), type_) for type_ in self._operands]
        results = [_array(next(starts), type_) for type_ in self._results]
        for array in operands:
            array.flags.writeable = False
        if len(self._arrays) >= _MOST_KEPT:
            self._arrays = {}
        self._arrays[table] = operands, results
        return operands, results


def _array(start: int, type_: TensorType) -> Array:
    """Return the memory at an address as an array, to be used while that memory is there."""
    memory = (ctypes.c_char * type_.nbytes).from_address(start)
    return np.ndarray(type_.shape, type_.dtype.numpy, memory)  # type: ignore[arg-type]  # stubs
