"""Formulas of declared ops as OpenCL C functions, one for each op and dtypes, and their tables.

A `Library` collects what the kernels of one program call, each function after those that it calls
itself. It writes a `Let` as C statements too, since kernels and formulas have the same scalar code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc import dtypes
from graphc.backends.opencl.helpers import helpers_for
from graphc.backends.opencl.primitives import Features, convert, primitive
from graphc.backends.opencl.spelling import C_TYPES, Names, constant, word
from graphc.dtypes import DType
from graphc.errors import BackendError
from graphc.kernel import payload_text
from graphc.op import Elementwise, find, scalar_program
from graphc.scalar import KEEPS_16_BIT, PRIMITIVES, RARELY, ScalarProgram, index_mask

_UNSIGNED = {16: dtypes.uint16, 32: dtypes.uint32, 64: dtypes.uint64}

_PRAGMAS = "#pragma OPENCL FP_CONTRACT OFF\n"
_FLOAT64_PRAGMA = "#pragma OPENCL EXTENSION cl_khr_fp64 : enable\n"


class Library:
    """The functions and tables of one OpenCL program."""

    def __init__(self, features: Features) -> None:
        self.features = features
        self._names = Names()
        self._texts: dict[Any, str] = {}

    def complete(self, kernels: str) -> str:
        """Return the source of a program whose kernels are `kernels`."""
        head = _PRAGMAS + (_FLOAT64_PRAGMA if self.features.has_float64 else "")
        own = "\n".join(self._texts.values())
        return "\n".join(text for text in (head, helpers_for(own + kernels), own, kernels) if text)

    def let(
        self,
        result: str,
        op: str,
        operands: Sequence[tuple[str, DType]],
        dtype: DType,
        payload: Any,
    ) -> list[str]:
        """Return statements that define the variable `result` as a `Let` of a kernel does.

        `operands` are names of variables with their types. 16-bit floats are computed in float32.
        """
        if not _converts_16_bit(op) or not any(d.bits == 16 for d in _floats(operands, dtype)):
            expression = self._expression(op, list(operands), dtype, payload)
            return [f"const {C_TYPES[dtype]} {result} = {expression};"]
        lines, wide = [], []
        for position, (name, given) in enumerate(operands):
            if given.compute is given:
                wide.append((name, given))
                continue
            wide.append((f"f{position}_{result}", dtypes.float32))
            lines.append(f"const float {wide[-1][0]} = {convert(name, given, dtypes.float32)};")
        expression = self._expression(op, wide, dtype.compute, payload)
        if dtype.compute is dtype:
            return [*lines, f"const {C_TYPES[dtype]} {result} = {expression};"]
        rounded = convert(f"f_{result}", dtypes.float32, dtype)
        return [
            *lines,
            f"const float f_{result} = {expression};",
            f"const ushort {result} = {rounded};",
        ]

    def _expression(
        self, op: str, operands: list[tuple[str, DType]], dtype: DType, payload: Any
    ) -> str:
        self.require(*(d for _, d in operands), dtype)
        names = [n for n, _ in operands]
        if op == "literal":
            return constant(payload, dtype)
        if op == "lookup":
            mask = index_mask(payload)
            index = names[0] if mask < 0 else f"({word(operands[0][1])}){names[0]} & {mask}"
            entry = f"{self._table(payload, dtype)}[{index}]"
            return f"as_{C_TYPES[dtype]}({entry})" if dtype.is_float else entry
        given = [d for _, d in operands]
        if op == RARELY:
            rare = self._rare(payload)
            return f"({names[0]} ? {rare}({', '.join(names[2:])}) : {names[1]})"
        if op in PRIMITIVES:
            return primitive(op, names, given, dtype, self.features)
        return f"{self._function(op, tuple(given), dtype)}({', '.join(names)})"

    def require(self, *used: DType) -> None:
        """Raise BackendError where the device lacks one of these types."""
        if dtypes.float64 in used and not self.features.has_float64:
            raise BackendError(
                "the program uses float64, which the OpenCL device lacks (cl_khr_fp64)",
                hint="compute in float32, or compile for the CPU",
            )

    def _table(self, payload: tuple[Any, ...], dtype: DType) -> str:
        """Return the name of a table; floats are held as bits, since C has no constant NaN."""
        key = ("table", dtype, payload_text(payload))
        name = self._names(key, "graphc_table")
        if key not in self._texts:
            entries, held = np.asarray(payload).astype(dtype.numpy), dtype
            if dtype.is_float:
                held = _UNSIGNED[dtype.bits]
                entries = entries.view(held.numpy)
            text = ", ".join(constant(entry, held) for entry in entries)
            self._texts[key] = f"__constant {C_TYPES[held]} {name}[{entries.size}] = {{{text}}};\n"
        return name

    def _function(self, op: str, parameters: tuple[DType, ...], result: DType) -> str:
        key = (op, parameters, result)
        name = self._names(key, "_".join(["graphc", op, *map(str, dict.fromkeys(parameters))]))
        if key not in self._texts:
            text = self._definition(name, scalar_program(op, parameters, result))
            self._texts[key] = text  # after the functions that it calls
        return name

    def _rare(self, program: ScalarProgram) -> str:
        """Return the name of the function of a `rarely`."""
        key = (RARELY, str(program))
        name = self._names(key, f"graphc_{program.name}")
        if key not in self._texts:
            self._texts[key] = self._definition(name, program)
        return name

    def _definition(self, name: str, program: ScalarProgram) -> str:
        count = len(program.parameters)
        result = program.dtype_of(program.result)
        parameters = ", ".join(f"{C_TYPES[d]} v{i}" for i, d in enumerate(program.parameters))
        lines = [f"{C_TYPES[result]} {name}({parameters}) {{"]
        for number, instruction in enumerate(program.instructions, count):
            operands = [(f"v{o}", program.dtype_of(o)) for o in instruction.operands]
            dtype = instruction.dtype
            expression = self._expression(instruction.name, operands, dtype, instruction.payload)
            lines.append(f"  const {C_TYPES[dtype]} v{number} = {expression};")
        return "\n".join([*lines, f"  return v{program.result};", "}\n"])


def _floats(operands: Sequence[tuple[str, DType]], dtype: DType) -> list[DType]:
    return [d for d in (*(d for _, d in operands), dtype) if d.is_float]


def _converts_16_bit(op: str) -> bool:
    if op in PRIMITIVES:
        return op not in KEEPS_16_BIT
    declared = find(op)
    lowering = declared.lowering if declared else None
    return not (isinstance(lowering, Elementwise) and lowering.native_16_bit)
