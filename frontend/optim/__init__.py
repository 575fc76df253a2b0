"""Optimisers whose updates are part of the graph: `SGD` and `Adam`."""

from graphc.frontend.optim.adam import Adam
from graphc.frontend.optim.optimiser import Optimiser
from graphc.frontend.optim.sgd import SGD

__all__ = ["SGD", "Adam", "Optimiser"]
