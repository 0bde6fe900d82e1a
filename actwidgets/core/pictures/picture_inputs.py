"""Which of the inputs is shown as a picture, and how a vector becomes one."""

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from actwidgets.core import batches
from actwidgets.core.pictures.images import is_image
from actwidgets.errors import DataError, ShapeError

LEAST_SIDE = 8  # shorter vectors are rather features than pixels
Shape = tuple[int, ...]


def checked_image_shape(image_shape: Sequence[int] | None) -> Shape | None:
    """The shape as whole numbers, once it is known to be one of a picture.

    Args:
        image_shape: `(rows, columns)` or `(rows, columns, channels)`; `()` or None.

    Raises:
        DataError: Anything else.
    """
    if image_shape is None:
        return None
    try:
        shape = tuple(operator.index(length) for length in image_shape)
    except TypeError:
        shape = (0,)
    if shape and (len(shape) not in (2, 3) or min(shape) < 1):
        raise DataError(
            "image_shape must be (rows, columns), (rows, columns, channels), or () for no "
            f"picture; got {image_shape!r}"
        )
    return shape


def picture_input(x: Any, image_shape: Shape | None = None) -> tuple[Any, Shape]:
    """The input that is shown as a picture.

    Args:
        x: An array, or a list or dict of arrays, that can be indexed by rows.
        image_shape: Of a vector; None for a guess, () for none. From `checked_image_shape`.

    Returns:
        The array: the one that `image_shape` is about, else the first that is an image, else
        the first that holds numbers, else the first. And the shape that its vectors have as
        pictures: () where they have none, or are no vectors. Without `image_shape` a vector
        whose length is the square of 8 or more is a square grey picture.

    Raises:
        DataError: An `image_shape`, and no vectors that it could be about.
        ShapeError: It has another number of values than they have.
    """
    parts = batches.parts(x)
    numbers = [part for part in parts if not holds_text(part)]
    if image_shape:
        return _of_shape(numbers, image_shape), image_shape
    images = [part for part in numbers if is_image(tuple(part.shape))]
    part = [*images, *numbers, *parts][0]
    guess = image_shape is None and len(part.shape) == 2 and not holds_text(part)
    return part, _square(part.shape[1]) if guess else ()


def holds_text(part: Any) -> bool:
    """Whether an array holds text rather than numbers."""
    return np.dtype(part.dtype).kind in "OSU"


def _of_shape(numbers: list[Any], image_shape: Shape) -> Any:
    vectors = [part for part in numbers if len(part.shape) == 2]
    wanted = math.prod(image_shape)
    for part in vectors:
        if part.shape[1] == wanted:
            return part
    if not vectors:
        found = ", ".join(str(tuple(part.shape)) for part in numbers) or "text"
        raise DataError(f"image_shape {image_shape} is for samples that are vectors; x has {found}")
    lengths = " and ".join(f"{part.shape[1]:,}" for part in vectors)
    raise ShapeError(
        f"image_shape {image_shape} holds {wanted:,} values, but the vectors in x have {lengths}"
    )


def _square(length: int) -> Shape:
    side = math.isqrt(length)
    return (side, side) if side * side == length and side >= LEAST_SIDE else ()
