"""Values and gradients beside PyTorch's, where that is installed: a check of development.

`python -m tests.against_torch` runs every row and counts; `tests/test_against_torch.py` runs them
one by one. A row names a function of graphc and one of PyTorch over the same arrays; PyTorch's
takes the channels first, which `first` and `weight_first` arrange. Both are computed in float32 and
float64, and pulled back along one random cotangent to every operand.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

import graphc

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
TOLERANCE = {"float32": 3e-5, "float64": 1e-11}


@dataclass(frozen=True)
class Row:
    """One comparison; `fixed` are integer operands, which have no gradient."""

    name: str
    ours: Callable[..., Any]
    theirs: Callable[..., Any]  # of tensors of PyTorch
    shapes: Sequence[tuple[int, ...]]
    fixed: Sequence[Array] = ()
    low: float = -2.0
    high: float = 2.0
    skipped: frozenset[int] = field(default_factory=frozenset)  # operands without a gradient


def first(x: Any) -> Any:
    """Return a tensor of PyTorch with its last axis at place 1."""
    return x.movedim(-1, 1)


def last(x: Any) -> Any:
    """Return a tensor of PyTorch with axis 1 at the end."""
    return x.movedim(1, -1)


def weight_first(w: Any) -> Any:
    """Return weights (spatial…, inputs, outputs) as PyTorch has them: (outputs, inputs, spatial…).

    Those of a transposed convolution it has the other way round.
    """
    return w.movedim((-1, -2), (0, 1))


def compare(row: Row, dtype: str) -> int:
    """Raise AssertionError where a value or a gradient differs; return how many were compared."""
    import torch

    random = np.random.default_rng(len(row.name))
    arrays = [random.uniform(row.low, row.high, shape).astype(dtype) for shape in row.shapes]
    numbers = [n for n in range(len(arrays)) if n not in row.skipped]
    tensors = [torch.from_numpy(a).requires_grad_(True) for a in arrays]
    wanted = row.theirs(*tensors, *(torch.from_numpy(a) for a in row.fixed))
    cotangent = random.uniform(-1, 1, tuple(wanted.shape)).astype(dtype)
    wanted.backward(torch.from_numpy(cotangent.copy()))

    def value(*operands: Any) -> Any:
        return row.ours(*operands)

    def projected(*operands: Any) -> Any:
        return (row.ours(*operands) * cotangent).sum()

    got = graphc.compile(value)(*arrays, *row.fixed)
    pulled = graphc.compile(graphc.grad(projected, argnums=tuple(numbers)))(*arrays, *row.fixed)
    _assert_near(got, wanted.detach().numpy(), dtype, row.name)
    for number, found in zip(numbers, pulled, strict=True):
        gradient = tensors[number].grad
        assert gradient is not None
        _assert_near(found, gradient.numpy(), dtype, f"{row.name}, operand {number}")
    return 1 + len(numbers)


def _assert_near(got: Array, want: Array, dtype: str, what: str) -> None:
    scale = max(1.0, float(np.abs(want).max(initial=0)))
    bound = TOLERANCE[dtype] * scale
    np.testing.assert_allclose(got, want, rtol=TOLERANCE[dtype], atol=bound, err_msg=what)


# --- convolutions --------------------------------------------------------------------------------


def _convolutions() -> Iterator[Row]:
    grid = itertools.product([1, 2, 3], [1, 2, 3], [0, 1, 2], [1, 2], [1, 2, 4])
    for rank, stride, padding, dilation, groups in grid:
        options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        extents = (9, 8, 7)[:rank]
        yield Row(
            f"convolution {rank}-D {options}",
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
            f"transposed convolution {rank}-D {options}",
            lambda x, w, o=options: graphc.transposed_convolution(x, w, **o),
            lambda x, w, o=options, r=rank: _torch_transposed(x, w, r, o),
            [(2, *(5, 4, 3)[:rank], 8), (*(3, 4, 2)[:rank], 8 // groups, 6)],
        )


def _conv(rank: int) -> Any:
    from torch.nn import functional

    return (functional.conv1d, functional.conv2d, functional.conv3d)[rank - 1]


def _torch_transposed(x: Any, w: Any, rank: int, options: dict[str, int]) -> Any:
    """PyTorch's weights are (inputs, outputs / groups, …): groups are cut along the inputs."""
    import torch
    from torch.nn import functional

    function = (
        functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d
    )[rank - 1]  # fmt: skip
    groups = torch.chunk(w.movedim((-2, -1), (0, 1)), options["groups"], dim=1)
    return last(function(first(x), torch.cat(groups, dim=0), **options))


