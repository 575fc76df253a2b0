"""docs/operations.md is what `python -m tests.op_table` writes."""

from __future__ import annotations

import re

from graphc.dtypes import ALL
from graphc.ops import add, exp, less, take
from tests.op_table import PATH, row, table
from tests.samples import cases
from tests.test_op_matrix import computed_ops


def test_the_committed_table_is_what_the_command_writes() -> None:
    assert PATH.read_text() == table(computed_ops()), "run: python -m tests.op_table"


def test_rows_count_cases() -> None:
    found = row(add)
    assert found.native == sum(len(list(cases(add, dtype))) for dtype in ALL) > 100
    assert 0 < found.second_order <= found.first_order < found.native
    assert row(less).first_order == row(less).second_order == 0


def test_rows_say_what_an_op_takes() -> None:
    assert row(take).operation == "take(data, indices; axis, mode)"
    assert [row(op).accuracy for op in (add, less, take)] == ["exact", "", ""]
    assert re.fullmatch(r"(\d / ){3}\d ULP", row(exp).accuracy)
