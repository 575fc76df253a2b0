"""Compilation with the cache: the same code whatever lies in it, and a key for all that matters."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import subprocess
import sys
from ctypes import CFUNCTYPE, c_int
from pathlib import Path
from typing import Any

import llvmlite
import pytest

from graphc.backends.llvm import compilation, machine, object_cache
from graphc.backends.llvm.module import ModuleText
from graphc.backends.llvm.order import PASSES
from graphc.errors import InternalError
from tests.backends.llvm.harness import LEVELS
from tests.source_tree import ROOT

ROUNDS = 200


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the directory of the entries of a cache of this test's own."""
    monkeypatch.setenv("GRAPHC_CACHE", "1")
    monkeypatch.setenv("GRAPHC_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "objects"


@pytest.fixture
def emitted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that receives every text that is really compiled."""
    texts: list[str] = []
    emit = compilation._emit

    def counting(module: ModuleText, target: machine.Machine) -> bytes:
        texts.append(module.text)
        return emit(module, target)

    monkeypatch.setattr(compilation, "_emit", counting)
    return texts


def text_of(number: int, name: str = "f") -> str:
    return f"define i32 @{name}() {{\n  ret i32 {number}\n}}\n"


def compiled(number: int) -> int:
    """Compile a function that returns a number, and call it."""
    code = compilation.compile_module(text_of(number), machine.machine(), ("f",), {})
    return int(CFUNCTYPE(c_int)(code.address("f"))())


def key_of(number: int) -> bytes:
    return compilation.cache_key(text_of(number), machine.machine())


def test_tests_use_no_cache_unless_they_ask(emitted: list[str]) -> None:
    assert object_cache.configured() is None
    assert compiled(1) == compiled(1) == 1
    assert len(emitted) == 2


def test_a_text_is_compiled_once(folder: Path, emitted: list[str]) -> None:
    assert [compiled(n) for n in (1, 2, 1, 2, 1)] == [1, 2, 1, 2, 1]
    assert emitted == [text_of(1), text_of(2)]
    assert len(os.listdir(folder)) == 2


@pytest.mark.parametrize("is_truncated", [False, True])
def test_a_damaged_entry_is_compiled_anew(
    is_truncated: bool, folder: Path, emitted: list[str]
) -> None:
    chance = random.Random(5)
    compiled(7)
    (path,) = folder.iterdir()
    for number in range(1, ROUNDS + 1):
        entry = bytearray(path.read_bytes())
        place = chance.randrange(len(entry))
        if is_truncated:
            del entry[place:]
        else:
            entry[place] ^= chance.randrange(1, 256)
        path.write_bytes(entry)
        assert compiled(7) == 7
        assert len(emitted) == 1 + number
    assert compiled(7) == 7 and len(emitted) == 1 + ROUNDS


def test_the_entry_of_another_text_is_compiled_anew(folder: Path) -> None:
    compiled(1), compiled(2)
    one, two = (folder / f"{key_of(number).hex()}.object" for number in (1, 2))
    two.write_bytes(one.read_bytes())
    assert compiled(2) == 2


@pytest.mark.parametrize("image", ["garbage", "empty", "another name"])
def test_an_object_that_cannot_be_linked_is_compiled_anew(
    image: str, folder: Path, emitted: list[str]
) -> None:
    other = compilation._emit(ModuleText(text_of(1, "g"), ("g",)), machine.machine())
    cache = object_cache.configured()
    assert cache is not None
    cache.store(key_of(3), {"garbage": b"garbage", "empty": b"", "another name": other}[image])
    del emitted[:]
    assert compiled(3) == compiled(3) == 3
    assert emitted == [text_of(3)]


def test_a_cache_that_cannot_be_used_changes_nothing(folder: Path, emitted: list[str]) -> None:
    folder.parent.write_text("no directory")
    assert compiled(1) == compiled(1) == 1
    assert len(emitted) == 2


def test_a_refused_text_leaves_nothing(folder: Path) -> None:
    with pytest.raises(InternalError):
        compilation.compile_module("define nonsense", machine.machine(), ("f",), {})
    assert not folder.exists()


# --- the key --------------------------------------------------------------------------------------

PARTS: dict[str, tuple[Any, str, Any]] = {
    "graphc": (compilation, "__version__", "0.0.0"),
    "llvmlite": (llvmlite, "__version__", "0.0.0"),
    "passes": (compilation, "PASSES", PASSES[:-1]),
}


@pytest.mark.parametrize("part", PARTS)
def test_the_key_depends_on_versions_and_options(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = key_of(1)
    assert before == key_of(1) and len(before) == object_cache.KEY_BYTES
    monkeypatch.setattr(*PARTS[part])
    assert key_of(1) != before


def test_the_key_depends_on_the_level() -> None:
    host, text = machine.machine(), text_of(1)
    keys = {compilation.cache_key(text, host, level) for level in (0, 1, 2, 3)}
    assert len(keys) == 4 and key_of(1) in keys


def test_the_key_depends_on_text_and_cpu() -> None:
    host = machine.machine()
    fewer = dataclasses.replace(host, features=host.features - {"sse2"})
    renamed = dataclasses.replace(host, name="another")
    other = dataclasses.replace(host, version=(1, 2, 3))
    machines = [host, fewer, renamed, other, *map(machine.machine, LEVELS)]
    keys = {compilation.cache_key(text, one) for text in ("", "a", "b") for one in machines}
    assert len(keys) == 3 * len({(one.name, one.features, one.version) for one in machines})


# --- whole programs -------------------------------------------------------------------------------

PROGRAM = """
import json, os
import numpy as np
import graphc
from graphc import nn, optim
from graphc.backends.llvm import compilation

emit, texts = compilation._emit, []
compilation._emit = lambda module, target: texts.append(module.text) or emit(module, target)
model, optimizer = nn.Linear(20, 30, seed=0), optim.Adam(0.1)

@graphc.compile
def step(inputs):
    loss = graphc.square(graphc.softmax(model(inputs))).sum()
    optimizer.minimize(loss, model.parameters())
    return loss

inputs = np.random.default_rng(0).normal(size=(64, 20)).astype(np.float32)
losses = [float(step(inputs)).hex() for _ in range(3)]
print(json.dumps([len(texts), losses]))
"""


def test_a_second_process_compiles_nothing_and_computes_the_same(folder: Path) -> None:
    runs = []
    for seed, cpu in (("1", ""), ("2", ""), ("3", LEVELS[0])):
        variables = os.environ | {"PYTHONHASHSEED": seed, "GRAPHC_CPU": cpu}
        command = [sys.executable, "-c", PROGRAM]
        done = subprocess.run(
            command, cwd=ROOT, env=variables, capture_output=True, text=True, check=True
        )
        runs.append(json.loads(done.stdout))
    assert runs[0][0] >= 1 and runs[1][0] == 0
    assert (runs[2][0] >= 1) == (LEVELS[0] != "")
    assert runs[0][1] == runs[1][1] == runs[2][1]
