"""`out=` and donated arguments: the same bits in the caller's memory, nothing else overwritten."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc
from graphc.api import Settings, compile_graph
from graphc.backends.llvm.call_outputs import address_of
from graphc.backends.llvm.executable import LlvmExecutable
from graphc.passes import Options
from tests.random_graphs import random_graph

Array = np.ndarray[Any, Any]
BACKENDS: tuple[Any, ...] = ("llvm", "reference")


def aligned(shape: tuple[int, ...], skip: int = 0) -> Array:
    """Return an array that starts `skip` bytes behind a multiple of 64."""
    size = 4 * int(np.prod(shape))
    raw = np.full(size + 128, 0xA5, np.uint8)
    start = -address_of(raw) % 64 + skip
    return raw[start : start + size].view(np.float32).reshape(shape)


class Subclass(np.ndarray[Any, Any]):
    pass


PLACES: dict[str, Callable[[], Array]] = {
    "aligned": lambda: aligned((4, 6)),
    "aligned for NumPy": lambda: aligned((4, 6), 16),
    "unaligned": lambda: aligned((4, 6), 1),
    "strided": lambda: aligned((8, 12))[::2, ::2],
    "reversed": lambda: aligned((4, 6))[::-1, ::-1],
    "transposed": lambda: aligned((6, 4)).T,
    "a subclass": lambda: aligned((4, 6)).view(Subclass),
}


def program_of(backend: Any = "llvm") -> graphc.Program:
    x, y = graphc.input((4, 6), name="x"), graphc.input((4, 6), name="y")
    return graphc.compile([x - y, (x * y).sum(), x], inputs=[x, y], backend=backend)


def samples() -> list[Array]:
    return list(np.random.default_rng(0).standard_normal((2, 4, 6), np.float32))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("place", PLACES)
def test_outputs_are_put_into_arrays_of_any_layout(place: str, backend: Any) -> None:
    program, arguments = program_of(backend), samples()
    wanted = program(*arguments)
    first, last = PLACES[place](), PLACES[place]()
    given = program(*arguments, out=[first, None, last])
    assert given[0] is first and given[2] is last
    for one, other in zip(given, wanted, strict=True):
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes()


@pytest.mark.parametrize("skip", [0, 4, 16])
def test_dense_arrays_are_written_as_they_are(skip: int, monkeypatch: pytest.MonkeyPatch) -> None:
    program, arguments, array = program_of(), samples(), aligned((4, 6), skip)
    wanted = program(*arguments)
    written: list[Array | None] = []
    run_into = LlvmExecutable.run_into

    def watched(self: LlvmExecutable, inputs: Any, outputs: Any) -> tuple[Array, ...]:
        written.extend(outputs)
        return run_into(self, inputs, outputs)

    monkeypatch.setattr(LlvmExecutable, "run_into", watched)
    program(*arguments, out=[array, None, None])
    assert written[0] is array and array.tobytes() == wanted[0].tobytes()


def test_nothing_around_the_array_is_written() -> None:
    around = aligned((4, 6, 3))
    before = around.copy()
    program_of()(*samples(), out=(around[..., 1], None, None))
    assert around[..., ::2].tobytes() == before[..., ::2].tobytes()
    assert around[..., 1].tobytes() != before[..., 1].tobytes()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shift", [0, 1, 700])
def test_arguments_in_the_same_memory_are_read_as_they_were(shift: int, backend: Any) -> None:
    x, y = np.random.default_rng(0).standard_normal((2, 100, 60), np.float32)
    reversed_ = graphc.compile(lambda x, y: x[::-1] - y, backend=backend)
    wanted = reversed_(x, y)
    memory = aligned((7000,))
    given = memory[shift : shift + 6000].reshape(100, 60)
    given[...] = x
    out = memory[:6000].reshape(100, 60)
    assert reversed_(given, y, out=out) is out
    assert (out == wanted).all()


def test_an_output_may_be_used_for_the_next_call() -> None:
    double = graphc.compile(lambda x: x + x)
    x = double(samples()[0])
    wanted, address = x * 4, x.ctypes.data
    for _ in range(2):
        x = double(x, out=x)
    assert (x == wanted).all() and x.ctypes.data == address


def test_results_keep_their_structure() -> None:
    @graphc.compile
    def both(x: Any) -> Any:
        return {"sum": x.sum(), "parts": (x + 1, [x - 1])}

    x = samples()[0]
    first, second = aligned((4, 6)), aligned((4, 6))
    given = both(x, out={"sum": None, "parts": (first, [second])})
    assert given["parts"][0] is first and given["parts"][1][0] is second
    assert (first == x + 1).all() and (second == x - 1).all() and given["sum"] == both(x)["sum"]


def test_a_function_with_a_parameter_of_that_name_has_it() -> None:
    named = graphc.compile(lambda x, out: x + out)
    keywords = graphc.compile(lambda x, **others: x + others["out"])
    assert named(np.float32(1), out=np.float32(2)) == 3
    assert keywords(np.float32(1), out=np.float32(2)) == 3


def test_methods_take_it_too() -> None:
    class Model:
        @graphc.compile
        def double(self, x: Any) -> Any:
            return x + x

    x, out = samples()[0], aligned((4, 6))
    assert Model().double(x, out=out) is out and (out == 2 * x).all()


X, Y = samples()
NONE = [None, None, None]


def read_only() -> Array:
    array = aligned((4, 6))
    array.flags.writeable = False
    return array


SHARED = aligned((5, 6))
WRONG: dict[str, tuple[Any, type[Exception], str]] = {
    "a number": (3, graphc.GraphcTypeError, "not int"),
    "one array of three": (aligned((4, 6)), graphc.GraphcTypeError, "1 arrays.*3 outputs"),
    "too few": ([None, None], graphc.GraphcTypeError, "2 arrays"),
    "a list": ([[1.0], None, None], graphc.GraphcTypeError, "type list"),
    "masked": ([np.ma.zeros((4, 6), np.float32), None, None], graphc.GraphcTypeError, "Masked"),
    "dtype": ([np.zeros((4, 6)), None, None], graphc.GraphcTypeError, "float64"),
    "byte order": ([np.zeros((4, 6), ">f4"), None, None], graphc.GraphcTypeError, ">f4"),
    "shape": ([aligned((6, 4)), None, None], graphc.ShapeError, r"\(6, 4\)"),
    "rank": ([None, aligned((1,)), None], graphc.ShapeError, r"\(1,\)"),
    "read-only": ([read_only(), None, None], graphc.GraphcValueError, "read-only"),
    "broadcast": (
        [np.broadcast_to(np.float32(0), (4, 6)), None, None],
        graphc.GraphcValueError,
        "read-only",
    ),
    "overlapping itself": (
        [np.lib.stride_tricks.as_strided(aligned((40,)), (4, 6), (12, 4)), None, None],
        graphc.GraphcValueError,
        "elements share memory",
    ),
    "one element": (
        [np.lib.stride_tricks.as_strided(aligned((1,)), (4, 6), (0, 0)), None, None],
        graphc.GraphcValueError,
        "elements share memory",
    ),
    "twice": ([SHARED[:4], None, SHARED[1:]], graphc.GraphcValueError, "0 and 2 share memory"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_take_an_output_is_refused(name: str) -> None:
    out, error, text = WRONG[name]
    with pytest.raises(error, match=text):
        program_of()(X, Y, out=out)


def test_interleaved_arrays_do_not_share_memory() -> None:
    memory, program = aligned((4, 12)), program_of()
    given = program(X, Y, out=[memory[:, ::2], None, memory[:, 1::2]])
    assert (given[0] == X - Y).all() and (given[2] == X).all()


def test_strides_that_interlock_do_not_overlap() -> None:
    memory = aligned((40,))  # elements 0, 3, 6, 9 and those 2 further on, alternately
    out = np.lib.stride_tricks.as_strided(memory, (4, 6), (4, 5 * 4))[:, ::-1]
    program = graphc.compile(lambda x: x + 1)
    crossed = np.lib.stride_tricks.as_strided(memory, (2, 2), (3 * 4, 2 * 4))  # 0, 2, 3, 5
    assert (program(X, out=out) == X + 1).all()
    assert (program(X[:2, :2], out=crossed) == X[:2, :2] + 1).all()


def test_another_structure_is_refused() -> None:
    pair = graphc.compile(lambda x: (x, x + 1))
    for out in (aligned((4, 6)), [None, None], (None,), {"a": None}):
        with pytest.raises(graphc.GraphcTypeError, match="nested in another way"):
            pair(X, out=out)
    with pytest.raises(graphc.GraphcTypeError, match="not on tensors"):
        pair(graphc.input((4, 6)), out=(None, None))


@pytest.mark.parametrize("seed", range(40))
def test_random_programs_give_the_same_bits(seed: int) -> None:
    sample = random_graph(seed)
    program = compile_graph(sample.graph, Settings("llvm", Options()))
    wanted = [array.tobytes() for array in program(*sample.arguments)]
    held = program(*sample.arguments)
    for array in held:
        array[...] = 77
    given = program(*sample.arguments, out=held)
    assert [array.tobytes() for array in given] == wanted
    every = frozenset(range(len(sample.graph.inputs)))
    donating = compile_graph(sample.graph, Settings("llvm", Options(donated=every)))
    arguments = [np.array(a) for a in sample.arguments]
    assert [array.tobytes() for array in donating(*arguments)] == wanted


# --- donated arguments ---------------------------------------------------------------------------


def test_the_output_lies_in_the_donated_argument() -> None:
    plain = graphc.compile(lambda x, y: graphc.exp(x) * y)
    donating = graphc.compile(lambda x, y: graphc.exp(x) * y, donate="x")
    x, y = samples()
    wanted, kept, copy = plain(x, y), y.copy(), x.copy()
    for _ in range(6):
        x[...] = copy
        result = donating(x, y)
        assert (result == wanted).all() and (y == kept).all()
        assert np.shares_memory(result, x) and result is not x


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_large_arguments_are_donated_too(threads: int) -> None:
    donating = graphc.compile(lambda x: graphc.tanh(x) + x, donate=["x"])
    x = np.random.default_rng(0).standard_normal((700, 900), np.float32)
    wanted = graphc.compile(lambda x: graphc.tanh(x) + x)(x)
    with graphc.threads(threads):
        result = donating(x)
    assert (result == wanted).all() and np.shares_memory(result, x)


def test_all_arrays_of_a_parameter_are_donated() -> None:
    @graphc.compile(donate="state")
    def step(state: Any, x: Any) -> Any:
        return {"a": state["a"] + x, "b": (state["b"][0] * x,)}

    x = samples()[0]
    state: Any = {"a": aligned((4, 6)) * 0, "b": (aligned((4, 6)) * 0 + 1,)}
    old = state["a"], state["b"][0]
    for _ in range(3):
        state = step(state, x)
    assert np.shares_memory(state["a"], old[0]) and np.shares_memory(state["b"][0], old[1])
    assert (state["a"] == x + x + x).all() and (state["b"][0] == x * x * x).all()


def test_inputs_of_a_graph_are_donated() -> None:
    x, y = graphc.input((4, 6), name="x"), graphc.input((4, 6), name="y")
    program = graphc.compile([x + y], inputs=[x, y], donate=y)
    a, b = samples()
    wanted = a + b
    (result,) = program(a, b)
    assert (result == wanted).all() and np.shares_memory(result, b)
    out = aligned((4, 6))
    assert program(a, wanted - a, out=out)[0] is out


OTHERS: dict[str, Callable[[Array], Array]] = {
    "read-only": lambda x: np.frombuffer(x.tobytes(), np.float32).reshape(x.shape),
    "strided": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "unaligned": lambda x: _filled(aligned((4, 6), 1), x),
    "foreign byte order": lambda x: x.astype(">f4"),
}


def _filled(array: Array, value: Array) -> Array:
    array[...] = value
    return array


@pytest.mark.parametrize("name", OTHERS)
def test_what_cannot_be_written_over_is_copied(name: str) -> None:
    donating = graphc.compile(lambda x: graphc.exp(x) + 1, donate="x")
    x = OTHERS[name](X)
    assert (donating(x) == graphc.compile(lambda x: graphc.exp(x) + 1)(X)).all()
    assert (x == X).all()


def test_an_array_that_is_another_argument_too_is_not_written() -> None:
    difference = graphc.compile(lambda x, y: x[::-1] - y, donate="y")
    x = X.copy()
    assert (difference(x, x) == X[::-1] - X).all() and (x == X).all()
    both = aligned((5, 6))
    both[...] = 1
    assert (difference(both[1:], both[:4]) == 0).all() and (both == 1).all()


def test_a_failed_check_is_raised_with_donated_arguments() -> None:
    pick = graphc.compile(lambda x, i: graphc.take(x, i) + 0.0 * x, donate="x")
    x = np.arange(4, dtype=np.float32)
    with pytest.raises(graphc.GraphcIndexError):
        pick(x, np.array([0, 1, 2, 4]))
    assert pick(np.arange(4, dtype=np.float32), np.array([3, 2, 1, 0])).tolist() == [3, 2, 1, 0]


def test_profiles_leave_donated_arguments_as_they_were() -> None:
    donating = graphc.compile(lambda x: graphc.exp(x) + 1, donate="x")
    x = X.copy()
    donating.program(x).profile(x, repeat=2)
    assert (x == X).all()


def test_other_backends_take_no_donations() -> None:
    donating = graphc.compile(lambda x: x + 1, donate="x", backend="reference")
    x = X.copy()
    assert (donating(x) == X + 1).all() and (x == X).all()


def test_what_cannot_be_donated_is_refused() -> None:
    x = graphc.input((3,), name="x")
    refused: list[Callable[[], Any]] = [
        lambda: graphc.compile(lambda x: x, donate="y"),
        lambda: graphc.compile(lambda x, **keywords: x, donate=("x", "y")),
        lambda: graphc.compile(donate="y")(lambda *x: x),
        lambda: graphc.compile(lambda x: x, donate=[0]),  # type: ignore[list-item]  # on purpose
        lambda: graphc.compile([x + 1], inputs=[x], donate=[x + 1]),
        lambda: graphc.compile([x + 1], inputs=[x], donate=["x"]),  # type: ignore[list-item]  # as above
    ]
    for make in refused:
        with pytest.raises(graphc.GraphcValueError, match="donate"):
            make()
