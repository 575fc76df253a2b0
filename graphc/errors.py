"""The exceptions of graphc: one family, each also the built-in exception a user would expect.

A message says what was asked, what was given (shapes and dtypes), the user's line, where each
operand was made, and a hint where one is likely. `GraphcError` is the root of all of them; nothing
else is raised on purpose. Internal contradictions (a compiler fault, never the user's) are
`InternalError`.
"""

from __future__ import annotations


class GraphcError(Exception):
    """The root of graphc's exceptions.

    `notes` are further lines of the message (operands and where they were made); `hint` is the
    likely mend; `line` is the user's own line, `file.py:12: source text`, where one is known.
    """

    def __init__(
        self, message: str, *, notes: tuple[str, ...] = (), hint: str = "", line: str = ""
    ) -> None:
        self.message, self.notes, self.hint, self.line = message, notes, hint, line
        lines = [message, *(f"  {note}" for note in notes)]
        if line:
            lines.append(f"  at {line}")
        if hint:
            lines.append(f"  hint: {hint}")
        super().__init__("\n".join(lines))


class GraphcTypeError(GraphcError, TypeError):
    """A dtype, or the kind of an argument, is wrong."""


class GraphcValueError(GraphcError, ValueError):
    """A value is out of its range."""


class ShapeError(GraphcValueError):
    """Shapes do not fit together, or do not fit the operation."""


class GraphcIndexError(GraphcError, IndexError):
    """An index or an axis is out of bounds."""


class TracingError(GraphcTypeError):
    """A symbolic tensor was used where only a value can be (`if x:`, `float(x)`)."""


class ParseError(GraphcValueError):
    """The text of a graph or a kernel cannot be read."""


class VerificationError(GraphcError, AssertionError):
    """A graph or a kernel breaks a law of its representation: a fault in a pass."""


class DamagedFileError(GraphcValueError):
    """A file is not what was written, or of another format."""


class UnwritableFileError(GraphcError, OSError):
    """A file cannot be written; what the path held before is still there."""


class BackendError(GraphcError, RuntimeError):
    """A backend cannot do what was asked on this machine: a device, a driver, a missing extra."""


class VariableError(GraphcError, RuntimeError):
    """A handler of a signal would change a variable that a running program uses."""


class NumericsError(GraphcError, FloatingPointError):
    """A result is NaN or infinite; `op` is the name of the op that made the first such value."""

    op: str = ""


class InternalError(GraphcError, RuntimeError):
    """graphc contradicts itself. Please report it, with the program that shows it."""
