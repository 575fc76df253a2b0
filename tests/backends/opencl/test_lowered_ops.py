"""Every op that is not elementwise: lowered, scheduled for groups, on the device, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

import graphc.ops  # noqa: F401  # declares the ops
from graphc import dtypes
from graphc.backends.opencl import BACKEND
from graphc.dtypes import DType
from graphc.kernel import Access, Kernel
from graphc.node import Node
from graphc.op import Composition, Host, OnPairs, Op
from graphc.passes.fuse import fuse
from graphc.passes.lower import lower
from graphc.plan import STATUS, Call
from tests.backends.opencl.harness import Array, check
from tests.samples import Case, as_graph, cases
from tests.test_op_matrix import computed_ops

OPS = [  # compositions, and complex numbers, are lowered as what they are made of
    op
    for op in computed_ops()
    if not (op.is_elementwise or isinstance(op.lowering, Composition | Host | OnPairs))
]
MOST = 12  # cases of an op and a dtype: the device is a simulator


def arrays_of(call: Call, case: Case) -> dict[str, Array]:
    """Return what a call of a one-node graph reads, by the buffers' names."""
    arrays: dict[str, Array] = {}
    for buffer, operand in zip(call.routine.buffers, call.operands, strict=True):
        if operand == STATUS:
            arrays[buffer.name] = np.zeros(1, np.int32)
        elif buffer.access is Access.IN:
            assert isinstance(operand, Node)
            number = int(operand.attributes["name"][1:])
            arrays[buffer.name] = case.operands[number]
        elif buffer.access is Access.INOUT:
            arrays[buffer.name] = np.zeros(buffer.type.shape, buffer.type.dtype.numpy)
    return arrays


def some_cases(op: Op, dtype: DType) -> list[Case]:
    every = list(cases(op, dtype))
    return every[:: max(1, -(-len(every) // MOST))]


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
@pytest.mark.parametrize("dtype", [dtypes.float32, dtypes.float16, dtypes.int8], ids=str)
def test_lowered_ops_have_the_interpreters_bits(op: Op, dtype: DType) -> None:
    for case in some_cases(op, dtype):
        grouping = fuse(as_graph(op, case), BACKEND.target())
        for call in lower(grouping).calls:
            if isinstance(call.routine, Kernel):
                check(call.routine, arrays_of(call, case))
