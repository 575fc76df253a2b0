"""`on_pairs`: a host function that takes and gives complex numbers, called on pairs of floats.

The pass that puts pairs in the place of complex numbers makes it of a node whose op is computed by
its reference. The pairs are the same bytes, so nothing is copied. `function` and `settings` are
that op and its attributes; `dtypes` names the dtype of each operand as that op sees it.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from graphc.dtypes import as_dtype
from graphc.errors import InternalError
from graphc.node import Node
from graphc.op import Host, Op, find
from graphc.ops.declare import Array
from graphc.ops.pairs import paired_type
from graphc.tensor_type import TensorType

Settings = tuple[tuple[str, Any], ...]
Types = tuple[TensorType, ...]


def called_on_pairs(node: Node, operands: tuple[Node, ...]) -> Node:
    """Return what computes a node of a host function over operands of which some are pairs."""
    dtypes = tuple(operand.type.dtype.name for operand in node.inputs)
    settings = tuple(node.attributes.items())
    return on_pairs(*operands, function=node.op.name, settings=settings, dtypes=dtypes)


def _function(name: str) -> Op:
    op = find(name)
    if op is None:
        raise InternalError(f"on_pairs: {name} is no op")
    return op


@functools.lru_cache(maxsize=256)  # asked for again at each call of a program
def _complex_results(op: Op, operands: Types, settings: Settings, dtypes: tuple[str, ...]) -> Any:
    """Return the type, or the types, that the function gives for the complex numbers."""
    named = zip(operands, map(as_dtype, dtypes), strict=True)
    types = (
        TensorType(type_.shape[:-1] if dtype.is_complex else type_.shape, dtype)
        for type_, dtype in named
    )
    return op.type_rule(*types, **dict(settings))


def _rule(
    *operands: TensorType, function: str, settings: Settings, dtypes: tuple[str, ...]
) -> TensorType | tuple[TensorType, ...]:
    found = _complex_results(_function(function), operands, settings, dtypes)
    return tuple(map(paired_type, found)) if isinstance(found, tuple) else paired_type(found)


def _reference(
    *arrays: Array, result: Any, function: str, settings: Settings, dtypes: tuple[str, ...]
) -> Any:
    op = _function(function)
    types = tuple(TensorType(array.shape, as_dtype(array.dtype)) for array in arrays)
    found = _complex_results(op, types, settings, dtypes)
    named = zip(arrays, map(as_dtype, dtypes), strict=True)
    given = (_as_complex(array) if dtype.is_complex else array for array, dtype in named)
    computed = op.reference(*given, result=found, **dict(settings))
    return tuple(map(_as_pairs, computed)) if isinstance(found, tuple) else _as_pairs(computed)


def _as_complex(pairs: Array) -> Array:
    dtype = as_dtype(pairs.dtype).complex.numpy
    return np.ascontiguousarray(pairs).view(dtype).reshape(pairs.shape[:-1])


def _as_pairs(array: Array) -> Array:
    dtype = as_dtype(array.dtype)
    if not dtype.is_complex:
        return array
    dense = np.ascontiguousarray(array).reshape(-1)
    return dense.view(dtype.real.numpy).reshape((*array.shape, 2))


on_pairs = Op(
    name="on_pairs",
    operands=("*operands",),
    attributes=("function", "settings", "dtypes"),
    type_rule=_rule,
    reference=_reference,
    lowering=Host(),
    summary="a function of complex numbers, of pairs of floats",
)
