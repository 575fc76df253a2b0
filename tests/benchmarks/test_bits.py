"""The comparison of works on several numbers of threads finds what differs."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.bits import different_counts
from benchmarks.work import Work, find_work
from graphc.thread_limit import thread_limit


def test_a_work_of_graphc_has_the_same_bits() -> None:
    assert different_counts(find_work("softmax 64K"), [1, 2, 3]) == []


def test_a_result_that_depends_on_the_number_of_threads_is_found() -> None:
    def step(g: Any, compile: Any) -> Any:
        return lambda: [np.array(max(thread_limit(1), 3))]

    work = Work(name="depends", inputs=list, graphc=step, stateful=True)
    assert different_counts(work, [1, 2, 3, 4, 8]) == [4, 8]
