"""Turn and shift images."""

import math

import numpy as np
from numpy.typing import NDArray

from actwidgets.core.arrays import Doubles


def moved(images: Doubles, rotation: float, shift: tuple[float, float]) -> Doubles:
    """Images turned about their middle, then shifted; the pixels at the edge are repeated.

    Bilinear. SciPy's way would take NaN along to neighbours whose share of it is nothing, in
    space and to the next sample.

    Args:
        images: `(sample, row, column, channel)` float64. Not modified.
        rotation: Counter-clockwise, in degrees.
        shift: Down and to the right, in pixels.

    Returns:
        The same shape; the images themselves where nothing moves.
    """
    if not (rotation or any(shift)):
        return images
    angle = math.radians(rotation)
    rows, columns = (np.arange(length) - (length - 1) / 2 for length in images.shape[1:3])
    down, across = (rows - shift[0])[:, None], columns - shift[1]
    # Where each pixel comes from: back by the shift, then turned back about the middle.
    from_row = math.cos(angle) * down + math.sin(angle) * across
    from_column = math.cos(angle) * across - math.sin(angle) * down
    upper, lower, share_lower = _between(from_row, len(rows))
    left, right, share_right = _between(from_column, len(columns))
    found = np.zeros_like(images)
    for row, share_down in ((upper, 1 - share_lower), (lower, share_lower)):
        for column, share_across in ((left, 1 - share_right), (right, share_right)):
            share = (share_down * share_across)[None, :, :, None]
            if share.any():
                with np.errstate(invalid="ignore"):  # infinity times nothing
                    found += np.where(share > 0, images[:, row, column] * share, 0)
    return found


def _between(places: Doubles, length: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Doubles]:
    """The pixels before and after places told from the middle, and the share of the latter."""
    # Rounded, as the cosine of a quarter turn is not quite nothing.
    places = np.clip(np.round(places + (length - 1) / 2, 9), 0, length - 1)
    before = np.floor(places).astype(np.intp)
    return before, np.minimum(before + 1, length - 1), places - before
