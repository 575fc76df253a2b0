"""A new elementwise op costs one declaration: here is one, and everything that follows from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

import graphc
from graphc.backends.llvm import BACKEND as LLVM
from graphc.graph import Graph
from graphc.node import Node
from graphc.op import Op, all_ops, find, forget
from graphc.ops.declare import elementwise
from graphc.scalar import Scalar
from tests.op_table import row, table
from tests.passes.test_differentiate import test_first_order as check_first_order
from tests.passes.test_differentiate import test_second_order as check_second_order
from tests.samples import Array
from tests.test_op_matrix import Batch, assert_batch_agrees, computed_ops, matrix_cases
from tests.test_random_graphs import TARGETS

X = np.linspace(-3, 3, 24, dtype=np.float32).reshape(4, 6)


def declare(formula: Callable[[Scalar], Scalar] = lambda x: 1 / (1 + x * x)) -> Op:
    """The one edit."""
    return elementwise(
        "lorentzian",
        ("x",),
        formula,
        lambda x: np.reciprocal(np.square(x) + 1),
        kinds=("float",),
        pullback=_pullback,
        summary="Return 1 / (1 + x * x).",
    )


def _pullback(cotangent: Node, result: Node, x: Node) -> Node:
    return cotangent * (-2 * x * result * result)


@pytest.fixture
def op() -> Iterator[Op]:
    declared = declare()
    yield declared
    forget(declared)


def lorentzian(x: object) -> graphc.Tensor:
    """Call the public function, which a type checker cannot know."""
    result: graphc.Tensor = getattr(graphc, "lorentzian")(x)  # noqa: B009  # as above
    return result


def wanted(x: Array) -> Array:
    return np.asarray(1 / (1 + x * x))


@pytest.mark.usefixtures("op")
def test_it_is_a_public_function() -> None:
    x = graphc.input((4, 6), name="x")
    assert lorentzian(x).shape == (4, 6) and lorentzian(x).dtype is graphc.float32
    assert lorentzian(graphc.input((3,), "int8")).dtype is graphc.float64
    function = getattr(graphc, "lorentzian")  # noqa: B009  # a type checker does not know it
    assert (function.__name__, function.__doc__) == ("lorentzian", "Return 1 / (1 + x * x).")
    with pytest.raises(graphc.GraphcTypeError, match="takes 1 operands, not 2"):
        function(x, x)


@pytest.mark.usefixtures("op")
@pytest.mark.parametrize("backend", ["reference", "llvm", "opencl"])
def test_every_backend_computes_it(backend: graphc.api.BackendName) -> None:
    if backend == "opencl":
        pytest.importorskip("pyopencl", reason="pyopencl is not installed")
    compiled = graphc.compile(lorentzian, backend=backend)
    np.testing.assert_array_equal(compiled(X), wanted(X))


def test_the_matrix_takes_it_in(op: Op) -> None:
    batch = Batch(op, matrix_cases(op))
    assert op in computed_ops() and len(batch.cases) > 30
    assert_batch_agrees(batch)
    for target in TARGETS[:-1]:
        batch.assert_same_bits(batch.run(LLVM, target), target.name)
    opencl = pytest.importorskip("graphc.backends.opencl", reason="pyopencl is not installed")
    batch.assert_same_bits(batch.run(opencl.BACKEND, opencl.BACKEND.target()), "OpenCL")


def test_its_gradient_is_checked_and_compiled(op: Op) -> None:
    check_first_order(op)
    check_second_order(op)
    slope = graphc.compile(graphc.grad(lambda x: lorentzian(x).sum()))
    np.testing.assert_allclose(slope(X), -2 * X * wanted(X) ** 2, rtol=1e-6, atol=1e-7)


def test_its_text_is_parsed(op: Op) -> None:
    x = graphc.input((4, 6), name="x")
    text = graphc.print_graph(Graph([x.node], [lorentzian(x).node]), full=True, lines=False)
    assert "= lorentzian(%x) : float32[4, 6]" in text
    parsed = graphc.parse_graph(text)
    assert parsed.outputs[0].op is op
    assert graphc.print_graph(parsed, full=True, lines=False) == text


@pytest.mark.usefixtures("op")
def test_it_is_fused_with_its_neighbours() -> None:
    x = graphc.input((4, 6), name="x")
    y = graphc.exp(lorentzian(x * 2) + x).sum(axis=1)
    fused = graphc.compile([y], inputs=[x])
    assert len(fused.kernels) == 1 and "lorentzian" in fused.text("kernels")
    apart = graphc.compile([y], inputs=[x], optimise=False)
    assert len(apart.kernels) > 1
    assert fused(X)[0].tobytes() == apart(X)[0].tobytes()


def test_it_has_a_row_in_the_table(op: Op) -> None:
    assert row(op).first_order == row(op).second_order > 0
    line = next(s for s in table([op]).splitlines() if "lorentzian" in s)
    assert line.startswith("| `lorentzian(x)` | floats | yes | 40 | 40 |")


def test_it_is_forgotten() -> None:
    before = all_ops()
    op = declare()
    try:
        assert graphc.compile(lorentzian)(X)[0, 0] == np.float32(0.1)
    finally:
        forget(op)
    assert find("lorentzian") is None and all_ops() == before
    assert not hasattr(graphc, "lorentzian")
    other = declare(lambda x: x + 1)  # nothing that was compiled for the first is used for it
    try:
        np.testing.assert_array_equal(graphc.compile(lorentzian)(X), X + 1)
    finally:
        forget(other)
