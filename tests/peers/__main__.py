"""`python -m tests.peers [AREA…] [--json FILE]`: compare, print counts, and fail where one fails.

An area is a module of this package. The table has a line for each: functions, arrays of values and
of first and second derivatives that were compared, and the greatest error of each kind in epsilons.
The status is 1 if anything differs, or has neither a row nor a reason.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.peers.areas import AREAS, found_in
from tests.peers.compare import KINDS, Found
from tests.peers.coverage import missing

TITLES = ("area", "functions", "values", "first", "second", *(f"worst {k}" for k in KINDS), "wrong")


def main(arguments: Sequence[str]) -> int:
    """Compare the areas that are named, by default all, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.peers", description=__doc__)
    parser.add_argument("areas", nargs="*", metavar="AREA", help=", ".join(AREAS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the counts there too")
    given = parser.parse_args(arguments)
    unknown = [area for area in given.areas if area not in AREAS]
    if unknown:
        parser.error(f"there is no area {', '.join(unknown)}; there are {', '.join(AREAS)}")
    table: dict[str, Found] = {}
    functions: dict[str, int] = {}
    print("| " + " | ".join(TITLES) + " |", "|---" + "|--:" * (len(TITLES) - 1) + "|", sep="\n")
    for area in given.areas or AREAS:
        started = time.perf_counter()
        functions[area], table[area] = found_in(area)
        print(_line(area, functions[area], table[area]), flush=True)
        print(f"{area}: {time.perf_counter() - started:.0f} s", file=sys.stderr)
    total = Found()
    for found in table.values():
        total.add(found)
    print(_line("together", sum(functions.values()), total))
    if given.json:
        numbers = {area: dataclasses.asdict(found) for area, found in table.items()}
        given.json.write_text(json.dumps(numbers, indent=1))
    failures = [*total.failures, *(f"{name} has neither a row nor a reason" for name in missing())]
    print(*failures, sep="\n")
    return bool(failures)


def _line(area: str, functions: int, found: Found) -> str:
    counts = [f"{functions:,}", *(f"{found.counts[kind]:,}" for kind in KINDS)]
    errors = [f"{found.worst[kind]:.1f}" for kind in KINDS]
    return "| " + " | ".join([area, *counts, *errors, str(len(found.failures))]) + " |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
