"""Transposing loads: rows of adjacent elements read as vectors and turned into columns by shuffles.

In a vector loop, lanes that are far apart in memory would each be read alone. Where an unrolled
loop inside goes over the adjacent elements of every lane, all that its copies load is a matrix, a
row for each lane. Its rows are loaded as vectors, and the columns, one for each copy, made by
log2(n) shuffles for each: first squares inside the 128 bits in which x86 shuffles cheaply, then
whole pieces of 128 bits. On other processors they are shuffles like any others.
"""

from __future__ import annotations

from graphc.backends.llvm import helpers, spelling
from graphc.backends.llvm.addresses import Environment
from graphc.backends.llvm.memory import Place, address_of, alignment_of, stride_of
from graphc.backends.llvm.operations import Operand
from graphc.backends.llvm.writer import Writer
from graphc.kernel import Loop, result_of, statements

_PIECE = 16  # bytes within which shuffles are cheap
_MOST_PIECES = 4  # of a vector
_FEWEST = 4  # columns that are worth it


def is_transposing(environment: Environment, place: Place, copied: Loop) -> bool:
    """Return whether `place`, over the lanes and the copies of a loop, is rows of a matrix."""
    lanes, columns = environment.lanes, copied.variable.extent
    stride = stride_of(environment, place)
    if stride in (None, -1, 0, 1) or place.offset.stride(copied.variable) != 1:
        return False
    is_square = columns >= _FEWEST and columns & (columns - 1) == 0 and lanes % columns == 0
    is_narrow = columns * place.dtype.itemsize <= _MOST_PIECES * _PIECE
    low, high = place.offset.bounds
    is_inside = low >= 0 and high < place.storage.type.size
    is_plain = place.storage.is_read_only and is_inside and not place.mask
    is_fixed = not place.offset.values & _made_in(copied)
    return is_square and is_narrow and is_plain and is_fixed and not place.condition


def _made_in(loop: Loop) -> set[str]:
    """Return the names of the values that each iteration makes."""
    return {v.name for s in statements(loop.body) if (v := result_of(s)) is not None}


def load_columns(environment: Environment, place: Place, columns: int) -> list[Operand]:
    """Return the vectors that the copies 0 … columns - 1 load; `place` is that of the first."""
    writer, lanes, dtype = environment.writer, environment.lanes, place.dtype
    element, stride = spelling.memory(dtype), stride_of(environment, place)
    assert stride is not None
    type_ = spelling.vector(element, columns)
    squares = []
    for first in range(0, lanes, columns):
        rows = []
        for lane in range(first, first + columns):
            address = address_of(environment, place, lane * stride)
            rows.append(writer.emit(f"load {type_}, ptr {address}, align {alignment_of(place)}"))
        squares.append(transpose(writer, element, dtype.itemsize, rows))
    result = []
    for pieces in zip(*squares, strict=True):
        whole = _join(writer, element, list(pieces), columns)
        result.append(Operand(helpers.from_memory(writer, dtype, lanes, whole), dtype, lanes))
    return result


def transpose(writer: Writer, element: str, size: int, rows: list[str]) -> list[str]:
    """Return the columns of a square matrix of elements of `size` bytes, as many as a power of 2.

    A group is the columns of some rows: each of its vectors holds, piece by piece, so many elements
    of one column. Two groups merge into one by interleaving, until one group is left.
    """
    count = len(rows)
    piece = min(count, _PIECE // size)  # elements
    groups = [[row] for row in rows]
    step = 1
    while step < piece:
        groups = _merge(writer, element, groups, _interleaved(count, piece, step))
        step *= 2
    pieces = count // piece
    if pieces == _MOST_PIECES:
        groups = _merge(writer, element, groups, _halves(count))
    if pieces > 1:
        groups = _merge(writer, element, groups, _alternating(count, piece))
    (columns,) = groups
    # pieces come out beside one another: column j of every piece follows that of the piece before
    return [columns[j * pieces + p] for p in range(pieces) for j in range(piece)]


def _merge(
    writer: Writer, element: str, groups: list[list[str]], masks: tuple[list[int], list[int]]
) -> list[list[str]]:
    count = len(masks[0])
    type_ = spelling.vector(element, count)
    merged = []
    for left, right in zip(groups[::2], groups[1::2], strict=True):
        group = []
        for a, b in zip(left, right, strict=True):
            for mask in masks:
                order = ", ".join(f"i32 {place}" for place in mask)
                group.append(
                    writer.pure(
                        f"shufflevector {type_} {a}, {type_} {b}, <{count} x i32> <{order}>"
                    )
                )
        merged.append(group)
    return merged


def _interleaved(count: int, piece: int, step: int) -> tuple[list[int], list[int]]:
    """Interleave runs of `step` elements of the first half, and of the second, of each piece."""
    masks: tuple[list[int], list[int]] = ([], [])
    for start in range(0, count, piece):
        for half, mask in enumerate(masks):
            begin = start + half * piece // 2
            for run in range(begin, begin + piece // 2, step):
                mask.extend(range(run, run + step))
                mask.extend(range(count + run, count + run + step))
    return masks


def _halves(count: int) -> tuple[list[int], list[int]]:
    """Put the first halves of both beside each other, and the second halves."""
    first, second = list(range(count // 2)), list(range(count // 2, count))
    return [*first, *(count + n for n in first)], [*second, *(count + n for n in second)]


def _alternating(count: int, piece: int) -> tuple[list[int], list[int]]:
    """Take every other piece of one and then of the other: the even pieces, and the odd ones."""
    masks: tuple[list[int], list[int]] = ([], [])
    for start in range(0, 2 * count, piece):
        masks[start // piece % 2].extend(range(start, start + piece))
    return masks


def _join(writer: Writer, element: str, vectors: list[str], count: int) -> str:
    """Return vectors of `count` elements each as one."""
    while len(vectors) > 1:
        type_ = spelling.vector(element, count)
        count *= 2
        order = ", ".join(f"i32 {n}" for n in range(count))
        vectors = [
            writer.pure(f"shufflevector {type_} {a}, {type_} {b}, <{count} x i32> <{order}>")
            for a, b in zip(vectors[::2], vectors[1::2], strict=True)
        ]
    return vectors[0]
