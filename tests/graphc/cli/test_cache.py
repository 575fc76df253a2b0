"""`graphc cache`: what it shows, what it removes, and what it says where there is no cache."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from graphc.backends.llvm.object_cache import OVERHEAD, configured
from graphc.cli import main


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the directory of a cache with two entries and a file of somebody else."""
    monkeypatch.setenv("GRAPHC_CACHE", "1")
    monkeypatch.setenv("GRAPHC_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("GRAPHC_CACHE_BYTES", "102400")
    cache = configured()
    assert cache is not None
    for number in range(2):
        cache.store(bytes([number]) * 32, bytes(2000 - OVERHEAD))
    (tmp_path / "objects" / "notes").write_text("mine")
    return tmp_path / "objects"


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main(["cache", "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_cache_says_where_and_how_much(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache"]) == 0
    assert capsys.readouterr().out == f"{folder}: 2 entries, 3.9 KiB of at most 100.0 KiB\n"
    expected = {"directory": str(folder), "entries": 2, "bytes": 4000, "limit": 102400}
    assert printed(capsys) == expected | {"refusal": ""}
    assert len(os.listdir(folder)) == 3


def test_clear_removes_what_is_graphcs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", "--clear"]) == 0
    assert capsys.readouterr().out == f"removed 2 entries, 3.9 KiB from {folder}\n"
    assert os.listdir(folder) == ["notes"]
    assert printed(capsys, "--clear")["entries"] == printed(capsys)["entries"] == 0


def test_a_cache_that_is_refused_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder.chmod(0o755)
    assert "open to other users" in printed(capsys)["refusal"]
    assert main(["cache"]) == 0
    assert capsys.readouterr().out.startswith(f"not in use: {folder}: ")
    assert main(["cache", "--clear"]) == 1
    assert "open to other users" in capsys.readouterr().out
    assert len(os.listdir(folder)) == 3


def test_a_cache_that_is_switched_off_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GRAPHC_CACHE", "0")
    assert printed(capsys)["refusal"] == "GRAPHC_CACHE=0"
    assert len(os.listdir(folder)) == 3


def test_a_limit_that_is_no_number_is_an_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GRAPHC_CACHE_BYTES", "plenty")
    assert main(["cache"]) == 1
    assert "GRAPHC_CACHE_BYTES='plenty'" in capsys.readouterr().err
