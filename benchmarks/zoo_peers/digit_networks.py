"""The feed-forward networks of the zoo in PyTorch: the same layers, batches, rates and epochs.

First weights are drawn by PyTorch, by the rule that the network of the zoo follows.
"""

from __future__ import annotations

import importlib
from typing import Any

from graphc.zoo.shared.data import digits
from graphc.zoo.shared.data import order as fixed_order


def _torch(seed: int) -> Any:
    torch = importlib.import_module("torch")
    torch.manual_seed(seed)
    return torch


def _layers(seed: int, count: int, width: int, scale: float = 1.0) -> Any:
    """Return a deep network of relu with He's initialisation."""
    torch = _torch(seed)
    layers: list[Any] = []
    for _ in range(count):
        layer = torch.nn.Linear(64, width)
        torch.nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
        torch.nn.init.zeros_(layer.bias)
        layer.weight.data *= scale
        layers += [layer, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(width, 10))


def _train(
    model: Any, optimizer: Any, epochs: int, clip: float | None = None, falls: bool = False
) -> float:
    """Train on the digits, with a rate that falls as half a cosine if asked for; the accuracy."""
    torch = importlib.import_module("torch")
    data = digits()
    steps = epochs * -(-len(data.train_x) // 64)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for epoch in range(epochs):
        places = fixed_order(len(data.train_x), seed=epoch)
        for start in range(0, len(places), 64):
            chosen = places[start : start + 64]
            x, y = torch.tensor(data.train_x[chosen]), torch.tensor(data.train_y[chosen])
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x), y).backward()
            if clip is not None:
                torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            if falls:
                schedule.step()
    model.eval()
    found = model(torch.tensor(data.test_x)).detach().numpy().argmax(axis=1)
    return float((found == data.test_y).mean())


def exploding_gradients(seed: int) -> float:
    """Return the accuracy of the same network, with its clipping."""
    torch = _torch(seed)
    model = _layers(seed, 12, 64, 1.7)
    return _train(model, torch.optim.SGD(model.parameters(), 0.05), 120, clip=1.0)


def initialisations(seed: int) -> float:
    """Return the accuracy with He's scheme less that of zeros."""
    torch = _torch(seed)
    found = []
    for scale in (1.0, 0.0):
        model = _layers(seed, 8, 64, scale)
        model[-1].weight.data *= scale
        optimizer = torch.optim.Adam(model.parameters(), 1e-3)
        found.append(_train(model, optimizer, 20))
    return found[0] - found[1]


def variational_autoencoder(seed: int) -> float:
    """Return the negative evidence lower bound of the same network."""
    torch = _torch(seed)
    from graphc.zoo.variational_autoencoder import CODE

    linear = torch.nn.Linear
    hidden, mean, spread = linear(64, 128), linear(128, CODE), linear(128, CODE)
    decoder = torch.nn.Sequential(linear(CODE, 128), torch.nn.ReLU(), linear(128, 64))
    modules = torch.nn.ModuleList([hidden, mean, spread, decoder])
    optimizer, data = torch.optim.Adam(modules.parameters(), 2e-3), digits()

    def loss(images: Any) -> Any:
        features = torch.relu(hidden(images))
        center, variance = mean(features), spread(features)
        scores = decoder(center + torch.exp(variance / 2) * torch.randn_like(center))
        lacks = torch.nn.functional.binary_cross_entropy_with_logits(
            scores, images, reduction="none"
        )
        cloud = torch.exp(variance) + center**2 - 1 - variance
        return (lacks.sum(-1) + cloud.sum(-1) / 2).mean()

    for epoch in range(150):
        places = fixed_order(len(data.train_x), seed=epoch)
        for start in range(0, len(places) - 63, 64):
            optimizer.zero_grad()
            loss(torch.tensor(data.train_x[places[start : start + 64]])).backward()
            optimizer.step()
    return float(loss(torch.tensor(data.test_x)).detach())


def convolutional_network(seed: int) -> float:
    """Return the accuracy of the same convolutions."""
    torch = _torch(seed)
    nn = torch.nn
    model = nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(128, 10),
    )  # fmt: skip
    return _train(model, torch.optim.Adam(model.parameters(), 2e-3), 20)


def residual_network(seed: int) -> float:
    """Return the accuracy of the same residual network, in evaluation mode."""
    torch = _torch(seed)
    nn = torch.nn

    def convolution(inputs: int) -> list[Any]:
        return [nn.Conv2d(inputs, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)]

    class Block(nn.Module):  # type: ignore[misc, name-defined]  # torch has no types here
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(*convolution(16), nn.ReLU(), *convolution(16))

        def forward(self, x: Any) -> Any:
            return torch.relu(x + self.body(x))

    model = nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)), *convolution(1), nn.ReLU(), Block(), Block(), nn.MaxPool2d(2),
        *(Block() for _ in range(7)), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10),
    )  # fmt: skip
    return _train(model, torch.optim.Adam(model.parameters(), 3e-3), 10, falls=True)


def neural_ode(seed: int) -> float:
    """Return the accuracy of the same differential equation, unrolled into its steps."""
    torch = _torch(seed)
    from graphc.zoo.neural_ode import STATE, STEPS

    class Equation(torch.nn.Module):  # type: ignore[misc, name-defined]  # no types here
        def __init__(self) -> None:
            super().__init__()
            linear = torch.nn.Linear
            self.start, self.scores = linear(64, STATE), linear(STATE, 10)
            self.inner, self.outer = linear(STATE + 1, 64), linear(64, STATE)

        def speed(self, state: Any, time: float) -> Any:
            times = torch.full((len(state), 1), time)
            return self.outer(torch.tanh(self.inner(torch.cat([state, times], dim=1))))

        def forward(self, images: Any) -> Any:
            state, length = self.start(images), 1 / STEPS
            for step in range(STEPS):
                time = step * length
                a = self.speed(state, time)
                b = self.speed(state + length / 2 * a, time + length / 2)
                c = self.speed(state + length / 2 * b, time + length / 2)
                d = self.speed(state + length * c, time + length)
                state = state + length / 6 * (a + 2 * b + 2 * c + d)
            return self.scores(state)

    model = Equation()
    return _train(model, torch.optim.Adam(model.parameters(), 3e-3), 40)


def vanishing_gradients(seed: int) -> float:
    """Return the gradient of the first residual layer over that of the last, before training."""
    torch = _torch(seed)
    from graphc.zoo.vanishing_gradients import LAYERS, WIDTH

    data = digits()
    layers = [torch.nn.Linear(WIDTH, WIDTH) for _ in range(LAYERS)]
    scores, x = torch.nn.Linear(WIDTH, 10), torch.tensor(data.train_x[:64])
    for layer in layers:
        torch.nn.init.normal_(layer.weight, 0, 0.05)
        torch.nn.init.zeros_(layer.bias)
        x = x + torch.relu(layer(x))
    torch.nn.functional.cross_entropy(scores(x), torch.tensor(data.train_y[:64])).backward()
    return float(layers[0].weight.grad.norm() / layers[-1].weight.grad.norm())
