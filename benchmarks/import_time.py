"""How long `import graphc` takes in a fresh process, and how much of it is NumPy's.

Every figure is read inside a new interpreter with the clock around the import statement, so the
interpreter's own start is not counted. The bar is 150 ms for the whole. The file caches are warm:
one process runs first and is not counted.

    python -m benchmarks.import_time [--runs 20]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

_MEASURE = """
from time import perf_counter
start = perf_counter()
import numpy
middle = perf_counter()
import graphc
print(middle - start, perf_counter() - middle)
"""


def measure_import() -> tuple[float, float]:
    """Return the seconds that `import numpy`, then `import graphc`, took in a fresh process."""
    command = [sys.executable, "-c", _MEASURE]
    # as users have it: with the bytecode that Python keeps
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=kept)
    output = done.stdout
    numpy_seconds, graphc_seconds = map(float, output.split())
    return numpy_seconds, graphc_seconds


def main() -> None:
    """Measure and print one line each for NumPy, graphc and both."""
    parser = argparse.ArgumentParser(description="Measure the import time of graphc.")
    parser.add_argument("--runs", type=int, default=20, help="fresh processes (default 20)")
    runs = parser.parse_args().runs
    measure_import()
    samples = [measure_import() for _ in range(runs)]
    columns = {
        "numpy": [numpy for numpy, _ in samples],
        "graphc": [graphc for _, graphc in samples],
        "both": [numpy + graphc for numpy, graphc in samples],
    }
    for name, seconds in columns.items():
        lowest, middle = min(seconds) * 1e3, statistics.median(seconds) * 1e3
        print(f"{name:8} min {lowest:6.1f} ms   median {middle:6.1f} ms")


if __name__ == "__main__":
    main()
