"""Optimisers whose updates are part of the graph, schedules of learning rates, and averages."""

from graphc.frontend.optim import schedules
from graphc.frontend.optim.adam import Adam, AdamW
from graphc.frontend.optim.adaptive import Adagrad, Lion, RMSprop
from graphc.frontend.optim.averages import ExponentialMovingAverage
from graphc.frontend.optim.clipping import ClipByGlobalNorm, ClipByNorm, ClipByValue, global_norm
from graphc.frontend.optim.lbfgs import LBFGS
from graphc.frontend.optim.optimiser import Optimiser
from graphc.frontend.optim.sgd import SGD

__all__ = [
    "LBFGS", "SGD", "Adagrad", "Adam", "AdamW", "ClipByGlobalNorm", "ClipByNorm", "ClipByValue",
    "ExponentialMovingAverage", "Lion", "Optimiser", "RMSprop", "global_norm", "schedules",
]  # fmt: skip
