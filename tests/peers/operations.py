"""Every op of the table beside a function of PyTorch, over the samples of its declaration.

`operation_peers.PEERS` has a function for each op, of its operands and then its attributes;
`UNPAIRED` says of each other op why it has none. The samples (`tests/samples.py`) hold odd and
empty shapes, ties, and for values NaN, infinities, zeros of both signs and random bits; derivatives
are compared where operands are finite and of usual size. Where the sign of a vector is free, its
square is compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from graphc import dtypes, ops
from graphc.frontend.tensor import Tensor
from graphc.op import Op, all_ops
from graphc.ops.loops import items
from tests.peers.operation_peers import LEFT_OUT, PEERS, SIGN_FREE
from tests.peers.row import Row
from tests.samples import Case, cases

LEAF = "a leaf: nothing is computed"
COMPLEX = "complex numbers: tests.peers.complex_numbers.py"
UNPAIRED = {
    **dict.fromkeys(
        ("complex", "conj", "fft", "ifft", "imag", "irfft", "on_pairs", "real", "rfft"), COMPLEX
    ),
    "input": LEAF,
    "variable": LEAF,
    "constant": LEAF,
    "checked_index": "gives its indices back, or raises: rows of `indexing` go through it",
    "item": "takes one of several results, in every row of an op that has several",
    "scan": "rows of `loops`, which hold it to Python's loops over PyTorch",
    "while_loop": "rows of `loops`",
    "while_pullback": "the derivative of while_loop with max_iterations: rows of `loops`",
    "switch": "rows of `loops`",
    "checkpoint": "rows of `transforms`",
    "custom_vjp": "rows of `transforms`",
    "after": "orders what is computed: its value is its first operand",
}
LARGEST = 2_000  # elements of an operand
LARGEST_SECOND = 100  # elements of operands that have second derivatives here: they are slow
USUAL = 100.0  # magnitudes up to here have derivatives here


def rows() -> Iterator[Row]:
    """Yield the rows of every op that has a peer."""
    for op in all_ops():
        if op.name in PEERS:
            yield from _rows_of(op)


def unpaired_ops() -> list[str]:
    """Return the ops that have neither a peer nor a reason, and names that are those of no op."""
    declared = {op.name for op in all_ops()}
    return sorted(declared.symmetric_difference(PEERS.keys() | UNPAIRED.keys()))


def _rows_of(op: Op) -> Iterator[Row]:
    left_out = LEFT_OUT.get(op.name)
    for number, case in enumerate(cases(op, _dtype(op))):
        size = max((a.size for a in case.operands), default=0)
        if size <= LARGEST and not (left_out and left_out(case)):
            yield _row(op, case, number)


def _dtype(op: Op) -> dtypes.DType:
    if "float" in op.kinds:
        return dtypes.float64
    return dtypes.int64 if "int" in op.kinds else dtypes.bool_


def _row(op: Op, case: Case, number: int) -> Row:
    peer, attributes = PEERS[op.name], case.attributes
    settings = [attributes[name] for name in op.attributes if name in attributes]
    square = op.name in SIGN_FREE

    def ours(*operands: Tensor) -> Any:
        node = op(*(operand.node for operand in operands), **attributes)
        results = [Tensor(n) for n in (items(node) if node.is_tuple else (node,))]
        return tuple(_square(r) for r in results) if square else tuple(results)

    def theirs(*operands: Any) -> Any:
        result = peer(*operands, *settings)
        return tuple(r * r for r in result) if square else result

    return Row(
        f"{op.name}, case {number}: {case}",
        ours,
        theirs,
        operands=case.operands,
        orders=_orders(op, case),
        elementwise=op.is_elementwise,
    )


def _square(x: Tensor) -> Tensor:
    return Tensor(ops.square(x.node))


def _orders(op: Op, case: Case) -> int:
    """Return how many orders of derivatives are compared for this sample."""
    floats = [a for a in case.operands if a.dtype.kind == "f"]
    if op.derivative is None or not floats:
        return 0
    if not all(np.isfinite(a).all() and np.abs(a).max(initial=0) <= USUAL for a in floats):
        return 0
    return 2 if sum(a.size for a in floats) <= LARGEST_SECOND else 1
