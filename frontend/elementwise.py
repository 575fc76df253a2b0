"""Functions that compute each element from the elements at the same place.

One function for each declared elementwise op, made from its declaration: operands are promoted and
broadcast, then converted to a kind of dtype that the op takes. Integers and bool become float64
where an op takes floats only (`exp`, `divide`), numbers become bool where it takes bool only
(`logical_and`), and for two bools `add` is `logical_or` and `multiply` is `logical_and`, as in
NumPy. An op that is declared later is found here under its name too, by module `__getattr__`.

>>> from graphc.frontend import input
>>> x = input((2, 3), name="x")
>>> hypot(x, 1).type
TensorType(shape=(2, 3), dtype=graphc.float32)
>>> exp(input((3,), "int32")).dtype
graphc.float64
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar, overload

from graphc import op as ops
from graphc.dtypes import DType, DTypeLike, as_dtype, bool_, float64
from graphc.errors import GraphcTypeError, InternalError
from graphc.frontend.operands import (
    apply,
    as_node,
    broadcast,
    cast,
    fail,
    is_scalar,
    promote,
    result_dtype,
)
from graphc.frontend.structures import flatten_numbers, unflatten
from graphc.frontend.tensor import Tensor, TensorLike
from graphc.node import Node
from graphc.ops.type_rules import PARTS

Unary: TypeAlias = Callable[[TensorLike], Tensor]
Binary: TypeAlias = Callable[[TensorLike, TensorLike], Tensor]
_Function = TypeVar("_Function", bound=Callable[..., Tensor])

# What an op on numbers means for bools, as NumPy has it.
MEANING_FOR_BOOL = {
    "add": "logical_or",
    "multiply": "logical_and",
    "maximum": "logical_or",
    "minimum": "logical_and",
    "bitwise_and": "logical_and",
    "bitwise_or": "logical_or",
    "bitwise_xor": "logical_xor",
    "bitwise_invert": "logical_not",
}
# Ops that leave integers and bools as they are, and those with one answer for all of them.
IDENTITY_ON_INTEGERS = ("floor", "ceil", "trunc", "round")
ANSWER_FOR_INTEGERS = {"isnan": False, "isinf": False, "isfinite": True}
# Functions of one complex tensor, by the names of ops that take real numbers alone; the module
# `graphc.frontend.complex_numbers` puts them here.
OF_COMPLEX: dict[str, Callable[[Tensor], Tensor]] = {}
COMPARISONS = ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")


def apply_elementwise(name: str, *operands: TensorLike) -> Tensor:
    """Return the elementwise op `name` of `operands`, promoted and broadcast.

    Raises ShapeError where the shapes do not broadcast and GraphcTypeError where the op is not
    defined for the dtype.
    """
    op = ops.find(name)
    if op is None:
        raise InternalError(f"no op is called {name}")
    if len(operands) != len(op.operands):
        fail(GraphcTypeError, f"{name} takes {len(op.operands)} operands, not {len(operands)}")
    if _are_alike(op, operands):
        return Tensor(op(*[x.node for x in operands]))  # type: ignore[union-attr]  # tensors
    dtype = _common_dtype(name, operands)
    if not _takes(op, dtype):
        if dtype.is_complex and name in OF_COMPLEX:
            return OF_COMPLEX[name](Tensor(as_node(operands[0])))
        if dtype is bool_ and name in MEANING_FOR_BOOL:
            return apply_elementwise(MEANING_FOR_BOOL[name], *operands)
        if not dtype.is_inexact and name in IDENTITY_ON_INTEGERS:
            return Tensor(as_node(operands[0]))
        if not dtype.is_inexact and name in ANSWER_FOR_INTEGERS:
            return _constant_answer(as_node(operands[0]), ANSWER_FOR_INTEGERS[name])
    dtype = _accepted_dtype(op, dtype, operands)
    nodes = [as_node(x, dtype) for x in operands]
    return Tensor(op(*broadcast(name, nodes)))


def _are_alike(op: ops.Op, operands: tuple[TensorLike, ...]) -> bool:
    """Return whether all operands are tensors of one type that the op takes, as most are."""
    first = operands[0]
    if type(first) is not Tensor or not _takes(op, first.dtype):
        return False
    type_ = first.node.type
    return all(type(x) is Tensor and x.node.type == type_ for x in operands)


def _takes(op: ops.Op, dtype: DType) -> bool:
    return dtype.kind in op.kinds


def _common_dtype(name: str, operands: tuple[TensorLike, ...]) -> DType:
    dtype = result_dtype(*operands)
    if name in COMPARISONS and dtype.is_integer:
        # A Python integer that is out of range is still comparable: in a type that holds it.
        numbers = [x for x in operands if is_scalar(x) and not _fits(int(x), dtype)]  # type: ignore[arg-type]  # a number
        return result_dtype(dtype, as_dtype("int64")) if numbers else dtype
    return dtype


def _fits(number: int, dtype: DType) -> bool:
    low = -(2 ** (dtype.bits - 1)) if dtype.is_signed else 0
    return bool(low <= number < low + 2**dtype.bits)


def _accepted_dtype(op: ops.Op, dtype: DType, operands: tuple[TensorLike, ...]) -> DType:
    if _takes(op, dtype):
        return dtype
    if op.kinds == ("bool",):
        return bool_
    if "float" in op.kinds and "int" not in op.kinds and not dtype.is_complex:
        return float64
    kinds = {"bool": "bool", "int": "integers", "uint": "unsigned integers", "float": "floats",
             "complex": "complex numbers"}  # fmt: skip
    advice = PARTS if dtype.is_complex else "convert with tensor.astype(dtype)"
    fail(
        GraphcTypeError,
        f"{op.name} is not defined for {dtype}",
        [as_node(x) for x in operands],
        f"it takes {', '.join(kinds[k] for k in op.kinds)}; {advice}",
    )


def _constant_answer(node: Node, answer: bool) -> Tensor:
    return Tensor(apply("broadcast_to", as_node(answer, bool_), shape=node.shape))


def _unary(name: str, summary: str) -> Unary:
    def function(x: TensorLike) -> Tensor:
        return apply_elementwise(name, x)

    return _named(function, name, summary)


def _binary(name: str, summary: str) -> Binary:
    def function(x: TensorLike, y: TensorLike) -> Tensor:
        return apply_elementwise(name, x, y)

    return _named(function, name, summary)


def _named(function: _Function, name: str, summary: str) -> _Function:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = summary
    return function


def __getattr__(name: str) -> Callable[..., Tensor]:
    """Return the function of an elementwise op that has no own line below."""
    op = ops.find(name)
    if op is None or not op.is_elementwise:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def function(*operands: TensorLike) -> Tensor:
        return apply_elementwise(name, *operands)

    return _named(function, name, op.summary)


# Arithmetic.
add = _binary("add", "Return x + y.")
subtract = _binary("subtract", "Return x - y.")
multiply = _binary("multiply", "Return x * y.")
divide = _binary("divide", "Return x / y; integers are divided in float64.")
floor_divide = _binary("floor_divide", "Return x / y rounded towards minus infinity.")
remainder = _binary("remainder", "Return x - y * floor(x / y), which has the sign of y.")
minimum = _binary("minimum", "Return the smaller of x and y; NaN if either is.")
maximum = _binary("maximum", "Return the greater of x and y; NaN if either is.")
atan2 = _binary("atan2", "Return the angle of the point (y, x): the operands are y, then x.")
hypot = _binary("hypot", "Return sqrt(x*x + y*y) without overflow on the way.")
copysign = _binary("copysign", "Return the magnitude of x with the sign of y.")
nextafter = _binary("nextafter", "Return the number next to x in the direction of y.")
logaddexp = _binary("logaddexp", "Return log(exp(x) + exp(y)) without overflow on the way.")
negative = _unary("negative", "Return -x.")
abs = _unary("abs", "Return the magnitude of x.")
sign = _unary("sign", "Return -1, 0 or 1; NaN for NaN.")
square = _unary("square", "Return x * x.")
reciprocal = _unary("reciprocal", "Return 1 / x.")
sqrt = _unary("sqrt", "Return the square root of x; NaN for negative x.")

# Exponentials and logarithms.
exp = _unary("exp", "Return e to the power x.")
expm1 = _unary("expm1", "Return exp(x) - 1, exact near 0.")
log = _unary("log", "Return the natural logarithm of x.")
log1p = _unary("log1p", "Return log(1 + x), exact near 0.")
log2 = _unary("log2", "Return the logarithm of x to base 2.")
log10 = _unary("log10", "Return the logarithm of x to base 10.")
erf = _unary("erf", "Return the error function of x.")
sigmoid = _unary("sigmoid", "Return 1 / (1 + exp(-x)), the logistic function.")

# Trigonometric and hyperbolic functions; angles are in radians.
sin = _unary("sin", "Return the sine of x.")
cos = _unary("cos", "Return the cosine of x.")
tan = _unary("tan", "Return the tangent of x.")
asin = _unary("asin", "Return the angle in -pi/2 … pi/2 whose sine is x.")
acos = _unary("acos", "Return the angle in 0 … pi whose cosine is x.")
atan = _unary("atan", "Return the angle in -pi/2 … pi/2 whose tangent is x.")
sinh = _unary("sinh", "Return the hyperbolic sine of x.")
cosh = _unary("cosh", "Return the hyperbolic cosine of x.")
tanh = _unary("tanh", "Return the hyperbolic tangent of x.")
asinh = _unary("asinh", "Return the number whose hyperbolic sine is x.")
acosh = _unary("acosh", "Return the number, at least 0, whose hyperbolic cosine is x.")
atanh = _unary("atanh", "Return the number whose hyperbolic tangent is x.")

# Rounding and classification.
floor = _unary("floor", "Return the greatest integer that is at most x.")
ceil = _unary("ceil", "Return the smallest integer that is at least x.")
trunc = _unary("trunc", "Return x without its fraction.")
round = _unary("round", "Return the integer nearest to x, ties to even.")
signbit = _unary("signbit", "Return whether the sign of x is minus, of -0.0 too.")
isnan = _unary("isnan", "Return whether x is NaN.")
isinf = _unary("isinf", "Return whether x is infinite.")
isfinite = _unary("isfinite", "Return whether x is neither infinite nor NaN.")

# Comparison and logic.
equal = _binary("equal", "Return x == y.")
not_equal = _binary("not_equal", "Return x != y.")
less = _binary("less", "Return x < y.")
less_equal = _binary("less_equal", "Return x <= y.")
greater = _binary("greater", "Return x > y.")
greater_equal = _binary("greater_equal", "Return x >= y.")
logical_and = _binary("logical_and", "Return whether both x and y are true (not zero).")
logical_or = _binary("logical_or", "Return whether x or y is true (not zero).")
logical_xor = _binary("logical_xor", "Return whether just one of x and y is true (not zero).")
logical_not = _unary("logical_not", "Return whether x is false (zero).")
bitwise_and = _binary("bitwise_and", "Return the bits set in both x and y.")
bitwise_or = _binary("bitwise_or", "Return the bits set in x or y.")
bitwise_xor = _binary("bitwise_xor", "Return the bits set in just one of x and y.")
bitwise_invert = _unary("bitwise_invert", "Return x with every bit inverted.")
bitwise_left_shift = _binary("bitwise_left_shift", "Return x shifted left by y bits.")
bitwise_right_shift = _binary("bitwise_right_shift", "Return x shifted right by y bits.")


def positive(x: TensorLike) -> Tensor:
    """Return x itself, a tensor of numbers."""
    return Tensor(as_node(x))


def pow(x: TensorLike, y: TensorLike) -> Tensor:
    """Return x to the power y; exponents 1, 2 and -1 become x, a square and a reciprocal, as in
    NumPy.

    Integers to negative powers are rounded towards zero (docs/semantics.md), where NumPy raises.
    """
    dtype = result_dtype(x, y)
    if isinstance(y, int | float | complex) and is_scalar(x) is False:
        if y == 2 and dtype is not bool_:
            return Tensor(apply("square", as_node(x, dtype)))
        if y == 1 and dtype is not bool_:
            return Tensor(as_node(x, dtype))
        if y == -1 and dtype.is_inexact:
            return Tensor(apply("reciprocal", as_node(x, dtype)))
    if dtype.is_complex:
        fail(
            GraphcTypeError,
            f"pow: of {dtype} the exponents 1, 2 and -1 are there",
            [as_node(x), as_node(y)],
            "exp(y * log(x)) is x to the power y where x is not 0",
        )
    return apply_elementwise("power", x, y)


power = pow


def where(condition: TensorLike, x: TensorLike, y: TensorLike) -> Tensor:
    """Return x where `condition` holds and y elsewhere; the three broadcast, x and y promote.

    >>> from graphc.frontend import input
    >>> a = input((3,))
    >>> where(a > 0, a, 0).type
    TensorType(shape=(3,), dtype=graphc.float32)
    """
    nodes = [as_node(condition, bool_), *promote(x, y)]
    return Tensor(apply("where", *broadcast("where", nodes)))


def clip(x: TensorLike, min: TensorLike | None = None, max: TensorLike | None = None) -> Tensor:
    """Return x limited to min … max (either may be None); NaN stays NaN.

    A Python integer beyond all values of an integer x limits nothing, as in NumPy.
    """
    result = positive(x)
    dtype = result.dtype
    if min is not None and not _is_beyond(min, dtype, below=True):
        result = maximum(result, min)
    return result if max is None or _is_beyond(max, dtype, below=False) else minimum(result, max)


def _is_beyond(bound: TensorLike, dtype: DType, *, below: bool) -> bool:
    """Return whether `bound` is a Python integer below or above all values of an integer type."""
    if type(bound) is not int or not dtype.is_integer or _fits(bound, dtype):
        return False
    return (bound < 0) == below


def astype(x: TensorLike, dtype: DTypeLike) -> Tensor:
    """Return x converted to `dtype`; docs/semantics.md says what happens out of range."""
    return Tensor(cast(as_node(x), as_dtype(dtype)))


@overload
def stop_gradient(x: Tensor) -> Tensor: ...


@overload
def stop_gradient(x: Any) -> Any: ...


def stop_gradient(x: Any) -> Any:
    """Return x as a constant for differentiation: no gradient flows through it.

    x may be a nesting of tensors: a tuple, list, dict or dataclass. Raises GraphcTypeError for what
    holds something else, such as a module.

    >>> from graphc.frontend import input
    >>> stop_gradient({"a": input((2,)), "b": (None, 1.0)})["b"][1].shape
    ()
    """
    leaves, structure = flatten_numbers(x)
    others = [value for value in structure.statics() if value is not None]
    if others:
        fail(
            GraphcTypeError,
            f"stop_gradient: an object of type {type(others[0]).__name__} is no tensor",
            hint="of a module: what it gives, or its parameters one by one, are",
        )
    return unflatten(structure, [_stopped(as_node(leaf)) for leaf in leaves])


def _stopped(node: Node) -> Tensor:
    return Tensor(apply("stop_gradient", node) if node.type.dtype.is_inexact else node)


__all__ = [
    "abs",
    "acos",
    "acosh",
    "add",
    "asin",
    "asinh",
    "astype",
    "atan",
    "atan2",
    "atanh",
    "bitwise_and",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "ceil",
    "clip",
    "copysign",
    "cos",
    "cosh",
    "divide",
    "equal",
    "erf",
    "exp",
    "expm1",
    "floor",
    "floor_divide",
    "greater",
    "greater_equal",
    "hypot",
    "isfinite",
    "isinf",
    "isnan",
    "less",
    "less_equal",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "maximum",
    "minimum",
    "multiply",
    "negative",
    "nextafter",
    "not_equal",
    "positive",
    "pow",
    "power",
    "reciprocal",
    "remainder",
    "round",
    "sigmoid",
    "sign",
    "signbit",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "stop_gradient",
    "subtract",
    "tan",
    "tanh",
    "trunc",
    "where",
]  # fmt: skip
