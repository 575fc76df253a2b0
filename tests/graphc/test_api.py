"""`graphc.compile` as function and decorator, its caches, and the ways to look inside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import graphc
from graphc import nn, optim
from graphc.passes import PIPELINE

BACKENDS: tuple[Any, ...] = ("llvm", "reference")
ONES = np.ones((2, 3), np.float32)


def test_a_function_is_compiled_once_for_each_type() -> None:
    traced: list[graphc.TensorType] = []

    @graphc.compile
    def twice(x: Any) -> Any:
        traced.append(x.type)
        return x * 2

    for shape in ((3,), (3,), (4,), (0,), (3,)):
        assert twice(np.ones(shape, np.float32)).tolist() == [2.0] * shape[0]
    assert twice(np.ones(3, np.int32)).dtype == np.int32
    assert twice(np.ones(3, ">f4")).tolist() == [2.0] * 3
    assert [str(t) for t in traced] == ["float32[3]", "float32[4]", "float32[0]", "int32[3]"]
    assert [str(p.inputs[0].type) for p in twice.programs] == [str(t) for t in traced]


def test_static_arguments_are_compiled_in_by_type_and_value() -> None:
    @graphc.compile
    def scaled(x: Any, factor: Any, *, negate: bool = False) -> Any:
        return -x * factor if negate else x * factor

    assert scaled(ONES, 2)[0, 0] == 2 and scaled(ONES, 3)[0, 0] == 3
    assert scaled(ONES, 3, negate=True)[0, 0] == -3 and scaled(ONES, 3)[0, 0] == 3
    assert len(scaled.programs) == 3
    assert scaled(np.ones(2, np.int32), 2.0).dtype == np.float64
    assert scaled(np.ones(2, np.int32), 2).dtype == np.int32  # 2 == 2.0, and yet another program


def test_a_program_is_compiled_ahead_of_a_call() -> None:
    function = graphc.compile(lambda x, y: x @ y)
    types = graphc.tensor_type((4, 8), "float32"), graphc.tensor_type((8, 2), "float32")
    program = function.program(*types)
    assert [str(n.type) for n in program.inputs] == ["float32[4, 8]", "float32[8, 2]"]
    assert function.programs == (program,)
    function(np.zeros((4, 8), np.float32), np.zeros((8, 2), np.float32))
    assert function.programs == (program,)


def test_sixteen_threads_with_a_new_type_compile_once() -> None:
    traces: list[int] = []

    @graphc.compile
    def function(x: Any) -> Any:
        traces.append(1)
        return graphc.exp(x)

    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(lambda _: function(ONES), range(64)))
    assert len(traces) == 1 and all((r == results[0]).all() for r in results)


def test_a_traced_function_may_wait_for_a_thread_that_compiles() -> None:
    table = graphc.compile(lambda x: x * 2)

    @graphc.compile
    def function(x: Any) -> Any:
        return x + pool.submit(table, np.ones(3, np.float32)).result(timeout=30)

    with ThreadPoolExecutor(1) as pool:
        assert function(ONES).tolist() == (ONES + 2).tolist()


def test_a_forked_process_waits_for_no_thread_that_is_not_there() -> None:
    is_tracing, may_end = threading.Event(), threading.Event()

    @graphc.compile
    def function(x: Any) -> Any:
        is_tracing.set()
        may_end.wait(30)
        return x + 1

    thread = threading.Thread(target=function, args=(ONES,))
    thread.start()
    assert is_tracing.wait(30)
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        may_end.set()
        os._exit(0 if function(ONES)[0, 0] == 2 else 1)
    may_end.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"optimise": "no"}, "optimise= is True or False"),
        ({"reassociate": 1}, "reassociate= is True or False"),
        ({"check_numerics": None}, "check_numerics= is True or False"),
        ({"donate": None}, "donate= takes"),
        ({"donate": 3}, "donate= takes"),
    ],
)
def test_options_of_wrong_types_are_refused(options: Any, said: str) -> None:
    with pytest.raises(graphc.GraphcTypeError, match=said):
        graphc.compile(lambda x: x + 1, **options)


class Scaler:
    def __init__(self, factor: float) -> None:
        self.factor = factor

    @graphc.compile
    def apply(self, x: Any) -> Any:
        """Scale."""
        return x * self.factor


def test_methods_are_compiled_for_each_object() -> None:
    two, five = Scaler(2), Scaler(5)
    assert two.apply(ONES)[0, 0] == 2 and five.apply(ONES)[0, 0] == 5
    assert two.apply(ONES)[0, 0] == 2
    assert isinstance(Scaler.apply, graphc.CompiledFunction) and Scaler.apply.__doc__ == "Scale."
    assert len(Scaler.apply.programs) == 2


class Pair(NamedTuple):
    left: Any
    right: Any


@pytest.mark.parametrize("backend", BACKENDS)
def test_arguments_and_results_are_nested(backend: Any) -> None:
    @graphc.compile(backend=backend)
    def function(pair: Any, options: Any) -> Any:
        total = pair.left + pair.right["x"][0]
        return {"sum": total, "list": [total * 2, None, "text"], "pair": Pair(options["scale"], 1)}

    result = function(Pair(ONES, {"x": [ONES * 2]}), options={"scale": np.float32(3)})
    assert result["sum"].tolist() == [[3.0] * 3] * 2
    assert result["list"][0][0, 0] == 6 and result["list"][1:] == [None, "text"]
    assert isinstance(result["pair"], Pair)
    assert result["pair"].left == 3 and result["pair"].right == 1
    names = [n.attributes["name"] for n in function.programs[0].inputs]
    assert names == ["pair.0", "pair.1.x.0", "options.scale"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_label_out_of_range_is_told_of_with_the_line_of_the_loss(backend: Any) -> None:
    @graphc.compile(backend=backend)
    def loss(logits: Any, labels: Any) -> Any:
        return graphc.nn.cross_entropy(logits, labels)

    with pytest.raises(graphc.GraphcIndexError, match=r"cross_entropy: a label .* 0 … 2") as caught:
        loss(ONES, np.array([0, 3]))
    assert "return graphc.nn.cross_entropy(logits, labels)" in caught.value.line


@pytest.mark.parametrize("backend", BACKENDS)
def test_variables_are_updated_in_place(backend: Any) -> None:
    state = graphc.Variable(np.arange(3, dtype=np.float32), name="state")
    held = state.value

    @graphc.compile(backend=backend)
    def step(x: Any) -> Any:
        before = state * 1.0
        state.assign(state + x)
        return before, state

    before, after = step(np.float32(10))
    assert before.tolist() == [0, 1, 2] and after.tolist() == [10, 11, 12]
    assert state.value.tolist() == [10, 11, 12]
    state.assign([1.0, 1.0, 1.0])
    assert step(np.float32(1))[1].tolist() == [2, 2, 2]
    assert held.tolist() in ([0, 1, 2], [2, 2, 2])  # a copy, or the variable's own memory


@pytest.mark.parametrize("backend", BACKENDS)
def test_variables_swap_their_values(backend: Any) -> None:
    a, b = graphc.Variable(np.zeros(5, "f4"), name="a"), graphc.Variable(np.ones(5, "f4"), name="b")

    @graphc.compile(backend=backend)
    def swap() -> None:
        old = a + 0.0
        a.assign(b)
        b.assign(old)

    for expected in (1, 0, 1):
        swap()
        assert a.value.tolist() == [expected] * 5 and b.value.tolist() == [1 - expected] * 5


def test_a_compiled_function_without_arguments_becomes_part_of_the_one_that_calls_it() -> None:
    counter = graphc.Variable(np.int64(0))

    @graphc.compile
    def count() -> None:
        counter.assign(counter + 1)

    @graphc.compile
    def outer(x: Any) -> Any:
        count()
        return x + counter

    assert [int(outer(np.int64(0))) for _ in range(3)] == [1, 2, 3] and counter.value == 3


def test_gradients_of_functions_run_on_arrays() -> None:
    gradient = graphc.grad(lambda x: (x * x).sum())
    assert gradient(ONES).tolist() == (2 * ONES).tolist()
    value, found = graphc.value_and_grad(lambda x: (x * x * x).sum())(ONES)
    assert value == 6 and found.tolist() == (3 * ONES).tolist()


def test_the_only_input_may_stand_without_a_list() -> None:
    x = graphc.input((3,), name="x")
    assert graphc.compile(x * 2, inputs=x)([1, 2, 3])[0].tolist() == [2, 4, 6]
    with pytest.raises(graphc.errors.GraphcTypeError, match="computed or constant"):
        graphc.compile(x * 2, inputs=x * 1.5)


def test_inputs_are_found_in_the_order_in_which_they_were_made() -> None:
    x, y = graphc.input((), name="x"), graphc.input((), name="y")
    program = graphc.compile([y - x])
    assert [n.attributes["name"] for n in program.inputs] == ["x", "y"]
    assert program(1, 5)[0] == 4
    assert graphc.compile(y - x, inputs=[y, x])(1, 5)[0] == -4


@pytest.mark.parametrize("optimise", [True, False])
@pytest.mark.parametrize("reassociate", [True, False])
def test_options_do_not_change_exact_results(optimise: bool, reassociate: bool) -> None:
    x = graphc.input((7, 5), name="x")
    program = graphc.compile([x * 2 + 1], inputs=[x], optimise=optimise, reassociate=reassociate)
    values = np.arange(35, dtype=np.float32).reshape(7, 5)
    assert program(values)[0].tolist() == (values * 2 + 1).tolist()
    assert (len(program.stages.grouping.groups) == 1) == optimise  # type: ignore[union-attr]  # llvm groups


X = graphc.input((3,), name="X")


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: graphc.compile(5), graphc.GraphcTypeError, "int cannot be compiled"),  # type: ignore[call-overload]  # on purpose
        (lambda: graphc.compile([3]), graphc.GraphcTypeError, "int is no tensor"),  # type: ignore[list-item]  # on purpose
        (lambda: graphc.compile([X], inputs=[3]), graphc.GraphcTypeError, "int is no tensor"),  # type: ignore[list-item]  # on purpose
        (lambda: graphc.compile([X], inputs=[X + 1]), graphc.GraphcTypeError, "no input"),
        (lambda: graphc.compile([X], inputs=[X, X]), graphc.GraphcValueError, "twice"),
        (lambda: graphc.compile([X + 1], inputs=[]), graphc.GraphcValueError, "X"),
        (lambda: graphc.compile([X], backend="cuda"), graphc.GraphcValueError, "'cuda'"),  # type: ignore[call-overload]  # on purpose
        (lambda: graphc.compile(abs, inputs=[X]), graphc.GraphcTypeError, "own arguments"),  # type: ignore[call-overload]  # on purpose
        (lambda: graphc.compile(lambda x: {1})(ONES), graphc.GraphcTypeError, "set"),
        (lambda: graphc.compile(lambda x: x)(np.array([None])), graphc.GraphcTypeError, "dtype"),
        (lambda: graphc.compile(lambda x: x)({1}), graphc.GraphcTypeError, "set"),
        (lambda: graphc.compile(lambda x: x @ x)(ONES), graphc.ShapeError, "matmul"),
        (lambda: graphc.compile(lambda x: 1 if x else 2)(ONES), graphc.TracingError, ""),
        (lambda: graphc.compile(lambda x: 2 * float(x))(ONES), graphc.TracingError, ""),
    ],
)  # fmt: skip
def test_what_cannot_be_compiled_is_refused(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'graphc' has no attribute 'nonsense'$"):
        graphc.nonsense  # type: ignore[attr-defined]  # on purpose  # noqa: B018  # as above


def test_the_verifier_runs_between_passes_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[Any] = []
    monkeypatch.setattr("graphc.observer.verify_graph", checked.append)
    graphc.compile([X + 1])
    assert not checked
    monkeypatch.setenv("GRAPHC_VERIFY", "1")
    graphc.compile([X + 1])
    assert len(checked) == len(PIPELINE)


def test_every_stage_of_a_training_step_passes_the_verifier(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GRAPHC_VERIFY", "1")
    layer, optimizer = graphc.nn.Linear(5, 3, seed=0), graphc.optim.Adam(1e-2)

    @graphc.compile
    def step(x: Any, labels: Any) -> Any:
        loss = graphc.nn.cross_entropy(layer(x), labels)
        optimizer.minimize(loss, layer.parameters())
        return loss

    random = np.random.default_rng(0)
    x, labels = random.normal(size=(8, 5)).astype(np.float32), np.arange(8) % 3
    losses = [float(step(x, labels)) for _ in range(50)]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    ("level", "shown", "hidden"),
    [("1", "simplify", "graph main"), ("2", "graph main", "kernel "), ("3", "kernel ", "define"),
     ("4", "define", "%rax")],
)  # fmt: skip
def test_debug_levels_print_to_stderr(
    level: str,
    shown: str,
    hidden: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("GRAPHC_DEBUG", level)
    graphc.compile([graphc.exp(X) + 1])
    out, err = capsys.readouterr()
    assert not out and shown in err and hidden not in err


def test_every_stage_is_dumped_as_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GRAPHC_DUMP", str(tmp_path / "dump"))
    graphc.compile([graphc.exp(X)], name="a/b c")
    (directory,) = (tmp_path / "dump").iterdir()
    assert directory.name.endswith("-a_b_c")
    files = sorted(p.name for p in directory.iterdir())
    names = ["traced", *(p.name for p in PIPELINE), "llvm", "asm"]
    assert [f.split(".")[0] for f in files] == [f"{i:02d}-{n}" for i, n in enumerate(names)]
    assert all(p.read_text().strip() for p in directory.iterdir())


def test_a_dump_that_cannot_be_written_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GRAPHC_DUMP", str(tmp_path / "file"))
    with pytest.raises(graphc.GraphcValueError, match="GRAPHC_DUMP"):
        graphc.compile([X + 1])


def test_a_program_works_in_a_process_that_forked() -> None:
    code = (
        "import os, numpy as np, graphc\n"
        "x = graphc.input((64, 64), name='x')\n"
        "program = graphc.compile([x @ x], inputs=[x])\n"
        "ones = np.ones((64, 64), np.float32)\n"
        "program(ones)\n"
        "child = os.fork()\n"
        "right = bool((program(ones)[0] == 64).all())\n"
        "if child == 0:\n"
        "    os._exit(0 if right else 3)\n"
        "raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) or not right)\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    assert subprocess.run(command, timeout=60, check=False).returncode == 0


def test_a_method_shows_its_program_without_self() -> None:
    class Scaler:
        def __init__(self, factor: float) -> None:
            self.factor = factor

        @graphc.compile
        def scale(self, x: graphc.Tensor) -> graphc.Tensor:
            return x * self.factor

    two, three = Scaler(2.0), Scaler(3.0)
    x = np.ones(3, np.float32)
    assert two.scale(x).tolist() == [2, 2, 2]
    assert three.scale(x).tolist() == [3, 3, 3]
    assert two.scale.program(x)(x)[0].tolist() == [2, 2, 2]


def test_a_number_that_changes_at_each_call_is_warned_of_once() -> None:
    scale = graphc.compile(lambda x, factor: x * factor)
    x = np.ones(2, np.float32)

    def call_often() -> None:
        for factor in range(40):
            scale(x, float(factor))

    with pytest.warns(RuntimeWarning, match=r"numpy\.float32") as caught:
        call_often()
    assert len(caught) == 1
    assert caught[0].filename == __file__


@pytest.mark.parametrize("backend", ["llvm", "opencl", "reference"])
@pytest.mark.parametrize("size", [5, 300_000])
def test_a_call_that_raises_leaves_every_variable_as_it_was(backend: Any, size: int) -> None:
    if backend == "opencl":
        pytest.importorskip("pyopencl", reason="pyopencl is not installed")
        size = min(size, 500)
    first, second = (graphc.Variable(np.zeros(size, np.float32)) for _ in range(2))

    @graphc.compile(backend=backend)
    def step(x: Any, index: Any) -> Any:
        first.assign(first + graphc.exp(x))
        second.assign(second + 1)
        return graphc.take(second, index)  # tests the index on what was just assigned

    x = np.zeros(size, np.float32)
    for bad in (size, -size - 1):
        with pytest.raises(graphc.GraphcIndexError):
            step(x, np.array([0, bad]))
    assert not first.value.any() and not second.value.any()
    assert step(x, np.array([0, size - 1])).tolist() == [1, 1]
    assert (first.value == 1).all() and (second.value == 1).all()


def test_a_bad_label_trains_nothing() -> None:
    model, optimizer = nn.Linear(4, 3, seed=0), optim.Adam(0.1)

    @graphc.compile
    def step(images: Any, labels: Any) -> Any:
        loss = nn.cross_entropy(model(images), labels)
        optimizer.minimize(loss, model.parameters())
        return loss

    images = np.ones((2, 4), np.float32)
    before = [p.value for p in model.parameters()]
    with pytest.raises(graphc.GraphcIndexError):
        step(images, np.array([0, 3]))
    after = [p.value for p in model.parameters()]
    assert all((a == b).all() for a, b in zip(before, after, strict=True))
    step(images, np.array([0, 2]))
    assert (model.weight.value != before[0]).any()
