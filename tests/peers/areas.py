"""The areas that are compared, by name; adding one means adding a line here."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.peers import (
    activations,
    convolutions,
    indexing,
    layers,
    linear_algebra,
    loops,
    losses,
    normalisation,
    operations,
    optimisers,
    pooling,
    recurrent,
    reductions,
    shapes,
    ties,
    transformers,
    transforms,
)
from tests.peers.compare import Found, compare
from tests.peers.row import Row

AREAS: dict[str, Callable[[], Iterator[Row]]] = {
    "operations": operations.rows,
    "activations": activations.rows,
    "convolutions": convolutions.rows,
    "indexing": indexing.rows,
    "normalisation": normalisation.rows,
    "pooling": pooling.rows,
    "reductions": reductions.rows,
    "shapes": shapes.rows,
    "linear_algebra": linear_algebra.rows,
    "losses": losses.rows,
    "layers": layers.rows,
    "recurrent": recurrent.rows,
    "transformers": transformers.rows,
    "optimisers": optimisers.rows,
    "loops": loops.rows,
    "transforms": transforms.rows,
    "ties": ties.rows,
}


def found_in(area: str) -> tuple[int, Found]:
    """Return how many functions an area has, and what the comparison of all its rows gives."""
    functions, total = set(), Found()
    for row in AREAS[area]():
        functions.add(row.function)
        for dtype in row.dtypes:
            total.add(compare(row, dtype))
    return len(functions), total
