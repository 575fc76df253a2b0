"""Graph convolutional network: who stayed with whom when a karate club broke in two.

Each member is a node, each friendship an edge. A layer gives each node the mean of its neighbours'
features, times a matrix; after two layers a node knows of its friends' friends. Only the side of
the two leaders is told; of the 32 others the network has to find it. Source: T. Kipf and M.
Welling, Semi-supervised classification with graph convolutional networks, arXiv:1609.02907.

Data: Zachary's karate club, 34 members and 78 friendships, from networkx. Peer: scikit-learn's
LabelSpreading over the same friendships. Bar: one member more on the wrong side than with the peer.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

import graphc
from graphc import nn, optim
from graphc.zoo.shared import Lesson, network

LEADERS = np.array([0, 33])


class GraphConvolution(nn.Module):
    """The mean over neighbours, themselves included, times a matrix."""

    def __init__(
        self, adjacency: np.ndarray[Any, Any], inputs: int, outputs: int, seed: int
    ) -> None:
        degree = adjacency.sum(axis=0)
        self.mixing = adjacency / np.sqrt(np.outer(degree, degree))
        start = nn.initialisers.xavier_uniform
        self.linear = nn.Linear(inputs, outputs, seed=seed, weight_initialiser=start)

    def forward(self, features: graphc.Tensor) -> graphc.Tensor:
        """Return new features of all nodes."""
        mixed: graphc.Tensor = self.mixing @ self.linear(features)
        return mixed


class GraphNetwork(nn.Module):
    """Two convolutions: scores of the two sides for each member."""

    def __init__(self, adjacency: np.ndarray[Any, Any], seed: int) -> None:
        self.first = GraphConvolution(adjacency, len(adjacency), 16, 2 * seed)
        self.second = GraphConvolution(adjacency, 16, 2, 2 * seed + 1)

    def forward(self, features: graphc.Tensor) -> graphc.Tensor:
        """Return the scores."""
        scores: graphc.Tensor = self.second(graphc.tanh(self.first(features)))
        return scores


def leaders_loss(scores: graphc.Tensor, sides: graphc.Tensor) -> graphc.Tensor:
    """Return the cross-entropy of the two members whose side is told."""
    return nn.cross_entropy(graphc.take(scores, LEADERS, axis=0), graphc.take(sides, LEADERS))


@network("accuracy on the 32 others", at_least=0.9375, quick=0.8, peer=0.96875)
def train(lesson: Lesson) -> float:
    """Train on two members and return the share of the others that is put on the right side."""
    networkx = importlib.import_module("networkx")
    club = networkx.karate_club_graph()
    friends = networkx.to_numpy_array(club, weight=None).astype(np.float32)
    sides = np.array([int(club.nodes[n]["club"] == "Officer") for n in club])
    model, members = GraphNetwork(friends + np.eye(34, dtype=np.float32), lesson.seed), np.eye(34)
    features = members.astype(np.float32)
    history = graphc.fit(
        model,
        leaders_loss,
        optim.Adam(0.01, weight_decay=5e-4),
        [(features, sides)],
        epochs=lesson.choose(200, quick=60),
        metrics="accuracy",
        verbose=lesson.verbose,
    )
    lesson.draw(model, history, features)
    scores = graphc.compile(model)(features)
    with lesson.figure("club.png", size=(6, 5)) as axes:
        networkx.draw_networkx(
            club,
            networkx.spring_layout(club, seed=4),
            ax=axes,
            node_color=scores[:, 1] - scores[:, 0],
            cmap="coolwarm",
            edgecolors=["#1f5f99" if side == 0 else "#b30000" for side in sides],
            linewidths=2.5,
        )
        axes.set_title("fill: what the network says; ring: what happened", fontsize=9)
    others = np.setdiff1d(np.arange(34), LEADERS)
    return float((scores.argmax(axis=1) == sides)[others].mean())
