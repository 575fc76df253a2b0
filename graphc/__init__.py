"""graphc: a dataflow computational-graph compiler.

>>> import graphc
>>> x = graphc.input((2, 3), name="x")
>>> program = graphc.compile([graphc.softmax(x)], inputs=[x])
>>> program([[1, 2, 3], [1, 1, 1]])[0].round(2)
array([[0.09, 0.24, 0.67],
       [0.33, 0.33, 0.33]], dtype=float32)
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING

from graphc import compiler_digest, frontend  # the first notes when the sources were read
from graphc.api import CompiledFunction, compile
from graphc.dtypes import (
    DType,
    bfloat16,
    bool_,
    complex64,
    complex128,
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
    DamagedFileError,
    GraphcError,
    GraphcIndexError,
    GraphcTypeError,
    GraphcValueError,
    InternalError,
    NumericsError,
    ParseError,
    ShapeError,
    TracingError,
    UnwritableFileError,
    VariableError,
    VerificationError,
)
from graphc.evaluation import evaluate
from graphc.frontend import (
    Tensor,
    Trace,
    Traced,
    Variable,
    fft,
    is_tracing,
    linalg,
    metrics,
    nn,
    random,
    trace,
    vmap,
)
from graphc.frontend.attention import *  # noqa: F403  # as above
from graphc.frontend.complex_numbers import *  # noqa: F403  # as above
from graphc.frontend.composites import *  # noqa: F403  # each module says in __all__ what is public
from graphc.frontend.constructors import *  # noqa: F403  # as above
from graphc.frontend.contractions import *  # noqa: F403  # as above
from graphc.frontend.convolutions import *  # noqa: F403  # as above
from graphc.frontend.cumulative import *  # noqa: F403  # as above
from graphc.frontend.elementwise import *  # noqa: F403  # as above
from graphc.frontend.function_calls import *  # noqa: F403  # as above
from graphc.frontend.indexing import *  # noqa: F403  # as above
from graphc.frontend.jacobians import *  # noqa: F403  # as above
from graphc.frontend.loops import *  # noqa: F403  # as above
from graphc.frontend.normalisation import *  # noqa: F403  # as above
from graphc.frontend.padding import *  # noqa: F403  # as above
from graphc.frontend.pooling import *  # noqa: F403  # as above
from graphc.frontend.reductions import *  # noqa: F403  # as above
from graphc.frontend.resizing import *  # noqa: F403  # as above
from graphc.frontend.scattering import *  # noqa: F403  # as above
from graphc.frontend.shapes import *  # noqa: F403  # as above
from graphc.frontend.sorting import *  # noqa: F403  # as above
from graphc.frontend.transforms import *  # noqa: F403  # as above
from graphc.graph import Graph
from graphc.graph_text import parse_graph, print_graph
from graphc.program import Program
from graphc.tensor_type import TensorType, tensor_type
from graphc.thread_limit import threads
from graphc.version import __version__

__all__ = [
    "BackendError",
    "CompiledFunction",
    "DType",
    "DamagedFileError",
    "GradientError",
    "GradientReport",
    "Graph",
    "GraphcError",
    "GraphcIndexError",
    "GraphcTypeError",
    "GraphcValueError",
    "InternalError",
    "NumericsError",
    "ParseError",
    "Program",
    "ShapeError",
    "Tensor",
    "TensorType",
    "Trace",
    "Traced",
    "TracingError",
    "UnwritableFileError",
    "Variable",
    "VariableError",
    "VerificationError",
    "__version__",
    "bfloat16",
    "bool_",
    "check_grads",
    "compile",
    "complex64",
    "complex128",
    "evaluate",
    "fft",
    "fit",
    "float16",
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "is_tracing",
    "linalg",
    "load",
    "metrics",
    "nn",
    "optim",
    "parse_graph",
    "print_graph",
    "random",
    "save",
    "tensor_type",
    "threads",
    "trace",
    "training",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "vmap",
]
__all__ += frontend.__all__  # some twice: a type checker reads the list above alone

# What not every program needs, with the module that has it: imported when it is first asked for.
_LATE = {
    "GradientError": "graphc.gradient_check",
    "GradientReport": "graphc.gradient_check",
    "check_grads": "graphc.gradient_check",
    "fit": "graphc.training",
    "load": "graphc.saving",
    "optim": "graphc.frontend",
    "save": "graphc.saving",
}

if TYPE_CHECKING:
    from graphc import training
    from graphc.frontend import optim
    from graphc.gradient_check import GradientError, GradientReport, check_grads
    from graphc.saving import load, save
    from graphc.training.fit import fit
else:  # a type checker shall find misspelt names

    def __getattr__(name: str) -> object:
        """Return what is imported late, or the function of an op that was declared after import."""
        if name == "training":
            return import_module("graphc.training")  # which then is an attribute
        if name in _LATE:
            found = globals()[name] = getattr(import_module(_LATE[name]), name)
            return found
        try:
            return getattr(frontend, name)
        except AttributeError:
            message = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(message, name=name, obj=sys.modules[__name__]) from None


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
