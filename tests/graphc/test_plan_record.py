"""Plans as records: what was packed comes back over other leaves, and nothing else does."""

from __future__ import annotations

import dataclasses
import json
import random
from typing import Any

import numpy as np
import pytest

from graphc.dtypes import bfloat16, float32, int64
from graphc.plan import Plan
from graphc.plan_record import MOST_CONSTANT_BYTES, Leaves, pack, unpack
from graphc.state import VariableState
from graphc.target import Target
from graphc.tensor_type import TensorType

TARGET = Target("cpu", "cpu", 64, 32, 2)
TYPE = TensorType((2, 3), float32)
CODE = {"object": "ab", "threads": 2}
# fields of a plan that are made again by the passes, by whoever wants to see them
MADE_AGAIN = {"steps", "checks"}


def leaves() -> Leaves:
    states = tuple(VariableState(TYPE, np.zeros((2, 3)), name) for name in "abc")
    constants = (np.arange(3.0), np.arange(4))
    return Leaves("main", (TYPE,), (TYPE, TensorType((), int64)), states, constants)


def plan_over(given: Leaves) -> Plan:
    made = np.array([[1.5, -0.0, np.nan]], bfloat16.numpy), np.array(7, np.int64)
    return Plan(
        name=given.name,
        steps=(),
        inputs=given.inputs,
        outputs=given.outputs,
        variables=(given.variables[2], given.variables[0]),
        written=frozenset([1]),
        constants=(made[0], given.constants[1], made[1], given.constants[0]),
        arena_bytes=640,
        checks=(),
        target=TARGET,
        commit=3,
        donated={1: 0},
    )


def packed(given: Leaves) -> bytes:
    record = pack(plan_over(given), given, CODE)
    assert record is not None
    return record


def test_a_plan_comes_back_over_other_leaves() -> None:
    there, here = leaves(), leaves()
    found = unpack(packed(there), here, TARGET)
    assert found is not None and found[1] == CODE
    wanted = plan_over(here)
    for field in dataclasses.fields(Plan):
        if field.name != "constants":
            assert getattr(found[0], field.name) == getattr(wanted, field.name), field.name
    for given, expected in zip(found[0].constants, wanted.constants, strict=True):
        assert given.dtype == expected.dtype and given.shape == expected.shape
        assert given.tobytes() == expected.tobytes()
    assert found[0].constants[1] is here.constants[1]


def test_every_field_of_a_plan_is_thought_of() -> None:
    """A new one has to be packed, or be among those that the passes make again."""
    head = json.loads(packed(leaves()).partition(b"\n")[0])
    kept = {"variables", "written", "constants", "arena", "commit", "donated"}
    assert set(head) == {*kept, "code"}
    from_leaves = {"name", "inputs", "outputs", "target"}
    spelled = {"arena_bytes" if name == "arena" else name for name in kept}
    assert {f.name for f in dataclasses.fields(Plan)} == spelled | from_leaves | MADE_AGAIN


def test_large_made_constants_are_not_kept() -> None:
    given = leaves()
    large = np.zeros(MOST_CONSTANT_BYTES + 1, np.uint8)
    assert pack(dataclasses.replace(plan_over(given), constants=(large,)), given, CODE) is None
    own = dataclasses.replace(given, constants=(large,))
    assert pack(dataclasses.replace(plan_over(given), constants=(large,)), own, CODE) is not None


def damaged(**changes: Any) -> bytes:
    head, _, data = packed(leaves()).partition(b"\n")
    return json.dumps(json.loads(head) | changes).encode() + b"\n" + data


@pytest.mark.parametrize(
    "changes",
    [
        {"variables": [3]},
        {"variables": [-1]},
        {"variables": [True]},
        {"variables": None},
        {"written": [2]},
        {"written": [-1]},
        {"constants": [2]},
        {"constants": []},
        {"constants": [["float32", [10**9]]]},
        {"constants": [["float32", [-1]]]},
        {"constants": [["object", [1]]]},
        {"constants": [["complex64", [1]]]},
        {"constants": ["float32"]},
        {"arena": -64},
        {"arena": 1.5},
        {"arena": "64"},
        {"commit": -1},
        {"donated": [[2, 0]]},
        {"donated": [[0, 1]]},
        {"donated": [0]},
        {"code": None},
    ],
)
def test_what_describes_no_plan_is_none(changes: dict[str, Any]) -> None:
    assert unpack(damaged(), leaves(), TARGET) is not None
    assert unpack(damaged(**changes), leaves(), TARGET) is None


def test_other_bytes_are_no_plan_or_one() -> None:
    chance = random.Random(3)
    record = packed(leaves())
    for _ in range(400):
        other = bytearray(record)
        if chance.random() < 0.3:
            del other[chance.randrange(len(other)) :]
        else:
            other[chance.randrange(len(other))] ^= chance.randrange(1, 256)
        unpack(bytes(other), leaves(), TARGET)
    for bytes_ in (b"", b"\n", b"[]\n", b"{}\n", b"null\n", record + b"x", record[:-1]):
        assert unpack(bytes_, leaves(), TARGET) is None
