"""Nodes: the uses of ops in a graph.

A `Node` is immutable and hash-consed: building a node that is structurally equal to a living one
returns that one, so equality is identity and common subexpressions never exist. Inputs and
variables differ by the number in their attributes. The user's line is recorded but takes no part in
identity. Attributes are hashable Python values: integers, floats, strings, booleans, dtypes, tuples
of them, `ArrayData` for constants, `VariableState` for variables, and `Body` for loops. Nothing
here recurses over the graph.

A node has one result, of type `type`, or, if `is_tuple`, several, which only the op `item` takes
apart: it has no `type`, and `results` are the types of them.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from graphc.all_cores import LARGE_BYTES, on_all_cores, shares
from graphc.arithmetic import Arithmetic
from graphc.dtypes import as_dtype
from graphc.errors import GraphcError, GraphcTypeError, InternalError
from graphc.op import Item, Op
from graphc.process_lock import Rank, process_lock
from graphc.source import SourceLine, user_line
from graphc.state import aligned_empty
from graphc.tensor_type import TensorType


class ArrayData:
    """The read-only value of a constant; equal if dtype, shape and every bit are.

    The array is copied, unless it is `handed_over`: in native byte order, and never written again.
    Only such a one may be strided. The digest of its bits is worked out when it is asked for:
    arrays that differ are mostly told apart by a few of their elements.
    """

    __slots__ = ("_digest", "_key", "array")

    def __init__(self, array: np.ndarray[Any, Any], *, handed_over: bool = False) -> None:
        native = array.dtype.newbyteorder("=")
        own = array if handed_over else _copied(array, native)
        own.flags.writeable = False
        self.array = own
        self._key = (own.dtype, own.shape, _sample(own))
        self._digest: bytes | None = None

    @property
    def digest(self) -> bytes:
        """Return 16 bytes that tell the elements from all others of this dtype and shape."""
        if self._digest is None:
            content = np.asarray(self.array, order="C").reshape(-1).view(np.uint8)
            self._digest = hashlib.blake2b(content.data, digest_size=16).digest()
        return self._digest

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, ArrayData) or self._key != other._key:
            return False
        return self.array.nbytes <= _SAMPLED_BYTES or self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return f"ArrayData({self.array.dtype}{list(self.array.shape)})"


_SAMPLED_BYTES = 1024  # of larger arrays, a few elements
_SAMPLES = 64


def _copied(array: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Return a dense copy; a large one is aligned, so that no backend has to copy it again."""
    if array.nbytes < LARGE_BYTES:
        return np.array(array, dtype=dtype, order="C", copy=True)
    copy = aligned_empty(TensorType(array.shape, as_dtype(dtype)))

    def fill(part: slice) -> None:
        copy[part] = array[part]

    on_all_cores(fill, shares(len(array), array.nbytes))
    return copy


def _sample(array: np.ndarray[Any, Any]) -> bytes:
    """Return all bytes of a small array, of others those of elements spread over it."""
    if array.nbytes <= _SAMPLED_BYTES:
        return array.tobytes()
    places = np.linspace(0, array.size - 1, _SAMPLES).astype(np.intp)
    return array[np.unravel_index(places, array.shape)].tobytes()


class Node(Arithmetic):
    """One use of an op: `op`, `inputs`, `attributes` (a mapping), `type`, `line`.

    `results` are the types of the results, of one or several; `is_tuple` says that it has no
    `type`. `serial` grows from node to node in the order in which they are made.
    """

    __slots__ = (
        "__weakref__", "attributes", "inputs", "is_tuple", "line", "op", "results", "serial",
        "type",
    )  # fmt: skip

    op: Op
    inputs: tuple[Node, ...]
    attributes: Mapping[str, Any]
    is_tuple: bool
    results: tuple[TensorType, ...]
    type: TensorType
    line: SourceLine | None
    serial: int

    @property
    def shape(self) -> tuple[int, ...]:
        return self.type.shape

    if not TYPE_CHECKING:  # a type checker shall find misspelt attributes

        def __getattr__(self, name: str) -> NoReturn:
            """Refuse what a node does not have; a slot that is set never gets here."""
            if name == "type":
                raise InternalError(f"{self!r} has several results: item takes one of them")
            raise AttributeError(f"a node has no attribute {name!r}", name=name, obj=self)

    def __repr__(self) -> str:
        return f"<node {self.op.name} : {shown_type(self)}>"

    def __copy__(self) -> Node:
        return self

    def __deepcopy__(self, memo: Any) -> Node:
        return self


_living: weakref.WeakValueDictionary[Any, Node] = weakref.WeakValueDictionary()
_lock = process_lock(Rank.NODES)
_numbers = itertools.count(1)
_serials = itertools.count(1)
_line_override = threading.local()


class at_line:  # reads as a statement: `with at_line(node.line):`
    """Give every node built inside the block the line `line` (passes build for the user)."""

    def __init__(self, line: SourceLine | None) -> None:
        self.line = line

    def __enter__(self) -> None:
        self.outer = getattr(_line_override, "line", None)
        _line_override.line = self.line

    def __exit__(self, *_: object) -> None:
        _line_override.line = self.outer


