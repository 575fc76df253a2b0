"""The CPU levels: what each may use, which are refused, and how the environment chooses."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from graphc.backends.llvm import BACKEND, compilation, library, machine
from graphc.errors import BackendError, InternalError
from graphc.kernel_text import parse_kernel
from tests.backends.llvm.harness import CPUS, compile_kernel, special_values

ROOT = Path(__file__).resolve().parents[3]
VECTOR = """kernel fused(x: float32[64] in, y: float32[64] out) {
  for i < 4 parallel { for l < 16 vector {
    %a = load x[16*i + l] : float32  %b = fma(%a, %a, %a) : float32
    store y[16*i + l] = %b } } }"""


def assembly(cpu: str) -> str:
    arrays = {"x": special_values(machine_dtype(), 64)}
    return compile_kernel(parse_kernel(VECTOR), arrays, cpu)[0].text("asm")


def machine_dtype() -> object:
    return parse_kernel(VECTOR).buffers[0].type.dtype


@pytest.mark.skipif("x86-64-v4" not in CPUS, reason="this host has no AVX-512")
def test_each_level_uses_its_own_registers_and_no_others() -> None:
    assert "%zmm" in assembly("x86-64-v4")
    assert "%zmm" not in assembly("x86-64-v3") and "vfmadd" in assembly("x86-64-v3")
    assert "%ymm" not in assembly("x86-64-v2") and "vfmadd" not in assembly("x86-64-v2")
    targets = [BACKEND.target(level) for level in ("x86-64-v2", "x86-64-v3", "x86-64-v4")]
    assert [t.vector_bytes for t in targets] == [16, 32, 64]
    assert [t.vector_registers for t in targets] == [16, 16, 32]
    assert [t.name for t in targets] == ["x86-64-v2", "x86-64-v3", "x86-64-v4"]


def test_a_level_that_the_host_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    old = replace(library.host(), cpu="old", features=machine.level_features("x86-64-v2"))
    monkeypatch.setattr(machine, "host", lambda: old)
    machine.machine.cache_clear()
    try:
        assert machine.machine("x86-64-v2").vector_bytes == 16
        with pytest.raises(BackendError, match=r"no x86-64-v3: it lacks avx, avx2.*fma"):
            machine.machine("x86-64-v3")
    finally:
        machine.machine.cache_clear()


def test_an_unknown_cpu_is_refused_and_the_known_ones_named() -> None:
    with pytest.raises(BackendError, match=r"'pentium'(.|\n)*x86-64-v2"):
        BACKEND.target("pentium")


def test_the_environment_chooses_the_level() -> None:
    code = (
        "from graphc.backends.llvm import BACKEND; t = BACKEND.target();"
        "print(t.name, t.vector_bytes, t.cores)"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "GRAPHC_CPU": "x86-64-v2",
        "GRAPHC_NUM_THREADS": "3",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "x86-64-v2 16 3\n"


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000"}, 4),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({"a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}, 3),
        ({"a/cpu.max": "300000 100000", "a/b/cpu.max": "100000 100000"}, 1),
        ({"cpu/a/b/cpu.cfs_quota_us": "50000", "cpu/a/b/cpu.cfs_period_us": "100000"}, 1),
        ({"c/cpu.max": "100000 100000"}, None),
        ({}, None),
    ],
)
def test_the_quota_of_the_control_group(
    files: dict[str, str], cores: int | None, tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(text + "\n")
    membership = tmp_path / "membership"
    membership.write_text("4:memory:/m\n3:cpu,cpuacct:/a/b\n0::/a/b\n")
    assert machine._quota(tmp_path, membership) == cores
    assert machine._quota(tmp_path / "none", tmp_path / "none") is None


def test_cache_sizes_are_read_from_the_system(tmp_path: Path) -> None:
    rows = [(1, "Data", "48K"), (1, "Instruction", "64K"), (2, "Unified", "2048K"), (3, "x", "9M")]
    for number, (level, kind, size) in enumerate(rows):
        folder = tmp_path / f"index{number}"
        folder.mkdir()
        for name, text in (("level", str(level)), ("type", kind), ("size", size)):
            (folder / name).write_text(text)
    assert machine._cache_bytes(tmp_path) == (48 * 1024, 2048 * 1024, 9 * 1024**2)
    assert machine._cache_bytes(tmp_path / "none") == (32 * 1024, 1024**2, 16 * 1024**2)


def test_malformed_code_is_an_error_and_not_the_end_of_the_process() -> None:
    host = machine.machine()
    for text in ("define void @f() {", "define void @f() { ret i32 0 }", "define void @f(ptr"):
        with pytest.raises(InternalError, match="LLVM refuses"):
            compilation.assembly(text, host)


def test_unknown_functions_are_found_when_linking() -> None:
    text = "declare void @no_such_function()\ndefine void @f() {\n"
    text += "  call void @no_such_function()\n  ret void\n}\n"
    with pytest.raises(InternalError, match="cannot link"):
        compilation.compile_module(text, machine.machine(), ("f",), {})
