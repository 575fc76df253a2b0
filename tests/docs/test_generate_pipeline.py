"""docs/pipeline.md is what its generator writes, up to the assembly, which is LLVM's own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from graphc.backends.llvm import BACKEND
from graphc.errors import BackendError
from graphc.passes import PIPELINE
from tests.source_tree import ROOT

PAGE = (ROOT / "docs" / "pipeline.md").read_text()
ASSEMBLY = "## Assembly"


def can_compile(cpu: str) -> bool:
    try:
        BACKEND.target(cpu)
    except BackendError:
        return False
    return True


@pytest.mark.skipif(not can_compile("x86-64-v3"), reason="the page is made for x86-64-v3")
def test_the_page_is_up_to_date() -> None:
    code = "from docs.generate_pipeline import page; print(page(), end='')"
    written = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert written.split(ASSEMBLY)[0] == PAGE.split(ASSEMBLY)[0], "run `make docs`"


def test_the_page_shows_every_stage_from_the_line_to_instructions() -> None:
    assert "y = graphc.softmax(x @ w + b)" in PAGE
    for number, step in enumerate(PIPELINE, 1):
        assert f"\n## Pass {number}: {step.name}\n" in PAGE
    for text in ("contraction(%x, %w)", "fused: ", "kernel contraction", "define ", "vfmadd"):
        assert text in PAGE


def test_no_path_of_a_machine_is_in_the_documents() -> None:
    for path in (ROOT / "docs").iterdir():
        if path.is_file():
            assert str(ROOT) not in path.read_text(), path
