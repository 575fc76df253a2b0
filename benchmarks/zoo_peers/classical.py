"""Peers that are no neural networks, or ones of scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.zoo.shared.data import breast_cancer, digits, photograph
from graphc.zoo.shared.data import order as fixed_order


def perceptron(seed: int) -> float:
    """Return the accuracy of scikit-learn's Perceptron."""
    from sklearn.linear_model import Perceptron

    data = breast_cancer()
    return float(Perceptron(random_state=seed).fit(*data.train).score(*data.test))


def logistic_regression(seed: int) -> float:
    """Return how far scikit-learn's default solver is from its own answer to many digits."""
    from sklearn.linear_model import LogisticRegression

    data = breast_cancer()
    usual, precise = (
        LogisticRegression(**options).fit(*data.train).predict_proba(data.test_x)
        for options in ({}, {"tol": 1e-10, "max_iter": 10000})
    )
    return float(np.abs(usual - precise).max())


def multi_layer_perceptron(seed: int, train: Any = None, **options: Any) -> float:
    """Return the accuracy of scikit-learn's MLPClassifier, trained on the digits or on `train`."""
    from sklearn.neural_network import MLPClassifier

    settings = {"hidden_layer_sizes": (128, 64), "batch_size": 64, "max_iter": 30} | options
    model = MLPClassifier(random_state=seed, **settings)
    data = digits()
    return float(model.fit(*(train or data.train)).score(*data.test))


def gradient_descents(seed: int) -> float:
    """Return the accuracy of scikit-learn's MLPClassifier with plain gradient descent."""
    return multi_layer_perceptron(
        seed, hidden_layer_sizes=(64,), solver="sgd", momentum=0, learning_rate_init=0.2,
        batch_size=32, max_iter=30,
    )  # fmt: skip


def learning_rates(seed: int) -> float:
    """Return the same: its rate is the good one."""
    return gradient_descents(seed)


def _components(count: int) -> tuple[Any, Any]:
    from sklearn.decomposition import PCA

    data = digits()
    return PCA(count).fit(data.train_x), data


def autoencoder(seed: int) -> float:
    """Return the squared error of eight principal components, which knows no seed."""
    model, data = _components(8)
    drawn = model.inverse_transform(model.transform(data.test_x))
    return float(np.square(drawn - data.test_x).mean())


def denoising_autoencoder(seed: int) -> float:
    """Return the squared error of principal components of noisy images, the best number of them."""
    from graphc.zoo.denoising_autoencoder import spoil

    errors = []
    for count in range(4, 64, 4):
        model, data = _components(count)
        cleaned = model.inverse_transform(model.transform(spoil(data.test_x, [7, 7])))
        errors.append(float(np.square(cleaned.clip(0, 1) - data.test_x).mean()))
    return min(errors)


def restricted_boltzmann_machine(seed: int) -> float:
    """Return the accuracy of logistic regression on scikit-learn's BernoulliRBM."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import BernoulliRBM
    from sklearn.pipeline import make_pipeline

    machine = BernoulliRBM(128, learning_rate=0.05, batch_size=16, n_iter=60, random_state=seed)
    data = digits()
    model = make_pipeline(machine, LogisticRegression(max_iter=3000, C=100))
    return float(model.fit(*data.train).score(*data.test))


def layerwise_pretraining(seed: int) -> float:
    """Return the accuracy of MLPClassifier with sigmoids on 200 labels."""
    data = digits()
    few = data.train_x[:200], data.train_y[:200]
    return multi_layer_perceptron(
        seed, few, hidden_layer_sizes=(128, 128, 128), activation="logistic", batch_size=20,
        max_iter=60, learning_rate_init=2e-3,
    )  # fmt: skip


def regularisation(seed: int) -> float:
    """Return the accuracy of MLPClassifier on the same labels, the best of several penalties."""
    from graphc.zoo.regularisation import spoilt_digits

    return max(
        multi_layer_perceptron(
            seed, spoilt_digits(), hidden_layer_sizes=(256,), batch_size=25, max_iter=200,
            alpha=alpha,
        )
        for alpha in (0.01, 0.1, 1.0, 10.0)
    )  # fmt: skip


def graph_network(seed: int) -> float:
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


def matrix_factorisation(seed: int) -> float:
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


def word_embeddings(seed: int) -> float:
    """Return how many random words the decomposition of co-occurrences scores below neighbours."""
    from graphc.zoo.word_embeddings import SIZE, WORDS, Corpus

    corpus = Corpus(seed)
    table = np.zeros((WORDS, WORDS))
    np.add.at(table, corpus.train, 1.0)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / table.sum()
    information = np.log(np.maximum(table / np.maximum(expected, 1e-9), 1.0))
    u, s, v = np.linalg.svd(information)
    scores = (u[:, :SIZE] * s[:SIZE]) @ v[:SIZE]
    above = [
        (scores[word, context[:, 0]][:, None] > scores[word[:, None], context[:, 1:]]).mean()
        for ((word, context),) in corpus.batches(corpus.test, 10**6)
    ]
    return float(np.mean(above))


def recursive_network(seed: int) -> float:
    """Return the accuracy of scikit-learn's logistic regression on counts of the kinds of nodes."""
    from sklearn.linear_model import LogisticRegression

    from graphc.zoo.recursive_network import trees

    data, kinds = trees()
    x, test_x = (
        np.stack([(steps == kind).sum(axis=1) for kind in range(len(kinds))], axis=1)
        for steps in (data.train_x, data.test_x)
    )
    return float(LogisticRegression(max_iter=2000).fit(x, data.train_y).score(test_x, data.test_y))
