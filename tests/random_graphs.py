"""Random graphs over the whole op set, from a seed: small, with odd shapes and special values.

`random_graph(seed)` gives a graph of up to 40 nodes and arrays for its inputs. Shapes have extents
of 0, 1, primes and more than a vector; values include NaN, infinities, signed zeros and subnormals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc import dtypes, ops
from graphc.dtypes import DType
from graphc.errors import GraphcError
from graphc.graph import Graph
from graphc.node import ArrayData, Node, fresh_number
from graphc.op import Elementwise, Op, Reduction, Selection, all_ops

EXTENTS = (0, 1, 1, 2, 3, 5, 7, 16, 17, 33, 70)
DTYPES = (
    [dtypes.float32] * 6
    + [dtypes.float64] * 2
    + [dtypes.int32, dtypes.int64, dtypes.uint8, dtypes.int8, dtypes.uint32]
    + [dtypes.float16, dtypes.bfloat16, dtypes.bool_]
)
SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 1.0, -1.0, 1e30])
LARGEST = 4000
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Sample:
    """A random graph and a value for each of its inputs."""

    graph: Graph
    arguments: tuple[Array, ...]


class Grower:
    """Grows one graph. `nodes` are all nodes so far; the random generator decides everything."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[Node] = []
        self.inputs: list[Node] = []
        self.arguments: list[Array] = []

    def choose(self, items: Any) -> Any:
        return items[int(self.random.integers(len(items)))]

    def shape(self) -> tuple[int, ...]:
        rank = int(self.random.choice([0, 1, 1, 2, 2, 2, 3]))
        while True:
            shape = tuple(int(self.choose(EXTENTS)) for _ in range(rank))
            if np.prod(shape) <= LARGEST:
                return shape

    def values(self, shape: tuple[int, ...], dtype: DType) -> Array:
        if dtype.is_float:
            array = self.random.normal(0, 2, shape)
            special = self.random.choice(SPECIAL, shape)
            share = self.choose([0.0, 0.0, 0.1])
            array = np.where(self.random.random(shape) < share, special, array)
            with np.errstate(all="ignore"):
                return array.astype(dtype.numpy)
        if dtype is dtypes.bool_:
            return self.random.integers(0, 2, shape).astype(bool)
        info = np.iinfo(dtype.numpy)
        small = self.random.integers(max(info.min, -9), 10, shape)
        ends = self.random.choice(np.array([info.min, info.max], dtype.numpy), shape)
        return np.where(self.random.random(shape) < 0.05, ends, small.astype(dtype.numpy))

    def add_input(self, shape: tuple[int, ...], dtype: DType, array: Array | None = None) -> Node:
        array = self.values(shape, dtype) if array is None else array
        if self.random.random() < 0.15:
            return self.keep(ops.constant(value=ArrayData(array)))
        number = len(self.inputs)
        node = ops.input_(number=fresh_number(), name=f"x{number}", shape=shape, dtype=dtype)
        self.inputs.append(node)
        self.arguments.append(array)
        return self.keep(node)

    def keep(self, node: Node) -> Node:
        if node not in self.nodes:
            self.nodes.append(node)
        return node

    def pick(self, wanted: Callable[[Node], bool] = lambda _: True) -> Node | None:
        fitting = [n for n in self.nodes if wanted(n)]
        return self.choose(fitting[-12:]) if fitting else None

    def like(self, node: Node, dtype: DType | None = None) -> Node:
        """A node of the shape of `node` and the dtype asked for, old or new."""
        wanted = dtype or node.type.dtype
        found = self.pick(lambda n: n.shape == node.shape and n.type.dtype is wanted)
        if found is not None and self.random.random() < 0.7:
            return found
        scalar = self.pick(lambda n: n.shape == () and n.type.dtype is wanted)
        if scalar is not None and self.random.random() < 0.5:
            return self.keep(ops.broadcast_to(scalar, shape=node.shape))
        return self.add_input(node.shape, wanted)

    def grow(self) -> None:
        """Add one node by a random step; a step that does not fit adds nothing."""
        step = self.choose(STEPS)
        node = self.pick()
        assert node is not None
        try:
            made = step(self, node)
        except GraphcError:
            return
        if made is not None and made.type.size <= LARGEST:
            self.keep(made)


def _elementwise(g: Grower, x: Node) -> Node | None:
    op: Op = g.choose([o for o in all_ops() if isinstance(o.lowering, Elementwise)])
    if op.name == "cast":
        return ops.cast(x, dtype=g.choose(DTYPES))
    if op.name == "where":
        return ops.where(g.like(x, dtypes.bool_), x, g.like(x))
    if x.type.dtype.kind not in op.kinds:
        return None
    operands = [x, *(g.like(x) for _ in op.operands[1:])]
    if op.name in ("signbit", "copysign"):
        operands[-1] = _without_nan(g, operands[-1])
    return op(*operands)


def _without_nan(g: Grower, x: Node) -> Node:
    """The sign of a NaN is not defined (docs/semantics.md), so nobody may look at it."""
    one = g.add_input((), x.type.dtype, np.ones((), x.type.dtype.numpy))
    spread = g.keep(ops.broadcast_to(one, shape=x.shape))
    return g.keep(ops.where(g.keep(ops.isnan(x)), spread, x))


