"""Programs found on disk: no pass runs for them, and nothing but time tells them from others."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import graphc
from graphc import graph_compilation, nn, optim, passes, plan_record
from graphc.backends.llvm import library, loader, machine, object_cache
from graphc.compiler_digest import compiler_digest
from graphc.errors import GraphcIndexError
from graphc.program import Program
from tests.source_tree import ROOT

ROUNDS = 200
X = np.linspace(-2, 2, 48, dtype=np.float32).reshape(6, 8)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the directory of the entries of a cache of this test's own."""
    monkeypatch.setenv("GRAPHC_CACHE", "1")
    monkeypatch.setenv("GRAPHC_CACHE_DIR", str(tmp_path / "cache"))
    if compiler_digest() is None:  # while somebody edits the sources
        monkeypatch.setattr(graph_compilation, "compiler_digest", lambda: bytes(32))
    return tmp_path / "cache" / "objects"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that receives the name of every graph on which the passes ran."""
    names: list[str] = []
    run = passes.run_pipeline

    def counting(state: Any, after: Any) -> Any:
        names.append(state.graph.name)
        return run(state, after)

    monkeypatch.setattr(graph_compilation, "run_pipeline", counting)
    return names


def weights() -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).normal(size=(8, 5)).astype(np.float32)


def softmax(**options: Any) -> Program:
    def predict(x: Any) -> Any:
        # one constant as it is given, one that folding makes, and one that is a number
        return graphc.softmax(x @ weights() + graphc.exp(np.arange(5.0, dtype=np.float32))) * 2.0

    return graphc.compile(predict, **options).program(X)


class Trained:
    """A model in training: variables, random initial values, an optimiser with state."""

    def __init__(self) -> None:
        self.model, self.optimizer = nn.Linear(8, 5, seed=0), optim.Adam(0.1)
        self.step = graphc.compile(self._step)

    def _step(self, x: Any) -> Any:
        loss = graphc.square(graphc.softmax(self.model(x))).sum()
        self.optimizer.minimize(loss, self.model.parameters())
        return loss

    def losses(self) -> list[str]:
        return [float(self.step(X)).hex() for _ in range(5)]


def test_the_second_time_no_pass_runs(made: list[str]) -> None:
    first, second = softmax(), softmax()
    assert made == ["predict"]
    assert first(X)[0].tobytes() == second(X)[0].tobytes()


def test_large_constants_that_folding_made_are_made_anew_by_the_passes_on_graphs(
    made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_record, "MOST_CONSTANT_BYTES", 1024)
    weights = np.random.default_rng(1).normal(size=(70, 40)).astype(np.float32)

    def predict(x: Any) -> Any:
        # packed, turned round and added to another way, and read as it is turned
        return graphc.softmax(graphc.exp(x @ weights.T) @ weights) + weights.T.reshape(70, 40)[3]

    x = np.linspace(-1, 1, 12 * 40, dtype=np.float32).reshape(12, 40)
    results = [graphc.compile(predict).program(x)(x)[0].tobytes() for _ in range(2)]
    assert results[0] == results[1] and made == ["predict"]
    weights[3, 4] += 1
    assert graphc.compile(predict).program(x)(x)[0].tobytes() != results[0]
    assert made == ["predict"] * 2


def test_programs_with_variables_train_the_same(made: list[str]) -> None:
    first, second = Trained(), Trained()
    assert first.losses() == second.losses()
    assert made == ["_step"]
    for one, other in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert one.value.tobytes() == other.value.tobytes()


def test_what_it_shows_is_what_any_program_shows(made: list[str], tmp_path: Path) -> None:
    shown = []
    for number in range(2):
        program = softmax()
        texts = [program.text(s) for s in ("graph", "optimised", "groups", "kernels", "plan")]
        texts += [program.text("llvm"), program.text("asm"), repr(program), program.explain()]
        path = tmp_path / f"{number}.dot"
        program.draw(path)
        shown.append([*texts, path.read_text(), len(program.kernels)])
    assert shown[0] == shown[1]
    assert made == ["predict", "predict"]  # the second time because somebody wanted to see it


def test_it_is_profiled_like_any_program() -> None:
    softmax()
    profile = softmax().profile(X, repeat=2)
    fresh = graphc.compile(lambda x: graphc.softmax(x @ weights())).program(X).profile(X, repeat=2)
    assert len(profile.rows) >= len(fresh.rows) and all(row.lines for row in profile.rows)


def test_a_check_that_fails_names_the_line_of_now() -> None:
    def compiled(number: int) -> Program:
        x, i = graphc.input((9,), name="x"), graphc.input((2,), graphc.int64, name="i")
        if number == 0:
            return graphc.compile([graphc.take(x, i)], inputs=[x, i])
        return graphc.compile([graphc.take(x, i)], inputs=[x, i])

    errors = []
    for number in range(2):
        with pytest.raises(GraphcIndexError) as raised:
            compiled(number)(np.zeros(9, np.float32), np.array([3, 9]))
        errors.append(raised.value)
    assert errors[0].message == errors[1].message
    lines = [int(error.line.split(":")[1]) for error in errors]
    assert lines[1] == lines[0] + 1


DIFFERENT: dict[str, Callable[[], Program]] = {
    "options": lambda: softmax(optimise=False),
    "reassociation": lambda: softmax(reassociate=True),
    "shape": lambda: graphc.compile(lambda x: x + 1.0).program(X[:3]),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_another_program_is_another_entry(name: str, made: list[str]) -> None:
    softmax(), graphc.compile(lambda x: x + 1.0).program(X)
    count = len(made)
    DIFFERENT[name]()
    assert len(made) == count + 1
    DIFFERENT[name]()
    assert len(made) == count + 1


@pytest.mark.parametrize(
    ("module", "name", "value"),
    [
        (graph_compilation, "compiler_digest", lambda: b"1" * 32),
        (np, "__version__", "0.0.0"),
        (ml_dtypes, "__version__", "0.0.0"),
        (sys, "version_info", (3, 99, 0)),
    ],
)
def test_another_compiler_or_library_finds_nothing(
    module: Any, name: str, value: Any, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    softmax()
    monkeypatch.setattr(module, name, value)
    softmax()
    assert len(made) == 2


@pytest.mark.parametrize("name", ["GRAPHC_NUM_THREADS", "GRAPHC_CPU"])
def test_another_target_finds_nothing(
    name: str, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    softmax()
    monkeypatch.setenv(name, {"GRAPHC_NUM_THREADS": "7", "GRAPHC_CPU": "x86-64-v2"}[name])
    softmax()
    assert len(made) == 2


def test_a_cpu_of_the_same_name_with_other_features_finds_nothing(
    made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    softmax()
    whole = library.host()
    rest = whole.features - {sorted(whole.features)[0]}  # as a hypervisor hides some
    monkeypatch.setattr(machine, "host", lambda: replace(whole, features=rest))
    monkeypatch.setattr(machine, "machine", machine.machine.__wrapped__)
    softmax()
    assert len(made) == 2


@pytest.mark.parametrize(("name", "value"), [("GRAPHC_VERIFY", "1"), ("GRAPHC_CACHE", "0")])
def test_who_watches_or_wants_no_cache_gets_every_pass(
    name: str, value: str, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    softmax()
    monkeypatch.setenv(name, value)
    softmax()
    assert len(made) == 2


def test_where_the_compiler_is_not_known_nothing_is_kept(
    made: list[str], monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setattr(graph_compilation, "compiler_digest", lambda: None)
    softmax()
    entries = len(os.listdir(folder))
    softmax()
    assert len(made) == 2 and len(os.listdir(folder)) == entries


# --- damage ---------------------------------------------------------------------------------------


def record_and_object(folder: Path) -> tuple[Path, Path]:
    """Return the two entries of a program of one thread."""
    entries = [path for path in folder.iterdir() if b'"objects": ' in path.read_bytes()]
    (record,) = entries
    start = record.read_bytes().index(b'"objects": [["') + 14
    name = record.read_bytes()[start : start + 2 * object_cache.KEY_BYTES].decode()
    return record, folder / f"{name}.object"


@pytest.mark.parametrize("which", [0, 1], ids=["record", "object"])
@pytest.mark.parametrize("is_truncated", [False, True])
def test_a_damaged_entry_is_made_anew(
    which: int, is_truncated: bool, folder: Path, made: list[str]
) -> None:
    chance = random.Random(5)
    wanted = softmax()(X)[0].tobytes()
    path = record_and_object(folder)[which]
    for number in range(1, ROUNDS + 1):
        entry = bytearray(path.read_bytes())
        place = chance.randrange(len(entry))
        if is_truncated:
            del entry[place:]
        else:
            entry[place] ^= chance.randrange(1, 256)
        path.write_bytes(entry)
        assert softmax()(X)[0].tobytes() == wanted
        assert len(made) == 1 + number
    softmax()
    assert len(made) == 1 + ROUNDS


@pytest.mark.parametrize("which", [0, 1], ids=["record", "object"])
def test_a_missing_entry_is_made_anew(which: int, folder: Path, made: list[str]) -> None:
    softmax()
    record_and_object(folder)[which].unlink()
    softmax(), softmax()
    assert len(made) == 2


def test_the_record_of_another_program_is_made_anew(folder: Path, made: list[str]) -> None:
    softmax()
    own, _ = record_and_object(folder)
    kept = own.read_bytes()
    own.rename(folder.parent / "aside")
    graphc.compile(lambda x: x + 1.0).program(X)
    other, _ = record_and_object(folder)
    other.write_bytes(kept)
    assert graphc.compile(lambda x: x + 1.0)(X).tobytes() == (X + 1).tobytes()
    assert len(made) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"objects": []},
        {"objects": 1},
        {"objects": [["00", ["run"]]]},
        {"objects": [["zz" * 32, ["run"]]]},
        {"objects": [["00" * 32, ["run"]]]},
        {"objects": [["00" * 32, [1]]]},
        {"objects": [["00" * 32, []]]},
        {"workspace": -1},
        {"threads": 0},
        {"threads": 10**6},
        {"threads": "1"},
        {"long": 1},
        {"polled": None},
    ],
)
def test_a_record_that_describes_no_program_is_made_anew(
    change: dict[str, Any], folder: Path, made: list[str]
) -> None:
    wanted = softmax()(X)[0].tobytes()
    path, _ = record_and_object(folder)
    key = bytes.fromhex(path.stem)
    cache = object_cache.configured()
    assert cache is not None
    head, _, data = (cache.load(key) or b"").partition(b"\n")
    fields = json.loads(head)
    fields["code"] |= change
    cache.store(key, json.dumps(fields).encode() + b"\n" + data)
    assert softmax()(X)[0].tobytes() == wanted
    assert len(made) == 2


def test_an_object_that_does_not_link_is_made_anew(folder: Path, made: list[str]) -> None:
    wanted = softmax()(X)[0].tobytes()
    _, path = record_and_object(folder)
    cache = object_cache.configured()
    assert cache is not None
    cache.store(bytes.fromhex(path.stem), b"no object")
    assert softmax()(X)[0].tobytes() == wanted
    assert len(made) == 2


KILLED = """
import os, random, signal, sys, time
import numpy as np
import graphc
from graphc.backends.llvm.compilation import Code

