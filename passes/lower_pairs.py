"""Contractions of bfloat16: products are added in pairs, as instructions for them do.

The pairs are neighbours along one summed label: the last of even extent, else the last there is,
whose odd element has a partner of zeros. The label goes up in steps of two where it stands among
the others, and of each pair the second product is added first, each in one rounding. So the order
depends on the shapes alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from graphc import dtypes
from graphc.index import Index, as_index
from graphc.kernel import LoopKind, Value
from graphc.node import Node
from graphc.passes.lower_emitter import Emitter


class Products(Protocol):
    """A contraction being emitted: its summed extents, and the factors at a place of them."""

    @property
    def emitter(self) -> Emitter: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    def factors(self, reduced: Sequence[Index]) -> tuple[Value, Value]: ...


def goes_in_pairs(node: Node, shape: tuple[int, ...]) -> bool:
    """Return whether a contraction over `shape` that is no sum in lanes goes in pairs."""
    sums = node.type.dtype.compute is dtypes.float32
    is_sum_of_several = max(shape, default=0) > 1 and 0 not in shape
    return node.inputs[0].type.dtype is dtypes.bfloat16 and sums and is_sum_of_several


def paired_axis(shape: tuple[int, ...]) -> int:
    """Return which of the summed axes goes in pairs."""
    even = [axis for axis, extent in enumerate(shape) if extent % 2 == 0]
    return (even or [axis for axis, extent in enumerate(shape) if extent > 1])[-1]


def add_in_pairs(products: Products, total: str) -> None:
    """Emit loops that add all products to the scalar accumulator `total`."""
    emitter, shape = products.emitter, products.shape
    axis = paired_axis(shape)
    pairs, rest = divmod(shape[axis], 2)
    with emitter.loops(shape[:axis], LoopKind.SERIAL, "k") as outer:
        with emitter.loops((pairs, *shape[axis + 1 :]), LoopKind.SERIAL, "k") as (number, *inner):
            first, second = (
                products.factors((*outer, place, *inner)) for place in (number * 2, number * 2 + 1)
            )
            _add(emitter, total, first, second)
        if rest:
            zero = emitter.literal(0.0, dtypes.bfloat16)
            last = (*outer, as_index(shape[axis] - 1), *inner)  # of the inner all have extent 1
            _add(emitter, total, products.factors(last), (zero, zero))


def _add(
    emitter: Emitter, total: str, first: tuple[Value, Value], second: tuple[Value, Value]
) -> None:
    words = [emitter.let("pair", both, dtypes.uint32) for both in zip(first, second, strict=True)]
    old = emitter.load(total, (), dtypes.float32)
    emitter.store(total, (), emitter.let("dot_bfloat16", (*words, old), dtypes.float32))
