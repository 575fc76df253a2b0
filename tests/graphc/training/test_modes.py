"""Models are trained in training mode and judged in evaluation mode, and have their own after."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import graphc
from graphc import nn, optim, training
from tests.graphc.training import runs
from tests.graphc.training.runs import X, Y


def make_model() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 8, seed=0), nn.Dropout(0.5, seed=1), nn.Linear(8, 2, seed=2))


def fit(model: nn.Module, **options: Any) -> training.History:
    options = {"epochs": 3, "batch_size": 8, **options}
    return graphc.fit(model, nn.cross_entropy, optim.Adam(0.02), (X, Y), **options)


def test_validation_drops_nothing_and_training_does() -> None:
    model = make_model()
    key = model[1].key.value
    history = fit(model, validation=(X, Y))
    assert (model[1].key.value != key).any()
    model.eval()
    scores = np.asarray(graphc.compile(model)(X), np.float64)
    logarithms = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    expected = -logarithms[np.arange(len(Y)), Y].mean()
    assert abs(history["validation_loss"][-1] - expected) < 1e-5
    found = training.evaluate(model.train(), nn.cross_entropy, (X, Y))
    assert abs(found["loss"] - expected) < 1e-5 and model.training


def test_each_module_has_its_mode_again() -> None:
    model = make_model().eval()
    key = model[1].key.value
    fit(model, validation=(X, Y))
    assert (model[1].key.value != key).any()  # it was trained all the same
    assert not any(module.training for _, module in model.named_modules())
    model.train()
    model[1].eval()  # one part stays as it is
    key = model[1].key.value
    fit(model, validation=(X, Y))
    assert (model[1].key.value == key).all()
    assert model.training and not model[1].training and model[2].training


def test_a_run_with_dropout_is_resumed_to_the_same_bits(tmp_path: Path) -> None:
    class Stop(training.Callback):
        def batch_end(self, run: training.Run) -> None:
            if (run.epoch, run.batch) == (1, 4):
                raise KeyboardInterrupt

    whole, first, second = make_model(), make_model(), make_model()
    fit(whole)
    kept = {"checkpoint": tmp_path / "run", "resume": True}
    try:
        fit(first, callbacks=[Stop()], **kept)
    except training.TrainingInterrupted:
        fit(second, callbacks=[training.Callback()], **kept)
    assert runs.same(second.state_dict(), whole.state_dict())
