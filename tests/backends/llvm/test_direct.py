"""LLVM called directly, and by llvmlite's Python, says and makes the same."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import llvmlite
import numpy as np
import pytest

import graphc
from graphc.backends.llvm import library, machine
from graphc.backends.llvm.by_llvmlite import ByLlvmlite
from graphc.backends.llvm.direct import Direct
from tests.backends.llvm.harness import LEVELS
from tests.source_tree import ROOT


@pytest.fixture(scope="module")
def ways() -> tuple[Direct, ByLlvmlite]:
    return Direct(library._path()), ByLlvmlite(library.binding())


def text_for(cpu: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a module in LLVM IR for a level of this CPU."""
    monkeypatch.setenv("GRAPHC_CPU", cpu)
    x = graphc.input((64, 33), name="x")
    return graphc.compile([graphc.softmax(x) @ np.ones((33, 5), np.float32)]).text("llvm")


def test_both_say_the_same_of_this_computer(ways: tuple[Direct, ByLlvmlite]) -> None:
    direct, other = (way.host() for way in ways)
    assert direct == other and direct.version[0] >= 22 and direct.features


@pytest.mark.parametrize("cpu", ["", *LEVELS])
def test_both_make_the_same_code(
    cpu: str, ways: tuple[Direct, ByLlvmlite], monkeypatch: pytest.MonkeyPatch
) -> None:
    text, found = text_for(cpu, monkeypatch), []
    for level in (0, 2):
        order = machine.machine(cpu).order(level)
        for as_assembly in (False, True):
            direct, other = (way.compile(text, order, as_assembly=as_assembly) for way in ways)
            assert direct == other
            found.append(direct)
    assert len(set(found)) == 4


@pytest.mark.parametrize(
    "text", ["define nonsense", "define i32 @f() { ret i64 1 }", "define void @f(ptr"]
)
def test_both_refuse_what_is_malformed(text: str, ways: tuple[Direct, ByLlvmlite]) -> None:
    for way in ways:
        with pytest.raises(RuntimeError):
            way.compile(text, machine.machine().order())


def test_a_wrong_body_is_refused_before_a_pass_sees_it(ways: tuple[Direct, ByLlvmlite]) -> None:
    """What the parser takes and the verifier does not: a value that does not dominate its use."""
    text = "define i32 @f() {\n %a = add i32 %b, 1\n %b = add i32 1, 1\n ret i32 %a\n}"
    for way in ways:
        with pytest.raises(RuntimeError, match="dominate"):
            way.compile(text, machine.machine().order())


def test_many_threads_compile_at_once(
    ways: tuple[Direct, ByLlvmlite], monkeypatch: pytest.MonkeyPatch
) -> None:
    text, order = text_for("", monkeypatch), machine.machine().order()
    with ThreadPoolExecutor(4) as pool:
        objects = set(pool.map(lambda _: ways[0].compile(text, order), range(16)))
    assert objects == {ways[1].compile(text, order)}


def test_other_versions_are_called_by_their_own_python(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(library.llvm(), Direct)
    monkeypatch.setattr(llvmlite, "__version__", "0.51.0")
    assert isinstance(library.llvm.__wrapped__(), ByLlvmlite)


def test_a_program_is_compiled_without_llvmlites_python() -> None:
    text = "import sys, graphc\nx = graphc.input((3,))\ngraphc.compile([x + 1])([1, 2, 3])\n"
    text += "print([name for name in sys.modules if name.startswith('llvmlite.')])"
    command = [sys.executable, "-c", text]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['llvmlite._version', 'llvmlite.utils']"
