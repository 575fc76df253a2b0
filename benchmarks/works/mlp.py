"""A multilayer perceptron, 784-512-512-10 with ReLU on batches of 128: a training step with Adam,
and the first call of its loss and gradients."""

import functools
import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.work import Array, Work, integers, normal

WIDTHS, BATCH = (784, 512, 512, 10), 128
RATE, BETA1, BETA2, EPSILON = 1e-3, 0.9, 0.999, 1e-8
PAIRS = tuple(itertools.pairwise(WIDTHS))
WEIGHTS = sum(wide * narrow for wide, narrow in PAIRS)


def inputs() -> list[Array]:
    """Return images, labels, and a weight and a bias for each layer."""
    found = [normal(BATCH, WIDTHS[0]), integers(WIDTHS[-1], BATCH)]
    for layer, (wide, narrow) in enumerate(PAIRS):
        weight = normal(wide, narrow, seed=layer) * np.float32((2 / wide) ** 0.5)
        found += [weight, np.zeros(narrow, np.float32)]
    return found


def logits(relu: Callable[[Any], Any], images: Any, parameters: Any) -> Any:
    """Return the scores of the classes; tensors of any framework."""
    hidden = images
    for layer in range(0, len(parameters), 2):
        scores = hidden @ parameters[layer] + parameters[layer + 1]
        hidden = relu(scores)
    return scores


def graphc_loss(g: Any, images: Any, labels: Any, parameters: Any) -> Any:
    """Return the mean cross entropy."""
    return g.nn.cross_entropy(logits(g.relu, images, parameters), labels)


def torch_loss(torch: Any, images: Any, labels: Any, parameters: Any) -> Any:
    """Return the mean cross entropy."""
    return torch.nn.functional.cross_entropy(logits(torch.relu, images, parameters), labels)


def jax_loss(jax: Any, images: Any, labels: Any, parameters: Any) -> Any:
    """Return the mean cross entropy."""
    scores = jax.nn.log_softmax(logits(jax.nn.relu, images, parameters))
    return -jax.numpy.take_along_axis(scores, labels[:, None], axis=-1).mean()


def graphc_step(g: Any, compile: Any, images: Array, labels: Array, *weights: Array) -> Any:
    """Return the training step on variables."""
    parameters = [g.Variable(weight) for weight in weights]
    optimizer = g.optim.Adam(RATE, BETA1, BETA2, EPSILON)

    def step(images: Any, labels: Any) -> Any:
        loss = graphc_loss(g, images, labels, parameters)
        optimizer.minimize(loss, parameters)
        return loss

    return functools.partial(compile(step), images, labels)


def torch_step(torch: Any, compile: Any, images: Any, labels: Any, *weights: Any) -> Any:
    """Return the training step with the fused Adam."""
    parameters = [weight.clone().requires_grad_() for weight in weights]
    optimizer = torch.optim.Adam(parameters, RATE, (BETA1, BETA2), EPSILON, fused=True)
    loss_of = compile(functools.partial(torch_loss, torch))

    def step() -> Any:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(images, labels, parameters)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def jax_step(jax: Any, compile: Any, images: Any, labels: Any, *weights: Any) -> Any:
    """Return the training step, which is given its state away and gets the new one back."""
    jnp, tree = jax.numpy, jax.tree.map
    value_and_grad = jax.value_and_grad(functools.partial(jax_loss, jax), argnums=2)

    def step(state: Any, images: Any, labels: Any) -> Any:
        weights, first, second, count = state
        loss, slopes = value_and_grad(images, labels, weights)
        first = tree(lambda m, g: BETA1 * m + (1 - BETA1) * g, first, slopes)
        second = tree(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, second, slopes)
        count = count + 1
        rate1, rate2 = RATE / (1 - BETA1**count), 1 / (1 - BETA2**count)
        weights = tree(
            lambda w, m, v: w - rate1 * m / (jnp.sqrt(v * rate2) + EPSILON), weights, first, second
        )
        return (weights, first, second, count), loss

    compiled = compile(step, donate_argnums=(0,))
    zeros = [[jnp.zeros_like(weight) for weight in weights] for _ in range(2)]
    state = ([jnp.array(weight) for weight in weights], *zeros, jnp.float32(0))

    def call() -> Any:
        nonlocal state
        state, loss = compiled(state, images, labels)
        return loss

    return call


def torch_gradients(torch: Any, compile: Any, images: Any, labels: Any, *weights: Any) -> Any:
    """Return the call that gives the loss and the gradients."""
    parameters = [weight.clone().requires_grad_() for weight in weights]
    loss_of = compile(functools.partial(torch_loss, torch))

    def call() -> Any:
        loss = loss_of(images, labels, parameters)
        return [loss, *torch.autograd.grad(loss, parameters)]

    return call


def graphc_gradients(g: Any, compile: Any, images: Array, labels: Array, *weights: Array) -> Any:
    """Return the call that gives the loss and the gradients."""
    loss_of = functools.partial(graphc_loss, g)
    call = compile(g.value_and_grad(loss_of, argnums=2))
    return functools.partial(call, images, labels, list(weights))


def jax_gradients(jax: Any, compile: Any, images: Any, labels: Any, *weights: Any) -> Any:
    """Return the call that gives the loss and the gradients."""
    call = compile(jax.value_and_grad(functools.partial(jax_loss, jax), argnums=2))
    return functools.partial(call, images, labels, list(weights))


STEP = Work(
    name="mlp step",
    inputs=inputs,
    stateful=True,
    graphc=graphc_step,
    torch=torch_step,
    jax=jax_step,
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
