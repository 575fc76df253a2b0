"""A bar on stderr for work that takes a while, where stderr is a terminal; otherwise nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[], object]]:
    """Show a bar of `total` steps; yields what says that a step is done."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich import progress  # needed on a terminal alone
    from rich.console import Console  # needed on a terminal alone

    with progress.Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda: bar.advance(task)
