"""Gradients against central finite differences in float64, first and second order, of every op.

For each case of every op that has a derivative the output is projected on a fixed random direction,
so that the gradient is that of a scalar function. The second order is the same test of a random
projection of the gradient. References compute everything, so this tests derivatives alone.
"""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from graphc import dtypes, ops
from graphc.arithmetic import filled, zeros_like
from graphc.errors import GraphcTypeError, GraphcValueError
from graphc.interpreter import evaluate
from graphc.node import ArrayData, Node, at_line, fresh_number
from graphc.op import Elementwise, Op, all_ops, forget
from graphc.ops.declare import elementwise
from graphc.passes.differentiate import gradients
from graphc.source import SourceLine
from graphc.tensor_type import TensorType
from tests.samples import Array, Case, as_graph, cases, values

FLOAT = dtypes.float64
WIDE = (FLOAT, dtypes.complex128)
HIDING = {"stop_gradient"}  # the derivative that is declared is not that of the reference


def is_differentiable(op: Op) -> bool:
    return bool(op.derivative and op.operands and op.name not in HIDING)


DIFFERENTIABLE = [op for op in all_ops() if is_differentiable(op)]


def smooth_cases(op: Op) -> list[Case]:
    """Return small cases within the op's domain, where finite differences mean something."""
    found = []
    for case in itertools.chain(cases(op, FLOAT), cases(op, dtypes.complex128)):
        moved = [a for a in case.operands if a.dtype in (np.float64, np.complex128)]
        small = all(a.size <= 40 and np.isfinite(a).all() for a in moved)
        if small and case.attributes.get("dtype", FLOAT) in WIDE and _inside(op, case):
            found.append(case)
    return found


def second_order_cases(op: Op) -> list[Case]:
    """Return the smaller ones of the smooth cases."""
    return [case for case in smooth_cases(op) if sum(a.size for a in case.operands) <= 30]


def _inside(op: Op, case: Case) -> bool:
    """Leave out ties and kinks: those have tests of their own."""
    if op.name in ("max", "min"):
        return case.operands[0].size == np.unique(case.operands[0]).size
    return True


def constant(array: Array) -> Node:
    return ops.constant(value=ArrayData(np.asarray(array)))


def total(node: Node) -> Node:
    return ops.sum_(node, axes=tuple(range(len(node.shape))))


def project(node: Node, seed: int) -> Node:
    """Return the scalar product of `node` with a random direction."""
    rng = np.random.default_rng(seed)
    direction = rng.uniform(0.5, 1.5, node.shape)
    if node.type.dtype.is_complex:
        both = direction + 1j * rng.uniform(0.5, 1.5, node.shape)
        return ops.real(total(node * constant(both)))
    return total(node * constant(direction.astype(node.type.dtype.numpy)))


def gradient(scalar: Node, wrt: Sequence[Node]) -> tuple[Node, ...]:
    return gradients([scalar], [filled(scalar.type, 1)], wrt)


def assert_gradient(
    scalar: Node, inputs: Sequence[Node], arrays: Sequence[Array], tolerance: float
) -> None:
    """Compare the gradient by every float input with central differences of `scalar`.

    That of a complex input is compared in both parts, which move one after the other.
    """
    floats = [node for node in inputs if node.type.dtype.is_inexact]
    got = evaluate(gradient(scalar, floats), dict(zip(inputs, arrays, strict=True)))
    for node, found in zip(floats, got, strict=True):
        which = inputs.index(node)
        want = _central_differences(scalar, inputs, arrays, which, 1)
        if node.type.dtype.is_complex:
            want = want + 1j * _central_differences(scalar, inputs, arrays, which, 1j)
        np.testing.assert_allclose(found, want, rtol=tolerance, atol=tolerance)


