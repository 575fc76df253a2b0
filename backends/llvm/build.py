"""From a plan to code that is ready to be called, compiled now or found on disk.

What is kept on disk of a program is a record of its plan (`graphc.plan_record`) and, under a key of
its own, the object of its module; the record names that key. A program without its object is no
program: `recall` finds nothing then, and all is made anew. The text of a recalled program is made
by running the passes again, when somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from graphc.backends.llvm import object_cache, team
from graphc.backends.llvm.compilation import Code, Emission, Objects, load_modules
from graphc.backends.llvm.layout import BARRIER, DISPATCH, HOST, POLL, Layout, slots_of
from graphc.backends.llvm.machine import Machine, machine_of
from graphc.backends.llvm.team_code import MOST_MEMBERS
from graphc.plan import Plan
from graphc.plan_record import Leaves, pack, unpack
from graphc.target import Target

CLOCK = "clock_gettime"  # of timed programs
_LIBRARY = ("fma", "memset", "memcpy")  # what emitted code may call of the C library


@dataclass(frozen=True, slots=True)
class Built:
    """A program as code. `plan` has no launches and checks if it was recalled; `whole()` has."""

    plan: Plan
    machine: Machine
    layout: Layout
    code: Code
    whole: Callable[[], Plan]
    is_timed: bool = False

    def texts(self) -> tuple[str, ...]:
        """Return the modules as LLVM reads them."""
        from graphc.backends.llvm.program import write_program  # not needed by recalled programs

        program = write_program(self.whole(), self.machine, is_timed=self.is_timed)
        return tuple(module.text for module in program.modules)


def build(plan: Plan, machine: Machine, *, is_timed: bool = False) -> Built:
    """Return `plan` compiled for `machine`; `timing` says what `is_timed` adds."""
    from graphc.backends.llvm.program import write_program  # not needed by recalled programs

    with Emission(machine, max(1, plan.target.cores - 1)) as emission:
        program = write_program(plan, machine, is_timed=is_timed, finished=emission.begin)
        layout = program.layout
        code = emission.finish(program.modules[0], lambda: _imports(layout, is_timed))
    return Built(plan, machine, layout, code, lambda: plan, is_timed)


def _imports(layout: Layout, is_timed: bool = False) -> dict[str, int]:
    """Return the addresses of the functions outside of the modules that they call."""
    names = (*_LIBRARY, CLOCK) if is_timed else _LIBRARY
    imports = {name: team.c_function(name) for name in names}
    if layout.threads > 1:
        symbols = team.symbols()
        imports |= {DISPATCH: symbols["run"], BARRIER: symbols["barrier"]}
    if layout.is_polled:
        imports[POLL] = team.symbols()["poll"]
    if layout.calls_host:
        imports[HOST] = team.symbols()["host"]
    return imports


def remember(key: bytes, built: Built, leaves: Leaves) -> None:
    """Keep a program whose plan is over `leaves` under `key`, where anything is kept.

    A program that calls host functions is not kept: they are found by the passes alone.
    """
    cache = object_cache.configured()
    if cache is None or not built.code.objects or built.layout.calls_host:
        return
    code = {
        "objects": [(object_key.hex(), names) for object_key, names in built.code.objects],
        "workspace": built.layout.workspace_bytes,
        "threads": built.layout.threads,
        "long": built.layout.is_long,
        "polled": built.layout.is_polled,
    }
    record = pack(built.plan, leaves, code)
    if record is not None:
        cache.store(key, record)


def recall(key: bytes, leaves: Leaves, target: Target, whole: Callable[[], Plan]) -> Built | None:
    """Return the program kept under `key`, over `leaves`; None where there is none."""
    cache = object_cache.configured()
    record = None if cache is None else cache.load(key)
    unpacked = None if record is None else unpack(record, leaves, target)
    if unpacked is None:
        return None
    plan, kept = unpacked
    layout, objects = _layout(plan, kept), _objects(kept)
    if layout is None or objects is None:
        return None
    code = load_modules(objects, lambda: _imports(layout))
    return None if code is None else Built(plan, machine_of(target), layout, code, whole)


def _layout(plan: Plan, kept: Mapping[str, Any]) -> Layout | None:
    workspace, threads = kept.get("workspace"), kept.get("threads")
    is_long, is_polled = kept.get("long"), kept.get("polled")
    if type(workspace) is not int or type(threads) is not int:
        return None
    if type(is_long) is not bool or type(is_polled) is not bool:
        return None
    is_possible = workspace >= 0 and 1 <= threads <= MOST_MEMBERS
    return Layout(slots_of(plan), workspace, threads, is_long, is_polled) if is_possible else None


def _objects(kept: Mapping[str, Any]) -> Objects | None:
    try:
        objects = tuple((bytes.fromhex(key), tuple(names)) for key, names in kept["objects"])
    except (KeyError, TypeError, ValueError):
        return None
    is_named = all(isinstance(name, str) for _, names in objects for name in names)
    is_keyed = all(len(key) == object_cache.KEY_BYTES for key, _ in objects)
    is_entry = bool(objects) and objects[0][1] == ("run",)
    return objects if is_named and is_keyed and is_entry else None
