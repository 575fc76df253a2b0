"""Every declared elementwise op in vector kernels, for every dtype it takes, bit for bit.

The wanted bits are those of its scalar formula in NumPy (`graphc.scalar_interpreter`); whether the
formula is right is tested where it is declared.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import graphc.ops  # noqa: F401  # declares the ops
from graphc import dtypes
from graphc.dtypes import DType
from graphc.errors import GraphcError
from graphc.op import Elementwise, Op, all_ops, forget
from graphc.ops.declare import elementwise
from graphc.scalar import PRIMITIVES, Scalar, rarely, select
from graphc.tensor_type import TensorType
from tests.backends.llvm.harness import CPUS, check, special_values

COUNT = 256
OPS = [op for op in all_ops() if isinstance(op.lowering, Elementwise)]


def signatures(op: Op) -> list[tuple[tuple[DType, ...], DType]]:
    """List the operand dtypes that `op` takes, and the dtype of its result for each."""
    found = []
    assert isinstance(op.lowering, Elementwise)
    targets = dtypes.REAL if op.lowering.takes_result else (None,)
    for dtype in dtypes.REAL:
        for target in targets:
            attributes = {} if target is None else {"dtype": target}
            operands = (dtype,) * len(op.operands)
            row = PRIMITIVES.get(op.name)  # in a kernel the name of a primitive means that
            if row is not None and dtype.kind not in row.kinds:
                continue
            if op.name == "where":
                operands = (dtypes.bool_, dtype, dtype)
            try:
                types = [TensorType((), d) for d in operands]
                found.append((operands, op.type_rule(*types, **attributes).dtype))
            except GraphcError:
                continue
    return found


def kernel_text(op: Op, lanes: int) -> str:
    """Return a kernel that applies `op` to every combination of dtypes that it takes."""
    rows = signatures(op)
    used = list(dict.fromkeys(d for given, _ in rows for d in given))
    place = f"{lanes}*i + l" if lanes > 1 else "i"
    buffers = [f"{n}_{d}: {d}[{COUNT}] in" for d in used for n in "abc"[: len(op.operands)]]
    buffers += [f"o{i}: {result}[{COUNT}] out" for i, (_, result) in enumerate(rows)]
    body = "".join(
        f"%{n}_{d} = load {n}_{d}[{place}] : {d}\n" for d in used for n in "abc"[: len(op.operands)]
    )
    for i, (given, result) in enumerate(rows):
        operands = ", ".join(f"%{n}_{d}" for n, d in zip("abc", given, strict=False))
        body += f"%r{i} = {op.name}({operands}) : {result}\nstore o{i}[{place}] = %r{i}\n"
    inner = f"for l < {lanes} vector {{ {body} }}" if lanes > 1 else body
    loop = f"for i < {COUNT // lanes} parallel {{ {inner} }}"
    return f"kernel {op.name}({', '.join(buffers)}) {{ {loop} }}"


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_ops_have_the_bits_of_their_formulas(op: Op) -> None:
    arrays = {
        f"{n}_{d}": special_values(d, COUNT, 10 * seed)
        for seed, n in enumerate("abc")
        for d in dtypes.REAL
    }
    text = kernel_text(op, 16)
    check(text, {name: a for name, a in arrays.items() if f"{name}:" in text})


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_ops_in_scalar_code(op: Op) -> None:
    arrays = {
        f"{n}_{d}": special_values(d, COUNT, 10 * seed + 1)
        for seed, n in enumerate("abc")
        for d in dtypes.REAL
    }
    text = kernel_text(op, 1)
    check(text, {name: a for name, a in arrays.items() if f"{name}:" in text}, cpus=["x86-64-v2"])


def _inner(x: Scalar) -> Scalar:
    return x * 0.5


def _outer(x: Scalar, y: Scalar) -> Scalar:
    """Hold a rare case in another, and use its operands before and after."""
    return rarely(y > 4.0, _inner, 1.0 / x, y) + x


def _in_two_cases(x: Scalar, y: Scalar) -> Scalar:
    total = x + y
    first = rarely(~(total < 2.0), _outer, total, x, y)
    first = rarely(y < -3.0, lambda a: a + 1.0, first, x)
    first = rarely(y < -2.5, lambda a: a + 2.0, first, x)
    return rarely(x < -2.0, _inner, first * total, select(first < 0.0, y, first)) - total


@pytest.fixture
def op_with_rare_cases() -> Iterator[Op]:
    declared = elementwise(
        "in_two_cases", ("x", "y"), _in_two_cases, np.add, kinds=("float",), summary="a test"
    )
    yield declared
    forget(declared)


@pytest.mark.parametrize("lanes", [1, 8, 16, 64])
@pytest.mark.parametrize("scale", [0.1, 1.0, 3.0, 100.0])
def test_a_rare_case_changes_no_other_lane(
    op_with_rare_cases: Op, lanes: int, scale: float
) -> None:
    """From vectors without a rare lane to vectors of nothing else."""
    text = kernel_text(op_with_rare_cases, lanes)
    random = np.random.default_rng(0)
    arrays = {
        f"{n}_{d}": (random.normal(size=COUNT) * scale).astype(d.numpy)
        for n in "ab"
        for d in dtypes.REAL
    }
    arrays["a_float32"][[3, 77]] = np.nan, np.inf
    check(text, {name: a for name, a in arrays.items() if f"{name}:" in text}, CPUS)
