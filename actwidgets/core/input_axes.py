"""What the axes of an input are: rows and columns of a picture, time and features, or others."""

from collections.abc import Mapping, Sequence
from typing import Any

from actwidgets.errors import DataError, ShapeError

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
    return {str(name): _checked(each) for name, each in axes.items()}


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
    is_names = isinstance(axes, list | tuple) and all(isinstance(each, str) for each in axes)
    if not is_names or len({*axes}) != len(axes) or not {*axes} <= {*NAMES}:
        raise DataError(
            f"axes must be names of {', '.join(NAMES)}, each at most once, such as "
            f'("time", "feature"), or a dict of these by input; got {axes!r}'
        )
    return tuple(axes)
