"""Contractions against NumPy, in integers where the result is exact."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc.frontend as gc
from graphc.errors import GraphcError, GraphcTypeError, GraphcValueError, ShapeError
from tests.frontend.evaluation import run, same, tensor

RANDOM = np.random.default_rng(0)


def integers(*shape: int) -> Any:
    return RANDOM.integers(-5, 6, shape)


MATMULS = [
    ((2, 3), (3, 4)), ((3,), (3, 4)), ((2, 3), (3,)), ((3,), (3,)), ((5, 2, 3), (3, 4)),
    ((5, 2, 3), (5, 3, 4)), ((1, 2, 3), (5, 3, 4)), ((6, 1, 2, 3), (5, 3, 4)), ((3,), (5, 3, 4)),
    ((5, 2, 3), (3,)), ((2, 0), (0, 4)), ((0, 3), (3, 4)), ((2, 3), (3, 0)), ((2, 1), (1, 4)),
    ((1, 1), (1, 1)), ((0, 2, 3), (1, 3, 4)), ((7, 1, 1, 1), (1, 4)),
]  # fmt: skip


@pytest.mark.parametrize(("a", "b"), MATMULS)
def test_matmul(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    x, y = integers(*a), integers(*b)
    same(run(lambda s, t: s @ t, x, y), x @ y)
    same(run(lambda t: x @ t, y), x @ y)
    same(run(lambda s: s @ y, x), x @ y)


def test_matmul_promotes() -> None:
    x, y = np.ones((2, 3), np.int8), np.ones((3, 2), np.float16)
    same(run(gc.matmul, x, y), x @ y)


def test_matmul_copies_no_operand_to_broadcast_it() -> None:
    product = tensor(5, 2, 3) @ tensor(3, 4)
    assert [n.op.name for n in product.node.inputs] == ["input", "input"]
    assert product.node.op.name == "contraction"


EINSUMS: list[tuple[str, tuple[tuple[int, ...], ...]]] = [
    ("ij,jk->ik", ((2, 3), (3, 4))),
    ("ij,jk", ((2, 3), (3, 4))),
    ("ij->ji", ((2, 3),)),
    ("ba", ((2, 3),)),
    ("ij->", ((2, 3),)),
    ("ii->i", ((3, 3),)),
    ("ii", ((3, 3),)),
    ("ii", ((0, 0),)),
    ("iji->j", ((3, 2, 3),)),
    ("iii->i", ((3, 3, 3),)),
    ("ijij->ij", ((2, 3, 2, 3),)),
    ("i,i", ((3,), (3,))),
    ("i,j->ij", ((3,), (4,))),
    ("i,j->ji", ((3,), (4,))),
    ("i,j->", ((3,), (4,))),
    ("ij,ij->ij", ((2, 3), (2, 3))),
    ("ij,kj->", ((2, 3), (4, 3))),
    ("bij,bjk,k->bi", ((2, 3, 4), (2, 4, 5), (5,))),
    ("a,ab,bc,cd->d", ((2,), (2, 3), (3, 4), (4, 2))),
    ("i,i,i->i", ((3,), (3,), (3,))),
    ("i,j,k->kji", ((2,), (3,), (4,))),
    ("ab,ab,ab,ab->", ((2, 3),) * 4),
    ("...ij,...jk->...ik", ((5, 2, 3), (3, 4))),
    ("...ij,...jk", ((5, 1, 2, 3), (6, 3, 4))),
    ("i...->...", ((2, 3, 4),)),
    ("...", ((2, 3),)),
    ("...i,...i->...", ((4, 3), (3,))),
    ("ij,ij->i", ((2, 1), (2, 3))),
    ("ij,jk->ik", ((2, 1), (3, 4))),
    ("ij,ij->ij", ((1, 3), (2, 1))),
    ("ij,jk->ik", ((2, 0), (0, 4))),
    ("ii,ij->j", ((3, 3), (3, 2))),
    ("bhqd,bhkd->bhqk", ((2, 2, 3, 4), (2, 2, 5, 4))),
    (" i j , j k -> i k ", ((2, 3), (3, 4))),
    ("iJ,Jk->ik", ((2, 3), (3, 4))),
    (",i->i", ((), (3,))),
    ("->", ((),)),
]


@pytest.mark.parametrize(("subscripts", "shapes"), EINSUMS)
def test_einsum(subscripts: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    arrays = [integers(*shape) for shape in shapes]
    expected = np.asarray(np.einsum(subscripts, *arrays))
    same(run(lambda *t: gc.einsum(subscripts, *t), *arrays), expected)


def test_einsum_promotes() -> None:
    a, b = np.ones((2, 3), np.float32), np.ones(3, np.float64)
    same(run(lambda s, t: gc.einsum("ij,j->i", s, t), a, b), np.einsum("ij,j->i", a, b))


TENSORDOTS: list[tuple[tuple[int, ...], tuple[int, ...], Any]] = [
    ((2, 3, 4), (3, 4, 5), 2),
    ((2, 3), (4, 5), 0),
    ((2, 3), (3, 5), 1),
    ((2, 3, 4), (4, 3, 5), ([1, 2], [1, 0])),
    ((2, 3, 4), (5, 4), (2, 1)),
    ((2, 3, 4), (5, 4), (-1, -1)),
    ((2, 3), (2, 3), 2),
    ((0, 3), (3, 0), 1),
]


@pytest.mark.parametrize(("a", "b", "axes"), TENSORDOTS)
def test_tensordot(a: tuple[int, ...], b: tuple[int, ...], axes: Any) -> None:
    x, y = integers(*a), integers(*b)
    same(run(lambda s, t: gc.tensordot(s, t, axes), x, y), np.tensordot(x, y, axes))


def test_the_other_products() -> None:
    x, y, z = integers(4, 3), integers(2, 4, 3), integers(3, 2)
    same(run(gc.vecdot, x, y), (x * y).sum(-1))
    same(run(lambda s, t: gc.vecdot(s, t, axis=-2), x, y), (x * y).sum(-2))
    same(run(gc.outer, x, z), np.outer(x, z))
    same(run(gc.dot, x, z), np.dot(x, z))
    same(run(gc.dot, y, z), np.dot(y, z))
    same(run(lambda t: gc.dot(t, 3), x), x * 3)
    same(run(lambda s, t: s.dot(t), x[0], x[1]), np.asarray(x[0].dot(x[1])))


MISUSES: list[tuple[Any, type[GraphcError], str]] = [
    (lambda: gc.einsum("ij,jk", tensor(2, 3)), GraphcValueError, "2 terms for 1 operands"),
    (lambda: gc.einsum("ij", tensor(2)), GraphcValueError, "names 2 axes"),
    (lambda: gc.einsum("i", tensor(2, 3)), GraphcValueError, "names 1 axes"),
    (lambda: gc.einsum("i1", tensor(2, 3)), GraphcValueError, "terms are letters"),
    (lambda: gc.einsum("i->j", tensor(2)), GraphcValueError, "output label"),
    (lambda: gc.einsum("i->ii", tensor(2)), GraphcValueError, "output label"),
    (lambda: gc.einsum("i,i", tensor(2), tensor(3)), ShapeError, "label i has the extents 2 and 3"),
    (lambda: gc.einsum("ii", tensor(2, 3)), ShapeError, "label i has the extents"),
    (lambda: gc.einsum(0, tensor(2)), GraphcTypeError, "subscripts are a string"),  # type: ignore[arg-type]  # the mistake
    (lambda: gc.tensordot(tensor(2, 3), tensor(4, 5), 1), ShapeError, "differ"),
    (lambda: gc.tensordot(tensor(2), tensor(2), 2), ShapeError, "2 axes of"),
    (lambda: gc.tensordot(tensor(2), tensor(2), ([0], [0, 0])), GraphcValueError, "not pairs"),
    (lambda: tensor(2, 3) @ 2.0, ShapeError, "has no axes"),
    (lambda: tensor(4, 2, 3) @ tensor(5, 3, 2), ShapeError, "batch axes"),
    (lambda: tensor(2, dtype="bool") @ tensor(2, dtype="bool"), GraphcTypeError, "bool"),
    (lambda: gc.vecdot(tensor(2), tensor(3)), ShapeError, "differ"),
]


@pytest.mark.parametrize(("build", "kind", "message"), MISUSES)
def test_misuse_is_refused(build: Any, kind: type[GraphcError], message: str) -> None:
    with pytest.raises(kind, match=message):
        build()
