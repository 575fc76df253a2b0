"""How `fit` fails: NaN in weights, places that take no checkpoint, and wrong arguments."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc
from graphc import nn, optim, training
from graphc.array_file import read_arrays
from graphc.errors import (
    GraphcTypeError,
    GraphcValueError,
    NumericsError,
    UnwritableFileError,
)
from tests.graphc.training.runs import X, Y, make_model


class Root(nn.Module):
    """|w x|, whose gradient is NaN where x is 0, though its value is finite."""

    def __init__(self) -> None:
        self.w = graphc.Variable(np.ones(1, np.float32), name="w")

    def forward(self, x: Any) -> Any:
        return graphc.sqrt((self.w * x) ** 2)


def train_root(values: Any, model: Root | None = None, **options: Any) -> training.History:
    x = np.array(values, np.float32)[:, None]
    options = {"batch_size": 1, "shuffle": False, **options}
    return graphc.fit(model or Root(), nn.mse, optim.SGD(0.1), (x, x), **options)


def test_weights_that_turn_nan_in_the_last_batch_are_an_error_and_no_checkpoint(
    tmp_path: Path,
) -> None:
    path = tmp_path / "run"
    with pytest.raises(NumericsError, match="w is NaN after epoch 1, batch 4") as caught:
        train_root([1, 1, 1, 0], checkpoint=path)
    assert not path.exists() and "test_failures.py" in caught.value.line
    with pytest.raises(NumericsError, match="w is NaN"):
        train_root([1, 1, 1, 0])
    every = training.Checkpoint(path, every_batches=1)
    with pytest.raises(NumericsError, match="w is NaN after epoch 1, batch 2"):
        train_root([1, 0, 1, 1], checkpoint=every)
    arrays, _ = read_arrays(path)  # that of the batch before
    assert arrays["fit/batch_count"] == 1 and arrays["w"] == 1


def test_an_interrupt_writes_no_nan_either(tmp_path: Path) -> None:
    class Interrupt(training.Callback):
        def batch_end(self, run: training.Run) -> None:
            if run.batch == 2:
                raise KeyboardInterrupt

    with pytest.raises(NumericsError, match="w is NaN after epoch 1, batch 2"):
        train_root([1, 0, 1], checkpoint=tmp_path / "run", callbacks=Interrupt())
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_nan_says_what_may_have_made_it() -> None:
    with pytest.raises(NumericsError, match="the loss is nan in epoch 1, batch 3") as caught:
        train_root([1, 0, 1, 1])
    assert caught.value.notes == ("the gradient of batch 2 may have spoiled the weights",)
    with pytest.raises(NumericsError, match="the loss is nan in epoch 1, batch 3") as caught:
        train_root([1, 1, np.nan, 1])
    assert caught.value.notes == ("this batch holds values that are NaN",)


def test_early_stopping_gives_back_the_best_weights_after_nan() -> None:
    def data(epoch: int) -> Any:
        x = np.full((1, 1), 0.0 if epoch == 2 else 1.0, np.float32)
        return [(x, 2 * x)]

    model = Root()
    seen: list[Any] = []
    with pytest.raises(NumericsError, match="after epoch 3, batch 1"):
        graphc.fit(
            model, nn.mse, optim.SGD(0.1), data, epochs=5,
            callbacks=[lambda run: seen.append(model.w.value), training.EarlyStopping()],
        )  # fmt: skip
    assert len(seen) == 2 and model.w.value == seen[1]


def test_what_was_not_finite_before_is_no_fault(tmp_path: Path) -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            self.inner = nn.Linear(3, 2, seed=0)
            self.mask = graphc.Variable(np.array([0, -np.inf], np.float32), trainable=False)
            self.lowest = graphc.Variable(np.float32(np.nan), trainable=False)

        def forward(self, x: Any) -> Any:
            return nn.softmax(self.inner(x) + self.mask)

    path = tmp_path / "run"
    graphc.fit(Masked(), lambda o, y: graphc.mean(o), optim.SGD(0.1), (X, Y), checkpoint=path)
    assert np.isnan(read_arrays(path)[0]["lowest"])


def test_a_place_that_takes_no_file_is_found_before_the_first_batch(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    seen: list[Any] = []
    for place, text in (
        ("none/run", f"there is no directory {tmp_path}/none"), ("", "it is a directory"),
        ("pipe", "it is no regular file"), ("file/run", "there is no directory"),
    ):  # fmt: skip
        with pytest.raises(UnwritableFileError, match=text) as caught:
            graphc.fit(
                make_model(), nn.cross_entropy, optim.SGD(0.1), (X, Y), callbacks=seen.append,
                checkpoint=tmp_path / place, resume=place == "",
            )  # fmt: skip
        assert "test_failures.py" in caught.value.line
        assert issubclass(caught.type, OSError)
        with pytest.raises(UnwritableFileError, match=text):
            graphc.save(tmp_path / place, make_model())
    assert not seen and set(os.listdir(tmp_path)) == {"file", "pipe"}
    graphc.fit(make_model(), nn.cross_entropy, optim.SGD(0.1), (X, Y), checkpoint=tmp_path / "file")


def test_a_directory_without_the_right_to_write_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:  # what root would not be
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(UnwritableFileError, match="Permission denied"):
        train_root([1], checkpoint=tmp_path / "run")


def test_resume_needs_a_checkpoint() -> None:
    with pytest.raises(GraphcValueError, match="goes on from checkpoint="):
        train_root([1], resume=True)


def test_one_callback_may_stand_alone_and_what_is_none_is_named() -> None:
    epochs: list[int] = []
    train_root([1, 1], epochs=3, callbacks=lambda run: epochs.append(run.epoch))
    assert epochs == [0, 1, 2]
    early = training.EarlyStopping(patience=1)
    train_root([1], epochs=9, callbacks=early)
    assert early.best_epoch == 1
    with pytest.raises(GraphcTypeError, match=r"a callback is a Callback or a function .* not 3"):
        train_root([1], callbacks=3)


def test_an_unknown_figure_is_found_before_the_first_batch() -> None:
    model = Root()
    with pytest.raises(GraphcValueError, match="will have no 'val_loss'") as caught:
        train_root(
            [2], model, validation=([1.0], [1.0]), callbacks=training.EarlyStopping("val_loss")
        )
    assert model.w.value == 1
    assert "it will have loss, validation_loss, seconds" in caught.value.hint
    with pytest.raises(GraphcTypeError, match="monitor is the name of a figure, not 3"):
        training.EarlyStopping(3)  # type: ignore[arg-type]  # the mistake
    early = training.EarlyStopping("extra", patience=1)  # which another callback makes
    add = lambda run: run.history.last.update(extra=1.0)  # noqa: E731  # one of the callbacks
    assert len(train_root([1], epochs=9, callbacks=[add, early])) == 2


@pytest.mark.parametrize(
    ("data", "options", "text"),
    [
        (X, {}, r"the loss cross_entropy .* no targets: missing a required argument: 'labels'"),
        ((X, Y), {"loss": lambda o: o.sum()}, "this one has 1 target: too many"),
        ((X, Y), {"metrics": {"m": lambda o: o}}, r"the metric <lambda> .* has 1 target"),
        (((X, X), Y), {}, r"Sequential.forward does not take a batch \(2 positional"),
    ],
    ids=["no targets", "loss", "metric", "inputs"],
)
def test_functions_that_do_not_take_the_batch_are_named(
    data: Any, options: dict[str, Any], text: str
) -> None:
    loss = options.pop("loss", nn.cross_entropy)
    with pytest.raises(GraphcTypeError, match=text) as caught:
        graphc.fit(make_model(), loss, optim.SGD(0.1), data, **options)
    assert "test_failures.py" in caught.value.line


def test_lbfgs_is_refused_with_what_to_do() -> None:
    model = make_model()
    searcher = optim.LBFGS(model.parameters())
    with pytest.raises(GraphcTypeError, match="fit takes no LBFGS") as caught:
        graphc.fit(model, nn.cross_entropy, searcher, (X, Y))  # type: ignore[arg-type]  # the mistake
    assert "minimize(lambda x, y: loss(model(x), y), x, y)" in caught.value.hint
    before = float(graphc.compile(lambda x, y: nn.cross_entropy(model(x), y))(X, Y))
    assert searcher.minimize(lambda x, y: nn.cross_entropy(model(x), y), X, Y).value < before


def test_a_share_of_the_data_is_held_out() -> None:
    def held_out(**options: Any) -> tuple[list[float], list[float]]:
        trained: list[float] = []
        judged: list[float] = []

        class Look(nn.Module):
            def __init__(self) -> None:
                self.w = graphc.Variable(np.float32(1))

            def forward(self, x: Any) -> Any:
                return self.w * x

        x = np.arange(10, dtype=np.float32)
        history = graphc.fit(
            Look(), lambda o, y: graphc.mean(o * 0 + y), optim.SGD(0.0), (x, 2.0**x),
            batch_size=10, validation=0.3, **options,
        )  # fmt: skip
        for sums, name, count in ((trained, "loss", 7), (judged, "validation_loss", 3)):
            bits = round(history[name][0] * count)
            sums.extend(place for place in range(10) if bits >> place & 1)
        return trained, judged

    trained, judged = held_out(seed=3)
    assert len(trained) == 7 and sorted(trained + judged) == list(range(10))
    assert held_out(seed=3) == (trained, judged) != held_out(seed=4)
    assert held_out(shuffle=False) == (list(range(7)), [7, 8, 9])


@pytest.mark.parametrize("share", [0.0, 1.0, 1.5, 0.001, 0.999, float("nan")])
def test_a_share_that_leaves_nothing_is_refused(share: float) -> None:
    with pytest.raises(GraphcValueError, match="leaves no batch on one of the sides"):
        graphc.fit(make_model(), nn.cross_entropy, optim.SGD(0.1), (X, Y), validation=share)
    with pytest.raises(GraphcTypeError, match="held out of arrays"):
        graphc.fit(make_model(), nn.cross_entropy, optim.SGD(0.1), [(X, Y)], validation=share)
