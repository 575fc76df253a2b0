"""The digest of a graph: equal for graphs that one program serves, in whatever process they stand.

It covers all that passes and backends look at: ops, attributes, the bits of constants, types, names
and the order of inputs, variables and outputs; bodies of loops by their own digests. Lines of the
user and the numbers and values of inputs and variables take no part. A graph with an op that is not
one of graphc's own has no digest: nothing in this process says whether another one means the same
by its name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from graphc import ops
from graphc.all_cores import LARGE_BYTES, on_all_cores
from graphc.body import Body, nested_bodies
from graphc.dtypes import DType
from graphc.graph import Graph
from graphc.node import ArrayData, Node, is_constant
from graphc.op import all_ops
from graphc.ops.calls import PullbackRule
from graphc.state import VariableState

assert ops.__all__  # imported: every op of graphc's own is declared
_BUILT_IN = frozenset(all_ops())  # what users declare besides has a meaning of this process alone
_PLAIN = frozenset((int, str, bool, float, type(None), DType))
_UNNUMBERED = "number"  # the attribute that tells inputs of one process apart


def digest(graph: Graph) -> bytes | None:
    """Return 32 bytes, equal for graphs that are the same program, or None."""
    bodies: dict[Body, bytes] = {}
    for body in nested_bodies(graph.tuples):
        found = _digest(body.graph, bodies)
        if found is None:
            return None
        bodies[body] = found
    return _digest(graph, bodies)


def _digest(graph: Graph, bodies: Mapping[Body, bytes]) -> bytes | None:
    _digest_large_constants(graph)
    numbers: dict[Node, int] = {}
    lines: list[str] = []
    for node in graph.nodes:
        if node.op not in _BUILT_IN:
            return None
        attributes = _attributes(node, bodies)
        if attributes is None:
            return None
        operands = ",".join([str(numbers[operand]) for operand in node.inputs])
        numbers[node] = len(lines)
        lines.append(f"{node.op.name}({operands}){attributes}")
    lines.append(f"inputs {len(graph.inputs)}")
    lines.append(f"outputs {[numbers[node] for node in graph.outputs]}")
    lines.append(f"assignments {[(numbers[a], numbers[b]) for a, b in graph.assignments]}")
    lines.append(f"name {graph.name!r}")
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).digest()


def _digest_large_constants(graph: Graph) -> None:
    """Work out the digests of large constants, on all cores."""
    values = [node.attributes["value"] for node in graph.nodes if is_constant(node)]
    large = [value for value in values if value.array.nbytes >= LARGE_BYTES]
    on_all_cores(lambda value: value.digest, large)


def _attributes(node: Node, bodies: Mapping[Body, bytes]) -> str | None:
    """Return the attributes as text, or None where one is of an unknown kind."""
    if not node.attributes:
        return ""
    texts = [_text(value, bodies) for name, value in node.attributes.items() if name != _UNNUMBERED]
    known = [text for text in texts if text is not None]
    return f"[{'; '.join(known)}]" if len(known) == len(texts) else None


def _text(value: Any, bodies: Mapping[Body, bytes]) -> str | None:
    if type(value) in _PLAIN or _is_plain(value):
        return repr(value)
    if isinstance(value, ArrayData):
        return f"{value.array.dtype.name}{value.array.shape} {value.digest.hex()}"
    if isinstance(value, PullbackRule):
        return "rule"  # derivatives have been taken before a graph is compiled
    if isinstance(value, VariableState):
        return f"{value.type} {value.name!r}"
    parts = value if isinstance(value, tuple) else (value,)
    if all(isinstance(part, Body) for part in parts):
        return " ".join(bodies[part].hex() for part in parts)
    return None


def _is_plain(value: Any) -> bool:
    """Return whether `value` is a tuple of plain values and such tuples."""
    pending = [value]
    while pending:
        part = pending.pop()
        if type(part) is tuple:
            pending.extend(part)
        elif type(part) not in _PLAIN:
            return False
    return True
