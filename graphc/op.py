"""What an operation is: one declaration from which everything else about it is derived.

An `Op` states its operands and attributes, its type rule, its meaning in NumPy (the *reference*),
its derivative, its algebra, and one *lowering*: how a single element of the result is computed.
There are nineteen kinds of lowering and no others, so passes and backends dispatch on the kind,
never on a name:

    Leaf          input, variable, constant: nothing is computed
    Elementwise   a scalar formula of the elements at the same place
    FromIndex     a scalar formula of the place itself (iota)
    View          the element of the operand at another place (transpose, slice, reshape, broadcast)
    Guarded       a View of the first operand where conditions hold, else the second operand (pad)
    Reduction     elements combined along axes by an associative op
    Selection     the place of the best element along an axis (argmax)
    Contraction   sums of products of two operands over shared labels (matmul, einsum)
    Gather        the element of the first operand at places read from the second (take)
    Checked       the element at the same place, an index that is checked and moved into bounds
    Scatter       the first operand with the third combined at places read from the second
    Concatenation operands side by side along an axis
    Cumulative    elements combined with those before them along an axis
    Item          one result of an op that has several
    Host          the reference itself, called on whole arrays (LAPACK, FFT, sorting)
    Scan          a body run once for each slice of stacked operands
    While         a body run as long as a condition holds
    Switch        one of several bodies, chosen when the program runs
    Composition   what other ops make of its operands; a pass puts these in its place
    OnPairs       an op on complex numbers alone, see below

Operands of an elementwise op have one shape, and, unless its type rule says otherwise, one dtype:
broadcasting and promotion are explicit nodes (`broadcast_to`, `cast`), put there by the frontend.
An op whose type rule gives a tuple of types has several results: its reference gives a tuple of
arrays, its derivative gets a tuple of cotangents (None where none arrived), and `item` alone takes
its nodes. The bodies of loops and branches are attributes: closed graphs (`graphc.body`).
Kernels know no complex numbers: a pass (passes/split_complex.py) puts pairs of floats in their
place, and what an op is of pairs is declared with the op, as `on_pairs`, where the kind of its
lowering does not say it.
Declarations register themselves; `find` looks one up by name. The declarations are in graphc/ops.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from graphc.dtypes import DType
from graphc.errors import InternalError
from graphc.index import Index
from graphc.lazy import LazyProperty
from graphc.scalar import Formula, ScalarProgram, trace

if TYPE_CHECKING:
    from graphc.node import Node

Indices: TypeAlias = tuple[Index, ...]


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value that is given, not computed."""


@dataclass(frozen=True, slots=True)
class Elementwise:
    """`formula(*elements)`. It gets `result=DType` too if `takes_result` (cast needs its target).

    `native_16_bit` says that it wants float16 and bfloat16 elements as they are; otherwise they are
    converted to float32 before it and its float32 result is rounded back.
    """

    formula: Formula
    takes_result: bool = False
    native_16_bit: bool = False


@dataclass(frozen=True, slots=True)
class FromIndex:
    """`index(node, indices)` is the value, an integer, converted to the node's dtype."""

    index: Callable[[Node, Indices], Index]


@dataclass(frozen=True, slots=True)
class View:
    """`source(node, indices)` gives the place in operand 0 that `indices` shows.

    Further operands are not read: the view's readers run after they have been computed.
    """

    source: Callable[[Node, Indices], Indices]


@dataclass(frozen=True, slots=True)
class Guarded:
    """A View of operand 0 where all `inside(node, indices)`, pairs a < b, hold; else operand 1.

    Operand 1 has the shape (). `source` is asked for places outside too; nothing is read there.
    """

    source: Callable[[Node, Indices], Indices]
    inside: Callable[[Node, Indices], tuple[tuple[Index, Index], ...]]


@dataclass(frozen=True, slots=True)
class Reduction:
    """Elements combined over the attribute `axes` (sorted, not negative, removed from the shape).

    `combine` names a binary elementwise op, applied in the operand's compute dtype and rounded once
    at the end; the order is `graphc.reduction_order`, a function of the shape alone.
    `identity(dtype)` is an exact identity of it; `empty(dtype)`, by default the same, is the result
    over no elements.
    """

    combine: str
    identity: Callable[[DType], int | float | bool]
    empty: Callable[[DType], int | float | bool] | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """The first place along the attribute `axis` whose element is best, an int64.

    `better(candidate, best)` is a scalar formula giving bool.
    """

    better: Formula


