"""`graphc zoo`: list the classic networks, or train one or all of them on real data.

Each run writes the graph of the network, its training step and its curves into a directory of its
own. With `--quick` runs are shortened, and held against a lower bar. What is told on the way goes
to stderr. With `--all` a network that cannot run, as its packages are not there, has failed, and
the others go on.
"""

from __future__ import annotations

import argparse
import difflib
import json
import pathlib
import sys
import textwrap
import time

from graphc.cli import UsageError
from graphc.errors import GraphcError
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
    if options.all:
        return _train_all(options)
    if not options.name:
        return _list(options.json)
    report = _train(_known(options.name), options)
    if options.json:
        print(json.dumps(report.to_dict(), indent=1))
    else:
        _print(report)
    return 0 if report.passed else 1


def _known(name: str) -> str:
    wanted = name.replace("-", "_").lower()
    if wanted in names():
        return wanted
    near = difflib.get_close_matches(wanted, names(), n=1)
    hint = f"did you mean {near[0]}?" if near else "graphc zoo lists the networks"
    raise UsageError(f"there is no {name!r}; {hint}")


def _train(name: str, options: argparse.Namespace) -> Report:
    out = pathlib.Path(options.out) / name
    verbose = None if sys.stderr.isatty() else False
    lesson = Lesson(out, options.seed, options.quick, verbose)
    try:
        return find(name).run(lesson)
    except OSError as error:
        raise UsageError(f"cannot write into {out}: {error.strerror}") from None


def _train_all(options: argparse.Namespace) -> int:
    reports: list[Report] = []
    chosen = names()
    try:
        for place, name in enumerate(chosen, start=1):
            print(f"[{place}/{len(chosen)}] {name}", file=sys.stderr, flush=True)
            reports.append(_attempt(name, options))
            if not options.json:
                _print(reports[-1])
    finally:  # on Ctrl-C too
        if options.json:
            print(json.dumps([report.to_dict() for report in reports], indent=1))
        else:
            _print_table(reports)
    return 0 if all(report.passed for report in reports) else 1


def _attempt(name: str, options: argparse.Namespace) -> Report:
    """Train; an error of graphc is told, and is the report of a failure."""
    start = time.perf_counter()
    try:
        return _train(name, options)
    except GraphcError as error:
        print(f"graphc zoo {name}: {error}", file=sys.stderr)
        network, seconds = find(name), round(time.perf_counter() - start, 2)
        bar = network.quick_bar if options.quick else network.bar
        return Report(name, network.metric, None, bar, False, seconds, network.peer)


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


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _print(report: Report) -> None:
    verdict = "passed" if report.passed else "FAILED"
    peer = "" if report.peer_value is None else f", peer {_figure(report.peer_value)}"
    figures = f"{_figure(report.value)} (bar {_figure(report.bar)}{peer})"
    print(f"{report.name}: {verdict}: {report.metric} {figures}, {report.seconds:.1f} s")
    for path in report.files:
        print(f"  wrote {path}")
        if path.endswith(".txt"):
            print(textwrap.indent(pathlib.Path(path).read_text("utf-8").rstrip(), "    "))
    sys.stdout.flush()


def _print_table(reports: list[Report]) -> None:
    """Print a line for each network that was trained, and how many passed."""
    width = max((len(report.name) for report in reports), default=0)
    print(f"\n{'':<{width}}  {'value':>10} {'bar':>8} {'peer':>9} {'seconds':>8}")
    for r in reports:
        figures = f"{_figure(r.value):>10} {_figure(r.bar):>8} {_figure(r.peer_value):>9}"
        verdict = "" if r.passed else "  FAILED"
        print(f"{r.name:<{width}}  {figures} {r.seconds:8.1f}{verdict}")
    passed, seconds = sum(r.passed for r in reports), sum(r.seconds for r in reports)
    print(f"{passed} of {len(reports)} passed, in {seconds:.0f} s")
