"""Which kernels several threads can share: those with a parallel loop at their top level.

Memory that the top level itself holds belongs to one thread, which then has to do everything.
"""

from __future__ import annotations

from graphc.kernel import Guard, Kernel, Loop, LoopKind, Scratch, Statement, statements


def is_divisible(kernel: Kernel) -> bool:
    """Return whether several threads can share the work of `kernel`."""
    return not is_whole(kernel.body) and any(is_parallel(s) for s in statements(kernel.body))


def is_parallel(statement: Statement) -> bool:
    """Return whether iterations of a loop may be shared out."""
    return isinstance(statement, Loop) and statement.kind is LoopKind.PARALLEL


def is_whole(body: tuple[Statement, ...]) -> bool:
    """Return whether the top level holds scratch memory, so that one thread must do everything."""
    pending = list(body)
    while pending:
        statement = pending.pop()
        if isinstance(statement, Scratch):
            return True
        if isinstance(statement, Guard):
            pending.extend(statement.body)
    return False
