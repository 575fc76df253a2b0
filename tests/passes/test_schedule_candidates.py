"""Schedule candidates: all different, all verified, all with the bits of the naive kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import graphc
from graphc.backends.llvm import BACKEND
from graphc.kernel import Kernel
from graphc.kernel_interpreter import run
from graphc.kernel_verifier import verify
from graphc.passes.fuse import fuse
from graphc.passes.lower import lower
from graphc.passes.schedule import schedule
from graphc.passes.schedule_candidates import candidates
from graphc.random_arrays import random_arrays
from graphc.schedule_choices import ScheduleChoices
from graphc.target import Target
from graphc.tune import plan_of

AVX512 = Target("avx512", "cpu", 64, 32, 4)
SSE = Target("sse", "cpu", 16, 16, 2)
WORKS: dict[str, tuple[Callable[..., Any], tuple[tuple[int, ...], ...]]] = {
    "product": (lambda x, y: x @ y, ((61, 70), (70, 83))),
    "transposed": (lambda x, y: graphc.einsum("ik,jk->ij", x, y), ((61, 70), (83, 70))),
    "batch": (lambda x, y: graphc.tanh(x @ y), ((3, 20, 9), (3, 9, 35))),
    "vector": (lambda x, y: x @ y, ((40, 300), (300,))),
    "sum": (lambda x: x.sum(0), ((300, 90),)),
    "softmax": (graphc.softmax, ((30, 50),)),
    "transpose": (lambda x: x.T + 1, ((33, 70),)),
    "elementwise": (lambda x: graphc.exp(x) * 2, ((5000,),)),
}


def lowered(name: str) -> list[Kernel]:
    function, shapes = WORKS[name]
    inputs = [graphc.input(shape, name=f"x{i}") for i, shape in enumerate(shapes)]
    program = graphc.compile([function(*inputs)], inputs=inputs)
    return list(lower(fuse(program.optimised, AVX512)).kernels)


@pytest.mark.parametrize("target", [AVX512, SSE], ids=lambda t: t.name)
@pytest.mark.parametrize("name", WORKS)
def test_candidates_begin_with_the_models_own_and_differ(name: str, target: Target) -> None:
    for kernel in lowered(name):
        found = candidates(kernel, target)
        first, *others = found
        assert first == schedule(kernel, target) and not found[first].chosen
        for candidate in others:
            verify(candidate)
            assert candidate == schedule(kernel, target, found[candidate]) != first


def test_products_have_candidates_of_every_kind() -> None:
    kernels = lowered("product") + lowered("transposed")
    found = {n for k in kernels for c in candidates(k, AVX512).values() for n in c.chosen}
    assert found == set(ScheduleChoices.__dataclass_fields__)


def test_candidates_lie_around_what_they_are_given() -> None:
    (kernel,) = lowered("product")
    base = ScheduleChoices(tile_rows=4)
    first, *others = candidates(kernel, AVX512, base).values()
    assert first == base
    assert len(others) > 5
    assert all(len(c.chosen) == 1 if c.tile_rows != 4 else len(c.chosen) == 2 for c in others)


@pytest.mark.parametrize("name", WORKS)
def test_native_code_of_all_candidates_has_the_same_bits(name: str) -> None:
    target = BACKEND.target()
    for kernel in lowered(name):
        plan = plan_of(kernel, target)
        arguments = random_arrays(plan.inputs, 10)
        results = set()
        around = [ScheduleChoices(), ScheduleChoices(vectors=4, tile_rows=3, task_rows=20)]
        for base in around:
            for candidate in candidates(kernel, target, base):
                runner = BACKEND.compile_timed(plan_of(candidate, target))
                results.add(b"".join(a.tobytes() for a in runner.run(arguments)))
        assert len(results) == 1


@pytest.mark.parametrize("number", [0, 1, 3, 1000])
@pytest.mark.parametrize("name", ["product", "softmax", "sum"])
def test_any_number_is_carried_out_as_far_as_it_goes(name: str, number: int) -> None:
    for kernel in lowered(name):
        small = replace(AVX512, cache_bytes=(1024, 16384, 65536))
        for field in ScheduleChoices.__dataclass_fields__:
            verify(schedule(kernel, small, ScheduleChoices(**{field: number})))
        verify(schedule(kernel, small, ScheduleChoices(*[number] * 8)))


def test_chosen_schedules_compute_what_the_naive_kernel_does() -> None:
    x, y = graphc.input((7, 20), name="x"), graphc.input((20, 19), name="y")
    program = graphc.compile([x @ y], inputs=[x, y])
    (kernel,) = lower(fuse(program.optimised, SSE)).kernels
    arrays = random_arrays([x.type, y.type], 10)
    naive = _interpreted(kernel, arrays)
    for number in (1, 2, 5):
        chosen = schedule(kernel, SSE, ScheduleChoices(*[number] * 8))
        assert _interpreted(chosen, arrays).tobytes() == naive.tobytes()


def _interpreted(kernel: Kernel, arrays: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    out = np.zeros(kernel.buffers[-1].type.shape, np.float32)
    run(kernel, dict(zip([b.name for b in kernel.buffers], [*arrays, out], strict=True)))
    return out
