"""What must have a row: every op, and every public function, layer, loss, optimiser and schedule.

The names are those of the declarations and of `__all__`, so that a new one fails until it has a row
or a reason here. Modules of the frontend that are not named below are not looked at: `random`,
whose streams are its own, and `metrics`, of which PyTorch has none.
"""

from __future__ import annotations

from types import ModuleType

import graphc
from graphc import frontend, linalg, nn, optim
from tests.peers.areas import AREAS
from tests.peers.operations import COMPLEX, LEAF, UNPAIRED, unpaired_ops

REASONS = {
    **dict.fromkeys(("angle", "complex", "conj", "imag", "real"), COMPLEX),
    "nn.ctc_loss": "tests.peers.ctc.py",
    **dict.fromkeys(
        ("CustomVjp", "Tensor", "Trace", "Traced", "Variable", "is_tracing", "trace"),
        "no function of values: a part of the language",
    ),
    **dict.fromkeys(
        (
            "nn.Module",
            "nn.ModuleDict",
            "nn.ModuleList",
            "optim.Optimiser",
            "optim.schedules.Schedule",
        ),
        "a base or a container, which computes nothing",
    ),
}


def missing() -> list[str]:
    """Return the names that have neither a row nor a reason, and reasons for what is no name."""
    covered = {row.function for rows in AREAS.values() for row in rows()}
    names = public_names()
    without = [name for name in names if name not in covered and name not in REASONS]
    stale = [name for name in REASONS if name not in names or name in covered]
    return [*unpaired_ops(), *without, *stale]


def public_names() -> list[str]:
    """Return the names of what users compute with, those of ops without a prefix.

    Names of `nn` that are other names of functions of `graphc` are left out.
    """
    leaves = {name for name, reason in UNPAIRED.items() if reason == LEAF}
    names = [name for name in _public(frontend) if name not in leaves]
    names += [f"linalg.{name}" for name in _public(linalg)]
    names += [f"nn.{name}" for name in _public(nn) if not hasattr(graphc, name)]
    names += [f"optim.{name}" for name in _public(optim)]
    names += [f"optim.schedules.{name}" for name in _public(optim.schedules)]
    return names


def _public(module: ModuleType) -> list[str]:
    """Return the public names of a module that are not modules."""
    names = list(dict.fromkeys(module.__all__))
    return [name for name in names if not isinstance(getattr(module, name), ModuleType)]