@dataclass(frozen=True, slots=True)
class Contraction:
    """Attributes `lhs`, `rhs`, `out` label the axes with letters, each at most once an operand.

    A label of the operands that is not in `out` is summed over and stands in both. Float products
    are accumulated by fused multiply-adds in the result's compute dtype, starting from 0.0, k
    ascending in row-major order of the summed labels as they stand in `lhs`, bfloat16 in pairs;
    integers wrap. docs/semantics.md has it all.
    """


@dataclass(frozen=True, slots=True)
class Gather:
    """take(data, indices, axis): axis `axis` of data is replaced by the axes of indices (int64).

    With `along_axis`, indices has the rank of data and each place of it is looked up on its own.
    """

    along_axis: bool = False


@dataclass(frozen=True, slots=True)
class Checked:
    """Indices as int64; one outside 0 … `extent` - 1 ends the call with an error."""


@dataclass(frozen=True, slots=True)
class Scatter:
    """scatter(data, indices, updates, axis), the converse of Gather, in row-major order.

    `combine` names the binary elementwise op of the old element and the update, rounded to the
    dtype each time; without one the update takes its place, so that the last one stays.
    """

    combine: str | None
    along_axis: bool = False


@dataclass(frozen=True, slots=True)
class Concatenation:
    """Any number of operands side by side along the attribute `axis`."""


@dataclass(frozen=True, slots=True)
class Cumulative:
    """Element i along the attribute `axis` combines those up to i, or from i on if `reverse`.

    `combine` and `identity` are those of a Reduction; one after the other in the operand's compute
    dtype, each rounded once.
    """

    combine: str
    identity: Callable[[DType], int | float | bool]


@dataclass(frozen=True, slots=True)
class Item:
    """The result numbered by the attribute `index` of the only operand, which has several."""


@dataclass(frozen=True, slots=True)
class Host:
    """A call of the op's reference on whole dense arrays, by one thread; it stands alone."""


@dataclass(frozen=True, slots=True)
class Scan:
    """The attribute `body` run `length` times over slices; `graphc.ops.loops` has the layout.

    The first `carries` operands start the carries, the next `constants` are the same at each step,
    the others are stacked: their first axis is that of the steps, which run from its end to its
    start if `reverse`.
    """


@dataclass(frozen=True, slots=True)
class While:
    """The attribute `body` run on the first `carries` operands while `condition` gives True.

    Both take the carries and then the other operands, which stay the same.
    """


@dataclass(frozen=True, slots=True)
class Switch:
    """The body of the attribute `branches` that operand 0 numbers, run on the other operands.

    Numbers out of range are moved to the nearest end. No other branch is run.
    """


@dataclass(frozen=True, slots=True)
class Composition:
    """`expand(node)` is an equal node over the same operands, made of other ops.

    The op keeps its own type rule, reference and derivative, and graphs show it by its name until
    `graphc.passes.expand_compositions` replaces it. What it expands to may hold compositions too.
    """

    expand: Callable[[Node], Node | tuple[Node, ...]]


@dataclass(frozen=True, slots=True)
class OnPairs:
    """The op's `on_pairs` over pairs of floats, which a pass puts in its place."""


Lowering: TypeAlias = (
    Leaf
    | Elementwise
    | FromIndex
    | View
    | Guarded
    | Reduction
    | Selection
    | Contraction
    | Gather
    | Checked
    | Scatter
    | Concatenation
    | Cumulative
    | Item
    | Host
    | Scan
    | While
    | Switch
    | Composition
    | OnPairs
)


@dataclass(frozen=True, slots=True)
class Algebra:
    """Laws that rewriting may use, each exact for every input (NaN, infinities, signed zeros).

    `identity`: x op c == x for this c. `absorbing`: x op c == c. `inverse_of`: names the op undone.
    `order_free`: associative and exact, so reordering changes no bit (maximum, integer add is not
    declared here since floats share the op).
    """

    commutative: bool = False
    identity: float | None = None
    absorbing: float | None = None
    idempotent: bool = False
    involution: bool = False
    order_free: bool = False


