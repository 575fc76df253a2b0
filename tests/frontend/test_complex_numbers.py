"""Complex tensors against NumPy: parts, arithmetic, functions, promotion, and what is refused."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc
from graphc import optim
from graphc.errors import GraphcError, GraphcTypeError, GraphcValueError, NumericsError
from tests.frontend.evaluation import run, same, tensor

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(0)
INF, NAN = np.inf, np.nan


def numbers(*shape: int, dtype: str = "complex128") -> Array:
    return (RNG.normal(size=shape) + 1j * RNG.normal(size=shape)).astype(dtype)


def z(*shape: int, dtype: str = "complex64") -> graphc.Tensor:
    return tensor(*shape, dtype=dtype)


# --- values --------------------------------------------------------------------------------------

FUNCTIONS: list[tuple[Callable[[Any], Any], Callable[[Any], Any]]] = [
    (graphc.real, np.real),
    (graphc.imag, np.imag),
    (graphc.conj, np.conj),
    (graphc.abs, np.abs),
    (graphc.angle, np.angle),
    (graphc.exp, np.exp),
    (graphc.log, np.log),
    (graphc.sqrt, np.sqrt),
    (graphc.square, np.square),
    (graphc.negative, np.negative),
    (graphc.reciprocal, np.reciprocal),
    (graphc.isnan, np.isnan),
    (graphc.isinf, np.isinf),
    (graphc.isfinite, np.isfinite),
    (lambda t: graphc.complex(t.real, 1), lambda t: t.real + 1j),
    (lambda t: t.conj() * t.imag - t.real, lambda t: t.conj() * t.imag - t.real),
    (lambda t: 2 / t + (1 - 2j) * t, lambda t: 2 / t + (1 - 2j) * t),
    (lambda t: t**2 + t**-1, lambda t: t**2 + t**-1),
    (lambda t: t.sum(), np.sum),
    (lambda t: t.sum(axis=0), lambda t: t.sum(axis=0)),
    (lambda t: t.mean(axis=1), lambda t: t.mean(axis=1)),
    (lambda t: graphc.cumulative_sum(t, axis=0), lambda t: np.cumsum(t, axis=0)),
    (lambda t: t @ t.conj().T, lambda t: t @ t.conj().T),
    (lambda t: graphc.einsum("ij,kj->ik", t, t), lambda t: np.einsum("ij,kj->ik", t, t)),
    (lambda t: graphc.where(t.real > 0, t, 1j), lambda t: np.where(t.real > 0, t, 1j)),
    (lambda t: graphc.concat([t, t.real]), lambda t: np.concatenate([t, t.real])),
    (lambda t: graphc.pad(t, 1), lambda t: np.pad(t, 1)),
    (lambda t: t.T[::-2, 1:], lambda t: t.T[::-2, 1:]),
    (lambda t: t[:, np.array([2, 0])], lambda t: t[:, np.array([2, 0])]),
    (lambda t: graphc.vecdot(t, t * 1j), lambda t: np.vecdot(t, t * 1j)),
    (graphc.linalg.norm, np.linalg.norm),
    (
        lambda t: graphc.linalg.vector_norm(t, axis=0, ord=3),
        lambda t: (abs(t) ** 3).sum(0) ** (1 / 3),
    ),
    (lambda t: graphc.metrics.mean_squared_error(t, t * 2), lambda t: (abs(t) ** 2).mean(1)),
    (lambda t: graphc.roll(t, 1, axis=1), lambda t: np.roll(t, 1, axis=1)),
    (lambda t: t == t.real, lambda t: t == t.real),
    (lambda t: t != t.conj(), lambda t: t != t.conj()),
    (lambda t: t.astype("bool"), lambda t: t.astype(bool)),
    (lambda t: graphc.any(t, axis=1), lambda t: np.any(t, axis=1)),
    (lambda t: t.astype("complex64").astype("complex128"), lambda t: t.astype("c8").astype("c16")),
]


@pytest.mark.parametrize(("function", "numpys"), FUNCTIONS)
def test_functions_have_numpys_values(
    function: Callable[[Any], Any], numpys: Callable[[Any], Any]
) -> None:
    for x in (numbers(3, 4), np.array([[0, 1j, -1, 2.5]] * 2, complex), numbers(1, 3)):
        with np.errstate(all="ignore"):
            want = np.asarray(numpys(x))
        got = graphc.compile(function)(x)
        assert (got.dtype, got.shape) == (want.dtype, want.shape)
        finite = np.isfinite(want)
        np.testing.assert_allclose(got[finite], want[finite], rtol=1e-12, atol=1e-12)


SPECIALS = [complex(a, b) for a, b in itertools.product([0.0, -0.0, 1.5, INF, -INF, NAN], repeat=2)]


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("backend", ["llvm", "reference"])
def test_products_and_quotients_of_infinities(dtype: str, backend: Any) -> None:
    """(ac - bd) + i(ad + bc) as it stands, so that an infinity times 0 is NaN; Smith's quotient."""
    pairs = np.array(list(itertools.product(SPECIALS, repeat=2)), dtype)
    x, y = pairs.T.copy()
    with np.errstate(all="ignore"):
        quotient = x / y
        product = np.empty_like(x)
        product.real = x.real * y.real - x.imag * y.imag
        product.imag = x.real * y.imag + x.imag * y.real
    got = graphc.compile(lambda a, b: (a * b, a / b), backend=backend)(x, y)
    for found, want in zip(got, (product, quotient), strict=True):
        for part in (np.real, np.imag):
            same(part(found).copy(), part(want).copy())


