"""How much work a kernel is: an estimate that decides whether waking threads is worth it.

A *step* is one statement carried out once, for a vector of elements if it stands in a vector loop.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from weakref import WeakKeyDictionary

from graphc.backends.llvm.division import is_divisible
from graphc.dtypes import DType
from graphc.kernel import Guard, Kernel, Let, Loop, LoopKind, Statement
from graphc.op import scalar_program
from graphc.plan import PlanBranch, PlanLoop, Routine
from graphc.scalar import PRIMITIVES

# About seven microseconds of one core: a step of a vector takes 0.03 to 0.1 ns for each 8 elements.
# Waking a thread that still spins costs one, waking one that sleeps twenty.
STEPS_PER_THREAD = 98_304
_ITERATION_STEPS = 64  # of a loop over plans, besides what it runs
_UNKNOWN_LENGTH = 1 << 20
_FEWEST_CALL_STEPS = 16  # of a declared op


_parallel_steps: WeakKeyDictionary[Kernel, int] = WeakKeyDictionary()


def parallel_steps(kernel: Kernel) -> int:
    """Return the steps inside the parallel loops at the top level of `kernel`; counted once."""
    found = _parallel_steps.get(kernel)
    if found is None:
        loops = (s for s in kernel.body if isinstance(s, Loop) and s.kind is LoopKind.PARALLEL)
        found = _parallel_steps[kernel] = sum(map(_steps, loops)) if is_divisible(kernel) else 0
    return found


def threads_for(routine: Routine) -> int:
    """Return how many threads the work of one run of a routine keeps busy."""
    if isinstance(routine, PlanLoop | PlanBranch):
        inner = (step.routine for body in routine.bodies for step in body.plan.steps)
        return max(map(threads_for, inner), default=1)
    if not isinstance(routine, Kernel):
        return 1
    return max(1, parallel_steps(routine) // STEPS_PER_THREAD)


def steps(routine: Routine) -> int:
    """Return the steps of all of a routine; a host function has none of its own.

    A loop of unknown length counts as a long one, a branch as its longest body.
    """
    if isinstance(routine, Kernel):
        return steps_of(routine.body)
    if isinstance(routine, PlanLoop):
        count = _UNKNOWN_LENGTH if routine.length is None else routine.length
        return count * steps_of_iteration(routine)
    if isinstance(routine, PlanBranch):
        return max(sum(steps(s.routine) for s in body.plan.steps) for body in routine.bodies)
    return 0


def steps_of_iteration(loop: PlanLoop) -> int:
    """Return the steps of one iteration of `loop`."""
    inner = (step.routine for body in loop.bodies for step in body.plan.steps)
    return _ITERATION_STEPS + sum(map(steps, inner))


def steps_of(body: Iterable[Statement]) -> int:
    """Return the steps of some statements, each carried out once."""
    return sum(map(_steps, body))


def _steps(statement: Statement) -> int:
    if isinstance(statement, Loop):
        inner = sum(map(_steps, statement.body))
        copies = -(-statement.variable.extent // 8)
        return inner * (copies if statement.kind is LoopKind.VECTOR else statement.variable.extent)
    if isinstance(statement, Guard):
        return sum(map(_steps, statement.body))
    if not isinstance(statement, Let) or statement.op in PRIMITIVES:
        return 1
    parameters = tuple(o.dtype.compute for o in statement.operands)
    return _call_steps(statement.op, parameters, statement.result.dtype.compute)


@cache
def _call_steps(name: str, parameters: tuple[DType, ...], result: DType) -> int:
    """Return the instructions of a declared op's formula; what it does rarely does not count."""
    instructions = scalar_program(name, parameters, result).instructions
    return max(_FEWEST_CALL_STEPS, sum(i.name != "literal" for i in instructions))
