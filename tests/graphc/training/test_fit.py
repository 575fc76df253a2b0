"""`graphc.fit`: what it computes, the forms of data, metrics, callbacks, and its errors."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import graphc
from graphc import metrics, nn, optim, training
from graphc.errors import GraphcError, GraphcTypeError, GraphcValueError, NumericsError
from graphc.training.batches import as_batches
from tests.graphc.training.runs import X, Y, make_model, same


def fit(data: Any = (X, Y), **options: Any) -> tuple[training.History, nn.Sequential]:
    model = make_model()
    history = graphc.fit(model, nn.cross_entropy, optim.Adam(0.02), data, **options)
    return history, model


def by_hand(epochs: int, batch_size: int, seed: int) -> tuple[nn.Sequential, list[float]]:
    """Train as `fit` says that it does, with a step of one's own."""
    model, optimizer = make_model(), optim.Adam(0.02)

    @graphc.compile
    def step(x: Any, y: Any) -> Any:
        loss = nn.cross_entropy(model(x), y)
        optimizer.minimize(loss, model.parameters())
        return loss

    means = []
    for epoch in range(epochs):
        total = 0.0
        for x, y in as_batches((X, Y), batch_size, seed, shuffle=True).epoch(epoch):
            total += float(step(x, y)) * len(x)
        means.append(total / len(X))
    return model, means


def test_fit_is_the_loop_that_one_would_write() -> None:
    history, model = fit(epochs=3, batch_size=8, seed=4)
    expected, losses = by_hand(3, 8, 4)
    assert same(model.state_dict(), expected.state_dict())
    assert history["loss"] == pytest.approx(losses, rel=1e-12)
    assert len(history) == 3 and history.stopped == "epochs"


def test_one_step_is_one_program_and_the_smaller_last_batch_another() -> None:
    history, _ = fit(epochs=2, batch_size=16)
    assert history.program is not None
    assert [t.type.shape for t in history.program.inputs] == [(16, 3), (16,)]
    names = {node.op.name for node in history.program.graph.nodes}
    assert "variable" in names and len(history.program.graph.outputs) == 1


def test_every_sample_comes_once_an_epoch_in_an_order_of_the_seed() -> None:
    data = (np.arange(10), np.arange(10) * 2)
    batches = as_batches(data, 4, 3, shuffle=True)
    epochs = [[(x.tolist(), y.tolist()) for x, y in batches.epoch(e)] for e in (0, 0, 1)]
    assert epochs[0] == epochs[1] != epochs[2]
    assert [len(x) for x, _ in epochs[0]] == [4, 4, 2]
    assert sorted(v for x, _ in epochs[0] for v in x) == list(range(10))
    assert all(y == [2 * v for v in x] for x, y in epochs[0])
    other = as_batches(data, 4, 4, shuffle=True)
    assert [x.tolist() for x, _ in other.epoch(0)] != [x for x, _ in epochs[0]]
    assert [x.tolist() for x, _ in as_batches(data, 4).epoch(9)] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9],
    ]
    assert [x.tolist() for x, _ in batches.epoch(0, start=2)] == [epochs[0][2][0]]
    dropped = as_batches(data, 4, drop_last=True)
    assert [len(x) for x, _ in dropped.epoch(0)] == [4, 4] and dropped.samples == 8


def test_forms_of_data_give_the_same(tmp_path: Path) -> None:
    whole = [(X[i : i + 10], Y[i : i + 10]) for i in range(0, 50, 10)]
    _, expected = fit((X, Y), epochs=2, batch_size=10, shuffle=False)
    for data in (
        whole, [list(b) for b in whole], lambda: iter(whole), lambda: (b for b in whole),
        lambda epoch: whole, (X.tolist(), Y.tolist()),
    ):  # fmt: skip
        _, model = fit(data, epochs=2, batch_size=10, shuffle=False)
        assert same(model.state_dict(), expected.state_dict())


def test_a_function_is_told_the_epoch() -> None:
    seen = []

    def data(epoch: int) -> Any:
        seen.append(epoch)
        return [(X, Y)]

    fit(data, epochs=3)
    assert seen == [0, 1, 2]


def test_models_of_several_inputs_and_batches_without_targets() -> None:
    class Distance(nn.Module):
        def __init__(self) -> None:
            self.scale = graphc.Variable(np.float32(2))

        def forward(self, a: Any, b: Any) -> Any:
            return graphc.abs(a - b) * self.scale

    def loss(outputs: Any) -> Any:
        return graphc.mean(outputs)

    for data in ([((X, X[::-1]),)], [{"a": X, "b": X[::-1]}], ((X, X[::-1]),)):
        model = Distance()
        graphc.fit(model, loss, optim.SGD(0.1), data, epochs=1)
        assert float(model.scale.value) < 2


