"""Scalar operations of kernels: primitives in place, declared ops as internal functions.

Each declared op that a kernel uses becomes one function of the module for its dtypes and lanes,
written from its scalar formula, and inlined by LLVM where it is called.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from graphc.backends.llvm import helpers, primitives, spelling
from graphc.backends.llvm.module import Module
from graphc.backends.llvm.writer import Writer
from graphc.dtypes import DType
from graphc.op import Elementwise, find, scalar_program
from graphc.scalar import KEEPS_16_BIT, PRIMITIVES, RARELY, Instruction, ScalarProgram


@dataclass(frozen=True, slots=True)
class Operand:
    """A value in LLVM IR: its text (a name or a constant), dtype, lanes; uniform if it has one."""

    text: str
    dtype: DType
    lanes: int = 1


def spread(writer: Writer, operand: Operand, lanes: int) -> str:
    """Return the text of `operand` in `lanes` lanes."""
    if operand.lanes == lanes:
        return operand.text
    return helpers.splat(writer, spelling.register(operand.dtype), operand.text, lanes)


def write(
    writer: Writer, module: Module, name: str, operands: tuple[Operand, ...], result: DType,
    payload: Any = None,
) -> Operand:  # fmt: skip
    """Write the primitive or declared op `name`; the result is uniform if all operands are."""
    lanes = max((o.lanes for o in operands), default=1)
    texts = tuple(spread(writer, o, lanes) for o in operands)
    given = tuple(o.dtype for o in operands)
    if name in PRIMITIVES:
        source = given[0] if given else result
        site = primitives.Site(writer, module, source, result, lanes, payload)
        return Operand(primitives.write(name, site, texts), result, lanes)
    return Operand(_call(writer, module, name, given, texts, result, lanes), result, lanes)


def write_let(
    writer: Writer,
    module: Module,
    name: str,
    operands: tuple[Operand, ...],
    result: DType,
    payload: Any = None,
) -> Operand:
    """Write a kernel's operation: on 16-bit floats it is done in float32 and rounded back."""
    if not _converts_16_bit(name):
        return write(writer, module, name, operands, result, payload)
    wide = tuple(_convert(writer, module, o, o.dtype.compute) for o in operands)
    value = write(writer, module, name, wide, result.compute, payload)
    return _convert(writer, module, value, result)


def _converts_16_bit(name: str) -> bool:
    if name in PRIMITIVES:
        return name not in KEEPS_16_BIT
    op = find(name)
    return not (op and isinstance(op.lowering, Elementwise) and op.lowering.native_16_bit)


def _convert(writer: Writer, module: Module, operand: Operand, dtype: DType) -> Operand:
    if operand.dtype is dtype:
        return operand
    return write(writer, module, "convert", (operand,), dtype)


def _call(
    writer: Writer, module: Module, name: str, given: tuple[DType, ...], texts: tuple[str, ...],
    result: DType, lanes: int,
) -> str:  # fmt: skip
    program = scalar_program(name, given, result)
    return _call_program(writer, module, program, texts, result, lanes)


def _call_program(
    writer: Writer, module: Module, program: ScalarProgram, texts: tuple[str, ...], result: DType,
    lanes: int, within: int = 0,
) -> str:  # fmt: skip
    function = module.require(
        _name(program, result, lanes), lambda n: _define(module, n, program, lanes)
    )
    arguments = ", ".join(
        f"{spelling.register(d, lanes)} {t}" for d, t in zip(program.parameters, texts, strict=True)
    )
    called = f"call {spelling.register(result, lanes)} {function}({arguments})"
    return writer.pure(called, within=within)


def _name(program: ScalarProgram, result: DType, lanes: int) -> str:
    """Return `@exp.16xfloat32`, or with several dtypes `@power.8xfloat32,int32`."""
    kinds = list(dict.fromkeys([*program.parameters, result]))
    name = f"{program.name}.{lanes}x{','.join(map(str, kinds))}"
    return spelling.quoted(name)


def _define(module: Module, name: str, program: ScalarProgram, lanes: int) -> str:
    writer = Writer()
    values = [Operand(f"%p{i}", d, lanes) for i, d in enumerate(program.parameters)]
    parameters = tuple((spelling.register(v.dtype, lanes), v.text) for v in values)
    for instruction in program.instructions:
        operands = tuple(values[o] for o in instruction.operands)
        values.append(_write_instruction(writer, module, instruction, operands, lanes))
    result = values[program.result]
    text = spread(writer, result, lanes)
    type_ = spelling.register(result.dtype, lanes)
    return helpers.function(name, type_, parameters, writer, text, "alwaysinline")


def _write_instruction(
    writer: Writer, module: Module, instruction: Instruction, operands: tuple[Operand, ...],
    lanes: int,
) -> Operand:  # fmt: skip
    name, dtype, payload = instruction.name, instruction.dtype, instruction.payload
    if name == RARELY:
        return Operand(_rarely(writer, module, payload, operands, lanes), dtype, lanes)
    return write(writer, module, name, operands, dtype, payload)


def _rarely(
    writer: Writer, module: Module, program: ScalarProgram, operands: tuple[Operand, ...],
    lanes: int,
) -> str:  # fmt: skip
    """Write a branch around the call of `program` that is taken where no lane needs it."""
    mask, otherwise, *given = (spread(writer, operand, lanes) for operand in operands)
    result = program.dtype_of(program.result)
    type_, before = spelling.register(result, lanes), writer.block
    with writer.guarded(helpers.is_any(writer, mask, lanes), likely=False):
        rare = _call_program(writer, module, program, tuple(given), result, lanes, writer.depth)
        condition = spelling.vector("i1", lanes)
        chosen = writer.emit(f"select {condition} {mask}, {type_} {rare}, {type_} {otherwise}")
        inside = writer.block
    return writer.emit(f"phi {type_} [ {otherwise}, {before} ], [ {chosen}, {inside} ]")
