"""The pages of the documents: their examples are run, and their pictures are what these draw.

A page shows a picture as `![what it shows](images/NAME.svg)`; one of its examples draws NAME.svg
into the working directory, so examples run in an empty folder.
"""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
PAGES = (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))
IMAGES = ROOT / "docs" / "images"
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
_PICTURE = re.compile(r"!\[[^\]]+\]\(images/([^)]+)\)")


def run_examples(page: Path) -> int:
    """Run the examples of a page in the working directory; return how many fail."""
    return doctest.testfile(str(page), module_relative=False, optionflags=FLAGS).failed


def pictures(page: Path) -> list[str]:
    """Return the names of the pictures that the examples of a page draw."""
    return _PICTURE.findall(page.read_text())


def words(picture: Path) -> list[str]:
    """Return what stands in a diagram: its nodes, edges and labels, wherever they lie.

    Of curves and images, whose letters are outlines, nothing.
    """
    root = ElementTree.fromstring(picture.read_text())
    found = [element for element in root.iter() if element.tag.endswith(("}text", "}title"))]
    return sorted(element.text or "" for element in found)
