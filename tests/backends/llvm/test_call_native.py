"""Native calls give what the way of Python gives, refuse what they do not know, leak nothing."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import graphc
from graphc.backends.llvm import call_checks, call_native, executable, team_code, work
from graphc.backends.llvm.call_native import is_supported
from graphc.errors import GraphcError, GraphcIndexError, GraphcTypeError, ShapeError
from graphc.program import _FIRST_NATIVE_CALL, Program

Array = np.ndarray[Any, Any]

pytestmark = pytest.mark.skipif(not is_supported(), reason="no native calls on this interpreter")


def warm(program: Program, *arguments: Any) -> Program:
    """Return the program after the calls that it takes to become native."""
    for _ in range(_FIRST_NATIVE_CALL):
        program(*arguments)
    return program


def cold(shape: tuple[int, ...] = (8,), dtype: Any = "float32") -> Program:
    """Return the program that adds an input to itself (for bool: inverts it)."""
    x = graphc.input(shape, dtype, name="x")
    y = graphc.logical_not(x) if dtype == "bool" else x + x
    return graphc.compile([y], inputs=[x])


def double(shape: tuple[int, ...] = (8,), dtype: Any = "float32") -> Program:
    return warm(cold(shape, dtype), np.ones(shape, dtype))


def record_of(program: Program) -> Any:
    return program._native.__self__  # type: ignore[attr-defined]  # functions of C have it


def as_memory(array: Any) -> Any:
    return memoryview(array)  # NumPy declares it of arrays from Python 3.12 on


def slowly(program: Program, *arguments: Array) -> list[Array]:
    """Call by way of Python."""
    return list(program._executable.run(arguments))


@pytest.fixture
def eight() -> Array:
    return np.arange(8, dtype=np.float32)


DTYPES = ["float32", "float64", "float16", "int8", "uint8", "int16", "int32", "int64", "bool"]


@pytest.mark.parametrize("shape", [(), (1,), (8,), (0,), (3, 0, 2), (5, 7), (2, 3, 4, 5)])
@pytest.mark.parametrize("dtype", [*DTYPES, ml_dtypes.bfloat16])
def test_outputs_are_what_the_way_of_python_gives(shape: tuple[int, ...], dtype: Any) -> None:
    program = double(shape, dtype)
    x = (np.arange(np.prod(shape, dtype=int)) % 5).astype(dtype).reshape(shape)
    x.flags.writeable = False
    native = program.call_natively(x)
    assert native is not None
    (given,), (wanted,) = native, slowly(program, x)
    assert type(native) is list and type(given) is np.ndarray
    assert given.dtype is wanted.dtype and given.tobytes() == wanted.tobytes()
    assert (given.shape, given.strides) == (wanted.shape, wanted.strides)
    assert given.flags.num == wanted.flags.num
    bases = given.base, wanted.base
    assert [type(base) for base in bases] == [np.ndarray] * 2
    assert given.ctypes.data % 64 == 0
    given.flags.writeable = False
    given.flags.writeable = True
    assert dtype not in DTYPES or as_memory(given).shape == shape


class Subclass(np.ndarray[Any, Any]):
    pass


def _unaligned(array: Array) -> Array:
    buffer = np.zeros(array.nbytes + 1, np.uint8)
    view = buffer[1:].view(array.dtype)
    view[...] = array
    return view


REFUSED: dict[str, Callable[[Array], tuple[Any, ...]]] = {
    "nothing": lambda x: (),
    "two": lambda x: (x, x),
    "none": lambda x: (None,),
    "a number": lambda x: (1.5,),
    "a list": lambda x: (x.tolist(),),
    "a scalar": lambda x: (x[0],),
    "a type": lambda x: (np.ndarray,),
    "a memoryview": lambda x: (as_memory(x),),
    "a subclass": lambda x: (x.view(Subclass),),
    "a masked array": lambda x: (np.ma.masked_array(x),),
    "strided": lambda x: (np.repeat(x, 2)[::2],),
    "reversed": lambda x: (x[::-1],),
    "unaligned": lambda x: (_unaligned(x),),
    "foreign byte order": lambda x: (x.astype(">f4"),),
    "another dtype": lambda x: (x.astype(np.float64),),
    "another dtype of the same size": lambda x: (x.astype(np.int32),),
    "a longer shape": lambda x: (np.zeros(9, np.float32),),
    "a shorter shape": lambda x: (np.zeros(7, np.float32),),
    "a higher rank": lambda x: (x.reshape(8, 1),),
    "a lower rank": lambda x: (np.zeros((), np.float32),),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_exactly_the_type_goes_the_way_of_python(name: str, eight: Array) -> None:
    program, arguments = double(), REFUSED[name](eight)
    references = [sys.getrefcount(argument) for argument in arguments]
    for _ in range(100):
        assert program.call_natively(*arguments) is None
    left = [sys.getrefcount(argument) for argument in arguments]
    assert all(abs(a - b) < 50 for a, b in zip(references, left, strict=True))  # None is everywhere

    def outcome(call: Callable[..., list[Array]]) -> Any:
        try:
            return [output.tobytes() for output in call(*arguments)]
        except GraphcError as error:
            return str(error)

    assert outcome(program) == outcome(cold())
    assert program.call_natively(eight) is not None


def test_errors_are_raised_by_warm_programs_too(eight: Array) -> None:
    program = double()
    with pytest.raises(GraphcTypeError, match="takes 1 arguments, not 2"):
        program(eight, eight)
    with pytest.raises(ShapeError):
        program(np.zeros(9, np.float32))
    with pytest.raises(TypeError):
        program(x=eight)  # type: ignore[call-arg]  # that is the point


@pytest.mark.parametrize("count", [1, 4, 16])
def test_several_arguments_and_outputs_keep_their_order(count: int) -> None:
    inputs = [graphc.input((k + 1, 3), name=f"x{k}") for k in range(count)]
    program = graphc.compile([x * (k + 2) for k, x in enumerate(inputs)], inputs=inputs)
    arrays = [np.full((k + 1, 3), k, np.float32) for k in range(count)]
    warm(program, *arrays)
    outputs = program.call_natively(*arrays)
    assert outputs is not None and len(outputs) == count
    for k, output in enumerate(outputs):
        assert output.shape == (k + 1, 3) and (output == k * (k + 2)).all()


def test_programs_without_arguments_or_outputs() -> None:
    constant = warm(graphc.compile([graphc.input((2,)) * 0 + 1]), np.zeros(2, np.float32))
    assert constant(np.zeros(2, np.float32))[0].tolist() == [1, 1]
    nothing = warm(graphc.compile([], inputs=[]))
    assert nothing.call_natively() == []


def _counts(*objects: object) -> list[int]:
    gc.collect()
    return [sys.getrefcount(each) for each in objects]


def test_no_reference_is_lost_or_left(eight: Array) -> None:
    program = double()
    watched = (eight, eight.dtype, np.dtype(np.uint8), np.ndarray, program)
    wrong = np.zeros(3, np.float32)
    before = _counts(*watched)
    for _ in range(50_000):
        program(eight)
        program.call_natively(wrong)
    after = _counts(*watched)
    assert all(abs(a - b) <= 2 for a, b in zip(before, after, strict=True)), (before, after)


def test_no_memory_is_left() -> None:
    program, x = double((64,)), np.ones(64, np.float32)
    large, y = double((600, 1000)), np.ones((600, 1000), np.float32)
    large(y)
    tracemalloc.start()
    try:
        program(x)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(100_000):
            program(x)
        for _ in range(20):
            large(y)
        kept = large._executable._makers[0].kept_bytes  # type: ignore[attr-defined]  # LLVM's
        assert tracemalloc.get_traced_memory()[0] - before < 20_000 + kept
    finally:
        tracemalloc.stop()


def test_large_outputs_lie_in_kept_blocks() -> None:
    program, x = double((600, 1000)), np.ones((600, 1000), np.float32)
    held = program.call_natively(x)
    assert held is not None
    copy = held[0].copy()
    addresses = set()
    for k in range(50):
        outputs = program.call_natively(np.full_like(x, k))
        assert outputs is not None
        output = outputs.pop()
        addresses.add(output.ctypes.data)
    assert len(addresses) <= 3 and held[0].ctypes.data not in addresses
    assert (held[0] == copy).all()


def take_program() -> Program:
    table = np.arange(10, dtype=np.float32)
    index = graphc.input((4,), "int64", name="index")
    return graphc.compile([graphc.take(graphc.constant(table), index)], inputs=[index])


def test_a_failed_check_raises_and_is_forgotten() -> None:
    good, bad = np.arange(4), np.arange(8, 12)
    program = warm(take_program(), good)
    watched = (bad, np.dtype(np.float32))  # each output that is left holds its dtype
    before = _counts(*watched)
    for _ in range(100):
        assert program.call_natively(bad) is None
        with pytest.raises(GraphcIndexError):
            program(bad)
        outputs = program.call_natively(good)
        assert outputs is not None and outputs[0].tolist() == [0, 1, 2, 3]
    del outputs
    assert all(abs(a - b) < 20 for a, b in zip(before, _counts(*watched), strict=True))


def test_a_record_in_use_is_left_alone(eight: Array) -> None:
    program = double()
    record = record_of(program)
    record[call_checks.BUSY] = 1
    assert program.call_natively(eight) is None
    assert (program(eight)[0] == eight + eight).all()
    record[call_checks.BUSY] = 0
    assert program.call_natively(eight) is not None


def test_no_memory_for_an_output_is_raised_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = (600, 1000)
    x, y = graphc.input((4,)), graphc.input(shape)
    arrays = np.ones(4, np.float32), np.ones(shape, np.float32)
    program = warm(graphc.compile([x + x, y + y], inputs=[x, y]), *arrays)
    maker = program._executable._makers[1]  # type: ignore[attr-defined]  # LLVM's

    def fail(self: object) -> Array:
        raise MemoryError("no memory")

    watched = (*arrays, np.dtype(np.float32))
    before = _counts(*watched)
    with monkeypatch.context() as patch:
        patch.setattr(type(maker), "_take", fail)
        for _ in range(100):
            with pytest.raises(MemoryError, match="no memory"):
                program.call_natively(*arrays)
    assert all(abs(a - b) < 20 for a, b in zip(before, _counts(*watched), strict=True))
    outputs = program.call_natively(*arrays)
    assert outputs is not None and (outputs[1] == 2).all()


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Program:
    """A program that the team shares and that lets Python run meanwhile."""
    monkeypatch.setattr(work, "STEPS_PER_THREAD", 1)
    monkeypatch.setenv("GRAPHC_NUM_THREADS", "2")
    x = graphc.input((64, 1024), name="x")
    return warm(graphc.compile([graphc.exp(x) + x], inputs=[x]), np.zeros((64, 1024), np.float32))


def test_programs_of_several_threads_are_called_natively(shared: Program) -> None:
    record = record_of(shared)
    assert record[call_checks.THREADS] == 2 and record[call_checks.RELEASE] == 1
    x = np.ones((64, 1024), np.float32)
    outputs = shared.call_natively(x)
    assert outputs is not None
    assert outputs[0].tobytes() == slowly(shared, x)[0].tobytes()


@pytest.mark.parametrize("kind", ["short", "shared"])
def test_many_threads_call_one_program(kind: str, request: pytest.FixtureRequest) -> None:
    program = request.getfixturevalue("shared") if kind == "shared" else double((16,))
    shape = program.inputs[0].type.shape
    wanted = [program(np.full(shape, k, np.float32))[0].copy() for k in range(8)]

    def call(number: int) -> int:
        x = np.full(shape, number, np.float32)
        return sum(not (program(x)[0] == wanted[number]).all() for _ in range(300))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(call, range(8))) == 0
    finally:
        sys.setswitchinterval(interval)


def test_other_threads_run_during_a_long_call(shared: Program) -> None:
    """They could not if the interpreter stayed locked, because nobody is asked to give it up."""
    x, start, ran = np.ones((64, 1024), np.float32), threading.Event(), []

    def wait() -> None:
        start.wait()
        ran.append(1)

    interval = sys.getswitchinterval()
    thread = threading.Thread(target=wait)
    thread.start()
    sys.setswitchinterval(1000)
    try:
        start.set()
        end = time.monotonic() + 30  # the system may take a while to give the other thread a core
        while not ran and time.monotonic() < end:
            assert shared.call_natively(x) is not None
        assert ran
    finally:
        sys.setswitchinterval(interval)
        thread.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_calls_on(shared: Program) -> None:
    x = np.ones((64, 1024), np.float32)
    wanted = shared(x)[0]
    for _ in range(10):
        child = os.fork()
        if child == 0:
            is_refused = shared.call_natively(x) is None  # until there is a team again
            is_right = all((shared(x)[0] == wanted).all() for _ in range(5))
            is_native = shared.call_natively(x) is not None
            os._exit(0 if is_refused and is_right and is_native else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert shared.call_natively(x) is not None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_has_the_calls_of_threads_that_are_not_there(eight: Array) -> None:
    program = double()
    record = record_of(program)
    for thread, is_native in ((threading.get_ident() + 1, True), (threading.get_ident(), False)):
        record[call_checks.BUSY] = thread  # the second is a handler's, within the call
        child = os.fork()
        if child == 0:
            os._exit(0 if (program.call_natively(eight) is not None) is is_native else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert program.call_natively(eight) is None


def test_a_call_says_which_thread_it_is_in(shared: Program) -> None:
    record, seen = record_of(shared), set()
    x = np.ones((64, 1024), np.float32)
    thread = threading.Thread(target=lambda: [shared.call_natively(x) for _ in range(2000)])
    thread.start()
    while thread.is_alive():
        seen.add(int(record[call_checks.BUSY]))
    assert {0, thread.ident} >= seen and thread.ident in seen


def test_the_native_function_keeps_its_program_alive(eight: Array) -> None:
    native = double()._native
    gc.collect()
    outputs = native(eight)
    assert outputs is not None and (outputs[0] == eight + eight).all()


def test_a_program_that_nobody_holds_is_freed(eight: Array) -> None:
    import weakref

    program = double()
    reference = weakref.ref(program._executable)
    del program
    gc.collect()
    assert reference() is None


def test_where_the_layout_is_unknown_python_does_it(
    eight: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_native, "_ABI", ())
    for cached in (call_native._definition, call_native._table):
        cached.cache_clear()
    try:
        assert not is_supported()
        program = double()
        assert program.call_natively(eight) is None
        assert (program(eight)[0] == eight + eight).all()
    finally:
        monkeypatch.undo()
        for cached in (call_native._definition, call_native._table):
            cached.cache_clear()
    assert is_supported() and team_code.MOST_MEMBERS > 1


def test_the_native_call_takes_over_the_arena_of_the_calls_before(
    monkeypatch: pytest.MonkeyPatch, eight: Array
) -> None:
    made: list[executable._Frame] = []
    make = executable._Frame.__init__

    def counted(self: executable._Frame, *arguments: Any) -> None:
        made.append(self)
        make(self, *arguments)

    monkeypatch.setattr(executable._Frame, "__init__", counted)
    double = graphc.compile(lambda x: 2 * x)
    for _ in range(_FIRST_NATIVE_CALL + 2):
        double(eight)
    assert double.programs[0].call_natively(eight) is not None
    assert len(made) == 1
