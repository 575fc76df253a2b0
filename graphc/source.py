"""Where in the user's own code something was written.

A `SourceLine` is the innermost stack frame outside the graphc package when a node is built; the
model of `graphc demo` and the networks of the zoo count as a user's. What lies outside the command
line's `main` is only the script that started it, and no one's line. A `SourceLine` is two small
fields; the text of the line is read only when somebody asks. Nodes keep the line of their first
maker, and it takes no part in their identity.
"""

from __future__ import annotations

import linecache
import os
import sys
from dataclasses import dataclass
from types import FrameType

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_EXAMPLES = (os.path.join(_PACKAGE, "cli", "demo.py"), os.path.join(_PACKAGE, "zoo") + os.sep)
_COMMAND_LINE = os.path.join(_PACKAGE, "cli", "__init__.py")


@dataclass(frozen=True, slots=True)
class SourceLine:
    """One line of a file: `number` counts from 1."""

    file: str
    number: int

    @property
    def text(self) -> str:
        """The line itself, stripped; empty where the file cannot be read."""
        return linecache.getline(self.file, self.number).strip()

    def __str__(self) -> str:
        text, file = self.text, self.file
        if file.startswith(_PACKAGE):  # told without the place of the installation
            file = "/".join(["graphc", *file.removeprefix(_PACKAGE).split(os.sep)])
        return f"{file}:{self.number}" + (f": {text}" if text else "")


def user_line() -> SourceLine | None:
    """Return the innermost line on the stack that is neither graphc's nor the interpreter's own."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(_EXAMPLES) or not file.startswith((_PACKAGE, "<frozen ")):
            return SourceLine(file, frame.f_lineno)
        if file == _COMMAND_LINE:
            return None
        frame = frame.f_back
    return None
