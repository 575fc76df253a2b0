"""Every link between the documents leads to a file, and to a heading of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.pages import PAGES

_LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")


def without_code(page: Path) -> str:
    """Return a page without its examples and its code, in which brackets mean something else."""
    lines = [line for line in page.read_text().splitlines() if not line.startswith("    ")]
    return re.sub(r"```.*?```|`[^`]*`", "", "\n".join(lines), flags=re.DOTALL)


def headings(page: Path) -> set[str]:
    """Return the anchors of a page: its own, and those that GitHub makes of the headings."""
    text = page.read_text()
    titles = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    made = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
    return made | set(re.findall(r'<a id="([^"]+)"></a>', text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in _LINK.findall(without_code(page)):
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in headings(path), f"{page.name}: {target}#{anchor}"
