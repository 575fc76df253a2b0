"""A run that was killed or interrupted goes on to the bits of one that was not."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc
from graphc import nn, optim, training
from graphc.array_file import read_arrays
from graphc.errors import DamagedFileError, GraphcValueError
from tests.graphc.training import runs
from tests.source_tree import ROOT

EPOCHS = 30
STOPS = 4


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    """Return what the run gives without a break."""
    return runs.train(None, EPOCHS)


def start(directory: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "GRAPHC_CACHE": "1", "GRAPHC_CACHE_DIR": str(directory / "cache")}
    command = [sys.executable, "-m", "tests.graphc.training.runs", str(directory), str(EPOCHS)]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)


def wait_for_change(path: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until the process has written the file anew, or has ended."""
    before = path.stat().st_mtime_ns if path.exists() else None
    while process.poll() is None and (not path.exists() or path.stat().st_mtime_ns == before):
        time.sleep(0.001)


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGINT], ids=lambda by: by.name)
def test_a_run_that_is_stopped_at_random_moments_ends_in_the_same_bits(
    tmp_path: Path, whole: dict[str, Any], by: signal.Signals
) -> None:
    chance, stops = random.Random(time.time_ns()), 0
    while stops < STOPS and not (tmp_path / "final.npz").exists():
        process = start(tmp_path)
        wait_for_change(tmp_path / "run", process)
        time.sleep(chance.uniform(0, 0.04))
        process.send_signal(by)
        stops += process.wait() != 0
    assert stops >= 2
    assert start(tmp_path).wait() == 0
    with np.load(tmp_path / "final.npz") as found:
        assert runs.same(dict(found), whole)
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("batch", [1, 6, 7, 8])
def test_an_interrupt_gives_the_history_and_the_checkpoint_of_the_last_batch(
    tmp_path: Path, whole: dict[str, Any], batch: int
) -> None:
    class Interrupt(training.Callback):
        count = 0

        def batch_end(self, run: training.Run) -> None:
            self.count += 1
            if self.count == batch:
                signal.raise_signal(signal.SIGINT)

    early = training.EarlyStopping(patience=3, minimum_change=0.01)
    with pytest.raises(training.TrainingInterrupted) as caught:
        runs.train(tmp_path, EPOCHS, callbacks=[early, Interrupt()])
    assert len(caught.value.history) == (batch - 1) // 7
    assert caught.value.history.stopped == "interrupt"
    assert runs.same(runs.train(tmp_path, EPOCHS), whole)


def test_an_interrupt_at_the_end_of_an_epoch_repeats_the_end(
    tmp_path: Path, whole: dict[str, Any]
) -> None:
    def interrupt(run: training.Run) -> None:
        if len(run.history) == 4:
            raise KeyboardInterrupt

    early = training.EarlyStopping(patience=3, minimum_change=0.01)
    with pytest.raises(training.TrainingInterrupted) as caught:
        runs.train(tmp_path, EPOCHS, callbacks=[early, interrupt])
    assert len(caught.value.history) == 3
    assert runs.same(runs.train(tmp_path, EPOCHS), whole)


def test_the_best_weights_are_kept_too(tmp_path: Path, whole: dict[str, Any]) -> None:
    epochs = len(json.loads(whole["figures"])["loss"])
    assert epochs < EPOCHS  # stopped early: the best epoch was three before the last

    class Interrupt(training.Callback):
        def batch_end(self, run: training.Run) -> None:
            if run.epoch == epochs - 1:
                raise KeyboardInterrupt

    early = training.EarlyStopping(patience=3, minimum_change=0.01)
    with pytest.raises(training.TrainingInterrupted):
        runs.train(tmp_path, EPOCHS, callbacks=[early, Interrupt()])
    assert runs.same(runs.train(tmp_path, EPOCHS), whole)


def test_a_run_goes_on_with_more_epochs(tmp_path: Path, whole: dict[str, Any]) -> None:
    runs.train(tmp_path, 2)
    runs.train(tmp_path, 2)  # nothing is left to do
    assert runs.same(runs.train(tmp_path, EPOCHS), whole)


def test_without_resume_a_run_starts_anew(tmp_path: Path) -> None:
    model = runs.make_model()
    for _ in range(2):
        history = graphc.fit(
            model, nn.cross_entropy, optim.SGD(0.1), (runs.X, runs.Y), epochs=2,
            checkpoint=tmp_path / "run",
        )  # fmt: skip
        assert len(history) == 2


