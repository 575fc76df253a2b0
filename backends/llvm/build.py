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
from graphc.backends.llvm.compilation import Code, compile_module, load_module
from graphc.backends.llvm.layout import BARRIER, DISPATCH, Layout, slots_of
from graphc.backends.llvm.machine import Machine, machine_of
from graphc.plan import Plan
from graphc.plan_record import Leaves, pack, unpack
from graphc.target import Target

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

    def text(self) -> str:
        """Return the module as LLVM reads it."""
        from graphc.backends.llvm.program import write_program  # not needed by recalled programs

        return write_program(self.whole(), self.machine, is_timed=self.is_timed).text


def build(plan: Plan, machine: Machine, *, is_timed: bool = False) -> Built:
    """Return `plan` compiled for `machine`; `timing` says what `is_timed` adds."""
    from graphc.backends.llvm import timing  # not needed by recalled programs
    from graphc.backends.llvm.program import write_program  # as above

    program = write_program(plan, machine, is_timed=is_timed)
    imports, exports = _imports(program.layout), ["run"]
    if is_timed:
        imports[timing.CLOCK] = team.c_function(timing.CLOCK)
        exports.append(timing.TIMES)
    code = compile_module(program.text, machine, tuple(exports), imports)
    return Built(plan, machine, program.layout, code, lambda: plan, is_timed)


def _imports(layout: Layout) -> dict[str, int]:
    """Return the addresses of the functions outside of the module that it calls."""
    imports = {name: team.c_function(name) for name in _LIBRARY}
    if layout.threads > 1:
        symbols = team.symbols()
        imports |= {DISPATCH: symbols["run"], BARRIER: symbols["barrier"]}
    return imports


def remember(key: bytes, built: Built, leaves: Leaves) -> None:
    """Keep a program whose plan is over `leaves` under `key`, where anything is kept."""
    cache = object_cache.configured()
    if cache is None or built.code.key is None:
        return
    code = {
        "object": built.code.key.hex(),
        "workspace": built.layout.workspace_bytes,
        "threads": built.layout.threads,
        "long": built.layout.is_long,
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
    layout, object_key = _layout(plan, kept), _object_key(kept)
    if layout is None or object_key is None:
        return None
    code = load_module(object_key, ("run",), _imports(layout))
    return None if code is None else Built(plan, machine_of(target), layout, code, whole)


def _layout(plan: Plan, kept: Mapping[str, Any]) -> Layout | None:
    workspace, threads, is_long = (kept.get(name) for name in ("workspace", "threads", "long"))
    if type(workspace) is not int or type(threads) is not int or type(is_long) is not bool:
        return None
    is_possible = workspace >= 0 and 1 <= threads <= max(1, plan.target.cores)
    return Layout(slots_of(plan), workspace, threads, is_long) if is_possible else None


def _object_key(kept: Mapping[str, Any]) -> bytes | None:
    try:
        key = bytes.fromhex(kept["object"])
    except (KeyError, TypeError, ValueError):
        return None
    return key if len(key) == object_cache.KEY_BYTES else None
