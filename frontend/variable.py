"""Variables: tensors whose value outlives the call of a program.

A `Variable` owns a `VariableState` and may stand wherever a tensor may. While a function is traced,
`assign` records an assignment that the program carries out when it has run, and whoever reads the
variable after that, in the same trace, reads the assigned tensor; of two assignments the later one
wins. Outside of tracing `assign` sets the value at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.dtypes import DTypeLike, as_dtype, promote
from graphc.errors import GraphcTypeError, ShapeError, TracingError
from graphc.frontend.operands import apply, as_array, as_node, cast, fail, is_scalar
from graphc.frontend.recording import current_trace
from graphc.frontend.tensor import Tensor, TensorLike
from graphc.node import Node
from graphc.state import STATE_LOCK, VariableState
from graphc.tensor_type import TensorType

__all__ = ["Variable"]


class Variable(Tensor):
    """A tensor with a value of its own, which programs read and update in place.

    `value` is an array or numbers, copied; its dtype is kept unless `dtype` is given (Python floats
    are float32). One that is not `trainable` is state that a module keeps (a key of random numbers,
    running means) and no parameter of it. Raises TracingError for a symbolic value.

    >>> count = Variable(np.zeros(3, np.float32), name="count")
    >>> count.assign([1, 2, 3])
    >>> count.value
    array([1., 2., 3.], dtype=float32)
    """

    __slots__ = ("state", "trainable")
    _way_to_values = "variable.value is an array of what it holds now"

    def __init__(
        self,
        value: Any,
        dtype: DTypeLike | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        if isinstance(value, Tensor):
            fail(
                TracingError,
                "the first value of a variable must be known while the graph is built",
                [value.node],
                "pass an array; variable.assign(tensor) updates it when the program runs",
            )
        array = as_array(value, None if dtype is None else as_dtype(dtype))
        type_ = TensorType(array.shape, as_dtype(array.dtype))
        self.state = VariableState(type_, array, name or "")
        self.trainable = trainable
        super().__init__(apply("variable", state=self.state))

    @property
    def name(self) -> str:
        """The name in graphs and diagrams."""
        return self.state.name

    @property
    def variable_node(self) -> Node:
        """The node that reads the value from before the call."""
        return self._node

    @property
    def node(self) -> Node:
        """The node of the current value: the one assigned last in this trace, if one was."""
        trace = current_trace()
        return self._node if trace is None else trace.read(self._node)

    @property
    def value(self) -> np.ndarray[Any, Any]:
        """A copy of the value as it is now, outside of any program."""
        with STATE_LOCK:
            return self.state.host().copy()

    def assign(self, value: TensorLike) -> None:
        """Set the value, or record in the current trace that the program sets it.

        `value` has the variable's shape, or is a Python number, and a dtype that converts to the
        variable's without loss of kind or range. Raises ShapeError, GraphcTypeError, and
        TracingError for a symbolic value outside of tracing.
        """
        trace = current_trace()
        if trace is None and isinstance(value, Tensor):
            fail(
                TracingError,
                "a symbolic tensor can be assigned only while a function is traced",
                [value.node],
                "put the assignment into a function and compile it with graphc.compile",
            )
        if trace is None:
            self.state.assign(self._checked_array(value))
        else:
            trace.assign(self._node, self._checked_node(value))

    def _checked_node(self, value: TensorLike) -> Node:
        wanted = self._node.type
        node = as_node(value, wanted.dtype if is_scalar(value) else None)
        self._check(node.type, [self._node, node], is_scalar(value))
        node = cast(node, wanted.dtype)
        return (
            node if node.shape == wanted.shape else apply("broadcast_to", node, shape=wanted.shape)
        )

    def _checked_array(self, value: TensorLike) -> np.ndarray[Any, Any]:
        wanted = self._node.type
        is_number = isinstance(value, list | tuple) or is_scalar(value)
        array = as_array(value, wanted.dtype if is_number else None)
        given = TensorType(array.shape, as_dtype(array.dtype))
        self._check(given, [self._node], is_scalar(value))
        return np.broadcast_to(array, wanted.shape)

    def _check(self, given: TensorType, operands: list[Node], is_number: bool) -> None:
        wanted = self._node.type
        if given.shape != wanted.shape and not is_number:
            fail(
                ShapeError,
                f"assign: the variable has the shape {wanted.shape}, the value {given.shape}",
                operands,
                "graphc.broadcast_to or reshape gives the value the variable's shape",
            )
        if promote(given.dtype, wanted.dtype) is not wanted.dtype:
            fail(
                GraphcTypeError,
                f"assign: {given.dtype} does not convert to {wanted.dtype} unasked",
                operands,
                f"value.astype(graphc.{wanted.dtype}) says that it is meant",
            )

    def __deepcopy__(self, memo: dict[int, Any]) -> Variable:
        return Variable(self.value, name=self.name, trainable=self.trainable)

    def __repr__(self) -> str:
        name = f" {self.name!r}" if self.name else ""
        return f"<Variable{name} {self._node.type}>"
