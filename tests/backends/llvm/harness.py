"""Running one kernel through a plan on the LLVM backend, judged by the kernel interpreter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from graphc import dtypes, kernel_interpreter
from graphc.backends.llvm import BACKEND, machine
from graphc.backends.llvm.executable import LlvmExecutable
from graphc.errors import BackendError
from graphc.kernel import Access, Kernel
from graphc.kernel_text import parse_kernel
from graphc.kernel_verifier import verify
from graphc.plan import Place, Plan, Space, Step
from graphc.state import VariableState

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"


def runnable_levels() -> list[str]:
    """List the CPU levels that this host can run; the host itself is ''."""
    levels = [""]
    for level in machine.LEVELS[1:]:
        try:
            machine.machine(level)
        except BackendError:
            continue
        levels.append(level)
    return levels


CPUS = runnable_levels()
LEVELS = CPUS[1:] or CPUS  # what most tests run on: the host differs in its conversions at most


def compile_kernel(
    kernel: Kernel, arrays: Mapping[str, Array], cpu: str = "", cores: int = 1
) -> tuple[LlvmExecutable, list[Array], list[VariableState]]:
    """Compile a plan of one step: `in` are arguments, `out` outputs, `inout` variables."""
    by_access: dict[Access, list[str]] = {access: [] for access in Access}
    places = []
    for buffer in kernel.buffers:
        places.append(Place(_SPACES[buffer.access], len(by_access[buffer.access])))
        by_access[buffer.access].append(buffer.name)
    variables = [
        VariableState(kernel.buffer(n).type, arrays[n], n) for n in by_access[Access.INOUT]
    ]
    plan = Plan(
        name="test",
        steps=(Step(kernel, tuple(places)),),
        inputs=tuple(kernel.buffer(n).type for n in by_access[Access.IN]),
        outputs=tuple(kernel.buffer(n).type for n in by_access[Access.OUT]),
        variables=tuple(variables),
        written=frozenset(range(len(variables))),
        constants=(),
        arena_bytes=0,
        checks=(),
        target=replace(BACKEND.target(cpu), cores=cores),
    )
    arguments = [np.ascontiguousarray(arrays[n]) for n in by_access[Access.IN]]
    return BACKEND.compile(plan), arguments, variables


_SPACES = {
    Access.IN: Space.ARGUMENT,
    Access.OUT: Space.OUTPUT,
    Access.INOUT: Space.VARIABLE,
}


def run_native(
    kernel: Kernel, arrays: Mapping[str, Array], cpu: str = "", cores: int = 1
) -> dict[str, Array]:
    """Return what the kernel leaves in its `out` and `inout` buffers."""
    executable, arguments, variables = compile_kernel(kernel, arrays, cpu, cores)
    outputs = executable.run(arguments)
    names = [b.name for b in kernel.buffers if b.access is Access.OUT]
    states = {state.name: state.host().copy() for state in variables}
    return dict(zip(names, outputs, strict=True)) | states


def expected(kernel: Kernel, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return the same by the interpreter."""
    memories = {
        b.name: np.array(arrays[b.name], b.type.dtype.numpy)
        if b.access is not Access.OUT
        else np.zeros(b.type.shape, b.type.dtype.numpy)
        for b in kernel.buffers
    }
    kernel_interpreter.run(kernel, memories)
    return {b.name: memories[b.name] for b in kernel.buffers if b.access is not Access.IN}


def check(
    text: str | Kernel, arrays: Mapping[str, Array], cpus: Sequence[str] = LEVELS, cores: int = 1
) -> None:
    """Assert that a kernel gives the interpreter's bits on every one of `cpus`."""
    kernel = parse_kernel(text) if isinstance(text, str) else text
    verify(kernel)
    wanted = expected(kernel, arrays)
    for cpu in cpus:
        given = run_native(kernel, arrays, cpu, cores)
        for name, array in wanted.items():
            assert_same_bits(given[name], array, f"{kernel.name}.{name} on {cpu or 'the host'}")


def assert_same_bits(given: Array, wanted: Array, what: str = "") -> None:
    """Assert equal shapes and dtypes and elements, told apart by sign of zero; NaN equals NaN."""
    assert given.shape == wanted.shape and given.dtype == wanted.dtype
    unsigned = np.dtype(f"u{given.dtype.itemsize}")
    differ = given.view(unsigned) != wanted.view(unsigned)
    if given.dtype.kind not in "biu":
        with np.errstate(invalid="ignore"):  # bfloat16 warns of signalling NaN
            differ &= ~(np.isnan(given) & np.isnan(wanted))
    if differ.any():
        where = tuple(int(i[0]) for i in np.nonzero(differ))
        raise AssertionError(
            f"{what}: {int(differ.sum())} of {differ.size} differ, first at {where}: "
            f"{given[where]!r} instead of {wanted[where]!r}"
        )


def special_values(dtype: Any, count: int, seed: int = 0) -> Array:
    """Return `count` values of a graphc dtype: every special one, then random bits."""
    generator = np.random.default_rng(seed)
    itemsize = dtype.itemsize
    if dtype.kind == "bool":
        return generator.random(count) < 0.5
    values = np.frombuffer(generator.bytes(count * itemsize), dtype.numpy).copy()
    chosen = _FLOATS if dtype.is_float else _integers(dtype)
    with np.errstate(all="ignore"):
        first = np.array(chosen, np.float64 if dtype.is_float else object).astype(dtype.numpy)
        moderate = generator.normal(size=count // 2) * 100
        if dtype.is_float:
            values[count // 2 :][: moderate.size] = moderate.astype(dtype.numpy)
    generator.shuffle(first)
    values[: min(count, first.size)] = first[:count]
    if dtype is dtypes.float32 and count > 256:  # NaN whose payload is in its low bits alone
        values[200:203] = np.array([0x7F800001, 0xFF80FFFF, 0x7FFFFFFF], np.uint32).view(np.float32)
    return values


_FLOATS = [
    0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.0, np.nan, np.inf, -np.inf, 1e-45, -1e-45,
    5e-324, 2.0**-149, 2.0**-126, 2.0**-133, 2.0**-24, 2.0**-25, 1.5 * 2.0**-25, 2.0**-14,
    65504.0, 65519.0, 65520.0, 65536.0, 3.4e38, -3.4e38, 3.3961e38, 1e39, 1.7e308, 127.5, 128.0,
    -128.5, -129.0, 255.0, 255.9, 256.0, 32767.5, 2.0**31, 2.0**31 - 1, -(2.0**31), -(2.0**31) - 1,
    2.0**32, 2.0**63, -(2.0**63), 2.0**64, 2.0**53 + 2, 1 + 2.0**-24, 1 + 2.0**-11, 1 + 2.0**-8,
    1 + 2.0**-8 + 2.0**-40, 1 + 2.0**-11 + 2.0**-50, 1 + 3 * 2.0**-8,
]  # fmt: skip


def _integers(dtype: Any) -> list[int]:
    low, high = int(np.iinfo(dtype.numpy).min), int(np.iinfo(dtype.numpy).max)
    wanted = [0, 1, 2, 3, -1, -2, low, low + 1, high, high - 1, 257, 16777217, 2**24 + 3,
              2**53 + 1, -(2**53) - 1, 2**62 + 2**54 + 1, -(2**62) - 2**54 - 1, 2**63 + 2**55 + 1,
              2**62 + 2**54, 2**52 + 2**44 + 1,  2**40 + 2**32 + 1, 33023]  # fmt: skip
    return [v for v in wanted if low <= v <= high]
