"""Compositions: kept by graphs, replaced by the first pass, computed by their reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import graphc
from graphc import ops
from graphc.errors import InternalError
from graphc.graph import Graph
from graphc.graph_text import parse_graph, print_graph
from graphc.node import Node
from graphc.op import Composition, Op, forget
from graphc.passes.expand_compositions import expand_compositions

Expand = Callable[[Node], Node]


def declare(name: str, expand: Expand) -> Op:
    return Op(
        name=name,
        operands=("x",),
        type_rule=lambda x: x,
        reference=lambda x, result: x * x * x,
        lowering=Composition(expand),
        derivative=lambda node, cotangent: (cotangent * 3 * ops.square(node.inputs[0]),),
        kinds=("float",),
    )


@pytest.fixture
def cube() -> Iterator[Op]:
    op = declare("cube", lambda node: node.inputs[0] * ops.square(node.inputs[0]))
    yield op
    forget(op)


def graph_of(op: Op) -> Graph:
    x = graphc.input((4,), name="x").node
    return Graph([x], [ops.exp(op(ops.negative(x)))])


def test_an_expansion_takes_the_place_of_its_node(cube: Op) -> None:
    expanded = expand_compositions(graph_of(cube))
    text = print_graph(expanded, lines=False)
    assert [n.op.name for n in expanded.nodes] == ["input", "negative", "square", "multiply", "exp"]
    assert "cube" not in text
    assert expand_compositions(expanded) is expanded


def test_what_an_expansion_holds_is_expanded_too(cube: Op) -> None:
    outer = declare("outer_cube", lambda node: cube(node.inputs[0]))
    try:
        names = [n.op.name for n in expand_compositions(graph_of(outer)).nodes]
    finally:
        forget(outer)
    assert names == ["input", "negative", "square", "multiply", "exp"]


def test_new_nodes_carry_the_line_of_the_old(cube: Op) -> None:
    graph = graph_of(cube)
    line = graph.outputs[0].inputs[0].line
    made = [n for n in expand_compositions(graph).nodes if n.op is ops.square]
    assert line is not None and [node.line for node in made] == [line]


def test_an_expansion_of_another_type_is_an_internal_error() -> None:
    wrong = declare("wrong_cube", lambda node: ops.cast(node.inputs[0], dtype=graphc.float64))
    try:
        with pytest.raises(InternalError, match="wrong_cube is a float32"):
            expand_compositions(graph_of(wrong))
    finally:
        forget(wrong)


@pytest.mark.parametrize("optimise", [True, False])
@pytest.mark.parametrize("backend", ["llvm", "reference"])
def test_programs_show_the_op_and_compute_it(
    cube: Op, backend: graphc.api.BackendName, optimise: bool
) -> None:
    x = graphc.input((4,), name="x")
    y = graphc.Tensor(cube(x.node))
    program = graphc.compile(
        [y, graphc.gradients(y.sum(), [x])[0]], inputs=[x], backend=backend, optimise=optimise
    )
    at = np.array([-1, 0, 2, 3], np.float32)
    value, slope = program(at)
    np.testing.assert_array_equal(value, at**3)
    np.testing.assert_array_equal(slope, 3 * at**2)
    assert "= cube(%x)" in program.text("graph")
    parsed = parse_graph(print_graph(program.graph, full=True))
    assert parsed.outputs[0].op is cube


def test_precision_reaches_what_is_expanded() -> None:
    """Both see a product of rounded operands: 1/3 in bfloat16 has 8 bits."""
    x = np.full((1, 4, 1), 1 / 3, np.float32)
    w = np.ones((1, 1, 1), np.float32)
    for backend in ("llvm", "reference"):
        y = graphc.compile(graphc.convolution, precision="bfloat16", backend=backend)(x, w)
        np.testing.assert_array_equal(y, np.full_like(x, 0.333984375))


def test_bodies_of_loops_are_expanded() -> None:
    x = np.linspace(-1, 1, 48, dtype=np.float32).reshape(3, 2, 4, 2)
    w = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 2, 2)

    def total(w: graphc.Tensor, xs: graphc.Tensor) -> Any:
        def step(carry: Any, x: Any) -> Any:
            carry = graphc.convolution(x, w, padding="same") + carry
            return carry, graphc.max_pool(carry, 2).sum()

        carry, pooled = graphc.scan(step, np.zeros((2, 4, 2), np.float32), xs)
        return (carry * carry).sum() + pooled.sum()

    def slope(backend: graphc.api.BackendName) -> Any:
        return graphc.compile(graphc.grad(total), backend=backend)(w, x)

    np.testing.assert_allclose(slope("llvm"), slope("reference"), rtol=1e-5)
