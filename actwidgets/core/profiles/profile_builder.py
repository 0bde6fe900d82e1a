"""Gather class profiles batch by batch, in place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from actwidgets.core.arrays import Bools, Integers
from actwidgets.core.labels import label_pairs
from actwidgets.core.profiles.class_profiles import ClassProfiles
from actwidgets.core.profiles.sample_summary import SampleSummary
from actwidgets.core.profiles.unit_statistics import GATHERED
from actwidgets.core.profiles.unit_sums import Groups, Reduce, UnitSums
from actwidgets.errors import DataError, ShapeError

# Histograms take about a kilobyte per class and unit: kept unasked for layers up to this size.
HISTOGRAMS_UP_TO = 2**16


@dataclass(frozen=True)
class Wanted:
    """What to gather.

    Attributes:
        threshold: A unit fires when its value is above it.
        reduce: For maps, `"any"`: some position fires; `"mean"`: the share that does.
        statistics: Names out of `GATHERED`. None: all of them, histograms only of layers
            with up to 2^16 pairs of a class and a unit.

    Raises:
        DataError: An unknown reduction or statistic, or a threshold that is NaN.
    """

    threshold: float = 0.0
    reduce: Reduce = "any"
    statistics: tuple[str, ...] | None = None

    def __post_init__(self) -> None:  # noqa: D105
        if self.reduce not in ("any", "mean"):
            raise DataError(f"reduce must be 'any' or 'mean'; got {self.reduce!r}")
        if np.isnan(self.threshold):
            raise DataError("threshold must be a number; got NaN")
        unknown = [each for each in self.statistics or () if each not in GATHERED]
        if unknown:
            raise DataError(f"no statistic {unknown[0]!r}; there are {', '.join(GATHERED)}")

    @property
    def positions_above(self) -> float | None:
        """The threshold where positions above it are to be counted, else None."""
        return self.threshold if self.reduce == "mean" else None

    def wants(self, *statistics: str) -> bool:
        """Whether any of these is to be gathered."""
        return self.statistics is None or any(each in self.statistics for each in statistics)


def state_bytes(n_classes: int, n_units: int) -> int:
    """What the sums of a layer take about, everything gathered that is by default."""
    pairs = n_classes * n_units
    return pairs * (40 + (900 if pairs <= HISTOGRAMS_UP_TO else 0))


class ProfileBuilder:
    """Profiles in the making; `add` changes them, `profiles` gives what stands so far.

    Args:
        class_names: One per class.
        wanted: What to gather.
    """

    def __init__(self, class_names: Sequence[str], wanted: Wanted = Wanted()) -> None:
        self.class_names, self._wanted = tuple(class_names), wanted
        self._counts = np.zeros(len(self.class_names), np.int64)
        self._sums: dict[str, UnitSums] = {}
        self._n_samples = 0

    @property
    def n_samples(self) -> int:
        """Samples added so far."""
        return self._n_samples

    def add(self, summaries: Mapping[str, SampleSummary], labels: Integers | Bools) -> None:
        """Add one batch: all of it, or none where it does not fit.

        Args:
            summaries: By layer, the same layers each time.
            labels: `(sample,)` class indices, or `(sample, class)` bool: then a sample counts in
                every class that it has, and one without in none.

        Raises:
            ShapeError: A layer has another number of units than before; or other positions,
                where shares of them are counted.
        """
        if not len(labels):
            return
        if not self._sums:
            self._sums = {name: self._empty(each) for name, each in summaries.items()}
        for name, summary in summaries.items():
            self._check(name, summary)
        self._n_samples += len(labels)
        if labels.ndim == 2:
            rows, labels = label_pairs(labels)
            if not len(rows):
                return
            summaries = {name: each.take(rows) for name, each in summaries.items()}
        groups = Groups.of(np.asarray(labels, np.int64))
        self._counts[groups.present] += groups.sizes
        for name, summary in summaries.items():
            self._sums[name].add(
                summary, groups, threshold=self._wanted.threshold, reduce=self._wanted.reduce
            )

    def profiles(self, *, complete: bool = True) -> ClassProfiles:
        """What has been gathered so far: a copy, unless it is complete and nothing follows."""
        return ClassProfiles(
            counts=self._counts.copy(),
            threshold=float(self._wanted.threshold),
            reduce=self._wanted.reduce,
            sums=self._sums
            if complete
            else {name: each.copy() for name, each in self._sums.items()},
            class_names=self.class_names,
            complete=complete,
        )

    def _empty(self, summary: SampleSummary) -> UnitSums:
        n_classes, n_units = len(self.class_names), summary.high.shape[1]
        named = self._wanted.statistics is not None
        return UnitSums.empty(
            n_classes,
            n_units,
            summary.n_positions,
            moments=self._wanted.wants("mean", "std"),
            extremes=self._wanted.wants("min", "max"),
            bins=self._wanted.wants("histogram")
            and (named or n_classes * n_units <= HISTOGRAMS_UP_TO),
        )

    def _check(self, name: str, summary: SampleSummary) -> None:
        sums = self._sums[name]
        n_units, before = summary.high.shape[1], sums.fired.shape[1]
        if n_units != before:
            raise ShapeError(f"layer {name!r} has {n_units} units in this batch, {before} before")
        if self._wanted.reduce == "mean" and summary.n_positions != sums.n_positions:
            raise ShapeError(
                f"layer {name!r} has {summary.n_positions} positions in this batch, "
                f"{sums.n_positions} before: shares of positions do not add up"
            )
