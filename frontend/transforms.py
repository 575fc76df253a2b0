"""Differentiation of tensors and of functions.

`gradients` differentiates tensors of a graph; `grad` and `value_and_grad` differentiate a tensor
with respect to others, or a function, to any order, which gives a function. Given tensors such a
function builds nodes; given arrays it is compiled and run (`graphc.frontend.symbolic`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, overload

import numpy as np

from graphc.errors import GraphcTypeError, ShapeError
from graphc.frontend.hooks import hook
from graphc.frontend.operands import as_node, broadcast_to, fail
from graphc.frontend.recording import Trace
from graphc.frontend.symbolic import Subjects, compiled_on_arrays, substituted
from graphc.frontend.tensor import Tensor, TensorLike
from graphc.node import Node

__all__ = ["grad", "gradients", "value_and_grad"]


@overload
def gradients(
    outputs: Tensor | Sequence[Tensor],
    wrt: Tensor,
    cotangents: Sequence[TensorLike] | Tensor | np.ndarray[Any, Any] | None = None,
) -> Tensor: ...


@overload
def gradients(
    outputs: Tensor | Sequence[Tensor],
    wrt: Sequence[Tensor],
    cotangents: Sequence[TensorLike] | Tensor | np.ndarray[Any, Any] | None = None,
) -> list[Tensor]: ...


def gradients(outputs: Any, wrt: Any, cotangents: Any = None) -> Tensor | list[Tensor]:
    """Return the gradient of `outputs`, summed, with respect to each tensor of `wrt`.

    `wrt` is a tensor, and its gradient is returned, or a sequence, and a list is returned. Without
    `cotangents`, one for each output, the outputs are real scalars. The gradient of a complex
    x + iy is a + ib, with a and b those of x and y. A variable means its current value. Zeros where
    an output does not depend on a tensor. Raises ShapeError for outputs that are no scalars, and
    GraphcTypeError for dtypes without derivatives and for what is no tensor.

    >>> import graphc
    >>> x = graphc.input((3,), name="x")
    >>> gradients((x * x).sum(), x).shape
    (3,)
    """
    nodes = [as_node(x) for x in _listed(outputs)]
    targets = [_differentiable(_target(x)) for x in _listed(wrt)]
    if cotangents is None:
        seeds = [as_node(1, _scalar_loss(node).type.dtype) for node in nodes]
    else:
        pairs = zip(_listed(cotangents), nodes, strict=True)
        seeds = [_cotangent(x, node) for x, node in pairs]
    if not targets:
        return []
    found = [Tensor(node) for node in hook("differentiator")(nodes, seeds, targets)]
    return found[0] if isinstance(wrt, Tensor) else found


def _listed(given: Any) -> list[Any]:
    return [given] if isinstance(given, Tensor | np.ndarray) else list(given)


def _target(value: Any) -> Node:
    if not isinstance(value, Tensor):
        fail(
            GraphcTypeError,
            f"a gradient is taken with respect to tensors, not to {type(value).__name__}",
            hint="graphc.input(shape) or graphc.Variable(array) makes one",
        )
    return value.node


def _scalar_loss(node: Node) -> Node:
    if node.shape:
        fail(
            ShapeError,
            f"the gradient of a tensor of shape {node.shape} is asked for; a scalar is needed",
            [node],
            "reduce it first: loss.mean() or loss.sum()",
        )
    if node.type.dtype.is_complex:
        fail(
            GraphcTypeError,
            f"the gradient of a {node.type} is asked for; a real number is needed",
            [node],
            "take abs(loss), loss.real or loss.imag; graphc.vjp pulls a complex cotangent back",
        )
    return _differentiable(node)


def _differentiable(node: Node) -> Node:
    if not node.type.dtype.is_inexact:
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


@overload
def grad(target: Tensor, wrt: Tensor) -> Tensor: ...


@overload
def grad(target: Tensor, wrt: Sequence[Tensor]) -> list[Tensor]: ...


@overload
def grad(
    target: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]: ...


def grad(  # type: ignore[misc]  # its second argument is wrt or argnums, by either name
    target: Any, argnums: Any = 0, has_aux: bool = False, *, wrt: Any = None
) -> Any:
    """Return the gradient of a tensor, or the function that gives the gradient of a function.

    Of a scalar tensor: the gradient with respect to the tensor or tensors `wrt`, as `gradients`
    has it. A function gives a scalar tensor, or with `has_aux` a pair of it and anything else,
    which is handed through: the result is then (gradient, aux). `argnums` names positional
    arguments, which may be nested; the gradient has their structure, and is a tuple if `argnums` is
    a sequence. The gradient of a module is a dict of those of its parameters, by their paths.

    >>> import graphc
    >>> x = graphc.input((3,), name="x")
    >>> grad((x * x).sum(), x).shape
    (3,)
    """
    if isinstance(target, Tensor):
        return gradients(target, _wrt(argnums, wrt))
    both = value_and_grad(target, argnums, has_aux)

    @functools.wraps(target)
    def gradient(*arguments: Any, **keywords: Any) -> Any:
        value, found = both(*arguments, **keywords)
        return (found, value[1]) if has_aux else found

    return compiled_on_arrays(gradient)


@overload
def value_and_grad(target: Tensor, wrt: Tensor) -> tuple[Tensor, Tensor]: ...


@overload
def value_and_grad(target: Tensor, wrt: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]: ...


@overload
def value_and_grad(
    target: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]: ...


def value_and_grad(  # type: ignore[misc]  # its second argument is wrt or argnums, by either name
    target: Any, argnums: Any = 0, has_aux: bool = False, *, wrt: Any = None
) -> Any:
    """Return a tensor and its gradient, or the function that gives such a pair; see `grad`."""
    if isinstance(target, Tensor):
        return target, gradients(target, _wrt(argnums, wrt))
    if not callable(target):
        fail(
            GraphcTypeError,
            f"an object of type {type(target).__name__} cannot be differentiated",
            hint="pass a tensor and what to differentiate with respect to, or a function",
        )

    @functools.wraps(target)
    def value_and_gradient(*arguments: Any, **keywords: Any) -> Any:
        return _differentiate(target, argnums, has_aux, arguments, keywords)

    return compiled_on_arrays(value_and_gradient)


def _wrt(positional: Any, keyword: Any) -> Any:
    """Return what a tensor is differentiated with respect to: the second argument, or `wrt`."""
    found = positional if keyword is None else keyword
    if isinstance(found, int):
        fail(
            GraphcTypeError,
            "the gradient of a tensor is asked for, and not with respect to what",
            hint="graphc.grad(loss, x) or graphc.grad(loss, [x, y]); argnums belongs to functions",
        )
    return found


def _differentiate(
    function: Callable[..., Any],
    argnums: int | Sequence[int],
    has_aux: bool,
    arguments: tuple[Any, ...],
    keywords: Mapping[str, Any],
) -> Any:
    """Run `function` on fresh inputs, differentiate, and put the arguments in the inputs' place."""
    subjects = Subjects(argnums, arguments)
    with Trace() as recorded:
        result = function(*subjects.arguments, **keywords)
    value = with_aux(result)[0] if has_aux else result
    if not isinstance(value, Tensor):
        fail(
            GraphcTypeError,
            f"the function to differentiate gives {type(value).__name__}, not a tensor",
            hint="it returns one scalar tensor; for more, has_aux=True and return loss, others",
        )
    found = gradients(value, subjects.fresh)
    result, found = substituted((result, found), subjects.mapping(), recorded)
    return result, subjects.nested(found)


def with_aux(result: Any) -> tuple[Any, Any]:
    """Return the pair that a function gives with `has_aux`; raises GraphcTypeError for another."""
    if not (isinstance(result, tuple) and len(result) == 2):
        fail(
            GraphcTypeError,
            f"with has_aux the function returns a pair (loss, others), not {_described(result)}",
        )
    return result


def _described(result: object) -> str:
    if isinstance(result, Tensor):
        return "a tensor"
    if isinstance(result, tuple):
        return f"a tuple of {len(result)}"
    return f"an object of type {type(result).__name__}"
