"""Batched loops and branches against the loops of each example."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from graphc import dtypes, ops
from graphc.arithmetic import filled
from graphc.body import Body
from graphc.graph import Graph
from graphc.interpreter import evaluate
from graphc.node import Node, fresh_number
from graphc.ops.loops import items
from graphc.ops.views import total
from graphc.passes.batch import batch
from graphc.tensor_type import TensorType
from tests.samples import Array

SIZE = 3
SCALAR, VECTOR = TensorType((), dtypes.float64), TensorType((2,), dtypes.float64)
COUNT = TensorType((), dtypes.int64)
RANDOM = np.random.default_rng(4)


def leaf(type_: TensorType) -> Node:
    return ops.input_(number=fresh_number(), name="x", shape=type_.shape, dtype=type_.dtype)


def body(types: Sequence[TensorType], function: Callable[..., Sequence[Node]]) -> Body:
    inputs = [leaf(type_) for type_ in types]
    return Body(Graph(inputs, function(*inputs), name="body"))


def repeated(scalar: Node, like: Node) -> Node:
    return ops.broadcast_to(scalar, shape=like.shape)


def scan(
    *operands: Node, body: Body, carries: int, constants: int, reverse: bool
) -> Sequence[Node]:
    length = operands[-1].shape[0]
    node = ops.scan(
        *operands, body=body, carries=carries, constants=constants, length=length, reverse=reverse
    )
    return items(node)


def recurrence(*, reverse: bool) -> Callable[..., Sequence[Node]]:
    """h := tanh(h w + x), beside a counter; the outputs are h, the counter, and x again."""

    def step(count: Node, h: Node, w: Node, x: Node) -> Sequence[Node]:
        new = ops.tanh(h * w + x)
        return count + 1, new, new, count, x

    def function(count: Node, h: Node, w: Node, xs: Node) -> Sequence[Node]:
        made = body((COUNT, VECTOR, VECTOR, VECTOR), step)
        return scan(count, h, w, xs, body=made, carries=2, constants=1, reverse=reverse)

    return function


def nested(h: Node, w: Node, xs: Node) -> Sequence[Node]:
    """A scan whose body is a scan over the same inputs."""

    def inner(h: Node, w: Node, x: Node) -> Sequence[Node]:
        return ops.sin(h * w + x), h

    def outer(h: Node, w: Node, xs: Node, x: Node) -> Sequence[Node]:
        made = body((VECTOR, VECTOR, VECTOR), inner)
        last, outputs = scan(h, w, xs, body=made, carries=1, constants=1, reverse=False)
        return last + x, total(outputs, (0,))

    made = body((VECTOR, VECTOR, xs.type, VECTOR), outer)
    return scan(h, w, xs, xs, body=made, carries=1, constants=2, reverse=True)


def doubling(x: Node, limit: Node) -> Sequence[Node]:
    """Double x until its sum is over the limit, and count."""
    types = (COUNT, VECTOR, SCALAR)
    condition = body(types, lambda n, x, limit: [ops.less(total(x, (0,)), limit)])
    made = body(types, lambda n, x, limit: [n + 1, x + x])
    count = filled(COUNT, 0)
    return items(ops.while_loop(count, x, limit, condition=condition, body=made, carries=2))


def counted(x: Node, limit: Node) -> Sequence[Node]:
    """Double x five times: the condition is the same for all examples."""
    types = (COUNT, VECTOR, SCALAR)
    condition = body(types, lambda n, x, limit: [ops.less(n, filled(COUNT, 5))])
    made = body(types, lambda n, x, limit: [n + 1, x + x * repeated(limit, x)])
    count = filled(COUNT, 0)
    return items(ops.while_loop(count, x, limit, condition=condition, body=made, carries=2))


def branches(index: Node, x: Node) -> Sequence[Node]:
    bodies = (
        body((VECTOR,), lambda x: [ops.sin(x), x]),
        body((VECTOR,), lambda x: [x * x, filled(VECTOR, 3.0)]),
        body((VECTOR,), lambda x: [filled(VECTOR, 7.0), ops.exp(x)]),
    )
    return items(ops.switch(index, x, branches=bodies))


def floats(*shape: int) -> Array:
    return RANDOM.uniform(0.5, 1.5, (SIZE, *shape))


CASES: dict[str, tuple[Callable[..., Sequence[Node]], list[Array]]] = {
    "scan": (
        recurrence(reverse=False),
        [np.arange(SIZE), floats(2), floats(2), floats(5, 2)],
    ),
    "reverse scan": (
        recurrence(reverse=True),
        [np.arange(SIZE), floats(2), floats(2), floats(5, 2)],
    ),
    "no steps": (recurrence(reverse=False), [np.arange(SIZE), floats(2), floats(2), floats(0, 2)]),
    "nested scan": (nested, [floats(2), floats(2), floats(4, 2)]),
    "while": (doubling, [floats(2), np.array([1.0, 100.0, 9.0])]),
    "counted while": (counted, [floats(2), floats()]),
    "switch": (branches, [np.array([-1, 1, 9]), floats(2)]),
}
SUBSETS = [(n, f) for n, (_, a) in CASES.items() for f in itertools.product((1, 0), repeat=len(a))]


@pytest.mark.parametrize(("name", "flags"), [(n, f) for n, f in SUBSETS if any(f)])
def test_each_example_is_what_its_own_loop_gives(name: str, flags: tuple[int, ...]) -> None:
    function, arrays = CASES[name]
    given = [array if flag else array[0] for array, flag in zip(arrays, flags, strict=True)]
    single = [leaf(TensorType(a.shape[1:], dtypes.as_dtype(a.dtype))) for a in arrays]
    outputs = function(*single)
    images = {
        node: leaf(node.type.with_shape((SIZE, *node.shape)))
        for node, flag in zip(single, flags, strict=True)
        if flag
    }
    found = batch(outputs, images, SIZE)
    places = [images.get(node, node) for node in single]
    got = evaluate([image for image, _ in found], dict(zip(places, given, strict=True)))
    for example in range(SIZE):
        own = [array[example if flag else 0] for array, flag in zip(arrays, flags, strict=True)]
        want = evaluate(outputs, dict(zip(single, own, strict=True)))
        for (_, is_wide), value, expected in zip(found, got, want, strict=True):
            np.testing.assert_allclose(value[example] if is_wide else value, expected, rtol=1e-14)


def test_what_all_examples_share_stays_narrow() -> None:
    """The counter of a scan, and the outputs that depend on nothing batched."""
    types = (COUNT, VECTOR, VECTOR, TensorType((5, 2), dtypes.float64))
    single = [leaf(type_) for type_ in types]
    h = single[1]
    found = batch(recurrence(reverse=False)(*single), {h: leaf(h.type.with_shape((3, 2)))}, 3)
    assert [is_wide for _, is_wide in found] == [False, True, True, False, False]
