"""Loops and branches: `scan`, `while_loop`, `fori_loop`, `map`, `cond` and `switch`.

A body is a Python function, run once on symbolic tensors; what it computes becomes a closed graph
that the loop holds. It may read tensors and variables from outside: what does not change from step
to step is computed once, before the loop. A variable that it assigns is carried from step to step
and assigned when the loop has ended. Names, the order of arguments and the meaning are those of
`jax.lax`. Given arrays alone, outside of tracing, a loop is compiled and run.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, SupportsIndex

from graphc.body import Body
from graphc.capture import close, invariant, new_parameter
from graphc.dtypes import int32, int64
from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError
from graphc.frontend.body_tracing import Words, carried, checked_count, on_arrays, tensors
from graphc.frontend.branches import choose, predicate_node
from graphc.frontend.constructors import arange
from graphc.frontend.loop_segments import Steps, build
from graphc.frontend.operands import apply, as_node, cast, fail
from graphc.frontend.structures import flatten_numbers, unflatten
from graphc.frontend.tensor import Tensor, TensorLike
from graphc.graph import Graph
from graphc.node import Node
from graphc.ops.loops import items

__all__ = ["cond", "fori_loop", "map", "scan", "switch", "while_loop"]


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int = 1,
    *,
    checkpoint_every: int | None = None,
) -> tuple[Any, Any]:
    """Return the last carry and the stacked outputs of `carry, y = f(carry, x)` over slices of xs.

    `init`, `xs` and the outputs nest as arguments of functions do; a slice is along the first axis,
    and `length` is needed where there is none. The carry keeps its types: Python numbers in `init`
    take those that `f` gives them. With `reverse` the steps run from the last slice to the first,
    and outputs stand where their slices do. `unroll` steps are put in a row in the code.
    With `checkpoint_every=k` derivatives keep the carry before every k-th step and compute the
    steps between them again: memory for length / k carries and k steps, and one more forward run.

    Raises GraphcTypeError where types or nesting do not fit, ShapeError where lengths do not.

    >>> import graphc
    >>> last, sums = scan(lambda c, x: (c + x, c + x), 0, graphc.arange(5))
    >>> sums.shape, last.dtype
    ((5,), graphc.int64)
    """
    unroll = checked_count("unroll", unroll)
    every = 0 if checkpoint_every is None else checked_count("checkpoint_every", checkpoint_every)

    return _scan(Words("scan"), f, init, xs, length, reverse, unroll, every)


def _scan(  # the arguments of scan
    words: Words,
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any,
    length: int | None,
    reverse: bool = False,
    unroll: int = 1,
    every: int = 0,
) -> tuple[Any, Any]:
    """Return what `scan` does, where `words` are those of the function that the user called."""

    def symbolic(init: Any, xs: Any) -> tuple[Any, Any]:
        leaves, structure = flatten_numbers(xs)
        stacked = tuple(as_node(leaf) for leaf in leaves)
        count = _length(words.name, stacked, length)
        slices = [
            new_parameter(n.type.with_shape(n.shape[1:]), "slice", words.name) for n in stacked
        ]
        x = unflatten(structure, tensors(slices))
        loop = carried(words, lambda carry: _pair(words.name, f(carry, x)), init)
        roots, parameters = (*loop.outputs, *loop.others), loop.parameters
        outside = invariant(roots, (*parameters, *slices), runs=count > 0)
        body, constants = close(parameters, slices, roots, outside)
        steps = Steps(body, loop.start, constants, stacked, count, bool(reverse))
        results = build(steps, unroll, every)
        ys = unflatten(loop.others_structure, tensors(results[len(parameters) :]))
        return loop.finish(results[: len(parameters)]), ys

    return on_arrays(symbolic, init, xs)  # type: ignore[no-any-return]  # what symbolic gives


def _pair(name: str, result: Any) -> tuple[Any, Any]:
    if not isinstance(result, tuple) or len(result) != 2:
        fail(
            GraphcTypeError,
            f"{name}: a step gives a pair, the carry and an output, not {type(result).__name__}",
            hint="return carry, None where there is no output",
        )
    return result


def _length(name: str, stacked: Sequence[Node], length: int | None) -> int:
    for node in stacked:
        if not node.shape:
            fail(ShapeError, f"{name}: xs holds a scalar, which has no slices", [node])
    lengths = [node.shape[0] for node in stacked]
    if length is not None:
        lengths.append(checked_count("length", length, least=0))
    if not lengths:
        fail(GraphcValueError, f"{name}: how many steps? there are no xs", hint="pass length=")
    if len(set(lengths)) > 1:
        given = " and ".join(str(count) for count in dict.fromkeys(lengths))
        fail(ShapeError, f"{name}: xs and length= give {given} steps", stacked)
    return lengths[0]


def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """Return the stacked results of `f` on each slice of xs along the first axis.

    >>> import graphc
    >>> map(lambda row: row.sum(), graphc.asarray([[1, 2], [3, 4]])).shape
    (2,)
    """
    return _scan(Words("map"), lambda _, x: (None, f(x)), None, xs, None)[1]


def while_loop(
    condition: Callable[[Any], Any],
    f: Callable[[Any], Any],
    init: Any,
    max_iterations: int | None = None,
) -> Any:
    """Return what `f` makes of `init`, run again and again while `condition` of it holds.

    The carry keeps its types, as in `scan`. Reverse-mode derivatives need `max_iterations`, after
    which the loop ends whatever the condition says; memory is then taken for all of them.

    >>> import graphc
    >>> while_loop(lambda n: n < 100, lambda n: n * 2, graphc.asarray(3)).dtype
    graphc.int64
    """
    if max_iterations is not None:
        most = checked_count("max_iterations", max_iterations, least=0)
        return _bounded_loop(condition, f, init, most)
    return _while(Words("while_loop"), condition, f, init)


def _while(
    words: Words, condition: Callable[[Any], Any], f: Callable[[Any], Any], init: Any
) -> Any:
    """Return what `while_loop` does, where `words` are those of the function that was called."""

    def step(carry: Any) -> tuple[Any, Any]:
        holds = predicate_node(words.name, condition(carry))
        return f(carry), Tensor(holds)

    def symbolic(init: Any) -> Any:
        loop = carried(words, step, init)
        roots, parameters = (*loop.outputs, *loop.others), loop.parameters
        both, constants = close(parameters, (), roots, invariant(roots, parameters, runs=False))
        body, test = (
            Body(Graph(both.inputs, part)) for part in (both.outputs[:-1], both.outputs[-1:])
        )
        attributes = {"condition": test, "body": body, "carries": len(parameters)}
        return loop.finish(items(apply("while_loop", *loop.start, *constants, **attributes)))

    return on_arrays(symbolic, init)


def _bounded_loop(
    condition: Callable[[Any], Any], f: Callable[[Any], Any], init: Any, most: int
) -> Any:
    """Return a loop as a scan whose carry stays as it is where the condition does not hold."""

    def step(carry: Any, _: None) -> tuple[Any, None]:
        return cond(condition(carry), f, lambda same: same, carry), None

    return _scan(Words("while_loop"), step, init, None, most)[0]


def fori_loop(
    lower: SupportsIndex | Tensor,
    upper: SupportsIndex | Tensor,
    f: Callable[[Any, Any], Any],
    init: Any,
) -> Any:
    """Return what `carry = f(i, carry)` makes of `init` for i from `lower` to `upper` - 1.

    With Python integers as bounds it is a `scan`, which has derivatives; else a `while_loop`. The
    counter is an int64 tensor, and with a float32 one gives float64, as everywhere: where it is
    computed with, `i.astype(carry.dtype)` keeps the carry what it is.

    >>> import graphc
    >>> fori_loop(0, 10, lambda i, total: total + i, graphc.asarray(0)).dtype
    graphc.int64
    """
    hint = "the counter is {}, and makes float64 of floats: compute with i.astype(carry.dtype)"
    if isinstance(lower, Tensor) or isinstance(upper, Tensor):
        last = as_node(upper)  # type: ignore[arg-type]  # a number or a tensor
        first = Tensor(cast(as_node(lower), last.type.dtype))  # type: ignore[arg-type]  # as above
        words = Words("fori_loop", hint.format(last.type.dtype), is_counted=True)
        return _while(
            words,
            lambda state: state[0] < Tensor(last),
            lambda state: (state[0] + 1, f(state[0], state[1])),
            (first, init),
        )[1]
    bounds = operator.index(lower), operator.index(upper)

    def symbolic(init: Any) -> Any:
        words = Words("fori_loop", hint.format(int64))
        return _scan(words, lambda carry, i: (f(i, carry), None), init, arange(*bounds), None)[0]

    return on_arrays(symbolic, init)


def cond(
    predicate: TensorLike,
    true_f: Callable[..., Any],
    false_f: Callable[..., Any],
    *operands: Any,
) -> Any:
    """Return `true_f(*operands)` where the predicate, a bool scalar, holds, else `false_f(…)`.

    Only one of them is run. Both give the same structure and types.

    >>> import graphc
    >>> x = graphc.asarray(2.0)
    >>> cond(x > 0, lambda x: x, lambda x: -x, x).shape
    ()
    """

    def number(predicate: TensorLike) -> Node:
        return cast(predicate_node("cond", predicate), int32)

    return choose("cond", predicate, number, (false_f, true_f), operands)


def switch(index: TensorLike, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """Return `branches[index](*operands)`; an index out of range is moved to the nearest end.

    Only that branch is run. All give the same structure and types.

    >>> import graphc
    >>> switch(1, [lambda x: x, lambda x: x * 2], graphc.asarray(2.0)).shape
    ()
    """
    if not branches:
        fail(GraphcValueError, "switch: there are no branches")

    def number(index: TensorLike) -> Node:
        node = as_node(index)
        if node.shape or not node.type.dtype.is_integer:
            wrong = f"switch: a branch is numbered by an integer, not {node.type}"
            fail(GraphcTypeError, wrong, [node])
        return node if node.type.dtype in (int32, int64) else cast(node, int64)

    return choose("switch", index, number, tuple(branches), operands)
