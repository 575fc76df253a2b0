"""Messages of typical mistakes: the user's own line, where the operands were made, and a hint."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import numpy as np
import pytest

import graphc.frontend as gc
from graphc.errors import (
    GraphcError,
    GraphcIndexError,
    GraphcTypeError,
    GraphcValueError,
    ShapeError,
    TracingError,
)
from graphc.frontend import nn, optim
from tests.frontend.evaluation import tensor

X = gc.input((64, 784), name="x")
W = gc.input((10, 784), name="w")
LABELS = gc.input((64,), "float32", name="labels")

Mistake = Callable[[], object]
MISTAKES: list[tuple[Mistake, type[GraphcError], str, str]] = [
    (lambda: X @ W, ShapeError, "784 and 10", "x @ y.mT"),
    (lambda: W @ tensor(10, 5), ShapeError, "784 and 10", "x.mT @ y"),
    (lambda: tensor(3) @ tensor(4, 3), ShapeError, "3 and 4", "transposed"),
    (lambda: X + LABELS, ShapeError, "do not broadcast", "[:, None]"),
    (lambda: tensor(4, 10, 3) + tensor(4, 3), ShapeError, "do not broadcast", "[:, None, :] on"),
    (lambda: tensor(5, 1) * tensor(5, 2, 3), ShapeError, "do not broadcast", "[:, None, :] on"),
    (lambda: tensor(4, 10, 3) + tensor(5, 3), ShapeError, "do not broadcast", ""),
    (lambda: X[:, :10] + W[:, :64], ShapeError, "do not broadcast", ".T exchanges"),
    (lambda: X[LABELS], GraphcIndexError, "made of integers", "astype(graphc.int64)"),
    (lambda: gc.take(X, LABELS), GraphcTypeError, "indices are integers", "astype(graphc.int64)"),
    (lambda: X.sum(axis=2), GraphcIndexError, "axis 2 is out of bounds", "-2 … 1"),
    (lambda: X[64], GraphcIndexError, "index 64 is out of bounds", "-64 … 63"),
    (lambda: X.reshape(10, 784), ShapeError, "50176 elements", "-1"),
    (lambda: bool(X > 0), TracingError, "truth of a tensor", "graphc.where"),
    (lambda: float(X.sum()), TracingError, "float() needs the value", "compile"),
    (lambda: int(X.sum()), TracingError, "int() needs the value", "compile"),
    (lambda: float(gc.Variable(1.0)), TracingError, "float() needs the value", "variable.value"),
    (lambda: nn.Conv2d(1, 8, 3, seed=0)(tensor(4, 8, 8)), ShapeError, "wants (batch", "(x, -1)"),
    (lambda: nn.Conv2d(1, 8, 3, seed=0)(tensor(4, 1, 8, 8)), ShapeError, "wants", "channels_first"),
    (lambda: nn.Conv2d(3, 8, 3, seed=0)(tensor(4, 8, 8, 5)), ShapeError, "3 channels", ""),
    (lambda: np.asarray(X), TracingError, "NumPy array needs the value", "compile"),
    (lambda: range(X.sum()), TracingError, "Python index", "compile"),
    (lambda: X.__setitem__(0, 1), GraphcTypeError, "cannot be changed", "graphc.where"),
    (lambda: 3 in X, TracingError, "`in`", "graphc.any"),
    (lambda: X & 1, GraphcTypeError, "not defined for float32", "astype"),
    (lambda: len(X.sum()), GraphcTypeError, "without axes", ""),
    (lambda: nn.cross_entropy(X, LABELS), ShapeError, "want distributions", "integers"),
    (lambda: nn.mse(X[:, :1], LABELS), ShapeError, "differ in shape", "squeeze"),
    (lambda: gc.gradients(X, [X]), ShapeError, "a scalar is needed", "loss.mean()"),
    (lambda: gc.gradients(X.sum(), [X > 0]), GraphcTypeError, "bool has no derivatives", "astype"),
    (lambda: gc.gradients(X.sum(), np.ones(3)), GraphcTypeError, "not to ndarray", "input"),  # type: ignore[call-overload]  # the mistake
    (lambda: gc.gradients(X.sum(), ["x"]), GraphcTypeError, "not to str", "graphc.Variable"),  # type: ignore[list-item]  # the mistake
    (lambda: gc.grad(X.sum()), GraphcTypeError, "with respect to what", "graphc.grad(loss, x)"),  # type: ignore[call-overload]  # the mistake
    (lambda: gc.value_and_grad(3), GraphcTypeError, "int cannot be differentiated", "function"),  # type: ignore[call-overload]  # the mistake
    (lambda: gc.concat([X, W.T]), ShapeError, "differ outside axis 0", ""),
    (lambda: gc.stack([]), GraphcValueError, "at least one", ""),
    (lambda: gc.stack([X, W]), ShapeError, "must be equal", ""),
    (lambda: gc.constant("text"), GraphcTypeError, "holds no numbers", ""),
    (lambda: gc.constant([X, X]), TracingError, "NumPy array", "graphc.stack"),
    (lambda: gc.Variable(X), TracingError, "first value of a variable", "assign"),
    (lambda: X + None, GraphcTypeError, "add: an operand is None", ""),  # type: ignore[arg-type]  # the mistake
    (lambda: "a" * X, GraphcTypeError, "multiply: an operand is of type str", ""),
    (lambda: X < 1j, GraphcTypeError, "less is not defined for complex64", "real(x)"),
    (lambda: X < "a", GraphcTypeError, "less: an operand is of type str", ""),
    (lambda: f"{X:.2f}", TracingError, "formatting as '.2f' needs the value", "compile"),
    (lambda: nn.Linear("a", 2, seed=0), GraphcTypeError, "is an integer, not 'a'", ""),  # type: ignore[arg-type]  # the mistake
    (lambda: nn.Linear(2, 2.5, seed=0), GraphcTypeError, "is an integer, not 2.5", ""),  # type: ignore[arg-type]  # the mistake
    (lambda: nn.Sequential(3), GraphcTypeError, "a module or a function, not int", ""),
    (lambda: nn.Sequential([nn.ReLU()]), GraphcTypeError, "not list", "Sequential(*layers)"),
    (lambda: optim.Adam("a"), GraphcTypeError, "a learning rate is a number, not 'a'", ""),
    (lambda: optim.Adam(beta2="a"), GraphcTypeError, "Adam: beta2 is a number", ""),  # type: ignore[arg-type]  # the mistake
    (lambda: optim.SGD(0.1, "a"), GraphcTypeError, "a momentum is a number", ""),  # type: ignore[arg-type]  # the mistake
    (lambda: gc.input((2,), "float33"), GraphcTypeError, "not an element type", "float32"),
    (lambda: gc.input((2, -1)), ShapeError, "no negative extents", ""),
    (lambda: nn.Linear(784, 10), TypeError, "seed", ""),  # type: ignore[call-arg,list-item]  # the mistake
    (lambda: nn.Linear(5, 10, seed=0)(X), ShapeError, "wants 5 as the last extent", ""),
    (lambda: nn.Linear(9, 2, seed=0)(tensor(2, 3, 3)), ShapeError, "wants 9", "nn.Flatten()"),
    (lambda: optim.SGD(0.1).minimize(X.sum(), []), TracingError, "optimiser", "@graphc.compile"),
    (lambda: optim.SGD(-1.0), GraphcValueError, "is negative", ""),
    (lambda: optim.Adam(beta1=1.0), GraphcValueError, "beta1", ""),
]  # fmt: skip


@pytest.mark.parametrize(("mistake", "kind", "message", "hint"), MISTAKES)
def test_messages(mistake: Mistake, kind: type[GraphcError], message: str, hint: str) -> None:
    with pytest.raises(kind) as caught:
        mistake()
    assert message in str(caught.value)
    if not isinstance(caught.value, GraphcError):
        return
    assert hint in caught.value.hint
    line = inspect.getsourcelines(mistake)[1]
    assert caught.value.line.startswith(f"{__file__}:{line}")


def test_operators_are_left_to_types_that_define_them() -> None:
    class Foreign:
        def __radd__(self, other: object) -> str:
            return "mine"

    assert X + Foreign() == "mine"
    with pytest.raises(TypeError, match="unsupported operand"):
        _ = X - Foreign()  # type: ignore[arg-type]  # the mistake
    assert f"{X}" == repr(X)
    unequal = [X != None, X != "x"]  # noqa: E711  # the operator is meant
    assert unequal == [True, True]


def test_messages_say_where_the_operands_were_made() -> None:
    with pytest.raises(ShapeError) as caught:
        _ = X @ W
    first, second = caught.value.notes
    line = next(i for i, text in enumerate(open(__file__), 1) if text.startswith("X ="))  # noqa: SIM115  # read at once
    assert first.startswith(f"operand 0: float32[64, 784], input made at {__file__}:{line}")
    assert second.startswith(f"operand 1: float32[10, 784], input made at {__file__}:{line + 1}")


def test_the_whole_message_reads_well() -> None:
    with pytest.raises(ShapeError) as caught:
        _ = X @ W
    lines = str(caught.value).splitlines()
    assert lines[0] == ("matmul: (64, 784) @ (10, 784) sums over extents 784 and 10, which differ")
    assert lines[-1] == "  hint: the second operand looks transposed: x @ y.mT"


@pytest.mark.parametrize("kind", [ShapeError, GraphcValueError])
def test_errors_are_the_builtin_ones_too(kind: type[Exception]) -> None:
    assert issubclass(kind, ValueError)
    assert issubclass(GraphcIndexError, IndexError)
    assert issubclass(TracingError, TypeError)