@dataclass(frozen=True, slots=True)
class Domain:
    """Where tests sample an op's operands: the interval for float tests and gradient checks."""

    low: float = -3.0
    high: float = 3.0
    smooth_away_from: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Op:
    """A declared operation; compared by identity.

    name        NumPy's word for it
    operands    names of the operands; the last may start with '*' (any number of them)
    attributes  names of the attributes, in the order in which they print
    type_rule   type_rule(*operand_types, **attributes) -> TensorType, or a tuple of them for an op
                with several results; raises GraphcError on misuse
    reference   reference(*arrays, result=TensorType, **attributes) -> array, spelled in NumPy;
                tuples of both for an op with several results
    lowering    see the module's docstring
    derivative  derivative(node, cotangent) -> a cotangent or None for each operand, as nodes;
                with several results it gets a tuple: a cotangent or None for each
    dtypes      the kinds of dtype it accepts, for tests and documentation
    defaults    the values of attributes that may be left out, and then do not print
    batch       batch(node, operands) -> the op over operands with a new first axis each, where the
                kind of its lowering does not say that (passes/batch.py)
    on_pairs    on_pairs(node, operands) -> the op over operands of which complex ones are floats
                with a new last axis, of the real and the imaginary part; so is a complex result
    """

    name: str
    operands: tuple[str, ...]
    type_rule: Callable[..., Any]
    reference: Callable[..., Any]
    lowering: Lowering
    attributes: tuple[str, ...] = ()
    derivative: Callable[[Node, Any], Sequence[Node | None]] | None = None
    algebra: Algebra = field(default_factory=Algebra)
    kinds: tuple[str, ...] = ("bool", "int", "uint", "float", "complex")
    domain: tuple[Domain, ...] = (Domain(),)
    summary: str = ""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    batch: Callable[[Node, tuple[Node, ...]], Node] | None = None
    on_pairs: Callable[[Node, tuple[Node, ...]], Node] | None = None

    def __post_init__(self) -> None:
        if self.name in _REGISTRY:
            raise InternalError(f"op {self.name} is declared twice")
        _REGISTRY[self.name] = self

    @LazyProperty
    def attribute_names(self) -> frozenset[str]:
        """The names of the attributes."""
        return frozenset(self.attributes)

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def __call__(self, *operands: Node, **attributes: Any) -> Node:
        """Return the node of this op over `operands`; raises what the type rule raises."""
        from graphc.node import make_node  # node.py needs this module first

        return make_node(self, operands, attributes)

    @property
    def is_elementwise(self) -> bool:
        return isinstance(self.lowering, Elementwise)

    @property
    def is_leaf(self) -> bool:
        return isinstance(self.lowering, Leaf)


_REGISTRY: dict[str, Op] = {}


def find(name: str) -> Op | None:
    """Return the op called `name`, or None."""
    return _REGISTRY.get(name)


def all_ops() -> tuple[Op, ...]:
    """Return every declared op, in the order of declaration."""
    return tuple(_REGISTRY.values())


def forget(op: Op) -> None:
    """Remove a declaration (tests declare ops of their own)."""
    _REGISTRY.pop(op.name, None)
    for key in [k for k in _PROGRAMS if k[0] == op.name]:
        del _PROGRAMS[key]


_PROGRAMS: dict[tuple[str, tuple[DType, ...], DType], ScalarProgram] = {}


def scalar_program(name: str, parameters: tuple[DType, ...], result: DType) -> ScalarProgram:
    """Return the traced formula of elementwise op `name` for elements of these dtypes."""
    key = (name, parameters, result)
    if key not in _PROGRAMS:
        op = find(name)
        if op is None or not isinstance(op.lowering, Elementwise):
            raise InternalError(f"{name} is no elementwise op")
        lowering = op.lowering
        keywords = {"result": result} if lowering.takes_result else {}
        _PROGRAMS[key] = trace(name, lambda *s: lowering.formula(*s, **keywords), parameters)
    return _PROGRAMS[key]