def _reduce(g: Grower, x: Node) -> Node | None:
    if not x.shape:
        return None
    axes = tuple(a for a in range(len(x.shape)) if g.random.random() < 0.6) or (len(x.shape) - 1,)
    op: Op = g.choose([o for o in all_ops() if isinstance(o.lowering, Reduction)])
    return op(x, axes=axes) if x.type.dtype.kind in op.kinds else None


def _row_statistic(g: Grower, x: Node) -> Node | None:
    """The pattern of softmax and layer norm: reduce the last axis and broadcast it back."""
    if not x.shape or not x.type.dtype.is_float:
        return None
    op = g.choose([ops.sum_, ops.max_])
    row = g.keep(op(x, axes=(len(x.shape) - 1,)))
    column = g.keep(ops.reshape(row, shape=(*row.shape, 1)))
    spread = g.keep(ops.broadcast_to(column, shape=x.shape))
    return ops.subtract(x, spread)


def _select(g: Grower, x: Node) -> Node | None:
    op: Op = g.choose([o for o in all_ops() if isinstance(o.lowering, Selection)])
    return op(x, axis=int(g.random.integers(len(x.shape)))) if x.shape else None


def _reshape(g: Grower, x: Node) -> Node:
    shape = list(x.shape)
    if len(shape) > 1 and g.random.random() < 0.5:
        return ops.reshape(x, shape=(shape[0] * shape[1], *shape[2:]))
    place = int(g.random.integers(len(shape) + 1))
    return ops.reshape(x, shape=(*shape[:place], 1, *shape[place:]))


def _permute(g: Grower, x: Node) -> Node:
    return ops.permute_dims(x, axes=tuple(int(a) for a in g.random.permutation(len(x.shape))))


def _broadcast(g: Grower, x: Node) -> Node:
    shape = tuple(int(g.choose((2, 3, 5))) if e == 1 else e for e in x.shape)
    return ops.broadcast_to(x, shape=(int(g.choose((1, 2, 4))), *shape))


def _slice(g: Grower, x: Node) -> Node:
    ranges = []
    for extent in x.shape:
        step = int(g.choose((1, 1, 2, -1, -2, 3)))
        ends = sorted(int(e) for e in g.random.integers(0, extent + 1, 2))
        ranges.append((*ends, step) if step > 0 else (ends[1] - 1, ends[0] - 1, step))
    empty = [(0, 0, 1) if len(range(*r)) == 0 else r for r in ranges]
    starts, stops, steps = (tuple(r[i] for r in empty) for i in range(3))
    return ops.slice_(x, start=starts, stop=stops, step=steps)


def _pad(g: Grower, x: Node) -> Node:
    low, high = (tuple(int(e) for e in g.random.integers(0, 3, len(x.shape))) for _ in range(2))
    value = g.add_input((), x.type.dtype)
    return ops.pad(x, value, low=low, high=high)


def _concat(g: Grower, x: Node) -> Node | None:
    if not x.shape:
        return None
    return ops.concat(x, g.like(x), x, axis=int(g.random.integers(len(x.shape))))


def _take(g: Grower, x: Node) -> Node | None:
    if not x.shape:
        return None
    axis = int(g.random.integers(len(x.shape)))
    if x.shape[axis] == 0:
        return None
    indices = g.random.integers(0, x.shape[axis], g.choose([(), (3,), (2, 5)]))
    node = ops.constant(value=ArrayData(np.asarray(indices, np.int64)))
    return ops.take(x, node, axis=axis, mode=g.choose(["raise", "clip"]))


def _scatter(g: Grower, x: Node) -> Node | None:
    if not x.shape or x.type.dtype is dtypes.bool_ or x.shape[0] == 0:
        return None
    indices = ops.constant(value=ArrayData(g.random.integers(0, x.shape[0], (4,))))
    updates = g.add_input((4, *x.shape[1:]), x.type.dtype)
    return ops.scatter_add(x, indices, updates, axis=0, mode="clip")


def _contract(g: Grower, x: Node) -> Node | None:
    if len(x.shape) != 2 or x.type.dtype is dtypes.bool_:
        return None
    width = int(g.choose((1, 2, 5, 17, 33)))
    other = g.add_input((x.shape[1], width), x.type.dtype)
    return ops.contraction(x, other, lhs="ik", rhs="kj", out=g.choose(["ij", "ji"]))


def _iota(g: Grower, x: Node) -> Node | None:
    if not x.shape:
        return None
    dtype = x.type.dtype if x.type.dtype is not dtypes.bool_ else dtypes.int32
    return ops.iota(shape=x.shape, axis=int(g.random.integers(len(x.shape))), dtype=dtype)


STEPS: list[Callable[[Grower, Node], Node | None]] = [
    *[_elementwise] * 14,
    *[_reduce] * 3,
    *[_row_statistic] * 2,
    *[_slice, _reshape, _permute, _broadcast, _contract] * 2,
    *[_pad, _concat, _take, _scatter, _select, _iota],
]


def random_graph(seed: int) -> Sample:
    """Return the graph of this seed, the same each time."""
    grower = Grower(seed)
    for _ in range(2):
        grower.add_input(grower.shape(), grower.choose(DTYPES))
    target = int(grower.random.integers(5, 38))
    for _ in range(200):
        if len(grower.nodes) >= target:
            break
        grower.grow()
    used = {i for node in grower.nodes for i in node.inputs}
    outputs = [n for n in grower.nodes if n not in used] or grower.nodes[-1:]
    extra = grower.choose(grower.nodes)
    graph = Graph(grower.inputs, [*outputs, extra])
    return Sample(graph, tuple(grower.arguments))
