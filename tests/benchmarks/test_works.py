"""The works: that all are found, and that graphc computes what the reference says."""

from __future__ import annotations

import re

import numpy as np
import pytest

from benchmarks import works
from benchmarks.engines import ENGINES
from benchmarks.runner import difference, reference
from benchmarks.work import Work, find_work, find_works, integers, normal, short

WORKS = find_works()
SMALL = [  # quick to compile and to run
    "call with 4 arguments",
    "program with 1 argument",
    "chain 1K",
    "gelu 1K",
    "softmax 64K",
    "layer norm 64K",
    "matmul 64",
    "matmul 127x513x1000",
    "matmul 64 of 64x64x64",
    "chain of 100 nodes, first call",
    "tree of 100 nodes, first call",
    "transpose 1024x1024 1,0",
    "sum 4096x1024 axis 0",
    "embedding 4096 of 30000x256",
    "embedding gradient 4096 of 30000x256",
]


def test_every_file_adds_works() -> None:
    from pathlib import Path

    folder = Path(works.__path__[0])
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert len(WORKS) >= 50
    assert files == {
        name for name in files if re.search("WORKS", (folder / f"{name}.py").read_text())
    }


def test_two_works_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.works import gelu

    monkeypatch.setattr(gelu, "WORKS", [gelu.WORKS[0], gelu.WORKS[0]])
    with pytest.raises(ValueError, match="two works are called 'gelu 1K'"):
        find_works()


@pytest.mark.parametrize("name", SMALL)
def test_graphc_computes_what_the_reference_says(name: str) -> None:
    work = find_work(name)
    runner = ENGINES["graphc"].prepare(work, work.inputs(), 1)()
    expected = reference(work)
    if expected is None:  # the sum of one argument and 1
        expected = [np.asarray(work.inputs()[0] + 1)]
    assert difference(runner.read(runner.call()), expected, work.tolerance) == ""


def test_the_training_step_descends() -> None:
    work = find_work("mlp step")
    runner = ENGINES["graphc"].prepare(work, work.inputs(), 1)()
    losses = [float(runner.call()) for _ in range(6)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("work", WORKS.values(), ids=WORKS)
def test_declarations_are_complete(work: Work) -> None:
    assert work.graphc is not None
    assert any([work.torch, work.jax, work.onnx])
    assert work.numpy is not None or work.stateful
    assert work.onnx is None or re.fullmatch(r"\(.*\) => \(.*\).*\{.*\}", work.onnx, re.DOTALL)


def test_inputs_are_the_same_each_time() -> None:
    assert np.array_equal(normal(3, 4), normal(3, 4))
    assert not np.array_equal(normal(3, 4), normal(3, 4, seed=1))
    assert normal(2).dtype == np.float32
    assert set(integers(3, 100)) == {0, 1, 2}


@pytest.mark.parametrize(
    ("count", "spelled"), [(1000, "1000"), (1024, "1K"), (65536, "64K"), (1 << 24, "16M")]
)
def test_sizes_are_spelled_short(count: int, spelled: str) -> None:
    assert short(count) == spelled
