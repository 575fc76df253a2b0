"""Differentiation of tensors and of functions.

`gradients` differentiates a tensor of a graph; `grad` and `value_and_grad` differentiate functions,
to any order, and give functions. Given tensors such a function builds nodes; given arrays it is
compiled and run. How a graph is differentiated and how a function is compiled is not known here:
the facade says so once, by `set_differentiator` and `set_compiler`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from graphc.errors import GraphcTypeError, GraphcValueError, InternalError, ShapeError
from graphc.frontend.constructors import input as make_input
from graphc.frontend.operands import as_node, broadcast_to, fail
from graphc.frontend.recording import Trace, current_trace, is_tracing
from graphc.frontend.structures import flatten_result, unflatten
from graphc.frontend.tensor import Tensor, TensorLike
from graphc.graph import substitute
from graphc.node import Node

__all__ = ["grad", "gradients", "set_compiler", "set_differentiator", "value_and_grad"]

Differentiator: TypeAlias = Callable[
    [Sequence[Node], Sequence[Node], Sequence[Node]], Sequence[Node]
]
Compiler: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]
_hooks: dict[str, Any] = {}


def set_differentiator(differentiator: Differentiator) -> None:
    """Say how graphs are differentiated.

    `differentiator(outputs, cotangents, wrt)` gives, for each node of `wrt`, the sum over the
    outputs of cotangent times derivative; zeros where nothing depends on the node.
    """
    _hooks["differentiator"] = differentiator


def set_compiler(compiler: Compiler) -> None:
    """Say how a function of arrays is compiled: `compiler(function)` gives a callable of arrays."""
    _hooks["compiler"] = compiler


def _hook(name: str) -> Any:
    if name not in _hooks:
        raise InternalError(f"no {name} is set; importing graphc sets it")
    return _hooks[name]


def gradients(
    outputs: Tensor | Sequence[Tensor],
    wrt: Sequence[Tensor],
    cotangents: Sequence[TensorLike] | None = None,
) -> list[Tensor]:
    """Return the gradient of `outputs`, summed, with respect to each tensor of `wrt`.

    Without `cotangents` the outputs are scalars. A variable means its current value. Zeros where an
    output does not depend on a tensor. Raises ShapeError for outputs that are no scalars, and
    GraphcTypeError for dtypes without derivatives.
    """
    given = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    nodes = [as_node(x) for x in given]
    targets = [_differentiable(as_node(x)) for x in wrt]
    if cotangents is None:
        seeds = [as_node(1, _scalar_loss(node).type.dtype) for node in nodes]
    else:
        seeds = [_cotangent(x, node) for x, node in zip(cotangents, nodes, strict=True)]
    if not targets:
        return []
    return [Tensor(node) for node in _hook("differentiator")(nodes, seeds, targets)]


def _scalar_loss(node: Node) -> Node:
    if node.shape:
        fail(
            ShapeError,
            f"the gradient of a tensor of shape {node.shape} is asked for; a scalar is needed",
            [node],
            "reduce it first: loss.mean() or loss.sum()",
        )
    return _differentiable(node)


def _differentiable(node: Node) -> Node:
    if not node.type.dtype.is_float:
        fail(
            GraphcTypeError,
            f"{node.type.dtype} has no derivatives",
            [node],
            "convert it first: tensor.astype(graphc.float32)",
        )
    return node


def _cotangent(value: TensorLike, node: Node) -> Node:
    _differentiable(node)
    cotangent = as_node(value, node.type.dtype)
    if cotangent.shape and cotangent.shape != node.shape:
        fail(
            ShapeError,
            f"a cotangent of shape {cotangent.shape} for a tensor of shape {node.shape}",
            [node, cotangent],
        )
    return broadcast_to(cotangent, node.shape)


def grad(
    function: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """Return the function that gives the gradient of `function` with respect to its arguments.

    `function` gives a scalar tensor, or with `has_aux` a pair of it and anything else, which is
    handed through: the result is then (gradient, aux). `argnums` names positional arguments, which
    may be nested; the gradient has their structure, and is a tuple if `argnums` is a sequence.
    """
    both = value_and_grad(function, argnums, has_aux)

    @functools.wraps(function)
    def gradient(*arguments: Any, **keywords: Any) -> Any:
        value, found = both(*arguments, **keywords)
        return (found, value[1]) if has_aux else found

    return _compiled_on_arrays(gradient)


def value_and_grad(
    function: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """Return the function that gives a pair, `function`'s value and its gradient; see `grad`."""

    @functools.wraps(function)
    def value_and_gradient(*arguments: Any, **keywords: Any) -> Any:
        return _differentiate(function, argnums, has_aux, arguments, keywords)

    return _compiled_on_arrays(value_and_gradient)


