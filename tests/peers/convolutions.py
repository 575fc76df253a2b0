"""Convolutions of every rank beside PyTorch's, over strides, paddings, dilations and groups."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import graphc
from tests.peers.row import Row, first, functional, last, torch, weight_first


def rows() -> Iterator[Row]:
    """Yield the rows of convolutions, plain and transposed."""
    yield from _plain()
    yield from _transposed()


def _plain() -> Iterator[Row]:
    grid = itertools.product([1, 2, 3], [1, 2, 3], [0, 1, 2], [1, 2], [1, 2, 4])
    for rank, stride, padding, dilation, groups in grid:
        options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        extents = (9, 8, 7)[:rank]
        yield Row(
            f"convolution, {rank}-D {options}",
            lambda x, w, o=options: graphc.convolution(x, w, **o),
            lambda x, w, o=options, r=rank: last(_conv(r)(first(x), weight_first(w), **o)),
            [(2, *extents, 8), (*(3, 2, 3)[:rank], 8 // groups, 12)],
        )


def _transposed() -> Iterator[Row]:
    grid = itertools.product([1, 2, 3], [1, 2, 3], [0, 1], [1, 2], [1, 2])
    for rank, stride, padding, dilation, groups in grid:
        options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        options |= {"output_padding": 1} if stride > 1 else {}
        yield Row(
            f"transposed_convolution, {rank}-D {options}",
            lambda x, w, o=options: graphc.transposed_convolution(x, w, **o),
            lambda x, w, o=options, r=rank: _torch_transposed(x, w, r, o),
            [(2, *(5, 4, 3)[:rank], 8), (*(3, 4, 2)[:rank], 8 // groups, 6)],
        )


def _conv(rank: int) -> Any:
    return getattr(functional, f"conv{rank}d")


def _torch_transposed(x: Any, w: Any, rank: int, options: dict[str, int]) -> Any:
    """PyTorch's weights are (inputs, outputs / groups, …): groups are cut along the inputs."""
    function = getattr(functional, f"conv_transpose{rank}d")
    groups = torch.chunk(w.movedim((-2, -1), (0, 1)), options["groups"], dim=1)
    return last(function(first(x), torch.cat(groups, dim=0), **options))
