"""NumPy's functions on tensors build nodes with NumPy's meaning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc.frontend as gc
from graphc.errors import GraphcTypeError
from tests.frontend.evaluation import close, run, tensor

X = np.random.default_rng(0).normal(size=(3, 4))
FUNCTIONS: list[Callable[[Any], Any]] = [
    lambda t: np.add(X, t), lambda t: np.add(t, X), lambda t: X + t, lambda t: X @ t.T,
    lambda t: np.less(X, t), lambda t: np.float64(2) * t, np.exp, np.abs, np.arctan,
    np.square, np.rint,
    lambda t: np.arctan2(t, 2.0), lambda t: np.power(t, 2), np.negative,
    lambda t: np.matmul(t, X.T),
    lambda t: np.maximum(t, 0), np.sum, lambda t: np.sum(t, axis=0), lambda t: np.sum(t, 1),
    lambda t: np.mean(t, axis=1, keepdims=True), np.max, np.amin, np.argmax, np.prod,
    lambda t: np.var(t, axis=0, ddof=1), np.std, lambda t: np.concatenate([t, X]),
    lambda t: np.stack([t, t], axis=1), lambda t: np.where(t > 0, t, 0), np.transpose, np.ravel,
    lambda t: np.reshape(t, (2, 6)), lambda t: np.einsum("ij,kj->ik", t, X),
    lambda t: np.tensordot(t, X, axes=([0], [0])), lambda t: np.clip(t, 0, 1), np.flip,
    lambda t: np.expand_dims(t, 0), lambda t: np.squeeze(t[None]), lambda t: np.tile(t, 2),
    lambda t: np.broadcast_to(t, (2, 3, 4)), lambda t: np.roll(t, 1, axis=0), np.tril,
    lambda t: np.take(t, [0, 1], axis=1), lambda t: np.pad(t, 1), lambda t: np.repeat(t, 2),
    lambda t: np.moveaxis(t, 0, 1), lambda t: np.swapaxes(t, 0, 1), np.zeros_like, np.isnan,
    lambda t: np.outer(t[0], t[1]), lambda t: np.dot(t, X.T), lambda t: np.vstack([t, X]),
    lambda t: np.hstack([t, X]), np.add.reduce, lambda t: np.maximum.reduce(t, axis=1),
    lambda t: np.any(t > 1), lambda t: np.all(t > 1, axis=0), lambda t: np.full_like(t, 2.0),
    lambda t: np.logaddexp(t, X), lambda t: np.hypot(t, 1.0), lambda t: np.take_along_axis(
        t, np.zeros((3, 1), int), 1), lambda t: np.divmod(t, 0.5)[1], lambda t: np.split(t, 3)[1],
    lambda t: np.true_divide(t, 2), np.sort, lambda t: np.sort(t, axis=0, kind="stable"),
    lambda t: np.sort(t, axis=None), np.argsort, lambda t: np.argsort(t, 0),
    lambda t: np.linalg.inv(t @ t.T), lambda t: np.linalg.det(t @ t.T), np.linalg.pinv,
    lambda t: np.linalg.solve(t @ t.T, t), lambda t: np.linalg.slogdet(t @ t.T)[1],
    lambda t: np.linalg.svd(t, compute_uv=False), lambda t: np.linalg.svd(t, False)[1],
    lambda t: np.linalg.norm(t, axis=1), lambda t: np.linalg.qr(t)[1], np.linalg.matrix_rank,
    lambda t: np.linalg.cholesky(t @ t.T), lambda t: np.linalg.eigh(t @ t.T)[0],
    lambda t: np.linalg.matrix_power(t @ t.T, 3), lambda t: np.linalg.pinv(t, rcond=1e-3),
    np.fft.fft, np.fft.rfft, lambda t: np.fft.ifft(t, 6, axis=0), np.fft.fftshift,
    lambda t: np.fft.fft2(t, norm="ortho"), np.fft.irfft, np.fft.hfft, np.fft.irfftn,
    lambda t: np.real(np.fft.fft(t)), lambda t: np.imag(t * 1j), np.angle,
    lambda t: np.conj(t + 1j), np.conjugate, lambda t: np.abs(t + 2j),
    lambda t: np.exp(t * 1j), lambda t: np.multiply(t, 2 - 1j), lambda t: np.isfinite(t + 1j),
]  # fmt: skip


@pytest.mark.parametrize("function", FUNCTIONS)
def test_functions_trace(function: Callable[[Any], Any]) -> None:
    built = function(tensor(3, 4, dtype="float64"))
    assert isinstance(built, gc.Tensor)
    close(run(function, X), function(X), 1e-12)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int32", "int64"])
@pytest.mark.parametrize("function", [np.fabs, np.rint, np.float_power])
def test_what_numpy_computes_in_floats(function: np.ufunc, dtype: str) -> None:
    arrays = [np.array([3, 0, 101], dtype), np.array([2, 0, 17], dtype)][: function.nin]
    got = run(function, *arrays)
    assert got.dtype == np.float64
    np.testing.assert_array_equal(got, function(*(array.astype(float) for array in arrays)))


def test_float_power_is_float64_at_least() -> None:
    x = np.array([1.1, 7, 0], np.float32)
    close(run(lambda t: np.float_power(t, 3), x), np.float_power(x, 3), 1e-15)
    close(run(lambda t: np.float_power([0.1, 2, 3], t), x), np.float_power([0.1, 2, 3], x), 1e-15)
    integers = np.array([1, 2, 4])
    close(run(lambda t: np.float_power(t, -2), integers), np.float_power(integers, -2), 1e-15)


def test_the_reciprocal_of_integers_is_refused() -> None:
    with pytest.raises(GraphcTypeError, match="truncates integers"):
        np.reciprocal(tensor(3, dtype="int32"))


def test_shapes_of_tensors_are_known() -> None:
    x = tensor(3, 4)
    assert (np.shape(x), np.ndim(x), np.size(x)) == ((3, 4), 2, 12)


MISUSES: list[tuple[Callable[[Any], Any], str]] = [
    (lambda t: np.add(t, 1, out=np.zeros((3, 4))), "out= is not possible"),
    (lambda t: np.sum(t, where=np.ones((3, 4), bool)), "where= is not possible"),
    (lambda t: np.sort(t, order="x"), "order= is for records"),
    (np.linalg.eig, "numpy.linalg.eig does not take tensors"),
    (np.linalg.svd, "numpy.linalg.svd of tensors: full_matrices=False"),
    (lambda t: np.linalg.qr(t, "complete"), "the mode is reduced, not complete"),
    (lambda t: np.linalg.lstsq(t, t), "numpy.linalg.lstsq does not take tensors"),
    (lambda t: np.linalg.eigh(t @ t.T, "U"), "numpy.linalg.eigh on tensors"),
    (lambda t: np.linalg.pinv(t, hermitian=True), "takes one number as its tolerance"),
    (lambda t: np.fft.fft(t, out=np.zeros((3, 4), complex)), "out= is not possible"),
    (lambda t: np.fft.rfft(t * 1j), "rfft takes real numbers"),
    (lambda t: np.angle(t, deg=True), "numpy.angle on tensors: .*'deg'"),
    (lambda t: np.gcd.outer(t, 2), "numpy.gcd.outer does not take tensors"),
    (np.spacing, "numpy.spacing does not take tensors"),
    (np.add.accumulate, "numpy.add.accumulate does not take tensors"),
    (lambda t: np.sum(t, initial=3), "initial"),
    (lambda t: np.add(t, t, dtype=np.float64), "numpy.add on tensors: .*'dtype'"),
    (lambda t: np.multiply(t, 2, casting="unsafe"), "numpy.multiply on tensors: .*'casting'"),
    (lambda t: np.add.reduce(t, initial=5.0), "numpy.add.reduce on tensors: .*'initial'"),
    (lambda t: np.std(t, mean=t), "numpy.std on tensors: .*'mean'"),
]


@pytest.mark.parametrize(("function", "message"), MISUSES)
def test_what_graphc_lacks_is_refused(function: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(GraphcTypeError, match=message) as caught:
        function(tensor(3, 4))
    assert __file__ in caught.value.line


def test_arrays_in_place_are_not_changed_by_tensors() -> None:
    array = np.zeros((3, 4))
    with pytest.raises(GraphcTypeError, match="out= is not possible"):
        array += tensor(3, 4)
