"""Training: `fit` and what belongs to it: history, callbacks, checkpoints, evaluation.

The loop runs in Python, batch by batch; each training step is one compiled program.
"""

from graphc.training.callbacks import Callback, EarlyStopping
from graphc.training.checkpoints import Checkpoint
from graphc.training.fit import evaluate, fit
from graphc.training.history import History
from graphc.training.loop import Run, TrainingInterrupted

__all__ = [
    "Callback", "Checkpoint", "EarlyStopping", "History", "Run", "TrainingInterrupted", "evaluate",
    "fit",
]  # fmt: skip
