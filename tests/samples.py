"""Sample operands for every declared op, made from its declaration and from one table of shapes.

`cases(op, dtype)` yields the same cases in every run: special values in all combinations, random
values from the op's domain in odd and empty shapes, and for floats random bit patterns. `dtype` is
that of the data operands; conditions are bool and indices int64. Whatever indices are out of range
are so in mode "clip" only. `as_graph` makes a one-node graph of a case.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

from graphc import dtypes, ops
from graphc.dtypes import DType
from graphc.graph import Graph
from graphc.node import fresh_number
from graphc.op import Domain, Op
from graphc.ops.loops import items
from graphc.ops.views import reshaped
from tests.sample_values import Array, Case, Shape, random_bits, specials, values
from tests.transform_samples import transforms, transforms_of_real
from tests.window_samples import WINDOW_ROWS

__all__ = [
    "ELEMENTWISE_SHAPES", "Array", "Case", "Shape", "accepted_dtypes", "as_graph", "cases",
    "formula_dtypes", "specials", "values",
]  # fmt: skip

ELEMENTWISE_SHAPES: tuple[Shape, ...] = (
    (),
    (1,),
    (5,),
    (0,),
    (3, 4),
    (2, 0, 3),
    (7, 13),
    (2, 3, 33),
)


def cases(op: Op, dtype: DType) -> Iterator[Case]:
    """Yield the cases of `op` for data of `dtype`; none if the op does not take it."""
    if dtype.kind not in op.kinds or op.name in ("input", "variable", "constant"):
        return
    rng = np.random.default_rng(zlib.crc32(f"{op.name} {dtype}".encode()))
    if op.is_elementwise:
        yield from _elementwise(op, dtype, rng)
        return
    yield from _MAKERS[op.name](op, dtype, rng)


def accepted_dtypes(op: Op) -> tuple[DType, ...]:
    """Return the dtypes that `op` takes."""
    return tuple(d for d in dtypes.ALL if d.kind in op.kinds)


def formula_dtypes(op: Op) -> tuple[DType, ...]:
    """Return the dtypes for which `op` is computed in kernels as it is, and not on pairs."""
    return tuple(d for d in dtypes.REAL if d.kind in op.kinds)


def as_graph(op: Op, case: Case) -> Graph:
    """Return the graph of one node with an input for each operand.

    Of several results it gives one row of all their elements.
    """
    inputs = [
        ops.input_(
            number=fresh_number(), name=f"x{i}", shape=a.shape, dtype=dtypes.as_dtype(a.dtype)
        )
        for i, a in enumerate(case.operands)
    ]
    node = op(*inputs, **case.attributes)
    if node.is_tuple:
        flat = [reshaped(result, (result.type.size,)) for result in items(node)]
        node = ops.concat(*flat, axis=0)
    return Graph(inputs, [node])


# --- elementwise ops -----------------------------------------------------------------------------


def _elementwise(op: Op, dtype: DType, rng: np.random.Generator) -> Iterator[Case]:
    for operands in _elementwise_operands(op, dtype, rng):
        if op.name == "where":
            yield Case((values(operands[0].shape, dtypes.bool_, rng, Domain()), *operands[1:]))
        elif op.name == "cast":
            targets = (*dtypes.COMPLEX, dtypes.bool_) if dtype.is_complex else dtypes.ALL
            yield from (Case(operands, {"dtype": target}) for target in targets)
        else:
            yield Case(operands)


def _elementwise_operands(
    op: Op, dtype: DType, rng: np.random.Generator
) -> Iterator[tuple[Array, ...]]:
    arity = len(op.operands)
    grid = np.meshgrid(*[specials(dtype)] * min(arity, 2), indexing="ij")
    yield tuple(g.ravel() for g in (grid * 2)[:arity])
    domains = op.domain * arity if len(op.domain) == 1 else op.domain
    for shape in ELEMENTWISE_SHAPES:
        yield tuple(values(shape, dtype, rng, d) for d in domains)
    if dtype.is_inexact:
        yield tuple(random_bits((400,), dtype, rng) for _ in range(arity))


# --- the others: shapes of the operands, and attributes ------------------------------------------

_Row: TypeAlias = tuple[tuple[Shape, ...], dict[str, Any]]
_Maker: TypeAlias = Callable[[Op, DType, np.random.Generator], Iterator[Case]]


def _bounds(*triples: tuple[int, int, int]) -> dict[str, Any]:
    start, stop, step = zip(*triples, strict=True) if triples else ((), (), ())
    return {"start": start, "stop": stop, "step": step}


_ROWS: dict[str, list[_Row]] = {
    **WINDOW_ROWS,
    "broadcast_to": [
        (((3,),), {"shape": (2, 3)}),
        (((),), {"shape": (4,)}),
        (((),), {"shape": ()}),
        (((1, 5),), {"shape": (3, 5)}),
        (((2, 1, 3),), {"shape": (4, 2, 5, 3)}),
        (((1,),), {"shape": (0,)}),
        (((0,),), {"shape": (2, 0)}),
    ],
    "reshape": [
        (((6,),), {"shape": (2, 3)}),
        (((2, 3),), {"shape": (6,)}),
        (((4, 3, 5),), {"shape": (6, 10)}),
        (((3, 4),), {"shape": (4, 3)}),
        (((1, 1),), {"shape": ()}),
        (((),), {"shape": (1, 1, 1)}),
        (((0, 3),), {"shape": (5, 0, 2)}),
    ],
    "permute_dims": [
        (((3, 4),), {"axes": (1, 0)}),
        (((2, 3, 5),), {"axes": (2, 0, 1)}),
        (((2, 1, 3, 2),), {"axes": (3, 1, 0, 2)}),
        (((3, 4),), {"axes": (0, 1)}),
        (((),), {"axes": ()}),
        (((0, 4),), {"axes": (1, 0)}),
    ],
    "slice": [
        (((7,),), _bounds((1, 6, 1))),
        (((7,),), _bounds((6, -1, -1))),
        (((9,),), _bounds((8, 0, -3))),
        (((9,),), _bounds((1, 9, 3))),
        (((4, 5),), _bounds((3, -1, -2), (0, 5, 2))),
        (((4, 5, 3),), _bounds((0, 4, 1), (2, 2, 1), (0, 3, 2))),
        (((4, 5),), _bounds((1, 2, 1), (4, 3, -1))),
        (((),), _bounds()),
    ],
    "pad": [
        (((3,), ()), {"low": (2,), "high": (1,)}),
        (((3, 4), ()), {"low": (0, 1), "high": (2, 0)}),
        (((0,), ()), {"low": (2,), "high": (1,)}),
        (((2, 3), ()), {"low": (0, 0), "high": (0, 0)}),
        (((), ()), {"low": (), "high": ()}),
        (((0, 2), ()), {"low": (0, 1), "high": (0, 1)}),
    ],
    "contraction": [
        (((3, 4), (4, 5)), {"lhs": "ik", "rhs": "kj", "out": "ij"}),
        (((3, 4), (5, 4)), {"lhs": "ik", "rhs": "jk", "out": "ij"}),
        (((4, 3), (4, 5)), {"lhs": "ki", "rhs": "kj", "out": "ji"}),
        (((2, 3, 4), (2, 4, 5)), {"lhs": "bik", "rhs": "bkj", "out": "bij"}),
        (((2, 3, 4), (4, 2)), {"lhs": "abk", "rhs": "ka", "out": "ab"}),
        (((3,), (4,)), {"lhs": "i", "rhs": "j", "out": "ij"}),
        (((5,), (5,)), {"lhs": "i", "rhs": "i", "out": ""}),
        (((5,), (5,)), {"lhs": "i", "rhs": "i", "out": "i"}),
        (((2, 3, 4), (3, 2, 4)), {"lhs": "ijk", "rhs": "jil", "out": "kl"}),
        (((), (3,)), {"lhs": "", "rhs": "i", "out": "i"}),
        (((2, 0), (0, 3)), {"lhs": "ik", "rhs": "kj", "out": "ij"}),
        (((0, 4), (4, 3)), {"lhs": "ik", "rhs": "kj", "out": "ij"}),
        (((17, 33), (33, 19)), {"lhs": "ik", "rhs": "kj", "out": "ij"}),
    ],
    "after": [
        (((3, 4), (2,)), {}),
        (((3, 4),), {}),
        (((), (2, 0), (5,)), {}),
    ],
    "concat": [
        (((3,), (4,)), {"axis": 0}),
        (((2, 3), (2, 1), (2, 4)), {"axis": 1}),
        (((2, 3), (0, 3), (1, 3)), {"axis": 0}),
        (((2, 3),), {"axis": 1}),
        (((0, 2), (0, 3)), {"axis": 1}),
    ],
}
_REDUCED: list[_Row] = [
    (((7,),), {"axes": (0,)}),
    (((3, 17),), {"axes": (1,)}),
    (((3, 17),), {"axes": (0,)}),
    (((2, 3, 5),), {"axes": (0, 2)}),
    (((2, 3, 5),), {"axes": (0, 1, 2)}),
    (((2, 3, 5),), {"axes": (1,)}),
    (((4, 3),), {"axes": ()}),
    (((),), {"axes": ()}),
    (((1, 1),), {"axes": (0, 1)}),
    (((2, 300),), {"axes": (1,)}),
    (((1100, 3),), {"axes": (0,)}),
    (((0, 3),), {"axes": (1,)}),
    (((5, 64 * 17 + 3),), {"axes": (0, 1)}),
    (((64 * 1024 + 70,),), {"axes": (0,)}),
]
_REDUCED_EMPTY: list[_Row] = [
    (((0,),), {"axes": (0,)}),
    (((3, 0),), {"axes": (1,)}),
    (((0, 4),), {"axes": (0,)}),
    (((2, 0, 2),), {"axes": (0, 1, 2)}),
]
_PLACES: list[_Row] = [
    (((7,),), {"axis": 0}),
    (((3, 17),), {"axis": 1}),
    (((3, 17),), {"axis": 0}),
    (((2, 3, 5),), {"axis": 1}),
    (((4, 1),), {"axis": 1}),
    (((0, 3),), {"axis": 1}),
    (((2, 300),), {"axis": 1}),
]


def _from_rows(op: Op, dtype: DType, rng: np.random.Generator) -> Iterator[Case]:
    for shapes, attributes in _ROWS[op.name]:
        yield Case(tuple(values(s, dtype, rng, op.domain[0]) for s in shapes), attributes)


def _reduction(op: Op, dtype: DType, rng: np.random.Generator) -> Iterator[Case]:
    """Yield ties and special values too: rows of few different ones, and one of each alone."""
    may_be_empty = op.name not in ("max", "min")
    domain = Domain(0.8, 1.2) if op.name == "prod" else op.domain[0]
    for shapes, attributes in _REDUCED + _REDUCED_EMPTY * may_be_empty:
        yield Case((values(shapes[0], dtype, rng, domain),), attributes)
    few = np.array([0, 1, 1, 0, 1]).astype(dtype.numpy)
    yield Case((rng.choice(few, (6, 40)),), {"axes": (1,)})
    least = 1.0 if op.name == "prod" else 1e-45  # a product of subnormals is 0 in float32 alone
    rows = _special_rows(dtype, rng, least)
    yield Case((rows,), {"axes": (1,)})
    yield Case((rows.T.copy(),), {"axes": (0,)})


def _special_rows(dtype: DType, rng: np.random.Generator, least: float = 1e-45) -> Array:
    if dtype.is_complex:
        both = [_special_rows(dtype.real, rng, least) for _ in range(2)]
        return np.stack(both, axis=-1).view(dtype.numpy)[..., 0]
    if not dtype.is_float:
        return rng.choice(specials(dtype), (9, 21))
    pool = np.array([0.0, -0.0, 1.0, np.inf, -np.inf, np.nan, least, -2.0]).astype(dtype.numpy)
    rows = [rng.choice(chosen, 21) for chosen in itertools.combinations(pool, 2)]
    return np.stack([*rows, *(np.full(21, x, dtype.numpy) for x in pool)])


def _place(op: Op, dtype: DType, rng: np.random.Generator) -> Iterator[Case]:
    for shapes, attributes in _PLACES:
        yield Case((values(shapes[0], dtype, rng, op.domain[0]),), attributes)
    yield Case((_special_rows(dtype, rng),), {"axis": 1})


def _cumulative(op: Op, dtype: DType, rng: np.random.Generator) -> Iterator[Case]:
    domain = Domain(0.8, 1.2) if op.name == "cumulative_prod" else op.domain[0]
    for shapes, attributes in _PLACES:
        for reverse in (False, True):
            data = values(shapes[0], dtype, rng, domain)
            yield Case((data,), {**attributes, "reverse": reverse})
    least = 1.0 if op.name == "cumulative_prod" else 1e-45
    for number, array in enumerate(
        (_special_rows(dtype, rng, least), np.ones((3, 0), dtype.numpy))
    ):
        yield Case((array,), {"axis": 1, "reverse": number == 0})
        yield Case((array.T.copy(),), {"axis": 0, "reverse": False})


def _iota(op: Op, dtype: DType, rng: np.random.Generator) -> Iterator[Case]:
    for shape, axis in (((5,), 0), ((2, 3), 0), ((2, 3), 1), ((300,), 0), ((0, 2), 1), ((1,), 0)):
        yield Case((), {"shape": shape, "axis": axis, "dtype": dtype})


def _indices(shape: Shape, extent: int, mode: str, rng: np.random.Generator) -> Array:
    spread = 3 if mode == "clip" else 0
    return rng.integers(-spread, max(extent + spread, 1), shape, np.int64)


def _gather(op: Op, dtype: DType, rng: np.random.Generator) -> Iterator[Case]:
    adds = op.name.startswith("scatter")
    rows = (
        ((5,), (3,), 0), ((5,), (), 0), ((5, 3), (4,), 0), ((5, 3), (2, 4), 1),
        ((2, 3, 4), (2, 2), 1), ((5, 3), (0,), 0), ((0, 3), (2,), 1), ((5,), (70,), 0),
        ((0, 3), (0,), 0),
    )  # fmt: skip
    for (shape, index_shape, axis), mode in itertools.product(rows, ("raise", "clip")):
        data = values(shape, dtype, rng, op.domain[0])
        indices = _indices(index_shape, shape[axis], mode, rng)
        taken = shape[:axis] + index_shape + shape[axis + 1 :]
        updates = (values(taken, dtype, rng, op.domain[0]),) if adds else ()
        yield Case((data, indices, *updates), {"axis": axis, "mode": mode})


def _checked(op: Op, dtype: DType, rng: np.random.Generator) -> Iterator[Case]:
    for shape, extent in (((5,), 3), ((), 1), ((2, 70), 100), ((0, 3), 0), ((2, 3, 4), 2)):
        indices = rng.integers(0, max(extent, 1), shape, dtype.numpy)
        yield Case((indices,), {"extent": extent, "what": "a place: out of bounds"})


def _gather_along(op: Op, dtype: DType, rng: np.random.Generator) -> Iterator[Case]:
    adds = op.name.startswith("scatter")
    rows = (((5,), 3, 0), ((5, 3), 4, 0), ((5, 3), 7, 1), ((2, 3, 4), 2, 1), ((5, 3), 0, 0),
            ((0, 3), 2, 1), ((1, 1), 1, 0))  # fmt: skip
    for (shape, count, axis), mode in itertools.product(rows, ("raise", "clip")):
        data = values(shape, dtype, rng, op.domain[0])
        taken = (*shape[:axis], count, *shape[axis + 1 :])
        updates = (values(taken, dtype, rng, op.domain[0]),) if adds else ()
        indices = _indices(taken, shape[axis], mode, rng)
        yield Case((data, indices, *updates), {"axis": axis, "mode": mode})


def _order(op: Op, dtype: DType, rng: np.random.Generator) -> Iterator[Case]:
    for (shapes, attributes), descending in itertools.product(_PLACES, (False, True)):
        data = values(shapes[0], dtype, rng, op.domain[0])
        yield Case((data,), {**attributes, "descending": descending})
        few = rng.choice(np.array([0, 1, 1]).astype(dtype.numpy), shapes[0])
        yield Case((few,), {**attributes, "descending": descending})
    for axis, descending in itertools.product((0, 1), (False, True)):
        yield Case((_special_rows(dtype, rng),), {"axis": axis, "descending": descending})


_SQUARES: tuple[Shape, ...] = ((3, 3), (1, 1), (2, 4, 4), (2, 1, 3, 3), (0, 0), (2, 0, 0), (20, 20))


def _cholesky(op: Op, dtype: DType, rng: np.random.Generator) -> Iterator[Case]:
    """Yield positive definite matrices; what stands above the diagonal is not looked at."""
    for shape in _SQUARES:
        factor = np.tril(rng.uniform(-1.0, 1.0, shape)) + 2 * np.eye(shape[-1])
        definite = factor @ np.swapaxes(factor, -1, -2)
        noise = np.triu(rng.uniform(-1.0, 1.0, shape), 1)
        yield Case(((definite + noise).astype(dtype.numpy),))


def _triangular(op: Op, dtype: DType, rng: np.random.Generator) -> Iterator[Case]:
    for shape, lower, transposed in itertools.product(_SQUARES, (False, True), (False, True)):
        a = (rng.uniform(-1.0, 1.0, shape) + 2 * np.eye(shape[-1])).astype(dtype.numpy)
        b = rng.uniform(-1.0, 1.0, (*shape[:-1], 2)).astype(dtype.numpy)
        yield Case((a, b), {"lower": lower, "transposed": transposed})


_SCATTERS = ("scatter_add", "scatter_max", "scatter_min", "scatter_multiply", "scatter_set")
_RECTANGLES: tuple[Shape, ...] = ((4, 2), (2, 4), (2, 5, 3), (2, 1, 3), (0, 2, 3), (3, 0), (0, 3))


def _matrix(shape: Shape, dtype: DType, rng: np.random.Generator) -> Array:
    """Return a matrix whose singular values, and eigenvalues, are well apart."""
    diagonal = np.eye(shape[-2], shape[-1]) * np.arange(1.5, 1.5 + 2 * shape[-1], 2.0)
    return np.asarray(rng.uniform(-0.5, 0.5, shape) + diagonal).astype(dtype.numpy)


def _square(op: Op, dtype: DType, rng: np.random.Generator) -> Iterator[Case]:
    """Yield regular matrices, for eigh too: what stands above the diagonal is not looked at."""
    for shape in (*_SQUARES, (0, 3, 3)):
        yield Case((_matrix(shape, dtype, rng),))


def _solve(op: Op, dtype: DType, rng: np.random.Generator) -> Iterator[Case]:
    for shape, count in itertools.product(_SQUARES, (1, 3)):
        b = rng.uniform(-1.0, 1.0, (*shape[:-1], count)).astype(dtype.numpy)
        yield Case((_matrix(shape, dtype, rng), b))


def _rectangle(op: Op, dtype: DType, rng: np.random.Generator) -> Iterator[Case]:
    attributes = {"rtol": 1e-6} if op.name == "pinv" else {}
    for shape in _SQUARES + _RECTANGLES:
        yield Case((_matrix(shape, dtype, rng),), attributes)


def _apart(op: Op, dtype: DType, rng: np.random.Generator) -> Iterator[Case]:
    for shape in ((3,), (1,), (0,), (2, 4), (2, 0), (0, 2)):
        apart = np.arange(2.0 * shape[-1], step=2.0) + rng.uniform(-0.5, 0.5, shape)
        yield Case((apart[..., rng.permutation(shape[-1])].astype(dtype.numpy, order="C"),))


def _parts(op: Op, dtype: DType, rng: np.random.Generator) -> Iterator[Case]:
    yield from map(Case, _elementwise_operands(op, dtype, rng))


_MAKERS: dict[str, _Maker] = {
    **dict.fromkeys(("complex", "conj", "imag", "real"), _parts),
    **dict.fromkeys(("fft", "ifft"), transforms),
    **dict.fromkeys(("rfft", "irfft"), transforms_of_real),
    **dict.fromkeys(("cofactors", "det", "eigh", "inv", "slogdet"), _square),
    **dict.fromkeys(("pinv", "qr", "svd"), _rectangle),
    "solve": _solve,
    "reciprocal_gaps": _apart,
    "argsort": _order,
    "cholesky": _cholesky,
    "solve_triangular": _triangular,
    **dict.fromkeys(_ROWS, _from_rows),
    **dict.fromkeys(("sum", "prod", "max", "min", "any", "all"), _reduction),
    **dict.fromkeys(("argmax", "argmin"), _place),
    **dict.fromkeys(
        (f"cumulative_{name}" for name in ("sum", "prod", "max", "min", "logsumexp")), _cumulative
    ),
    "iota": _iota,
    **dict.fromkeys(("take", *_SCATTERS), _gather),
    "checked_index": _checked,
    **dict.fromkeys(("take_along_axis", *(f"{s}_along_axis" for s in _SCATTERS)), _gather_along),
}
