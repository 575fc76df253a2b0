"""Tensors: the handles on nodes that users compute with.

A `Tensor` holds one node and nothing else; every operator and method builds a further node and runs
nothing. Operands may be tensors, variables, NumPy arrays or Python numbers. Types promote as in
NumPy 2: arrays are strong, Python numbers are weak (they take the tensor's dtype, but an integer
tensor and a Python float give float64). Promotion and broadcasting become explicit `cast` and
`broadcast_to` nodes. `==` compares elements; tensors hash by identity. In-place operators rebind
the name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn, SupportsIndex, TypeAlias

import numpy as np

from graphc.dtypes import DType, DTypeLike
from graphc.errors import GraphcError, GraphcTypeError, TracingError
from graphc.node import Node, describe
from graphc.source import user_line
from graphc.tensor_type import Shape, ShapeLike, TensorType

__all__ = ["AxisLike", "Tensor", "TensorLike"]

TensorLike: TypeAlias = (
    "Tensor | np.ndarray[Any, Any] | np.generic | bool | int | float | complex | Sequence[Any]"
)
AxisLike: TypeAlias = "SupportsIndex | tuple[SupportsIndex, ...] | None"
_Binary: TypeAlias = "Callable[[Tensor, TensorLike], Tensor]"
_Unary: TypeAlias = "Callable[[Tensor], Tensor]"
_ErrorKind: TypeAlias = type[GraphcError]


def _unary(name: str) -> _Unary:
    def method(self: Tensor) -> Tensor:
        return elementwise.apply_elementwise(name, self)

    return method


def _binary(name: str) -> _Binary:
    def method(self: Tensor, other: TensorLike) -> Tensor:
        if not is_tensor_like(other):
            return _foreign(name, self, other)  # type: ignore[no-any-return]  # Python's protocol of operators
        return elementwise.apply_elementwise(name, self, other)

    return method


def _reflected(name: str) -> _Binary:
    def method(self: Tensor, other: TensorLike) -> Tensor:
        if not is_tensor_like(other):
            return _foreign(name, self, other)  # type: ignore[no-any-return]  # Python's protocol of operators
        return elementwise.apply_elementwise(name, other, self)

    return method


def _foreign(name: str, tensor: Tensor, other: object) -> Any:
    """Leave the operator to `other`, a type that may define it; refuse Python's own types.

    None and text are unequal to every tensor, as they are to everything else.
    """
    if name in ("equal", "not_equal") or not isinstance(other, _NO_OPERANDS):
        return NotImplemented
    kind = "None" if other is None else f"of type {type(other).__name__}"
    message = f"{name}: an operand is {kind}; it is a tensor, an array or a number"
    raise describe(GraphcTypeError(message), (tensor.node,), user_line())


def is_tensor_like(value: object) -> bool:
    """Return whether an operator takes `value`: a tensor, an array, a number, a list."""
    return isinstance(value, _OPERANDS)


class Tensor:
    """The handle on a node of a graph.

    >>> from graphc.frontend import input
    >>> x = input((2, 3), name="x")
    >>> (x + 1).mean(axis=0).shape
    (3,)
    """

    __slots__ = ("__weakref__", "_node")
    __array_priority__ = 1000.0  # ndarray's own operators give way to the reflected ones here
    _way_to_values = "compile the program and call it, or graphc.evaluate(tensor), to get values"

    def __init__(self, node: Node) -> None:
        if not isinstance(node, Node):
            raise GraphcTypeError(
                f"a Tensor is made from a node, not from {type(node).__name__}",
                hint="graphc.constant(array) or graphc.input(shape) makes a tensor",
                line=str(user_line() or ""),
            )
        self._node = node

    @property
    def node(self) -> Node:
        """The node that computes this tensor."""
        return self._node

    @property
    def type(self) -> TensorType:
        """Shape and dtype together."""
        return self.node.type

    @property
    def shape(self) -> Shape:
        """The extents of the axes."""
        return self.node.type.shape

    @property
    def dtype(self) -> DType:
        """The element type."""
        return self.node.type.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.node.type.size

    @property
    def T(self) -> Tensor:  # NumPy's name
        """The tensor with its axes reversed."""
        return shapes.permute_dims(self, tuple(reversed(range(self.ndim))))

    @property
    def mT(self) -> Tensor:  # NumPy's name
        """The tensor with its last two axes exchanged."""
        return shapes.matrix_transpose(self)

    @property
    def real(self) -> Tensor:
        """The real parts; of real numbers, the tensor itself."""
        return complex_numbers.real(self)

    @property
    def imag(self) -> Tensor:
        """The imaginary parts; of real numbers, zeros."""
        return complex_numbers.imag(self)

    def __repr__(self) -> str:
        made = f" at {self.node.line}" if self.node.line else ""
        return f"<{type(self).__name__} {self.type}: {self.node.op.name}{made}>"

    # Operators.
    __add__, __radd__ = _binary("add"), _reflected("add")
    __sub__, __rsub__ = _binary("subtract"), _reflected("subtract")
    __mul__, __rmul__ = _binary("multiply"), _reflected("multiply")
    __truediv__, __rtruediv__ = _binary("divide"), _reflected("divide")
    __floordiv__, __rfloordiv__ = _binary("floor_divide"), _reflected("floor_divide")
    __mod__, __rmod__ = _binary("remainder"), _reflected("remainder")
    __and__, __rand__ = _binary("bitwise_and"), _reflected("bitwise_and")
    __or__, __ror__ = _binary("bitwise_or"), _reflected("bitwise_or")
    __xor__, __rxor__ = _binary("bitwise_xor"), _reflected("bitwise_xor")
    __lshift__, __rlshift__ = _binary("bitwise_left_shift"), _reflected("bitwise_left_shift")
    __rshift__, __rrshift__ = _binary("bitwise_right_shift"), _reflected("bitwise_right_shift")
    __lt__, __le__ = _binary("less"), _binary("less_equal")
    __gt__, __ge__ = _binary("greater"), _binary("greater_equal")
    __eq__, __ne__ = _binary("equal"), _binary("not_equal")  # type: ignore[assignment]  # elementwise
    __neg__, __invert__, __abs__ = _unary("negative"), _unary("bitwise_invert"), _unary("abs")
    __hash__ = object.__hash__

    def __pos__(self) -> Tensor:
        return elementwise.positive(self)

    def __pow__(self, exponent: TensorLike) -> Tensor:
        return elementwise.pow(self, exponent)

    def __rpow__(self, base: TensorLike) -> Tensor:
        return elementwise.pow(base, self)

    def __divmod__(self, other: TensorLike) -> tuple[Tensor, Tensor]:
        if not is_tensor_like(other):
            return NotImplemented
        return elementwise.floor_divide(self, other), elementwise.remainder(self, other)

    def __rdivmod__(self, other: TensorLike) -> tuple[Tensor, Tensor]:
        if not is_tensor_like(other):
            return NotImplemented  # type: ignore[no-any-return]  # Python's protocol of operators
        return elementwise.floor_divide(other, self), elementwise.remainder(other, self)

    def __matmul__(self, other: TensorLike) -> Tensor:
        return contractions.matmul(self, other)

    def __rmatmul__(self, other: TensorLike) -> Tensor:
        return contractions.matmul(other, self)

    def __round__(self) -> Tensor:
        return elementwise.round(self)

    # Sequences.
    def __getitem__(self, key: Any) -> Tensor:
        return indexing.get_item(self, key)

    def __setitem__(self, key: Any, value: Any) -> NoReturn:
        self._refuse(
            GraphcTypeError,
            "a tensor cannot be changed: item assignment is not possible",
            "graphc.where(mask, new, old) or graphc.concat builds a new tensor",
        )

    def __len__(self) -> int:
        if not self.shape:
            self._refuse(GraphcTypeError, "len() of a tensor without axes", "")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if not self.shape:
            self._refuse(GraphcTypeError, "iteration over a tensor without axes", "")
        return iter([self[i] for i in range(self.shape[0])])

    def __contains__(self, value: object) -> NoReturn:
        self._refuse(
            TracingError,
            "`in` asks for the values of a tensor, which are not known while the graph is built",
            "graphc.any(tensor == value) asks it when the program runs",
        )

    # Conversions to values, which do not exist yet.
    def __bool__(self) -> NoReturn:  # noqa: PLE0304  # it only raises
        self._refuse(
            TracingError,
            "the truth of a tensor is not known while the graph is built",
            "graphc.where(condition, x, y) chooses between values; for masks write & | ~ instead "
            "of and, or, not",
        )

    def __float__(self) -> NoReturn:
        self._refuse_value("float()")

    def __int__(self) -> NoReturn:
        self._refuse_value("int()")

    def __index__(self) -> NoReturn:  # noqa: PLE0305  # it only raises
        self._refuse_value("use as a Python index or extent")

    def __complex__(self) -> NoReturn:
        self._refuse_value("complex()")

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        self._refuse_value("conversion to a NumPy array")

    def __format__(self, specification: str) -> str:
        if specification:
            self._refuse_value(f"formatting as {specification!r}")
        return str(self)

    def _refuse_value(self, asked: str) -> NoReturn:
        self._refuse(
            TracingError,
            f"{asked} needs the value of a tensor, which is not known while the graph is built",
            f"{self._way_to_values}; tensor.astype(dtype) converts, "
            "graphc.stack([...]) joins tensors",
        )

    def _refuse(self, kind: _ErrorKind, message: str, hint: str) -> NoReturn:
        raise describe(kind(message, hint=hint), (self.node,), user_line())

    # NumPy's functions trace too.
    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        return numpy_protocol.call_ufunc(ufunc, method, inputs, options)

    def __array_function__(
        self, function: Any, types: Any, args: Sequence[Any], options: Mapping[str, Any]
    ) -> Any:
        return numpy_protocol.call_function(function, args, options)

    # Methods: the functions of the same name with this tensor first.
    def astype(self, dtype: DTypeLike) -> Tensor:
        """Return the tensor converted to `dtype`."""
        return elementwise.astype(self, dtype)

    def conj(self) -> Tensor:
        """Return the complex conjugates; of real numbers, the tensor itself."""
        return complex_numbers.conj(self)

    def clip(self, min: TensorLike | None = None, max: TensorLike | None = None) -> Tensor:
        """Return the elements limited to min … max."""
        return elementwise.clip(self, min, max)

    def round(self) -> Tensor:
        """Return the elements rounded to integers, ties to even."""
        return elementwise.round(self)

    def sum(
        self, axis: AxisLike = None, dtype: DTypeLike | None = None, keepdims: bool = False
    ) -> Tensor:
        """Return the sum over `axis`."""
        return reductions.sum(self, axis, dtype, keepdims)

    def prod(
        self, axis: AxisLike = None, dtype: DTypeLike | None = None, keepdims: bool = False
    ) -> Tensor:
        """Return the product over `axis`."""
        return reductions.prod(self, axis, dtype, keepdims)

    def max(self, axis: AxisLike = None, keepdims: bool = False) -> Tensor:
        """Return the greatest element over `axis`; NaN if there is one."""
        return reductions.max(self, axis, keepdims)

    def min(self, axis: AxisLike = None, keepdims: bool = False) -> Tensor:
        """Return the smallest element over `axis`; NaN if there is one."""
        return reductions.min(self, axis, keepdims)

    def mean(
        self, axis: AxisLike = None, dtype: DTypeLike | None = None, keepdims: bool = False
    ) -> Tensor:
        """Return the mean over `axis`."""
        return reductions.mean(self, axis, dtype, keepdims)

    def var(
        self, axis: AxisLike = None, *, correction: float = 0.0, keepdims: bool = False
    ) -> Tensor:
        """Return the variance over `axis`."""
        return reductions.var(self, axis, correction=correction, keepdims=keepdims)

    def std(
        self, axis: AxisLike = None, *, correction: float = 0.0, keepdims: bool = False
    ) -> Tensor:
        """Return the standard deviation over `axis`."""
        return reductions.std(self, axis, correction=correction, keepdims=keepdims)

    def any(self, axis: AxisLike = None, keepdims: bool = False) -> Tensor:
        """Return whether any element over `axis` is true."""
        return reductions.any(self, axis, keepdims)

    def all(self, axis: AxisLike = None, keepdims: bool = False) -> Tensor:
        """Return whether all elements over `axis` are true."""
        return reductions.all(self, axis, keepdims)

    def argmax(self, axis: SupportsIndex | None = None, keepdims: bool = False) -> Tensor:
        """Return the first place of the greatest element along `axis`."""
        return reductions.argmax(self, axis, keepdims)

    def argmin(self, axis: SupportsIndex | None = None, keepdims: bool = False) -> Tensor:
        """Return the first place of the smallest element along `axis`."""
        return reductions.argmin(self, axis, keepdims)

    def reshape(self, *shape: ShapeLike) -> Tensor:
        """Return the tensor in another shape: `x.reshape(2, -1)` or `x.reshape((2, -1))`."""
        return shapes.reshape(self, shape[0] if len(shape) == 1 else shape)  # type: ignore[arg-type]  # several are integers

    def transpose(self, *axes: Any) -> Tensor:
        """Return the tensor with its axes permuted, by default reversed."""
        return shapes.transpose(self, axes[0] if len(axes) == 1 else axes or None)

    def squeeze(self, axis: AxisLike = None) -> Tensor:
        """Return the tensor without axes of extent 1."""
        return shapes.squeeze(self, axis)

    def swapaxes(self, axis1: SupportsIndex, axis2: SupportsIndex) -> Tensor:
        """Return the tensor with two axes exchanged."""
        return shapes.swapaxes(self, axis1, axis2)

    def flatten(self) -> Tensor:
        """Return the elements in row-major order along one axis."""
        return shapes.ravel(self)

    def ravel(self) -> Tensor:
        """Return the elements in row-major order along one axis."""
        return shapes.ravel(self)

    def repeat(self, repeats: TensorLike, axis: SupportsIndex | None = None) -> Tensor:
        """Return the tensor with every element repeated."""
        return shapes.repeat(self, repeats, axis)

    def take(
        self, indices: TensorLike, axis: SupportsIndex | None = None, mode: str = "raise"
    ) -> Tensor:
        """Return the elements at `indices` along `axis`."""
        return indexing.take(self, indices, axis, mode)

    def dot(self, other: TensorLike) -> Tensor:
        """Return the product with `other`, as `numpy.dot` for up to two axes."""
        return contractions.dot(self, other)


_NO_OPERANDS = (type(None), str, bytes, dict, set, frozenset)
_OPERANDS = (Tensor, np.ndarray, np.generic, bool, int, float, complex, list, tuple)

# The functions need the class and its methods need the functions.
from graphc.frontend import (  # noqa: E402  # after the class, for the reason above
    complex_numbers,
    contractions,
    elementwise,
    indexing,
    numpy_protocol,
    reductions,
    shapes,
)
