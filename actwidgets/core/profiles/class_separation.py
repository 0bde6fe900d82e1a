"""How well a layer parts the classes: one number."""

import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core.arrays import Doubles


def fisher_ratio(mean: ArrayLike, std: ArrayLike, n_samples: ArrayLike) -> float:
    """Scatter between the classes over scatter within them, `trace(S_B) / trace(S_W)`.

    Args:
        mean: `(class, unit)`; NaN where there is no sample, which is left out.
        std: `(class, unit)`, ddof 0.
        n_samples: `(class, unit)` samples behind each mean.

    Returns:
        At least 0. With C classes of n samples that a layer does not part at all it is about
        (C - 1) / (C n - C); it is infinite where no class varies but the classes differ, and
        NaN with fewer than two classes or where nothing varies.

    Reference: Fisher 1936, "The use of multiple measurements in taxonomic problems";
    Fukunaga 1990, "Introduction to statistical pattern recognition", section 10.2.
    """
    means: Doubles = np.asarray(mean, np.float64)
    weights: Doubles = np.asarray(n_samples, np.float64)
    if np.count_nonzero(weights.any(axis=1)) < 2:
        return float("nan")
    means = np.where(np.isnan(means), 0, means)
    spread: Doubles = np.nan_to_num(np.asarray(std, np.float64))
    with np.errstate(invalid="ignore", divide="ignore"):  # infinite activations
        middle = (weights * means).sum(axis=0) / np.maximum(weights.sum(axis=0), 1)
        between = float((weights * (means - middle) ** 2).sum())
        within = float((weights * spread**2).sum())
        return float(np.float64(between) / np.float64(within))
