"""From activations to palette codes: which value gets the darkest colour, which the brightest."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actwidgets.core.arrays import finite_range
from actwidgets.core.pictures.colormaps import NAN, TOP
from actwidgets.errors import DataError

SCALINGS = ("per layer", "per map", "symmetric")
_FLOAT32_LIMIT = 1e30  # beyond it, or its inverse, float32 would overflow


@dataclass(frozen=True)
class ValueRange:
    """The values at the two ends of the colour map; `None` where each map has its own."""

    low: float | None
    high: float | None

    def __str__(self) -> str:
        """The range as a reader sees it."""
        if self.low is None or self.high is None:
            return "each map on its own scale"
        return f"colours from {self.low:.3g} to {self.high:.3g}"


def value_range(maps: NDArray[Any], scaling: str) -> ValueRange:
    """The range that one scale for all maps spans.

    Args:
        maps: `(sample, row, column, unit)`: everything the scale is to cover.
        scaling: `"per layer"`: from the smallest to the largest finite value; `"symmetric"`:
            as far below 0 as above; `"per map"`: no common range.

    Raises:
        DataError: No such scaling.
    """
    if scaling not in SCALINGS:
        raise DataError(f"no scaling {scaling!r}; there are {', '.join(SCALINGS)}")
    if scaling == "per map":
        return ValueRange(None, None)
    low, high = finite_range(maps)
    if scaling == "symmetric":
        reach = max(abs(low), abs(high))
        return ValueRange(-reach, reach)
    return ValueRange(low, high)


def colour_codes(maps: NDArray[Any], span: ValueRange) -> NDArray[np.uint8]:
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
    if not np.isfinite(maps).all():
        lost = ~np.isfinite(maps)
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
    codes = np.clip((maps - low) * steps + np.float32(0.5), 0, TOP).astype(np.uint8)
    if lost is not None:
        codes[lost] = NAN
    return codes
