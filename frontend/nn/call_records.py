"""The table of a model: its modules, the types of their results, and their parameters.

While a model is traced for its table, each call of a module is recorded, the last one of a module
that is called several times. Outside of that, recording costs one look at an empty list.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.dtypes import float32
from graphc.errors import GraphcTypeError
from graphc.frontend.operands import fail
from graphc.frontend.structures import flatten_result
from graphc.frontend.tensor import Tensor
from graphc.frontend.tracing import trace
from graphc.frontend.variable import Variable
from graphc.tensor_type import TensorType, read_type, tensor_type

if TYPE_CHECKING:
    from graphc.frontend.nn.module import Module

__all__ = ["Row", "Summary", "record_call", "summarise"]

SHOWN = 2  # results of a module in the table

_local = threading.local()


def record_call(module: Module, result: Any) -> None:
    """Note what a call of `module` gave, if a table is being made in this thread."""
    records: dict[int, str] | None = getattr(_local, "records", None)
    if records is not None:
        leaves, _ = flatten_result(result)
        types = [str(x.type) for x in leaves if isinstance(x, Tensor)]
        more = f", and {len(types) - SHOWN} more" if len(types) > SHOWN else ""
        records[id(module)] = ", ".join(types[:SHOWN]) + more


@dataclass(frozen=True, slots=True)
class Row:
    """One module: its title in the tree, the types it gives, and the parameters it holds itself.

    Parameters that several modules share are counted in the first.
    """

    title: str
    output: str
    parameters: int


@dataclass(frozen=True, slots=True)
class Summary:
    """The table, a row a module; printed as text."""

    rows: tuple[Row, ...]

    @property
    def parameters(self) -> int:
        """The number of parameters of the whole model."""
        return sum(row.parameters for row in self.rows)

    def __str__(self) -> str:
        cells = [(r.title, r.output, f"{r.parameters:,}" * bool(r.parameters)) for r in self.rows]
        table = [("module", "output", "parameters"), *cells, ("total", "", f"{self.parameters:,}")]
        widths = [max(len(row[column]) for row in table) for column in range(3)]
        return "\n".join(
            f"{title:<{widths[0]}}   {output:<{widths[1]}}   {count:>{widths[2]}}".rstrip()
            for title, output, count in table
        )

    __repr__ = __str__


def indented_titles(modules: Iterable[tuple[str, Module]]) -> list[str]:
    """Return a line for each module of a tree, in order, indented by the modules around it."""
    lines: list[str] = []
    around: list[str] = []  # the paths of the modules that hold the present one
    for path, module in modules:
        while around and not path.startswith(around[-1]):
            around.pop()
        name = f"{path.rpartition('.')[2]}: " if path else ""
        lines.append(f"{'  ' * len(around)}{name}{type(module).__name__}({module.extra_repr()})")
        around.append(f"{path}." if path else "")
    return lines


def summarise(model: Module, examples: Sequence[Any]) -> Summary:
    """Return the table of `model`, called on `examples`."""
    records = _records(model, [_example(e) for e in examples]) if examples else {}
    modules, seen = list(model.named_modules()), set[int]()
    return Summary(
        tuple(
            Row(title, records.get(id(module), ""), _own_parameters(module, seen))
            for title, (_, module) in zip(indented_titles(modules), modules, strict=True)
        )
    )


def _records(model: Module, examples: list[Any]) -> dict[int, str]:
    outer = getattr(_local, "records", None)
    records: dict[int, str] = {}
    _local.records = records
    try:
        trace(model, examples)
    except GraphcTypeError as error:
        error.add_note("  hint: a shape alone is of float32; summary('int64[2, 3]') says int64")
        raise
    finally:
        _local.records = outer
    return records


def _example(example: Any) -> TensorType | np.ndarray[Any, Any]:
    if isinstance(example, TensorType | np.ndarray):
        return example
    if isinstance(example, str):
        return read_type(example)
    if isinstance(example, int | tuple | list) and not isinstance(example, bool):
        return tensor_type(example, float32)
    fail(
        GraphcTypeError,
        f"summary: an example is a shape, a type or an array, not {type(example).__name__}",
    )


def _own_parameters(module: Module, seen: set[int]) -> int:
    total = 0
    for variable in _variables_of(module):
        if id(variable.state) not in seen:
            seen.add(id(variable.state))
            total += int(np.prod(variable.shape))
    return total


def _variables_of(module: Module) -> Iterator[Variable]:
    """Yield the parameters that no module below `module` holds."""
    below = [path + "." for path, _ in module.named_modules() if path]
    for path, variable in module.named_parameters():
        if not any(path.startswith(prefix) for prefix in below):
            yield variable
