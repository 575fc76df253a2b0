"""Programs take any array that NumPy can make right, refuse the rest, and write to none of them."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import graphc
from graphc import dtypes
from graphc.program import Program

BACKENDS: tuple[Any, ...] = ("llvm", "reference")
Array = np.ndarray[Any, Any]


def program_of(shape: tuple[int, ...], dtype: Any = "float32", backend: Any = "llvm") -> Program:
    """Return the program that adds an input to itself (for bool: combines it by or)."""
    x = graphc.input(shape, dtype, name="x")
    twice = graphc.logical_or(x, x) if dtype == "bool" else x + x
    return graphc.compile([twice], inputs=[x], backend=backend)


def digest(array: Array) -> str:
    base = array
    while isinstance(base.base, np.ndarray):
        base = base.base
    return hashlib.sha256(base.tobytes()).hexdigest()


def unaligned(array: Array) -> Array:
    buffer = np.zeros(array.nbytes + 1, np.uint8)
    view = buffer[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    assert array.itemsize == 1 or not view.flags.aligned
    return view


def read_only(array: Array) -> Array:
    copy = array.copy()
    copy.flags.writeable = False
    return copy


PLAIN = np.arange(24, dtype=np.float32).reshape(4, 6)
LAYOUTS: dict[str, Array] = {
    "plain": PLAIN,
    "fortran": np.asfortranarray(PLAIN),
    "transposed": np.ascontiguousarray(PLAIN.T).T,
    "reversed": PLAIN[::-1, ::-1],
    "strided": np.arange(96, dtype=np.float32).reshape(8, 12)[::2, 1::2],
    "broadcast": np.broadcast_to(np.float32(3), (4, 6)),
    "broadcast rows": np.broadcast_to(np.arange(6, dtype=np.float32), (4, 6)),
    "overlapping": np.lib.stride_tricks.sliding_window_view(np.arange(9, dtype=np.float32), 6),
    "unaligned": unaligned(PLAIN),
    "read-only": read_only(PLAIN),
    "big-endian": PLAIN.astype(">f4"),
    "big-endian strided": PLAIN.astype(">f4").repeat(2, axis=0)[::2],
    "field": np.array([(v, 1) for v in PLAIN.ravel()], "f4, i1")["f0"].reshape(4, 6),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", LAYOUTS)
def test_arrays_of_any_layout_are_read_right_and_not_written(name: str, backend: Any) -> None:
    array = LAYOUTS[name]
    before = digest(array)
    (result,) = program_of((4, 6), backend=backend)(array)
    np.testing.assert_array_equal(result, np.array(array, "f4") * 2)
    assert result.dtype == np.float32 and digest(array) == before


@pytest.mark.parametrize("dtype", [d.name for d in dtypes.ALL])
def test_every_dtype_is_taken_in_either_byte_order_and_unaligned(dtype: str) -> None:
    program = program_of((5,), dtype)
    native = np.array([0, 1, 0, 1, 1]).astype(program.inputs[0].type.dtype.numpy)
    expected = native | native if dtype == "bool" else native + native
    for array in (native, unaligned(native), native[::-1][::-1], native.astype(native.dtype)):
        assert program(array)[0].tolist() == expected.tolist()
    if dtype != "bfloat16":  # ml_dtypes knows one byte order
        assert program(native.astype(native.dtype.newbyteorder(">")))[0].tolist() == (
            expected.tolist()
        )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 5)])
def test_arrays_of_no_elements_are_arguments(shape: tuple[int, ...], backend: Any) -> None:
    x = graphc.input(shape, name="x")
    program = graphc.compile([x + 1.0, x.sum()], inputs=[x], backend=backend)
    same, total = program(np.zeros(shape, np.float32))
    assert same.shape == shape and total == 0


@pytest.mark.parametrize(
    ("dtype", "argument", "expected"),
    [
        ("float32", [1, 2.5, True], [2.0, 5.0, 2.0]),
        ("float32", (1, 2, 3), [2.0, 4.0, 6.0]),
        ("float16", [1, 2, 3], [2.0, 4.0, 6.0]),
        ("bfloat16", [1, 2, 3], [2.0, 4.0, 6.0]),
        ("float64", [1, 2, 3], [2.0, 4.0, 6.0]),
        ("float32", [np.inf, -np.inf, 0.1], [np.inf, -np.inf, float(np.float32(0.1) * 2)]),
        ("int8", [1, -2, True], [2, -4, 2]),
        ("uint64", [1, 2, 2**62], [2, 4, 2**63]),
        ("bool", [True, False, True], [True, False, True]),
    ],
)
def test_numbers_in_lists_take_the_dtype_of_the_input(
    dtype: str, argument: Any, expected: list[Any]
) -> None:
    assert program_of((3,), dtype)(argument)[0].tolist() == expected


@pytest.mark.parametrize("number", [3, 3.0, np.float32(3), np.array(3, "f4"), np.array(3, ">f4")])
def test_a_number_is_an_argument(number: Any) -> None:
    assert program_of(())(number)[0] == 6


@pytest.mark.parametrize(
    ("dtype", "argument"),
    [
        ("float32", np.arange(3.0)),
        ("float32", np.arange(3)),
        ("float32", np.arange(3, dtype="f2")),
        ("float32", np.arange(3, dtype=ml_dtypes.bfloat16)),
        ("float32", np.array([1 + 1j] * 3)),
        ("float32", [1j, 2, 3]),
        ("float32", [None] * 3),
        ("float32", None),
        ("float32", "abc"),
        ("float32", ["1", "2", "3"]),
        ("float32", {1, 2, 3}),
        ("float32", [[1], [2, 3], []]),
        ("float32", np.array([None] * 3)),
        ("float32", np.zeros(3, "M8[s]")),
        ("float32", np.zeros(3, [("a", "f4")])),
        ("float32", np.ma.masked_array(np.zeros(3, "f4"), mask=[False, True, False])),
        ("int32", [1.0, 2.0, 3.0]),
        ("int32", np.arange(3)),
        ("bool", [1, 0, 1]),
        ("bool", np.array([1, 0, 1], np.uint8)),
    ],
)
def test_what_is_of_another_type_is_refused(dtype: str, argument: Any) -> None:
    with pytest.raises(graphc.GraphcTypeError):
        program_of((3,), dtype)(argument)


@pytest.mark.parametrize(
    ("dtype", "argument"),
    [("int8", [1, 2, 300]), ("uint8", [1, 2, -1]), ("float32", [1e39, 0, 0]),
     ("float16", [70000, 0, 0]), ("uint64", [-1, 0, 0])],
)  # fmt: skip
def test_numbers_out_of_range_are_refused(dtype: str, argument: list[Any]) -> None:
    with pytest.raises(graphc.GraphcValueError, match=f"does not fit {dtype}"):
        program_of((3,), dtype)(argument)


@pytest.mark.parametrize("array", [np.zeros((6, 4), "f4"), np.zeros(24, "f4"), np.zeros((), "f4")])
def test_another_shape_is_refused(array: Array) -> None:
    with pytest.raises(graphc.ShapeError, match=r"x takes float32\[4, 6\]"):
        program_of((4, 6))(array)


def test_a_refusal_names_the_input_and_its_line() -> None:
    with pytest.raises(graphc.GraphcTypeError) as caught:
        program_of((3,))(np.arange(3))
    assert "x takes float32[3]" in str(caught.value)
    assert "test_program.py" in str(caught.value) and "astype('float32')" in str(caught.value)


@pytest.mark.parametrize("arguments", [(), (PLAIN, PLAIN)])
def test_the_number_of_arguments_is_checked(arguments: tuple[Array, ...]) -> None:
    with pytest.raises(graphc.GraphcTypeError, match=r"main\(x: float32\[4, 6\]\) takes 1"):
        program_of((4, 6))(*arguments)


@pytest.mark.parametrize("backend", BACKENDS)
def test_results_are_fresh_arrays(backend: Any) -> None:
    x = graphc.input((3,), name="x")
    constant = graphc.constant(np.ones(3, np.float32))
    state = graphc.Variable(np.ones(3, np.float32))
    program = graphc.compile([x, x, constant, state, x + 0.0], inputs=[x], backend=backend)
    argument = np.zeros(3, np.float32)
    for result in program(argument):
        result += 5
    assert argument.tolist() == [0, 0, 0] and state.value.tolist() == [1, 1, 1]
    expected = [[0, 0, 0], [0, 0, 0], [1, 1, 1], [1, 1, 1], [0, 0, 0]]
    assert [r.tolist() for r in program(argument)] == expected


def test_one_program_runs_in_64_threads() -> None:
    x = graphc.input((33, 65), name="x")
    program = graphc.compile([graphc.softmax(x @ x.mT, axis=-1).sum(axis=0)], inputs=[x])
    random = np.random.default_rng(1)
    arguments = [random.normal(size=(33, 65)).astype(np.float32) for _ in range(64)]
    expected = [program(a)[0] for a in arguments]
    with ThreadPoolExecutor(64) as pool:
        for _ in range(4):
            results = list(pool.map(lambda a: program(a)[0], arguments))
            for got, want in zip(results, expected, strict=True):
                np.testing.assert_array_equal(got, want)


def test_threads_that_update_one_variable_lose_no_update() -> None:
    counter = graphc.Variable(np.int64(0), name="counter")

    @graphc.compile
    def count(step: Any) -> Any:
        counter.assign(counter + step)
        return counter

    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(lambda _: int(count(np.int64(1))), range(400)))
    assert counter.value == 400 and sorted(results) == list(range(1, 401))


STAGES = ("graph", "optimised", "groups", "kernels", "plan", "llvm", "asm")


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_is_text(stage: str) -> None:
    x = graphc.input((8, 16), name="x")
    text = graphc.compile([graphc.softmax(x)], inputs=[x]).text(stage)
    sign = {"graph": "exp(", "optimised": "exp(", "groups": "fused", "kernels": "for ",
            "plan": "run ", "llvm": "define", "asm": "ret"}  # fmt: skip
    assert sign[stage] in text


def test_the_reference_backend_shows_graphs_and_has_no_kernels() -> None:
    program = program_of((2,), backend="reference")
    assert program.kernels == () and "add(" in program.text("graph")
    assert "nothing is fused" in program.explain()


@pytest.mark.parametrize(("backend", "listed"), [("llvm", "asm"), ("reference", "graph")])
def test_an_unknown_stage_is_named(backend: Any, listed: str) -> None:
    with pytest.raises(graphc.GraphcValueError, match="no stage 'nonsense'") as caught:
        program_of((2,), backend=backend).text("nonsense")
    assert listed in caught.value.hint


def test_a_program_says_what_it_takes() -> None:
    assert repr(program_of((2, 3))) == "<program main(float32[2, 3]), 1 kernels, llvm>"
