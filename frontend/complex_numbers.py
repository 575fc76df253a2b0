"""Complex numbers: made of parts, taken apart, and functions of them.

`complex` and the parts are ops; the functions are compositions of real ones, and so are their
derivatives. Functions with a name that real numbers have too (`abs`, `exp`, `log`, `sqrt`, `isnan`
and its like) are found through that: `graphc.exp` is for both. A gradient is that of the pair of
parts (docs/derivatives.md).

>>> from graphc.frontend import input
>>> z = complex(input((3,)), 1.0)
>>> z.dtype, abs(z).dtype, elementwise.exp(z).dtype
(graphc.complex64, graphc.float32, graphc.complex64)
"""

from __future__ import annotations

from graphc.dtypes import float64
from graphc.frontend import elementwise
from graphc.frontend.operands import apply, as_node, broadcast, cast, result_dtype
from graphc.frontend.tensor import Tensor, TensorLike

__all__ = ["angle", "complex", "conj", "imag", "real"]


def complex(x: TensorLike, y: TensorLike) -> Tensor:
    """Return x + iy; complex64 of floats of 32 bits and fewer, complex128 of all other numbers."""
    dtype = result_dtype(x, y)
    if not dtype.is_inexact:
        dtype = float64
    nodes = broadcast("complex", [as_node(x, dtype), as_node(y, dtype)])
    return Tensor(apply("complex", *nodes))


def real(x: TensorLike) -> Tensor:
    """Return the real parts; of real numbers, x itself."""
    node = as_node(x)
    return Tensor(apply("real", node) if node.type.dtype.is_complex else node)


def imag(x: TensorLike) -> Tensor:
    """Return the imaginary parts; of real numbers, zeros."""
    node = as_node(x)
    if node.type.dtype.is_complex:
        return Tensor(apply("imag", node))
    zero = as_node(0, node.type.dtype)
    return Tensor(apply("broadcast_to", zero, shape=node.shape))


def conj(x: TensorLike) -> Tensor:
    """Return the complex conjugates, x - iy of x + iy; of real numbers, x itself."""
    node = as_node(x)
    return Tensor(apply("conj", node) if node.type.dtype.is_complex else node)


def angle(x: TensorLike) -> Tensor:
    """Return the angle of each number in the plane, in radians, from -pi to pi.

    Of real numbers it is 0 or pi, in float64 where they are no floats.
    """
    node = as_node(x)
    if not node.type.dtype.is_inexact:
        node = cast(node, float64)
    return elementwise.atan2(imag(Tensor(node)), real(Tensor(node)))


# --- functions that real numbers have too --------------------------------------------------------


def _abs(z: Tensor) -> Tensor:
    return elementwise.hypot(real(z), imag(z))


def _exp(z: Tensor) -> Tensor:
    """Return e**z; that of inf + 0i is inf + 0i, though inf * 0 is NaN."""
    x, y = real(z), imag(z)
    scale = elementwise.exp(x)
    is_lost = elementwise.isinf(scale) & (y == 0)
    turned = elementwise.where(is_lost, elementwise.stop_gradient(y), scale * elementwise.sin(y))
    return complex(scale * elementwise.cos(y), turned)


def _log(z: Tensor) -> Tensor:
    return complex(elementwise.log(_abs(z)), angle(z))


def _sqrt(z: Tensor) -> Tensor:
    """Return the root with a real part that is not negative; the larger part is formed first.

    It is that of z times a power of four, which keeps the least numbers from vanishing and the
    greatest from overflowing on the way.
    """
    is_zero, at_zero = z == 0, elementwise.stop_gradient(imag(z))
    is_small = elementwise.maximum(elementwise.abs(real(z)), elementwise.abs(imag(z))) < 1
    scale = elementwise.where(is_small, 2.0**64, 0.25)
    x, y = real(z) * scale, imag(z) * scale
    ahead = x >= 0
    size = elementwise.where(is_zero, 1, elementwise.hypot(x, y))
    along = elementwise.where(ahead, x, -x)  # |x|, with the derivative of its side where x is 0
    larger = elementwise.sqrt((along + size) * 0.5)
    smaller, sign = y / (2 * larger), elementwise.copysign(1, y)
    back = elementwise.where(is_small, 2.0**-32, 2.0)
    root_x = elementwise.where(ahead, larger, sign * smaller) * back
    root_y = elementwise.where(ahead, smaller, sign * larger) * back
    return complex(
        elementwise.where(is_zero, 0, root_x), elementwise.where(is_zero, at_zero, root_y)
    )


def _isnan(z: Tensor) -> Tensor:
    return elementwise.isnan(real(z)) | elementwise.isnan(imag(z))


def _isinf(z: Tensor) -> Tensor:
    return elementwise.isinf(real(z)) | elementwise.isinf(imag(z))


def _isfinite(z: Tensor) -> Tensor:
    return elementwise.isfinite(real(z)) & elementwise.isfinite(imag(z))


elementwise.OF_COMPLEX.update(
    abs=_abs, exp=_exp, isfinite=_isfinite, isinf=_isinf, isnan=_isnan, log=_log, sqrt=_sqrt
)
