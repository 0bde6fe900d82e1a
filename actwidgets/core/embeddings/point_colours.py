"""Which colour a point has: by its class, by whether it is right, or by a unit's value."""

import colorsys
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from actwidgets.core.arrays import Array, Integers, finite_range, to_unit_range
from actwidgets.core.pictures.colormaps import NAN, NAN_COLOUR, TOP

# Ten colours that readers of any colour vision tell apart as far as ten can be, on white and
# on black: searched for the largest of the least distances in OKLab between two of them, with
# normal vision (0.19) and without one of the three kinds of cones (0.10, Machado 2009).
_TEN = "007ea9 eb6e00 02b075 bc336e 9879fa becd07 04c4ff 6e38b2 1d6e10 f98ac3"
_MOST = 250  # further classes begin anew
_GOLDEN = 0.61803398875  # of the colour circle: neighbours in number are far apart in hue
RIGHT_OR_WRONG = ("93a7ba", "e5401f")  # what is right stays quiet
_RAMP = ("a3b1bd", "e9b44c", "d1223f")  # from no activity on; none is lost on white or black
ONE = "007ea9"


@dataclass(frozen=True)
class PointColours:
    """Colours of points.

    Attributes:
        codes: `(point,)` uint8 places in the palette.
        palette: `(colour, 3)` uint8.
        rising: Whether points of higher code are to lie on top.
        low: The value of the first colour, where colours are values; else None.
        high: The value of the last one.
    """

    codes: NDArray[np.uint8]
    palette: NDArray[np.uint8]
    rising: bool = False
    low: float | None = None
    high: float | None = None


@cache
def class_palette(n_classes: int) -> NDArray[np.uint8]:
    """A colour for each class: `(class, 3)` uint8, read-only; at most 250 of them.

    Of more than ten classes hues and lightness vary; they cannot all be told apart.
    """
    if n_classes <= 10:
        colours = _rgb(*_TEN.split()[: max(n_classes, 1)])
    else:
        made = [
            colorsys.hls_to_rgb(index * _GOLDEN % 1, (0.42, 0.56, 0.68)[index % 3], 0.62)
            for index in range(min(n_classes, _MOST))
        ]
        colours = (np.array(made) * 255).round().astype(np.uint8)
    colours.flags.writeable = False
    return colours


def by_class(classes: Integers, n_classes: int) -> PointColours:
    """Colours of `(point,)` class indices."""
    palette = class_palette(n_classes)
    return PointColours((classes % len(palette)).astype(np.uint8), palette)


def by_outcome(predicted: Integers, labels: Integers) -> PointColours:
    """Two colours: right ones, and on top of them wrong ones.

    Args:
        predicted: `(point,)` class indices.
        labels: `(point,)` class indices.
    """
    return PointColours((predicted != labels).astype(np.uint8), _rgb(*RIGHT_OR_WRONG), True)


def by_value(values: Array) -> PointColours:
    """A colour for each value, the largest on top.

    Args:
        values: `(point,)` real; NaN and infinity have a colour of their own, on top of all.
    """
    low, high = finite_range(values)
    shares = to_unit_range(values, low=low, high=high)
    lost = np.isnan(shares)
    codes = np.where(lost, NAN, np.nan_to_num(shares) * TOP + 0.5).astype(np.uint8)
    palette = np.zeros((NAN + 1, 3), np.uint8)
    places = np.linspace(0, len(_RAMP) - 1, TOP + 1)
    steps = _rgb(*_RAMP)
    palette[: TOP + 1] = np.stack(
        [np.interp(places, range(len(steps)), channel) for channel in steps.T], axis=1
    ).round()
    palette[NAN] = NAN_COLOUR
    return PointColours(codes, palette, True, low, high)


def in_one_colour(n_points: int) -> PointColours:
    """All points alike."""
    return PointColours(np.zeros(n_points, np.uint8), _rgb(ONE))


def most_frequent(classes: Integers, n_classes: int, limit: int) -> list[int]:
    """At most `limit` classes, those of most points, in the order of their index."""
    counts = np.bincount(classes, minlength=n_classes)
    return sorted(int(each) for each in np.argsort(-counts, kind="stable")[:limit])


def _rgb(*colours: str) -> NDArray[np.uint8]:
    return np.array([tuple(bytes.fromhex(each)) for each in colours], np.uint8)
