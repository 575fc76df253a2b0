"""Loops and branches in two ways: graphc's own, and Python loops over symbolic tensors."""

from __future__ import annotations

from typing import Any

import graphc


class Compiled:
    """The loops of graphc; `options` are those of scan."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def scan(self, f: Any, init: Any, xs: Any = None, **keywords: Any) -> Any:
        return graphc.scan(f, init, xs, **(keywords | self.options))

    def while_loop(self, condition: Any, f: Any, init: Any, most: int) -> Any:
        return graphc.while_loop(condition, f, init, most)

    def cond(self, predicate: Any, true_f: Any, false_f: Any, *operands: Any) -> Any:
        return graphc.cond(predicate, true_f, false_f, *operands)

    def switch(self, index: Any, branches: Any, *operands: Any) -> Any:
        return graphc.switch(index, branches, *operands)

    def fori_loop(self, lower: int, upper: int, f: Any, init: Any) -> Any:
        return graphc.fori_loop(lower, upper, f, init)

    def map(self, f: Any, xs: Any) -> Any:
        return graphc.map(f, xs)


def tree(function: Any, *trees: Any) -> Any:
    """Return trees combined leaf by leaf."""
    first = trees[0]
    if isinstance(first, tuple):
        return tuple(tree(function, *parts) for parts in zip(*trees, strict=True))
    if isinstance(first, dict):
        return {key: tree(function, *(t[key] for t in trees)) for key in first}
    return None if first is None else function(*trees)


class Unrolled(Compiled):
    """The same as Python loops: every step is nodes of its own, every branch is computed."""

    def scan(self, f: Any, init: Any, xs: Any = None, **keywords: Any) -> Any:
        lengths: list[int] = [keywords["length"]] if "length" in keywords else []
        tree(lambda x: lengths.append(x.shape[0]), xs)
        length = lengths[0]
        rows: list[Any] = [None] * length
        carry = tree(graphc.asarray, init)
        for step in range(length)[:: -1 if keywords.get("reverse") else 1]:
            at = step
            carry, rows[step] = f(carry, tree(lambda x, at=at: graphc.asarray(x)[at], xs))
        return carry, tree(lambda *row: graphc.stack(row), *rows)

    def while_loop(self, condition: Any, f: Any, init: Any, most: int) -> Any:
        carry = tree(graphc.asarray, init)
        for _ in range(most):
            carry = self.cond(condition(carry), f, lambda same: same, carry)
        return carry

    def cond(self, predicate: Any, true_f: Any, false_f: Any, *operands: Any) -> Any:
        chosen = graphc.asarray(predicate)
        results = true_f(*operands), false_f(*operands)
        return tree(lambda a, b: graphc.where(chosen, a, b), *results)

    def switch(self, index: Any, branches: Any, *operands: Any) -> Any:
        result = branches[-1](*operands)
        for number, branch in reversed(list(enumerate(branches[:-1]))):
            result = self.cond(
                graphc.asarray(index) <= number, branch, lambda *_, kept=result: kept, *operands
            )
        return result

    def fori_loop(self, lower: int, upper: int, f: Any, init: Any) -> Any:
        carry = tree(graphc.asarray, init)
        for number in range(lower, upper):
            carry = f(graphc.asarray(number), carry)
        return carry

    def map(self, f: Any, xs: Any) -> Any:
        return self.scan(lambda _, x: (None, f(x)), None, xs)[1]