def test_metrics_are_means_over_samples() -> None:
    found = {
        "ones": lambda outputs, y: graphc.mean(y.astype("float32")),
        "top": metrics.top_k_accuracy(2),
    }
    history, model = fit(epochs=1, batch_size=16, metrics=found, validation=(X[:30], Y[:30]))
    assert history["ones"] == [pytest.approx(Y.mean())] and history["top"] == [1]
    assert history["validation_ones"] == [pytest.approx(Y[:30].mean())]
    logits = np.asarray(graphc.compile(model)(X[:30]))
    accuracy = (logits.argmax(axis=1) == Y[:30]).mean()
    found = training.evaluate(model, nn.cross_entropy, (X[:30], Y[:30]), metrics="accuracy")  # type: ignore[assignment]  # figures
    assert found["accuracy"] == pytest.approx(accuracy)
    assert found["loss"] == pytest.approx(history["validation_loss"][0])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"metrics": "acuracy"}, "there is no metric 'acuracy'"),
        ({"metrics": [metrics.accuracy, "accuracy"]}, "cannot be called 'accuracy'"),
        ({"metrics": [lambda o, y: o]}, "cannot be called '<lambda>'"),
        ({"metrics": [3]}, "a name or a function"),
        ({"epochs": -1}, "epochs is not negative"),
        ({"epochs": 1.5}, "epochs is an integer"),
        ({"batch_size": 0}, "batch_size is at least 1"),
        ({"batch_size": 51, "drop_last": True}, "gives no batch of 51"),
        ({"seed": -1}, "seed is at least 0"),
        ({"data": (X, Y[:-1])}, "one number of samples"),
        ({"data": (X, np.int64(3))}, "one number of samples"),
        ({"data": (X[:0], Y[:0])}, "gives no batch"),
        ({"data": 3}, "data is arrays, a function or an iterable"),
        ({"data": []}, "gave no batch in epoch 1"),
        ({"data": iter([(X, Y)]), "epochs": 2}, "which the first epoch has used up"),
        ({"data": [(X, "y")]}, "no numbers"),
        ({"callbacks": [training.EarlyStopping]}, "a callback is"),
        ({"callbacks": [training.EarlyStopping("los")]}, "the history will have no 'los'"),
        ({"checkpoint": 3}, "a checkpoint's path"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_mistakes_are_named(options: dict[str, Any], text: str) -> None:
    with pytest.raises(GraphcError, match=text):
        fit(**options)


def test_what_is_no_model_loss_or_optimizer_is_named() -> None:
    model, optimizer = make_model(), optim.SGD(0.1)
    with pytest.raises(GraphcTypeError, match=r"an nn\.Module, not function"):
        graphc.fit(lambda x: x, nn.mse, optimizer, (X, Y))  # type: ignore[arg-type]  # the mistake
    with pytest.raises(GraphcTypeError, match="a loss is a function"):
        graphc.fit(model, "mse", optimizer, (X, Y))  # type: ignore[arg-type]  # the mistake
    with pytest.raises(GraphcTypeError, match="an optimizer is"):
        graphc.fit(model, nn.mse, "adam", (X, Y))  # type: ignore[arg-type]  # the mistake
    with pytest.raises(GraphcValueError, match="a loss is a scalar") as caught:
        graphc.fit(model, lambda o, y: nn.cross_entropy(o, y, reduction="none"), optimizer, (X, Y))
    assert "test_fit.py" in str(caught.value)


def test_a_loss_that_is_no_number_names_epoch_and_batch() -> None:
    bad = X.copy()
    bad[25] = np.nan
    with pytest.raises(NumericsError, match="the loss is nan in epoch 1, batch 3"):
        fit((bad, Y), batch_size=10, shuffle=False)
    with pytest.raises(FloatingPointError, match=r"is (inf|nan) in epoch"):
        graphc.fit(nn.Linear(3, 1, seed=0), nn.mse, optim.SGD(1e6), (X, X[:, :1]), epochs=99)


def test_checked_numerics_name_the_operation_and_keep_the_weights() -> None:
    x = np.abs(X)
    x[25] = -1
    model = nn.Sequential(graphc.sqrt, nn.Linear(3, 2, seed=0))
    weights = {}
    with pytest.raises(NumericsError, match=r"in epoch 1, batch 3: .* made by sqrt") as caught:
        graphc.fit(
            model, nn.cross_entropy, optim.SGD(0.1), (x, Y), batch_size=10, shuffle=False,
            check_numerics=True,
        )  # fmt: skip
    weights = model.state_dict()
    assert caught.value.op == "sqrt" and all(np.isfinite(w).all() for w in weights.values())


def test_early_stopping_goes_back_to_the_best_weights() -> None:
    seen: list[dict[str, Any]] = []
    early = training.EarlyStopping("validation_accuracy", patience=2)
    history, model = fit(
        epochs=50, validation=(X, Y), metrics="accuracy",
        callbacks=[early, lambda run: seen.append(run.model.state_dict())],
    )  # fmt: skip
    values = history["validation_accuracy"]
    assert early.best_epoch == int(np.argmax(values)) + 1
    assert len(history) == early.best_epoch + 2 < 50
    assert history.stopped == f"early: validation_accuracy was best in epoch {early.best_epoch}"
    assert same(model.state_dict(), seen[early.best_epoch - 1])
    kept = training.EarlyStopping("validation_accuracy", patience=2, restore_best=False)
    _, model = fit(epochs=50, validation=(X, Y), metrics="accuracy", callbacks=[kept])
    assert same(model.state_dict(), seen[-1])


def test_early_stopping_wants_less_of_losses_and_a_change_that_counts() -> None:
    early = training.EarlyStopping(patience=1, minimum_change=10.0)
    history, _ = fit(epochs=9, callbacks=[early])
    assert early.best_epoch == 1 and len(history) == 2
    early = training.EarlyStopping(patience=1, maximise=True)
    assert len(fit(epochs=9, callbacks=[early])[0]) == 2
    for options in ({"patience": 0}, {"minimum_change": -1.0}, {"minimum_change": math.nan}):
        with pytest.raises(GraphcValueError, match="not"):
            training.EarlyStopping(**options)


def test_callbacks_are_called_in_order_and_may_stop() -> None:
    calls: list[str] = []

    class Note(training.Callback):
        def begin(self, run: training.Run) -> None:
            calls.append("begin")

        def batch_end(self, run: training.Run) -> None:
            calls.append(f"batch {run.epoch} {run.batch}")

        def epoch_end(self, run: training.Run) -> None:
            calls.append(f"epoch {run.epoch} {len(run.history)}")
            run.stop("enough")

        def end(self, run: training.Run) -> None:
            calls.append("end")

    history, _ = fit(epochs=5, batch_size=25, callbacks=[Note()])
    assert calls == ["begin", "batch 0 1", "batch 0 2", "epoch 0 1", "end"]
    assert history.stopped == "enough"


def test_the_history_is_data_and_curves(tmp_path: Path) -> None:
    history, _ = fit(epochs=2, metrics="accuracy", validation=(X, Y))
    assert list(history.to_dict()) == [
        "loss", "accuracy", "validation_loss", "validation_accuracy", "seconds",
        "samples_per_second",
    ]  # fmt: skip
    history.to_json(tmp_path / "h.json")
    assert json.loads((tmp_path / "h.json").read_text()) == history.to_dict()
    for name in ("a.svg", "b.svg", "c.png"):
        history.plot(tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert ElementTree.parse(tmp_path / "a.svg").getroot().tag.endswith("svg")
    assert (tmp_path / "c.png").read_bytes()[:4] == b"\x89PNG"
    assert "2 epochs: loss=" in repr(history) and "nothing" not in history
    for name in ("a.xyz", "a"):
        with pytest.raises(GraphcValueError, match="says no kind of picture"):
            history.plot(tmp_path / name)
    empty, _ = fit(epochs=0)
    assert empty.to_dict() == {} and empty.program is None
    with pytest.raises(GraphcValueError, match="no epoch was completed"):
        empty.plot(tmp_path / "d.svg")


def test_nothing_is_printed_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    fit(epochs=2)
    fit(epochs=2, verbose=False)
    assert capsys.readouterr() == ("", "")
    fit(epochs=2, verbose=True, metrics="accuracy")
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 2
    assert err.startswith("epoch 1/2  loss ") and "accuracy" in err and "samples/s" in err


def test_a_bar_is_shown_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "150")
    monkeypatch.setenv("TERM", "xterm")
    fit(epochs=2, batch_size=5)
    out, err = capsys.readouterr()
    assert out == "" and "epoch 2/2" in err and "/10" in err and "samples/s" in err
    fit(epochs=1, verbose=False)
    assert capsys.readouterr() == ("", "")


def test_another_backend_gives_the_same_bits() -> None:
    _, native = fit(epochs=1)
    _, reference = fit(epochs=1, backend="reference")
    pairs = zip(native.parameters(), reference.parameters(), strict=True)
    assert all(np.allclose(a.value, b.value, atol=1e-6) for a, b in pairs)
