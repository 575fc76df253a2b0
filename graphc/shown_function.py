"""What a compiled function shows of itself: the stages of the program that it compiled last.

`function.program(*arguments)` gives the program for other arguments, which shows the same. It
compiles nothing but what `profile` needs.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from graphc.errors import GraphcValueError
from graphc.frontend.tracing import signature
from graphc.program import Program

if TYPE_CHECKING:
    from graphc.graph import Graph
    from graphc.kernel import Kernel
    from graphc.program_profile import Profile

__all__ = ["ShownFunction"]


class ShownFunction:
    """What looks inside, for a class with `programs` and `program`."""

    @property
    def programs(self) -> tuple[Program, ...]:
        """The programs compiled so far, oldest first."""
        raise NotImplementedError

    def program(self, *arguments: Any, **keywords: Any) -> Program:
        """Return the program for such arguments."""
        raise NotImplementedError

    @property
    def graph(self) -> Graph:
        """`Program.graph` of the program that was compiled last."""
        return self._last_program().graph

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """`Program.kernels` of the program that was compiled last."""
        return self._last_program().kernels

    def explain(self) -> str:
        """Return `Program.explain()` of the program that was compiled last.

        >>> import numpy as np
        >>> import graphc
        >>> double = graphc.compile(lambda x: 2 * x)
        >>> double.explain()
        Traceback (most recent call last):
            ...
        graphc.errors.GraphcValueError: <lambda> is not compiled yet, so there is nothing to show
          hint: call it first; function.program(*arguments) compiles it without running it
        >>> _ = double(np.ones(3, np.float32))
        >>> print(double.explain())
        main: ...
        """
        return self._last_program().explain()

    def text(self, stage: str = "graph") -> str:
        """Return `Program.text(stage)` of the program that was compiled last."""
        return self._last_program().text(stage)

    def draw(self, path: str | os.PathLike[str], *, groups: bool = True) -> None:
        """Draw the program that was compiled last, as `Program.draw` does."""
        self._last_program().draw(path, groups=groups)

    def profile(self, *arguments: Any, repeat: int = 20, **keywords: Any) -> Profile:
        """Return `Program.profile` of the program for these arguments, on them."""
        program = self.program(*arguments, **keywords)
        return program.profile(*signature(arguments, keywords)[1], repeat=repeat)

    def _last_program(self) -> Program:
        programs = self.programs
        if not programs:
            name = getattr(self, "__name__", "the function")
            raise GraphcValueError(
                f"{name} is not compiled yet, so there is nothing to show",
                hint="call it first; function.program(*arguments) compiles it without running it",
            )
        return programs[-1]
