"""`graphc demo` trains, measures, draws and reports; its accuracy is held on one short run."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from graphc.cli import main
from graphc.cli.demo import History, Training, draw_history
from tests.source_tree import ROOT

KEYS = [
    "accuracy", "first_call_seconds", "steps_per_second", "reference_steps_per_second", "kernels",
    "files",
]  # fmt: skip
PICTURES = ["graph.svg", "step.svg", "training.svg"]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "new" / "directory"


@pytest.fixture(scope="module")
def printed(out: Path) -> dict[str, Any]:
    """Run one epoch with --json and return what stood on stdout, alone."""
    with contextlib.redirect_stdout(io.StringIO()) as stdout:
        assert main(["demo", "--epochs", "1", "--seed", "3", "--json", "--out", str(out)]) == 0
    report = json.loads(stdout.getvalue())
    assert isinstance(report, dict)
    return report


def test_json_has_exactly_the_promised_keys(printed: dict[str, Any]) -> None:
    assert list(printed) == KEYS
    numbers = [printed[key] for key in KEYS[:4]]
    assert all(type(n) is float and n > 0 for n in numbers)
    assert type(printed["kernels"]) is int and 1 < printed["kernels"] < 60


def test_one_epoch_learns_most_digits(printed: dict[str, Any]) -> None:
    assert 0.8 < printed["accuracy"] < 1


def test_the_pictures_are_there(printed: dict[str, Any], out: Path) -> None:
    assert printed["files"] == [str(out / name) for name in PICTURES]
    for name in PICTURES:
        assert ElementTree.parse(out / name).getroot().tag.endswith("svg")
        assert str(ROOT) not in (out / name).read_text()
    assert "graphc/cli/demo.py:" in (out / "step.svg").read_text()


def test_the_pictures_show_the_model_and_its_groups(printed: dict[str, Any], out: Path) -> None:
    graph, step = (Path(name).read_text() for name in printed["files"][:2])
    for text in ("hidden1.weight", "hidden2.bias", "images", "float32[64, 10]", "contraction"):
        assert text in graph and text in step
    assert "adam.step_count" in step and "new hidden1.weight" in step
    assert step.count('class="cluster"') >= printed["kernels"] > graph.count('class="cluster"')


def test_without_json_the_figures_are_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--epochs", "1"]) == 0
    out, err = capsys.readouterr()
    assert err == ""  # no progress bar where there is no terminal
    for text in ("held-out accuracy", "first call", "steps/s", "reference backend", "kernels"):
        assert text in out
    assert [line for line in out.splitlines() if line.startswith("wrote")] == [
        f"wrote                  graphc-demo/{name}" for name in PICTURES
    ]


def test_progress_is_shown_on_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    assert main(["demo", "--epochs", "2", "--json", "--out", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert list(json.loads(out)) == KEYS
    assert "steps/s" in err and "loss" in err and "accuracy" in err and "2/2" in err


def test_a_seed_fixes_the_weights_to_the_bit() -> None:
    runs = [Training(seed=seed, epochs=1) for seed in (5, 5, 6)]
    for run in runs:
        run.train()
    same, again, other = ([p.value for p in run.model.parameters()] for run in runs)
    assert all(np.array_equal(a, b) for a, b in zip(same, again, strict=True))
    assert not np.array_equal(same[0], other[0])


def test_curves_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    history = History([2.0, 1.0], [0.5, 0.9], [0.4, 0.8])
    draw_history(history, tmp_path / "a.svg")
    draw_history(history, tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
