"""What is wrong with samples of a shape that a model does not take, and what would be right."""

import math
from collections.abc import Sequence

Shape = Sequence[int | None]


def told_of_shape(name: str, wanted: Shape, given: Sequence[int]) -> str:
    """One sentence, with what turns the samples into what is wanted where that can be guessed.

    Args:
        name: What the samples are called.
        wanted: Shape of one sample; None where any length goes.
        given: Shape of one sample that was given.
    """
    sentence = (
        f"{name} must hold samples of shape {_told(wanted)}; got samples of shape {_told(given)}"
    )
    guess = _guess(name, tuple(wanted), tuple(given))
    return f"{sentence}: {guess}" if guess else sentence


def _guess(name: str, wanted: tuple[int | None, ...], given: tuple[int, ...]) -> str:
    if wanted[-1:] == (1,) and fits(wanted, (*given, 1)):
        return f"the last axis is missing, which {name}[..., None] adds"
    if len(given) == len(wanted) - 1 and fits(wanted[1:], given):
        return f"if this is one sample alone, give {name}[None]"
    if given[-1:] == (1,) and fits(wanted, given[:-1]):
        return f"there is an axis too many, which {name}[..., 0] takes away"
    if len(given) == len(wanted) == 3:
        rows, columns, channels = given
        if fits(wanted, (columns, rows, channels)):
            return f"rows and columns are swapped, which np.swapaxes({name}, 1, 2) mends"
        if fits(wanted, (columns, channels, rows)):
            return f"the channels come first, which np.moveaxis({name}, 1, -1) mends"
    known = [axis for axis in wanted if axis is not None]
    if len(known) == len(wanted) != len(given) > 0 and math.prod(given) == math.prod(known):
        lengths = ", ".join(map(str, wanted))
        return f"these are as many numbers, which {name}.reshape(-1, {lengths}) puts in shape"
    return ""


def fits(wanted: tuple[int | None, ...], given: tuple[int, ...]) -> bool:
    """Whether lengths are those wanted, where None goes with any."""
    return len(wanted) == len(given) and all(
        axis in (None, length) for axis, length in zip(wanted, given, strict=True)
    )


def _told(shape: Shape) -> str:
    lengths = ["any" if axis is None else str(axis) for axis in shape]
    return f"({lengths[0]},)" if len(lengths) == 1 else f"({', '.join(lengths)})"
