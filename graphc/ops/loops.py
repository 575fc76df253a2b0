"""Loops and branches: ops that hold graphs of their own; and `item`, which takes one result.

    scan(*operands; body, carries, constants, length, reverse, recompute=False)
        operands   the carries' first values, the constants, stacked inputs of `length` slices
        body       carries, constants, slices  ->  carries, slices of the stacked outputs
        results    the last carries, the stacked outputs
    while_loop(*operands; condition, body, carries)
        operands   the carries' first values, the constants
        condition  carries, constants  ->  bool[]
        body       carries, constants  ->  carries
        results    the last carries
    while_pullback(*operands; condition, body, carries)
        operands   those of a while_loop, then cotangents of its float carries
        results    cotangents of its float operands, which nothing can compute
    switch(*operands; branches)
        operands   the number of the branch, moved into range; the parameters of every branch
        results    those of the branch

Slices are along the first axis. With `reverse` the steps run from the last slice to the first, and
step i still reads and writes slices i. `recompute` tells differentiation to keep the carries before
each step and nothing else, and to compute the rest again. Whatever a body reads is a parameter or
computed in it (`graphc.body`). Types are those of the bodies; a carry has one type throughout.
"""

from __future__ import annotations

import numpy as np

from graphc import dtypes
from graphc.body import Body
from graphc.errors import GraphcIndexError, GraphcTypeError
from graphc.node import Node
from graphc.op import Host, Item, Op, Scan, Switch, While
from graphc.ops.declare import Array
from graphc.source import SourceLine
from graphc.tensor_type import TensorType

Types = tuple[TensorType, ...]


def _item_rule(operand: Types, index: int) -> TensorType:
    if not 0 <= index < len(operand):
        raise GraphcIndexError(f"item: there is no result {index} of {len(operand)}")
    return operand[index]


def _item_reference(values: tuple[Array, ...], result: TensorType, index: int) -> Array:
    return values[index]


item = Op(
    name="item",
    operands=("x",),
    attributes=("index",),
    type_rule=_item_rule,
    reference=_item_reference,
    lowering=Item(),
    summary="one result of an op that has several",
)


def items(node: Node) -> tuple[Node, ...]:
    """Return every result of a node that has several."""
    return tuple(item(node, index=index) for index in range(len(node.results)))


def check_types(what: str, given: Types, wanted: Types) -> None:
    """Raise GraphcTypeError unless two lists of types are equal."""
    if len(given) != len(wanted):
        raise GraphcTypeError(f"{what}: {len(given)} values in the place of {len(wanted)}")
    for place, (left, right) in enumerate(zip(given, wanted, strict=True)):
        if left != right:
            raise GraphcTypeError(f"{what}: value {place} is {left}, not {right}")


def _scan_rule(
    *operands: TensorType,
    body: Body,
    carries: int,
    constants: int,
    length: int,
    reverse: bool,
    recompute: bool,
) -> Types:
    stacked = operands[carries + constants :]
    for type_ in stacked:
        if not type_.shape or type_.shape[0] != length:
            raise GraphcTypeError(f"scan: {type_} has no {length} slices")
    slices = tuple(type_.with_shape(type_.shape[1:]) for type_ in stacked)
    given = operands[: carries + constants] + slices
    check_types("the operands of scan", given, body.parameter_types)
    check_types("the carries of scan", body.result_types[:carries], operands[:carries])
    outputs = body.result_types[carries:]
    return operands[:carries] + tuple(t.with_shape((length, *t.shape)) for t in outputs)


def _scan_reference(
    *operands: Array,
    result: Types,
    body: Body,
    carries: int,
    constants: int,
    length: int,
    reverse: bool,
    recompute: bool,
) -> tuple[Array, ...]:
    values = operands[:carries]
    fixed, stacked = operands[carries : carries + constants], operands[carries + constants :]
    outputs = [np.empty(type_.shape, type_.dtype.numpy) for type_ in result[carries:]]
    for step in reversed(range(length)) if reverse else range(length):
        given = body.run(*values, *fixed, *(array[step, ...] for array in stacked))
        values = given[:carries]
        for output, value in zip(outputs, given[carries:], strict=True):
            output[step] = value
    return (*values, *outputs)