def _central_differences(
    scalar: Node, inputs: Sequence[Node], arrays: Sequence[Array], which: int, along: int | complex
) -> Array:
    step, slopes = 1e-5, np.zeros(arrays[which].shape)
    for place in np.ndindex(*slopes.shape):
        ends = []
        for sign in (1, -1):
            moved = [np.array(a) for a in arrays]
            moved[which][place] += sign * step * along
            ends.append(evaluate([scalar], dict(zip(inputs, moved, strict=True)))[0])
        slopes[place] = (ends[0] - ends[1]) / (2 * step)
    return slopes


@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=str)
def test_first_order(op: Op) -> None:
    chosen = smooth_cases(op)
    assert chosen
    for case in chosen:
        graph = as_graph(op, case)
        assert_gradient(project(graph.outputs[0], 1), graph.inputs, case.operands, 1e-6)


@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=str)
def test_second_order(op: Op) -> None:
    for case in second_order_cases(op):
        graph = as_graph(op, case)
        floats = [node for node in graph.inputs if node.type.dtype.is_inexact]
        # squaring first makes the second derivative of linear ops other than zero
        first = gradient(project(ops.square(graph.outputs[0]), 1), floats)
        scalar = project(first[0], 2)
        for number, part in enumerate(first[1:]):
            scalar = scalar + project(part, 3 + number)
        assert_gradient(scalar, graph.inputs, case.operands, 2e-5)


@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=str)
def test_gradients_of_16_bit_floats_have_their_type(op: Op) -> None:
    for case in list(cases(op, dtypes.bfloat16))[1:4]:
        graph = as_graph(op, case)
        floats = [node for node in graph.inputs if node.type.dtype.is_float]
        output = graph.outputs[0]
        if output.type.dtype.is_float:
            found = gradients([output], [filled(output.type, 1)], floats)
            assert [g.type for g in found] == [node.type for node in floats]


WRONG: list[tuple[str, Callable[..., object]]] = [
    ("half", lambda g, r, x: 0.5 * g * ops.cos(x)),
    ("sign", lambda g, r, x: -g * ops.cos(x)),
    ("result", lambda g, r, x: g * ops.cos(r)),
    ("nothing", lambda g, r, x: None),
]


@pytest.mark.parametrize(("name", "pullback"), WRONG, ids=[name for name, _ in WRONG])
def test_a_wrong_derivative_is_seen(name: str, pullback: Callable[..., Node]) -> None:
    assert isinstance(ops.sin.lowering, Elementwise)
    wrong = elementwise(
        "wrong_sine", ("x",), ops.sin.lowering.formula, np.sin, kinds=("float",),
        pullback=pullback, summary="a sine with a wrong derivative",
    )  # fmt: skip
    try:
        with pytest.raises(AssertionError):
            test_first_order(wrong)
        if name != "nothing":  # zero is the right derivative of zero
            with pytest.raises(AssertionError):
                test_second_order(wrong)
    finally:
        forget(wrong)


def test_a_new_op_costs_one_declaration() -> None:
    cube = elementwise(
        "cube", ("x",), lambda x: x * x * x, lambda x: x * x * x,
        kinds=("float",), pullback=lambda g, r, x: g * (3 * ops.square(x)), summary="x**3",
    )  # fmt: skip
    try:
        test_first_order(cube)
        test_second_order(cube)
    finally:
        forget(cube)


# --- kinks and poles -----------------------------------------------------------------------------


def variable(shape: tuple[int, ...], dtype: dtypes.DType = FLOAT) -> Node:
    return ops.input_(number=fresh_number(), name="x", shape=shape, dtype=dtype)


def slopes(build: Callable[[Node], Node], at: Sequence[float]) -> list[float]:
    x = variable((len(at),))
    y = build(x)
    found = evaluate(gradients([y], [filled(y.type, 1)], [x]), {x: np.array(at, np.float64)})[0]
    return [float(slope) for slope in found]


def slope_of(build: Callable[[Node], Node]) -> Callable[[Node], Node]:
    return lambda x: gradient(total(build(x)), [x])[0]


