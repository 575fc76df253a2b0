"""Compile time: chains of 100 to 10,000 nodes, and balanced trees, from the function to the first
result."""

from collections.abc import Callable
from typing import Any

from benchmarks.work import Array, Work, normal

SIZES = (100, 1_000, 10_000)
ELEMENTS = 256


def inputs() -> list[Array]:
    """Return x, a factor below 1 so that no chain grows, and a summand."""
    x, summand = normal(ELEMENTS), normal(ELEMENTS, seed=1)
    return [x, normal(ELEMENTS, seed=2).clip(-0.5, 0.5), summand]


def chain(count: int) -> Callable[..., Any]:
    """Return x * factor + summand, over and over; on tensors of any framework."""

    def function(x: Any, factor: Any, summand: Any) -> Any:
        for _ in range(count // 2):
            x = x * factor + summand
        return x

    return function


def tree(count: int) -> Callable[..., Any]:
    """Return the sum of count / 4 different products of two sums, added in pairs."""

    def function(x: Any, factor: Any, summand: Any) -> Any:
        level = [x * (place + 1.0) * (factor - place) for place in range(count // 4)]
        while len(level) > 1:
            odd = level[len(level) // 2 * 2 :]
            level = [a + b for a, b in zip(level[::2], level[1::2], strict=False)] + odd
        return level[0] + summand

    return function


def onnx_chain(count: int) -> str:
    """Return the chain as ONNX text."""
    lines = [f"m{i} = Mul(y{i}, factor)  y{i + 1} = Add(m{i}, summand)" for i in range(count // 2)]
    shape, last = f"float[{ELEMENTS}]", f"y{count // 2}"
    return f"""({shape} y0, {shape} factor, {shape} summand) => ({shape} {last})
        {{ {" ".join(lines)} }}"""


def work(kind: str, count: int) -> Work:
    """Return the compilation of a chain or tree of about so many nodes."""
    function = {"chain": chain, "tree": tree}[kind](count)
    return Work(
        name=f"{kind} of {count:,} nodes, first call",
        inputs=inputs,
        numpy=function,
        graphc=lambda g: function,
        torch=lambda torch: function,
        jax=lambda jax: function,
        onnx=onnx_chain(count) if kind == "chain" else None,
        measure="first call",
        bar=1.0,
    )


WORKS = [work(kind, count) for kind in ("chain", "tree") for count in SIZES]
