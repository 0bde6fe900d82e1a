"""Colormaps as palettes of a PNG, and values as palette codes.

A palette has one entry per code. Codes 0 to `TOP` are values, the others have a meaning of
their own that holds in every colormap.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actwidgets.core.arrays import finite_range
from actwidgets.errors import DataError

TOP = 249  # code of the largest value
NAN = 250  # not a number
FRAME = 251  # around what is selected
GAP = 255  # nothing: transparent

NAN_COLOR = (214, 39, 160)  # in none of the maps, so that NaN is seen
FRAME_COLOR = (255, 127, 14)

# Colors at equal steps from low to high. Viridis and inferno: S. van der Walt and
# N. Smith 2015 (CC0). Red-blue: C. Brewer's RdBu, reversed.
_STEPS = {
    "viridis": "440154 472c7a 3b518b 2c718e 21908d 27ad81 5cc863 aadc32 fde725",
    "inferno": "000004 1f0c48 550f6d 88226a ba3655 e35933 f98c0a f9c932 fcffa4",
    "gray": "000000 ffffff",
    "RdBu_r": "053061 2166ac 4393c3 92c5de d1e5f0 f7f7f7 fddbc7 f4a582 d6604d b2182b 67001f",
}
NAMES = tuple(_STEPS)
_STEPS["likelihood"] = "f4f1ea 8ccac4 1f7f78"  # black figures on the low end, white on the high
_STEPS["nearness"] = "3fa7a0 f4f1ea"  # of matrices: black figures can be read on both ends
_STEPS["time"] = "3fa7a0 d0bd62 e08a2e"  # from early to late; on light and on dark


@cache
def palette(name: str) -> NDArray[np.uint8]:
    """The colors of a map.

    Returns:
        `(256, 3)` uint8, read-only: RGB by code.

    Raises:
        DataError: No colormap of that name.
    """
    if name not in _STEPS:
        raise DataError(f"no colormap {name!r}; there are {', '.join(NAMES)}")
    steps = np.array([tuple(bytes.fromhex(step)) for step in _STEPS[name].split()], float)
    places = np.linspace(0, len(steps) - 1, TOP + 1)
    ramp = np.stack([np.interp(places, range(len(steps)), channel) for channel in steps.T], axis=1)
    colors = np.zeros((256, 3), np.uint8)
    colors[: TOP + 1] = ramp.round()
    colors[NAN] = NAN_COLOR
    colors[FRAME] = FRAME_COLOR
    colors.flags.writeable = False
    return colors


def css_color(rgb: tuple[int, int, int]) -> str:
    """The color as a style sheet writes it."""
    return "#{:02x}{:02x}{:02x}".format(*rgb)


NORMALIZATIONS = ("per layer", "per map", "symmetric")
_FLOAT32_LIMIT = 1e30  # beyond it, or its inverse, float32 would overflow


@dataclass(frozen=True)
class ValueRange:
    """The values at the two ends of the colormap; `None` where each map has its own."""

    low: float | None
    high: float | None

    def __str__(self) -> str:
        """The range as a reader sees it."""
        if self.low is None or self.high is None:
            return "each map on its own scale"
        return f"colors from {self.low:.3g} to {self.high:.3g}"


def value_range(maps: NDArray[Any], normalize: str) -> ValueRange:
    """The range that one scale for all maps spans.

    Args:
        maps: `(sample, row, column, unit)`: everything the scale is to cover.
        normalize: `"per layer"`: from the smallest to the largest finite value; `"symmetric"`:
            as far below 0 as above; `"per map"`: no common range.

    Raises:
        DataError: No such normalization.
    """
    if normalize not in NORMALIZATIONS:
        raise DataError(f"no normalization {normalize!r}; there are {', '.join(NORMALIZATIONS)}")
    if normalize == "per map":
        return ValueRange(None, None)
    low, high = finite_range(maps)
    if normalize == "symmetric":
        reach = max(abs(low), abs(high))
        return ValueRange(-reach, reach)
    return ValueRange(low, high)


def color_codes(maps: NDArray[Any], span: ValueRange) -> NDArray[np.uint8]:
    """Palette codes of all values.

    Args:
        maps: `(sample, row, column, unit)` float.
        span: From `value_range`; without limits every map runs from its own smallest to its
            own largest finite value.

    Returns:
        uint8 of the same shape: 0 to `TOP`, and `NAN` where the value is not finite. Where
        the range is empty, as in a map that is the same everywhere, the code is 0.
    """
    maps = np.asarray(maps, dtype=np.float32)
    low: Any = span.low
    high: Any = span.high
    lost = None
    finite = np.isfinite(maps)
    if not finite.all():
        lost = ~finite
        maps = np.where(lost, np.nan, maps)
    if low is None:
        low = np.fmin.reduce(maps, axis=(1, 2), keepdims=True, initial=np.nan)
        high = np.fmax.reduce(maps, axis=(1, 2), keepdims=True, initial=np.nan)
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    reach = high - low
    steps = np.divide(TOP, reach, out=np.zeros_like(reach), where=reach > 0)
    if lost is not None:
        maps, low = np.where(lost, 0, maps), np.nan_to_num(low)
    if max(steps.max(initial=0), np.fmax.reduce(reach, axis=None, initial=0)) < _FLOAT32_LIMIT:
        low, steps = low.astype(np.float32), steps.astype(np.float32)
    else:
        maps = maps.astype(np.float64)
    scaled = (maps - low) * steps
    scaled += np.float32(0.5)
    codes = np.minimum(np.maximum(scaled, 0, out=scaled), TOP, out=scaled).astype(np.uint8)
    if lost is not None:
        codes[lost] = NAN
    return codes
