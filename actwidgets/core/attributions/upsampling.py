"""Bring maps to another size by linear interpolation along each of their position axes."""

from collections.abc import Sequence

import numpy as np

from actwidgets.core.arrays import Array
from actwidgets.errors import ShapeError


def upsampled(maps: Array, sizes: Sequence[int]) -> Array:
    """Maps at another size, as `tf.image.resize` makes them (bilinear for two axes).

    Args:
        maps: `(sample, *position, …)` floating; axes behind the positions stay as they are.
        sizes: The new length of each position axis.

    Returns:
        The same axes, of the same dtype. NaN spreads to what is made of it.

    Raises:
        ShapeError: More sizes than axes, an axis of maps without a place, a size below one.

    Cost: one matrix product per axis; the map is never larger than the result.
    """
    if maps.ndim <= len(sizes):
        raise ShapeError(f"maps of shape {maps.shape} have no {len(sizes)} position axes")
    for axis, size in enumerate(sizes, start=1):
        if maps.shape[axis] != size:
            weights = interpolation(maps.shape[axis], size).astype(maps.dtype)
            maps = np.moveaxis(np.moveaxis(maps, axis, -1) @ weights.T, -1, axis)
    return maps


def interpolation(n_given: int, n_wanted: int) -> Array:
    """The share of each given place in each wanted one, `(wanted, given)` float64.

    Places are the middles of equal parts of the same stretch; what lies beyond the first or the
    last middle is that place itself. Rows sum to one.

    Raises:
        ShapeError: Fewer than one place.
    """
    if n_given < 1 or n_wanted < 1:
        raise ShapeError(f"cannot bring {n_given} places to {n_wanted}: each must be at least 1")
    middles = (np.arange(n_wanted) + 0.5) * (n_given / n_wanted) - 0.5
    middles = np.clip(middles, 0, n_given - 1)
    return np.maximum(0, 1 - np.abs(middles[:, None] - np.arange(n_given)))
