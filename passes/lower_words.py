"""Contractions of small numbers: products are added word by word, as instructions for them do.

A word holds two bfloat16 or four bytes, neighbours along one summed label: the last whose extent
is a multiple of that, else the last of more than one element, where zeros fill up the last word.
The label goes up in steps of a word where it stands among the others. Sums of bytes are exact. Of a
pair of bfloat16 the second product is added first, each in one rounding, so that the order depends
on the shapes alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from graphc import dtypes
from graphc.dtypes import DType
from graphc.index import Index, as_index
from graphc.kernel import LoopKind, Value
from graphc.node import Node
from graphc.passes.lower_emitter import Emitter


@dataclass(frozen=True, slots=True)
class _Word:
    """What 32 bits hold: how many elements, which primitive adds their products, to what."""

    count: int
    dot: str
    sums: tuple[DType, ...]


_WORDS = {
    dtypes.bfloat16: _Word(2, "dot_bfloat16", (dtypes.float32,)),
    dtypes.int8: _Word(4, "dot_int8", (dtypes.int32,)),
    dtypes.uint8: _Word(4, "dot_uint8", (dtypes.int32, dtypes.uint32)),
}


class Products(Protocol):
    """A contraction being emitted: its summed extents, and the factors at a place of them."""

    @property
    def emitter(self) -> Emitter: ...

    @property
    def dtype(self) -> DType: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    def factors(self, reduced: Sequence[Index]) -> tuple[Value, Value]: ...


def goes_in_words(node: Node, shape: tuple[int, ...]) -> bool:
    """Return whether a contraction over `shape` that is no sum in lanes goes word by word."""
    word = _WORDS.get(node.inputs[0].type.dtype)
    if word is None or node.type.dtype.compute not in word.sums:
        return False
    return max(shape, default=0) > 1 and 0 not in shape


def word_axis(dtype: DType, shape: tuple[int, ...]) -> tuple[int, int]:
    """Return which of the summed axes goes in words, and how many elements a word of it has."""
    count = _WORDS[dtype].count
    even = [axis for axis, extent in enumerate(shape) if extent % count == 0]
    return (even or [axis for axis, extent in enumerate(shape) if extent > 1])[-1], count


def add_in_words(products: Products, operands: DType, total: str) -> None:
    """Emit loops that add all products to the scalar accumulator `total`."""
    emitter, shape = products.emitter, products.shape
    axis, count = word_axis(operands, shape)
    words, rest = divmod(shape[axis], count)
    zero = emitter.literal(0, operands) if rest else None
    with emitter.loops(shape[:axis], LoopKind.SERIAL, "k") as outer:
        inner: tuple[Index, ...] = tuple(as_index(0) for _ in shape[axis + 1 :])
        if words:
            extents = (words, *shape[axis + 1 :])
            with emitter.loops(extents, LoopKind.SERIAL, "k") as (number, *inside):
                places = [(*outer, number * count + n, *inside) for n in range(count)]
                _add(products, [products.factors(place) for place in places], operands, total)
        if zero is not None:  # then of the inner labels all have one element
            places = [(*outer, as_index(words * count + n), *inner) for n in range(rest)]
            factors = [products.factors(place) for place in places]
            _add(products, [*factors, *[(zero, zero)] * (count - rest)], operands, total)


def _add(
    products: Products, factors: Sequence[tuple[Value, Value]], operands: DType, total: str
) -> None:
    emitter, dtype = products.emitter, products.dtype
    words = [_word(emitter, side) for side in zip(*factors, strict=True)]
    old = emitter.load(total, (), dtype)
    emitter.store(total, (), emitter.let(_WORDS[operands].dot, (*words, old), dtype))


def _word(emitter: Emitter, values: Sequence[Value]) -> Value:
    wider = {8: dtypes.uint16, 16: dtypes.uint32}
    while len(values) > 1:
        dtype = wider[values[0].dtype.bits]
        halves = zip(values[::2], values[1::2], strict=True)
        values = [emitter.let("pair", half, dtype) for half in halves]
    return values[0]
