"""graphc: a dataflow computational-graph compiler.

>>> import graphc
>>> x = graphc.input((2, 3), name="x")
>>> program = graphc.compile([graphc.softmax(x)], inputs=[x])
>>> program([[1, 2, 3], [1, 1, 1]])[0].round(2)
array([[0.09, 0.24, 0.67],
       [0.33, 0.33, 0.33]], dtype=float32)
"""

from graphc.api import CompiledFunction, compile, evaluate
from graphc.dtypes import (
    DType,
    bfloat16,
    bool_,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)
from graphc.errors import (
    BackendError,
    GraphcError,
    GraphcIndexError,
    GraphcTypeError,
    GraphcValueError,
    InternalError,
    ParseError,
    ShapeError,
    TracingError,
    VerificationError,
)
from graphc.frontend import *  # noqa: F403  # what the frontend lists
from graphc.frontend import nn, optim
from graphc.frontend.transforms import *  # noqa: F403  # grad and its kin
from graphc.graph import Graph
from graphc.graph_text import parse_graph, print_graph
from graphc.program import Program
from graphc.tensor_type import TensorType, tensor_type
from graphc.version import __version__


def __getattr__(name: str) -> object:
    """Return the function of an op that was declared after import, as the frontend does."""
    from graphc import frontend  # the module, not what it lists

    return getattr(frontend, name)
