"""Lowering: from a grouping to kernels, one for each group, naive and in the order of the groups.

Kernels say what is computed and in which order numbers are combined, nothing about how: every loop
whose iterations are independent is `parallel`, every other is `serial`. Groups that compute the
same over equal types share one `Kernel` object; two different kernels have different names. Buffers
are named by their order of use, so the node of each is told by `Call.operands`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from graphc.body import Body
from graphc.errors import InternalError
from graphc.group import Group, Grouping
from graphc.index import LoopVariable, as_index
from graphc.kernel import (
    Access,
    Buffer,
    Kernel,
    Let,
    Load,
    Loop,
    LoopKind,
    Statement,
    Store,
    Value,
    statements,
)
from graphc.op import Concatenation, Scatter
from graphc.passes.iteration_space import takes_whole
from graphc.passes.lower_elements import row_of
from graphc.passes.lower_emitter import Emitter
from graphc.passes.lower_nests import emit_concatenation, emit_rows, emit_scatter
from graphc.passes.lower_whole import lower_whole
from graphc.plan import STATUS, BodyPlan, Call, Check, PlanBranch, PlanLoop
from graphc.tensor_type import TensorType


@dataclass(frozen=True, slots=True)
class Lowered:
    """The calls of kernels, in an order in which they can run, and the checks that they make."""

    calls: tuple[Call, ...]
    checks: tuple[Check, ...]

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """The distinct kernels but for those of bodies, in order of first use."""
        routines = (call.routine for call in self.calls)
        return tuple(dict.fromkeys(r for r in routines if isinstance(r, Kernel)))

    @property
    def all_kernels(self) -> tuple[Kernel, ...]:
        """The distinct kernels, and behind them those of bodies, which are scheduled already."""
        routines = (call.routine for call in self.calls)
        holders = (r for r in routines if isinstance(r, PlanLoop | PlanBranch))
        inner = (k for holder in holders for body in holder.bodies for k in body.plan.kernels)
        return tuple(dict.fromkeys((*self.kernels, *inner)))


class _SharedKernels:
    """Gives one object for equal kernels, and different names to different ones."""

    def __init__(self) -> None:
        self._kernels: dict[Any, Kernel] = {}
        self._names: dict[str, int] = {}

    def kernel(self, name: str, buffers: tuple[Buffer, ...], body: tuple[Statement, ...]) -> Kernel:
        # 0.0 == -0.0 and 1 == True, so that literals are compared by their spelling as well
        literals = tuple(
            repr(s.payload)
            for s in statements(body)
            if isinstance(s, Let) and s.payload is not None
        )
        key = (buffers, body, literals)
        found = self._kernels.get(key)
        if found is None:
            number = self._names[name] = self._names.get(name, 0) + 1
            unique = name if number == 1 else f"{name}_{number}"
            found = self._kernels[key] = Kernel(unique, buffers, body)
        return found


@dataclass(frozen=True)
class Common:
    """What the graph and the bodies in it have in common: kernels, checks, and how to plan those.

    `plan_body(body, carries, common)`
    """

    plan_body: Callable[[Body, int, Common], BodyPlan]
    checks: list[Check] = field(default_factory=list)
    kernels: _SharedKernels = field(default_factory=_SharedKernels)
    _planned: dict[tuple[Body, int], BodyPlan] = field(default_factory=dict)

    def planned(self, body: Body, carries: int) -> BodyPlan:
        """Return the plan of a body; equal ones are planned once."""
        if (body, carries) not in self._planned:
            self._planned[body, carries] = self.plan_body(body, carries, self)
        return self._planned[body, carries]


def _refuse(body: Body, _carries: int, _common: Common) -> BodyPlan:
    raise InternalError(f"{body!r} is lowered, and nobody plans it")


def lower(grouping: Grouping, common: Common | None = None) -> Lowered:
    """Return a call of a naive kernel for every group; loops and branches come with their plans.

    Guarantees: each output of a group is an `out` (a scatter's: `inout`) buffer of its kernel;
    every top-level statement is a loop or a barrier; the bits of results depend on shapes only, not
    on the grouping.
    """
    common = common or Common(_refuse)
    calls = tuple(_lower_group(group, common) for group in grouping.groups)
    return Lowered(calls, tuple(common.checks))


def _lower_group(group: Group, common: Common) -> Call:
    whole = next((node for node in group.members if takes_whole(node)), None)
    if whole is not None:
        return lower_whole(group, whole, common.planned)
    emitter = Emitter(group.members, row_of, common.checks)
    last = group.members[-1]
    if isinstance(last.op.lowering, Concatenation):
        emit_concatenation(emitter, last)
    elif isinstance(last.op.lowering, Scatter):
        emit_scatter(emitter, last)
    else:
        emit_rows(emitter, group.members, group.outputs)
    operands = sorted(emitter.buffers, key=lambda o: _position(emitter.buffers[o]))
    buffers = tuple(emitter.buffers[operand] for operand in operands)
    return Call(common.kernels.kernel(group.name, buffers, emitter.statements()), tuple(operands))


def _position(buffer: Buffer) -> int:
    """Return the place of a buffer in a kernel: what is read, what is written, the status."""
    if buffer.name == STATUS:
        return 2
    return 0 if buffer.access is Access.IN else 1


def copy_kernel(type_: TensorType) -> Kernel:
    """Return the kernel that copies an array of this type, seen as one axis."""
    flat = TensorType((type_.size,), type_.dtype)
    variable = LoopVariable("i0", type_.size)
    value = Value("load_0", type_.dtype)
    place = (as_index(variable),)
    inner: tuple[Statement, ...] = (Load(value, "x0", place), Store("y0", place, value))
    buffers = (Buffer("x0", flat, Access.IN), Buffer("y0", flat, Access.OUT))
    loop = Loop(variable, LoopKind.PARALLEL, inner)
    return Kernel(f"copy_{type_.dtype}_{type_.size}", buffers, (loop,))
