"""Small graphs of the kind that people write, built from ops, for tests of the passes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from graphc import dtypes, ops
from graphc.dtypes import DType
from graphc.graph import Graph
from graphc.node import ArrayData, Node, fresh_number
from graphc.passes.differentiate import gradients
from graphc.state import VariableState
from graphc.target import Target
from graphc.tensor_type import TensorType

TARGET = Target("test", "cpu", vector_bytes=64, vector_registers=32, cores=2)


def placeholder(shape: tuple[int, ...], dtype: DType = dtypes.float32) -> Node:
    return ops.input_(number=fresh_number(), name="x", shape=shape, dtype=dtype)


def constant(value: Any, dtype: DType = dtypes.float32) -> Node:
    return ops.constant(value=ArrayData(np.array(value, dtype.numpy)))


def variable(shape: tuple[int, ...], value: Any = 0.0) -> Node:
    type_ = TensorType(shape, dtypes.float32)
    return ops.variable(state=VariableState(type_, np.asarray(value, np.float32)))


def spread(x: Node, shape: tuple[int, ...]) -> Node:
    return ops.broadcast_to(x, shape=shape)


def filled(value: float, shape: tuple[int, ...]) -> Node:
    return spread(constant(value), shape)


def over_rows(x: Node, shape: tuple[int, ...]) -> Node:
    """Return one value a row repeated along a new last axis."""
    return spread(ops.reshape(x, shape=(*x.shape, 1)), shape)


def softmax(x: Node) -> Node:
    last = (len(x.shape) - 1,)
    exponential = ops.exp(ops.subtract(x, over_rows(ops.max_(x, axes=last), x.shape)))
    return ops.divide(exponential, over_rows(ops.sum_(exponential, axes=last), x.shape))


def layer_norm(x: Node, scale: Node, shift: Node) -> Node:
    last, count = (len(x.shape) - 1,), x.shape[-1]
    mean = ops.multiply(ops.sum_(x, axes=last), filled(1 / count, x.shape[:-1]))
    centred = ops.subtract(x, over_rows(mean, x.shape))
    squares = ops.sum_(ops.square(centred), axes=last)
    variance = ops.add(
        ops.multiply(squares, filled(1 / count, mean.shape)), filled(1e-5, mean.shape)
    )
    inverse = ops.divide(filled(1.0, mean.shape), ops.sqrt(variance))
    normal = ops.multiply(centred, over_rows(inverse, x.shape))
    return ops.add(ops.multiply(normal, spread(scale, x.shape)), spread(shift, x.shape))


def relu(x: Node) -> Node:
    return ops.maximum(x, filled(0.0, x.shape))


def matmul(a: Node, b: Node) -> Node:
    return ops.contraction(a, b, lhs="ik", rhs="kj", out="ij")


def linear(x: Node, weights: Node, bias: Node) -> Node:
    product = matmul(x, weights)
    return ops.add(product, spread(bias, product.shape))


def adam(parameter: Node, gradient: Node, rate: Node) -> list[tuple[Node, Node]]:
    """Return the assignments of Adam: the two moments and the parameter."""
    shape = parameter.shape
    first, second = variable(shape), variable(shape)
    mean = ops.add(
        ops.multiply(first, filled(0.9, shape)), ops.multiply(gradient, filled(0.1, shape))
    )
    square = ops.add(
        ops.multiply(second, filled(0.99, shape)),
        ops.multiply(ops.square(gradient), filled(0.01, shape)),
    )
    step = ops.divide(mean, ops.add(ops.sqrt(square), filled(1e-8, shape)))
    update = ops.subtract(parameter, ops.multiply(spread(rate, shape), step))
    return [(first, mean), (second, square), (parameter, update)]


def classifier_step(sizes: tuple[int, ...], batch: int, *, backwards: bool = False) -> Graph:
    """Return one training step of a classifier: the loss, and Adam's updates of its variables."""
    random = np.random.default_rng(0)
    x, labels = placeholder((batch, sizes[0])), placeholder((batch, sizes[-1]))
    hidden, parameters = x, []
    for fan_in, fan_out in itertools.pairwise(sizes):
        weights = variable((fan_in, fan_out), random.standard_normal((fan_in, fan_out)) * 0.3)
        bias = variable((fan_out,))
        parameters += [weights, bias]
        hidden = linear(hidden if len(parameters) == 2 else relu(hidden), weights, bias)
    probabilities = softmax(hidden)
    picked = ops.sum_(ops.multiply(ops.log(probabilities), labels), axes=(1,))
    loss = ops.multiply(ops.sum_(picked, axes=(0,)), constant(-1 / batch))
    cotangents = gradients([loss], [constant(1.0)], parameters)
    rate = constant(0.01)
    updates = [
        assignment
        for parameter, gradient in zip(parameters, cotangents, strict=True)
        for assignment in adam(parameter, gradient, rate)
    ]
    return Graph([x, labels], [loss], updates[::-1] if backwards else updates)