# --- pooling and resizing ------------------------------------------------------------------------


def _functional() -> Any:
    from torch.nn import functional

    return functional


def _pooling() -> Iterator[Row]:
    for rank, size, stride, padding in itertools.product([1, 2, 3], [2, 3], [1, 2, 3], [0, 1]):
        extents = (9, 8, 7)[:rank]
        given = f"{rank}-D size {size} stride {stride} padding {padding}"
        for dilation in (1, 2):
            yield Row(
                f"max pool, {given} dilation {dilation}",
                lambda x, a=(size, stride, padding, dilation): graphc.max_pool(x, *a),
                lambda x, r=rank, a=(size, stride, padding, dilation): last(
                    getattr(_functional(), f"max_pool{r}d")(first(x), *a)
                ),
                [(2, *extents, 5)],
            )
        for counted in (True, False):
            yield Row(
                f"average pool, {given} count_include_pad {counted}",
                lambda x, a=(size, stride, padding), c=counted: graphc.average_pool(
                    x, *a, count_include_pad=c
                ),
                lambda x, r=rank, a=(size, stride, padding), c=counted: last(
                    getattr(_functional(), f"avg_pool{r}d")(first(x), *a, count_include_pad=c)
                ),
                [(2, *extents, 5)],
            )


def _adaptive() -> Iterator[Row]:
    kinds = (("max", graphc.adaptive_max_pool), ("avg", graphc.adaptive_average_pool))
    for (kind, ours), places in itertools.product(kinds, [1, 2, 3, 4, 5, 7, 9]):
        yield Row(
            f"adaptive {kind} pool, {places} places",
            lambda x, f=ours, p=places: f(x, (p, 2)),
            lambda x, k=kind, p=places: last(
                getattr(_functional(), f"adaptive_{k}_pool2d")(first(x), (p, 2))
            ),
            [(2, 9, 7, 3)],
        )


def _resizing() -> Iterator[Row]:
    for sizes in [(6, 10), (12, 21), (3, 2), (7, 7), (1, 1), (5, 4)]:
        yield Row(
            f"resize nearest, {sizes}",
            lambda x, s=sizes: graphc.resize(x, s),
            lambda x, s=sizes: last(_functional().interpolate(first(x), s, mode="nearest")),
            [(2, 6, 7, 3)],
        )
        for align in (False, True):
            yield Row(
                f"resize bilinear, {sizes} align_corners {align}",
                lambda x, s=sizes, a=align: graphc.resize(x, s, "linear", align_corners=a),
                lambda x, s=sizes, a=align: last(
                    _functional().interpolate(first(x), s, mode="bilinear", align_corners=a)
                ),
                [(2, 6, 7, 3)],
            )


# --- cumulative ----------------------------------------------------------------------------------


def _cumulative() -> Iterator[Row]:
    import torch

    functions: list[tuple[str, Any]] = [
        ("sum", torch.cumsum),
        ("prod", torch.cumprod),
        ("max", lambda x, dim: torch.cummax(x, dim).values),
        ("min", lambda x, dim: torch.cummin(x, dim).values),
        ("logsumexp", torch.logcumsumexp),
    ]
    shapes = [((7,), 0), ((1,), 0), ((4, 9), 0), ((4, 9), 1), ((3, 5, 2), 1)]
    for (kind, theirs), (shape, axis) in itertools.product(functions, shapes):
        ours = getattr(graphc, f"cumulative_{kind}")
        yield Row(
            f"cumulative {kind}, {shape} axis {axis}",
            lambda x, f=ours, a=axis: f(x, a),
            lambda x, f=theirs, a=axis: f(x, dim=a),
            [shape],
        )
        yield Row(
            f"cumulative {kind}, reversed {shape} axis {axis}",
            lambda x, f=ours, a=axis: f(x, a, reverse=True),
            lambda x, f=theirs, a=axis: f(x.flip(a), dim=a).flip(a),
            [shape],
        )


