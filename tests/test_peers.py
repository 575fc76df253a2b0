"""Everything that has an equivalent in PyTorch is compared with it, and the comparison can fail.

The comparison itself, `python -m tests.peers`, needs PyTorch and minutes: it is no test of this
suite. Here stands that what is left out of it is named, and, where PyTorch is installed, that
nothing is, that one row of each area agrees, and that what is wrong is found.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import graphc
from graphc.op import forget
from graphc.ops.declare import UNARY, elementwise
from graphc.ops.type_rules import FLOAT
from tests.peers import coverage
from tests.peers.areas import AREAS
from tests.peers.compare import compare, distance
from tests.peers.row import Row


def test_everything_has_a_row_or_a_reason() -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    assert coverage.missing() == []


def test_an_op_without_a_row_is_named() -> None:
    op = elementwise("softsign", UNARY, lambda x: x, lambda x: x, kinds=FLOAT, summary="x")
    try:
        assert "softsign" in coverage.missing()
    finally:
        forget(op)


def test_a_function_without_a_row_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphc.nn, "__all__", [*graphc.nn.__all__, "Bilinear"])
    monkeypatch.setattr(graphc.nn, "Bilinear", object, raising=False)
    assert "nn.Bilinear" in coverage.missing()


@pytest.mark.parametrize("area", AREAS)
def test_names_of_rows_are_different(area: str) -> None:
    names = [row.name for row in AREAS[area]()]
    assert len(names) == len(set(names))


def test_distances_are_in_epsilons() -> None:
    ones = np.ones(3, np.float32)
    above = np.nextafter(ones, np.float32(2))
    assert distance(above, ones) == 1.0
    assert distance(ones, ones.astype(np.float64)) == np.inf
    assert distance(ones * np.float32("nan"), ones * np.float32("nan")) == 0.0
    assert distance(ones * np.float32("inf"), ones) == np.inf
    small = np.array([1.0, 1e-30])
    assert distance(small + 1e-16, small) < distance(small * 1e3 + 1e-13, small * 1e3, True)


@pytest.mark.parametrize("area", AREAS)
def test_a_row_of_each_area_agrees(area: str) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    row = next(AREAS[area]())
    assert compare(row, "float64").failures == []


def _wrong(row: Row, change: Any) -> list[str]:
    ours = row.ours
    return compare(dataclasses.replace(row, ours=lambda *x: change(ours(*x))), "float64").failures


def test_what_is_wrong_is_found() -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    row = Row("sin", graphc.sin, lambda x: x.sin(), [(3, 4)])

    @graphc.custom_vjp
    def steep(x: Any) -> Any:
        return x

    steep.defvjp(lambda x: (x, None), lambda _, cotangent: (cotangent * 1.000001,))
    assert len(_wrong(row, lambda x: x + 1e-13)) >= 1
    assert [f.split(": ")[1][:5] for f in _wrong(row, steep)] == ["first", "secon"]
    assert "ShapeError" in _wrong(row, lambda x: x.reshape((5, 5)))[0]
