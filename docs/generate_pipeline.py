"""Write docs/pipeline.md: one line of user code, through every stage of the compiler, as text.

    python -m docs.generate_pipeline

The program is examples/softmax.py. Processor and number of threads are fixed, so that the page is
the same on every x86-64 machine, up to the assembly, which is LLVM's and changes with its version.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator

os.environ |= {"GRAPHC_CPU": "x86-64-v3", "GRAPHC_NUM_THREADS": "1", "GRAPHC_DUMP": ""}

from examples.softmax import program  # compiled for the processor named above
from graphc.backends.llvm import BACKEND  # as above
from graphc.observer import describe  # as above
from graphc.passes import PIPELINE, Compilation, Pass, run_pipeline  # as above

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "pipeline.md"
LINE = "y = graphc.softmax(x @ w + b)"
HEAD = f"""\
# From one line to assembly

What becomes of

    {LINE}

where `x` is float32[8, 16], `w` float32[16, 8] and `b` float32[8] (examples/softmax.py), compiled
for x86-64-v3 and one thread. This page is written by `make docs`. On a program of your own,
`program.text(stage)` and `graphc explain FILE.py:NAME --stage STAGE` show the same, and
`GRAPHC_DUMP=directory` writes all of it to files.
"""
COMMENTS = {
    "fuse": "Each line below a group is an edge of the graph, and why it was fused or was not.",
    "lower": "The order in which a reduction combines its elements is fixed from here on, by the\n"
    "shape alone; what follows changes no bit of any result.",
    "schedule": "Vectors, register tiles, and a cache for what is read again.",
    "plan_memory": "The order of the kernels, and where each of their buffers lies.",
}
ASSEMBLY = "## Assembly"


def page() -> str:
    """Return the whole page."""
    return "\n".join([HEAD, *sections()]).replace(f"{ROOT}{os.sep}", "")


def sections() -> Iterator[str]:
    """Yield a section for each stage."""
    graph = program.graph
    yield section("## The graph as it was traced", "", str(graph))
    shown = [str(graph)]
    steps: list[str] = []

    def note(step: Pass, state: Compilation) -> None:
        text = describe(step, graph, state)[0]
        steps.append(section_of(step, text if text != shown[-1] else ""))
        shown.append(text)

    state = run_pipeline(Compilation(graph, BACKEND.target()), note)
    yield from steps
    assert state.plan is not None
    executable = BACKEND.compile(state.plan)
    yield section(
        "## LLVM IR", "One function a kernel, and one that runs them.", executable.text("llvm")
    )
    yield section(ASSEMBLY, "", executable.text("asm"))


def section_of(step: Pass, text: str) -> str:
    """Return the section of one pass; without text, it changed nothing."""
    number = PIPELINE.index(step) + 1
    title = f"## Pass {number}: {step.name}"
    said = f"{step.kind.capitalize()}: {step.reason}."
    if not text:
        return f"{title}\n\n{said} Nothing changes here.\n"
    return section(title, "\n\n".join([said, *filter(None, [COMMENTS.get(step.name)])]), text)


def section(title: str, comment: str, text: str) -> str:
    """Return a section with its text as a block of code."""
    paragraphs = [title, *filter(None, [comment]), "```text\n" + text.strip("\n") + "\n```"]
    return "\n\n".join(paragraphs) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"wrote {PAGE.relative_to(ROOT)}")
