"""Models and optimisers in files: what is saved comes back, and what does not fit is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc
from graphc import nn, optim, training
from graphc.errors import DamagedFileError, GraphcTypeError, GraphcValueError

X = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
Y = np.arange(8) % 2


def make_model(seed: int = 0, outputs: int = 2) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(3, 4, seed=seed), nn.Tanh(), nn.Linear(4, outputs, seed=seed + 1)
    )


def make_step(model: nn.Module, optimizer: optim.Optimiser) -> Any:
    @graphc.compile
    def step(x: Any, y: Any) -> Any:
        loss = nn.cross_entropy(model(x), y)
        optimizer.minimize(loss, model.parameters())
        return loss

    return step


def same(a: nn.Module, b: nn.Module) -> bool:
    pairs = zip(a.parameters(), b.parameters(), strict=True)
    return all(np.array_equal(p.value, q.value) for p, q in pairs)


@pytest.mark.parametrize(
    "make", [lambda: optim.Adam(0.1), lambda: optim.SGD(0.1, momentum=0.9)], ids=["adam", "sgd"]
)
def test_training_goes_on_to_the_same_bits_from_a_file(tmp_path: Path, make: Any) -> None:
    model, optimizer = make_model(), make()
    step = make_step(model, optimizer)
    step(X, Y)
    graphc.save(tmp_path / "m", model, optimizer)
    expected = [float(step(X, Y)) for _ in range(3)]
    again, fresh = make_model(seed=5), make()
    graphc.load(tmp_path / "m", again, fresh)
    found = make_step(again, fresh)
    assert [float(found(X, Y)) for _ in range(3)] == expected
    assert same(model, again)


def test_an_optimiser_that_was_traced_already_is_loaded_too(tmp_path: Path) -> None:
    model, optimizer = make_model(), optim.Adam(0.1)
    step = make_step(model, optimizer)
    step(X, Y)
    graphc.save(tmp_path / "m", model, optimizer)
    first = float(step(X, Y))
    step(X, Y)
    graphc.load(tmp_path / "m", model, optimizer)
    assert float(step(X, Y)) == first


def test_names_in_the_file_are_the_paths(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    model, optimizer = nn.Linear(3, 2, seed=0), optim.Adam(0.1)
    make_step(model, optimizer)(X, Y)
    graphc.save(tmp_path / "m", model, optimizer)
    assert set(load_file(tmp_path / "m")) == {
        "weight", "bias", "optimizer/step_count",
        *(f"optimizer/{p}/moment{i}" for p in ("weight", "bias") for i in (1, 2)),
    }  # fmt: skip


def test_the_model_alone_is_loaded_from_a_file_with_an_optimiser(tmp_path: Path) -> None:
    model, other = make_model(), make_model(seed=3)
    graphc.save(tmp_path / "m", model, optim.Adam(0.1))
    graphc.load(tmp_path / "m", other)
    assert same(model, other)


def test_what_does_not_fit_is_named_and_nothing_is_changed(tmp_path: Path) -> None:
    graphc.save(tmp_path / "m", make_model(outputs=5))
    other = make_model(seed=3)
    before = other.state_dict()
    with pytest.raises(GraphcValueError) as caught:
        graphc.load(tmp_path / "m", other)
    assert "shape: layers.2.weight is (4, 5) and should be (4, 2)" in str(caught.value)
    assert "layers.2.bias is (5,) and should be (2,)" in str(caught.value)
    assert "test_saving.py" in str(caught.value)
    assert all(np.array_equal(before[name], a) for name, a in other.state_dict().items())


def test_missing_unexpected_and_dtypes_are_named() -> None:
    model = nn.Linear(3, 2, seed=0)
    state: dict[str, Any] = {"weight": np.zeros((3, 2)), "extra": np.zeros(1, np.float32)}
    with pytest.raises(GraphcValueError) as caught:
        model.load_state_dict(state)
    for text in (
        "dtype: weight is float64 and should be float32", "missing: bias", "unexpected: extra",
        "strict=False",
    ):  # fmt: skip
        assert text in str(caught.value)
    state["weight"] = np.ones((3, 2), np.float32)
    found = model.load_state_dict(state, strict=False)
    assert found.missing == ("bias",) and found.unexpected == ("extra",)
    assert model.weight.value.tolist() == [[1, 1]] * 3
    with pytest.raises(GraphcValueError, match="shape"):
        model.load_state_dict({"weight": np.ones((2, 2), np.float32)}, strict=False)


def test_many_names_are_not_all_listed() -> None:
    with pytest.raises(GraphcValueError, match="and 12 more"):
        nn.Linear(3, 2, seed=0).load_state_dict({f"x{i}": np.zeros(1) for i in range(20)})


def test_another_optimiser_is_refused(tmp_path: Path) -> None:
    model = make_model()
    graphc.save(tmp_path / "m", model, optim.Adam(0.1))
    with pytest.raises(GraphcValueError, match="the state of Adam, not of SGD"):
        graphc.load(tmp_path / "m", model, optim.SGD(0.1))
    graphc.save(tmp_path / "m", model)
    with pytest.raises(GraphcValueError, match="no state of an optimiser"):
        graphc.load(tmp_path / "m", model, optim.SGD(0.1))


def test_a_parameter_called_like_the_optimisers_is_refused(tmp_path: Path) -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            self.parts = nn.ModuleDict({"a": nn.Linear(1, 1, seed=0)})

        def named_children(self) -> Any:
            yield "optimizer/x", self.parts["a"]

    with pytest.raises(GraphcValueError, match="optimizer/x"):
        graphc.save(tmp_path / "m", Odd(), optim.Adam(0.1))


def test_a_damaged_file_changes_nothing(tmp_path: Path) -> None:
    model = make_model()
    graphc.save(tmp_path / "m", model)
    content = bytearray((tmp_path / "m").read_bytes())
    content[-1] ^= 1
    (tmp_path / "m").write_bytes(content)
    other = make_model(seed=4)
    before = other.state_dict()
    with pytest.raises(DamagedFileError, match="checksum"):
        graphc.load(tmp_path / "m", other)
    assert all(np.array_equal(before[name], a) for name, a in other.state_dict().items())


def test_a_checkpoint_of_fit_is_loaded_into_the_model_and_the_optimiser(tmp_path: Path) -> None:
    model, optimizer = make_model(), optim.Adam(0.1)
    graphc.fit(
        model, nn.cross_entropy, optimizer, (X, Y), epochs=2, checkpoint=tmp_path / "c",
        callbacks=training.EarlyStopping(restore_best=True),
    )  # fmt: skip
    other, fresh = make_model(seed=3), optim.Adam(0.1)
    graphc.load(tmp_path / "c", other)
    assert same(model, other)
    graphc.load(tmp_path / "c", other, fresh)
    assert [v.name for v in fresh.variables] == [v.name for v in optimizer.variables]
    pairs = zip(fresh.variables, optimizer.variables, strict=True)
    assert all(np.array_equal(a.value, b.value) for a, b in pairs)
    with pytest.raises(GraphcValueError, match=r"unexpected: layers\.0\.bias") as caught:
        graphc.load(tmp_path / "c", nn.Sequential(nn.ReLU(), make_model()))
    assert "fit/" not in caught.value.message and "callback0" not in caught.value.message


def test_optimisers_keep_the_order_of_their_variables(tmp_path: Path) -> None:
    """By the parameters of the model and the names of the optimiser, not by the alphabet."""
    for make in (lambda: optim.Adam(0.1, accumulate=2), lambda: optim.RMSprop(0.1, centred=True)):
        model, optimizer, fresh, prepared = make_model(), make(), make(), make()
        make_step(model, optimizer)(X, Y)
        graphc.save(tmp_path / "m", model, optimizer)
        graphc.load(tmp_path / "m", make_model(), fresh)
        prepared.prepare(model.parameters())
        names = [variable.name for variable in optimizer.variables]
        assert [variable.name for variable in fresh.variables] == names
        assert [variable.name for variable in prepared.variables] == names
        paths = [name.rpartition(".")[0] for name in names if name.startswith("layers")]
        assert list(dict.fromkeys(paths)) == [path for path, _ in model.named_parameters()]


@pytest.mark.parametrize("state", [None, 3, [1.0], "weights"])
def test_a_state_that_is_no_dict_is_named(state: Any) -> None:
    with pytest.raises(GraphcTypeError, match="a state is a dict of arrays by name, not"):
        nn.Linear(3, 2, seed=0).load_state_dict(state)


def test_the_state_of_parameters_outside_of_the_model_is_kept_apart(tmp_path: Path) -> None:
    model, extra = nn.Linear(3, 2, seed=0), [graphc.Variable(1.0), graphc.Variable(2.0)]
    optimizer = optim.Adam(0.1)

    @graphc.compile
    def step(x: Any, y: Any) -> Any:
        loss = nn.cross_entropy(model(x), y) + extra[0] ** 2 + extra[1] ** 2
        optimizer.minimize(loss, [*model.parameters(), *extra])

    step(X, Y)
    kept = [variable.value for variable in optimizer.variables]
    graphc.save(tmp_path / "m", model, optimizer)
    step(X, Y)
    graphc.load(tmp_path / "m", model, optimizer)
    pairs = zip(kept, optimizer.variables, strict=True)
    assert all(np.array_equal(value, variable.value) for value, variable in pairs)
