"""Every network of the zoo trains, in a shortened form, reaches its bar, and draws itself."""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from graphc.cli import main
from graphc.errors import GraphcError, GraphcValueError
from graphc.zoo import shared
from graphc.zoo.shared import Lesson, find, names, network

KEYS = ["name", "metric", "value", "bar", "passed", "seconds", "peer_value"]


def run(*arguments: str) -> tuple[int, str]:
    with contextlib.redirect_stdout(io.StringIO()) as stdout:
        code = main(["zoo", *arguments])
    return code, stdout.getvalue()


@pytest.mark.parametrize("name", names())
def test_a_network_reaches_its_lower_bar_and_draws_itself(name: str, tmp_path: Path) -> None:
    code, printed = run(name, "--quick", "--json", "--seed", "1", "--out", str(tmp_path))
    report = json.loads(printed)
    assert list(report) == KEYS and report["name"] == name
    assert report["passed"] and code == 0, report
    files = {path.name for path in (tmp_path / name).iterdir()}
    assert {"forward.svg", "step.svg"} <= files
    assert len(files) >= 3  # curves or pictures
    for drawing in ("forward.svg", "step.svg"):
        text = (tmp_path / name / drawing).read_text()
        assert ElementTree.fromstring(text).tag.endswith("svg")
    assert f"graphc/zoo/{name}.py:" in text  # the lines are the network's own


@pytest.mark.parametrize("name", names())
def test_a_network_is_declared_as_the_others_are(name: str) -> None:
    found = find(name)
    assert found.name == name and found.title and ":" in found.title
    worse = max if found.is_less_better else min
    assert worse(found.bar, found.quick_bar) == found.quick_bar
    assert (Path(__file__).parents[2] / "examples" / "zoo" / f"{name}.py").is_file()


def test_all_networks_of_the_course_are_there() -> None:
    assert len(names()) >= 27
    assert {"perceptron", "logistic_regression", "q_learning", "word_embeddings"} <= set(names())
    assert {"character_models", "recursive_network", "transformer"} <= set(names())


def test_the_list() -> None:
    code, printed = run()
    assert code == 0 and len(printed.splitlines()) == len(names())
    assert "perceptron" in printed and "Rosenblatt" in printed
    listed = json.loads(run("--json")[1])
    assert [entry["name"] for entry in listed] == names()
    assert list(listed[0]) == ["name", "title", "metric", "bar", "peer"]


def test_the_same_seed_gives_the_same_value_and_another_another(tmp_path: Path) -> None:
    def value(seed: str) -> Any:
        options = ("--quick", "--json", "--seed", seed, "--out", str(tmp_path))
        return json.loads(run("denoising-autoencoder", *options)[1])["value"]

    assert value("1") == value("1") != value("2")


def make(value: float | BaseException, **bars: Any) -> shared.Network:
    def train(lesson: Lesson) -> float:
        if isinstance(value, BaseException):
            raise value
        lesson.tell("note.txt", "x")
        return lesson.choose(value, quick=value / 2)

    train.__module__ = "tests.examples.test_zoo"
    return network("accuracy", **bars)(train)


def stand_in(monkeypatch: pytest.MonkeyPatch, made: dict[str, Any], out: Path) -> tuple[str, ...]:
    """Let these be the networks of the zoo; returns the arguments for where they write."""
    monkeypatch.setattr("graphc.cli.zoo.names", lambda: list(made))
    monkeypatch.setattr("graphc.cli.zoo.find", made.__getitem__)
    return ("--out", str(out))


def test_a_bar_that_is_not_reached_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = {"good": make(0.9, at_least=0.8, quick=0.4), "bad": make(0.9, at_most=0.8, quick=0.4)}
    out = stand_in(monkeypatch, made, tmp_path)
    assert main(["zoo", "good", *out]) == 0
    assert "passed: accuracy 0.9 (bar 0.8)" in capsys.readouterr().out
    assert main(["zoo", "bad", *out]) == 1
    printed = capsys.readouterr().out
    assert "FAILED: accuracy 0.9 (bar 0.8)" in printed and "wrote" in printed
    assert "note.txt\n    x\n" in printed  # what was written in words is shown
    assert main(["zoo", "bad", "--quick", *out]) == 1  # 0.45 is above 0.4
    capsys.readouterr()
    assert main(["zoo", "--all", "--json", *out]) == 1
    reports = json.loads(capsys.readouterr().out)
    assert [report["passed"] for report in reports] == [True, False]


def test_all_go_on_where_one_cannot_run_and_end_with_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = make(GraphcValueError("no lions here", hint="pip install lions"), at_least=1, quick=1)
    out = stand_in(
        monkeypatch, {"broken": broken, "good": make(3.0, at_least=2, quick=1)}, tmp_path
    )
    assert main(["zoo", "--all", *out]) == 1
    printed, told = capsys.readouterr()
    assert "[1/2] broken\n" in told and "[2/2] good\n" in told and "pip install lions" in told
    lines = printed.splitlines()
    assert re.fullmatch(r"broken +- +1 +- +0\.0  FAILED", lines[-3])
    assert re.fullmatch(r"test_zoo +3 +2 +- +0\.0", lines[-2]) and "1 of 2 passed" in lines[-1]
    assert main(["zoo", "--all", "--json", *out]) == 1
    failed, passed = json.loads(capsys.readouterr().out)
    assert list(failed) == KEYS and failed["value"] is None and not failed["passed"]
    assert passed["value"] == 3 and passed["passed"]


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_ctrl_c_leaves_what_was_found(
    form: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stopped = make(KeyboardInterrupt(), at_least=1, quick=1)
    made = {"good": make(3.0, at_least=2, quick=1), "stopped": stopped}
    out = stand_in(monkeypatch, made, tmp_path)
    assert main(["zoo", "--all", *form, *out]) == 130
    printed = capsys.readouterr().out
    assert json.loads(printed)[0]["value"] == 3 if form else "1 of 1 passed" in printed


def test_what_is_compared_is_told_in_columns(tmp_path: Path) -> None:
    lesson = Lesson(tmp_path)
    lesson.compare({"one": {"loss": 0.123456, "steps": 7}, "another": {"loss": 1e-9, "steps": 12}})
    assert (tmp_path / "comparison.txt").read_text() == (
        "           loss  steps\none      0.1235      7\nanother   1e-09     12\n"
    )
    assert lesson.files == [str(tmp_path / "comparison.txt")]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["lion"], "there is no 'lion'; graphc zoo lists"),
        (["Tranformer"], "there is no 'Tranformer'; did you mean transformer?"),
        (["perceptron", "--all"], "either a NAME or --all"),
        (["perceptron", "--seed", "-1"], "--seed is at least 0"),
        (["perceptron", "--quick", "--out", "/dev/null/x"], "cannot write into"),
    ],
)
def test_wrong_arguments_are_one_line(
    arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["zoo", *arguments]) == 2
    assert text in capsys.readouterr().err


def test_mistakes_of_a_declaration_are_named() -> None:
    with pytest.raises(GraphcValueError, match="one bar"):
        make(1.0, quick=0.5)
    with pytest.raises(GraphcValueError, match="the zoo has no 'lion'"):
        find("lion")


def test_a_missing_package_says_what_to_install() -> None:
    from graphc.zoo.shared.data import external

    with pytest.raises(GraphcError, match=r"needs lions\n.*\.\[examples\]"):
        external("no_such_module", "lions")
