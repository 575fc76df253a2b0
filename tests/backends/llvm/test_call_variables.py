"""Native calls of programs with variables: their lock, their memory, and newer values elsewhere."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import graphc
from graphc import state
from graphc.backends.llvm import program
from graphc.backends.llvm.call_native import is_supported
from graphc.errors import GraphcIndexError

Array = np.ndarray[Any, Any]

pytestmark = pytest.mark.skipif(not is_supported(), reason="no native calls on this interpreter")


@pytest.fixture
def eight() -> Array:
    return np.arange(8, dtype=np.float32)


def counter(count: graphc.Variable) -> Any:
    """Return a function that adds its argument to `count`, and one that reads it."""

    @graphc.compile
    def add(x: Any) -> Any:
        count.assign(count + x)
        return count + 0

    return add


@pytest.fixture(autouse=True)
def _nothing_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget that some test has put variables on another device."""
    monkeypatch.setattr(state, "_copies_allowed", threading.Event())


def test_programs_with_variables_are_called_natively(eight: Array) -> None:
    count = graphc.Variable(np.zeros(8, np.float32), name="count")
    add = counter(count)
    for _ in range(6):
        total = add(eight)
    assert (total == 6 * eight).all()
    outputs = add.programs[0].call_natively(eight)
    assert outputs is not None and (outputs[0] == 7 * eight).all()
    assert (count.value == 7 * eight).all()


def test_where_variables_may_be_elsewhere_python_does_it(eight: Array) -> None:
    count = graphc.Variable(np.zeros(8, np.float32), name="count")
    add = counter(count)
    for _ in range(4):
        add(eight)
    state.allow_copies()
    assert add.programs[0].call_natively(eight) is None

    def fetch(array: Array) -> None:
        array[...] = 100

    count.state.lend(fetch)
    version = count.state.version
    assert (add(eight) == 100 + eight).all()
    assert count.state.version == version + 1


def test_an_argument_in_a_variables_memory_is_refused(eight: Array) -> None:
    count = graphc.Variable(np.ones(8, np.float32), name="count")
    add = counter(count)
    for _ in range(4):
        add(eight * 0)
    assert add.programs[0].call_natively(count.state.host()) is None
    assert (add(count.state.host()) == 2).all()


def test_a_failed_check_leaves_variables_as_they_were() -> None:
    total = graphc.Variable(np.float32(0))
    table = np.arange(10, dtype=np.float32)

    @graphc.compile
    def add(index: Any) -> None:
        total.assign(total + graphc.take(graphc.constant(table), index).sum())

    good, bad = np.arange(4), np.arange(8, 12)
    for number in range(1, 7):
        add(good)
        assert total.value == 6 * number
        with pytest.raises(GraphcIndexError):
            add(bad)
        assert total.value == 6 * number
    assert add.programs[0].call_natively(good) == []


def test_threads_that_add_to_one_variable_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "_LONG_STEPS", 0)  # the interpreter is given up meanwhile
    count = graphc.Variable(np.zeros(64, np.float32))
    add, one = counter(count), np.ones(64, np.float32)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: [add(one) for _ in range(500)], range(8)))
    assert (count.value == 4000).all()
