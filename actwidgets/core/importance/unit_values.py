"""One value of each unit for each sample, as far as it has been read."""

import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core.arrays import Array, Floats, Integers
from actwidgets.core.profiles.sample_summary import SampleSummary


class UnitValues:
    """A unit's mean over the positions of its map, or its value where it has no map.

    Args:
        n_units: Units of the layer.
        rows: `(sample,)` rows of the data that are read, in this order.

    Attributes:
        rows: The same.
        finite: `(sample,)` bool: where no unit is NaN or infinite, but for those that
            always are.
        is_zero: `(unit,)` bool: 0 at every position of every sample.
    """

    def __init__(self, n_units: int, rows: Integers) -> None:
        self.rows = rows
        self.finite: Array = np.zeros(len(rows), bool)
        self.is_zero: Array = np.ones(n_units, bool)
        self._values: Floats = np.zeros((len(rows), n_units), np.float32)
        self._is_odd: Array = np.zeros(n_units, bool)  # finite on no sample
        self._n_read = 0

    @property
    def complete(self) -> bool:
        """Whether all rows are read."""
        return self._n_read >= len(self.rows)

    @property
    def n_finite(self) -> int:
        """Samples without NaN and infinity; 0 before all are read."""
        return int(self.finite.sum())

    def add(self, summary: SampleSummary) -> None:
        """Take the next samples."""
        mean: Array = np.asarray(summary.mean)
        if summary.n_nan is not None:  # a mean that leaves NaN out would hide it
            mean = np.where(summary.n_nan, np.nan, mean)
        end = self._n_read + len(mean)
        with np.errstate(over="ignore"):
            self._values[self._n_read : end] = mean
        # Values whose largest and whose mean are 0 are all 0.
        self.is_zero &= ((mean == 0) & (np.asarray(summary.high) == 0)).all(axis=0)
        self._n_read = end
        if self.complete:
            finite = np.isfinite(self._values)
            self._is_odd = np.logical_not(finite.any(axis=0))
            usable = np.flatnonzero(~self._is_odd)
            self.finite = np.logical_and(finite[:, usable].all(axis=1), usable.size > 0)

    def of(self, units: ArrayLike) -> Floats:
        """The values of some units on the finite samples, `(sample, unit)` float32."""
        return self._values[np.ix_(self.finite, np.asarray(units, np.intp))]

    def most_varying(self, limit: int) -> Integers:
        """At most `limit` units, those whose values have the largest variance; ascending.

        Without those that are finite on no sample. Ties go to the lower index.
        """
        units = np.flatnonzero(~self._is_odd)
        if len(units) > limit and self.n_finite:
            # A block at a time: all as float64 would take twice the memory of the values.
            blocks = np.array_split(units, len(units) // limit)
            variance = np.concatenate(
                [self.of(block).var(axis=0, dtype=np.float64) for block in blocks]
            )
            units = units[np.argsort(-variance, kind="stable")]
        return np.sort(units[:limit]).astype(np.int64)

    def notes(self, limit: int) -> tuple[str, ...]:
        """What is left out where at most `limit` units are measured, in plain sentences."""
        n_odd, n_left = int(self._is_odd.sum()), len(self.rows) - self.n_finite
        n_units = len(self._is_odd)
        told = []
        if n_units - n_odd > limit:
            told.append(f"Measured are the {limit} of {n_units:,} units that vary most.")
        if n_odd:
            told.append(f"Units left out, as they are never finite: {n_odd:,}.")
        if n_left:
            told.append(
                "Samples left out of forest and mutual information, as some unit is NaN or "
                f"infinite: {n_left:,}."
            )
        return tuple(told)

    def forget(self) -> None:
        """Let go of the values; how many samples were finite stays known."""
        self._values = self._values[:0]
