"""What LLVM takes before it compiles a first program, done beside the Python that comes before.

Loading its library takes some 20 ms and the code of the team as much, and a program that is not
kept on disk is traced and taken through passes meanwhile. Nothing depends on it: what is not done
here, or fails, is done and raised by whoever needs it.
"""

from __future__ import annotations

import contextlib
import importlib
import threading

from graphc import settings
from graphc.backends.llvm import library, team
from graphc.backends.llvm.beside import quick_switching
from graphc.backends.llvm.compilation import alone
from graphc.backends.llvm.machine import available_cores

_begun: list[threading.Thread] = []


def begin() -> None:
    """Get ready to compile, once in a process: something will be."""
    if _begun:
        return
    thread = threading.Thread(target=_get_ready, name="graphc, loading LLVM")
    _begun.append(thread)
    thread.start()
    importlib.import_module("graphc.backends.llvm.program")  # not needed by recalled programs


def _get_ready() -> None:
    # whoever needs what cannot be had will raise the error
    with alone(), quick_switching(), contextlib.suppress(Exception):
        library.load()
        if (settings.thread_count() or available_cores()) > 1:
            team.symbols()
