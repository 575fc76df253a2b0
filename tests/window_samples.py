"""Shapes of operands and attributes of the ops over windows, for `tests.samples`."""

from __future__ import annotations

from typing import Any, TypeAlias

Shape: TypeAlias = tuple[int, ...]
Row: TypeAlias = tuple[tuple[Shape, ...], dict[str, Any]]


def over(**attributes: Shape) -> dict[str, Any]:
    return {"axes": (0,), "strides": (1,), "dilations": (1,)} | attributes


def of_rank(rank: int, labels: str = "b*c,*co,b*o", **geometry: Shape) -> dict[str, Any]:
    """Return attributes over `rank` axes, which `*` stands for in the labels."""
    digits = "0123"[:rank]
    lhs, rhs, out = labels.replace("*", digits).split(",")
    ones, zeros = (1,) * rank, (0,) * rank
    plain = {"strides": ones, "low": zeros, "high": zeros, "dilations": ones, "x_dilations": ones}
    return {"lhs": lhs, "rhs": rhs, "out": out} | plain | geometry


WINDOW_ROWS: dict[str, list[Row]] = {
    "windows": [
        (((7,),), over(sizes=(3,))),
        (((7,),), over(sizes=(2,), strides=(2,))),
        (((2, 9, 3),), over(axes=(1,), sizes=(3,), strides=(2,), dilations=(2,))),
        (((5, 6),), over(axes=(0, 1), sizes=(2, 3), strides=(1, 3), dilations=(2, 1))),
        (((4, 6),), over(axes=(0, 1), sizes=(2, 3), strides=(2, 3), dilations=(1, 1))),
        (((2,),), over(sizes=(3,))),
        (((3, 0),), over(sizes=(2,))),
        (((3,),), over(axes=(), sizes=(), strides=(), dilations=())),
    ],
    "place_windows": [
        (((5, 3), ()), over(extents=(7,))),
        (((3, 2), ()), over(extents=(7,), strides=(2,))),
        (((2, 3, 2), ()), over(axes=(1,), extents=(9,), strides=(3,), dilations=(2,))),
        (
            ((2, 2, 2, 2), ()),
            over(axes=(0, 1), extents=(4, 5), strides=(2, 2), dilations=(1, 2)),
        ),
        (((0, 3), ()), over(extents=(2,))),
        (((3,), ()), over(axes=(), extents=(), strides=(), dilations=())),
    ],
    "max_pool": [
        (((7,),), over(sizes=(3,))),
        (((2, 9, 3),), over(axes=(1,), sizes=(3,), strides=(2,), dilations=(2,))),
        (
            ((2, 4, 6, 3),),
            over(axes=(1, 2), sizes=(2, 3), strides=(2, 3), dilations=(1, 1)),
        ),
        (((1, 5, 6),), over(axes=(1, 2), sizes=(3, 2), strides=(2, 1), dilations=(1, 2))),
        (((2,),), over(sizes=(3,))),
        (((3,),), over(axes=(), sizes=(), strides=(), dilations=())),
    ],
    "convolution": [
        (((2, 5, 2), (3, 2, 3)), of_rank(1)),
        (((1, 7, 1), (3, 1, 2)), of_rank(1, strides=(2,), low=(1,), high=(1,))),
        (((1, 7, 2), (2, 2, 1)), of_rank(1, dilations=(3,), low=(2,), high=(0,))),
        (((1, 3, 2), (3, 2, 2)), of_rank(1, x_dilations=(2,), low=(2,), high=(1,))),
        (((1, 6, 2), (2, 2, 1)), of_rank(1, x_dilations=(3,), low=(-2,), high=(-4,))),
        (((1, 5, 3, 2), (3, 2, 3)), of_rank(1, "b*gc,*cg,b*g", low=(1,), high=(1,))),
        (((1, 5, 2, 2), (2, 2, 2, 3)), of_rank(1, "b*gc,*cgo,b*go", strides=(3,))),
        (((1, 4, 5, 1), (3, 2, 1, 2)), of_rank(2, low=(1, 0), high=(1, 1))),
        (((1, 2, 5, 3), (2, 2, 2, 1)), of_rank(2, "bc*,*co,bo*", strides=(2, 1))),
        (((1, 3, 3, 2, 1), (2, 1, 2, 1, 2)), of_rank(3, strides=(1, 2, 1))),
        (
            ((1, 2, 2, 2), (3, 4, 2, 1)),
            of_rank(2, x_dilations=(2, 3), low=(1, 2), high=(2, 3)),
        ),
        (((1, 3, 1), (4, 1, 1)), of_rank(1, x_dilations=(4,), strides=(2,), high=(4,))),
        (((1, 3, 1), (4, 1, 1)), of_rank(1, x_dilations=(4,), dilations=(2,), low=(3,))),
        (((1, 3, 1), (1, 1, 2)), of_rank(1, x_dilations=(3,), low=(1,))),
        (((1, 2, 1), (3, 1, 1)), of_rank(1, x_dilations=(17,), low=(3,))),
        (((1, 0, 1), (3, 1, 1)), of_rank(1, x_dilations=(17,), low=(5,))),
        (((3, 2), (2, 4)), of_rank(0)),
        (((2, 3, 0), (2, 0, 3)), of_rank(1)),
        (((0, 3, 1), (2, 1, 3)), of_rank(1)),
        (((1, 2, 1), (3, 1, 2)), of_rank(1)),
        (((1, 0, 1), (2, 1, 2)), of_rank(1, low=(2,), high=(1,))),
        (((1, 2, 1), (2, 1, 1)), of_rank(1, low=(-4,), high=(6,))),
        (((2, 9, 11, 5), (3, 3, 5, 17)), of_rank(2, low=(1, 1), high=(1, 1))),
    ],
}