scan = Op(
    name="scan",
    operands=("*operands",),
    attributes=("body", "carries", "constants", "length", "reverse", "recompute"),
    defaults={"recompute": False},
    type_rule=_scan_rule,
    reference=_scan_reference,
    lowering=Scan(),
    summary="a body run once for each slice, its carries handed from step to step",
)


def _while_rule(*operands: TensorType, condition: Body, body: Body, carries: int) -> Types:
    check_types("the operands of while_loop", operands, condition.parameter_types)
    check_types("the operands of while_loop", operands, body.parameter_types)
    check_types("the condition", condition.result_types, (TensorType((), dtypes.bool_),))
    check_types("the carries of while_loop", body.result_types, operands[:carries])
    return operands[:carries]


def _while_reference(
    *operands: Array, result: Types, condition: Body, body: Body, carries: int
) -> tuple[Array, ...]:
    values, fixed = operands[:carries], operands[carries:]
    while condition.run(*values, *fixed)[0]:
        values = body.run(*values, *fixed)
    return values


while_loop = Op(
    name="while_loop",
    operands=("*operands",),
    attributes=("condition", "body", "carries"),
    type_rule=_while_rule,
    reference=_while_reference,
    lowering=While(),
    summary="a body run on its carries as long as a condition of them holds",
)


def no_reverse_mode(line: SourceLine | None) -> GraphcTypeError:
    """Return the error of asking for what `while_pullback` stands for."""
    return GraphcTypeError(
        "while_loop has no derivative in reverse mode: the number of its steps is not known",
        line=str(line or ""),
        hint="give it max_iterations=, or use scan, or fori_loop with Python integers as bounds",
    )


def _pullback_rule(*operands: TensorType, condition: Body, body: Body, carries: int) -> Types:
    given = operands[: len(body.inputs)]
    carried = _while_rule(*given, condition=condition, body=body, carries=carries)
    cotangents = tuple(type_ for type_ in carried if type_.dtype.is_inexact)
    check_types("the cotangents of while_loop", operands[len(given) :], cotangents)
    return tuple(type_ for type_ in given if type_.dtype.is_inexact)


def _pullback_reference(*operands: Array, result: Types, **attributes: object) -> tuple[Array, ...]:
    raise no_reverse_mode(None)


while_pullback = Op(
    name="while_pullback",
    operands=("*operands",),
    attributes=("condition", "body", "carries"),
    type_rule=_pullback_rule,
    reference=_pullback_reference,
    lowering=Host(),
    summary="stands for cotangents of while_loop; forward mode differentiates it, nothing runs it",
)


def _switch_rule(index: TensorType, *operands: TensorType, branches: tuple[Body, ...]) -> Types:
    if index.shape or index.dtype not in (dtypes.int32, dtypes.int64):
        raise GraphcTypeError(f"switch: a branch is numbered by an int32[] or int64[], not {index}")
    if not branches:
        raise GraphcTypeError("switch: there are no branches")
    for branch in branches:
        check_types("the operands of switch", operands, branch.parameter_types)
        check_types("the branches of switch", branch.result_types, branches[0].result_types)
    return branches[0].result_types


def _switch_reference(
    index: Array, *operands: Array, result: Types, branches: tuple[Body, ...]
) -> tuple[Array, ...]:
    return branches[min(max(int(index), 0), len(branches) - 1)].run(*operands)


switch = Op(
    name="switch",
    operands=("index", "*operands"),
    attributes=("branches",),
    type_rule=_switch_rule,
    reference=_switch_reference,
    lowering=Switch(),
    summary="one of several bodies, chosen by a number when the program runs",
)
