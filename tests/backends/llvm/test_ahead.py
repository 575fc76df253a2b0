"""LLVM is loaded beside the tracing of a first program, where it will be needed, and only there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from graphc.backends.llvm.beside import Beside, quick_switching
from tests.source_tree import ROOT

PROGRAM = """
import os, sys, threading
import numpy as np
import graphc
from graphc.backends.llvm import ahead, library

seen = []

@graphc.compile
def function(x):
    seen.append(len(ahead._begun))
    {inside}
    return graphc.tanh(x) * 2

x = np.linspace(-1, 1, 5, dtype=np.float32)
assert np.allclose(function(x), np.tanh(x) * 2)
{after}
print(seen[0], len(ahead._begun), library.llvm.cache_info().currsize > 0)
"""


def run(tmp_path: Path, inside: str = "pass", after: str = "pass", **variables: str) -> str:
    """Run the program in a process of its own; return what it prints."""
    text = PROGRAM.format(inside=inside, after=after)
    environment = {"PATH": "/usr/bin:/bin", "GRAPHC_CACHE_DIR": str(tmp_path)} | variables
    done = subprocess.run(
        [sys.executable, "-c", text],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_begins_before_the_function_is_traced_and_not_where_all_is_on_disk(
    tmp_path: Path,
) -> None:
    assert run(tmp_path) == "1 1 True"
    assert run(tmp_path) == "0 0 False"
    assert run(tmp_path, GRAPHC_CACHE="0") == "1 1 True"


def test_what_is_not_on_disk_of_a_known_computer_is_found_missing_first(tmp_path: Path) -> None:
    assert run(tmp_path) == "1 1 True"
    assert run(tmp_path, inside="x = x + 1; x = x - 1") == "0 1 True"


@pytest.mark.parametrize("cores", ["1", "2"])
def test_a_process_may_fork_meanwhile(cores: str, tmp_path: Path) -> None:
    """The child, in which there is no such thread, compiles the rest of the function."""
    fork = "seen.append(os.fork())"
    after = "seen[1] and os.waitpid(seen[1], 0)[1] and sys.exit(3); seen[1] or os._exit(0)"
    for number in range(5):
        found = run(tmp_path / str(number), fork, after, GRAPHC_NUM_THREADS=cores)
        assert found == "1 1 True"


def test_turns_are_short_beside_another_thread_only() -> None:
    usual = sys.getswitchinterval()
    assert Beside(sys.getswitchinterval).value() < usual / 10
    assert sys.getswitchinterval() == usual
    with quick_switching(), quick_switching():
        pass
    assert sys.getswitchinterval() == usual