def test_products_with_zeros() -> None:
    def product(x: Node) -> Node:
        return ops.prod(x, axes=(0,))

    assert slopes(product, [2.0, 3.0, 4.0]) == [12, 8, 6]
    assert slopes(product, [2.0, 0.0, 4.0]) == [0, 8, 0]
    assert slopes(product, [0.0, 0.0, 4.0]) == [0, 0, 0]
    assert slopes(product, [5.0]) == [1]
    assert slopes(product, []) == []
    for count in range(1, 20):
        at = np.random.default_rng(count).uniform(0.5, 2, count)
        np.testing.assert_allclose(np.array(slopes(product, list(at))), np.prod(at) / at)


def test_second_derivative_of_a_product_with_a_zero() -> None:
    x = variable((3,))
    first = gradients([ops.prod(x, axes=(0,))], [constant(np.ones(()))], [x])[0]
    second = gradients([first], [constant(np.array([1.0, 0, 0]))], [x])[0]
    assert evaluate([second], {x: np.array([0.0, 3.0, 4.0])})[0].tolist() == [0, 4, 3]


def test_ties_share_the_cotangent() -> None:
    assert slopes(lambda x: ops.max_(x, axes=(0,)), [1.0, 3.0, 3.0, 2.0]) == [0, 0.5, 0.5, 0]
    assert slopes(lambda x: ops.min_(x, axes=(0,)), [1.0, 1.0, 1.0, 1.0]) == [0.25] * 4
    assert slopes(lambda x: ops.maximum(x, zeros_like(x)), [-1.0, 0.0, -0.0, 2.0]) == [
        0,
        0.5,
        0.5,
        1,
    ]
    assert slopes(lambda x: ops.minimum(x, zeros_like(x)), [-1.0, 0.0, 2.0]) == [1, 0.5, 0]


def test_powers_make_no_nan() -> None:
    def to_the(exponent: float) -> Callable[[Node], Node]:
        return lambda x: ops.power(x, filled(x.type, exponent))

    def power_of(base: float) -> Callable[[Node], Node]:
        return lambda x: ops.power(filled(x.type, base), x)

    assert slopes(to_the(2), [-3.0, 0.0, -0.0, 4.0]) == [-6, 0, 0, 8]
    assert slopes(to_the(0), [0.0, -1.0, 2.0]) == [0, 0, 0]
    assert slopes(to_the(0.5), [4.0]) == [0.25]
    assert slopes(power_of(0), [2.0, 1.0]) == [0, 0]
    assert slopes(power_of(-2), [2.0, 3.0]) == [0, 0]
    assert slopes(slope_of(to_the(2)), [-3.0, 0.0, 4.0]) == [2, 2, 2]
    assert slopes(slope_of(to_the(0)), [0.0, -1.0, 2.0]) == [0, 0, 0]
    assert slopes(slope_of(lambda x: ops.power(x, x + 2)), [0.0]) == [2]


def test_the_unchosen_branch_poisons_nothing() -> None:
    def safe_root(x: Node) -> Node:
        positive = ops.greater(x, zeros_like(x))
        return ops.where(positive, ops.sqrt(ops.where(positive, x, filled(x.type, 1))), x)

    assert slopes(safe_root, [-1.0, 4.0]) == [1, 0.25]
    assert slopes(lambda x: ops.hypot(x, zeros_like(x)), [0.0, -2.0]) == [0, -1]
    infinite = slopes(lambda x: ops.logaddexp(x, filled(x.type, -np.inf)), [-np.inf, 0.0])
    assert infinite == [0.5, 1]


# --- the pass itself -----------------------------------------------------------------------------


