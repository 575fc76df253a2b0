"""Learn what a filter does to each frequency, from signals that went in and came out.

The response is one complex number a frequency: how much it is amplified, and by how much its phase
is turned. Gradient descent finds it through the transforms there and back. Run it:

python examples/spectral_filter.py
"""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc
from graphc import fft, optim

LENGTH = 64
STEPS = 200


def true_response() -> Any:
    """Return the filter to be found: it lets low frequencies pass, three samples late."""
    frequencies = np.fft.rfftfreq(LENGTH)
    late = np.exp(-2j * np.pi * 3 * frequencies)
    return (late / (1 + (frequencies / 0.1) ** 4)).astype(np.complex64)


def signals(count: int) -> tuple[Any, Any]:
    """Return noise, and what the filter makes of it."""
    given = np.random.default_rng(0).standard_normal((count, LENGTH)).astype(np.float32)
    made = np.fft.irfft(np.fft.rfft(given) * true_response(), LENGTH).astype(np.float32)
    return given, made


def learn(steps: int = STEPS) -> tuple[Any, float]:
    """Return the response that was learnt, and its greatest distance from the true one."""
    given, made = signals(256)
    response = graphc.Variable(np.zeros(LENGTH // 2 + 1, np.complex64), name="response")
    optimizer = optim.SGD(learning_rate=0.05)

    @graphc.compile
    def step(x: Any, y: Any) -> Any:
        guessed = fft.irfft(fft.rfft(x) * response, LENGTH)
        loss = ((guessed - y) ** 2).sum(axis=-1).mean()
        optimizer.minimize(loss, [response])
        return loss

    for number in range(steps):
        loss = step(given, made)
        if number % 50 == 0:
            print(f"step {number}: loss {float(loss):.1e}")
    # the transform back reads no imaginary part of the first and of the last frequency
    inner = slice(1, -1)
    error = np.abs(response.value - true_response())[inner].max()
    return response.value, float(error)


if __name__ == "__main__":
    _, error = learn()
    print(f"the response is known to {error:.1e}")
