"""`vmap`: a function of one example as a function of many.

The function is run once, on symbolic tensors of the shapes of one example; its graph is then
batched (`graphc.passes.batch`). So it is neither called again nor unrolled, whatever the number of
examples, and composes with `grad`, with itself, and with every other transform.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from graphc.capture import new_parameter
from graphc.dtypes import uint32
from graphc.errors import GraphcIndexError, GraphcTypeError, ShapeError
from graphc.frontend.hooks import hook
from graphc.frontend.operands import apply, as_node, broadcast_to, fail
from graphc.frontend.recording import ExampleTrace, Trace, current_trace
from graphc.frontend.structures import Structure, flatten_result, unflatten
from graphc.frontend.symbolic import as_tensors, compiled_on_arrays
from graphc.frontend.tensor import Tensor
from graphc.graph import substitute
from graphc.node import Node
from graphc.tensor_type import TensorType

__all__ = ["vmap"]

Axes: TypeAlias = Any  # an axis, None, or a tuple, list or dict of such, a prefix of the structure


def vmap(function: Callable[..., Any], in_axes: Axes = 0, out_axes: Axes = 0) -> Callable[..., Any]:
    """Return the function that maps `function` over an axis of its arguments.

    in_axes   for each positional argument the axis that counts the examples, or None where the
              argument is the same for all; one axis stands for all arguments, and within an
              argument for all that it holds; keyword arguments are mapped along axis 0
    out_axes  for the result, in the same way, where the examples go; None where the result does not
              depend on them

    A layer of dropout drops other elements of each example. Named as in JAX.

    Raises ShapeError where arguments have different numbers of examples or none,
    GraphcIndexError for an axis that is not there, and GraphcTypeError for an op that cannot be
    batched and for a variable that would be assigned a different value for each example.

    >>> import numpy as np
    >>> import graphc
    >>> distances = graphc.vmap(lambda x, y: graphc.sqrt(graphc.square(x - y).sum()), (0, None))
    >>> distances(np.float32([[3, 4], [6, 8]]), np.float32([0, 0]))
    array([ 5., 10.], dtype=float32)
    """

    @functools.wraps(function)
    def mapped(*arguments: Any, **keywords: Any) -> Any:
        return _map(function, in_axes, out_axes, arguments, keywords)

    return compiled_on_arrays(mapped)


def _map(
    function: Callable[..., Any],
    in_axes: Axes,
    out_axes: Axes,
    arguments: tuple[Any, ...],
    keywords: Mapping[str, Any],
) -> Any:
    given = (tuple(as_tensors(a) for a in arguments), dict(keywords))
    leaves, structure = flatten_result(given)
    positional, named = structure.children
    spread = tuple(in_axes) if isinstance(in_axes, list | tuple) else (in_axes,) * len(arguments)
    if len(spread) != len(arguments):
        fail(GraphcTypeError, f"in_axes names {len(spread)} arguments, but {len(arguments)} came")
    pairs = zip(positional.children, spread, strict=True)
    axes = [axis for child, each in pairs for axis in axes_of(child, each, "in_axes")]
    axes += [0] * named.leaf_count
    examples = _Examples([as_node(leaf) for leaf in leaves], axes)
    with ExampleTrace(examples.number) as recorded:
        replaced, names = unflatten(structure, [Tensor(node) for node in examples.single])
        result = function(*replaced, **names)
        outputs, shape = flatten_result(result)
        roots = [as_node(output) for output in outputs]
    _hand_on(examples, recorded)
    images = examples.batch(roots)
    places = axes_of(shape, out_axes, "out_axes")
    results = [
        Tensor(examples.placed(image, is_batched, axis))
        for (image, is_batched), axis in zip(images, places, strict=True)
    ]
    return unflatten(shape, results)


def axes_of(structure: Structure, axes: Axes, name: str) -> list[int | None]:
    """Return the axis for each leaf of `structure`, of which `axes` is a prefix."""
    if axes is None or (isinstance(axes, int) and not isinstance(axes, bool)):
        return [axes] * structure.leaf_count
    parts: Sequence[Any] = ()
    if isinstance(axes, dict) and structure.keys:
        parts = [axes[k.value] for k in structure.keys] if set(axes) == _keys(structure) else ()
    elif isinstance(axes, list | tuple) and not structure.keys:
        parts = axes
    if len(parts) != len(structure.children) or not isinstance(axes, list | tuple | dict):
        fail(
            GraphcTypeError,
            f"vmap: {name} {axes!r} does not fit what it is for",
            hint="an axis, None, or a nesting of them like that of the arguments",
        )
    children = zip(structure.children, parts, strict=True)
    return [axis for child, part in children for axis in axes_of(child, part, name)]


def _keys(structure: Structure) -> set[Any]:
    return {key.value for key in structure.keys}


class _Examples:
    """The leaves of the arguments: `single` of one example, and their images of all `size`.

    `number` is which example it is.
    """

    def __init__(self, leaves: Sequence[Node], axes: Sequence[int | None]) -> None:
        self.single: list[Node] = []
        self.images: dict[Node, Node] = {}
        self._others: dict[Node, Node] = {}  # for the single of an argument that all share
        sizes: dict[int, Node] = {}
        for leaf, axis in zip(leaves, axes, strict=True):
            place = None if axis is None else _inside(axis, len(leaf.shape), leaf)
            extents = leaf.shape if place is None else leaf.shape[:place] + leaf.shape[place + 1 :]
            single = new_parameter(leaf.type.with_shape(extents), "argument", "vmap")
            self.single.append(single)
            if place is None:
                self._others[single] = leaf
            else:
                sizes.setdefault(leaf.shape[place], leaf)
                self.images[single] = moved(leaf, place, 0)
        self.size = _one_size(sizes)
        self.number = new_parameter(TensorType((), uint32), "example")
        self.images[self.number] = apply("iota", shape=(self.size,), axis=0, dtype=uint32)

    def batch(self, roots: Sequence[Node]) -> list[tuple[Node, bool]]:
        """Return the images of `roots`, over the caller's tensors."""
        found = hook("batcher")(roots, self.images, self.size)
        nodes = substitute([node for node, _ in found], self._others)
        return [(node, is_wide) for node, (_, is_wide) in zip(nodes, found, strict=True)]

    def placed(self, image: Node, is_batched: bool, axis: int | None) -> Node:
        """Return the image of an output with its examples along `axis`."""
        if axis is None:
            if is_batched:
                fail(
                    GraphcTypeError,
                    "vmap: out_axes is None for a result that differs from example to example",
                    [image],
                )
            return image
        if not is_batched:
            image = broadcast_to(image, (self.size, *image.shape))
        return moved(image, 0, _inside(axis, len(image.shape), image))


