"""How alike two maps look."""

import numpy as np

from actwidgets.core.arrays import Array

WINDOW = 1.5  # standard deviation in places
_LUMINANCE, _CONTRAST = 0.01**2, 0.03**2  # of values in 0..1


def map_similarity(one: Array, other: Array, n_place_axes: int) -> Array:
    """Structural similarity of the sizes of two maps, each scaled to its own range.

    Args:
        one: `(sample, *place[, channel])`; absolute values are summed over channels.
        other: Likewise, of the same shape.
        n_place_axes: How many axes behind the sample axis are places.

    Returns:
        `(sample,)` float64, at most 1; 1 for equal maps. 0 where one of them is the same at
        all places and the other is not; NaN where both are and differ, or where one holds
        NaN. Of vectors, whose neighbours mean nothing, one window spans all.

    Reference: Wang et al. 2004, with a Gaussian window; so compared by Adebayo et al. 2018.
    """
    axes = tuple(range(1, 1 + n_place_axes))
    a, b = _scaled(one, axes), _scaled(other, axes)
    mean_a, mean_b = _local(a, axes), _local(b, axes)
    variances = _local(a * a, axes) - mean_a**2 + _local(b * b, axes) - mean_b**2
    covariance = _local(a * b, axes) - mean_a * mean_b
    upper = (2 * mean_a * mean_b + _LUMINANCE) * (2 * covariance + _CONTRAST)
    lower = (mean_a**2 + mean_b**2 + _LUMINANCE) * (variances + _CONTRAST)
    found = (upper / lower).mean(axis=axes)
    is_flat = np.ptp(a, axis=axes) == 0, np.ptp(b, axis=axes) == 0
    found[is_flat[0] != is_flat[1]] = 0
    found[is_flat[0] & is_flat[1]] = np.nan
    every = tuple(range(1, one.ndim))
    found[(one == other).all(axis=every)] = 1
    found[np.isnan(one).any(axis=every) | np.isnan(other).any(axis=every)] = np.nan
    return found


def _scaled(values: Array, axes: tuple[int, ...]) -> Array:
    """`(sample, *place)` sizes in 0..1; 0 where all are equal, or some are NaN."""
    channels = tuple(range(1 + len(axes), values.ndim))
    sizes = np.abs(np.nan_to_num(values)).sum(axis=channels, dtype=np.float64)
    low, span = sizes.min(axis=axes, keepdims=True), np.ptp(sizes, axis=axes, keepdims=True)
    scaled: Array = (sizes - low) / np.where(span > 0, span, 1)
    return scaled


def _local(values: Array, axes: tuple[int, ...]) -> Array:
    """Means over a window about each place."""
    from scipy.ndimage import gaussian_filter  # late: a session does without

    if values.ndim == 2:
        return values.mean(axis=1, keepdims=True)
    found: Array = gaussian_filter(values, [0.0, *[WINDOW] * len(axes)], mode="reflect")
    return found
