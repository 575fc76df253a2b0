"""Batching every op: each slice of the batched op against the op of that example.

Every case of every op for one float, complex or integer dtype is batched in every combination of
operands that differ from example to example and operands that are the same for all.
"""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from graphc import dtypes, ops
from graphc.errors import GraphcTypeError, GraphcValueError
from graphc.interpreter import evaluate
from graphc.node import ArrayData, Node, fresh_number
from graphc.op import Contraction, Host, Op, Reduction, forget
from graphc.passes.batch import batch
from graphc.tensor_type import TensorType
from tests.samples import Array, Case, accepted_dtypes, as_graph, cases
from tests.test_op_matrix import computed_ops

OPS = [op for op in computed_ops() if op.operands]  # loops and branches have tests of their own
MOST_CASES, MOST_ELEMENTS = 24, 2000


def chosen_cases(op: Op) -> list[Case]:
    """Return small cases of the op in the first dtypes that it takes, spread over all of them."""
    found: list[Case] = []
    for dtype in accepted_dtypes(op):
        if dtype in (dtypes.float32, dtypes.complex64, dtypes.int32, dtypes.bool_):
            small = [c for c in cases(op, dtype) if sum(a.size for a in c.operands) < MOST_ELEMENTS]
            found += small[:: max(1, len(small) // MOST_CASES)]
    return found


def leaf(type_: TensorType) -> Node:
    return ops.input_(number=fresh_number(), name="x", shape=type_.shape, dtype=type_.dtype)


def examples_of(op: Op, array: Array, count: int) -> list[Array]:
    """Return arrays like `array`, still valid operands: its elements in other places.

    Matrices of linear algebra are scaled, which changes no property of them.
    """
    if isinstance(op.lowering, Host) and array.dtype.kind in "fc":
        with np.errstate(invalid="ignore"):  # infinite parts of complex numbers
            return [array * (1 + number) for number in range(count)]
    flat = array.reshape(-1)
    return [np.roll(flat, shift).reshape(array.shape) for shift in range(count)]


def comparable(array: Array) -> Array:
    """Return 16-bit floats as float32: NumPy takes no NaN of bfloat16 for another."""
    return array.astype(np.float32) if array.dtype.itemsize == 2 else array


def subsets(count: int) -> Iterator[tuple[bool, ...]]:
    yield from (flags for flags in itertools.product((True, False), repeat=count) if any(flags))


def assert_slices(op: Op, case: Case, flags: Sequence[bool], size: int) -> None:
    graph = as_graph(op, case)
    (output,) = graph.outputs
    images = {
        node: leaf(node.type.with_shape((size, *node.shape)))
        for node, flag in zip(graph.inputs, flags, strict=True)
        if flag
    }
    ((image, is_batched),) = batch([output], images, size)
    assert is_batched
    assert image.type == output.type.with_shape((size, *output.shape))
    rows = [examples_of(op, array, size) for array in case.operands]
    stacked = {
        images.get(node, node): (
            np.stack(examples)
            if flag and size
            else np.empty((0, *array.shape), array.dtype)
            if flag
            else array
        )
        for node, examples, flag, array in zip(
            graph.inputs, rows, flags, case.operands, strict=True
        )
    }
    (got,) = evaluate([image], stacked)
    for number in range(size):
        given = [
            examples[number] if flag else array
            for examples, flag, array in zip(rows, flags, case.operands, strict=True)
        ]
        (want,) = evaluate([output], dict(zip(graph.inputs, given, strict=True)))
        if isinstance(op.lowering, Reduction | Contraction | Host):
            np.testing.assert_allclose(got[number], want, rtol=1e-5, atol=1e-6)
        else:
            np.testing.assert_array_equal(comparable(got[number]), comparable(want))


@pytest.mark.parametrize("op", OPS, ids=str)
def test_every_op(op: Op) -> None:
    chosen = chosen_cases(op)
    assert chosen
    for case in chosen:
        for flags in subsets(len(case.operands)):
            assert_slices(op, case, flags, 3)


@pytest.mark.parametrize("op", OPS, ids=str)
def test_no_examples_and_one(op: Op) -> None:
    for case in chosen_cases(op)[:6]:
        flags = (True,) * len(case.operands)
        assert_slices(op, case, flags, 1)
        assert_slices(op, case, flags, 0)


def test_what_does_not_depend_on_the_examples_stays_as_it_is() -> None:
    x, y = leaf(TensorType((3,), dtypes.float32)), leaf(TensorType((3,), dtypes.float32))
    wide = leaf(TensorType((5, 3), dtypes.float32))
    alone = ops.exp(y)
    (image, is_batched), (other, is_other) = batch([x + alone, alone], {x: wide}, 5)
    assert is_batched and image.shape == (5, 3)
    assert not is_other and other is alone


def test_a_shared_operand_of_a_contraction_is_not_repeated() -> None:
    x, w = leaf(TensorType((2, 3), dtypes.float32)), leaf(TensorType((3, 4), dtypes.float32))
    wide = leaf(TensorType((5, 2, 3), dtypes.float32))
    ((image, _),) = batch([ops.contraction(x, w, lhs="ij", rhs="jk", out="ik")], {x: wide}, 5)
    assert image.inputs == (wide, w)


def test_padding_with_one_value_stays_padding() -> None:
    x, wide = (leaf(TensorType(s, dtypes.float32)) for s in ((3,), (5, 3)))
    value = ops.constant(value=ArrayData(np.zeros((), np.float32)))
    ((image, _),) = batch([ops.pad(x, value, low=(1,), high=(2,))], {x: wide}, 5)
    assert image.op is ops.pad and image.inputs == (wide, value)


def test_an_op_without_a_rule_is_refused_with_the_line() -> None:
    strange = Op(
        name="strange",
        operands=("x",),
        type_rule=lambda x: x,
        reference=lambda x, result: x,
        lowering=object(),  # type: ignore[arg-type]  # a kind that batching does not know
    )
    try:
        x, wide = (leaf(TensorType(s, dtypes.float32)) for s in ((3,), (5, 3)))
        with pytest.raises(GraphcTypeError, match="strange cannot be batched") as caught:
            batch([strange(x)], {x: wide}, 5)
        assert "test_batch.py" in str(caught.value)
    finally:
        forget(strange)


def test_an_image_of_another_type_is_refused() -> None:
    x, wide = (leaf(TensorType(s, dtypes.float32)) for s in ((3,), (5, 4)))
    with pytest.raises(GraphcValueError, match="image"):
        batch([ops.exp(x)], {x: wide}, 5)