def _inside(axis: int, rank: int, node: Node) -> int:
    if not -rank <= axis < rank:
        fail(GraphcIndexError, f"vmap: axis {axis} of a tensor of shape {node.shape}", [node])
    return axis % rank


def _one_size(sizes: Mapping[int, Node]) -> int:
    if len(sizes) != 1:
        counts = " and ".join(map(str, sizes)) or "no"
        fail(
            ShapeError,
            f"vmap: the arguments have {counts} examples",
            list(sizes.values()),
            "in_axes=None is for arguments that are the same for all examples"
            if sizes
            else "in_axes names the axis of one argument at least",
        )
    return next(iter(sizes))


def moved(node: Node, source: int, target: int) -> Node:
    """Return `node` with axis `source` at `target`, the others in their order."""
    if source == target:
        return node
    axes = [axis for axis in range(len(node.shape)) if axis != source]
    axes.insert(target, source)
    return apply("permute_dims", node, axes=tuple(axes))


def _hand_on(examples: _Examples, recorded: Trace) -> None:
    """Hand assignments of values that all examples share on to the outer trace."""
    outer = current_trace()
    assignments = recorded.assignments
    images = examples.batch([value for _, value in assignments])
    for (variable, value), (image, is_batched) in zip(assignments, images, strict=True):
        if is_batched:
            fail(
                GraphcTypeError,
                "vmap: a variable is assigned a value that differs from example to example",
                [variable, value],
                "return the value, and assign its mean or one of its examples outside",
            )
        if outer is not None:
            outer.assign(variable, image)
