"""Elements in order: `sort`, `argsort`, `top_k`.

NaN counts as greater than all numbers, so it comes last in ascending order and first in descending.
Sorts are stable. The order itself is found by NumPy in one thread while a program runs.
"""

from __future__ import annotations

from typing import SupportsIndex

from graphc.errors import GraphcValueError
from graphc.frontend.operands import apply, as_node, fail, normalise_axis
from graphc.frontend.tensor import Tensor, TensorLike
from graphc.node import Node

__all__ = ["argsort", "sort", "top_k"]


def argsort(
    x: TensorLike, axis: SupportsIndex = -1, *, descending: bool = False, stable: bool = True
) -> Tensor:
    """Return the places along `axis`, int64, in the order of their elements.

    It is always stable; `stable` is there because the array API has it.

    >>> from graphc.frontend import input
    >>> argsort(input((5, 3)), axis=0).type
    TensorType(shape=(5, 3), dtype=graphc.int64)
    """
    node = as_node(x)
    return Tensor(_order(node, normalise_axis("argsort", axis, len(node.shape), node), descending))


def sort(
    x: TensorLike, axis: SupportsIndex = -1, *, descending: bool = False, stable: bool = True
) -> Tensor:
    """Return the elements along `axis` in order; `stable` changes nothing, see `argsort`."""
    node = as_node(x)
    place = normalise_axis("sort", axis, len(node.shape), node)
    return Tensor(_taken(node, _order(node, place, descending), place))


def top_k(x: TensorLike, k: int, axis: SupportsIndex = -1) -> tuple[Tensor, Tensor]:
    """Return the `k` greatest elements along `axis`, the greatest first, and their places.

    Of equal elements the first comes first. Raises GraphcValueError where there are fewer than `k`.

    >>> from graphc.frontend import input
    >>> values, places = top_k(input((8, 100)), 3)
    >>> values.shape, places.dtype
    ((8, 3), graphc.int64)
    """
    node = as_node(x)
    place = normalise_axis("top_k", axis, len(node.shape), node)
    if not 0 <= k <= node.shape[place]:
        fail(GraphcValueError, f"top_k: {k} of {node.shape[place]} elements", [node])
    order = _order(node, place, True)
    stop = (*order.shape[:place], k, *order.shape[place + 1 :])
    rank = len(stop)
    first = apply("slice", order, start=(0,) * rank, stop=stop, step=(1,) * rank)
    return Tensor(_taken(node, first, place)), Tensor(first)


def _order(node: Node, axis: int, descending: bool) -> Node:
    return apply("argsort", node, axis=axis, descending=bool(descending))


def _taken(node: Node, order: Node, axis: int) -> Node:
    return apply("take_along_axis", node, order, axis=axis, mode="clip")
