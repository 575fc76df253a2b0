"""Where in the user's own code something was written.

A `SourceLine` is the innermost stack frame outside the graphc package when a node is built. It is
two small fields; the text of the line is read only when somebody asks. Nodes keep the line of their
first maker, and it takes no part in their identity.
"""

from __future__ import annotations

import linecache
import os
import sys
from dataclasses import dataclass
from types import FrameType

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep


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
        text = self.text
        return f"{self.file}:{self.number}" + (f": {text}" if text else "")


def user_line() -> SourceLine | None:
    """Return the innermost line on the stack that is neither graphc's nor the interpreter's own."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith((_PACKAGE, "<frozen ")):
        frame = frame.f_back
    return None if frame is None else SourceLine(frame.f_code.co_filename, frame.f_lineno)
