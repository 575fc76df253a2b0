"""Training steps with AdamW, the same for every work that trains: given the loss, one function for
each framework returns the finished call.

A loss is a function (framework's module, parameters, batch) to a scalar; `parameters` is a list of
the framework's tensors. The call takes a step on the same batch each time and returns the loss.
Source: Loshchilov and Hutter, arXiv:1711.05101; without decay it is Adam.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

Loss: TypeAlias = Callable[[Any, Sequence[Any], Sequence[Any]], Any]
Spelling: TypeAlias = Callable[..., Any]
RATE, BETA1, BETA2, EPSILON = 1e-3, 0.9, 0.999, 1e-8


def for_graphc(loss_of: Loss, batch_size: int, decay: float = 0.0) -> Spelling:
    """Return the spelling for graphc; the first `batch_size` inputs are the batch."""

    def spell(g: Any, compile: Any, *arrays: Any) -> Any:
        batch, parameters = arrays[:batch_size], [g.Variable(a) for a in arrays[batch_size:]]

        optimizer = g.optim.AdamW(RATE, BETA1, BETA2, EPSILON, weight_decay=decay)

        def step(*batch: Any) -> Any:
            loss = loss_of(g, parameters, batch)
            optimizer.minimize(loss, parameters)
            return loss

        return functools.partial(compile(step), *batch)

    return spell


def for_torch(loss_of: Loss, batch_size: int, decay: float = 0.0) -> Spelling:
    """Return the spelling for torch, with the fused optimiser; the compiler is given the loss."""

    def spell(torch: Any, compile: Any, *tensors: Any) -> Any:
        batch = tensors[:batch_size]
        parameters = [tensor.clone().requires_grad_() for tensor in tensors[batch_size:]]
        optimizer = torch.optim.AdamW(
            parameters, RATE, (BETA1, BETA2), EPSILON, weight_decay=decay, fused=True
        )
        compiled = compile(functools.partial(loss_of, torch))

        def step() -> Any:
            optimizer.zero_grad(set_to_none=True)
            loss = compiled(parameters, batch)
            loss.backward()
            optimizer.step()
            return loss.detach()

        return step

    return spell


def for_jax(loss_of: Loss, batch_size: int, decay: float = 0.0) -> Spelling:
    """Return the spelling for JAX, which is given its state away and gets the new one back."""

    def spell(jax: Any, compile: Any, *arrays: Any) -> Any:
        jnp, tree, batch = jax.numpy, jax.tree.map, arrays[:batch_size]
        value_and_grad = jax.value_and_grad(functools.partial(loss_of, jax))

        def step(state: Any, batch: Any) -> Any:
            weights, first, second, count = state
            loss, slopes = value_and_grad(weights, batch)
            first = tree(lambda m, g: BETA1 * m + (1 - BETA1) * g, first, slopes)
            second = tree(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, second, slopes)
            count = count + 1
            rate1, rate2 = RATE / (1 - BETA1**count), 1 / (1 - BETA2**count)

            def update(w: Any, m: Any, v: Any) -> Any:
                return w * (1 - RATE * decay) - rate1 * m / (jnp.sqrt(v * rate2) + EPSILON)

            return (tree(update, weights, first, second), first, second, count), loss

        compiled = compile(step, donate_argnums=(0,))
        weights = [jnp.array(array) for array in arrays[batch_size:]]
        zeros = [[jnp.zeros_like(weight) for weight in weights] for _ in range(2)]
        state = (weights, *zeros, jnp.float32(0))

        def call() -> Any:
            nonlocal state
            state, loss = compiled(state, batch)
            return loss

        return call

    return spell