def test_zeros_for_what_no_output_depends_on() -> None:
    x, y = variable((2,)), variable((3,))
    found = gradients([ops.floor(x)], [filled(x.type, 1)], [x, y])
    assert [evaluate([g])[0].tolist() for g in found] == [[0, 0], [0, 0, 0]]
    assert gradients([], [], [x])[0] is zeros_like(x)


def test_inner_nodes_and_several_outputs() -> None:
    x = variable(())
    inner = ops.square(x)
    found = gradients([inner * x, inner], [filled(x.type, 1), filled(x.type, 10)], [x, inner])
    assert [float(v) for v in evaluate(found, {x: np.array(3.0)})] == [9 + 18 + 60, 13]


def test_a_node_used_twice_by_one_user() -> None:
    x = variable(())
    assert float(evaluate(gradient(x * x, [x]), {x: np.array(3.0)})[0]) == 6


def test_integers_carry_no_cotangent() -> None:
    x = variable((3,))
    rounded = ops.cast(ops.cast(x, dtype=dtypes.int32), dtype=FLOAT)
    found = gradients([x * rounded], [filled(x.type, 1)], [x])
    assert evaluate(found, {x: np.array([1.5, 2.5, -3.5])})[0].tolist() == [1, 2, -3]


def test_no_derivative_names_the_users_line() -> None:
    x = variable((2,))
    y = ops.nextafter(x, zeros_like(x))
    with pytest.raises(GraphcTypeError, match="nextafter has no derivative") as caught:
        gradients([y], [filled(y.type, 1)], [x])
    assert "y = ops.nextafter(x, zeros_like(x))" in str(caught.value)
    untouched = gradients([y], [filled(y.type, 1)], [variable((2,))])
    assert evaluate(untouched)[0].tolist() == [0, 0]


def test_misuse_is_refused() -> None:
    x, n = variable((2,)), variable((2,), dtypes.int32)
    one = filled(x.type, 1)
    with pytest.raises(GraphcTypeError, match="only floats"):
        gradients([x], [one], [n])
    with pytest.raises(GraphcTypeError, match="only floats"):
        gradients([n], [one], [x])
    with pytest.raises(GraphcValueError, match="cotangent"):
        gradients([x], [filled(TensorType((3,), FLOAT), 1)], [x])
    with pytest.raises(GraphcValueError, match="2 outputs"):
        gradients([x, x], [one], [x])


def test_backward_nodes_carry_the_line_of_their_forward_node() -> None:
    line = SourceLine("model.py", 7)
    x = variable((2,))
    with at_line(line):
        y = ops.tanh(x)
    found = gradients([y], [variable((2,))], [x])[0]
    assert found.line == line
    assert all(i.line == line for i in found.inputs if i.op is not ops.input_)


def test_stop_gradient_stops_it() -> None:
    assert slopes(lambda x: x * ops.stop_gradient(x), [3.0]) == [3]


def test_the_order_of_addition_is_that_of_the_users_from_the_last() -> None:
    x = variable(())
    first, second, third = ops.sin(x), ops.cos(x), ops.exp(x)
    total_ = first + second + third
    found = gradient(total_, [x])[0]
    assert found is gradient(total_, [x])[0]
    assert found.op is ops.add and found.inputs[0].op is ops.add


def test_a_long_chain_differentiates_without_recursion() -> None:
    x = variable(())
    y = x
    for _ in range(100_000):
        y = -y
    found = gradient(y, [x])[0]
    assert evaluate([found], {x: np.array(1.0)})[0] == 1


def test_third_order_of_a_composition() -> None:
    x = variable((2,))
    y: Node = total(ops.exp(ops.sin(x)))
    for _ in range(3):
        y = total(gradient(y, [x])[0])
    at = values((2,), FLOAT, np.random.default_rng(0), ops.sin.domain[0])
    s, c = np.sin(at), np.cos(at)
    want = np.sum(np.exp(s) * (c**3 - 3 * s * c - c))
    np.testing.assert_allclose(evaluate([y], {x: at})[0], want, rtol=1e-12)
