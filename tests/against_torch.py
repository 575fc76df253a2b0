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


def rows() -> list[Row]:
    """Return every comparison."""
    return [*_convolutions(), *_transposed()]


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
