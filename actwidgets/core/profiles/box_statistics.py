"""What a box plot shows of one unit, by class."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core.arrays import Array, Doubles, Integers
from actwidgets.core.profiles.unit_sums import UnitSums
from actwidgets.errors import DataError

WHISKERS = 1.5  # times the interquartile range: Tukey 1977, "Exploratory data analysis"
OUTLIERS = 40  # of each class, those farthest from the box


@dataclass(frozen=True)
class BoxStatistics:
    """One unit's values by class. NaN for a class without.

    Attributes:
        counts: `(class,)` values that are not NaN.
        fives: `(class, 5)` float64: lower whisker, quartile, median, quartile, upper whisker.
            A whisker ends at the last value within 1.5 interquartile ranges of the box.
        low: `(class,)` the smallest value.
        high: `(class,)` the largest.
        outliers: For each class its values beyond the whiskers, the farthest 40 of them.
        n_outliers: `(class,)` how many there are.
        error: How far a quartile may be off: 0 where it comes of the values themselves.
    """

    counts: Integers
    fives: Doubles
    low: Doubles
    high: Doubles
    outliers: tuple[Array, ...]
    n_outliers: Integers
    error: float = 0.0


def box_statistics(values: ArrayLike, labels: Integers, n_classes: int) -> BoxStatistics:
    """Exact box statistics; quartiles are those of `numpy.percentile`.

    Infinite values count as any other: a quartile may be infinite, or NaN where it lies
    between two infinities.

    Args:
        values: `(sample,)`; NaN is left out.
        labels: `(sample,)` class indices.
        n_classes: Number of classes.
    """
    values = np.asarray(values, np.float64)
    fives, counts = np.full((n_classes, 5), np.nan), np.zeros(n_classes, np.int64)
    low, high = np.full(n_classes, np.nan), np.full(n_classes, np.nan)
    n_outliers, outliers = np.zeros(n_classes, np.int64), []
    for index in range(n_classes):
        mine = values[labels == index]
        mine = np.sort(mine[~np.isnan(mine)])
        counts[index] = len(mine)
        beyond = mine[:0]
        if len(mine):
            with np.errstate(invalid="ignore"):  # infinite values
                first, middle, third = np.percentile(mine, [25, 50, 75])
                reach = WHISKERS * (third - first)
                inside = mine[(mine >= first - reach) & (mine <= third + reach)]
                ends = (inside[0], inside[-1]) if len(inside) else (first, third)
                fives[index] = ends[0], first, middle, third, ends[1]
                low[index], high[index] = mine[0], mine[-1]
                beyond = mine[(mine < ends[0]) | (mine > ends[1])]
                n_outliers[index] = len(beyond)
                far = np.argsort(-np.abs(beyond - middle), kind="stable")[:OUTLIERS]
                beyond = beyond[far]
        outliers.append(beyond)
    return BoxStatistics(counts, fives, low, high, tuple(outliers), n_outliers)


def sketched_box_statistics(sums: UnitSums, unit: int) -> BoxStatistics:
    """Box statistics from the histogram, where the values themselves are not kept.

    Outliers are not told apart. A quartile is the value at its rank, rounded down, as that of
    `numpy.percentile(method="lower")`; `error` bounds what it may be off, which is half a bin
    or so, a sixteenth of the value.

    Raises:
        DataError: No histogram was gathered.
    """
    if sums.bins is None or sums.high is None:
        raise DataError("box statistics need the values or a histogram; neither was kept")
    bins = type(sums.bins)(sums.bins.first, sums.bins.counts[:, unit : unit + 1])
    found = [bins.quantile(share) for share in (0, 0.25, 0.5, 0.75, 1)]
    estimates = np.stack([each[0][:, 0] for each in found], axis=1)
    errors = [np.fmax(est - low, high - est)[:, 0] for est, low, high in found[1:4]]
    # The largest value is known, and without maps the smallest: no estimate lies beyond.
    high = sums.high[:, unit]
    estimates = np.fmin(estimates, high[:, None])
    low = estimates[:, 0]
    if sums.n_positions == 1 and sums.low is not None:
        low = sums.low[:, unit]
        estimates = np.fmax(estimates, low[:, None])
    reach = WHISKERS * (estimates[:, 3] - estimates[:, 1])
    fives = estimates.copy()
    fives[:, 0] = np.fmax(low, estimates[:, 1] - reach)
    fives[:, 4] = np.fmin(high, estimates[:, 3] + reach)
    n_classes = len(fives)
    error = np.array(errors)
    return BoxStatistics(
        counts=bins.counts.sum(axis=(1, 2)),
        fives=fives,
        low=low,
        high=high,
        outliers=(np.zeros(0),) * n_classes,
        n_outliers=np.zeros(n_classes, np.int64),
        error=float(np.nanmax(error)) if np.isfinite(error).any() else 0.0,
    )
