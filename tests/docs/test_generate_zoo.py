"""docs/zoo.md tells of every network with its present bar, and shows pictures that are there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from docs import generate_zoo
from graphc.zoo.shared import find, names

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", names())
def test_the_page_has_a_row_and_a_section_for_each_network(name: str) -> None:
    page, network = (DOCS / "zoo.md").read_text("utf-8"), find(name)
    sign = "≤" if network.is_less_better else "≥"
    assert f"| [{name}](#{name}) | {network.metric} | {sign} {network.bar:g} |" in page
    assert f'<a id="{name}"></a>\n## [{network.title}](../examples/zoo/{name}.py)' in page


def test_the_page_shows_the_pictures_that_are_there() -> None:
    shown = re.findall(r"\]\(zoo/(.*?)\)", (DOCS / "zoo.md").read_text("utf-8"))
    assert sorted(shown) == sorted(path.name for path in (DOCS / "zoo").iterdir())
    assert sum(path.stat().st_size for path in (DOCS / "zoo").iterdir()) < 1_500_000


def report(name: str, value: float, seconds: float = 1.0) -> dict[str, Any]:
    found = find(name)
    return {"name": name, "metric": found.metric, "value": value, "seconds": seconds}


def test_a_page_is_written_from_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate_zoo, "ROOT", tmp_path)
    monkeypatch.setattr(generate_zoo, "PAGE", tmp_path / "zoo.md")
    monkeypatch.setattr(generate_zoo, "PICTURES", tmp_path / "zoo")
    monkeypatch.setattr(generate_zoo, "names", lambda: ["autoencoder", "perceptron"])
    (tmp_path / "0.json").write_text(
        json.dumps([report("autoencoder", 0.01, 2.0), report("perceptron", 0.96)])
    )
    (tmp_path / "1.json").write_text(
        json.dumps([report("autoencoder", 0.5), report("perceptron", 0.94)])
    )
    peers = {"name": "perceptron", "values": {"0": 0.91, "1": 0.92}}
    (tmp_path / "peers.jsonl").write_text(json.dumps(peers) + "\n")
    for name in ("autoencoder", "perceptron"):
        (tmp_path / "0" / name).mkdir(parents=True)
        (tmp_path / "0" / name / "curves.svg").write_text("<svg/>")
    (tmp_path / "0" / "perceptron" / "comparison.txt").write_text("told\n")
    generate_zoo.main([str(tmp_path)])
    page = (tmp_path / "zoo.md").read_text("utf-8")
    assert "| 0.5 to 0.01 (1 of 2 seeds fail) | 0.02436 | 2.0 |" in page
    assert "| 0.94 to 0.96 | 0.91 to 0.92 | 1.0 |" in page
    assert "```text\ntold\n```" in page and "(zoo/autoencoder-curves.svg)" in page
    assert (tmp_path / "zoo" / "perceptron-curves.svg").read_text() == "<svg/>"
