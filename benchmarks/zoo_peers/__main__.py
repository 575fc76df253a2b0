"""`python -m benchmarks.zoo_peers [NAME…] [--seeds 0 1 2]`: print the values of peers.

A line of JSON for each network as soon as it is known; `docs.generate_zoo` reads them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from types import ModuleType

from benchmarks.zoo_peers import agents, classical, digit_networks, sequences
from graphc.zoo.shared import names

MODULES: tuple[ModuleType, ...] = (classical, digit_networks, sequences, agents)
PEERS: dict[str, Callable[[int], float]] = {
    name: getattr(module, name) for name in names() for module in MODULES if hasattr(module, name)
}


def main() -> None:
    """Print the values of the peers that are named, or of all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.zoo_peers")
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[[], *PEERS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    options = parser.parse_args()
    for name in options.names or PEERS:
        values = {seed: PEERS[name](seed) for seed in options.seeds}
        print(json.dumps({"name": name, "values": values}), flush=True)


if __name__ == "__main__":
    main()
