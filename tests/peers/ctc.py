"""CTC beside PyTorch's, in value and gradient, where that is installed: a check of development.

`python -m tests.peers.ctc` runs every case and counts; `tests/test_peers_ctc.py`
runs them one by one. Both go through `log_softmax`, because PyTorch's gradient is meant for its
derivative: by the logarithms alone it is off by their probabilities. PyTorch takes time first, and
computes in float64: its gradient in float32 is off by ten times as much as ours.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

import graphc
from graphc import nn

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
TOLERANCE = {"float32": 1e-4, "float64": 1e-11}


@dataclass(frozen=True)
class Case:
    """Random logits and labels of these extents; `repeats` draws labels of two classes alone."""

    time: int
    longest: int
    classes: int
    blank: int
    repeats: bool
    zero_infinity: bool

    @property
    def name(self) -> str:
        """What the case is, for a list."""
        return ", ".join(f"{key} {value}" for key, value in vars(self).items())


def cases() -> Iterator[Case]:
    """Return every comparison: few and many steps, labels that fit and that do not."""
    extents = ((1, 1, 3), (7, 3, 5), (12, 12, 4), (60, 20, 30), (200, 40, 12))
    for (time, longest, classes), last, repeats, zero in itertools.product(
        extents, (False, True), (False, True), (False, True)
    ):
        yield Case(time, longest, classes, classes - 1 if last else 0, repeats, zero)


def compare(case: Case, dtype: str) -> int:
    """Raise AssertionError where a loss or a gradient differs; return how many losses there are."""
    import torch
    from torch.nn import functional

    batch, random = 6, np.random.default_rng(case.time + case.longest)
    logits = random.normal(size=(batch, case.time, case.classes)).astype(dtype) * 2
    known = [c for c in range(case.classes) if c != case.blank][: 2 if case.repeats else None]
    labels = random.choice(known, (batch, case.longest))
    steps = random.integers(1, case.time + 1, batch)
    counts = random.integers(0, case.longest + 1, batch)
    steps[0], counts[0], counts[1] = case.time, min(case.longest, case.time // 2), 0
    weights = random.uniform(0.5, 1.5, batch).astype(dtype)
    options: dict[str, Any] = {
        "blank": case.blank, "reduction": "none", "zero_infinity": case.zero_infinity,
    }  # fmt: skip

    @graphc.compile
    def ours(x: Any, labels: Any, steps: Any, counts: Any) -> Any:
        losses = nn.ctc_loss(nn.log_softmax(x), labels, steps, counts, **options)
        return losses, graphc.grad((losses * weights).sum(), x)

    x = torch.from_numpy(logits.astype(np.float64)).requires_grad_(True)
    tensors = [torch.from_numpy(a) for a in (labels, steps, counts)]
    wanted = functional.ctc_loss(x.log_softmax(-1).transpose(0, 1), *tensors, **options)
    (wanted * torch.from_numpy(weights.astype(np.float64))).sum().backward()
    assert x.grad is not None
    found, slopes = ours(logits, labels, steps, counts)
    _assert_near(found, wanted.detach().numpy(), dtype, case.name)
    fits = np.isfinite(found)  # PyTorch's gradient of an infinite loss is NaN, ours is 0
    assert fits[:2].all()
    assert (slopes[~fits] == 0).all()
    _assert_near(slopes[fits], x.grad.numpy()[fits], dtype, f"{case.name}, gradient")
    return batch


def _assert_near(got: Array, want: Array, dtype: str, what: str) -> None:
    finite = np.abs(want[np.isfinite(want)])
    bound = TOLERANCE[dtype] * max(1.0, float(finite.max(initial=0)))
    np.testing.assert_allclose(got, want, rtol=TOLERANCE[dtype], atol=bound, err_msg=what)


def main() -> None:
    count = sum(compare(case, dtype) for case in cases() for dtype in TOLERANCE)
    print(f"{count} losses and their gradients agree")


if __name__ == "__main__":
    main()
