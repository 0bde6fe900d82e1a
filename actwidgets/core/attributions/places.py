"""Which axes of a sample are places, where a patch may lie; the rest are channels of a place."""

from actwidgets.core.attributions.points import Points
from actwidgets.core.input_axes import CHANNELS, default_axes


def place_axes(points: Points, index: int) -> tuple[int, ...]:
    """The axes of an array along which there are places, in their order.

    They are what the model's layers, or the caller, take them for, and never guessed by their
    lengths. Where nobody tells, an array `(sample, row, column)` is an image without channels,
    and the last of other axes is one of channels; so it is of what an embedding makes.

    Args:
        points: The samples.
        index: Which of their arrays.

    Returns:
        `(1,)` for `(sample, feature)`: each of them is a place.
    """
    n_axes = points.arrays[index].ndim - 1
    axes = axes_of_points(points, index)
    found = tuple(place for place, each in enumerate(axes, start=1) if each not in CHANNELS)
    return found or tuple(range(1, max(n_axes, 2)))


def axes_of_points(points: Points, index: int) -> tuple[str, ...]:
    """The names of the axes of an array; () where they have none."""
    n_axes, name = points.arrays[index].ndim - 1, points.names[index]
    axes = points.axes.get(name)
    if axes is not None and len(axes) == n_axes:
        return tuple(axes)
    if n_axes == 2 and points.others:
        return ("time", "feature")  # of token ids
    return default_axes(points.arrays[index].shape[1:])


def has_no_places(points: Points, index: int) -> bool:
    """Whether an array holds features `(sample, feature)`, which are no places of one thing."""
    return axes_of_points(points, index) == ("feature",)


def divided_axes(points: Points, index: int) -> tuple[int, ...]:
    """The axes that are divided where places are hidden: those of places.

    All of them where there is but one place: then its channels are what there is to tell apart.
    """
    shape, places = points.arrays[index].shape, place_axes(points, index)
    is_one_place = all(shape[axis] == 1 for axis in places)
    if is_one_place and any(side > 1 for side in shape[1:]):
        return tuple(range(1, len(shape)))
    return places
