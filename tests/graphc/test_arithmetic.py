"""Operators on nodes and the constants that numbers beside them become."""

import numpy as np
import pytest

from graphc import dtypes, ops
from graphc.arithmetic import filled, lift, zeros_like
from graphc.errors import GraphcError
from graphc.interpreter import evaluate
from graphc.node import Node, fresh_number
from graphc.tensor_type import TensorType


def tensor(*shape: int) -> Node:
    return ops.input_(number=fresh_number(), name="x", shape=shape, dtype=dtypes.float32)


def test_operators_are_the_ops() -> None:
    x, y = tensor(2), tensor(2)
    assert x + y is ops.add(x, y)
    assert x - y is ops.subtract(x, y)
    assert x * y is ops.multiply(x, y)
    assert x / y is ops.divide(x, y)
    assert -x is ops.negative(x)


def test_numbers_are_constants_of_the_nodes_type() -> None:
    x = tensor(2, 3)
    at = np.full((2, 3), 4, np.float32)
    results = evaluate([x + 1, 1 + x, x - 1, 1 - x, x * 2, 2 * x, x / 2, 2 / x], {x: at})
    assert [r[1, 2] for r in results] == [5, 5, 3, -3, 8, 8, 2, 0.5]
    assert all(r.dtype == np.float32 and r.shape == (2, 3) for r in results)


def test_equality_stays_identity() -> None:
    x, y = tensor(2), tensor(2)
    assert x != y and x == x and len({x, y, x}) == 2  # noqa: PLR0124  # that is the question


def test_filled_is_a_broadcast_scalar() -> None:
    node = filled(TensorType((2, 3), dtypes.bfloat16), 1.5)
    assert node.op is ops.broadcast_to and node.inputs[0].shape == ()
    assert filled(TensorType((), dtypes.int8), -3).op is ops.constant
    assert zeros_like(node) is filled(node.type, 0)
    assert not np.signbit(evaluate([zeros_like(node)])[0].astype(np.float32)).any()
    assert lift(node, node) is node


def test_types_are_not_promoted() -> None:
    with pytest.raises(GraphcError, match="one shape"):
        tensor(2) + tensor(3)
