"""Where patches lie that cover a sample: as large as asked for, none beyond the edge."""

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np

from actwidgets.core.attributions.option_checks import whole
from actwidgets.core.attributions.places import divided_axes, has_no_places
from actwidgets.core.attributions.points import Points
from actwidgets.errors import DataError, ShapeError

Patch = tuple[slice, ...]  # of the leading axes of a sample; whole where they are channels


def patches_of(points: Points, index: int, patch: Any = None, stride: Any = None) -> list[Patch]:
    """The patches that cover every value of one input.

    Args:
        points: The samples.
        index: Which of their arrays.
        patch: Length along each axis of places: a number for all, or one each. A list as long
            as the sample has axes also divides the channels. By default a quarter of each
            side, and at least 1; of vectors `(sample, feature)` and of what has one place
            only, whose neighbours mean nothing, 1.
        stride: How far apart they begin, likewise; half of the patch by default. The last of
            each row is moved back so that it ends with the sample.

    Raises:
        DataError: Lengths below 1, a stride longer than its patch: values would be left out.
        ShapeError: A patch longer than the sample, other numbers of axes.
    """
    shape, name = points.arrays[index].shape[1:], points.names[index]
    axes = divided_axes(points, index)
    patch, stride = _of_input(patch, points, index), _of_input(stride, points, index)
    if isinstance(patch, list | tuple | np.ndarray):
        if len(patch) not in (len(shape), len(axes), max(len(shape) - 1, 1)):
            raise ShapeError(
                f"patch must have {len(axes)} lengths, or {len(shape)} where it "
                f"divides all axes, for input {name!r} of shape {shape}; got {patch!r}"
            )
        if len(patch) != len(axes):
            axes = tuple(range(1, len(patch) + 1))
    sides = [shape[axis - 1] for axis in axes]
    is_features = has_no_places(points, index) or set(shape[:-1]) == {1}
    whole_share = [1] * len(axes) if is_features else [max(side // 4, 1) for side in sides]
    lengths = _lengths("patch", patch, whole_share)
    strides = _lengths("stride", stride, [max(length // 2, 1) for length in lengths])
    for side, length, step in zip(sides, lengths, strides, strict=True):
        if length > side:
            raise ShapeError(
                f"patch {tuple(lengths)} is larger than input {name!r}, which is {tuple(sides)}"
            )
        if step > length:
            raise DataError(
                f"stride {tuple(strides)} leaves gaps between patches of {tuple(lengths)}: it "
                "must not be longer than the patch"
            )
    along = [
        [slice(start, start + length) for start in _starts(side, length, step)]
        for side, length, step in zip(sides, lengths, strides, strict=True)
    ]
    by_axis = dict(zip(axes, along, strict=True))
    return list(product(*(by_axis.get(each, [slice(None)]) for each in range(1, max(axes) + 1))))


def _of_input(wanted: Any, points: Points, index: int) -> Any:
    if not isinstance(wanted, Mapping):
        return wanted
    unknown = ", ".join(sorted(map(str, set(wanted) - set(points.names))))
    if unknown:
        raise DataError(f"no input {unknown}; this model has {', '.join(points.names)}")
    return wanted.get(points.names[index])


def _lengths(name: str, wanted: Any, default: list[int]) -> list[int]:
    if wanted is None:
        return default
    given = list(wanted) if isinstance(wanted, list | tuple | np.ndarray) else [wanted]
    if len(given) == 1:
        given = given * len(default)
    if len(given) != len(default):
        raise ShapeError(f"{name} must have {len(default)} lengths, as the patch; got {wanted!r}")
    return [whole(name, each, least=1) for each in given]


def _starts(side: int, length: int, step: int) -> list[int]:
    return [*range(0, side - length, step), side - length]
