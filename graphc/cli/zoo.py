"""`graphc zoo`: list the classic networks, or train one or all of them on real data.

Each run writes the graph of the network, its training step and its curves into a directory of its
own. With `--quick` runs are shortened, and held against a lower bar.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
import textwrap

from graphc.cli import UsageError
from graphc.zoo.shared import Lesson, Report, find, names


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="the network to train")
    parser.add_argument("--all", action="store_true", help="train all, one after the other")
    parser.add_argument("--quick", action="store_true", help="train for a moment, to a lower bar")
    parser.add_argument("--seed", type=int, default=0, help="of weights, batches and noise (0)")
    parser.add_argument("--out", default="graphc-zoo", help="directory of the pictures")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """List, or train and report; the exit code is 1 where a bar was not reached."""
    if options.seed < 0:
        raise UsageError("--seed is at least 0")
    if options.all and options.name:
        raise UsageError("either a NAME or --all")
    if not options.all and not options.name:
        return _list(options.json)
    chosen = names() if options.all else [_known(options.name)]
    reports = []
    for name in chosen:
        reports.append(_train(name, options))
        if not options.json:
            _print(reports[-1])
    if options.json:
        found = [report.to_dict() for report in reports]
        print(json.dumps(found if options.all else found[0], indent=1))
    return 0 if all(report.passed for report in reports) else 1


def _known(name: str) -> str:
    wanted = name.replace("-", "_")
    if wanted not in names():
        raise UsageError(f"there is no {name!r}; graphc zoo lists the networks")
    return wanted


def _train(name: str, options: argparse.Namespace) -> Report:
    out = pathlib.Path(options.out) / name
    verbose = None if sys.stderr.isatty() else False
    lesson = Lesson(out, options.seed, options.quick, verbose)
    try:
        return find(name).run(lesson)
    except OSError as error:
        raise UsageError(f"cannot write into {out}: {error.strerror}") from None


def _list(as_json: bool) -> int:
    networks = [find(name) for name in names()]
    if as_json:
        keys = ("name", "title", "metric", "bar", "peer")
        print(json.dumps([{k: getattr(n, k) for k in keys} for n in networks], indent=1))
        return 0
    width = max(len(n.name) for n in networks)
    for n in networks:
        print(f"{n.name:<{width}}  {n.title}")
    return 0


def _print(report: Report) -> None:
    verdict = "passed" if report.passed else "FAILED"
    peer = "" if report.peer_value is None else f", peer {report.peer_value:.4g}"
    figures = f"{report.value:.4g} (bar {report.bar:.4g}{peer})"
    print(f"{report.name}: {verdict}: {report.metric} {figures}, {report.seconds:.1f} s")
    for path in report.files:
        print(f"  wrote {path}")
        if path.endswith(".txt"):
            print(textwrap.indent(pathlib.Path(path).read_text().rstrip(), "    "))
