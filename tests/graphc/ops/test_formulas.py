"""Each elementwise op's formula against its reference, which is spelled otherwise.

Generated from the declarations: every dtype an op takes, special values in all combinations, random
values and random bits.
"""

import operator
from collections.abc import Iterator

import numpy as np
import pytest

from graphc import ops
from graphc.dtypes import DType, as_dtype, float32, int8, int32
from graphc.op import Elementwise, Op, all_ops, find, scalar_program
from graphc.scalar import Formula, trace
from graphc.scalar_interpreter import evaluate
from graphc.tensor_type import TensorType
from tests.agreement import assert_agrees, same
from tests.samples import Array, Case, cases, formula_dtypes

PAIRS = [(op, d) for op in all_ops() if op.is_elementwise for d in formula_dtypes(op)]


def run_formula(op: Op, case: Case) -> Array:
    """Compute an elementwise op as a kernel does: 16-bit floats by way of float32."""
    assert isinstance(op.lowering, Elementwise)
    types = [TensorType(a.shape, as_dtype(a.dtype)) for a in case.operands]
    result = op.type_rule(*types, **case.attributes).dtype
    parameters, computed = [t.dtype for t in types], result
    if not op.lowering.native_16_bit:
        parameters, computed = [d.compute for d in parameters], result.compute
    program = scalar_program(op.name, tuple(parameters), computed)
    with np.errstate(all="ignore"):
        wide = [a.astype(d.numpy) for a, d in zip(case.operands, parameters, strict=True)]
        return evaluate(program, *wide, resolve=scalar_program).astype(result.numpy)


@pytest.mark.parametrize(("op", "dtype"), PAIRS, ids=lambda x: getattr(x, "name", None))
def test_formula_agrees_with_reference(op: Op, dtype: DType) -> None:
    for case in cases(op, dtype):
        assert_agrees(op, case, run_formula(op, case))


@pytest.mark.parametrize(("op", "dtype"), PAIRS, ids=lambda x: getattr(x, "name", None))
def test_formula_gives_the_dtype_of_the_type_rule(op: Op, dtype: DType) -> None:
    assert isinstance(op.lowering, Elementwise)
    for case in list(cases(op, dtype))[:14]:
        types = [TensorType(a.shape, as_dtype(a.dtype)) for a in case.operands]
        result = op.type_rule(*types, **case.attributes).dtype
        parameters = tuple(t.dtype if op.lowering.native_16_bit else t.dtype.compute for t in types)
        computed = result if op.lowering.native_16_bit else result.compute
        program = scalar_program(op.name, parameters, computed)
        assert program.dtype_of(program.result) is computed


def test_a_wrong_formula_is_seen() -> None:
    """Break addition by one unit in the last place in one place, and by a sign of zero."""
    for wrong in (lambda x, y: x + y + 1e-7 * x, lambda x, y: (x + y) + 0.0):
        assert isinstance(ops.add.lowering, Elementwise)
        with pytest.raises(AssertionError, match="wrong"):
            _check_with(ops.add, wrong, float32)
    with pytest.raises(AssertionError, match="wrong"):
        _check_with(ops.floor_divide, operator.sub, int8)


def _check_with(op: Op, formula: Formula, dtype: DType) -> None:
    for case in cases(op, dtype):
        program = trace("wrong", formula, tuple(as_dtype(a.dtype) for a in case.operands))
        assert_agrees(op, case, evaluate(program, *case.operands))


def test_remainders_of_far_apart_exponents_are_exact() -> None:
    """Against Python's integers: a float is a whole multiple of the least subnormal."""
    rng = np.random.default_rng(3)
    bits = rng.integers(0, 0x7F800000, (2, 3000), np.int64).astype(np.uint32)
    a, b = bits.view(np.float32)
    b = np.where(b == 0, np.float32(1), b)
    got = run_formula(ops.remainder, Case((a, b)))
    for x, y, r in zip(a, b, got, strict=True):
        (m, p), (n, q) = float(x).as_integer_ratio(), float(y).as_integer_ratio()
        exact = (m * q) % (n * p)
        assert float(r).as_integer_ratio()[0] * p * q == exact * float(r).as_integer_ratio()[1]


def test_integer_powers_wrap() -> None:
    pairs = [(3, 40), (-2, 31), (7, 2**31 - 1), (0, 0), (5, 13)]
    got = run_formula(ops.power, Case(tuple(np.array(pairs, np.int32).T)))
    exact = [pow(x, e, 2**32) for x, e in pairs]
    assert got.view(np.uint32).tolist() == exact
    assert got.dtype == int32.numpy


def order_free_or_commutative() -> Iterator[Op]:
    return (op for op in all_ops() if op.is_elementwise and op.algebra != type(op.algebra)())


@pytest.mark.parametrize("op", list(order_free_or_commutative()), ids=str)
def test_declared_algebra_is_exact(op: Op) -> None:
    for dtype in formula_dtypes(op):
        for case in list(cases(op, dtype))[:3]:
            for law, left, right in _laws(op, dtype, case):
                assert (left.dtype, left.shape) == (right.dtype, right.shape)
                assert same(left, right).all(), f"{law} of {op} for {dtype}"


def _laws(op: Op, dtype: DType, case: Case) -> Iterator[tuple[str, Array, Array]]:
    laws, x = op.algebra, case.operands[0]
    if laws.involution:
        yield "involution", run_formula(op, Case((run_formula(op, case),))), x
        return
    y = case.operands[1]
    if laws.commutative:
        yield "commutative", run_formula(op, Case((y, x))), run_formula(op, case)
    if laws.idempotent:
        yield "idempotent", run_formula(op, Case((x, x))), x
    for name, constant in (("identity", laws.identity), ("absorbing", laws.absorbing)):
        if constant is not None:
            c = np.full(x.shape, constant).astype(dtype.numpy)
            yield name, run_formula(op, Case((x, c))), x if name == "identity" else c
    if laws.order_free:
        z = np.roll(y, 1)
        left = run_formula(op, Case((run_formula(op, Case((x, y))), z)))
        yield "associative", left, run_formula(op, Case((x, run_formula(op, Case((y, z))))))


def test_every_combining_op_of_a_reduction_is_declared() -> None:
    for op in all_ops():
        combine = getattr(op.lowering, "combine", None)
        assert combine is None or find(combine) is not None