def test_roots_and_exponentials_at_the_axes() -> None:
    at = np.array([0, -0.0, 4, -4, complex(-4, -0.0), 2j, -2j, INF, complex(-INF, 0)], complex)
    root = run(graphc.sqrt, at[:7])
    same(root.real.copy(), np.sqrt(at[:7]).real.copy())
    same(root.imag.copy(), np.sqrt(at[:7]).imag.copy())
    grown = run(graphc.exp, np.array([INF, -INF, 0], complex))
    assert grown.tolist() == [complex(INF, 0), 0, 1]


HOLOMORPHIC: list[tuple[Callable[[Any], Any], Callable[[Any], Any]]] = [
    (graphc.exp, np.exp),
    (graphc.log, lambda t: 1 / t),
    (graphc.sqrt, lambda t: 0.5 / np.sqrt(t)),
    (graphc.square, lambda t: 2 * t),
    (graphc.reciprocal, lambda t: -1 / t**2),
]


@pytest.mark.parametrize(("function", "derivative"), HOLOMORPHIC)
def test_derivatives_on_the_axes_are_those_beside_them(
    function: Callable[[Any], Any], derivative: Callable[[Any], Any]
) -> None:
    """The pullback of a holomorphic function is the conjugate of its derivative, times w."""
    at = np.array([2, 0.5, 1j, -3j, complex(2, -0.0), -4, complex(-4, -0.0), 1 - 2j, -1 + 2j])
    w = numbers(len(at))
    (pulled,) = graphc.vjp(function, at)[1](w)
    np.testing.assert_allclose(pulled, w * np.conj(derivative(at)), rtol=1e-12, atol=1e-14)


# --- types ---------------------------------------------------------------------------------------


def test_promotion_is_numpys() -> None:
    names = ["bool", "int8", "int64", "uint16", "float16", "float32", "float64", "complex64",
             "complex128"]  # fmt: skip
    for a, b in itertools.product(names, ["complex64", "complex128"]):
        built = graphc.add(tensor(2, dtype=a), tensor(2, dtype=b))
        assert built.dtype.numpy == np.result_type(a, b)
    for name in names[2:]:
        with_number = tensor(2, dtype=name) + 1j
        assert with_number.dtype.numpy == (np.zeros(2, name) + 1j).dtype
    assert (tensor(2, dtype="bfloat16") * z(2)).dtype is graphc.complex64
    assert graphc.constant(1j).dtype is graphc.constant([1, 2j]).dtype is graphc.complex64
    assert graphc.constant(np.array([1j])).dtype is graphc.complex128
    assert graphc.complex(tensor(2, dtype="int32"), 0).dtype is graphc.complex128


def test_real_tensors_are_their_own_parts() -> None:
    x = tensor(3)
    assert x.real.node is x.node and x.conj().node is x.node
    assert run(graphc.imag, np.ones(3, np.float32)).tolist() == [0, 0, 0]
    assert run(graphc.angle, np.array([1, -2])).tolist() == [0, np.pi]


