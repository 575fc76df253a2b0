"""Every declared elementwise op on every dtype that it takes, bit for bit.

The wanted bits are those of its scalar formula in NumPy (`graphc.scalar_interpreter`); whether the
formula is right is tested where it is declared.
"""

from __future__ import annotations

from typing import TypeAlias

import pytest

import graphc.ops  # noqa: F401  # declares the ops
from graphc import dtypes
from graphc.dtypes import DType
from graphc.errors import GraphcError
from graphc.op import Elementwise, Op, all_ops
from graphc.scalar import PRIMITIVES
from graphc.tensor_type import TensorType
from tests.backends.opencl.harness import check, special_values

COUNT = 150
ROWS = 15  # a kernel has only so many buffers
Signature: TypeAlias = tuple[tuple[DType, ...], DType]
OPS = [op for op in all_ops() if isinstance(op.lowering, Elementwise)]


def is_shadowed(op: Op, dtype: DType) -> bool:
    """Return whether the op's name is, in kernels, that of a primitive without this dtype."""
    return op.name in PRIMITIVES and dtype.kind not in PRIMITIVES[op.name].kinds


def signatures(op: Op) -> list[Signature]:
    """List the dtypes of operands that `op` takes, and that of its result for each."""
    assert isinstance(op.lowering, Elementwise)
    found = []
    targets = dtypes.REAL if op.lowering.takes_result else (None,)
    for dtype in [d for d in dtypes.REAL if not is_shadowed(op, d)]:
        operands = (dtype,) * len(op.operands)
        if op.name == "where":
            operands = (dtypes.bool_, dtype, dtype)
        for target in targets:
            attributes = {} if target is None else {"dtype": target}
            try:
                result = op.type_rule(*(TensorType((), d) for d in operands), **attributes)
            except GraphcError:
                continue
            found.append((operands, result.dtype))
    return found


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_ops_have_the_bits_of_their_formulas(op: Op) -> None:
    rows = signatures(op)
    for start in range(0, len(rows), ROWS):
        check_rows(op, rows[start : start + ROWS])


def check_rows(op: Op, rows: list[Signature]) -> None:
    """Hold a kernel that applies `op` to operands of each of these dtypes to the interpreter."""
    letters = "abc"[: len(op.operands)]
    pairs = ((n, d) for given, _ in rows for n, d in zip(letters, given, strict=True))
    used = list(dict.fromkeys(pairs))
    buffers = [f"{n}_{d}: {d}[{COUNT}] in" for n, d in used]
    buffers += [f"o{i}: {result}[{COUNT}] out" for i, (_, result) in enumerate(rows)]
    body = "".join(f"%{n}_{d} = load {n}_{d}[i] : {d}\n" for n, d in used)
    for i, (given, result) in enumerate(rows):
        operands = ", ".join(f"%{n}_{d}" for n, d in zip(letters, given, strict=True))
        body += f"%r{i} = {op.name}({operands}) : {result}\nstore o{i}[i] = %r{i}\n"
    arrays = {f"{n}_{d}": special_values(d, COUNT, ord(n)) for n, d in used}
    check(f"kernel op({', '.join(buffers)}) {{ for i < {COUNT} parallel {{ {body} }} }}", arrays)