# --- normalisation and attention -----------------------------------------------------------------


def _normalisation() -> Iterator[Row]:
    spaces: list[tuple[int, ...]] = [(), (5,), (4, 3), (2, 3, 2)]
    for space in spaces:
        shapes = [(6, *space, 8), (8,), (8,)]
        yield Row(
            f"batch norm, {space}",
            lambda x, w, b: graphc.batch_norm(x, *graphc.moments(x), w, b),
            lambda x, w, b: last(
                _functional().batch_norm(first(x), None, None, w, b, training=True)
            ),
            shapes,
        )
        for groups in (1, 2, 4):
            yield Row(
                f"group norm, {space} groups {groups}",
                lambda x, w, b, g=groups: graphc.group_norm(x, g, w, b),
                lambda x, w, b, g=groups: last(_functional().group_norm(first(x), g, w, b)),
                [(6, *space, 16), (16,), (16,)],
            )
        yield Row(
            f"layer norm, {space}",
            graphc.layer_norm,
            lambda x, w, b: _functional().layer_norm(x, (8,), w, b),
            shapes,
        )
        yield Row(
            f"rms norm, {space}",
            lambda x, w: graphc.rms_norm(x, w, epsilon=1e-5),
            lambda x, w: _functional().rms_norm(x, (8,), w, eps=1e-5),
            shapes[:2],
        )
    for space in spaces[1:]:
        yield Row(
            f"instance norm, {space}",
            graphc.instance_norm,
            lambda x, w, b: last(_functional().instance_norm(first(x), None, None, w, b)),
            [(6, *space, 8), (8,), (8,)],
        )


def _attention() -> Iterator[Row]:
    random = np.random.default_rng(0)
    lengths = [(5, 5), (4, 7), (1, 3), (6, 2)]
    for (n, m), kv_heads, kind in itertools.product(
        lengths, [1, 2, 4], ["plain", "causal", "bool mask", "float mask"]
    ):
        mask: Any = None
        if kind == "bool mask":
            mask = random.random((4, n, m)) < 0.7
            mask[..., 0] = True
        elif kind == "float mask":
            mask = random.standard_normal((2, 1, n, m)).astype(np.float32)
        yield Row(
            f"attention, {kind} {n} queries {m} keys {kv_heads} heads of keys",
            lambda q, k, v, a=mask, c=kind == "causal": graphc.scaled_dot_product_attention(
                q, k, v, a, causal=c
            ),
            lambda q, k, v, a=mask, c=kind == "causal": _torch_attention(q, k, v, a, c),
            [(2, 4, n, 6), (2, kv_heads, m, 6), (2, kv_heads, m, 3)],
        )


def _torch_attention(query: Any, key: Any, value: Any, mask: Any, causal: bool) -> Any:
    import torch

    given = None if mask is None else torch.from_numpy(mask)
    if given is not None and given.dtype.is_floating_point:
        given = given.to(query.dtype)
    return _functional().scaled_dot_product_attention(
        query, key, value, given, is_causal=causal, enable_gqa=True
    )


def rows() -> list[Row]:
    """Return every comparison."""
    families = (
        _convolutions, _transposed, _pooling, _adaptive, _resizing, _cumulative, _normalisation,
        _attention,
    )  # fmt: skip
    return [row for family in families for row in family()]


def main() -> None:
    counts: dict[str, int] = {}
    for row in rows():
        for dtype in TOLERANCE:
            kind = row.name.split(" {")[0].split(",")[0]
            counts[kind] = counts.get(kind, 0) + compare(row, dtype)
    for kind, count in counts.items():
        print(f"{count:5} values and gradients agree: {kind}")
    print(f"{sum(counts.values()):5} together")


if __name__ == "__main__":
    main()