x = np.linspace(-2, 2, 48, dtype=np.float32).reshape(6, 8)
chance = random.Random(3)

def run(number):
    return graphc.compile(lambda x: graphc.softmax(x * float(number)))(x).tobytes()

wanted = {}
os.environ["GRAPHC_CACHE"] = "0"
for number in range(4):
    wanted[number] = run(number)
os.environ["GRAPHC_CACHE"] = "1"
for round in range(int(sys.argv[1])):
    child = os.fork()
    if child == 0:
        while True:
            for number in range(4):
                run(number)
            graphc.backends.llvm.object_cache.configured().clear()
    time.sleep(chance.random() * 0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    number = round % 4
    assert run(number) == wanted[number]
print("done")
"""


def test_a_process_killed_while_it_compiles_leaves_nothing_wrong() -> None:
    # Python 3.12 warns of a fork beside NumPy's threads, which these children do not need
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", KILLED, str(ROUNDS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "done\n" and done.stderr == ""


# --- the next process -----------------------------------------------------------------------------

PROCESS = """
import json
import numpy as np
import graphc
from graphc.backends.llvm import library
from tests.graphc.test_recalled_programs import Trained, X, softmax

trained = Trained()
losses = trained.losses()
with_llvm = library.llvm.cache_info().currsize > 0
print(json.dumps([with_llvm, losses, softmax()(X)[0].tobytes().hex()]))
"""


def test_another_process_computes_the_same_without_llvm() -> None:
    runs = []
    for seed in "12":
        command = [sys.executable, "-c", PROCESS]
        environment = os.environ | {"PYTHONHASHSEED": seed}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        runs.append(json.loads(done.stdout))
    assert runs[0][1:] == runs[1][1:]
    assert loader.is_supported() == (not runs[1][0])


# --- loops ----------------------------------------------------------------------------------------


def looped() -> Program:
    def function(c: Any, x: Any) -> Any:
        def step(c: Any, x: Any) -> Any:
            new = graphc.tanh(c @ weights()[:, :5].T[:, :5] + x)
            return new, graphc.cond(new.sum() > 0, lambda a: a * 2, lambda a: a + 1, new)

        return graphc.scan(step, c, x)

    c, x = graphc.input((3, 5), name="c"), graphc.input((7, 3, 5), name="x")
    return graphc.compile(list(function(c, x)), inputs=[c, x])


def test_loops_are_found_on_disk(made: list[str]) -> None:
    rng = np.random.default_rng(0)
    given = [rng.standard_normal(s).astype(np.float32) for s in ((3, 5), (7, 3, 5))]
    wanted = [a.tobytes() for a in looped()(*given)]
    assert made == ["main"]
    found = looped()
    for _ in range(5):
        assert [a.tobytes() for a in found(*given)] == wanted
    assert made == ["main"]
    assert "repeat scan" in found.text("plan") and made == ["main", "main"]


def test_programs_that_call_the_host_are_made_anew(made: list[str]) -> None:
    for number in (1, 2):
        x = graphc.input(X.shape, name="x")
        given = graphc.compile([graphc.argsort(x)], inputs=[x])(X)[0]
        assert (given == np.argsort(X, kind="stable")).all() and len(made) == number
