"""Pooling and resizing beside PyTorch's."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import graphc
from tests.peers.row import Row, first, functional, last, torch


def rows() -> Iterator[Row]:
    """Yield the rows of pools of windows, of whole pictures, and of resizing."""
    for family in (_pooling, _adaptive, _global, _resizing):
        yield from family()


def _pooling() -> Iterator[Row]:
    for rank, size, stride, padding in itertools.product([1, 2, 3], [2, 3], [1, 2, 3], [0, 1]):
        extents = (9, 8, 7)[:rank]
        given = f"{rank}-D size {size} stride {stride} padding {padding}"
        for dilation in (1, 2):
            yield Row(
                f"max_pool, {given} dilation {dilation}",
                lambda x, a=(size, stride, padding, dilation): graphc.max_pool(x, *a),
                lambda x, r=rank, a=(size, stride, padding, dilation): last(
                    getattr(functional, f"max_pool{r}d")(first(x), *a)
                ),
                [(2, *extents, 5)],
            )
        for counted in (True, False):
            yield Row(
                f"average_pool, {given} count_include_pad {counted}",
                lambda x, a=(size, stride, padding), c=counted: graphc.average_pool(
                    x, *a, count_include_pad=c
                ),
                lambda x, r=rank, a=(size, stride, padding), c=counted: last(
                    getattr(functional, f"avg_pool{r}d")(first(x), *a, count_include_pad=c)
                ),
                [(2, *extents, 5)],
            )


def _adaptive() -> Iterator[Row]:
    kinds = (("max", graphc.adaptive_max_pool), ("avg", graphc.adaptive_average_pool))
    for (kind, ours), places in itertools.product(kinds, [1, 2, 3, 4, 5, 7, 9]):
        yield Row(
            f"{ours.__name__}, {places} places",
            lambda x, f=ours, p=places: f(x, (p, 2)),
            lambda x, k=kind, p=places: last(
                getattr(functional, f"adaptive_{k}_pool2d")(first(x), (p, 2))
            ),
            [(2, 9, 7, 3)],
        )


def _global() -> Iterator[Row]:
    for ours, theirs in ((graphc.global_average_pool, "mean"), (graphc.global_max_pool, "amax")):
        for keepdims, space in itertools.product((False, True), ((5,), (4, 3), (2, 3, 2))):
            axes = tuple(range(1, 1 + len(space)))
            yield Row(
                f"{ours.__name__}, {space} keepdims {keepdims}",
                lambda x, f=ours, k=keepdims: f(x, keepdims=k),
                lambda x, f=theirs, k=keepdims, a=axes: getattr(torch, f)(x, a, keepdim=k),
                [(2, *space, 3)],
            )


def _resizing() -> Iterator[Row]:
    for sizes in [(6, 10), (12, 21), (3, 2), (7, 7), (1, 1), (5, 4)]:
        yield Row(
            f"resize, nearest {sizes}",
            lambda x, s=sizes: graphc.resize(x, s),
            lambda x, s=sizes: last(functional.interpolate(first(x), s, mode="nearest")),
            [(2, 6, 7, 3)],
        )
        for align in (False, True):
            yield Row(
                f"resize, bilinear {sizes} align_corners {align}",
                lambda x, s=sizes, a=align: graphc.resize(x, s, "linear", align_corners=a),
                lambda x, s=sizes, a=align: last(
                    functional.interpolate(first(x), s, mode="bilinear", align_corners=a)
                ),
                [(2, 6, 7, 3)],
            )
