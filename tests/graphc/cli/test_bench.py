"""`graphc bench`: what it measures is there, its inputs fit, and bad arguments are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from graphc.cli import main
from graphc.random_arrays import random_arrays
from graphc.tensor_type import tensor_type

SOURCE = """
import graphc

x = graphc.input((4, 6), name="x")
program = graphc.compile([graphc.softmax(x)], inputs=[x], name="softmax")

@graphc.compile
def pick(table, index):
    return graphc.take(table, index, axis=0)
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = tmp_path_factory.mktemp("cli") / "example_of_bench.py"
    path.write_text(SOURCE)
    return str(path)


def test_json_holds_times_and_profile(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["bench", f"{file}:program", "--repeat", "3", "--kernels", "--json"]
    assert main(command) == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert err == "" and report["program"] == "softmax" and report["calls"] == 3
    assert report["inputs"] == ["float32[4, 6]"]
    assert 0 < report["minimum"] <= report["median"] and report["first"] > 0
    assert report["compile"] > 0
    assert report["calls_per_second"] == pytest.approx(1 / report["median"])
    assert len(report["profile"]["rows"]) == 1 and report["profile"]["repeat"] == 3


def test_the_table_names_everything(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", f"{file}:program", "--repeat", "2"]) == 0
    out = capsys.readouterr().out
    words = ("compilation", "first call", "median", "of 2 calls", "minimum", "calls a second")
    assert all(word in out for word in words) and "roofline" not in out
    assert main(["bench", f"{file}:program", "--repeat", "2", "--kernels"]) == 0
    assert "roofline" in capsys.readouterr().out


def test_functions_are_compiled_for_the_types_given(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    types = ["--input", "float32[10,2]", "--input", "int64[3]"]
    assert main(["bench", f"{file}:pick", *types, "--repeat", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["inputs"] == ["float32[10, 2]", "int64[3]"]


def test_integers_out_of_bounds_name_the_option(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    types = ["--input", "float32[1,2]", "--input", "int64[30]", "--repeat", "1"]
    assert main(["bench", f"{file}:pick", *types]) == 2
    assert "lower --integers-below" in capsys.readouterr().err
    assert main(["bench", f"{file}:pick", *types, "--integers-below", "1"]) == 0


@pytest.mark.parametrize("option", ["--repeat", "--integers-below"])
@pytest.mark.parametrize("value", ["0", "-3", "two"])
def test_counts_are_positive(
    option: str, value: str, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["bench", f"{file}:program", f"{option}={value}"])
    assert stopped.value.code == 2 and "is no positive integer" in capsys.readouterr().err


def test_inputs_are_random_small_and_the_same_each_time() -> None:
    names = ("float32", "bfloat16", "float64", "int8", "uint64", "bool")
    types = [tensor_type((100,), name) for name in names]
    arrays = random_arrays(types, 10)
    for array, again, type_ in zip(arrays, random_arrays(types, 10), types, strict=True):
        assert array.dtype == type_.dtype.numpy and array.shape == (100,)
        assert array.tobytes() == again.tobytes()
        if type_.dtype.kind in ("int", "uint"):
            assert array.min() == 0 and array.max() == 9
        if type_.dtype.is_float:
            assert np.unique(array.astype(np.float64)).size > 50
    (small,) = random_arrays([tensor_type((1000,), "int8")], 1000)
    assert small.min() >= 0
