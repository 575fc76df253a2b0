"""From a graph to a program: the passes, a backend, and the programs that are kept on disk.

`compile_graph` finds a program that was compiled before by its graph, or takes the graph through
every pass and hands the plan to the backend. Only here do passes and backends meet. One compilation
runs at a time.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import ml_dtypes
import numpy as np

from graphc.backends import llvm  # which loads LLVM's library when something is compiled
from graphc.body import nested_bodies, rewrite_nested
from graphc.collection import paused_collection
from graphc.compiler_digest import compiler_digest
from graphc.executable import Backend, Executable, Remembers, Tunable
from graphc.graph import Graph
from graphc.graph_digest import digest
from graphc.graph_verifier import verify, verify_assignments
from graphc.node import Node, given_name
from graphc.observer import Observer
from graphc.ops.loops import no_reverse_mode, while_pullback
from graphc.passes import Compilation, Options, run_graph_passes, run_pipeline
from graphc.passes.expand_compositions import expand_compositions
from graphc.passes.round_operands import round_operands
from graphc.plan import Plan
from graphc.plan_record import constants_of, leaves_of
from graphc.process_lock import Rank, process_lock
from graphc.program import Made, Program, Stages
from graphc.target import Target

if TYPE_CHECKING:
    from graphc.tune import Tuner


BackendName: TypeAlias = Literal["llvm", "opencl", "reference"]
Precision: TypeAlias = Literal["float32", "bfloat16"]
BACKENDS: tuple[BackendName, ...] = ("llvm", "opencl", "reference")
# One lock for all compilations: LLVM serialises them anyway.
COMPILE_LOCK = process_lock(Rank.COMPILATION)


@dataclass(frozen=True, slots=True)
class Settings:
    """How to compile: the backend, and what the passes may do."""

    backend: BackendName
    options: Options
    donated: tuple[str, ...] = ()  # parameters of a function
    tune: bool = False
    check_numerics: bool = False

    def for_inputs(self, inputs: Sequence[Node]) -> Settings:
        """Return the settings for a graph of such inputs, named after parameters."""
        if not self.donated or self.check_numerics:
            return self
        owners = [given_name(node).split(".")[0] for node in inputs]
        numbers = frozenset(i for i, owner in enumerate(owners) if owner in self.donated)
        return replace(self, options=replace(self.options, donated=numbers))


def get_ready(backend: BackendName) -> None:
    """Let a backend begin with what it can do before a graph is there to be compiled."""
    if backend == llvm.BACKEND.name:
        with COMPILE_LOCK:
            llvm.BACKEND.get_ready()


def compile_graph(graph: Graph, settings: Settings) -> Program:
    """Return `graph` as a program."""
    with COMPILE_LOCK, paused_collection():
        if not settings.check_numerics:
            return _compile_graph(graph, settings)
        from graphc.numerics_check import CheckedExecutable  # rarely used

        unchecked = replace(settings, check_numerics=False)
        return _compile_graph(graph, unchecked).through(
            lambda executable: CheckedExecutable(executable, graph)
        )


def _compile_graph(graph: Graph, settings: Settings) -> Program:
    _refuse_pullbacks(graph)
    observer = Observer(graph)
    verify(graph) if observer.verifies else verify_assignments(graph)
    if settings.backend == "reference":
        from graphc.backends.reference import ReferenceExecutable  # rarely used

        meant = _meant(graph, settings.options.precision)
        made = Made(meant)
        return Program(ReferenceExecutable(meant), Stages(graph, lambda: made), settings.backend)
    backend = _backend(settings.backend)
    if not backend.takes_donations:
        options = replace(settings.options, donated=frozenset())
        settings = replace(settings, options=options)
    is_new = settings.tune or observer.is_watching  # made anew, whatever is kept
    content = key = None
    if isinstance(backend, Remembers):
        backend.get_ready(is_missing=is_new)
        content = _content(graph) if backend.remembers() and not is_new else None
    target = backend.target()
    if isinstance(backend, Remembers):
        key = None if content is None else _key(content, target, settings, backend.machine_text())
        recalled = None if key is None else _recall(key, graph, target, settings, backend, observer)
        if recalled is not None:
            return recalled
        backend.get_ready(is_missing=True)
    tuner = _tuner(backend, target) if settings.tune else None
    made = _run_passes(graph, target, settings.options, observer, tuner)
    plan = made.plan
    assert plan is not None
    start = time.perf_counter()
    executable: Executable = backend.compile(plan)
    if key is not None and isinstance(backend, Remembers):
        optimised = made.optimised
        backend.remember(key, executable, leaves_of(graph, lambda: constants_of(optimised)))
    observer.compiled(executable, backend.stages, time.perf_counter() - start)
    stages = Stages(graph, lambda: made, observer.seconds)
    return Program(executable, stages, settings.backend, backend.stages)


def _refuse_pullbacks(graph: Graph) -> None:
    """Raise GraphcTypeError where a gradient goes back through a loop of unknown length."""
    graphs = [graph, *(body.graph for body in nested_bodies(graph.tuples))]
    for node in (node for g in graphs for node in g.nodes):
        if node.op is while_pullback:
            raise no_reverse_mode(node.line)


def _meant(graph: Graph, precision: str) -> Graph:
    """Return the graph whose references say what is meant; what rounds operands has to see them."""
    if precision == "float32":
        return graph
    expanded = rewrite_nested(graph, expand_compositions)
    return rewrite_nested(expanded, partial(round_operands, precision=precision))


def _backend(name: str) -> Backend:
    module = llvm if name == "llvm" else importlib.import_module(f"graphc.backends.{name}")
    backend: Backend = module.BACKEND
    return backend


def _run_passes(
    graph: Graph,
    target: Target,
    options: Options,
    observer: Observer,
    tuner: Tuner | None = None,
) -> Made:
    state = Compilation(graph, target, options)
    if tuner is not None:
        state = replace(state, choose=tuner)
    state = run_pipeline(state, observer.after)
    tuned = {} if tuner is None else tuner.found
    return Made(state.graph, state.grouping, state.plan, tuned)


def _content(graph: Graph) -> bytes | None:
    """Return the digests of the compiler and the graph, or None where one cannot be told."""
    compiler = compiler_digest()
    content = None if compiler is None else digest(graph)
    return None if compiler is None or content is None else compiler + content


def _key(content: bytes, target: Target, settings: Settings, machine: str) -> bytes:
    """Return the digest of all that a program depends on."""
    versions = (sys.version_info[:3], np.__version__, ml_dtypes.__version__)
    parts = repr((settings, target, machine, versions)).encode()
    return hashlib.sha256(b"".join([b"program ", content, parts])).digest()


def _recall(
    key: bytes,
    graph: Graph,
    target: Target,
    settings: Settings,
    backend: Remembers,
    observer: Observer,
) -> Program | None:
    """Return the program that is kept on disk under `key`; its stages are made when asked for."""
    start = time.perf_counter()
    stages = Stages(
        graph,
        lambda: _run_passes(graph, target, settings.options, Observer(graph)),
        observer.seconds,
    )

    def plan() -> Plan:
        assert stages.plan is not None
        return stages.plan

    def folded() -> tuple[np.ndarray[Any, Any], ...]:
        return constants_of(run_graph_passes(Compilation(graph, target, settings.options)).graph)

    executable = backend.recall(key, leaves_of(graph, folded), target, plan)
    if executable is None:
        return None
    observer.recalled(time.perf_counter() - start)
    return Program(executable, stages, settings.backend, backend.stages)


def _tuner(backend: Backend, target: Target) -> Tuner:
    from graphc.tune import Tuner  # rarely used

    assert isinstance(backend, Tunable)  # others are refused with the arguments
    return Tuner(backend, target)
