"""The modules of a program while they are written, one after the other.

The kernels of a large program are spread over a few modules, so that several threads compile them.
A module is handed over as soon as it is complete, to be compiled while the next one is written. The
largest kernels come first, and the entry's module is the last. What stands in which module follows
from the kernels and the number of cores alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from graphc.backends.llvm import polling
from graphc.backends.llvm.kernels import BufferFacts, Written, write_kernel
from graphc.backends.llvm.layout import POLL
from graphc.backends.llvm.module import Features, Module, ModuleText
from graphc.kernel import Guard, Kernel, Loop, LoopKind, Statement

# LLVM takes some ten milliseconds for so many statements, and 1.4 for a module of none.
_STATEMENTS_A_PART = 200
# More than one: what is written first is begun early, and in the end all cores have work.
_PARTS_A_CORE = 2
_MOST_PARTS = 8
_LINES_A_STATEMENT = 2.5


def part_count(kernels: Collection[Kernel], cores: int) -> int:
    """Return how many modules to write, which are compiled at the same time."""
    size = sum(size_of(kernel) for kernel in kernels)
    if cores <= 1:
        return 1
    most = min(cores * _PARTS_A_CORE, _MOST_PARTS, len(kernels))
    return max(1, min(size // _STATEMENTS_A_PART, most))


def size_of(kernel: Kernel) -> int:
    """Return how many statements are written for a kernel."""
    return _size(kernel.body)


def _size(body: tuple[Statement, ...]) -> int:
    total = 0
    for statement in body:
        if isinstance(statement, Loop):
            copies = statement.variable.extent if statement.kind is LoopKind.UNROLLED else 1
            total += copies * _size(statement.body)
        else:
            total += _size(statement.body) if isinstance(statement, Guard) else 1
    return total


class Parts:
    """The modules under construction: kernels are written one by one, the largest first.

    barrier    the function for barriers that each module gets
    finished   is called with each module but the entry's when it is complete
    """

    def __init__(
        self,
        kernels: Collection[Kernel],
        count: int,
        features: Features,
        barrier: str,
        finished: Callable[[ModuleText], None],
        *,
        is_polled: bool,
    ) -> None:
        self._features, self._barrier, self._finished = features, barrier, finished
        self._is_polled = is_polled
        self._unwritten = sum(size_of(kernel) for kernel in kernels)
        self._written = 0  # lines
        self._count = count
        self.entry = self._new_module()
        self._open, self._exports = self._new_module(), list[str]()
        self._complete: list[ModuleText] = []

    def _new_module(self) -> Module:
        module = Module(self._features)
        module.add("@graphc.barrier", self._barrier)
        if self._is_polled:
            module.add(f"@{POLL}", polling.DECLARATION)
        return module

    def write(self, kernel: Kernel, facts: tuple[BufferFacts, ...], name: str) -> Written:
        """Write a kernel, and declare it where the entry is."""
        size = size_of(kernel)
        if self._exports and self._is_full(size):
            self._close()
        module = self._open if len(self._complete) < self._count - 1 else self.entry
        before = module.length
        is_exported = module is not self.entry
        written = write_kernel(
            module, kernel, facts, name, is_exported=is_exported, is_polled=self._is_polled
        )
        self._unwritten -= size
        self._written += module.length - before
        if is_exported:
            self._exports.append(name)
            pointers = ", ".join(["ptr"] * (len(kernel.buffers) + 2))
            control = ", ptr" if self._is_polled else ""
            declaration = f"declare void {written.function}({pointers}, i64, i64{control})"
            self.entry.add(written.function, declaration)
        return written

    def _is_full(self, following: int) -> bool:
        """Return whether the open module is nearer to its share without the kernel to come."""
        whole = self._written + self._unwritten * _LINES_A_STATEMENT
        excess = self._open.length + following * _LINES_A_STATEMENT / 2
        return excess > whole / self._count

    def _close(self) -> None:
        """Hand the open module over, and open the next, if there is one besides the entry's."""
        module = ModuleText(self._open.text(), tuple(self._exports))
        self._complete.append(module)
        self._finished(module)
        self._open, self._exports = self._new_module(), []

    def texts(self, exports: list[str]) -> tuple[ModuleText, ...]:
        """Return the modules; the first exports `exports`."""
        if self._exports:
            self._close()
        return (ModuleText(self.entry.text(), tuple(exports)), *self._complete)
