"""Running kernels on the simulated device, and the bits that the kernel interpreter gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from graphc import dtypes
from graphc.backends.opencl import BACKEND
from graphc.backends.opencl.runtime import OpenCLExecutable
from graphc.dtypes import DType
from graphc.kernel import Access, Kernel
from graphc.kernel_interpreter import run
from graphc.kernel_text import parse_kernel
from graphc.kernel_verifier import verify
from graphc.passes.schedule_gpu import schedule_gpu
from graphc.plan import Place, Plan, Space, Step
from graphc.state import VariableState
from tests.agreement import same
from tests.samples import specials

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"

_SPACES = {
    Access.IN: Space.ARGUMENT,
    Access.OUT: Space.OUTPUT,
    Access.INOUT: Space.VARIABLE,
}


def special_values(dtype: DType, count: int, seed: int) -> Array:
    """Return special values, then random bits, in an order that the seed gives."""
    rng = np.random.default_rng(seed)
    octets = rng.integers(0, 256, (count, dtype.itemsize), np.uint8)
    random = octets.view(dtype.numpy)[:, 0] if dtype.kind != "bool" else octets[:, 0] > 127
    some = specials(dtype)
    known = rng.choice(np.arange(some.size), count)
    mixed: Array = np.where(rng.random(count) < 0.6, some[known], random)
    return mixed


def expected(kernel: Kernel, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return what the interpreter leaves in the `out` and `inout` buffers."""
    memory = {
        b.name: np.array(arrays[b.name])
        if b.name in arrays
        else np.zeros(b.type.shape, b.type.dtype.numpy)
        for b in kernel.buffers
    }
    run(kernel, memory)
    return {b.name: memory[b.name] for b in kernel.buffers if b.access is not Access.IN}


def plan_of(kernel: Kernel, arrays: Mapping[str, Array]) -> Plan:
    """Return a plan of one step: `in` are arguments, `out` outputs, `inout` variables."""
    by_access: dict[Access, list[str]] = {access: [] for access in Access}
    places = []
    for buffer in kernel.buffers:
        places.append(Place(_SPACES[buffer.access], len(by_access[buffer.access])))
        by_access[buffer.access].append(buffer.name)
    inout = by_access[Access.INOUT]
    return Plan(
        name="test",
        steps=(Step(kernel, tuple(places)),),
        inputs=tuple(kernel.buffer(n).type for n in by_access[Access.IN]),
        outputs=tuple(kernel.buffer(n).type for n in by_access[Access.OUT]),
        variables=tuple(VariableState(kernel.buffer(n).type, arrays[n], n) for n in inout),
        written=frozenset(range(len(inout))),
        constants=(),
        arena_bytes=0,
        checks=(),
        target=BACKEND.target(),
    )


def on_device(kernel: Kernel, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return what the device leaves in the `out` and `inout` buffers."""
    plan = plan_of(kernel, arrays)
    executable: OpenCLExecutable = BACKEND.compile(plan)
    given = [b.name for b in kernel.buffers if b.access is Access.IN]
    outputs = iter(executable.run([np.ascontiguousarray(arrays[n]) for n in given]))
    states = iter(plan.variables)
    results = {}
    for buffer in kernel.buffers:
        if buffer.access is Access.OUT:
            results[buffer.name] = next(outputs)
        elif buffer.access is Access.INOUT:
            results[buffer.name] = next(states).host()
    return results


def assert_same_bits(got: Mapping[str, Array], want: Mapping[str, Array], what: str) -> None:
    """Fail where two results differ in a bit; all NaNs are one."""
    assert got.keys() == want.keys()
    for name, array in want.items():
        bad = np.flatnonzero(~same(got[name], array))
        first = [(int(i), got[name].flat[i], array.flat[i]) for i in bad[:4]]
        assert not bad.size, f"{what}: {name}: {bad.size} wrong, (at, got, wanted): {first}"


def check(
    source: str | Kernel, arrays: Mapping[str, Array], *, unscheduled: bool = False
) -> Kernel:
    """Hold a lowered kernel, scheduled, on the device to its own bits in the interpreter.

    With `unscheduled` the kernel is run as it is, too. Returns the scheduled kernel.
    """
    kernel = parse_kernel(source) if isinstance(source, str) else source
    verify(kernel)
    want = expected(kernel, arrays)
    scheduled = schedule_gpu(kernel, BACKEND.target())
    verify(scheduled)
    assert_same_bits(expected(scheduled, arrays), want, "the interpreter on the schedule")
    assert_same_bits(on_device(scheduled, arrays), want, "the device")
    if unscheduled:
        assert_same_bits(on_device(kernel, arrays), want, "the device, unscheduled")
    return scheduled


def buffer_values(kernel: Kernel, seed: int = 0) -> dict[str, Array]:
    """Return values for everything that a kernel reads: small numbers, some of them special."""
    rng = np.random.default_rng(seed)
    arrays: dict[str, Array] = {}
    for buffer in kernel.buffers:
        shape, dtype = buffer.type.shape, buffer.type.dtype
        if buffer.access is Access.OUT:
            continue
        if dtype is dtypes.bool_:
            arrays[buffer.name] = rng.random(shape) < 0.5
        elif dtype.is_float:
            arrays[buffer.name] = np.asarray(rng.normal(size=shape)).astype(dtype.numpy)
        else:
            arrays[buffer.name] = rng.integers(0, 100, shape).astype(dtype.numpy)
    return arrays
