"""Complex numbers and Fourier transforms beside PyTorch's: values, gradients, Hessian products.

`python -m tests.peers.complex_numbers` runs every row and counts; the test of the same name runs
them one by one where PyTorch is installed. A row names a function of graphc and one of PyTorch over
the same arrays. Both are pulled back along one random cotangent to every operand, and a second time
along one to the gradients; forward mode is compared too. All must agree: the convention for
gradients of complex numbers is PyTorch's.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

import graphc

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
TOLERANCE = {"complex64": 1e-4, "complex128": 1e-10}
REAL = {"complex64": "float32", "complex128": "float64"}


@dataclass(frozen=True)
class Row:
    """One comparison over operands of these shapes, complex ones or, of `real`, floats."""

    name: str
    ours: Callable[..., Any]
    theirs: Callable[..., Any]  # of tensors of PyTorch
    shapes: Sequence[tuple[int, ...]]
    real: bool = False


def sample(shape: tuple[int, ...], dtype: str, random: np.random.Generator) -> Array:
    """Return numbers away from 0, and from the negative real axis, where there is a cut."""
    parts = random.uniform(0.5, 2.0, shape), random.uniform(-2.0, 2.0, shape)
    values = parts[0] + 1j * parts[1] if dtype[0] == "c" else parts[1]
    return np.asarray(values, dtype)


def compare(row: Row, dtype: str) -> int:
    """Raise AssertionError where anything differs; return how many arrays were compared."""
    import torch

    random = np.random.default_rng(len(row.name))
    given = REAL[dtype] if row.real else dtype
    arrays = [sample(shape, given, random) for shape in row.shapes]
    tensors = [torch.from_numpy(a).requires_grad_(True) for a in arrays]
    wanted = row.theirs(*tensors)
    result = str(wanted.dtype).removeprefix("torch.")
    cotangent = sample(tuple(wanted.shape), result, random)
    moves = [sample(a.shape, given, random) for a in arrays]
    slopes = torch.autograd.grad(wanted, tensors, torch.from_numpy(cotangent), create_graph=True)
    along = [torch.from_numpy(m) for m in moves]
    bent = _second(slopes, tensors, along)
    _, pushed = torch.func.jvp(row.theirs, tuple(t.detach() for t in tensors), tuple(along))

    def value(*operands: Any) -> Any:
        return row.ours(*operands)

    def pulled(*operands: Any) -> Any:
        return graphc.vjp(value, *operands)[1](cotangent)

    def twice(*operands: Any) -> Any:
        return graphc.vjp(pulled, *operands)[1](tuple(moves))

    got = [
        graphc.compile(value)(*arrays),
        *graphc.compile(pulled)(*arrays),
        *graphc.compile(twice)(*arrays),
        graphc.jvp(value, arrays, moves)[1],
    ]
    for place, (found, want) in enumerate(zip(got, [wanted, *slopes, *bent, pushed], strict=True)):
        expected = np.zeros_like(found) if want is None else want.detach().resolve_conj().numpy()
        _assert_near(found, expected, TOLERANCE[dtype], f"{row.name}, array {place}")
    return len(got)


def _second(slopes: Sequence[Any], tensors: Sequence[Any], along: Sequence[Any]) -> Sequence[Any]:
    """Return the second pullback; None for what the slopes do not depend on."""
    import torch

    curved = [(s, m) for s, m in zip(slopes, along, strict=True) if s.requires_grad]
    if not curved:
        return [None] * len(tensors)
    bent: Sequence[Any] = torch.autograd.grad(
        [s for s, _ in curved], tensors, [m for _, m in curved], allow_unused=True
    )
    return bent


def _assert_near(got: Array, want: Array, tolerance: float, what: str) -> None:
    assert got.dtype == want.dtype, what
    bound = tolerance * max(1.0, float(np.abs(want).max(initial=0)))
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=bound, err_msg=what)


# --- transforms ----------------------------------------------------------------------------------


def _torch(name: str) -> Any:
    import torch

    return getattr(torch.fft, name)


def _along_one_axis() -> Iterator[Row]:
    names = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
    norms = ("backward", "ortho", "forward")
    for name, norm, n, axis in itertools.product(names, norms, (None, 5, 8), (-1, 0)):
        yield Row(
            f"{name} n={n} axis={axis} {norm}",
            lambda x, f=name, o=(n, axis, norm): getattr(graphc.fft, f)(x, *o),
            lambda x, f=name, o=(n, axis, norm): _torch(f)(x, *o),
            [(7, 6)],
            real=name in ("rfft", "ihfft"),
        )


def _along_several_axes() -> Iterator[Row]:
    names = ("fft2", "ifft2", "rfft2", "irfft2", "fftn", "ifftn", "rfftn", "irfftn")
    for name, s, axes in itertools.product(names, (None, (4, 7)), ((-2, -1), (2, 0))):
        yield Row(
            f"{name} s={s} axes={axes}",
            lambda x, f=name, o=(s, axes, "ortho"): getattr(graphc.fft, f)(x, *o),
            lambda x, f=name, o=(s, axes, "ortho"): _torch(f)(x, *o),
            [(5, 3, 6)],
            real=name.startswith("r"),
        )


# --- arithmetic ----------------------------------------------------------------------------------


def _arithmetic() -> Iterator[Row]:
    one: dict[str, Callable[..., Any]] = {
        "square": lambda z: z * z,
        "conjugate product": lambda z: z * z.conj(),
        "reciprocal": lambda z: 1 / z,
        "parts": lambda z: z.real * z.imag,
        "with a number": lambda z: (2 - 1j) * z + z.real,
        "sum": lambda z: (z * z).sum(0),
        "mean": lambda z: (z * z).mean(),
        "views": lambda z: z.T[1:].reshape(-1) * 1j,
        "matrix with its adjoint": lambda z: z @ z.conj().T,
    }
    for name, function in one.items():
        yield Row(name, function, function, [(4, 3)])
    two: dict[str, Callable[..., Any]] = {
        "product": lambda a, b: a * b,
        "quotient": lambda a, b: a / b,
        "difference": lambda a, b: a * a - b * b.conj(),
        "matrix product": lambda a, b: a @ b.T,
    }
    for name, function in two.items():
        yield Row(name, function, function, [(4, 3), (4, 3)])


def _functions() -> Iterator[Row]:
    for name in ("abs", "angle", "exp", "log", "sqrt", "conj", "square", "reciprocal"):
        yield Row(name, getattr(graphc, name), _of_torch(name), [(4, 3)])
    yield Row("complex", lambda a, b: graphc.complex(a, b) ** 2,
              lambda a, b: _of_torch("complex")(a, b) ** 2, [(3,), (3,)], real=True)  # fmt: skip
    yield Row("a filter", lambda x, h: graphc.fft.irfft(graphc.fft.rfft(x.real) * h[:4], 6),
              lambda x, h: _torch("irfft")(_torch("rfft")(x.real) * h[:4], 6),
              [(2, 6), (5,)])  # fmt: skip


def _of_torch(name: str) -> Any:
    def function(*operands: Any) -> Any:
        import torch

        return getattr(torch, name)(*operands)

    return function


def rows() -> list[Row]:
    """Return every comparison."""
    return [*_along_one_axis(), *_along_several_axes(), *_arithmetic(), *_functions()]


def main() -> None:
    count = sum(compare(row, dtype) for row in rows() for dtype in TOLERANCE)
    print(f"{len(rows())} functions, {count} arrays agree with PyTorch's")


if __name__ == "__main__":
    main()
