"""What other libraries reach on the data of the zoo: `python -m benchmarks.zoo_peers NAME…`.

Each function gives the peer's value of one network, on the same split and for the same metric, with
scikit-learn or NumPy, or with PyTorch where it says so (from the environment of `make bench`). The
values stand in the networks' files as `peer`; they are measured when a network is added, not when
it runs.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import zoo_sequence_peers as sequences
from graphc.zoo.shared.data import breast_cancer, digits, photograph
from graphc.zoo.shared.data import order as fixed_order

__all__ = ["PEERS", "main"]


def perceptron() -> float:
    """Return the accuracy of scikit-learn's Perceptron."""
    from sklearn.linear_model import Perceptron

    data = breast_cancer()
    return float(Perceptron(random_state=0).fit(*data.train).score(*data.test))


def multi_layer_perceptron(train: Any = None, **options: Any) -> float:
    """Return the accuracy of scikit-learn's MLPClassifier, trained on the digits or on `train`."""
    from sklearn.neural_network import MLPClassifier

    settings = {"hidden_layer_sizes": (128, 64), "batch_size": 64, "max_iter": 30} | options
    model = MLPClassifier(random_state=0, **settings)
    data = digits()
    return float(model.fit(*(train or data.train)).score(*data.test))


def gradient_descents() -> float:
    """Return the accuracy of scikit-learn's MLPClassifier with plain gradient descent."""
    return multi_layer_perceptron(
        hidden_layer_sizes=(64,), solver="sgd", momentum=0, learning_rate_init=0.2, batch_size=32,
        max_iter=30,
    )  # fmt: skip


def learning_rates() -> float:
    """Return the same with the good rate."""
    return multi_layer_perceptron(
        hidden_layer_sizes=(64,), solver="sgd", momentum=0, learning_rate_init=0.2, batch_size=32,
        max_iter=30,
    )  # fmt: skip


def _components(count: int) -> tuple[Any, Any]:
    from sklearn.decomposition import PCA

    data = digits()
    return PCA(count).fit(data.train_x), data


def autoencoder() -> float:
    """Return the squared error of eight principal components."""
    model, data = _components(8)
    drawn = model.inverse_transform(model.transform(data.test_x))
    return float(np.square(drawn - data.test_x).mean())


def denoising_autoencoder() -> float:
    """Return the squared error of principal components of noisy images, the best number of them."""
    from graphc.zoo.denoising_autoencoder import spoil

    errors = []
    for count in range(4, 64, 4):
        model, data = _components(count)
        cleaned = model.inverse_transform(model.transform(spoil(data.test_x, [7, 7])))
        errors.append(float(np.square(cleaned.clip(0, 1) - data.test_x).mean()))
    return min(errors)


def restricted_boltzmann_machine() -> float:
    """Return the accuracy of logistic regression on scikit-learn's BernoulliRBM."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import BernoulliRBM
    from sklearn.pipeline import make_pipeline

    machine = BernoulliRBM(128, learning_rate=0.05, batch_size=16, n_iter=60, random_state=0)
    data = digits()
    model = make_pipeline(machine, LogisticRegression(max_iter=3000, C=100))
    return float(model.fit(*data.train).score(*data.test))


def layerwise_pretraining() -> float:
    """Return the accuracy of MLPClassifier with sigmoids on 200 labels."""
    data = digits()
    few = data.train_x[:200], data.train_y[:200]
    return multi_layer_perceptron(
        few, hidden_layer_sizes=(128, 128, 128), activation="logistic", batch_size=20, max_iter=60,
        learning_rate_init=2e-3,
    )  # fmt: skip


def regularisation() -> float:
    """Return the accuracy of MLPClassifier on the same labels, the best of several penalties."""
    from graphc.zoo.regularisation import spoilt_digits

    return max(
        multi_layer_perceptron(
            spoilt_digits(), hidden_layer_sizes=(256,), batch_size=25, max_iter=200, alpha=alpha
        )
        for alpha in (0.01, 0.1, 1.0, 10.0)
    )


def graph_network() -> float:
    """Return the accuracy of scikit-learn's label spreading, with the friendships as its kernel."""
    import networkx
    from sklearn.semi_supervised import LabelSpreading

    club = networkx.karate_club_graph()
    friends = networkx.to_numpy_array(club, weight=None)
    sides = np.array([int(club.nodes[n]["club"] == "Officer") for n in club])
    told = np.full(34, -1)
    told[[0, 33]] = sides[[0, 33]]
    model = LabelSpreading(kernel=lambda a, b: friends[np.ix_(a[:, 0], b[:, 0])], alpha=0.8)
    model.fit(np.arange(34)[:, None], told)
    others = np.setdiff1d(np.arange(34), [0, 33])
    return float((model.transduction_ == sides)[others].mean())


