"""`graphc check FILE.py:NAME`: hold the derivatives of a function against finite differences.

The point is random and the same for the same seed: floats are uniform in a range, integers from 0
up to a bound. The exit code is 0 where all derivatives are right, and 1, with the op and the line
to blame, where one is wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import Any

import numpy as np

from graphc.cli import UsageError
from graphc.cli.locate import add_target, load_program_or_graph
from graphc.errors import GraphcIndexError
from graphc.gradient_check import ORDERS, GradientError, GradientReport, check_graph
from graphc.graph import Graph
from graphc.random_arrays import random_arrays


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_target(parser)
    parser.add_argument("--order", type=int, choices=ORDERS, default=2, help="1 or 2 (default: 2)")
    parser.add_argument("--tolerance", type=float, default=1e-5, help="relative (default: 1e-5)")
    parser.add_argument("--seed", type=int, default=0, help="of the point and the directions (0)")
    parser.add_argument(
        "--range",
        dest="bounds",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        default=(-1.0, 1.0),
        help="where float inputs are drawn (default: -1 1)",
    )
    parser.add_argument(
        "--integers-below", type=int, default=2, metavar="N", help="bound of integer inputs (2)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Check and print; the exit code says whether all derivatives are right."""
    low, high = options.bounds
    if not low < high:
        raise UsageError(f"the range {low} … {high} is empty")
    found = load_program_or_graph(options.target, options.types)
    graph = found if isinstance(found, Graph) else found.graph
    try:
        report = check_graph(
            graph,
            _arguments(graph, options),
            order=options.order,
            tolerance=options.tolerance,
            seed=options.seed,
        )
    except GraphcIndexError as error:
        raise UsageError(
            f"a random integer is out of bounds ({error.message}): lower --integers-below"
        ) from None
    except GradientError as error:
        _print(error.report, options.json)
        if not options.json:
            print(f"graphc check: {error.message}", file=sys.stderr)
        return 1
    _print(report, options.json)
    return 0


def _arguments(graph: Graph, options: argparse.Namespace) -> list[np.ndarray[Any, Any]]:
    random, (low, high) = np.random.default_rng(options.seed), options.bounds
    types = [node.type for node in graph.inputs]
    others = random_arrays(types, options.integers_below)
    return [
        np.asarray(random.uniform(low, high, type_.shape)) if type_.dtype.is_float else other
        for type_, other in zip(types, others, strict=True)
    ]


def _print(report: GradientReport, as_json: bool) -> None:
    print(json.dumps({"right": report.is_right, **asdict(report)}) if as_json else report)
