"""Reshapes that take no work: what reads the result reads the operand.

An array between two calls lies dense and in row-major order, so a reshape of it is the same memory
by another shape. The call that would copy it is dropped, and its readers are given the operand.

A reshape stays a copy where its result is an output or the value of an assignment, which have
memory of their own, and where a call has the operand among its own, since a kernel knows its
buffers to be different.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from graphc import ops
from graphc.node import Node
from graphc.plan import Call, Operand


def read_in_place(calls: Sequence[Call], owned: Collection[Node]) -> list[Call | None]:
    """Return the calls with operands in the place of their reshapes, None for those not needed.

    `owned` are the nodes that must have memory of their own. The order is kept.
    """
    operands = [list(call.operands) for call in calls]
    users: dict[Operand, set[int]] = {}
    for number, given in enumerate(operands):
        for operand in given:
            users.setdefault(operand, set()).add(number)
    dropped: set[int] = set()
    for number, call in enumerate(calls):
        result = _reshaped(call)
        if result is None or result in owned:
            continue
        source = next(operand for operand in operands[number] if operand is not result)
        readers = users[result] - {number}
        if readers & users[source]:
            continue
        dropped.add(number)
        for reader in readers:
            operands[reader] = [source if o is result else o for o in operands[reader]]
        users[source] = users[source] - {number} | readers
    return [
        None if number in dropped else replace(call, operands=tuple(operands[number]))
        for number, call in enumerate(calls)
    ]


def _reshaped(call: Call) -> Node | None:
    """Return the result of a call that does nothing but reshape an array, else None."""
    if len(call.operands) != 2:
        return None
    for result, source in (call.operands, call.operands[::-1]):
        is_reshape = isinstance(result, Node) and result.op is ops.reshape
        if is_reshape and isinstance(result, Node) and result.inputs[0] is source:
            return result
    return None
