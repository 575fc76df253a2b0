"""A multilayer perceptron, 784-512-512-10 with ReLU on batches of 128: a training step with Adam,
and the first call of its loss and gradients."""

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks import training
from benchmarks.work import Array, Work, integers, normal

WIDTHS, BATCH = (784, 512, 512, 10), 128
PAIRS = tuple(itertools.pairwise(WIDTHS))
WEIGHTS = sum(wide * narrow for wide, narrow in PAIRS)


def inputs() -> list[Array]:
    """Return images, labels, and a weight and a bias for each layer."""
    found = [normal(BATCH, WIDTHS[0]), integers(WIDTHS[-1], BATCH)]
    for layer, (wide, narrow) in enumerate(PAIRS):
        weight = normal(wide, narrow, seed=layer) * np.float32((2 / wide) ** 0.5)
        found += [weight, np.zeros(narrow, np.float32)]
    return found


def logits(relu: Callable[[Any], Any], images: Any, parameters: Sequence[Any]) -> Any:
    """Return the scores of the classes; tensors of any framework."""
    hidden = images
    for layer in range(0, len(parameters), 2):
        scores = hidden @ parameters[layer] + parameters[layer + 1]
        hidden = relu(scores)
    return scores


def graphc_loss(g: Any, parameters: Sequence[Any], batch: Sequence[Any]) -> Any:
    """Return the mean cross entropy."""
    images, labels = batch
    return g.nn.cross_entropy(logits(g.relu, images, parameters), labels)


def torch_loss(torch: Any, parameters: Sequence[Any], batch: Sequence[Any]) -> Any:
    """Return the mean cross entropy."""
    images, labels = batch
    return torch.nn.functional.cross_entropy(logits(torch.relu, images, parameters), labels)


def jax_loss(jax: Any, parameters: Sequence[Any], batch: Sequence[Any]) -> Any:
    """Return the mean cross entropy."""
    images, labels = batch
    scores = jax.nn.log_softmax(logits(jax.nn.relu, images, parameters))
    return -jax.numpy.take_along_axis(scores, labels[:, None], axis=-1).mean()


def graphc_gradients(g: Any, compile: Any, images: Array, labels: Array, *weights: Array) -> Any:
    """Return the call that gives the loss and the gradients."""
    call = compile(g.value_and_grad(functools.partial(graphc_loss, g)))
    return functools.partial(call, list(weights), (images, labels))


def torch_gradients(torch: Any, compile: Any, images: Any, labels: Any, *weights: Any) -> Any:
    """Return the call that gives the loss and the gradients."""
    parameters = [weight.clone().requires_grad_() for weight in weights]
    loss_of = compile(functools.partial(torch_loss, torch))

    def call() -> Any:
        loss = loss_of(parameters, (images, labels))
        return [loss, *torch.autograd.grad(loss, parameters)]

    return call


def jax_gradients(jax: Any, compile: Any, images: Any, labels: Any, *weights: Any) -> Any:
    """Return the call that gives the loss and the gradients."""
    call = compile(jax.value_and_grad(functools.partial(jax_loss, jax)))
    return functools.partial(call, list(weights), (images, labels))


STEP = Work(
    name="mlp step",
    inputs=inputs,
    stateful=True,
    graphc=training.for_graphc(graphc_loss, 2),
    torch=training.for_torch(torch_loss, 2),
    jax=training.for_jax(jax_loss, 2),
    flops=2 * BATCH * (3 * WEIGHTS - WIDTHS[0] * WIDTHS[1]),  # no gradient of the images
    bar=1.2,
)
WORKS = [
    STEP,
    replace(STEP, name="mlp step, first call", measure="first call", bar=None),
    Work(
        name="mlp loss and gradients, first call",
        inputs=inputs,
        stateful=True,
        graphc=graphc_gradients,
        torch=torch_gradients,
        jax=jax_gradients,
        measure="first call",
        bar=2.5,
    ),
]