REFUSED: list[tuple[Callable[[], Any], str]] = [
    (lambda: z(3).astype("float32"), "complex64 does not convert to float32"),
    (lambda: z(3).astype("int64"), "complex64 does not convert to int64"),
    (lambda: z(3) < 1, "less is not defined for complex64"),
    (lambda: z(3).max(), "max"),
    (lambda: graphc.sin(z(3)), "sin is not defined for complex64"),
    (lambda: graphc.sort(z(3)), "argsort takes any dtype but complex ones"),
    (lambda: graphc.prod(z(3)), "prod"),
    (lambda: z(3).var(), "does not convert"),
    (lambda: z(3) ** 0.5, "the exponents 1, 2 and -1"),
    (lambda: graphc.softmax(z(3)), "complex64"),
    (lambda: graphc.linalg.inv(z(3, 3)), "complex64"),
    (lambda: graphc.argmax(z(3)), "argmax"),
    (lambda: graphc.gradients(z(), z()), "a real number is needed"),
    (lambda: graphc.jacobian(lambda t: t * t)(z(3)), "one of real numbers alone"),
    (lambda: graphc.convolution(z(1, 8, 1), z(3, 1, 1)), "complex64"),
    (lambda: graphc.max_pool(z(2, 8, 1), 2), "max_pool is not defined for complex64"),
    (lambda: graphc.average_pool(z(2, 8, 1), 2), "not defined for complex64"),
    (lambda: graphc.floor(z(3)), "floor"),
    (lambda: graphc.nn.cross_entropy(z(2, 3), np.array([0, 1])), "complex64"),
    (lambda: z(3)[z()], "complex64"),
    (lambda: graphc.where(z(3), 1, 2).astype("float32") + z(3).real.astype("int8") % z(), "compl"),
    (lambda: graphc.arange(1j), "complex"),  # type: ignore[arg-type]  # the mistake
    (lambda: graphc.clip(z(3), 0, 1), "not defined for complex64"),
]


@pytest.mark.parametrize(("build", "words"), REFUSED)
def test_what_has_no_meaning_names_the_line(build: Callable[[], Any], words: str) -> None:
    with pytest.raises(GraphcError, match=words) as caught:
        build()
    assert "test_complex_numbers.py" in str(caught.value)


# --- programs ------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["llvm", "reference"])
def test_arguments_of_programs(backend: Any) -> None:
    a = z(2, 3)
    program = graphc.compile([a * 2j, a.real], inputs=[a], backend=backend)
    x = numbers(2, 3, dtype="complex64")
    odd = np.zeros((4, 6), np.complex64)[::2, ::2]
    odd[...] = x
    for given in (x, odd, x.astype(x.dtype.newbyteorder()), x.tolist(), np.asfortranarray(x)):
        doubled, real = program(given)
        np.testing.assert_array_equal(doubled, x * np.complex64(2j))
        np.testing.assert_array_equal(real, x.real)
        assert (doubled.dtype, real.dtype) == (np.complex64, np.float32)
    assert program([[1, 2.5, 3j]] * 2)[1].tolist() == [[1, 2.5, 0]] * 2
    for wrong in (x.real, x.astype("complex128"), np.zeros((2, 3, 2), np.float32)):
        with pytest.raises(GraphcTypeError, match=r"takes complex64\[2, 3\]"):
            program(wrong)
    with pytest.raises(GraphcValueError, match="does not fit complex64"):
        program([[1e300j, 0, 0]] * 2)


def test_the_native_call_takes_complex_arrays_and_no_others() -> None:
    a = z(8)
    program = graphc.compile([a * a], inputs=[a])
    x = numbers(8, dtype="complex64")
    for _ in range(5):
        (want,) = program(x)
    native = program.call_natively(x)
    assert native is not None and native[0].dtype == np.complex64
    assert native[0].tobytes() == want.tobytes()
    for wrong in (x.view(np.float32).reshape(8, 2), x.astype("complex128"), x.view(np.float64)):
        assert program.call_natively(wrong) is None


def test_outputs_into_given_and_donated_memory() -> None:
    a = z(1000)
    x, out = numbers(1000, dtype="complex64"), np.empty(1000, np.complex64)
    program = graphc.compile([a + 1j], inputs=[a])
    assert program(x, out=out)[0] is out
    np.testing.assert_array_equal(out, x + np.complex64(1j))
    parts = graphc.compile(lambda a: graphc.concat([a.real, a.imag]) * 2, donate=["a"])
    want = np.concatenate([x.real, x.imag]) * 2
    got: Any = parts(x.copy())
    assert got.dtype == np.float32 and got.shape == (2000,)
    np.testing.assert_array_equal(got, want)


