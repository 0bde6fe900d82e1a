"""Which axes of an input are rows, columns, time and channels, and how inputs become pictures."""

import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from actwidgets.core import batches
from actwidgets.core.arrays import Array
from actwidgets.errors import DataError, ShapeError
from actwidgets.images.encode import Pixels

Axes = tuple[str, ...]  # of one sample, in the order of its array
NAMES = ("time", "depth", "row", "column", "channel", "feature")
CHANNELS = ("channel", "feature")  # what is measured at a place; the others are places
_BY_RANK: dict[int, Axes] = {
    1: ("feature",),
    2: ("row", "column"),
    3: ("row", "column", "channel"),
    4: ("depth", "row", "column", "channel"),
}


def default_axes(shape: Sequence[int | None]) -> Axes:
    """The axes of a sample where no layer and no caller tells: by their number.

    Two axes are a picture without colors, whatever their lengths, but for one of a single row,
    which is a sequence of one step; () where there are unusually many.

    Args:
        shape: Of one sample.
    """
    if len(shape) == 2 and shape[0] == 1:
        return ("time", "feature")
    return _BY_RANK.get(len(shape), ())


def checked_axes(axes: Any) -> dict[str, Axes]:
    """What a caller says of axes, by name of input; `""` for the only input.

    Args:
        axes: A sequence of names for the only input, such as `("time", "feature")`; a dict of
            these by name of input; or None.

    Raises:
        DataError: Other names than `NAMES`, or one of them twice.
    """
    if axes is None:
        return {}
    if not isinstance(axes, Mapping):
        axes = {"": axes}
    return {str(name): _checked(names) for name, names in axes.items()}


def axes_of_input(
    given: Mapping[str, Axes],
    name: str,
    shape: Sequence[int | None],
    *,
    alone: bool,
    found: Axes | None = None,
) -> Axes:
    """The axes of one input.

    Args:
        given: From `checked_axes`.
        name: Of the input.
        shape: Of one sample of it.
        alone: Whether the model has no other input.
        found: What its layers make of them, where that is known.

    Raises:
        ShapeError: As many axes were not given.
    """
    said = given.get(name, given.get("") if alone else None)
    if said is None:
        return found if found is not None and len(found) == len(shape) else default_axes(shape)
    if len(said) != len(shape):
        raise ShapeError(
            f"axes {said} are {len(said)}, and a sample of input {name or 'x'!r} has {len(shape)}"
        )
    return said


def require_inputs(given: Mapping[str, Axes], names: Sequence[str]) -> None:
    """Refuse axes of inputs that a model does not have.

    Raises:
        DataError: Names those.
    """
    known = set(names) | ({""} if len(names) == 1 else set())
    unknown = [name or "(no name)" for name in given if name not in known]
    if unknown:
        raise DataError(
            f"axes of {', '.join(unknown)}: this model's inputs are {', '.join(names)}; "
            "of several inputs, give a dict by their names"
        )


def is_picture(axes: Sequence[str], shape: Sequence[int]) -> bool:
    """Whether samples with these axes are pictures: rows, columns, and colors if any.

    Args:
        axes: Of one sample.
        shape: Likewise.
    """
    if sorted(axes) == ["column", "row"]:
        return True
    colors = dict(zip(axes, shape, strict=True)).get("channel")
    return sorted(axes) == ["channel", "column", "row"] and colors in (1, 3, 4)


def _checked(axes: Any) -> Axes:
    is_names = isinstance(axes, list | tuple) and all(isinstance(item, str) for item in axes)
    if not is_names or len({*axes}) != len(axes) or not {*axes} <= {*NAMES}:
        raise DataError(
            f"axes must be names of {', '.join(NAMES)}, each at most once, such as "
            f'("time", "feature"), or a dict of these by input; got {axes!r}'
        )
    return tuple(axes)


GRAY = 128
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


@dataclass(frozen=True)
class PictureInput:
    """One input that is drawn.

    Attributes:
        name: Of the input; "" where it has none.
        place: Of its array among those of the samples.
        axes: Of one sample of it; () where nobody knows.
        image_shape: That its vectors have as pictures; () where they have none, or are none.
    """

    name: str
    place: int
    axes: Axes
    image_shape: Shape = ()

    def images(self, values: Array) -> Array:
        """Samples of it as they are drawn.

        Args:
            values: `(sample, …)`.

        Returns:
            Of pictures `(sample, row, column[, channel])`. Of what runs in time `(sample, row,
            step)`, a row for each feature and time to the right. Anything else as it is.
        """
        if self.image_shape:
            return values.reshape(len(values), *self.image_shape)
        order = _drawn_order(self.axes, values.ndim - 1)
        if order is None:
            return values
        turned = values.transpose(0, *(axis + 1 for axis in order))
        if "time" in self.axes and "row" not in self.axes:
            n_rows = math.prod(turned.shape[1:-1])
            return turned.reshape(len(turned), n_rows, turned.shape[-1])
        return turned

    def places_first(self, values: Array) -> Array:
        """A map in the shape of its samples as `as_planes` takes it: places, then channels.

        Args:
            values: `(sample, …)`; of another number of axes, as a map of a layer has, it is
                given back as it is.
        """
        order = _drawn_order(self.axes, values.ndim - 1)
        if self.image_shape or order is None:
            return values
        if "time" not in self.axes:
            return values.transpose(0, *(axis + 1 for axis in order))
        by_step = np.moveaxis(values, self.axes.index("time") + 1, 1)
        n_rest = math.prod(by_step.shape[2:])
        return by_step if by_step.ndim < 3 else by_step.reshape(*by_step.shape[:2], n_rest)

    def values(self, images: Array, like: Array) -> Array:
        """Pictures of `images`, as samples in the shape of `like` again."""
        order = None if self.image_shape else _drawn_order(self.axes, like.ndim - 1)
        if order is None or "time" in self.axes:
            return images.reshape(like.shape)
        back = np.argsort(order)
        return images.transpose(0, *(back + 1))

    def is_picture_of(self, shape: Sequence[int]) -> bool:
        """Whether samples of that shape, the samples' axis left out, are pictures of it."""
        if self.image_shape:
            return True
        return len(self.axes) == len(shape) and is_picture(self.axes, shape)


