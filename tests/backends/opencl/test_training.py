"""The main job on the device: a classifier's forward graph and training step, as on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc
from graphc import nn, optim
from graphc.datasets import load_digits

BATCH, HIDDEN = 9, 12


class Classifier(nn.Module):
    """The demo's model, smaller: the device is a simulator."""

    def __init__(self) -> None:
        self.hidden = nn.Linear(64, HIDDEN, seed=1)
        self.output = nn.Linear(HIDDEN, 10, seed=2)

    def forward(self, images: graphc.Tensor) -> graphc.Tensor:
        logits: graphc.Tensor = self.output(graphc.relu(self.hidden(images)))
        return logits


def train(backend: graphc.api.BackendName) -> list[Any]:
    """Return the losses of three steps, the parameters and the logits after them."""
    digits = load_digits()
    images = digits.train_images[:BATCH].reshape(BATCH, 64).astype(np.float32)
    labels = digits.train_labels[:BATCH].astype(np.int64)
    model, optimizer = Classifier(), optim.Adam(1e-2)

    @graphc.compile(backend=backend)
    def step(images: Any, labels: Any) -> Any:
        loss = nn.cross_entropy(model(images), labels)
        optimizer.minimize(loss, model.parameters())
        return loss

    @graphc.compile(backend=backend)
    def forward(images: Any) -> Any:
        return model(images)

    losses = [np.asarray(step(images, labels)) for _ in range(3)]
    parameters = [np.array(p.state.host()) for p in model.parameters()]
    return [*losses, *parameters, np.asarray(forward(images))]


def test_training_has_the_bits_of_the_cpu() -> None:
    device, cpu = train("opencl"), train("llvm")
    assert device[2] < device[1] < device[0]
    for got, want in zip(device, cpu, strict=True):
        np.testing.assert_array_equal(got, want)


def test_backends_share_variables() -> None:
    """Steps on the device and on the CPU in turn are steps of one training."""
    counter = graphc.Variable(np.zeros(3, np.float32), name="counter")

    def step(amount: Any) -> Any:
        counter.assign(counter + amount)
        return counter * 1

    on_device = graphc.compile(step, backend="opencl")
    on_cpu = graphc.compile(step, backend="llvm")
    one = np.ones(3, np.float32)
    seen = [float(np.asarray(run(one))[0]) for run in (on_device, on_cpu, on_cpu, on_device)]
    assert seen == [1, 2, 3, 4]
    assert counter.state.host().tolist() == [4, 4, 4]
