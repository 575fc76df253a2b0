"""Derivatives of functions of many values: `vjp`, `jvp`, `jacobian`, `hessian`, `hvp`.

Reverse mode (`vjp`) is the differentiator's. Forward mode is reverse mode twice: the pullback is
linear in its cotangent u, and its own pullback along a tangent t is the derivative times t,
whatever u was. What of the first pullback only u needed is in no result, and so in no graph.
Jacobians are batched pullbacks of the unit vectors, or pushforwards, whichever are fewer.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

from graphc.arithmetic import zeros_like
from graphc.capture import new_parameter
from graphc.dtypes import int64
from graphc.errors import GraphcTypeError, GraphcValueError, ShapeError
from graphc.frontend.hooks import hook
from graphc.frontend.operands import apply, as_node, fail
from graphc.frontend.recording import Trace
from graphc.frontend.structures import Structure, flatten_result, unflatten
from graphc.frontend.symbolic import Subjects, as_tensors, compiled_on_arrays, substituted
from graphc.frontend.tensor import Tensor
from graphc.frontend.transforms import grad, with_aux
from graphc.graph import substitute
from graphc.node import Node
from graphc.ops.views import reshaped

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vjp"]

Mode: TypeAlias = Literal["auto", "reverse", "forward"]
MODES: tuple[Mode, ...] = ("auto", "reverse", "forward")


def vjp(function: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """Return `function(*primals)` and its pullback there.

    The pullback takes a cotangent for the result, in its structure, and returns a tuple of the
    cotangents of the primals, in theirs: the cotangent times the Jacobian. With `has_aux` the
    function gives a pair, and its second part, anything else, is a third result here.

    >>> import numpy as np
    >>> import graphc
    >>> value, pullback = graphc.vjp(lambda x: x * x, np.float32([1, 2]))
    >>> value, pullback(np.float32([1, 10]))
    (array([1., 4.], dtype=float32), (array([ 2., 40.], dtype=float32),))
    """

    def result_and_aux(*arguments: Any) -> tuple[Any, Any]:
        result = function(*arguments)
        return with_aux(result) if has_aux else (result, None)

    pulled = compiled_on_arrays(functools.partial(_pulled, result_and_aux))
    value, aux = compiled_on_arrays(result_and_aux)(*primals)

    def pullback(cotangent: Any) -> tuple[Any, ...]:
        found: tuple[Any, ...] = pulled(primals, cotangent)
        return found

    return (value, pullback, aux) if has_aux else (value, pullback)


def _pulled(function: Callable[..., Any], primals: tuple[Any, ...], cotangent: Any) -> Any:
    subjects = Subjects(range(len(primals)), primals)
    with Trace() as recorded:
        outputs, structure = flatten_result(function(*subjects.arguments)[0])
        nodes = [as_node(x) for x in outputs]
    seeds = _like(cotangent, nodes, structure, "cotangent")
    pairs = [(n, s) for n, s in zip(nodes, seeds, strict=True) if n.type.dtype.is_inexact]
    wrt = [_differentiable(x.node, "the gradient with respect to") for x in subjects.fresh]
    found = hook("differentiator")([n for n, _ in pairs], [s for _, s in pairs], wrt)
    return subjects.nested(substituted(list(map(Tensor, found)), subjects.mapping(), recorded))


def jvp(function: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """Return `function(*primals)` and its derivative along `tangents`: the Jacobian times them.

    `tangents` is a sequence like `primals`, each in the structure and of the types of its primal.
    The derivative has the structure of the result; that of integers is zero.

    >>> import numpy as np
    >>> import graphc
    >>> x, direction = np.float32([1, 2]), np.float32([1, 10])
    >>> graphc.jvp(lambda x: x * x, [x], [direction])
    (array([1., 4.], dtype=float32), array([ 2., 40.], dtype=float32))
    """
    _check_sequences("jvp", primals, tangents, "tangents")
    pushed = compiled_on_arrays(functools.partial(_pushed, function))
    return pushed(tuple(primals), tuple(tangents))


def _pushed(
    function: Callable[..., Any], primals: tuple[Any, ...], tangents: tuple[Any, ...]
) -> tuple[Any, Any]:
    subjects = Subjects(range(len(primals)), primals)
    given = [as_tensors(t) for t in tangents]
    moves = [as_node(x) for x in flatten_result(given)[0]]
    inputs = [x.node for x in subjects.fresh]
    if [m.type for m in moves] != [i.type for i in inputs]:
        fail(
            ShapeError,
            f"jvp: tangents of types {_types(moves)} for primals of types {_types(inputs)}",
            moves,
            "tangents have the structure, the shapes and the dtypes of the primals",
        )
    with Trace() as recorded:
        result = function(*subjects.arguments)
        outputs, structure = flatten_result(result)
        nodes = [as_node(x) for x in outputs]
    derivatives = pushforward(nodes, inputs, moves)
    pair = (unflatten(structure, list(map(Tensor, nodes))), list(map(Tensor, derivatives)))
    value, derivative = substituted(pair, subjects.mapping(), recorded)
    return value, unflatten(structure, derivative)


def pushforward(
    outputs: Sequence[Node], inputs: Sequence[Node], tangents: Sequence[Node]
) -> list[Node]:
    """Return the derivative of each output where the inputs move along the tangents."""
    moving = [(i, t) for i, t in zip(inputs, tangents, strict=True) if i.type.dtype.is_inexact]
    floats = [n for n in outputs if n.type.dtype.is_inexact]
    seeds = [new_parameter(node.type) for node in floats]
    pulled = hook("differentiator")(floats, seeds, [i for i, _ in moving])
    pushed = hook("differentiator")(pulled, [t for _, t in moving], seeds)
    # linear, so no seed is left in it; those that a rule spells anyhow are set to zero
    cleared = substitute(pushed, {seed: zeros_like(seed) for seed in seeds})
    found = iter(cleared)
    return [next(found) if n.type.dtype.is_inexact else zeros_like(n) for n in outputs]


def jacobian(
    function: Callable[..., Any], argnums: int | Sequence[int] = 0, *, mode: Mode = "auto"
) -> Callable[..., Any]:
    """Return the function that gives all first derivatives of `function`.

    For a result of shape R and an argument of shape A they have the shape (*R, *A); nested results
    hold, in the place of each leaf, a nesting like that of the arguments `argnums`. `mode` is
    "reverse" (one pullback for each element of the result), "forward" (one pushforward for each of
    the arguments), or "auto": the fewer. All of them are computed at once, batched.

    >>> import numpy as np
    >>> import graphc
    >>> graphc.jacobian(lambda x: x * x)(np.float32([1, 2]))
    array([[2., 0.],
           [0., 4.]], dtype=float32)
    """
    if mode not in MODES:
        fail(GraphcValueError, f"jacobian: mode is {mode!r}, not one of {', '.join(MODES)}")

    @functools.wraps(function)
    def jacobian_of(*arguments: Any, **keywords: Any) -> Any:
        subjects = Subjects(argnums, arguments)
        with Trace() as recorded:
            outputs, structure = flatten_result(function(*subjects.arguments, **keywords))
            nodes = [_real(as_node(x), "the Jacobian of") for x in outputs]
        inputs = [_real(x.node, "the Jacobian with respect to") for x in subjects.fresh]
        rows = _jacobian(nodes, inputs, mode)
        rows = substituted(rows, subjects.mapping(), recorded)
        return unflatten(structure, [subjects.nested(row) for row in rows])

    return compiled_on_arrays(jacobian_of)


def _jacobian(outputs: list[Node], inputs: list[Node], mode: Mode) -> list[list[Tensor]]:
    rows, columns = (sum(n.type.size for n in nodes) for nodes in (outputs, inputs))
    is_forward = mode == "forward" or (mode == "auto" and columns < rows)
    make = _forward if is_forward else _reverse
    return [[Tensor(block) for block in row] for row in make(outputs, inputs)]


def _reverse(outputs: list[Node], inputs: list[Node]) -> list[list[Node]]:
    rows = []
    for output in outputs:
        seed = new_parameter(output.type)
        pulled = hook("differentiator")([output], [seed], inputs)
        blocks = _over_units(pulled, seed)
        shapes = [(*output.shape, *node.shape) for node in inputs]
        rows.append([reshaped(b, s) for b, s in zip(blocks, shapes, strict=True)])
    return rows


def _forward(outputs: list[Node], inputs: list[Node]) -> list[list[Node]]:
    columns = []
    for node in inputs:
        move = new_parameter(node.type)
        blocks = _over_units(pushforward(outputs, [node], [move]), move)
        columns.append(
            [_last(b, o.shape, node.shape) for b, o in zip(blocks, outputs, strict=True)]
        )
    return [list(row) for row in zip(*columns, strict=True)]


def _over_units(nodes: Sequence[Node], seed: Node) -> list[Node]:
    """Return `nodes` for each unit vector in the place of `seed`, along a new first axis."""
    size, dtype = seed.type.size, seed.type.dtype
    row, column = (apply("iota", shape=(size, size), axis=a, dtype=int64) for a in (0, 1))
    units = apply("cast", apply("equal", row, column), dtype=dtype)  # computed where it is read
    found = hook("batcher")(nodes, {seed: reshaped(units, (size, *seed.shape))}, size)
    return [
        node if is_wide else apply("broadcast_to", node, shape=(size, *node.shape))
        for node, is_wide in found
    ]


def _last(block: Node, output: tuple[int, ...], argument: tuple[int, ...]) -> Node:
    """Return a block of the shape (size of the argument, *output) as (*output, *argument)."""
    turned = apply("permute_dims", block, axes=(*range(1, len(output) + 1), 0))
    return reshaped(turned, (*output, *argument))


def hessian(function: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """Return the function that gives all second derivatives of `function`: its Jacobian's Jacobian.

    >>> import numpy as np
    >>> import graphc
    >>> graphc.hessian(lambda x: (x * x * x).sum())(np.float32([1, 2]))
    array([[ 6.,  0.],
           [ 0., 12.]], dtype=float32)
    """
    return jacobian(jacobian(function, argnums), argnums)


def hvp(function: Callable[..., Any], primals: Sequence[Any], vectors: Sequence[Any]) -> Any:
    """Return the Hessian of a function that gives a scalar, times `vectors`, without forming it.

    `primals` are all arguments of the function, `vectors` a sequence like them. The result is a
    tuple with the structures of the primals. It costs a few times the function itself.

    >>> import numpy as np
    >>> import graphc
    >>> x, direction = np.float32([1, 2]), np.float32([1, 10])
    >>> graphc.hvp(lambda x: (x * x * x).sum(), [x], [direction])
    (array([  6., 120.], dtype=float32),)
    """
    _check_sequences("hvp", primals, vectors, "vectors")
    gradient = grad(function, argnums=tuple(range(len(primals))))
    return jvp(gradient, primals, vectors)[1]


# --- checks --------------------------------------------------------------------------------------


def _check_sequences(name: str, primals: Any, others: Any, what: str) -> None:
    """Raise unless both are tuples or lists of one length; an array has rows, and no arguments."""
    for word, given in (("primals", primals), (what, others)):
        if not isinstance(given, tuple | list):
            fail(
                GraphcTypeError,
                f"{name}: {word} are a tuple or list, with one for each argument of the function, "
                f"not {type(given).__name__}",
                hint=f"graphc.{name}(f, [x], [direction])",
            )
    if len(primals) != len(others):
        fail(GraphcValueError, f"{name}: {len(primals)} primals, but {len(others)} {what}")


def _like(given: Any, nodes: list[Node], structure: Structure, what: str) -> list[Node]:
    """Return the leaves of `given`, which has the structure and types of a result."""
    leaves, own = flatten_result(as_tensors(given))
    seeds = [as_node(leaf) for leaf in leaves]
    if own.leaf_count != structure.leaf_count or [s.type for s in seeds] != [n.type for n in nodes]:
        fail(
            ShapeError,
            f"vjp: a {what} of types {_types(seeds)} for a result of types {_types(nodes)}",
            seeds,
            f"the {what} has the structure, the shapes and the dtypes of the result",
        )
    return seeds


def _types(nodes: Sequence[Node]) -> str:
    return ", ".join(str(node.type) for node in nodes) or "none"


def _real(node: Node, asked: str) -> Node:
    """Refuse complex numbers: two columns of reals belong to one of them, and not a number."""
    if node.type.dtype.is_complex:
        fail(
            GraphcTypeError,
            f"{asked} a {node.type} is asked for, which is one of real numbers alone",
            [node],
            "write the function of real and imaginary parts; graphc.vjp and graphc.jvp take both",
        )
    return _differentiable(node, asked)


def _differentiable(node: Node, asked: str) -> Node:
    if not node.type.dtype.is_inexact:
        fail(
            GraphcTypeError,
            f"{asked} a {node.type} is asked for, which has no derivatives",
            [node],
            "convert it first: tensor.astype(graphc.float32)",
        )
    return node
