"""The error function, for float32 and float64.

Near 0 it is one odd polynomial. From 1 on it is 1 - q(|x|)**2 for float32 and 1 - q(|x|)**4 for
float64, where q approximates the square or fourth root of the complement: smooth enough for one
polynomial up to where the result is 1, and neither an exponential nor a division is needed. The
polynomials are minimax (Remez exchange in 50-digit arithmetic) in the error of the result.

Always: the sign of zero is kept, subnormals are rounded once, NaN gives NaN, and no step traps.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc import dtypes
from graphc.scalar import Scalar, copysign, fma, polynomial, select


@dataclass(frozen=True, slots=True)
class _Pieces:
    """The approximations of one float type."""

    near: tuple[float, ...]  # erf(x) / x - 1 in x**2, |x| < 1
    far: tuple[float, ...]  # a root of 1 - erf(x) in x - center, 1 <= x <= end
    center: float
    end: float  # erf rounds to 1 from here on
    squarings: int  # the root is taken to the power 2**squarings


_PIECES = {
    dtypes.float32: _Pieces(
        near=(
            0.12837916612625122, -0.3761262595653534, 0.11283578723669052, -0.026853347197175026,
            0.005187162198126316, -0.0007997853099368513, 7.806903886375949e-05,
        ),
        far=(
            0.18410557508468628, -0.32299453020095825, 0.20115971565246582, -0.023918479681015015,
            -0.03070560283958912, 0.012644206173717976, 0.0015340927056968212,
            -0.0020438458304852247, 0.00037021157913841307, 3.3553482353454456e-05,
            -1.2106867870897986e-05,
        ),
        center=1.5,
        end=3.9375,
        squarings=1,
    ),
    dtypes.float64: _Pieces(
        near=(
            0.12837916709551256, -0.37612638903183343, 0.1128379167093695, -0.026866170641959137,
            0.0052239775967358685, -0.0008548325484998455, 0.00012055280496573264,
            -1.492446563959695e-05, 1.644415055866292e-06, -1.6183990920134551e-07,
            1.3616697104097613e-08, -7.60780563811714e-10,
        ),
        far=(
            0.33977695839481575, -0.33634613707633476, 0.08918080332836069, 0.01983771373332257,
            -0.013364859966635244, 0.00017310833587328578, 0.0010850683791627565,
            -0.00015212716696703582, -4.9198090493154656e-05, 1.3302150029216219e-05,
            1.1178089194221902e-06, -6.505525544196228e-07, -3.0895515541598156e-09,
            2.50334212466269e-08, -1.2769779695600114e-09, -8.398180689729037e-10,
            1.109753722854645e-10, 1.5732198976349103e-11, -4.649193677390371e-12,
            2.447966367338507e-13, 2.550646262354969e-14, -2.5649661964327416e-15,
        ),
        center=1.75,
        end=5.9375,
        squarings=2,
    ),
}  # fmt: skip


def erf(x: Scalar) -> Scalar:
    """Return the error function.

    float32: at most 0.988 ULP over all 2**32 inputs, in 27 instructions. float64: at most 1.32 ULP
    over samples of every binade, in 44. Neither divides.
    """
    pieces = _PIECES[x.dtype]
    magnitude = abs(x)
    near = erf_near_zero(x)
    clamped = select(magnitude > pieces.end, pieces.end, magnitude)
    root = polynomial(clamped - pieces.center, pieces.far)
    for _ in range(pieces.squarings - 1):
        root = root * root
    far = fma(root, -root, 1.0)
    return select(magnitude < 1.0, near, copysign(far, x))


def erf_near_zero(x: Scalar) -> Scalar:
    """Return the error function where |x| < 1."""
    return fma(x, polynomial(x * x, _PIECES[x.dtype].near), x)
