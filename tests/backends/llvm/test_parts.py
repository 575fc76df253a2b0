"""Large programs are several modules, compiled at once: one program all the same."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest

import graphc
from graphc.backends.llvm import compilation, machine, module_parts, program
from graphc.backends.llvm.beside import Beside, is_beside
from graphc.backends.llvm.module import Features, ModuleText
from graphc.errors import InternalError
from graphc.kernel import Kernel
from graphc.program import Program
from tests.graphc.test_recalled_programs import record_and_object

X = np.linspace(-1, 1, 7 * 96, dtype=np.float32).reshape(7, 96)


@pytest.fixture(autouse=True)
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHC_NUM_THREADS", "2")


def layers() -> Program:
    def function(x: graphc.Tensor) -> graphc.Tensor:
        for size in (50, 40, 30, 20):
            weights = np.random.default_rng(size).normal(size=(x.shape[1], size))
            x = graphc.tanh(x @ weights.astype(np.float32))
        return graphc.softmax(x)

    return graphc.compile(function).program(X)


def in_parts(monkeypatch: pytest.MonkeyPatch, count: int) -> Program:
    monkeypatch.setattr(program, "part_count", lambda kernels, cores: count)
    return layers()


@pytest.mark.parametrize("count", [2, 3, 5])
def test_results_do_not_depend_on_the_number_of_parts(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = []
    for number in (1, count):
        compiled = in_parts(monkeypatch, number)
        shown.append((compiled(X)[0].tobytes(), compiled.text("llvm"), compiled.text("asm")))
    (one, one_text, _), (several, text, assembly) = shown
    assert one == several
    assert one_text.count("define void @run(") == text.count("define void @run(") == 1
    assert 'define void @"kernel.' not in one_text
    assert text.count('define void @"kernel.') >= count - 1
    assert assembly.count(".file") == count


def test_parts_are_profiled(monkeypatch: pytest.MonkeyPatch) -> None:
    several = in_parts(monkeypatch, 3)
    assert len(several.profile(X, repeat=2).rows) == len(several.stages.plan.steps)  # type: ignore[union-attr]  # llvm


def test_small_programs_and_one_core_have_one_part() -> None:
    launches = layers().kernels
    assert module_parts.part_count(launches, 1) == 1
    assert module_parts.part_count([*launches][:1], 16) == 1
    assert module_parts.part_count([], 4) == 1
    assert module_parts.part_count([*launches] * 50, 4) == 8
    assert module_parts.part_count([*launches] * 50, 2) == 4
    assert module_parts.part_count([*launches] * 500, 64) == 8


def test_a_module_is_handed_over_before_the_next_is_written() -> None:
    kernels = [Kernel(f"k{number}", (), ()) for number in range(6)]
    finished: list[ModuleText] = []
    features = Features(fma=True, half=True)
    modules = module_parts.Parts(
        kernels, 3, features, "; barrier", finished.append, is_polled=False
    )
    counts, functions = [], []
    for kernel in kernels:
        functions.append(modules.write(kernel, (), kernel.name).function)
        counts.append(len(finished))
    texts = modules.texts(["run"])
    assert counts[0] == 0 and counts[-1] == 2
    assert list(texts[1:]) == finished and texts[0].exports == ("run",)
    exported = [name for module in finished for name in module.exports]
    assert exported == [kernel.name for kernel in kernels][: len(exported)]
    assert all(function in texts[0].text for function in functions)
    assert all(len(module.exports) for module in finished)


def test_every_part_is_kept_and_one_that_is_missing_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHC_CACHE", "1")
    monkeypatch.setenv("GRAPHC_CACHE_DIR", str(tmp_path))
    emitted: list[str] = []
    emit = compilation._emit

    def counting(module: ModuleText, target: machine.Machine) -> bytes:
        emitted.append(module.text)
        return emit(module, target)

    monkeypatch.setattr(compilation, "_emit", counting)
    wanted = in_parts(monkeypatch, 3)(X)[0].tobytes()
    first = len(emitted)
    assert in_parts(monkeypatch, 3)(X)[0].tobytes() == wanted and len(emitted) == first
    record, _ = record_and_object(tmp_path / "objects")
    keys = [part.split(b'"')[0] for part in record.read_bytes().split(b'["')[1:]]
    keys = [key for key in keys if len(key) == 64]
    assert len(keys) == 3
    for key in keys:
        os.unlink(tmp_path / "objects" / f"{key.decode()}.object")
        before = len(emitted)
        assert in_parts(monkeypatch, 3)(X)[0].tobytes() == wanted and len(emitted) == before + 1


def texts(*bodies: str) -> tuple[ModuleText, ...]:
    names = ("run", "a", "b")
    return tuple(
        ModuleText(f"declare i32 @a()\ndefine i32 @{name}() {{ {body} }}", (name,))
        if name == "run"
        else ModuleText(f"define i32 @{name}() {{ {body} }}", (name,))
        for name, body in zip(names, bodies, strict=False)
    )


def test_what_is_wrong_with_a_part_is_raised() -> None:
    for bodies in (
        ("ret i32 1", "nonsense"),
        ("nonsense", "ret i32 1"),
        ("ret i32 1", "ret i64 1"),
    ):
        with pytest.raises(InternalError, match="LLVM refuses"):
            compilation.compile_modules(texts(*bodies), machine.machine(), dict)
    assert threading.active_count() == 1 + sum(
        not isinstance(t, Beside) for t in threading.enumerate()[1:]
    )


def test_a_thread_beside_gives_its_value_or_its_error() -> None:
    assert Beside(is_beside).value() and not is_beside()
    with pytest.raises(ZeroDivisionError):
        Beside(lambda: 1 // 0).value()
