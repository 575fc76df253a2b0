"""graphc.fft against NumPy: values, types, every length and factor, and what is refused."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc
from graphc.errors import GraphcError, GraphcIndexError, GraphcTypeError, GraphcValueError
from tests.frontend.evaluation import run, tensor

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(0)
OF_COMPLEX = ("fft", "ifft", "hfft", "irfft")
OF_REAL = ("rfft", "ihfft")
MANY = ("fftn", "ifftn", "rfftn", "irfftn", "fft2", "ifft2", "rfft2", "irfft2")


def signal(*shape: int, dtype: str = "complex128") -> Array:
    values = RNG.normal(size=shape) + 1j * RNG.normal(size=shape)
    return values.astype(dtype) if dtype.startswith("c") else values.real.astype(dtype)


def assert_is_numpys(name: str, x: Array, *arguments: Any, **keywords: Any) -> None:
    got = run(lambda t: getattr(graphc.fft, name)(t, *arguments, **keywords), x)
    want = getattr(np.fft, name)(x, *arguments, **keywords)
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    tolerance = 1e-12 if want.dtype.itemsize >= 8 and want.dtype != np.complex64 else 1e-5
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("norm", [None, "backward", "ortho", "forward"])
@pytest.mark.parametrize("name", [*OF_COMPLEX, *OF_REAL])
def test_lengths_and_factors(name: str, norm: str | None) -> None:
    for length, n in itertools.product((1, 2, 3, 7, 8, 13), (None, 1, 2, 5, 8, 11)):
        if n is None and length == 1 and name in ("irfft", "hfft"):
            continue  # 0 numbers
        dtype = "float64" if name in OF_REAL else "complex128"
        assert_is_numpys(name, signal(length, dtype=dtype), n, norm=norm)


@pytest.mark.parametrize("name", [*OF_COMPLEX, *OF_REAL])
def test_any_axis(name: str) -> None:
    dtype = "float64" if name in OF_REAL else "complex128"
    for shape, axis in (((3, 5), 0), ((3, 5), -2), ((2, 4, 3), 1), ((0, 4), 1), ((2, 0, 3), -1)):
        assert_is_numpys(name, signal(*shape, dtype=dtype), axis=axis)
        assert_is_numpys(name, signal(*shape, dtype=dtype), n=6, axis=axis)


@pytest.mark.parametrize("name", MANY)
def test_several_axes(name: str) -> None:
    x = signal(3, 4, 5, dtype="float64" if name.startswith("r") else "complex128")
    cases: list[dict[str, Any]] = [{}, {"axes": (0, 1)}, {"axes": (2, 0)}, {"axes": (-1, 1)}]
    cases += [{"s": (2, 7), "axes": (1, 2)}, {"s": (-1, 6), "axes": (0, 2)}, {"norm": "ortho"}]
    cases += [{"axes": (1, 1)}, {"s": (2, 3), "axes": (1, 1)}] if name in ("fftn", "ifftn") else []
    for keywords in cases:
        assert_is_numpys(name, x, **keywords)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "float32", "float64"])
def test_real_operands_have_numpys_types(dtype: str) -> None:
    x = (signal(3, 6, dtype="float64") * 5).astype(dtype)
    for name in (*OF_COMPLEX, *OF_REAL, "fft2", "rfft2"):
        got = run(getattr(graphc.fft, name), x)
        want = getattr(np.fft, name)(x.astype(x.dtype if dtype[0] == "f" else np.float64))
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_floats_of_16_bits_are_transformed_as_float32(dtype: str) -> None:
    x = signal(7, dtype="float32").astype(graphc.tensor_type((), dtype).dtype.numpy)
    got = run(graphc.fft.rfft, x)
    assert got.tobytes() == np.fft.rfft(x.astype(np.float32)).tobytes()


def test_shifts_and_frequencies() -> None:
    for shape in ((5,), (6,), (3, 4)):
        x = signal(*shape)
        for name in ("fftshift", "ifftshift"):
            got = run(getattr(graphc.fft, name), x)
            np.testing.assert_array_equal(got, getattr(np.fft, name)(x))
    np.testing.assert_array_equal(
        run(lambda t: graphc.fft.fftshift(t, axes=(0,)), signal(3, 4).real).shape, (3, 4)
    )
    for n in (1, 2, 7, 8):
        for name in ("fftfreq", "rfftfreq"):
            made = graphc.evaluate(getattr(graphc.fft, name)(n, 0.25, dtype="float64"))
            np.testing.assert_array_equal(made, getattr(np.fft, name)(n, 0.25))
            assert graphc.evaluate(getattr(graphc.fft, name)(n)).dtype == np.float32


@pytest.mark.parametrize("name", ["fftn", "ifftn", "rfftn", "irfftn"])
def test_minus_one_among_extents_is_what_there_is(name: str) -> None:
    x = np.random.default_rng(0).standard_normal((3, 5))
    for s in ((2, -1), (-1, 4), (-1, -1)):
        made = graphc.evaluate(getattr(graphc.fft, name)(x, s, (0, 1)))
        np.testing.assert_allclose(made, getattr(np.fft, name)(x, s, (0, 1)), atol=1e-12)


REFUSED: list[tuple[Callable[[], Any], type[GraphcError], str]] = [
    (lambda: graphc.fft.rfft(tensor(4, dtype="complex64")), GraphcTypeError, "takes real numbers"),
    (lambda: graphc.fft.fft(tensor(4), n=0), GraphcValueError, "0 numbers"),
    (lambda: graphc.fft.fft(tensor(0)), GraphcValueError, "0 numbers"),
    (lambda: graphc.fft.irfft(tensor(1)), GraphcValueError, "0 numbers"),
    (lambda: graphc.fft.fft(tensor(4), norm="half"), GraphcValueError, "norm is 'half'"),
    (lambda: graphc.fft.hfft(tensor(4), norm="half"), GraphcValueError, "norm is 'half'"),
    (lambda: graphc.fft.fft(tensor(4), axis=1), GraphcIndexError, "axis 1 is out of bounds"),
    (lambda: graphc.fft.fft(tensor()), GraphcIndexError, "out of bounds"),
    (lambda: graphc.fft.fft2(tensor(4)), GraphcIndexError, "out of bounds"),
    (lambda: graphc.fft.fftn(tensor(4, 4), s=(2,), axes=(0, 1)), GraphcValueError, "1 extents"),
    (lambda: graphc.fft.rfftn(tensor(4), axes=()), GraphcValueError, "at least one axis"),
    (lambda: graphc.fft.fft(tensor(4), n=2.5), GraphcTypeError, "is an integer"),  # type: ignore[arg-type]  # the mistake
    (lambda: graphc.fft.fft2(tensor(4, 4), 2), GraphcTypeError, "sequences of integers"),  # type: ignore[arg-type]  # the mistake
    (lambda: graphc.fft.irfft(tensor(4), n="4"), GraphcTypeError, "is an integer"),  # type: ignore[arg-type]  # the mistake
    (lambda: graphc.fft.fftfreq(0), GraphcValueError, "at least 1"),
    (lambda: graphc.fft.fftfreq(3, 0), GraphcValueError, "0 apart"),
    (lambda: graphc.fft.rfftfreq(3, "1"), GraphcTypeError, "is a number"),  # type: ignore[arg-type]  # the mistake
    (lambda: graphc.fft.fft(tensor(4), n=-1), GraphcValueError, "-1 numbers"),
    (lambda: graphc.fft.irfft(tensor(4), n=np.int64(-1)), GraphcValueError, "-1 numbers"),
    (lambda: graphc.fft.hfft(tensor(4), n=-1), GraphcValueError, "-1 numbers"),
    (lambda: graphc.fft.fft(tensor(4), norm=["ortho"]), GraphcValueError, "norm is"),  # type: ignore[arg-type]  # the mistake
    (lambda: graphc.fft.fftfreq(4, dtype="int32"), GraphcTypeError, "frequencies are floats"),
]


@pytest.mark.parametrize(("build", "error", "words"), REFUSED, ids=lambda x: str(x)[:24])
def test_misuse_names_the_line(
    build: Callable[[], Any], error: type[GraphcError], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        build()
    assert "test_fft.py" in str(caught.value)


# --- through the compiler ------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["llvm", "opencl", "reference"])
@pytest.mark.parametrize("optimise", [True, False])
def test_backends_agree(backend: Any, optimise: bool) -> None:
    if backend == "opencl":
        pytest.importorskip("pyopencl", reason="pyopencl is not installed")

    def filtered(x: Any, response: Any) -> Any:
        spectrum = graphc.fft.rfft(x) * response
        return graphc.fft.irfft(spectrum, 7), spectrum, abs(graphc.fft.fft2(spectrum))

    x, response = signal(3, 7, dtype="float32"), signal(4, dtype="complex64")
    compiled = graphc.compile(filtered, backend=backend, optimise=optimise)
    spectrum = np.fft.rfft(x) * response
    want = np.fft.irfft(spectrum, 7), spectrum, np.abs(np.fft.fft2(spectrum))
    for _ in range(5):  # the first ones by way of Python, the last ones natively
        for got, expected in zip(compiled(x, response), want, strict=True):
            assert got.dtype == expected.dtype
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_a_spectrum_is_differentiated_to_any_order() -> None:
    def power(x: graphc.Tensor) -> graphc.Tensor:
        spectrum = graphc.fft.rfft(graphc.tanh(x), 9)
        return (abs(spectrum) ** 3).sum() + graphc.fft.irfft(spectrum * spectrum, 8)[2]

    for n in (5, 6, 12):
        assert graphc.check_grads(power, signal(n, dtype="float64")).is_right
    both = graphc.compile(graphc.hessian(lambda x: (abs(graphc.fft.fft(x * x)) ** 2).sum()))
    x = signal(4, dtype="float64")
    np.testing.assert_allclose(both(x), np.diag(48 * x**2), atol=1e-9)  # Parseval


@pytest.mark.parametrize("name", ["fft", "ifft", "irfft", "hfft", "fft2", "ifftn", "irfftn"])
def test_derivatives_by_complex_signals(name: str) -> None:
    def loss(z: graphc.Tensor) -> graphc.Tensor:
        made = getattr(graphc.fft, name)(z * z, norm="ortho")
        return (graphc.real(made) ** 3).sum() + graphc.imag(made).sum()

    assert graphc.check_grads(loss, signal(3, 5)).is_right


def test_examples_of_vmap_are_transformed_along_their_own_axes() -> None:
    x = signal(4, 3, 5)
    for name in ("fft", "fftn", "irfft"):
        function = getattr(graphc.fft, name)
        for axis in (0, 1, 2):
            got = graphc.compile(graphc.vmap(function, in_axes=axis))(x)
            want = np.stack([getattr(np.fft, name)(e) for e in np.moveaxis(x, axis, 0)])
            np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


def test_loops_and_branches_transform() -> None:
    def step(carry: graphc.Tensor, row: graphc.Tensor) -> Any:
        spectrum = graphc.fft.fft(carry + row)
        halved = graphc.cond(
            graphc.abs(spectrum).sum() > 5.0, lambda s: s * (0.5 - 0.1j), lambda s: s, spectrum
        )
        return halved, abs(halved).sum()

    def whole(start: Any, rows: Any) -> Any:
        return graphc.scan(step, start, rows)

    start, rows = signal(3), signal(4, 3)
    last, sums = graphc.compile(whole)(start, rows)
    carry, wanted = start, []
    for row in rows:
        carry = np.fft.fft(carry + row)
        carry = carry * (0.5 - 0.1j) if np.abs(carry).sum() > 5 else carry
        wanted.append(np.abs(carry).sum())
    np.testing.assert_allclose(last, carry, rtol=1e-12)
    np.testing.assert_allclose(sums, wanted, rtol=1e-12)
    assert graphc.check_grads(lambda a, b: whole(a, b)[1].sum(), start, rows).is_right


def test_errors_of_a_loop_with_complex_carries_name_the_line() -> None:
    with pytest.raises(GraphcError, match="complex") as caught:
        graphc.scan(lambda c, r: (abs(c), r), tensor(3, dtype="complex64"), tensor(4, 3))
    assert "test_fft.py" in str(caught.value)