def matrix_factorisation() -> float:
    """Return the error of singular value decompositions, filled in until they settle."""
    image = photograph()
    known = np.zeros(image.size, bool)
    known[fixed_order(image.size, seed=1)[: round(0.4 * image.size)]] = True
    known = known.reshape(image.shape)
    errors = []
    for rank in range(2, 24, 2):
        filled = np.where(known, image, image[known].mean())
        for _ in range(200):
            u, s, v = np.linalg.svd(filled, full_matrices=False)
            filled = np.where(known, image, (u[:, :rank] * s[:rank]) @ v[:rank])
        errors.append(float(np.sqrt(np.square(filled - image)[~known].mean())))
    return min(errors)


def word_embeddings() -> float:
    """Return how many random words the decomposition of co-occurrences scores below neighbours."""
    from graphc.zoo.word_embeddings import BATCH, SIZE, WORDS, Corpus

    corpus = Corpus(0)
    table = np.zeros((WORDS, WORDS))
    np.add.at(table, corpus.train, 1.0)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / table.sum()
    information = np.log(np.maximum(table / np.maximum(expected, 1e-9), 1.0))
    u, s, v = np.linalg.svd(information)
    scores = (u[:, :SIZE] * s[:SIZE]) @ v[:SIZE]
    above = [
        (scores[word, context[:, 0]][:, None] > scores[word[:, None], context[:, 1:]]).mean()
        for ((word, context),) in corpus.batches(corpus.test, 10**6)
        if len(word) == BATCH
    ]
    return float(np.mean(above))


def chance() -> float:
    """Return the mean return of CartPole when the cart is pushed at random."""
    from graphc.zoo.shared.cart_pole import mean_return

    random = np.random.default_rng(0)
    return mean_return(lambda seen: random.integers(0, 2, len(seen)), 200, 0)


def _torch() -> Any:
    return importlib.import_module("torch")


def _torch_layers(count: int, width: int, scale: float = 1.0) -> Any:
    """Return a deep network of relu with He's initialisation, in PyTorch."""
    torch = _torch()
    torch.manual_seed(0)
    layers: list[Any] = []
    for _ in range(count):
        layer = torch.nn.Linear(64, width)
        torch.nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
        torch.nn.init.zeros_(layer.bias)
        layer.weight.data *= scale
        layers += [layer, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(width, 10))


def _torch_train(model: Any, optimizer: Any, epochs: int, clip: float | None = None) -> float:
    """Train on the digits with PyTorch and return the held-out accuracy."""
    torch = _torch()
    data = digits()
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
    model.eval()
    found = model(torch.tensor(data.test_x)).detach().numpy().argmax(axis=1)
    return float((found == data.test_y).mean())


def exploding_gradients() -> float:
    """Return the accuracy of the same network in PyTorch, with its clipping."""
    torch = _torch()
    model = _torch_layers(12, 64, 1.7)
    return _torch_train(model, torch.optim.SGD(model.parameters(), 0.05), 120, clip=1.0)


def initialisations() -> float:
    """Return the accuracy with He's scheme less that of zeros in PyTorch."""
    torch = _torch()
    found = []
    for scale in (1.0, 0.0):
        model = _torch_layers(8, 64, scale)
        model[-1].weight.data *= scale
        optimizer = torch.optim.Adam(model.parameters(), 1e-3)
        found.append(_torch_train(model, optimizer, 20))
    return found[0] - found[1]


def variational_autoencoder() -> float:
    """Return the negative evidence lower bound of the same network in PyTorch."""
    torch = _torch()
    from graphc.zoo.variational_autoencoder import CODE

    torch.manual_seed(0)
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


def convolutional_network() -> float:
    """Return the accuracy of the same convolutions in PyTorch."""
    torch = _torch()
    torch.manual_seed(0)
    nn = torch.nn
    model = nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(128, 10),
    )  # fmt: skip
    return _torch_train(model, torch.optim.Adam(model.parameters(), 2e-3), 20)


def residual_network() -> float:
    """Return the accuracy of the same residual network in PyTorch, in evaluation mode."""
    torch = _torch()
    torch.manual_seed(0)
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
    return _torch_train(model, torch.optim.Adam(model.parameters(), 3e-3), 8)


PEERS: dict[str, Callable[[], float]] = {
    f.__name__: f
    for f in (
        perceptron, multi_layer_perceptron, gradient_descents, learning_rates, autoencoder,
        denoising_autoencoder, restricted_boltzmann_machine, layerwise_pretraining, regularisation,
        graph_network, matrix_factorisation, word_embeddings, chance, exploding_gradients,
        initialisations, variational_autoencoder, convolutional_network, residual_network,
        sequences.recurrent_network, sequences.deep_recurrent_network, sequences.character_models,
        sequences.recursive_network,
    )
}  # fmt: skip


def main(names: list[str]) -> None:
    """Print the value of each peer that is named, or of all."""
    for name in names or PEERS:
        print(f"{name} {PEERS[name]():.5g}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
