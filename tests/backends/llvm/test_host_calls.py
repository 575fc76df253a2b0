"""Host functions called from native code: their results, what they raise, threads and forks."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import graphc
from graphc.backends.llvm import host_calls, work
from graphc.errors import GraphcIndexError, GraphcValueError, InternalError
from graphc.op import Op, forget
from graphc.ops.host import host_op
from graphc.ops.loops import items
from graphc.tensor_type import TensorType

Array = np.ndarray[Any, Any]
X = np.arange(12, dtype=np.float32).reshape(3, 4)
numbers = itertools.count()


@pytest.fixture
def host() -> Iterator[Callable[..., Op]]:
    """Declare ops whose reference is a function; they are forgotten afterwards."""
    declared: list[Op] = []

    def declare(
        function: Callable[..., Any], operands: tuple[str, ...] = ("x",), **more: Any
    ) -> Op:
        rule = more.pop("type_rule", lambda *types, **_: types[0])
        name = f"host_{next(numbers)}"
        kinds = ("bool", "int", "uint", "float")
        op = host_op(name, operands, function, type_rule=rule, kinds=kinds, summary="", **more)
        declared.append(op)
        return op

    yield declare
    for op in declared:
        forget(op)


def tensor(op: Op, *operands: Any, **attributes: Any) -> graphc.Tensor:
    return graphc.Tensor(op(*(x.node for x in operands), **attributes))


def program(function: Callable[..., Any], *shapes: tuple[int, ...]) -> graphc.Program:
    inputs = [graphc.input(shape, name=f"x{n}") for n, shape in enumerate(shapes)]
    given = function(*inputs)
    return graphc.compile(given if isinstance(given, list) else [given], inputs=inputs)


@pytest.mark.parametrize("threads", ["1", "2", "3", "4"])
def test_a_host_function_between_kernels(
    threads: str, host: Callable[..., Op], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHC_NUM_THREADS", threads)
    monkeypatch.setattr(work, "STEPS_PER_THREAD", 64)
    reverse = host(lambda x: x[::-1, ::-1])
    x = np.random.default_rng(0).standard_normal((400, 30)).astype(np.float32)
    run = program(lambda x: tensor(reverse, x * 2 + 1) * x, x.shape)
    for _ in range(6):  # by way of Python, then natively
        np.testing.assert_array_equal(run(x)[0], (x * 2 + 1)[::-1, ::-1] * x)
    assert ("graphc.team.run" in run.text("llvm")) == (threads != "1")


def test_operands_are_dense_whole_and_read_only(host: Callable[..., Op]) -> None:
    seen: list[Array] = []

    def look(x: Array, y: Array, z: Array) -> Array:
        seen.extend((x, y, z))
        return x + y

    op = host(look, ("x", "y", "z"), type_rule=lambda x, y, z: x)

    def function(x: graphc.Tensor) -> graphc.Tensor:
        return tensor(op, x.T, graphc.broadcast_to(x[0, :1], (4, 3)), x)

    (given,) = program(function, X.shape)(X)
    np.testing.assert_array_equal(given, X.T + X[0, 0])
    assert all(a.flags.c_contiguous and not a.flags.writeable for a in seen)
    assert [a.shape for a in seen] == [(4, 3), (4, 3), (3, 4)]


def several(x: TensorType) -> tuple[TensorType, ...]:
    return x, TensorType((2,), graphc.int64), x.with_dtype(graphc.bool_)


@pytest.mark.parametrize("chosen", [(0, 1, 2), (2,), (1, 1), (2, 0)])
def test_several_results_of_which_some_are_read(
    chosen: tuple[int, ...], host: Callable[..., Op]
) -> None:
    op = host(lambda x: (x + 1, np.array(x.shape), x > 5), type_rule=several)
    wanted = (X * 2 + 1, np.array([3, 4]), X * 2 > 5)

    def function(x: graphc.Tensor) -> list[graphc.Tensor]:
        found = items(op((x * 2).node))
        return [graphc.Tensor(found[index]) for index in chosen]

    run = program(function, X.shape)
    for index, given in zip(chosen, run(X), strict=True):
        np.testing.assert_array_equal(given, wanted[index])
    assert run.text("plan").count(": ") == 1 and "call host_" in run.text("plan")


def test_results_of_one_call_are_read_by_several_kernels_and_another_call(
    host: Callable[..., Op],
) -> None:
    split = host(lambda x: (x + 1, np.array([1, 2]), x > 5), type_rule=several)
    both = host(np.where, ("x", "y", "z"), type_rule=lambda x, y, z: y)

    def function(x: graphc.Tensor) -> list[graphc.Tensor]:
        more, places, large = map(graphc.Tensor, items(split(x.node)))
        chosen = tensor(both, large, graphc.exp(more), graphc.exp(more))
        return [chosen.sum(axis=0), graphc.take(more, places, axis=1), more @ x.T]

    given = program(function, X.shape)(X)
    np.testing.assert_allclose(given[0], np.exp(X + 1).sum(0), rtol=1e-6)
    np.testing.assert_array_equal(given[1], (X + 1)[:, 1:3])
    np.testing.assert_array_equal(given[2], (X + 1) @ X.T)


class Odd(Exception):
    """No exception that graphc knows."""


@pytest.mark.parametrize("kind", [Odd, KeyboardInterrupt, MemoryError, SystemExit])
@pytest.mark.parametrize("threads", ["1", "3"])
def test_what_a_host_function_raises_ends_the_call_as_it_is(
    kind: type[BaseException],
    threads: str,
    host: Callable[..., Op],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GRAPHC_NUM_THREADS", threads)
    monkeypatch.setattr(work, "STEPS_PER_THREAD", 64)

    def fail(x: Array) -> Array:
        if x[0, 0] < 0:
            raise kind("so it is")
        return x

    op = host(fail)
    state = graphc.Variable(np.zeros((300, 4), np.float32))

    def update(x: graphc.Tensor) -> graphc.Tensor:
        checked = tensor(op, x * 1)
        state.assign(state + checked)
        return (checked * 2).sum()

    step: Any = graphc.compile(update)
    good, bad = np.ones((300, 4), np.float32), -np.ones((300, 4), np.float32)
    for count in range(1, 7):
        assert step(good) == 2400
        with pytest.raises(kind, match="so it is"):
            step(bad)
        assert (state.value == count).all()


def test_a_graphc_error_names_the_users_line(host: Callable[..., Op]) -> None:
    def fail(x: Array) -> Array:
        raise GraphcValueError("not these values", hint="others")

    op = host(fail)
    run = program(lambda x: graphc.Tensor(op((x + 1).node)), X.shape)  # the user's line
    for _ in range(5):
        with pytest.raises(GraphcValueError, match="not these values") as caught:
            run(X)
        assert "the user's line" in caught.value.line and caught.value.hint == "others"


def test_a_reference_that_breaks_its_type_is_an_internal_error(host: Callable[..., Op]) -> None:
    op = host(lambda x: x[0])
    with pytest.raises(InternalError, match=r"gave float32\[4\], not float32\[3, 4\]"):
        program(lambda x: tensor(op, x), X.shape)(X)


def test_no_function_is_called_after_one_has_failed(host: Callable[..., Op]) -> None:
    called: list[str] = []

    def first(x: Array) -> Array:
        called.append("first")
        raise Odd

    def second(x: Array) -> Array:
        called.append("second")
        return x

    one, two = host(first), host(second)
    with pytest.raises(Odd):
        program(lambda x: tensor(two, tensor(one, x) + 1), X.shape)(X)
    assert called == ["first"]


def test_indices_of_a_failed_call_are_read_by_nobody_who_minds(host: Callable[..., Op]) -> None:
    def places(x: Array) -> Array:
        if x.sum() < 0:
            raise Odd
        return x

    op = host(places)
    run = program(lambda x: graphc.take(x, tensor(op, x.astype("int64")), axis=0), (5,))
    x = np.array([4, 3, 2, 1, 0], np.float32)
    np.testing.assert_array_equal(run(x)[0], x[::-1])
    with pytest.raises(GraphcIndexError):
        run(x + 1)
    with pytest.raises(Odd):
        run(-x - 1)


@pytest.mark.parametrize("shape", [(), (1,), (0,), (2, 0, 3), (4, 3, 2)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "bool", "int8"])
def test_all_shapes(shape: tuple[int, ...], dtype: str, host: Callable[..., Op]) -> None:
    op = host(lambda x: x.copy())
    x = graphc.input(shape, dtype, name="x")
    given = np.ones(shape).astype(x.dtype.numpy)
    (result,) = graphc.compile([tensor(op, x)], inputs=[x])(given)
    assert result.tobytes() == given.tobytes() and result.shape == shape


def test_threads_call_one_program(host: Callable[..., Op]) -> None:
    op = host(np.sort)
    run = program(lambda x: tensor(op, x * 2), (500,))
    given = [np.random.default_rng(n).standard_normal(500).astype(np.float32) for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda x: [run(x)[0] for _ in range(50)], given))
    for x, found in zip(given, results, strict=True):
        assert all((a == np.sort(x * 2)).all() for a in found)


def test_a_host_function_calls_another_program(host: Callable[..., Op]) -> None:
    inner = program(lambda x: x + 1, X.shape)
    op = host(lambda x: inner(x)[0])
    outer = program(lambda x: tensor(op, x) * 2, X.shape)
    for _ in range(5):
        np.testing.assert_array_equal(outer(X)[0], (X + 1) * 2)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_calls(host: Callable[..., Op], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHC_NUM_THREADS", "3")
    monkeypatch.setattr(work, "STEPS_PER_THREAD", 64)
    op = host(lambda x: x[::-1])
    x = np.arange(4000, dtype=np.float32)
    run = program(lambda x: tensor(op, x + 1) * 2, x.shape)
    wanted = ((x + 1) * 2)[::-1]
    assert (run(x)[0] == wanted).all()
    child = os.fork()
    if not child:
        os._exit(0 if all((run(x)[0] == wanted).all() for _ in range(5)) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_other_threads_of_python_go_on_meanwhile(host: Callable[..., Op]) -> None:
    arrived, leave = threading.Event(), threading.Event()

    def wait(x: Array) -> Array:
        arrived.set()
        assert leave.wait(30)
        return x

    op = host(wait)
    run = program(lambda x: tensor(op, x), X.shape)
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(run, X)
        assert arrived.wait(30)
        leave.set()
        np.testing.assert_array_equal(found.result()[0], X)


def test_arrays_are_made_once_for_memory_that_comes_again(
    host: Callable[..., Op], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    original = host_calls._array

    def make(start: int, type_: TensorType) -> Array:
        made.append(start)
        return original(start, type_)

    monkeypatch.setattr(host_calls, "_array", make)
    op = host(lambda x: x + 1)
    run = program(lambda x: tensor(op, x * 2) * 3, X.shape)  # from the arena to the arena
    for _ in range(10):
        np.testing.assert_array_equal(run(X)[0], (X * 2 + 1) * 3)
    assert len(made) == 2
