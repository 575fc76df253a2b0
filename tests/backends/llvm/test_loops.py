"""Loops and branches in native code: the reference's values, the same bits however they are run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

import graphc
from graphc import Tensor
from graphc.api import Settings, compile_graph
from graphc.backends.llvm import BACKEND, polling
from graphc.graph import Graph
from graphc.passes import Compilation, Options, run_pipeline
from tests.backends.llvm.harness import CPUS
from tests.backends.llvm.loop_graphs import (
    GRAPHS,
    LLVM,
    REFERENCE,
    Array,
    V,
    arguments_of,
    bits,
    chosen,
    graph_of,
    recurrent,
    scan,
    share_everything,
    typed,
    wide_odd_rows,
)
from tests.graphc.loop_graphs import close


@pytest.mark.parametrize("name", GRAPHS)
def test_loops_have_the_references_values(name: str) -> None:
    graph = GRAPHS[name]()
    given = arguments_of(graph)
    wanted = compile_graph(graph, REFERENCE)(*given)
    program = compile_graph(graph, LLVM)
    for _ in range(5):  # by way of Python, then natively
        for got, want in zip(program(*given), wanted, strict=True):
            np.testing.assert_allclose(got, want, rtol=2e-5, atol=1e-6)
    plain = compile_graph(graph, Settings("llvm", Options(optimise=False)))
    for got, want in zip(plain(*given), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("threads", [2, 3, 4, 8])
@pytest.mark.parametrize("name", GRAPHS)
def test_any_number_of_threads_gives_the_same_bits(
    name: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = GRAPHS[name]()
    given = arguments_of(graph)
    wanted = bits(compile_graph(graph, LLVM)(*given))
    share_everything(monkeypatch)
    monkeypatch.setenv("GRAPHC_NUM_THREADS", str(threads))
    program = compile_graph(graph, LLVM)
    for _ in range(12):
        assert bits(program(*given)) == wanted


@pytest.mark.parametrize("name", GRAPHS)
def test_loops_that_poll_and_may_end_give_the_same_bits(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = GRAPHS[name]()
    given = arguments_of(graph)
    wanted = bits(compile_graph(graph, LLVM)(*given))
    monkeypatch.setattr(polling, "STEPS_PER_POLL", 200)
    for threads in ("1", "3"):
        monkeypatch.setenv("GRAPHC_NUM_THREADS", threads)
        program = compile_graph(graph, LLVM)
        assert all(bits(program(*given)) == wanted for _ in range(5))
        share_everything(monkeypatch)


def on(cpu: str, graph: Graph, given: Sequence[Array]) -> list[bytes]:
    state = run_pipeline(Compilation(graph, replace(BACKEND.target(cpu), cores=2), Options()))
    assert state.plan is not None
    return bits(BACKEND.compile(state.plan).run(given))


@pytest.mark.parametrize("name", GRAPHS)
def test_every_cpu_level_gives_the_same_bits(name: str) -> None:
    graph = GRAPHS[name]()
    given = arguments_of(graph)
    assert len({tuple(on(cpu, graph, given)) for cpu in CPUS}) == 1


def test_arguments_are_never_written() -> None:
    for make in GRAPHS.values():
        graph = make()
        given = arguments_of(graph)
        before = bits(given)
        compile_graph(graph, LLVM)(*given)
        assert bits(given) == before


@pytest.mark.parametrize(
    ("number", "branch"), [(-5, 0), (0, 0), (1, 1), (2, 2), (3, 2), (2**31 - 1, 2)]
)
def test_the_number_of_a_branch_is_moved_into_range(number: int, branch: int) -> None:
    graph = chosen()
    _, x, y = arguments_of(graph)
    program = compile_graph(graph, LLVM)
    wanted = program(np.int32(branch), x, y)
    assert bits(program(np.int32(number), x, y)) == bits(wanted)


# --- memory, kernels, time of compiling -----------------------------------------------------------


def test_a_carry_that_fits_stays_where_it_is() -> None:
    body = close(lambda c, x: (c * 2 + x,), typed(1000), typed(1000))
    graph = graph_of(
        lambda c, x: [scan(body, [c + 1], stacked=[x], length=50)[0] * 3],
        typed(1000), typed(50, 1000),
    )  # fmt: skip
    plan = compile_graph(graph, LLVM).stages.plan
    assert plan is not None
    # its first value is made where its last one will be: one block, and the flags
    assert plan.arena_bytes <= 4032 + 128
    assert not any("copy" in kernel.name for kernel in plan.kernels)


def test_a_carry_that_moves_has_two_blocks() -> None:
    body = close(lambda m, a: (m @ a,), typed(64, 64), typed(64, 64))
    graph = graph_of(lambda m, a: scan(body, [m], [a], length=50), typed(64, 64), typed(64, 64))
    plan = compile_graph(graph, LLVM).stages.plan
    assert plan is not None
    assert plan.arena_bytes <= 64 * 64 * 4 + 128  # the other block is the output


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("threads", ["1", "3"])
def test_old_carries_lie_in_the_slices_of_their_output(
    threads: str, reverse: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHC_NUM_THREADS", threads)
    share_everything(monkeypatch)
    body = close(lambda c, x: (graphc.tanh(c) * 0.5 + x, x + 1, c), typed(200), typed(200))
    graph = graph_of(
        lambda c, x: scan(body, [c], stacked=[x], length=6, reverse=reverse),
        typed(200), typed(6, 200),
    )  # fmt: skip
    program = compile_graph(graph, LLVM)
    plan = program.stages.plan
    assert plan is not None and plan.arena_bytes <= 128
    assert not any("copy" in kernel.name for kernel in plan.kernels)
    given = arguments_of(graph)
    wanted = compile_graph(graph, REFERENCE)(*given)
    for _ in range(5):
        for got, want in zip(program(*given), wanted, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-6)


def test_a_carry_that_lies_in_two_outputs_is_copied_to_the_second() -> None:
    body = close(lambda a, b: (a + b, b, a, b, a), V, V)
    graph = graph_of(lambda a, b: scan(body, [a, b], length=5), V, V)
    given = arguments_of(graph)
    wanted = compile_graph(graph, REFERENCE)(*given)
    for got, want in zip(compile_graph(graph, LLVM)(*given), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6)


def test_compiling_does_not_depend_on_the_length() -> None:
    texts = []
    for length in (100, 100_000):
        body = close(lambda c, x: (c * 0.5 + x, c), typed(4), typed(4))
        graph = graph_of(
            lambda c, x, body=body, n=length: scan(body, [c], stacked=[x], length=n),
            typed(4), typed(length, 4),
        )  # fmt: skip
        texts.append(compile_graph(graph, LLVM).text("llvm"))
    assert abs(len(texts[0]) - len(texts[1])) < 1500  # polls


def test_equal_bodies_share_their_kernels() -> None:
    def function(a: Tensor, k: Tensor, x: Tensor) -> list[Tensor]:
        body = close(lambda a, k, x: (graphc.exp(a * k) + x,), V, V, V)
        (one,) = scan(body, [a], [k], [x], length=3)
        (two,) = scan(body, [one], [k], [x], length=3, reverse=True)
        return [two]

    program = compile_graph(graph_of(function, V, V, typed(3, 5)), LLVM)
    assert len(program.kernels) == 1
    assert len(re.findall(r"define internal void @\S*kernel", program.text("llvm"))) == 1


def test_texts_explanations_and_profiles_show_steps() -> None:
    graph = recurrent()
    program = compile_graph(graph, LLVM)
    plan = program.text("plan")
    assert "repeat scan(" in plan and "\n    barrier, run " in plan
    assert "body, 11 times" in program.explain() and "\n    group 0 " in program.explain()
    profile = program.profile(*arguments_of(graph), repeat=2)
    assert [row.depth for row in profile.rows] == [0, 0, 1, 1]
    product, loop, *inner = profile.rows  # that with the slices, which no carry needs, is outside
    assert loop.kernel == "scan" != product.kernel
    assert sum(row.median for row in inner) <= loop.median * 1.5
    assert abs(sum(row.share for row in profile.rows if not row.depth) - 1) < 1e-6
    assert "scan" in str(profile)


def test_slices_are_aligned_to_their_elements_alone() -> None:
    text = compile_graph(wide_odd_rows(), LLVM).text("llvm")
    (head,) = re.findall(r'define internal void @"kernel.*', text)
    assert set(re.findall(r"align (\d+)", head)) == {"4"}
