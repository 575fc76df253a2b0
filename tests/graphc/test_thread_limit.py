"""`graphc.threads`: what it takes, where it holds, and that no bit depends on it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import numpy as np
import pytest

import graphc
from graphc.backends.llvm import executable, work
from graphc.thread_limit import thread_limit


def test_the_innermost_limit_holds_and_ends_with_its_block() -> None:
    assert thread_limit(7) == 7
    two = graphc.threads(2)
    with two:
        assert thread_limit(7) == 2
        with graphc.threads(np.int64(5)):
            assert thread_limit(7) == 5
            with two:
                assert thread_limit(7) == 2
            assert thread_limit(7) == 5
        assert thread_limit(7) == 2
    with pytest.raises(ZeroDivisionError), two:
        raise ZeroDivisionError
    assert thread_limit(7) == 7


def test_it_decorates_functions() -> None:
    @graphc.threads(3)
    def inner(depth: int) -> int:
        return inner(depth - 1) if depth else thread_limit(7)

    assert inner(2) == 3
    assert thread_limit(7) == 7


def test_threads_and_tasks_have_their_own() -> None:
    seen: list[int] = []
    with graphc.threads(2):
        other = threading.Thread(target=lambda: seen.append(thread_limit(7)))
        other.start()
        other.join()
    assert seen == [7]

    async def task(count: int) -> int:
        with graphc.threads(count):
            await asyncio.sleep(0)
            return thread_limit(7)

    async def both() -> list[int]:
        return list(await asyncio.gather(task(2), task(3)))

    assert asyncio.run(both()) == [2, 3]


@pytest.mark.parametrize("count", [0, -1, True, 1.5, "2", None])
def test_what_is_no_number_of_threads_is_refused(count: Any) -> None:
    error = graphc.GraphcValueError if type(count) is int else graphc.GraphcTypeError
    with pytest.raises(error, match="threads"):
        graphc.threads(count)


class Counting:
    """Stands for the team and remembers how many threads each call asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[int] = []
        real = executable._team_of

        def team_of(threads: int) -> int:
            self.asked.append(threads)
            return real(threads)

        monkeypatch.setattr(executable, "_team_of", team_of)
        monkeypatch.setattr(work, "STEPS_PER_THREAD", 64)
        monkeypatch.setenv("GRAPHC_NUM_THREADS", "3")


def mixed(x: Any, y: Any) -> Any:
    return graphc.softmax(graphc.tanh(x @ y), axis=-1).sum(axis=0), (x + y).mean()


def test_calls_use_so_many_threads_and_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting(monkeypatch)
    random = np.random.default_rng(0)
    x, y = random.standard_normal((2, 90, 90), np.float32)
    program = graphc.compile(mixed).program(x, y)
    wanted = [output.tobytes() for output in program(x, y)]
    for count in (1, 2, 3, 4, 8):
        counting.asked.clear()
        with graphc.threads(count):
            for call in [program] * 4 + [lambda *a: list(program._executable.run(a))]:
                assert [output.tobytes() for output in call(x, y)] == wanted
            assert counting.asked[-1:] == ([count] if count > 1 else [])
    counting.asked.clear()
    program._executable.run([x, y])
    assert counting.asked == [3]


def test_what_was_not_entered_cannot_be_left() -> None:
    with pytest.raises(graphc.GraphcValueError, match="not entered"):
        graphc.threads(1).__exit__(None, None, None)


def test_any_number_of_threads_may_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    Counting(monkeypatch)
    x = np.random.default_rng(0).standard_normal((90, 90), np.float32)
    program = graphc.compile(mixed).program(x, x)
    wanted = [output.tobytes() for output in program(x, x)]
    with graphc.threads(2**70):
        for _ in range(5):  # the last ones natively
            assert [output.tobytes() for output in program(x, x)] == wanted


def test_native_calls_heed_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    Counting(monkeypatch)
    x = np.random.default_rng(0).standard_normal((90, 90), np.float32)
    program = graphc.compile(mixed).program(x, x)
    for _ in range(4):
        program(x, x)
    if program.call_natively(x, x) is None:
        pytest.skip("no native calls on this interpreter")
    for count, is_native in ((1, True), (2, True), (3, True), (4, False)):
        with graphc.threads(count):
            assert (program.call_natively(x, x) is not None) == is_native
