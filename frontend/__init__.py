"""The frontend: how people write programs, in tensors, functions, modules and optimisers.

Everything here builds nodes; nothing computes but first values of parameters, and
`optim.LBFGS`, which drives a compiled program. Functions have the names and the meaning of the
Python array API (2024.12) and of NumPy. The facade `graphc` re-exports what `__all__` lists.
Importing the package imports graphc's core and NumPy, nothing else.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from graphc.frontend.tensor import Tensor  # isort: skip  # first: the functions need the class

from graphc.frontend import attention as _attention
from graphc.frontend import complex_numbers as _complex_numbers
from graphc.frontend import composites as _composites
from graphc.frontend import constructors as _constructors
from graphc.frontend import contractions as _contractions
from graphc.frontend import convolutions as _convolutions
from graphc.frontend import cumulative as _cumulative
from graphc.frontend import elementwise as _elementwise
from graphc.frontend import fft, linalg, metrics, nn
from graphc.frontend import function_calls as _function_calls
from graphc.frontend import indexing as _indexing
from graphc.frontend import jacobians as _jacobians
from graphc.frontend import loops as _loops
from graphc.frontend import normalisation as _normalisation
from graphc.frontend import padding as _padding
from graphc.frontend import pooling as _pooling
from graphc.frontend import random_numbers as random
from graphc.frontend import reductions as _reductions
from graphc.frontend import resizing as _resizing
from graphc.frontend import scattering as _scattering
from graphc.frontend import shapes as _shapes
from graphc.frontend import sorting as _sorting
from graphc.frontend import transforms as _transforms
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
from graphc.frontend.recording import Trace, is_tracing
from graphc.frontend.reductions import *  # noqa: F403  # as above
from graphc.frontend.resizing import *  # noqa: F403  # as above
from graphc.frontend.scattering import *  # noqa: F403  # as above
from graphc.frontend.shapes import *  # noqa: F403  # as above
from graphc.frontend.sorting import *  # noqa: F403  # as above
from graphc.frontend.tracing import Traced, trace
from graphc.frontend.transforms import *  # noqa: F403  # as above
from graphc.frontend.variable import Variable
from graphc.frontend.vmap import vmap

if TYPE_CHECKING:
    from graphc.frontend import optim

__all__ = [
    "Tensor",
    "Trace",
    "Traced",
    "Variable",
    "fft",
    "is_tracing",
    "linalg",
    "metrics",
    "nn",
    "optim",
    "random",
    "trace",
    "vmap",
]  # fmt: skip
__all__ += _complex_numbers.__all__
__all__ += _composites.__all__
__all__ += _constructors.__all__
__all__ += _contractions.__all__
__all__ += _convolutions.__all__
__all__ += _cumulative.__all__
__all__ += _resizing.__all__
__all__ += _padding.__all__
__all__ += _pooling.__all__
__all__ += _normalisation.__all__
__all__ += _attention.__all__
__all__ += _elementwise.__all__
__all__ += _indexing.__all__
__all__ += _function_calls.__all__
__all__ += _jacobians.__all__
__all__ += _loops.__all__
__all__ += _reductions.__all__
__all__ += _scattering.__all__
__all__ += _shapes.__all__
__all__ += _sorting.__all__
__all__ += _transforms.__all__


def __getattr__(name: str) -> Any:
    """Return `optim`, which is imported when it is first asked for, or the function of an
    elementwise op that was declared since, as `elementwise` does."""
    if name == "optim":
        return import_module("graphc.frontend.optim")
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_elementwise, name)
