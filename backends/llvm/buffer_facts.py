"""What a plan proves of the buffers of a kernel, by all steps that run it."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.backends.llvm.kernels import BufferFacts
from graphc.kernel import Kernel
from graphc.plan import Place, Space, Step
from graphc.tensor_type import TensorType


def facts_of(kernel: Kernel, steps: Sequence[Step]) -> tuple[BufferFacts, ...]:
    """Return for each buffer what holds in all `steps`, which run `kernel`."""
    return tuple(
        BufferFacts(
            all(_is_alone(step, i) for step in steps),
            min(_alignment(step, i) for step in steps),
        )
        for i in range(len(kernel.buffers))
    )


def _is_alone(step: Step, number: int) -> bool:
    place, type_ = step.places[number], step.routine.buffers[number].type
    others = zip(step.places, step.routine.buffers, strict=True)
    return not any(
        _overlap(place, type_, other, buffer.type)
        for i, (other, buffer) in enumerate(others)
        if i != number
    )


def _overlap(a: Place, a_type: TensorType, b: Place, b_type: TensorType) -> bool:
    if a.space is not b.space:
        return False
    if a.space is not Space.ARENA:
        return a.at == b.at
    return a.at < b.at + b_type.nbytes and b.at < a.at + a_type.nbytes


def _alignment(step: Step, number: int) -> int:
    if step.places[number].space is not Space.ARGUMENT:
        return 64
    return step.routine.buffers[number].type.dtype.itemsize