def test_variables_keep_complex_values_and_descend() -> None:
    """Gradient descent subtracts the gradient of a complex parameter, as that of any other."""
    target = numbers(5, dtype="complex64")
    w = graphc.Variable(np.zeros(5, np.complex64), name="w")
    optimizer = optim.SGD(0.2, momentum=0.5)

    @graphc.compile
    def step(target: Any) -> Any:
        loss = (abs(graphc.fft.fft(w - target, norm="ortho")) ** 2).sum()
        optimizer.minimize(loss, [w])
        return loss

    losses = [float(step(target)) for _ in range(60)]
    assert losses[-1] < 1e-8 < losses[0]
    np.testing.assert_allclose(w.value, target, atol=1e-4)
    assert w.value.dtype == np.complex64
    with pytest.raises(GraphcTypeError, match="Adam does not move complex64"):
        graphc.compile(lambda: optim.Adam(0.1).minimize(abs(w).sum(), [w]))()
    sgd = optim.SGD(0.1, clip=optim.ClipByNorm(1.0))
    with pytest.raises(GraphcTypeError, match="SGD that clips"):
        graphc.compile(lambda: sgd.minimize(abs(w).sum(), [w]))()


def test_checkpoints_and_derivatives_of_ones_own() -> None:
    def turned(z: Any) -> Any:
        return graphc.exp(z * 1j) * z

    @graphc.custom_vjp
    def own(z: Any) -> Any:
        return z * z

    own.defvjp(lambda z: (z * z, z), lambda z, g: (10 * g,))
    at = numbers(4)

    def loss(function: Any) -> Any:
        return graphc.grad(lambda z: (abs(function(z)) ** 2).sum())(at)

    np.testing.assert_allclose(loss(graphc.checkpoint(turned)), loss(turned), rtol=1e-12)
    np.testing.assert_allclose(loss(own), 20 * at**2, rtol=1e-12)


class Filter(graphc.nn.Module):
    """A module with complex parameters of both widths."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.narrow = graphc.Variable(numbers(3, dtype="complex64") * scale, name="narrow")
        self.wide = graphc.Variable(numbers(2, 2) * scale, name="wide")


def test_complex_variables_come_back_from_files(tmp_path: Any) -> None:
    first, second = Filter(1.0), Filter(0.0)
    graphc.save(tmp_path / "f", first)
    graphc.load(tmp_path / "f", second)
    for a, b in ((first.narrow, second.narrow), (first.wide, second.wide)):
        assert a.value.dtype == b.value.dtype and a.value.tobytes() == b.value.tobytes()


def test_numerics_are_checked_in_both_parts() -> None:
    bad = graphc.compile(lambda a: (a / (a - a)).conj(), check_numerics=True)
    with pytest.raises(NumericsError, match="first such value was made by divide") as caught:
        bad(numbers(3, dtype="complex64"))
    assert "test_complex_numbers.py" in str(caught.value)


def test_texts_and_pictures_show_complex_types(tmp_path: Any) -> None:
    a = graphc.input((2, 3), "complex64", name="a")
    program = graphc.compile([graphc.fft.fft(a * (1 - 1j))], inputs=[a])
    text = program.text("graph")
    assert "%a: complex64[2, 3]" in text and "fft(%" in text
    again = graphc.parse_graph(graphc.print_graph(program.graph, full=True))
    x = numbers(2, 3, dtype="complex64")
    np.testing.assert_array_equal(
        graphc.compile([graphc.Tensor(again.outputs[0])], inputs=[graphc.Tensor(again.inputs[0])])(
            x
        )[0],
        program(x)[0],
    )
    optimised = graphc.parse_graph(graphc.print_graph(program.optimised, full=True))
    assert "on_pairs" in str(optimised) and "function='fft'" in str(optimised)
    assert "fft" in program.explain()
    program.draw(tmp_path / "a.dot")
    assert "fft" in (tmp_path / "a.dot").read_text()


def test_a_python_complex_number_has_a_gradient_as_an_array_of_it_has() -> None:
    def function(z: Any) -> Any:
        return graphc.real(z * z)

    for z in (2 + 1j, np.complex64(2 + 1j), np.array(2 + 1j)):
        assert graphc.grad(function)(z) == 4 - 2j


def test_roots_of_the_least_and_the_greatest_numbers() -> None:
    for dtype in (np.complex64, np.complex128):
        info = np.finfo(dtype)
        sizes = [info.smallest_subnormal, info.tiny, info.max / 2, info.max]
        parts = [0.0, *sizes, *(-size for size in sizes)]
        z = np.array([complex(x, y) for x in parts for y in parts]).astype(dtype)
        root = run(graphc.sqrt, z)
        wanted = np.sqrt(z.astype(np.clongdouble))
        np.testing.assert_allclose(
            root.real, wanted.real.astype(root.real.dtype), rtol=float(4 * info.eps)
        )
        np.testing.assert_allclose(
            root.imag, wanted.imag.astype(root.real.dtype), rtol=float(4 * info.eps)
        )
