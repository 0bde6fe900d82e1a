"""Which axes of a sample are places, where a patch may lie; the rest are channels of a place."""

from actwidgets.core.attributions.points import Points

_LONG = 4  # so many times longer than wide is a sequence, as pictures of inputs take it


def n_place_axes(points: Points, index: int) -> int:
    """How many axes behind the sample axis are places; the axes behind these are channels.

    Args:
        points: The samples.
        index: Which of their arrays.

    Returns:
        For `(sample, feature)` 1. For three axes 2, an image without channels; but 1, a
        sequence `(sample, time, feature)`, where one side is more than four times the other
        or the model takes integers or text, which an embedding makes vectors of. Otherwise
        all but the last.
    """
    shape = points.arrays[index].shape[1:]
    if len(shape) != 2:
        return max(len(shape) - 1, 1)
    is_long = max(shape) > _LONG * min(shape)
    return 1 if is_long or points.others else 2


def n_divided_axes(points: Points, index: int) -> int:
    """How many axes are divided where places are hidden: those of places.

    All of them where there is but one place: then its channels are what there is to tell apart.
    """
    shape, n_places = points.arrays[index].shape[1:], n_place_axes(points, index)
    is_one_place = all(side == 1 for side in shape[:n_places])
    return len(shape) if is_one_place and any(side > 1 for side in shape) else n_places
