"""A training step of an LSTM with Adam: batches of 64 sequences of 32 steps, from 128 to 256 units;
and its first call. PyTorch's runs its own fused layer; the second of its two biases stays 0."""

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks import training
from benchmarks.work import Array, Work, normal

BATCH, STEPS, INPUTS, HIDDEN = 64, 32, 128, 256
GATES = 4 * HIDDEN


def inputs() -> list[Array]:
    """Return sequences, targets, the weights of inputs and of the state, and the bias."""
    scale = np.float32(HIDDEN**-0.5)
    return [
        normal(BATCH, STEPS, INPUTS),
        np.tanh(normal(BATCH, STEPS, HIDDEN, seed=1)),
        normal(INPUTS, GATES, seed=2) * scale,
        normal(HIDDEN, GATES, seed=3) * scale,
        np.zeros(GATES, np.float32),
    ]


def graphc_step(g: Any, compile: Any, x: Array, targets: Array, *weights: Array) -> Any:
    """Return the call that takes a step with the layer of `nn`."""
    model = g.nn.LSTM(INPUTS, HIDDEN, seed=0)
    for parameter, value in zip(model.parameters(), weights, strict=True):
        parameter.assign(value)
    optimizer = g.optim.Adam(training.RATE)

    def step(x: Any, targets: Any) -> Any:
        loss = g.nn.mse(model(x)[0], targets)
        optimizer.minimize(loss, model.parameters())
        return loss

    return functools.partial(compile(step), x, targets)


def torch_step(torch: Any, compile: Any, x: Any, targets: Any, *weights: Any) -> Any:
    """Return the call that takes a step with PyTorch's layer and its fused optimiser."""
    model = torch.nn.LSTM(INPUTS, HIDDEN, batch_first=True)
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), (*weights, 0 * weights[-1]), strict=True):
            parameter.copy_(value.T)
    model.bias_hh_l0.requires_grad_(False)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, training.RATE, fused=True)
    loss_of = compile(lambda x, y: torch.nn.functional.mse_loss(model(x)[0], y))

    def step() -> Any:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(x, targets)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def jax_loss(jax: Any, parameters: Sequence[Any], batch: Sequence[Any]) -> Any:
    """Return the loss, the product of all inputs before the loop."""
    (x, targets), (weight_input, weight_hidden, bias) = batch, parameters
    jnp = jax.numpy

    def step(state: Any, projected: Any) -> Any:
        h, c = state
        i, f, g, o = jnp.split(projected + h @ weight_hidden, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zeros = jnp.zeros((BATCH, HIDDEN), x.dtype)
    _, outputs = jax.lax.scan(step, (zeros, zeros), jnp.moveaxis(x @ weight_input + bias, 1, 0))
    return jnp.mean((jnp.moveaxis(outputs, 0, 1) - targets) ** 2)


STEP = Work(
    name="lstm step",
    inputs=inputs,
    stateful=True,
    graphc=graphc_step,
    torch=torch_step,
    jax=training.for_jax(jax_loss, 2),
    flops=2 * BATCH * STEPS * GATES * (2 * INPUTS + 3 * HIDDEN),  # no gradient of the inputs
    bar=0.8,
)
WORKS = [STEP, replace(STEP, name="lstm step, first call", measure="first call", bar=None)]
