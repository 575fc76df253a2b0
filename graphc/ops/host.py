"""How ops are declared whose reference is what runs: `host_op` fills in what they share.

NumPy and LAPACK know no 16-bit floats: a reference gets float32 for them, and its float results are
rounded back. It is called with whole dense arrays that it must not write, when the program runs;
what it raises is raised by the call, so it says in a GraphcError what is wrong with the values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from graphc.dtypes import as_dtype
from graphc.node import Node
from graphc.op import Domain, Host, Op
from graphc.ops.declare import FLAT, Array
from graphc.tensor_type import TensorType


def host_op(  # noqa: PLR0913  # one keyword for each thing that an op may declare
    name: str,
    operands: tuple[str, ...],
    reference: Callable[..., Any],
    *,
    type_rule: Callable[..., TensorType | tuple[TensorType, ...]],
    kinds: tuple[str, ...],
    attributes: tuple[str, ...] = (),
    defaults: Mapping[str, Any] | None = None,
    derivative: Callable[..., Any] | None = None,
    batch: Callable[[Node, tuple[Node, ...]], Node] | None = None,
    domain: tuple[Domain, ...] | Domain = FLAT,
    summary: str,
) -> Op:
    """Declare an op that calls `reference(*arrays, **attributes)`.

    It gives an array, or a tuple of arrays where the type rule gives a tuple of types; their dtypes
    are converted to those of the rule. Without `batch` a new first axis moves the axes that the
    attributes `axis` and `axes` name; what neither names is counted from the last axis.
    """
    return Op(
        name=name,
        operands=operands,
        attributes=attributes,
        defaults=defaults or {},
        type_rule=type_rule,
        reference=_through_compute_dtype(reference),
        lowering=Host(),
        derivative=derivative,
        batch=batch or _behind_a_new_axis,
        kinds=kinds,
        domain=domain if isinstance(domain, tuple) else (domain,),
        summary=summary,
    )


def _behind_a_new_axis(node: Node, operands: tuple[Node, ...]) -> Node:
    attributes = dict(node.attributes)
    if "axis" in attributes:
        attributes["axis"] += 1
    if "axes" in attributes:
        attributes["axes"] = tuple(axis + 1 for axis in attributes["axes"])
    return node.op(*operands, **attributes)


def _through_compute_dtype(function: Callable[..., Any]) -> Callable[..., Any]:
    def reference(*arrays: Array, result: Any, **attributes: Any) -> Any:
        wide = [a.astype(as_dtype(a.dtype).compute.numpy, copy=False) for a in arrays]
        with np.errstate(all="ignore"):
            computed = function(*wide, **attributes)
            if isinstance(result, TensorType):
                return np.asarray(computed, dtype=result.dtype.numpy)
            pairs = zip(computed, result, strict=True)
            return tuple(np.asarray(value, dtype=type_.dtype.numpy) for value, type_ in pairs)

    return reference
