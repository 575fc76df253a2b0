"""Plans on disk: what a call needs to know, as data, without the kernels.

    record ::= JSON object, newline, bytes of the constants that folding made, in their order

A plan takes most of what it has from the leaves of its graph, which the next process makes anew:
types of inputs and outputs, the states of variables, constants that the user gave. Those stand in a
record by their numbers. Kernels, launches and checks do not stand in it: they are code already, and
whoever wants to see them runs the passes again. A record is never executed, and what does not
describe a plan over the leaves that are there is no record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.dtypes import as_dtype
from graphc.errors import GraphcError
from graphc.graph import Graph
from graphc.node import constant_value, is_constant
from graphc.plan import Plan
from graphc.state import VariableState
from graphc.target import Target
from graphc.tensor_type import TensorType

MOST_CONSTANT_BYTES = 16 * 1024 * 1024  # that folding made; more is compiled each time


@dataclass(frozen=True, slots=True)
class Leaves:
    """What a plan takes from the graph as the user made it."""

    name: str
    inputs: tuple[TensorType, ...]
    outputs: tuple[TensorType, ...]
    variables: tuple[VariableState, ...]
    constants: tuple[np.ndarray[Any, Any], ...]


def leaves_of(graph: Graph) -> Leaves:
    """Return the leaves of a graph, in their order in it."""
    return Leaves(
        graph.name,
        tuple(node.type for node in graph.inputs),
        tuple(node.type for node in graph.outputs),
        tuple(node.attributes["state"] for node in graph.variables),
        tuple(constant_value(node) for node in graph.nodes if is_constant(node)),
    )


def pack(plan: Plan, leaves: Leaves, code: Mapping[str, Any]) -> bytes | None:
    """Return the record of a plan, with what its backend adds, or None where it would be large."""
    places = {id(state): number for number, state in enumerate(leaves.variables)}
    known = {id(array): number for number, array in enumerate(leaves.constants)}
    made = [array for array in plan.constants if id(array) not in known]
    if sum(array.nbytes for array in made) > MOST_CONSTANT_BYTES:
        return None
    head = {
        "variables": [places[id(state)] for state in plan.variables],
        "written": sorted(plan.written),
        "constants": [
            known.get(id(array), [as_dtype(array.dtype).name, array.shape])
            for array in plan.constants
        ],
        "arena": plan.arena_bytes,
        "commit": plan.commit,
        "donated": sorted(plan.donated.items()),
        "code": dict(code),
    }
    return b"".join([json.dumps(head).encode(), b"\n", *(array.tobytes() for array in made)])


def unpack(record: bytes, leaves: Leaves, target: Target) -> tuple[Plan, Mapping[str, Any]] | None:
    """Return the plan of a record, without launches and checks, and what its backend added.

    None where the record is none of a plan over these leaves.
    """
    try:
        text, _, data = record.partition(b"\n")
        return _unpack(json.loads(text), data, leaves, target)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, GraphcError):
        return None


def _unpack(
    head: Any, data: bytes, leaves: Leaves, target: Target
) -> tuple[Plan, Mapping[str, Any]] | None:
    constants = []
    start = 0
    for entry in head["constants"]:
        if isinstance(entry, int):
            constants.append(_numbered(leaves.constants, entry))
            continue
        type_ = TensorType(tuple(map(_count, entry[1])), as_dtype(str(entry[0])))
        piece = np.frombuffer(data, type_.dtype.numpy, type_.size, start)
        constants.append(piece.reshape(type_.shape))
        start += type_.nbytes
    variables = tuple(_numbered(leaves.variables, number) for number in head["variables"])
    plan = Plan(
        name=leaves.name,
        steps=(),
        inputs=leaves.inputs,
        outputs=leaves.outputs,
        variables=variables,
        written=frozenset(range(len(variables))[_count(number)] for number in head["written"]),
        constants=tuple(constants),
        arena_bytes=_count(head["arena"]),
        checks=(),
        target=target,
        commit=_count(head["commit"]),
        donated={
            range(len(leaves.outputs))[_count(number)]: range(len(leaves.inputs))[_count(argument)]
            for number, argument in head["donated"]
        },
    )
    return (plan, dict(head["code"])) if start == len(data) else None


def _numbered(things: tuple[Any, ...], number: Any) -> Any:
    return things[_count(number)]


def _count(number: Any) -> int:
    """Return `number` if it is a whole one and not negative; raises ValueError."""
    if type(number) is not int or number < 0:
        raise ValueError(f"{number!r} is no count")
    return number
