"""Einstein summation of any number of operands, as a sequence of contractions of two.

    subscripts ::= term (',' term)* ('->' term)?       term ::= letter* ('...' letter*)?

A letter repeated in one term takes a diagonal; letters not in the output are summed; without '->'
the output has the letters that occur once, in alphabetical order, after the axes of the ellipsis.
The order of contractions is the greedy one of `numpy.einsum_path`, a function of subscripts and
shapes alone.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Sequence
from typing import NoReturn

import numpy as np

from graphc.dtypes import DType, bool_
from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError
from graphc.frontend import indexing, shapes
from graphc.frontend.operands import apply, broadcast_to, fail
from graphc.frontend.operands import promote as promote_nodes
from graphc.frontend.tensor import Tensor, TensorLike
from graphc.node import Node

Extents = dict[str, int]


def contract(
    a: Node, b: Node, lhs: str, rhs: str, out: str, summed: str, dtype: DType | None = None
) -> Node:
    """Return the contraction of two operands whose axes are labelled, to the labels `out`.

    The result has the `dtype`, by default that of the operands; another is asked for only where
    both operands have every label that is summed.
    Labels stand once in an operand. A label of extent 1 broadcasts against another extent; one that
    is summed may stand in one operand only.
    """
    extents = _extents([a, b], [lhs, rhs])
    a, lhs = _drop_broadcast(a, lhs, extents)
    b, rhs = _drop_broadcast(b, rhs, extents)
    a, lhs = _sum_lonely(a, lhs, summed, rhs)
    b, rhs = _sum_lonely(b, rhs, summed, lhs)
    if not set(lhs) & set(summed):
        return _product(a, b, lhs, rhs, out)
    present = "".join(label for label in out if label in lhs + rhs)
    result = apply("contraction", a, b, lhs=lhs, rhs=rhs, out=present, dtype=dtype)
    missing = [place for place, label in enumerate(out) if label not in present]
    return shapes.expand_node(result, missing)


def _extents(nodes: Sequence[Node], terms: Sequence[str]) -> Extents:
    found: Extents = {}
    for node, term in zip(nodes, terms, strict=True):
        for label, extent in zip(term, node.shape, strict=True):
            known = found.get(label, 1)
            if extent != known and 1 not in (extent, known):
                fail(
                    ShapeError, f"einsum: label {label} has the extents {known} and {extent}", nodes
                )
            found[label] = extent if known == 1 else known
    return found


def _drop_broadcast(node: Node, term: str, extents: Extents) -> tuple[Node, str]:
    """Leave out the axes of extent 1 that stand against another extent."""
    pairs = zip(term, node.shape, strict=True)
    drop = [i for i, (label, extent) in enumerate(pairs) if extent != extents[label]]
    kept = "".join(label for i, label in enumerate(term) if i not in drop)
    return shapes.drop_axes(node, drop), kept


def _sum_lonely(node: Node, term: str, summed: str, other: str) -> tuple[Node, str]:
    """Sum over the labels that the other operand lacks."""
    axes = tuple(i for i, s in enumerate(term) if s in summed and s not in other)
    if not axes:
        return node, term
    rest = "".join(label for i, label in enumerate(term) if i not in axes)
    return apply("sum", node, axes=axes), rest


def _product(a: Node, b: Node, lhs: str, rhs: str, out: str) -> Node:
    first, second = (_align(node, term, out) for node, term in ((a, lhs), (b, rhs)))
    return (Tensor(first) * Tensor(second)).node


def _align(node: Node, term: str, out: str) -> Node:
    """Return `node` with its axes in the order of `out`, and extent 1 for those it lacks."""
    order = tuple(term.index(label) for label in out if label in term)
    missing = [place for place, label in enumerate(out) if label not in term]
    return shapes.expand_node(shapes.permute_node(node, order), missing)


def einsum(subscripts: str, *operands: TensorLike) -> Tensor:
    """Return the Einstein summation of `operands`, as `numpy.einsum`.

    Raises GraphcValueError for subscripts that cannot be read and ShapeError where they do not fit.

    >>> from graphc.frontend import input
    >>> einsum("bij,bjk,k->bi", input((2, 3, 4)), input((2, 4, 5)), input((5,))).shape
    (2, 3)
    """
    if not isinstance(subscripts, str):
        fail(GraphcTypeError, f"einsum: subscripts are a string, not {subscripts!r}")
    nodes = promote_nodes(*operands) if operands else []
    terms, output = _parse(subscripts, nodes)
    if nodes[0].type.dtype is bool_:
        fail(GraphcTypeError, "einsum is not defined for bool", nodes, "convert with tensor.astype")
    pairs = [_diagonals(node, term) for node, term in zip(nodes, terms, strict=True)]
    extents = _extents([n for n, _ in pairs], [t for _, t in pairs])
    for places in _path(pairs, output):
        chosen = [pairs.pop(place) for place in sorted(places, reverse=True)][::-1]
        while len(chosen) > 2:
            chosen = [*chosen[2:], _combine(chosen[:2], pairs + chosen[2:], output)]
        pairs.append(_combine(chosen, pairs, output))
    ((node, term),) = pairs
    node, term = _sum_lonely(node, term, "".join(set(term) - set(output)), "")
    aligned = _align(node, term, output)
    return Tensor(broadcast_to(aligned, tuple(extents[label] for label in output)))


def _combine(
    chosen: list[tuple[Node, str]], others: list[tuple[Node, str]], output: str
) -> tuple[Node, str]:
    """Contract the one or two operands of a step to the labels that are still needed."""
    needed = set(output).union(*(term for _, term in others))
    if len(chosen) == 1:
        ((node, term),) = chosen
        return _sum_lonely(node, term, "".join(set(term) - needed), "")
    (a, lhs), (b, rhs) = chosen
    labels = dict.fromkeys(lhs + rhs)
    kept = output if not others else "".join(label for label in labels if label in needed)
    kept = "".join(label for label in kept if label in labels)
    summed = "".join(label for label in labels if label not in needed)
    return contract(a, b, lhs, rhs, kept, summed), kept


def _path(pairs: Sequence[tuple[Node, str]], output: str) -> list[tuple[int, ...]]:
    """Return the places of the operands to contract together, step by step."""
    if len(pairs) <= 2:
        return [tuple(range(len(pairs)))]
    dummies = [np.broadcast_to(np.empty(()), node.shape) for node, _ in pairs]
    subscripts = ",".join(term for _, term in pairs) + "->" + output
    found, _ = np.einsum_path(subscripts, *dummies, optimize="greedy")
    return [tuple(places) for places in found[1:]]


def _diagonals(node: Node, term: str) -> tuple[Node, str]:
    """Replace two axes of one label by their diagonal, until each label stands once."""
    while len(set(term)) < len(term):
        label = next(s for s in term if term.count(s) > 1)
        i = term.index(label)
        j = term.index(label, i + 1)
        rest = [axis for axis in range(len(term)) if axis not in (i, j)]
        extent = node.shape[i]
        if extent != node.shape[j]:
            fail(
                ShapeError,
                f"einsum: label {label} has the extents {extent} and {node.shape[j]}",
                [node],
            )
        square = shapes.permute_node(node, (*rest, i, j))
        flat = shapes.reshape_node(square, (*square.shape[:-2], extent * extent))
        node = indexing.slice_node(
            flat, [slice(None)] * len(rest) + [slice(None, None, extent + 1)]
        )
        term = "".join(term[axis] for axis in rest) + label
    return node, term


def _parse(subscripts: str, nodes: Sequence[Node]) -> tuple[list[str], str]:
    """Return the labels of each operand and of the output, the ellipsis spelled out in letters."""
    left, arrow, right = subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(nodes):
        _refuse(subscripts, f"has {len(terms)} terms for {len(nodes)} operands", nodes)
    for term in [*terms, right]:
        letters = term.replace("...", "", 1)
        if not set(letters) <= set(string.ascii_letters):
            _refuse(subscripts, f"has {term!r}; terms are letters and at most one '...'", nodes)
    free = [s for s in reversed(string.ascii_letters) if s not in subscripts]
    widths = [_ellipsis_width(subscripts, t, n, nodes) for t, n in zip(terms, nodes, strict=True)]
    if max(widths) > len(free):
        _refuse(subscripts, "needs more labels than there are letters", nodes)
    hidden = "".join(free[: max(widths)])
    spelled = [
        term.replace("...", hidden[len(hidden) - width :])
        for term, width in zip(terms, widths, strict=True)
    ]
    if arrow:
        output = right.replace("...", hidden)
    else:
        counts = Counter(s for term in terms for s in term if s != ".")
        output = hidden + "".join(sorted(s for s in counts if counts[s] == 1))
    known = set("".join(spelled))
    if len(set(output)) < len(output) or not set(output) <= known | set(hidden):
        _refuse(subscripts, "has an output label twice, or one that no operand has", nodes)
    return spelled, output


def _ellipsis_width(subscripts: str, term: str, node: Node, nodes: Sequence[Node]) -> int:
    named = len(term.replace("...", ""))
    rank = len(node.shape)
    if rank < named or (rank > named and "..." not in term):
        _refuse(subscripts, f"names {named} axes in {term!r} of a tensor with {rank}", nodes)
    return rank - named


def _refuse(subscripts: str, why: str, nodes: Sequence[Node]) -> NoReturn:
    fail(GraphcValueError, f"einsum: {subscripts!r} {why}", nodes)
