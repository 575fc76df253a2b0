"""Write docs/zoo.md and docs/zoo/*: what every network of the zoo shows and reaches.

    for seed in 0 1 2 3 4; do
        graphc zoo --all --json --seed $seed --out build/zoo/$seed > build/zoo/$seed.json
    done
    python -m benchmarks.zoo_peers --seeds 0 1 2 3 4 > build/zoo/peers.jsonl
    python -m docs.generate_zoo build/zoo

Values and seconds come from the reports, bars and words from the networks' files, what the peers
reach from `peers.jsonl`, and pictures and tables from the run with seed 0.
"""

from __future__ import annotations

import html
import importlib
import json
import pathlib
import sys
from collections.abc import Iterable
from typing import Any

from graphc.zoo.shared import find, names

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE, PICTURES = ROOT / "docs" / "zoo.md", ROOT / "docs" / "zoo"
WIDEST, COLORS = 900, 48  # of a picture: its width in pixels, and how many colours it keeps
INTRODUCTION = """# The zoo

Written by `python -m docs.generate_zoo`. `graphc zoo NAME` trains one of these networks, holds it
against its bar and writes what is shown here, and besides it drawings of its graph and its training
step; titles lead to the files. Values are the worst and the best of seeds {seeds}, also those of
the peers; seconds are of seed 0, {total:.0f} for all together, on two cores that others used too.

| network | metric | bar | reached | peer | seconds |
|---|---|---|---|---|---|
"""


def main(arguments: list[str]) -> None:
    """Write the page and its pictures from a directory of results."""
    results = pathlib.Path(arguments[0])
    runs = {p.stem: _by_name(json.loads(p.read_text())) for p in sorted(results.glob("*.json"))}
    peers = _peers(results / "peers.jsonl")
    PICTURES.mkdir(exist_ok=True)
    for old in PICTURES.iterdir():
        old.unlink()
    total = sum(report["seconds"] for report in runs["0"].values())
    page = INTRODUCTION.format(seeds=", ".join(runs), total=total)
    page += "".join(_row(name, [run[name] for run in runs.values()], peers) for name in names())
    page += "".join(_section(name, results / "0" / name) for name in names())
    PAGE.write_text(page, "utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)} and {len(list(PICTURES.iterdir()))} pictures")


def _by_name(reports: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {report["name"]: report for report in reports}


def _peers(path: pathlib.Path) -> dict[str, list[float]]:
    """Return the values of each peer, one a seed."""
    found: dict[str, list[float]] = {}
    for line in path.read_text().splitlines():
        entry = json.loads(line)
        found.setdefault(entry["name"], []).extend(entry["values"].values())
    return found


def _row(name: str, reports: list[dict[str, Any]], peers: dict[str, list[float]]) -> str:
    network, first = find(name), reports[0]
    sign = "≤" if network.is_less_better else "≥"
    reached = _range((report["value"] for report in reports), network.is_less_better)
    failed = sum(not network.passes(report["value"], network.bar) for report in reports)
    if failed:
        reached += f" ({failed} of {len(reports)} seeds fail)"
    peer = _range(peers.get(name, []), network.is_less_better) or f"{network.peer:.4g}"
    cells = (
        f"[{name}](#{name})", first["metric"], f"{sign} {network.bar:g}", reached, peer,
        f"{first['seconds']:.1f}",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |\n"


def _range(values: Iterable[float], is_less_better: bool) -> str:
    """Return the worst and the best of some values, or the one if they do not differ."""
    ordered = sorted(values, reverse=is_less_better)
    ends = [f"{value:.4g}" for value in (ordered[0], ordered[-1])] if ordered else []
    return " to ".join(dict.fromkeys(ends))


def _section(name: str, out: pathlib.Path) -> str:
    doc = (importlib.import_module(f"graphc.zoo.{name}").__doc__ or "").strip()
    title, _, text = doc.partition("\n")
    parts = [f'\n<a id="{name}"></a>\n## [{title.rstrip(".")}](../examples/zoo/{name}.py)\n']
    parts.append(text.strip() + "\n")
    parts += [_quoted(path) for path in sorted(out.glob("*.txt"))]
    parts += [_picture(name, path) for path in sorted(out.glob("*.png")) or [out / "curves.svg"]]
    return "\n".join(parts)


def _quoted(path: pathlib.Path) -> str:
    return f"```text\n{path.read_text('utf-8').rstrip()}\n```\n"


def _picture(name: str, path: pathlib.Path) -> str:
    """Write a small copy of a picture, and return what shows it."""
    target = PICTURES / f"{name}-{path.name}"
    if path.suffix == ".svg":
        target.write_bytes(path.read_bytes())
    else:
        _reduce(path, target)
    label = html.escape(f"{name}: {path.stem}")
    return f"![{label}]({PICTURES.name}/{target.name})\n"


def _reduce(path: pathlib.Path, target: pathlib.Path) -> None:
    from PIL import Image  # comes with Matplotlib

    with Image.open(path) as full:
        picture = full.convert("RGB")
    if picture.width > WIDEST:
        picture = picture.resize((WIDEST, round(picture.height * WIDEST / picture.width)))
    picture.quantize(COLORS).save(target, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1:])
