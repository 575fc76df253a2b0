"""`python -m benchmarks`: what it takes and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as command
from benchmarks.engines import PEERS
from benchmarks.runner import Measurement

PACKAGES = ("torch", "jax", "onnxruntime", "openvino")


def test_works_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--list", "--work", "matmul 1*"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert "matmul 1024" in listed
    assert all(name.startswith("matmul 1") for name in listed)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--work", "matmull"], "there is no work 'matmull'"),
        (["--peers", "numpyy"], "there is no peer 'numpyy'"),
        (["--threads", "two"], "'two' is no number from 1"),
        (["--threads", "1,,"], "'' is no number from 1"),
        (["--threads", "0"], "'0' is no number from 1"),
        (["--threads", "99999"], "'99999' is no number from 1"),
        (["--rounds", "0"], "--rounds: 0 is too few"),
        (["--first-calls", "-1"], "--first-calls: -1 is too few"),
        (["--seconds", "nan"], "--seconds: nan is no time"),
        (["--seconds", "-5"], "--seconds: -5.0 is no time"),
        (["--timeout", "0"], "--timeout: 0.0 is no time"),
        (["--out", "/dev/null"], "cannot write into /dev/null"),
    ],
)
def test_wrong_arguments_are_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert command.main(arguments) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(("error", "status"), [("wrong result: off by 1", 1), ("", 0)])
def test_a_wrong_result_is_told_by_the_status(
    error: str, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    limits: dict[str, Any] = {"fma_flops": 1e9, "copy_64MB": 1e9}
    machine = {"limits": {"1": limits}, "load_average": [0.0, 0.0, 0.0]}
    monkeypatch.setattr(command, "measure_machine", lambda: machine)
    monkeypatch.setattr(command, "measure_again", lambda machine: None)
    measured = [Measurement("gelu 1K", "graphc", 1, samples=[1.0], error=error)]
    monkeypatch.setattr(command, "measure_all", lambda *_: iter([measured]))
    assert command.main(["--work", "gelu 1K", "--peers", "", "--threads", "1", "--json"]) == status
    assert ("checked against nothing" in capsys.readouterr().err) == (not error)


def test_peers_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    assert command.choose_peers(None) == ()
    with pytest.raises(ValueError, match="torch is not installed here"):
        command.choose_peers("torch")
    monkeypatch.setattr(command, "find_spec", lambda name: name if name in PACKAGES else None)
    assert command.choose_peers(None) == tuple(PEERS)
    assert command.choose_peers("jax,torch.eager") == ("jax", "torch.eager")


def test_json_goes_to_standard_output_and_nothing_into_files(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    limits: dict[str, Any] = {"fma_flops": 1e9, "copy_64MB": 1e9}
    machine = {"limits": {"1": limits}, "load_average": [0.0, 0.0, 0.0]}
    monkeypatch.setattr(command, "measure_machine", lambda: machine)
    monkeypatch.setattr(command, "measure_again", lambda machine: None)
    quick = ["--seconds", "0.02", "--rounds", "1", "--out", str(tmp_path / "out")]
    assert (
        command.main(["--work", "gelu 1K", "--peers", "", "--threads", "1", "--json", *quick]) == 0
    )
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["engines"]["graphc"]["minimum_seconds"] > 0
    assert not (tmp_path / "out").exists()