def picture_inputs(
    x: Any,
    image_shape: Shape | None = None,
    names: Sequence[str] = (),
    axes: Sequence[Axes] = (),
) -> tuple[PictureInput, ...]:
    """The inputs that are drawn of a sample: all that are pictures, or else one.

    Args:
        x: An array, or a list or dict of arrays, that can be indexed by rows.
        image_shape: Of a vector; None for a guess, () for none. From `checked_image_shape`.
        names: Of the arrays; those of a dict, and none otherwise, by default.
        axes: Likewise, of one sample of each; by default what their number says.

    Returns:
        Those that `image_shape` is about, else those that are images, else the first that
        holds numbers, else the first. Without `image_shape` a vector whose length is the
        square of 8 or more is a square gray picture.

    Raises:
        DataError: An `image_shape`, and no vectors that it could be about.
        ShapeError: It has another number of values than they have.
    """
    parts = batches.parts(x)
    names = names or (tuple(map(str, x)) if isinstance(x, Mapping) else ("",) * len(parts))
    axes = axes or tuple(default_axes(part.shape[1:]) for part in parts)
    all_ = [PictureInput(names[place], place, axes[place]) for place in range(len(parts))]
    numbers = [spec for spec in all_ if not holds_text(parts[spec.place])]
    if image_shape:
        chosen = _of_shape([parts[spec.place] for spec in numbers], image_shape)
        return tuple(
            replace(spec, image_shape=image_shape)
            for spec in numbers
            if any(parts[spec.place] is part for part in chosen)
        )
    images = [spec for spec in numbers if spec.is_picture_of(parts[spec.place].shape[1:])]
    if images:
        return tuple(images)
    first = [*numbers, *all_][0]
    part = parts[first.place]
    guess = image_shape is None and first.axes == ("feature",) and not holds_text(part)
    return (replace(first, image_shape=_square(part.shape[1]) if guess else ()),)


def side_by_side(pictures: Sequence[Pixels]) -> Pixels:
    """Pictures of the same samples beside each other, in one height, a gray line between.

    Args:
        pictures: `(sample, row, column, 3)` uint8 each.
    """
    if len(pictures) == 1:
        return pictures[0]
    height = max(picture.shape[1] for picture in pictures)
    parts = list[Pixels]()
    for picture in pictures:
        if parts:
            line = (len(picture), height, max(1, height // 28), 3)
            parts.append(np.full(line, GRAY, np.uint8))
        rows = (np.arange(height) + 0.5) * picture.shape[1] / height
        width = max(1, round(picture.shape[2] * height / picture.shape[1]))
        columns = (np.arange(width) + 0.5) * picture.shape[2] / width
        parts.append(picture[:, rows.astype(int)][:, :, columns.astype(int)])
    return np.concatenate(parts, axis=2)


def holds_text(part: Any) -> bool:
    """Whether an array holds text rather than numbers."""
    return np.dtype(part.dtype).kind in "OSU"


def _drawn_order(axes: Axes, n_axes: int) -> list[int] | None:
    """In which order axes are drawn: rows, columns and channels, or time last; None as it is."""
    if len(axes) != n_axes or not {"row", "time"} & {*axes} or {"row", "time"} <= {*axes}:
        return None
    if "time" in axes:
        return [*(axis for axis in range(n_axes) if axes[axis] != "time"), axes.index("time")]
    if not {"row", "column"} <= {*axes} or "depth" in axes:
        return None
    allowed = ("row", "column", "channel", "feature")
    return sorted(range(n_axes), key=lambda axis: allowed.index(axes[axis]))


def _of_shape(numbers: list[Any], image_shape: Shape) -> list[Any]:
    vectors = [part for part in numbers if len(part.shape) == 2]
    n_features = math.prod(image_shape)
    fitting = [part for part in vectors if part.shape[1] == n_features]
    if fitting:
        return fitting
    if not vectors:
        shapes = ", ".join(str(tuple(part.shape)) for part in numbers) or "text"
        raise DataError(
            f"image_shape {image_shape} is for samples that are vectors; x has {shapes}"
        )
    lengths = " and ".join(f"{part.shape[1]:,}" for part in vectors)
    raise ShapeError(
        f"image_shape {image_shape} holds {n_features:,} values, "
        f"but the vectors in x have {lengths}"
    )


def _square(length: int) -> Shape:
    side = math.isqrt(length)
    return (side, side) if side * side == length and side >= LEAST_SIDE else ()