def next_serial() -> int:
    """Return a number above the serials of all nodes so far, and below those of all to come."""
    return next(_serials)


def fresh_number() -> int:
    """Return a number that no other input or variable of this process has."""
    return next(_numbers)


def make_node(op: Op, inputs: Sequence[Node], attributes: Mapping[str, Any]) -> Node:
    """Return the node of `op` over `inputs`: the living equal one, or a new one.

    Raises what the op's type rule raises, completed with the operands and the user's line.
    """
    if op.defaults:
        attributes = {**op.defaults, **attributes}
    if attributes.keys() != op.attribute_names:
        raise InternalError(f"{op.name} takes the attributes {op.attributes}, not {[*attributes]}")
    inputs = tuple(inputs)
    values = tuple([attributes[name] for name in op.attributes])
    # the repr tells apart equal numbers of different types (1, 1.0, True), and 0.0 from -0.0
    key = (id(op), tuple(map(id, inputs)), values, repr(values) if values else "")
    found = _living.get(key)
    if found is not None:
        return found
    node = Node()
    node.op, node.inputs = op, inputs
    node.attributes = {name: attributes[name] for name in op.attributes}
    node.line = getattr(_line_override, "line", None) or user_line()
    node.serial = next(_serials)
    inferred = _infer_type(node)
    node.is_tuple = isinstance(inferred, tuple)
    if isinstance(inferred, tuple):
        node.results = inferred
    else:
        node.results, node.type = (inferred,), inferred
    with _lock:
        return _living.setdefault(key, node)


def _infer_type(node: Node) -> TensorType | tuple[TensorType, ...]:
    try:
        _check_operand_count(node)
        return inferred_type(node)
    except GraphcError as error:
        raise describe(error, node.inputs, node.line) from None


def inferred_type(node: Node) -> TensorType | tuple[TensorType, ...]:
    """Return what the type rule of the node's op gives for its operands and attributes.

    The rule of `item` is given the types of all results of its operand.
    """
    if isinstance(node.op.lowering, Item):
        inferred = node.op.type_rule(node.inputs[0].results, **node.attributes)
    else:
        inferred = node.op.type_rule(*[i.type for i in node.inputs], **node.attributes)
    if isinstance(inferred, TensorType) and inferred.dtype.kind not in node.op.kinds:
        _refuse_complex(node)
    return inferred  # type: ignore[no-any-return]  # the rules of ops differ in what they give


def _refuse_complex(node: Node) -> None:
    """Raise GraphcTypeError where an op was given complex numbers that it does not declare."""
    given = next((i.type.dtype for i in node.inputs if i.type.dtype.is_complex), None)
    if given is not None and "complex" not in node.op.kinds:
        raise GraphcTypeError(
            f"{node.op.name} does not take complex numbers, as {given} is",
            hint="compute with the parts: real(x), imag(x), abs(x), angle(x)",
        )


def shown_type(node: Node) -> str:
    """Return the type of a node as text; several are in parentheses, one as well."""
    return f"({', '.join(map(str, node.results))})" if node.is_tuple else str(node.type)


def _check_operand_count(node: Node) -> None:
    names, given = node.op.operands, len(node.inputs)
    any_number = bool(names) and names[-1].startswith("*")
    if given != len(names) and not (any_number and given >= len(names) - 1):
        wanted = ", ".join(names) or "none"
        count = f"{given} operand{'s' * (given != 1)}"
        raise GraphcTypeError(f"{node.op.name} takes the operands {wanted}, not {count}")


def describe(error: GraphcError, operands: Sequence[Node], line: SourceLine | None) -> GraphcError:
    """Return `error` with the user's line and a note for each operand: its type and its maker."""
    if error.line:
        return error
    notes = tuple(
        f"operand {i}: {shown_type(node)}, {node.op.name}"
        + (f" made at {node.line}" if node.line else "")
        for i, node in enumerate(operands)
    )
    return type(error)(
        error.message, notes=error.notes + notes, hint=error.hint, line=str(line or "")
    )


def given_name(node: Node) -> str:
    """Return the user's name of an input or variable in one line of printable characters, or ""."""
    if node.op.name not in ("input", "variable"):
        return ""
    is_input = node.op.name == "input"
    name: str = (node.attributes["name"] if is_input else node.attributes["state"].name) or ""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def is_constant(node: Node) -> bool:
    """Return whether the node is a constant (its value is known while compiling)."""
    return node.op.name == "constant"


def constant_value(node: Node) -> np.ndarray[Any, Any]:
    """Return the array of a constant node."""
    value = node.attributes["value"]
    assert isinstance(value, ArrayData)
    return value.array


def scalar_value(node: Node) -> Any:
    """Return the number of a scalar constant, seen through broadcasts; None if it is none."""
    while node.op.name == "broadcast_to":
        node = node.inputs[0]
    if is_constant(node) and constant_value(node).size == 1:
        array = constant_value(node)
        return array.astype(as_dtype(array.dtype).compute.numpy).item()
    return None
