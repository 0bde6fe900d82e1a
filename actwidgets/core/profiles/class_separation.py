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
        At least 0; `expected_by_chance` of a layer that does not part the classes at all. It
        is infinite where no class varies but the classes differ. NaN with fewer than two
        classes, where nothing varies, and where no class has two samples: how far samples of
        one class scatter is then not known.

    Reference: Fisher 1936, "The use of multiple measurements in taxonomic problems";
    Fukunaga 1990, "Introduction to statistical pattern recognition", section 10.2.
    """
    means: Doubles = np.asarray(mean, np.float64)
    weights: Doubles = np.asarray(n_samples, np.float64)
    if np.count_nonzero(weights.any(axis=1)) < 2 or weights.max(initial=0) < 2:
        return float("nan")
    means = np.where(np.isnan(means), 0, means)
    spread: Doubles = np.nan_to_num(np.asarray(std, np.float64))
    with np.errstate(invalid="ignore", divide="ignore"):  # infinite activations
        middle = (weights * means).sum(axis=0) / np.maximum(weights.sum(axis=0), 1)
        between = float((weights * (means - middle) ** 2).sum())
        within = float((weights * spread**2).sum())
        return float(np.float64(between) / np.float64(within))


def expected_by_chance(counts: ArrayLike) -> float:
    """What `fisher_ratio` is, about, of classes that do not differ at all.

    With C classes and N samples in all, scatter between the means has C - 1 degrees of freedom
    and scatter within the classes N - C, so that the ratio is about (C - 1) / (N - C): 1.0
    where classes have two samples each.

    Args:
        counts: `(class,)` samples of each class; classes without samples do not count.

    Returns:
        At least 0; infinite where no class has two samples, NaN with fewer than two classes.

    Reference: Fukunaga 1990, "Introduction to statistical pattern recognition", section 10.2.
    """
    sizes: Doubles = np.asarray(counts, np.float64)
    n_classes = np.count_nonzero(sizes)
    if n_classes < 2:
        return float("nan")
    free = float(sizes.sum()) - n_classes
    return (n_classes - 1) / free if free else float("inf")
