"""The house rules that no linter knows, and that the project's own files agree with each other."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from graphc.version import __version__
from tests.source_tree import ROOT, SOURCES, python_files

MOST_LINES_OF_A_FILE = 450
MOST_LINES_OF_A_FUNCTION = 60
UNFINISHED = re.compile(r"#\s*(TODO|FIXME|XXX|HACK)\b")
REASONLESS = re.compile(r"#\s*(type: ignore(\[[^\]]*\])?|noqa(: ?[A-Z0-9, ]+)?)\s*$")


def long_functions(text: str) -> Iterator[tuple[str, int]]:
    """Yield the name and length of every function that is too long."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MOST_LINES_OF_A_FUNCTION:
                yield node.name, length


def faults(text: str) -> list[str]:
    """List the house rules that a file breaks."""
    lines = text.splitlines()
    found = [f"{name} has {length} lines" for name, length in long_functions(text)]
    if len(lines) > MOST_LINES_OF_A_FILE:
        found.append(f"has {len(lines)} lines")
    for number, line in enumerate(lines, 1):
        if UNFINISHED.search(line):
            found.append(f"line {number} is unfinished")
        if REASONLESS.search(line):
            found.append(f"line {number} ignores a checker without a reason")
    return found


def test_files_keep_the_house_rules() -> None:
    broken = {
        str(path.relative_to(ROOT)): found
        for path in python_files((*SOURCES, "tests", "benchmarks", "examples"))
        if (found := faults(path.read_text()))
    }
    assert not broken, "\n".join(f"{name}: {'; '.join(found)}" for name, found in broken.items())


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("def f():\n" + "    pass\n" * 60, "f has 61 lines"),
        ("x = 1\n" * 451, "has 451 lines"),
        ("x = 1  # TO" + "DO: two", "line 1 is unfinished"),
        ("x = 1  # type: ignore" + "[assignment]", "line 1 ignores a checker"),
        ("x = 1  # no" + "qa: E501", "line 1 ignores a checker"),
    ],
)
def test_broken_rules_are_found(text: str, fault: str) -> None:
    (found,) = faults(text)
    assert fault in found


@pytest.fixture(scope="module")
def declared() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_version_is_declared_once(declared: dict[str, Any]) -> None:
    assert declared["project"]["dynamic"] == ["version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)


def test_drifting_tools_are_pinned_and_dependencies_bounded(declared: dict[str, Any]) -> None:
    project = declared["project"]
    extras = project["optional-dependencies"].values()
    required = [*project["dependencies"], *chain.from_iterable(extras)]
    pinned = {name.split("==")[0] for name in required if "==" in name}
    assert pinned == {"ruff", "mypy"}
    assert all(re.search(r"[>=]=\d", name) for name in required)


def test_typing_marker_and_data_exist() -> None:
    assert (ROOT / "graphc" / "py.typed").read_text() == ""
    assert "CC BY 4.0" in (ROOT / "graphc" / "data" / "digits.md").read_text()


def test_ci_script_is_strict_executable_and_runs_make_test() -> None:
    script = ROOT / ".ci" / "run"
    text = script.read_text()
    assert os.access(script, os.X_OK)
    assert "set -euo pipefail" in text
    assert "make test" in text


needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make in the checkout, without what a surrounding make would hand down."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    command = ["make", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False
    )


@needs_make
def test_make_help_lists_every_target() -> None:
    done = make("help")
    assert done.returncode == 0
    targets = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[0]
    assert [line.split()[1] for line in done.stdout.splitlines()] == targets.split()


@needs_make
@pytest.mark.parametrize(
    ("script", "message"),
    [
        ('case "$1" in --version) echo Python 3.9.1;; *) exit 1;; esac', "but '.*' is Python 3.9"),
        ('case "$2" in *ensurepip*) exit 1;; esac', "cannot make virtual environments"),
    ],
    ids=["too old", "without venv"],
)
def test_make_says_what_is_wrong_with_the_interpreter(
    tmp_path: Path, script: str, message: str
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    done = make("demo", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}")
    assert done.returncode != 0
    assert re.search(message, done.stderr)
    assert not (tmp_path / "venv").exists()


def test_every_relative_link_of_the_documents_leads_somewhere() -> None:
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    links = [
        (path, link)
        for path in documents
        for link in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", path.read_text())
    ]
    assert links
    broken = [f"{path.name}: {link}" for path, link in links if not (path.parent / link).exists()]
    assert not broken
