"""The modes of a model while it is trained and judged; each module has its own again afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from graphc.frontend.nn import Module

__all__ = ["evaluating", "training"]


@contextmanager
def training(model: Module) -> Iterator[None]:
    """Train what was set to evaluation; parts of a model that trains keep their mode."""
    with _kept(model):
        if not model.training:
            model.train()
        yield


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Set the whole model to evaluation."""
    with _kept(model):
        model.eval()
        yield


@contextmanager
def _kept(model: Module) -> Iterator[None]:
    modes = [(module, module.training) for _, module in model.named_modules()]
    try:
        yield
    finally:
        for module, mode in modes:  # from the outermost on, which set those inside
            if module.training is not mode:
                module.train(mode)
