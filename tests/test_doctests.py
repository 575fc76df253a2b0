"""Every example in a docstring or a document runs, prints what it says, and draws what is shown."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

from docs.pages import FLAGS, IMAGES, PAGES, pictures, run_examples, words
from tests.source_tree import module_of, python_files

MODULES = [module_of(path) for path in python_files() if ">>> " in path.read_text()]


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_a_module_run(name: str) -> None:
    results = doctest.testmod(importlib.import_module(name), optionflags=FLAGS)
    assert results.attempted > 0
    assert results.failed == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_of_a_document_run_and_draw_its_pictures(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_examples(page) == 0
    for name in pictures(page):
        assert words(tmp_path / name) == words(IMAGES / name), f"{name}: run `make docs`"


def test_every_picture_is_on_a_page() -> None:
    shown = [name for page in PAGES for name in pictures(page)]
    assert sorted(shown) == sorted(path.name for path in IMAGES.iterdir())