def test_batches_of_a_generator_are_resumed_too(tmp_path: Path) -> None:
    def batches(epoch: int) -> Any:
        order = np.random.default_rng(epoch).permutation(len(runs.X))
        for start in range(0, len(order), 10):
            yield runs.X[order[start : start + 10]], runs.Y[order[start : start + 10]]

    def train(stop_at: int | None) -> dict[str, Any]:
        class Stop(training.Callback):
            def batch_end(self, run: training.Run) -> None:
                if (run.epoch, run.batch) == (1, stop_at):
                    raise KeyboardInterrupt

        model = runs.make_model()
        graphc.fit(
            model, nn.cross_entropy, optim.SGD(0.1, 0.9), batches, epochs=3, callbacks=[Stop()],
            checkpoint=tmp_path / str(stop_at is None or "run"), resume=True,
        )  # fmt: skip
        return model.state_dict()

    with pytest.raises(KeyboardInterrupt):
        train(3)
    resumed = train(-1)
    assert runs.same(resumed, train(None))


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    def fit(**options: Any) -> None:
        graphc.fit(
            runs.make_model(), nn.cross_entropy, options.pop("optimizer", optim.SGD(0.1)),
            (runs.X, runs.Y), checkpoint=tmp_path / "run", resume=True, **options,
        )  # fmt: skip

    fit(batch_size=10)
    with pytest.raises(GraphcValueError, match="batch_size was 10 and is 25") as caught:
        fit(batch_size=25)
    assert "resume=False" in str(caught.value)
    with pytest.raises(GraphcValueError, match="seed was 0 and is 1"):
        fit(batch_size=10, seed=1)
    with pytest.raises(GraphcValueError, match="of SGD, not of Adam"):
        fit(batch_size=10, optimizer=optim.Adam(0.1))


def test_a_checkpoint_of_another_model_or_with_other_callbacks_says_so(tmp_path: Path) -> None:
    runs.train(tmp_path, 1)

    class Other(training.Callback):
        pass

    for callbacks, has in (([], "no callbacks"), ([Other()], "Other")):
        with pytest.raises(GraphcValueError, match=f"keeps the state of EarlyStopping.*{has}") as c:
            runs.train(tmp_path, 2, callbacks=callbacks)
        assert "the same callbacks" in c.value.hint and "resume=False" in c.value.hint
    with pytest.raises(GraphcValueError, match="missing: weight, bias; unexpected: ") as caught:
        graphc.fit(
            nn.Linear(3, 2, seed=0), nn.cross_entropy, optim.Adam(0.02), (runs.X, runs.Y), seed=5,
            batch_size=8, metrics="accuracy", callbacks=training.EarlyStopping(),
            checkpoint=tmp_path / "run", resume=True,
        )  # fmt: skip
    assert "strict" not in caught.value.hint and "another model" in caught.value.hint


def test_a_model_with_names_of_checkpoints_is_refused(tmp_path: Path) -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            self.parts = {"fit/x": nn.Linear(3, 2, seed=0)}

        def named_children(self) -> Any:
            return iter(self.parts.items())

        def forward(self, x: Any) -> Any:
            return self.parts["fit/x"](x)

    with pytest.raises(GraphcValueError, match="begin with fit/ are those of checkpoints"):
        graphc.fit(
            Odd(), nn.cross_entropy, optim.SGD(0.1), (runs.X, runs.Y), checkpoint=tmp_path / "run"
        )


def test_damaged_checkpoints_and_other_files_are_refused(tmp_path: Path) -> None:
    runs.train(tmp_path, 1)
    content = bytearray((tmp_path / "run").read_bytes())
    content[-3] ^= 4
    (tmp_path / "run").write_bytes(content)
    with pytest.raises(DamagedFileError, match="checksum"):
        runs.train(tmp_path, 2)
    graphc.save(tmp_path / "run", runs.make_model())
    with pytest.raises(DamagedFileError, match=r"no checkpoint of graphc\.fit"):
        runs.train(tmp_path, 2)


def test_a_checkpoint_holds_the_model_under_its_own_names(tmp_path: Path) -> None:
    runs.train(tmp_path, 1)
    arrays, _ = read_arrays(tmp_path / "run")
    assert set(runs.make_model().state_dict()) < set(arrays)
    assert arrays["fit/batch_count"] == 7
