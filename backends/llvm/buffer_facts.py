"""What a plan proves of the buffers of a kernel, by all steps that run it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from graphc.backends.llvm.kernels import BufferFacts
from graphc.kernel import Kernel
from graphc.plan import Place, Space
from graphc.state import ALIGNMENT

Use: TypeAlias = tuple[Place, ...]  # the places of one step that runs the kernel


def facts_of(kernel: Kernel, uses: Sequence[Use]) -> tuple[BufferFacts, ...]:
    """Return for each buffer of `kernel` what holds in all `uses`."""
    alone = set(range(len(kernel.buffers))).intersection(*(_alone(kernel, use) for use in uses))
    return tuple(
        BufferFacts(i in alone, min(_alignment(kernel, use, i) for use in uses))
        for i in range(len(kernel.buffers))
    )


def _alone(kernel: Kernel, use: Use) -> set[int]:
    """Return the numbers of the buffers that share no memory with another one."""
    memories = sorted((*_memory(kernel, use, i), i) for i in range(len(kernel.buffers)))
    alone = set(range(len(memories)))
    furthest: tuple[str, int, int] | None = (
        None  # of those so far in this space: space, end, number
    )
    for space, start, end, number in memories:
        if furthest is not None and furthest[0] == space and start < furthest[1]:
            alone -= {number, furthest[2]}
        if furthest is None or furthest[0] != space or end > furthest[1]:
            furthest = space, end, number
    return alone


def _memory(kernel: Kernel, use: Use, number: int) -> tuple[str, int, int]:
    """Return the space in which a buffer lies, and where it begins and ends there."""
    place = use[number]
    is_arena = place.space is Space.ARENA
    size = kernel.buffers[number].type.nbytes if is_arena else 1  # others lie apart by numbers
    return place.space.name, place.at, place.at + size


def _alignment(kernel: Kernel, use: Use, number: int) -> int:
    """Return to how many bytes a buffer is aligned; arrays of a caller lie anywhere."""
    is_given = use[number].space in (Space.ARGUMENT, Space.OUTPUT)
    return kernel.buffers[number].type.dtype.itemsize if is_given else ALIGNMENT
