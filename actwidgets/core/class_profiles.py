"""What each unit does for each class, gathered batch by batch and merged exactly."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actwidgets.core import similarity as metrics
from actwidgets.core.unit_moments import PerUnit, Reduce, UnitMoments, batch_moments
from actwidgets.errors import DataError, LayerError

STATISTICS = ("firing_rate", "mean", "max")


@dataclass(frozen=True)
class ClassProfiles:
    """Statistics of every unit of some layers, by class.

    `firing_rate`, `mean`, `std`, `min` and `max` map a layer's name to `(class, unit)`
    float64. A class without samples is NaN there, and 0 in `counts`.

    Attributes:
        counts: `(class,)` int64, samples of each class.
        threshold: A unit fires on a sample when its value is above it.
        reduce: For maps, `"any"`: the share of samples on which some position fires;
            `"mean"`: the share of positions.
        moments: The sums behind the statistics, by layer.
        class_names: One per class.
    """

    counts: NDArray[np.int64]
    threshold: float
    reduce: Reduce
    moments: Mapping[str, UnitMoments] = field(repr=False)
    class_names: tuple[str, ...]

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers, in the model's order."""
        return tuple(self.moments)

    @property
    def n_samples(self) -> int:
        """Samples of all classes together."""
        return int(self.counts.sum())

    @property
    def empty_classes(self) -> tuple[str, ...]:
        """Names of the classes that have no samples, whose statistics are NaN."""
        return tuple(self.class_names[index] for index in np.flatnonzero(self.counts == 0))

    @cached_property
    def firing_rate(self) -> Mapping[str, PerUnit]:
        """Share of the class's samples (or positions) above the threshold, 0..1."""
        return {name: self._firing_rate(moments) for name, moments in self.moments.items()}

    @cached_property
    def mean(self) -> Mapping[str, PerUnit]:
        """Mean over samples; for a map, of its mean over positions."""
        return self._each(lambda moments: moments.mean)

    @cached_property
    def std(self) -> Mapping[str, PerUnit]:
        """Standard deviation (ddof 0) over samples; for a map, of its mean over positions."""
        return self._each(lambda moments: np.sqrt(moments.squares / np.maximum(moments.n_valid, 1)))

    @cached_property
    def min(self) -> Mapping[str, PerUnit]:
        """The smallest value at any position."""
        return self._each(lambda moments: moments.low)

    @cached_property
    def max(self) -> Mapping[str, PerUnit]:
        """The largest value at any position."""
        return self._each(lambda moments: moments.high)

    @cached_property
    def n_nan(self) -> Mapping[str, NDArray[np.int64]]:
        """How many values were NaN."""
        return {name: moments.n_nan for name, moments in self.moments.items()}

    def statistic(self, layer: str, statistic: str = "firing_rate") -> PerUnit:
        """The `(class, unit)` statistic of that name: `firing_rate`, `mean` or `max`.

        Raises:
            LayerError: The profiles do not hold the layer.
            DataError: No such statistic.
        """
        if layer not in self.moments:
            raise LayerError(
                f"no layer {layer!r} in these profiles; they hold {', '.join(self.layers)}"
            )
        if statistic not in STATISTICS:
            raise DataError(f"no statistic {statistic!r}; there are {', '.join(STATISTICS)}")
        table: Mapping[str, PerUnit] = getattr(self, statistic)
        return table[layer]

    def similarity(
        self, layer: str, statistic: str = "firing_rate", metric: str = "mean_abs_diff"
    ) -> NDArray[np.float64]:
        """How far the classes are apart in one layer.

        Args:
            layer: A layer these profiles hold.
            statistic: What describes a class: `firing_rate`, `mean` or `max` of its units.
            metric: `mean_abs_diff`, `cosine`, `correlation` or `euclidean`; a distance, as
                scipy defines it.

        Returns:
            `(class, class)` float64, symmetric, zero diagonal. NaN for a class without
            samples or, where the metric needs one, without activity.

        Raises:
            LayerError: The profiles do not hold the layer.
            DataError: No such statistic or metric.
        """
        return metrics.distances(self.statistic(layer, statistic), metric)

    def ranking(
        self, layer: str, statistic: str = "firing_rate", metric: str = "mean_abs_diff"
    ) -> NDArray[np.int64]:
        """`(class, class)` int64: row i, all classes from the nearest to i on, i first."""
        return metrics.ranking(self.similarity(layer, statistic, metric))

    def merge(self, other: "ClassProfiles") -> "ClassProfiles":
        """The profiles of the samples of both; associative and commutative.

        Raises:
            DataError: They differ in layers, classes, threshold or reduce; or in the size of
                the maps, where shares of positions are counted.
            ShapeError: They differ in units.
        """
        for name in ("layers", "class_names", "threshold", "reduce"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                raise DataError(f"profiles with different {name} do not merge: {mine}, {theirs}")
        for layer, moments in self.moments.items():
            mine, theirs = moments.n_positions, other.moments[layer].n_positions
            if self.reduce == "mean" and mine != theirs:
                raise DataError(
                    f"shares of positions of maps of different size do not merge: "
                    f"{layer} has {mine}, {theirs}"
                )
        merged = {
            name: moments.merge(other.moments[name]) for name, moments in self.moments.items()
        }
        return replace(self, counts=self.counts + other.counts, moments=merged)

    def _firing_rate(self, moments: UnitMoments) -> PerUnit:
        per_sample = 1 if self.reduce == "any" else moments.n_positions
        return self._known(moments.fired / (np.maximum(self.counts, 1)[:, None] * per_sample))

    def _each(self, statistic: Any) -> Mapping[str, PerUnit]:
        return {
            name: np.where(moments.n_valid > 0, statistic(moments), np.nan)
            for name, moments in self.moments.items()
        }

    def _known(self, rates: PerUnit) -> PerUnit:
        return np.where(self.counts[:, None] > 0, rates, np.nan)


def empty_profiles(
    class_names: tuple[str, ...], *, threshold: float = 0.0, reduce: Reduce = "any"
) -> ClassProfiles:
    """Profiles of no samples and no layers yet; `add_batch` gives them both.

    Raises:
        DataError: `reduce` is neither `"any"` nor `"mean"`, or the threshold is NaN.
    """
    if reduce not in ("any", "mean"):
        raise DataError(f"reduce must be 'any' or 'mean'; got {reduce!r}")
    if np.isnan(threshold):
        raise DataError("threshold must be a number; got NaN")
    return ClassProfiles(
        np.zeros(len(class_names), np.int64), float(threshold), reduce, {}, class_names
    )


def add_batch(
    profiles: ClassProfiles, outputs: Mapping[str, ArrayLike], labels: NDArray[np.int64]
) -> ClassProfiles:
    """The profiles with one more batch.

    Args:
        profiles: What was gathered so far.
        outputs: Layer name to `(sample, …, unit)`.
        labels: `(sample,)` class indices, the same for every layer.
    """
    n_classes = len(profiles.class_names)
    batch = {
        name: batch_moments(
            values, labels, n_classes, threshold=profiles.threshold, reduce=profiles.reduce
        )
        for name, values in outputs.items()
    }
    counts = np.bincount(labels, minlength=n_classes).astype(np.int64)
    added = replace(profiles, counts=counts, moments=batch)
    return profiles.merge(added) if profiles.moments else added


def with_threshold(
    profiles: ClassProfiles,
    layer: str,
    sample_peaks: NDArray[Any],
    labels: NDArray[np.int64],
    threshold: float,
) -> ClassProfiles:
    """The same profiles of one layer at another threshold, exact and without a forward pass.

    Args:
        profiles: Gathered with `reduce="any"` over exactly these samples.
        layer: The layer that the peaks are of.
        sample_peaks: `(sample, unit)`, as `peaks` gives them.
        labels: `(sample,)` class indices.
        threshold: The new threshold.
    """
    moments = profiles.moments[layer]
    fired = np.zeros_like(moments.fired)
    above = sample_peaks > sample_peaks.dtype.type(threshold)  # rounded as in a batch
    for index in np.unique(labels):
        fired[index] = above[labels == index].sum(axis=0)
    return replace(
        profiles, threshold=float(threshold), moments={layer: replace(moments, fired=fired)}
    )
