"""What a plan proves of the buffers of a kernel, by all steps that run it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphc.backends.llvm.kernels import BufferFacts
from graphc.kernel import Kernel
from graphc.plan import Place, Space
from graphc.tensor_type import TensorType


@dataclass(frozen=True, slots=True)
class Use:
    """The places of one step that runs the kernel, and whether it stands in a body."""

    places: tuple[Place, ...]
    is_in_body: bool = False


def facts_of(kernel: Kernel, uses: Sequence[Use]) -> tuple[BufferFacts, ...]:
    """Return for each buffer of `kernel` what holds in all `uses`."""
    return tuple(
        BufferFacts(
            all(_is_alone(kernel, use, i) for use in uses),
            min(_alignment(kernel, use, i) for use in uses),
        )
        for i in range(len(kernel.buffers))
    )


def _is_alone(kernel: Kernel, use: Use, number: int) -> bool:
    place, type_ = use.places[number], kernel.buffers[number].type
    others = zip(use.places, kernel.buffers, strict=True)
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


def _alignment(kernel: Kernel, use: Use, number: int) -> int:
    is_given = (Space.ARGUMENT, Space.OUTPUT) if use.is_in_body else (Space.ARGUMENT,)
    if use.places[number].space not in is_given:
        return 64
    return kernel.buffers[number].type.dtype.itemsize
