"""Unusual units: dead, always active, or selective for one class; and the evidence."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from actwidgets.core.arrays import Doubles, Integers

SELECTIVE_FROM = 0.5  # the favoured class drives the unit three times as much as the others
Kind = Literal["dead", "always active", "selective"]


@dataclass(frozen=True)
class UnitFinding:
    """Why a unit stands out.

    Attributes:
        unit: Index of the unit.
        kind: `"dead"`: above the threshold at no position of any sample. `"always active"`:
            at every position of every one. `"selective"`: driven by one class far more than
            by the others.
        n_samples: Samples that this rests on.
        bound: Of a dead unit, the firing rate that it may still have with a chance of 5 %,
            3/N (Hanley and Lippman-Hand 1983, "If nothing goes wrong, is everything all
            right?"); of one always active, one minus the rate that it may have. Else NaN.
        class_index: The class that a selective unit favours, or None.
        selectivity: `(a - b) / (a + b)` for the mean activity a of the favoured class and b
            of the others (Morcos et al. 2018, "On the importance of single directions for
            generalization"); NaN where activity is negative.
    """

    unit: int
    kind: Kind
    n_samples: int
    bound: float
    class_index: int | None
    selectivity: float


def find_units(
    fired: Integers,
    counts: Integers,
    mean: Doubles,
    threshold: float,
    lowest: Doubles | None = None,
) -> tuple[UnitFinding, ...]:
    """The unusual units of a layer: the dead, then the always active, then the selective.

    Args:
        fired: `(class, unit)` samples on which the unit was above the threshold.
        counts: `(class,)` samples.
        mean: `(class, unit)` mean activity; NaN for a class without samples.
        threshold: Above which a unit fires.
        lowest: `(class, unit)` smallest value at any position, NaN without samples. None of a
            layer without positions, where `fired` tells it all. A map fires on a sample where
            some position does, which tells nothing of the others.

    Returns:
        Selective units come the most selective first.
    """
    n_samples = int(counts.sum())
    if not n_samples:
        return ()
    total = fired.sum(axis=0)
    bound = min(3 / n_samples, 1.0)
    index, favourite = selectivity(mean)
    always = total == n_samples  # and no value is NaN, which would not fire
    if lowest is not None:
        always &= (np.nan_to_num(lowest, nan=np.inf) > np.float32(threshold)).all(axis=0)
    dead, always_active = np.flatnonzero(total == 0), np.flatnonzero(always)
    selective = np.flatnonzero((index >= SELECTIVE_FROM) & (total > 0))
    selective = selective[np.argsort(-index[selective], kind="stable")]
    nan = float("nan")
    return (
        *(UnitFinding(int(u), "dead", n_samples, bound, None, nan) for u in dead),
        *(UnitFinding(int(u), "always active", n_samples, bound, None, float(index[u]))
          for u in always_active),
        *(UnitFinding(int(u), "selective", n_samples, nan, int(favourite[u]), float(index[u]))
          for u in selective),
    )  # fmt: skip


def selectivity(mean: Doubles) -> tuple[Doubles, Integers]:
    """The selectivity index of each unit, and the class it favours.

    Args:
        mean: `(class, unit)`; NaN for a class without samples, which is left out.

    Returns:
        `(unit,)` float64 in 0..1, NaN where a mean is negative, all are 0, or fewer than two
        classes have samples; and `(unit,)` int64.
    """
    present = np.isfinite(mean).any(axis=1)
    rows = np.flatnonzero(present)
    if len(rows) < 2:
        return np.full(mean.shape[1], np.nan), np.zeros(mean.shape[1], np.int64)
    known = mean[rows]
    best = np.argmax(np.nan_to_num(known, nan=-np.inf), axis=0)
    high = np.take_along_axis(known, best[None], axis=0)[0]
    rest = (known.sum(axis=0) - high) / (len(rows) - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        index = np.where((known < 0).any(axis=0), np.nan, (high - rest) / (high + rest))
    return index, rows[best].astype(np.int64)
