"""Every composition of transforms, of every function with loops: held to the same without loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc
from graphc.graph_verifier import verify
from graphc.interpreter import interpret
from tests.loop_cases import CASES, Array, Case
from tests.loop_kinds import Compiled, Unrolled
from tests.passes.test_differentiate_loops import optimised, projected

EXAMPLES = 2
Function = Callable[..., Any]


def along(function: Function, case: Case) -> Function:
    """Return the derivative of a scalar function along fixed tangents."""
    tangents = tuple(np.linspace(-1, 1, a.size).reshape(a.shape) for a in case.arrays)
    return lambda *arguments: graphc.jvp(function, arguments, tangents)[1]


def gradient(function: Function, case: Case) -> Function:
    return graphc.grad(function, tuple(range(len(case.shapes))))


def mean(function: Function) -> Function:
    """Return the mean over examples of a scalar function."""
    return lambda *arguments: graphc.vmap(function)(*arguments).mean()


# name, whether its arguments are several examples, and the function
COMPOSITIONS: list[tuple[str, bool, Callable[[Function, Case], Function]]] = [
    ("vmap", True, lambda f, case: graphc.vmap(f)),
    ("vmap of grad", True, lambda f, case: graphc.vmap(gradient(f, case))),
    ("grad of vmap", True, lambda f, case: gradient(mean(f), case)),
    ("jvp", False, along),
    ("jvp of grad", False, lambda f, case: along(lambda *a: gradient(f, case)(*a)[0].sum(), case)),
    ("grad of jvp", False, lambda f, case: gradient(along(f, case), case)),
    ("vmap of jvp", True, lambda f, case: graphc.vmap(along(f, case))),
    ("jacobian", False, lambda f, case: graphc.jacobian(f)),
]


def results(make: Callable[[Function, Case], Function], case: Case, do: Compiled, n: int) -> Any:
    """Return what a transformed function gives: of the arguments, or of `n` examples of them."""
    arrays: list[Array] = case.arrays
    if n:
        arrays = [np.stack([a * (1 + 0.125 * k) for k in range(n)]) for a in arrays]
    function = make(projected(case.make(do)), case)
    graph = verify(graphc.trace(function, arrays).graph)
    return interpret(optimised(graph), arrays)[0]


@pytest.mark.parametrize(
    ("name", "is_batched", "make"), COMPOSITIONS, ids=[c[0] for c in COMPOSITIONS]
)
def test_compositions_of_transforms_go_through_loops(
    name: str, is_batched: bool, make: Callable[[Function, Case], Function]
) -> None:
    for case in CASES:
        count = EXAMPLES if is_batched else 0
        got, wanted = (results(make, case, do, count) for do in (Compiled(), Unrolled()))
        for left, right in zip(got, wanted, strict=True):
            assert (left.dtype, left.shape) == (right.dtype, right.shape), f"{name} {case.name}"
            message = f"{name} of {case.name}"
            np.testing.assert_allclose(left, right, rtol=1e-8, atol=1e-8, err_msg=message)