def _compiled_on_arrays(symbolic: Callable[..., Any]) -> Callable[..., Any]:
    """Return `symbolic`, compiled when it is called outside of tracing and without tensors."""
    compiled: list[Callable[..., Any]] = []

    @functools.wraps(symbolic)
    def function(*arguments: Any, **keywords: Any) -> Any:
        leaves, _ = flatten_result((arguments, dict(keywords)))
        if is_tracing() or any(isinstance(leaf, Tensor) for leaf in leaves):
            return symbolic(*arguments, **keywords)
        if not compiled:
            compiled.append(_hook("compiler")(symbolic))
        return compiled[0](*arguments, **keywords)

    return function


def _differentiate(
    function: Callable[..., Any],
    argnums: int | Sequence[int],
    has_aux: bool,
    arguments: tuple[Any, ...],
    keywords: Mapping[str, Any],
) -> Any:
    """Run `function` on fresh inputs, differentiate, and put the arguments in the inputs' place.

    The fresh inputs make the derivative that of the function: with the arguments themselves, what
    the function reads of the same tensors by other ways would be counted too.
    """
    places = _places(argnums, len(arguments))
    leaves, structure = flatten_result(tuple(_as_tensors(arguments[i]) for i in places))
    fresh = [make_input(leaf.shape, leaf.dtype) for leaf in leaves]
    replaced = list(arguments)
    for place, value in zip(places, unflatten(structure, fresh), strict=True):
        replaced[place] = value
    with Trace() as recorded:
        result = function(*replaced, **keywords)
    value = result[0] if has_aux else result
    if not isinstance(value, Tensor):
        fail(
            GraphcTypeError,
            f"the function to differentiate gives {type(value).__name__}, not a tensor",
            hint="it returns one scalar tensor; for more, has_aux=True and return loss, others",
        )
    found = gradients(value, fresh)
    mapping = {f.node: as_node(leaf) for f, leaf in zip(fresh, leaves, strict=True)}
    result, found = _substituted((result, found), mapping, recorded)
    nested = unflatten(structure, found)
    return result, nested[0] if isinstance(argnums, int) else nested


def _places(argnums: int | Sequence[int], count: int) -> list[int]:
    given = [argnums] if isinstance(argnums, int) else list(argnums)
    if any(not -count <= place < count for place in given):
        fail(
            GraphcValueError,
            f"argnums {argnums} for a function called with {count} positional arguments",
            hint="arguments to differentiate with respect to are passed by position",
        )
    return [place % count for place in given]


def _as_tensors(argument: Any) -> Any:
    """Return an argument with Python floats as tensors."""
    if isinstance(argument, float):
        return Tensor(as_node(argument))
    return argument


def _substituted(tree: Any, mapping: Mapping[Node, Node], recorded: Trace) -> Any:
    """Return `tree` with nodes replaced; hand the assignments on to the outer trace."""
    leaves, structure = flatten_result(tree)
    assignments = recorded.assignments
    roots = [*(as_node(x) for x in leaves), *(value for _, value in assignments)]
    replaced = substitute(roots, mapping)
    outer = current_trace()
    for (variable, _), value in zip(assignments, replaced[len(leaves) :], strict=True):
        if outer is not None:
            outer.assign(variable, value)
    return unflatten(structure, [Tensor(node) for node in replaced[: len(leaves)]])
