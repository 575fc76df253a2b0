"""Containers: modules that hold modules, by place or by name, and the residual connection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, overload

from graphc.errors import GraphcTypeError, ShapeError
from graphc.frontend.nn.module import Module
from graphc.frontend.operands import as_node, fail
from graphc.frontend.tensor import Tensor, TensorLike

__all__ = ["ModuleDict", "ModuleList", "Residual"]


def _checked(name: str, module: Any) -> Any:
    if not callable(module):
        fail(
            GraphcTypeError,
            f"{name}: an entry is a module or a function, not {type(module).__name__}",
        )
    return module


class ModuleList(Module):
    """Modules, or functions, in a list; it defines no `forward`.

    >>> from graphc.frontend import nn
    >>> blocks = ModuleList(nn.Linear(4, 4, seed=i) for i in range(2))
    >>> [path for path, _ in blocks.named_parameters()], len(blocks)
    (['0.weight', '0.bias', '1.weight', '1.bias'], 2)
    """

    def __init__(self, modules: Iterable[Any] = ()) -> None:
        self.entries = [_checked("ModuleList", module) for module in modules]

    def append(self, module: Any) -> ModuleList:
        """Add a module at the end, and return the list."""
        self.entries = [*self.entries, _checked("ModuleList", module)]
        return self

    def extend(self, modules: Iterable[Any]) -> ModuleList:
        """Add modules at the end, and return the list."""
        self.entries = [*self.entries, *(_checked("ModuleList", module) for module in modules)]
        return self

    def named_children(self) -> Iterator[tuple[str, Any]]:
        """Yield place and module of each entry."""
        return ((str(place), module) for place, module in enumerate(self.entries))

    def __len__(self) -> int:
        return len(self.entries)

    @overload
    def __getitem__(self, place: int) -> Any: ...
    @overload
    def __getitem__(self, place: slice) -> ModuleList: ...
    def __getitem__(self, place: int | slice) -> Any:
        return ModuleList(self.entries[place]) if isinstance(place, slice) else self.entries[place]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.entries)


class ModuleDict(Module):
    """Modules, or functions, by name, in the order in which they were added.

    >>> from graphc.frontend import nn
    >>> heads = ModuleDict({"digit": nn.Linear(8, 10, seed=0), "writer": nn.Linear(8, 2, seed=1)})
    >>> [path for path, _ in heads.named_parameters()]
    ['digit.weight', 'digit.bias', 'writer.weight', 'writer.bias']
    >>> heads["digit"](Tensor(as_node([1.0] * 8))).shape
    (10,)
    """

    def __init__(self, modules: Mapping[str, Any] | None = None) -> None:
        given = (modules or {}).items()
        self.entries = {_name(key): _checked("ModuleDict", module) for key, module in given}

    def named_children(self) -> Iterator[tuple[str, Any]]:
        """Yield name and module of each entry."""
        return iter(self.entries.items())

    def __setitem__(self, name: str, module: Any) -> None:
        self.entries = {**self.entries, _name(name): _checked("ModuleDict", module)}

    def __getitem__(self, name: str) -> Any:
        return self.entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self.entries

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)


def _name(key: Any) -> str:
    if not isinstance(key, str) or not key or "." in key:
        fail(GraphcTypeError, f"ModuleDict: a name is a text without dots, not {key!r}")
    return key


class Residual(Module):
    """`shortcut(x) + body(x)`; without a shortcut `x + body(x)`.

    Raises ShapeError where the two have different shapes: they are not broadcast. Source: He et
    al., arXiv:1512.03385, equations 1 and 2.

    >>> from graphc.frontend import nn
    >>> block = Residual(nn.Sequential(nn.Linear(4, 4, seed=0), nn.Tanh()))
    >>> block(Tensor(as_node([[1.0] * 4]))).shape
    (1, 4)
    """

    def __init__(self, body: Any, shortcut: Any = None) -> None:
        self.body = _checked("Residual", body)
        self.shortcut = None if shortcut is None else _checked("Residual", shortcut)

    def forward(self, x: TensorLike) -> Tensor:
        """Return the sum of both ways."""
        straight = Tensor(as_node(x if self.shortcut is None else self.shortcut(x)))
        around: Tensor = self.body(x)
        if straight.shape != around.shape:
            fail(
                ShapeError,
                f"Residual: the shortcut gives {straight.shape}, the body {around.shape}",
                [straight.node, around.node],
                "Residual(body, shortcut) with a shortcut that gives the body's shape: a Linear",
            )
        return straight + around
