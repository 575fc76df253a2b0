"""The table of all ops in docs/operations.md: what each takes, and how much of it is tested.

`python -m tests.op_table` writes the file. Every number is the length of the list over which the
test that is named runs, so the table cannot claim a test that does not exist; a test holds the file
to what this writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphc import dtypes
from graphc.op import Op
from tests.agreement import EXACT, ulps
from tests.loop_cases import CASES
from tests.passes.test_differentiate import is_differentiable, second_order_cases, smooth_cases
from tests.samples import Case, accepted_dtypes, as_graph
from tests.source_tree import ROOT
from tests.test_op_matrix import LARGE, LOOPS, computed_ops, matrix_cases, runs_on_opencl
from tests.test_random_graphs import CPUS

PATH = ROOT / "docs" / "operations.md"
DTYPES = {
    ("bool", "int", "uint", "float", "complex"): "all",
    ("bool", "int", "uint", "float"): "all real",
    ("int", "uint", "float", "complex"): "numbers",
    ("int", "uint", "float"): "real numbers",
    ("float", "complex"): "floats, complex",
    ("complex",): "complex",
    ("bool", "int", "uint"): "bool, integers",
    ("int", "uint"): "integers",
    ("float",): "floats",
    ("bool",): "bool",
}
TITLES = ("operation", "dtypes", "derivative", "native", "OpenCL", "first", "second", "accuracy")
HEAD = """# Operations

Written by `python -m tests.op_table` from the declarations in `graphc/ops`; what they mean stands
in [semantics.md](semantics.md). Numbers are integers, floats and complex numbers; real numbers are
the first two. The counts are those of the cases over which the tests run.

- *native*: results of the whole compiler at each CPU level that the machine has; one level is held
  to the NumPy reference, the others to the bits of that one (`tests/test_op_matrix.py`).
- *OpenCL*: the same cases, held to the bits of native code; those of more than LARGE elements in
  float32 alone.
- *first*, *second*: gradients of first and second order, held to central differences in float64,
  and of complex128 in both parts (`tests/passes/test_differentiate.py`): none where the op takes or
  gives no such numbers, and none for
  `iota`, `nextafter`, and `stop_gradient`, which hides its derivative by intent.
- *accuracy*: the most by which the float result of an elementwise op may differ from its reference,
  for float16, bfloat16, float32 and float64, in units in the last place; that of `logaddexp` near 0
  in those of its operands. `tests/graphc/formulas` holds the formulas to closer bounds over more
  values.
"""


@dataclass(frozen=True)
class Row:
    """One op: its words, and how many cases test it in each way."""

    operation: str
    dtypes: str
    has_derivative: bool
    native: int
    opencl: int
    first_order: int
    second_order: int
    accuracy: str

    def __str__(self) -> str:
        derivative = "yes" if self.has_derivative else "no"
        counts = (self.native, self.opencl, self.first_order, self.second_order)
        words = (f"`{self.operation}`", self.dtypes, derivative, *map(str, counts), self.accuracy)
        return "| " + " | ".join(words) + " |"


def signature(op: Op) -> str:
    """Return the op as the text of a graph has it: operands, then attributes."""
    attributes = f"; {', '.join(op.attributes)}" if op.attributes else ""
    return f"{op.name}({', '.join(op.operands)}{attributes})"


def accuracy(op: Op, chosen: Sequence[Case]) -> str:
    """Return the bound to which `assert_agrees` holds the floats that an elementwise op gives."""
    results = (as_graph(op, case).outputs[0].type.dtype for case in chosen)
    if not op.is_elementwise or not any(dtype.is_float for dtype in results):
        return ""
    if op.name in EXACT:
        return "exact"
    return " / ".join(str(ulps(op, d)) for d in accepted_dtypes(op) if d.is_float) + " ULP"


def row(op: Op) -> Row:
    """Return the row of `op`."""
    chosen = matrix_cases(op)
    checked = is_differentiable(op)
    return Row(
        operation=signature(op),
        dtypes=DTYPES[op.kinds],
        has_derivative=op.derivative is not None,
        native=len(chosen),
        opencl=sum(map(runs_on_opencl, chosen)),
        first_order=len(smooth_cases(op)) if checked else 0,
        second_order=len(second_order_cases(op)) if checked else 0,
        accuracy=accuracy(op, chosen),
    )


def table(ops: Sequence[Op]) -> str:
    """Return the document for `ops`, in their order."""
    rows = [row(op) for op in ops]
    cases, levels = sum(r.native for r in rows), len(CPUS)
    first, second = sum(r.first_order for r in rows), sum(r.second_order for r in rows)
    lines = [
        HEAD.replace("LARGE", f"{LARGE:,}"),
        f"{len(rows)} operations, {sum(r.has_derivative for r in rows)} of them with a derivative; "
        f"{len(dtypes.ALL)} dtypes.",
        "",
        "| tested | cases |",
        "|---|---|",
        f"| native code, each of {', '.join(CPUS)} | {cases:,} ({levels * cases:,} together) |",
        f"| OpenCL | {sum(r.opencl for r in rows):,} |",
        f"| first derivatives | {first:,} |",
        f"| second derivatives | {second:,} |",
        "",
        f"Loops and branches (`{'`, `'.join(LOOPS)}`, [loops.md](loops.md)) are not in the table:",
        f"`tests/passes/test_differentiate_loops.py` holds {len(CASES)} functions with them to",
        "those without, in values and in gradients of both orders.",
        "",
        "| " + " | ".join(TITLES) + " |",
        "|---" * 3 + "|--:" * 4 + "|---|",
        *map(str, rows),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    PATH.write_text(table(computed_ops()))
    print(f"{PATH.relative_to(ROOT)} is written")


if __name__ == "__main__":
    main()
