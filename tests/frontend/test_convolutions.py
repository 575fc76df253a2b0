"""Convolutions and windows against sums spelled out place by place, in integers, exactly."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import graphc
import graphc.frontend as gc
from graphc.errors import GraphcError, GraphcTypeError, GraphcValueError, ShapeError
from graphc.frontend import nn
from tests.frontend.evaluation import Array, run, same, tensor

RANDOM = np.random.default_rng(0)


def integers(*shape: int) -> Array:
    return RANDOM.integers(-5, 6, shape)


def correlate(
    x: Array, w: Array, stride: int, low: int, high: int, dilation: int, groups: int
) -> Array:
    """Sum, for each place, offset and channel, what the definition says."""
    rank = w.ndim - 2
    x = np.pad(x, [(0, 0), *[(low, high)] * rank, (0, 0)])
    sizes, inputs, outputs = w.shape[:-2], w.shape[-2], w.shape[-1]
    counts = [(n - (k - 1) * dilation - 1) // stride + 1 for n, k in zip(x.shape[1:], sizes)]  # noqa: B905  # channels have no size
    result = np.zeros((len(x), *counts, outputs), x.dtype)
    each = outputs // groups
    for place in np.ndindex(*counts):
        for offset in np.ndindex(*sizes):
            at = tuple(p * stride + o * dilation for p, o in zip(place, offset, strict=True))
            for g in range(groups):
                here = x[(slice(None), *at, slice(g * inputs, (g + 1) * inputs))]
                taken = slice(g * each, (g + 1) * each)
                result[(slice(None), *place, taken)] += here @ w[(*offset, slice(None), taken)]
    return result


GRID = list(itertools.product([1, 2, 3], [1, 2], [1, 2, 4], [(0, 0), (1, 2)], [1, 2, 3]))


@pytest.mark.parametrize(("stride", "dilation", "groups", "padding", "size"), GRID)
def test_groups_dilations_and_strides(
    stride: int, dilation: int, groups: int, padding: tuple[int, int], size: int
) -> None:
    x, w = integers(2, 7, 4), integers(size, 4 // groups, 8)
    got = run(
        lambda x, w: gc.convolution(
            x, w, stride=stride, dilation=dilation, groups=groups, padding=[padding]
        ),
        x,
        w,
    )
    same(got, correlate(x, w, stride, *padding, dilation, groups))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("channels_first", [False, True])
def test_ranks_and_layouts(rank: int, channels_first: bool) -> None:
    x, w = integers(2, *range(4, 4 + rank), 6), integers(*[2] * rank, 3, 4)
    want = correlate(x, w, 2, 1, 1, 1, 2)
    got = run(
        lambda x, w: gc.convolution(
            x, w, stride=2, padding=1, groups=2, channels_first=channels_first
        ),
        np.moveaxis(x, -1, 1) if channels_first else x,
        w,
    )
    same(got, np.moveaxis(want, -1, 1) if channels_first else want)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("extent", [1, 5, 6])
def test_same_padding(size: int, stride: int, extent: int) -> None:
    x, w = integers(1, extent, 2), integers(size, 2, 3)
    got = run(lambda x, w: gc.convolution(x, w, stride=stride, padding="same"), x, w)
    assert got.shape == (1, -(-extent // stride), 3)
    missing = max(0, (got.shape[1] - 1) * stride + size - extent)
    same(got, correlate(x, w, stride, missing // 2, missing - missing // 2, 1, 1))


@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 1, (1, 2)])
@pytest.mark.parametrize("more", [0, 1])
def test_a_transposed_convolution_adds_windows(
    dilation: int, stride: int, padding: Any, more: int
) -> None:
    x, w = integers(2, 4, 6), integers(3, 3, 4)
    full = np.zeros((2, 3 * stride + 2 * dilation + 1, 4), x.dtype)
    for place, offset, group in np.ndindex(4, 3, 2):
        channels, outputs = (slice(group * n, (group + 1) * n) for n in (3, 2))
        full[:, place * stride + offset * dilation, outputs] += (
            x[:, place, channels] @ w[offset][:, outputs]
        )
    low, high = (padding, padding) if isinstance(padding, int) else padding
    full = np.pad(full, [(0, 0), (0, more), (0, 0)])
    got = run(
        lambda x, w: gc.transposed_convolution(
            x, w, stride=stride, padding=[padding], dilation=dilation, groups=2, output_padding=more
        ),
        x,
        w,
    )
    same(got, full[:, low : full.shape[1] - high])


@pytest.mark.parametrize(("size", "stride"), [(1, 2), (2, 2), (3, 2), (4, 2), (2, 3), (5, 1)])
def test_same_transposed_is_the_derivative_of_same(size: int, stride: int) -> None:
    x, w = integers(1, 4, 2).astype(np.float64), integers(size, 2, 3).astype(np.float64)
    got = run(lambda x, w: gc.transposed_convolution(x, w, stride=stride, padding="same"), x, w)
    assert got.shape == (1, 4 * stride, 3)

    def backwards(x: Any, w: Any) -> Any:
        def total(y: Any) -> Any:
            turned = gc.permute_dims(w, (0, 2, 1))
            return (gc.convolution(y, turned, stride=stride, padding="same") * x).sum()

        return gc.grad(total)(gc.zeros((1, 4 * stride, 3), dtype="float64"))

    same(got, run(backwards, x, w))


def test_windows_are_numpys() -> None:
    x = integers(5, 7, 8)
    view = np.lib.stride_tricks.sliding_window_view(x, (2, 3), axis=(0, 2))
    same(run(lambda x: gc.windows(x, (2, 3), (0, 2)), x), view)
    same(run(lambda x: gc.windows(x, (2, 3), (0, 2), (2, 1)), x), view[::2])
    same(run(lambda x: gc.windows(x, 2, -1, 3, 4), x), np.stack([x[..., :4:3], x[..., 4::3]], -1))


def test_infinite_weights_meet_padding_and_not_what_lies_between_elements() -> None:
    """The zeros around x take part, those that a stride puts between elements do not."""
    x, w = np.ones((1, 2, 1), np.float32), np.full((2, 1, 1), np.inf, np.float32)
    for backend in ("llvm", "reference"):
        plain = graphc.compile(lambda x, w: gc.convolution(x, w, padding=1), backend=backend)
        assert np.isnan(plain(x, w)[0, [0, 2], 0]).all() and np.isinf(plain(x, w)[0, 1, 0])
        spread = graphc.compile(
            lambda x, w: gc.transposed_convolution(x, w, stride=2), backend=backend
        )
        assert np.isinf(spread(x, w)).all()


def test_nothing_but_the_padded_input_is_stored() -> None:
    x, w, b = (gc.input(s) for s in ((2, 16, 16, 8), (3, 3, 8, 16), (16,)))
    y = nn.relu(gc.convolution(x, w, padding="same") + b)
    program = graphc.compile([y], inputs=[x, w, b])
    written = [b for k in program.kernels for b in k.buffers if b.access.value != "in"]
    assert [b.type.shape for b in written] == [(2, 18, 18, 8), (2, 16, 16, 16)]
    unpadded = graphc.compile([gc.convolution(x, w)], inputs=[x, w])
    assert len(unpadded.kernels) == 1


def test_channels_first_costs_no_kernel() -> None:
    x, w = gc.input((2, 8, 16, 16)), gc.input((3, 3, 8, 16))
    program = graphc.compile([gc.convolution(x, w, channels_first=True)], inputs=[x, w])
    assert len(program.kernels) == 1


@pytest.mark.parametrize(
    ("shapes", "keywords", "kind", "message"),
    [
        (((2, 5, 3), (3, 4, 2)), {}, ShapeError, "take 4 channels"),
        (((2, 3, 5), (3, 3, 2)), {}, ShapeError, "channels_first=True"),
        (((2, 5, 3), (3, 3, 2)), {"channels_first": True}, ShapeError, "leave channels_first out"),
        (((5, 3), (3, 3, 2)), {}, ShapeError, r"x\[None\]"),
        (((2, 5, 3), (7, 3, 2)), {}, ShapeError, "longer than the 5 along axis 0"),
        (((2, 5, 3), (3, 3, 2)), {"stride": 0}, GraphcValueError, "stride is 1 or more"),
        (((2, 5, 3), (3, 3, 2)), {"stride": (1, 1)}, ShapeError, "1 axes have 1 values"),
        (((2, 5, 3), (3, 3, 2)), {"stride": 1.5}, GraphcTypeError, "stride is an integer"),
        (((2, 5, 3), (3, 3, 2)), {"padding": "full"}, GraphcValueError, '"same", "valid"'),
        (((2, 5, 3), (3, 3, 2)), {"padding": -1}, GraphcValueError, "padding is 0 or more"),
        (((2, 5, 3), (3, 3, 2)), {"padding": [1, 1]}, ShapeError, "1 paddings"),
        (((2, 5, 3), (3, 1, 2)), {"groups": 3}, ShapeError, "a multiple of 3"),
        (((2, 5, 3), (3, 3, 2)), {"groups": True}, GraphcTypeError, "number of groups"),
    ],
)
def test_errors(
    shapes: Any, keywords: dict[str, Any], kind: type[GraphcError], message: str
) -> None:
    with pytest.raises(kind, match=message) as caught:
        gc.convolution(*(tensor(*s) for s in shapes), **keywords)
    assert "test_convolutions.py" in str(caught.value)


def test_more_errors() -> None:
    x, w = tensor(2, 5, 3), tensor(3, 3, 2)
    with pytest.raises(ShapeError, match="leaves nothing"):
        gc.transposed_convolution(x, w, padding=4)
    with pytest.raises(GraphcTypeError, match="not defined for bool"):
        gc.convolution(x > 0, w > 0)
    with pytest.raises(GraphcValueError, match="not ascending"):
        gc.windows(x, 1, (1, 0))
    with pytest.raises(ShapeError, match="Conv1d wants"):
        nn.Conv1d(4, 2, 3, seed=0)(x)
    with pytest.raises(GraphcValueError, match="groups do not divide"):
        nn.Conv2d(4, 6, 3, groups=4, seed=0)


def test_layers() -> None:
    x = RANDOM.standard_normal((2, 5, 6, 4)).astype(np.float32)
    layer = nn.Conv2d(4, 6, (3, 2), stride=2, padding="same", groups=2, seed=0)
    assert repr(layer) == "Conv2d(4, 6, size=(3, 2), stride=2, padding='same', groups=2)"
    assert [p.shape for p in layer.parameters()] == [(3, 2, 2, 6), (6,)]
    assert layer.bias is not None
    layer.bias.assign(np.arange(6, dtype=np.float32))
    plain = run(lambda x: layer(x) - layer.bias, x)
    first = nn.Conv2d(4, 6, (3, 2), stride=2, padding="same", groups=2, seed=0, channels_first=True)
    turned = run(first, np.moveaxis(x, -1, 1))
    np.testing.assert_allclose(np.moveaxis(turned, 1, -1), plain, rtol=1e-6, atol=1e-6)
    back = nn.ConvTranspose3d(4, 6, 2, stride=2, output_padding=1, bias=False, seed=0)
    assert back(gc.input((1, 2, 3, 4, 4))).shape == (1, 5, 7, 9, 6)
    assert repr(back) == "ConvTranspose3d(4, 6, size=2, stride=2, output_padding=1, bias=False)"


def test_an_empty_axis_is_told() -> None:
    """More padding of the kind that is there already is no advice."""
    layer = nn.Conv2d(1, 1, 3, padding="same", seed=0)
    with pytest.raises(ShapeError, match="longer than") as caught:
        graphc.compile(layer)(np.ones((1, 0, 5, 1), np.float32))
    assert caught.value.hint == "the axis is empty"
