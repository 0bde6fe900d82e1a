"""Statistics of units by class, from sums that merge exactly."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from actwidgets.core.arrays import Doubles, Integers
from actwidgets.core.profiles.unit_sums import Groups, Reduce, UnitSums
from actwidgets.core.profiles.value_bins import BinCounts
from actwidgets.errors import DataError, LayerError

STATISTICS = ("firing_rate", "mean", "max")  # by which classes are compared
GATHERED = ("firing_rate", "mean", "std", "min", "max", "histogram")
PerUnit = Doubles  # (class, unit)


@dataclass(frozen=True)
class UnitStatistics:
    """Statistics of every unit of some layers, by class.

    `firing_rate`, `mean`, `std`, `min` and `max` map a layer's name to `(class, unit)`
    float64. A class without samples is NaN there, and 0 in `counts`.

    Attributes:
        counts: `(class,)` int64, samples of each class.
        threshold: A unit fires on a sample when its value is above it.
        reduce: For maps, `"any"`: the share of samples on which some position fires;
            `"mean"`: the share of positions.
        sums: The sums behind the statistics, by layer.
        class_names: One per class.
        complete: Whether every sample was read; False of what a pass had gathered when it
            was watched, cancelled or failed.
        firing_error: How far a firing rate may be off: 0 but where the threshold was changed
            with nothing but histograms at hand.
    """

    counts: Integers
    threshold: float
    reduce: Reduce
    sums: Mapping[str, UnitSums] = field(repr=False)
    class_names: tuple[str, ...]
    complete: bool = True
    firing_error: float = 0.0

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers, in the model's order."""
        return tuple(self.sums)

    @property
    def n_samples(self) -> int:
        """Samples of all classes together."""
        return int(self.counts.sum())

    @property
    def n_bytes(self) -> int:
        """Memory that the sums take."""
        return sum(each.n_bytes for each in self.sums.values())

    @property
    def empty_classes(self) -> tuple[str, ...]:
        """Names of the classes that have no samples, whose statistics are NaN."""
        return tuple(self.class_names[index] for index in np.flatnonzero(self.counts == 0))

    @cached_property
    def firing_rate(self) -> Mapping[str, PerUnit]:
        """Share of the class's samples (or positions) above the threshold, 0..1."""
        return {name: self._firing_rate(sums) for name, sums in self.sums.items()}

    @cached_property
    def mean(self) -> Mapping[str, PerUnit]:
        """Mean over samples; for a map, of its mean over positions."""
        return self._each("mean", lambda sums: sums.mean)

    @cached_property
    def std(self) -> Mapping[str, PerUnit]:
        """Standard deviation (ddof 0) over samples; for a map, of its mean over positions."""
        return self._each(
            "std",
            lambda sums: (
                None
                if sums.squares is None
                else np.sqrt(sums.squares / np.maximum(sums.n_valid, 1))
            ),
        )

    @cached_property
    def min(self) -> Mapping[str, PerUnit]:
        """The smallest value at any position."""
        return self._each("min", lambda sums: sums.low)

    @cached_property
    def max(self) -> Mapping[str, PerUnit]:
        """The largest value at any position."""
        return self._each("max", lambda sums: sums.high)

    @cached_property
    def n_nan(self) -> Mapping[str, Integers]:
        """How many values were NaN."""
        return {
            name: np.zeros_like(sums.fired) if sums.n_nan is None else sums.n_nan
            for name, sums in self.sums.items()
        }

    def histogram(self, layer: str) -> tuple[Integers, Doubles]:
        """How many samples of each class have their largest value in which bin.

        Returns:
            Counts `(class, unit, bin)` int64 and edges `(bin + 1,)`. A bin holds its upper
            edge; it is an eighth of an octave wide (`core/profiles/value_bins.py`).

        Raises:
            LayerError: The profiles do not hold the layer.
            DataError: They were gathered without histograms.
        """
        bins = self._bins(layer)
        return bins.counts, bins.edges

    def quantile(self, layer: str, share: float) -> tuple[PerUnit, PerUnit, PerUnit]:
        """The value below which a share of each class's samples lies, from the histogram.

        Returns:
            Estimate, lower and upper limit, `(class, unit)` each: the quantile that
            `numpy.quantile(method="lower")` gives lies between the two. For a map, of the
            largest value of each sample.

        Raises:
            LayerError: The profiles do not hold the layer.
            DataError: They hold no histogram of it, or the share is not in 0..1.
        """
        if not 0 <= share <= 1:
            raise DataError(f"a share must lie in 0..1; got {share}")
        return self._bins(layer).quantile(share)

    def at_threshold(self, threshold: float) -> Self:
        """The same samples at another threshold, from the histograms alone.

        `firing_error` of the result tells by how much a firing rate may be off at most; it
        is 0 where the threshold is the edge of a bin, as 0 is.

        Raises:
            DataError: A layer without histogram, or `reduce="mean"`.
        """
        if self.reduce != "any":
            raise DataError("histograms are of each sample's largest value: reduce must be 'any'")
        moved, worst = {}, 0.0
        for name, sums in self.sums.items():
            rate, error = self._bins(name).share_above(threshold)
            fired = np.rint(np.nan_to_num(rate) * sums.n_valid).astype(np.int64)
            moved[name] = replace(sums, fired=fired)
            # A half more: the estimate is rounded to whole samples.
            off = np.where(error > 0, error + 0.5 / np.maximum(sums.n_valid, 1), 0)
            worst = max(worst, float(np.nanmax(off, initial=0)))
        return replace(self, threshold=float(threshold), sums=moved, firing_error=worst)

    def at_peaks(
        self, peaks: Mapping[str, NDArray[Any]], labels: Integers, threshold: float
    ) -> Self:
        """The same samples at another threshold, exact and without a forward pass.

        Args:
            peaks: By layer, the largest value of each sample and unit, `(sample, unit)`, of
                exactly the samples that these statistics are of, gathered with
                `reduce="any"`.
            labels: `(sample,)` class indices.
            threshold: The new threshold.
        """
        groups = Groups.of(labels)
        moved = {}
        for name, high in peaks.items():
            above = high > high.dtype.type(threshold)  # rounded as in a batch
            fired = np.zeros_like(self.sums[name].fired)
            fired[groups.present] = groups.total(above[groups.order], np.int64)
            moved[name] = replace(self.sums[name], fired=fired)
        return replace(self, threshold=float(threshold), sums=moved, firing_error=0.0)

    def gathered(self, layer: str) -> tuple[str, ...]:
        """What of `GATHERED` the profiles hold of a layer."""
        sums = self.sums[layer]
        held = (sums.fired, sums.mean, sums.squares, sums.low, sums.high, sums.bins)
        return tuple(name for name, part in zip(GATHERED, held, strict=True) if part is not None)

    def statistic(self, layer: str, statistic: str = "firing_rate") -> PerUnit:
        """The `(class, unit)` statistic of that name: `firing_rate`, `mean` or `max`.

        Raises:
            LayerError: The profiles do not hold the layer.
            DataError: No such statistic, or it was not gathered.
        """
        self._require(layer)
        if statistic not in STATISTICS:
            raise DataError(f"no statistic {statistic!r}; there are {', '.join(STATISTICS)}")
        table: Mapping[str, PerUnit] = getattr(self, statistic)
        return table[layer]

    def merge(self, other: Self) -> Self:
        """The profiles of the samples of both; associative and commutative.

        Raises:
            DataError: They differ in layers, classes, threshold, reduce or what was gathered;
                or in the size of the maps, where shares of positions are counted.
            ShapeError: They differ in units.
        """
        for name in ("layers", "class_names", "threshold", "reduce"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                raise DataError(f"profiles with different {name} do not merge: {mine}, {theirs}")
        for layer, sums in self.sums.items():
            mine, theirs = sums.n_positions, other.sums[layer].n_positions
            if self.reduce == "mean" and mine != theirs:
                raise DataError(
                    f"shares of positions of maps of different size do not merge: "
                    f"{layer} has {mine}, {theirs}"
                )
            mine, theirs = self.gathered(layer), other.gathered(layer)
            if mine != theirs:
                raise DataError(
                    f"profiles of {layer!r} that hold {', '.join(mine)} and "
                    f"{', '.join(theirs)} do not merge"
                )
        return replace(
            self,
            counts=self.counts + other.counts,
            sums={name: sums.merge(other.sums[name]) for name, sums in self.sums.items()},
            complete=self.complete and other.complete,
            firing_error=max(self.firing_error, other.firing_error),
        )

    def _firing_rate(self, sums: UnitSums) -> PerUnit:
        per_sample = 1 if self.reduce == "any" else sums.n_positions
        rates = sums.fired / (np.maximum(self.counts, 1)[:, None] * per_sample)
        return np.where(self.counts[:, None] > 0, rates, np.nan)

    def _each(self, statistic: str, tell: Callable[[UnitSums], Any]) -> Mapping[str, PerUnit]:
        found = {}
        for name, sums in self.sums.items():
            table = tell(sums)
            if table is None:
                raise DataError(
                    f"these profiles were gathered without {statistic}; they hold "
                    f"{', '.join(self.gathered(name))}"
                )
            found[name] = np.where(sums.n_valid > 0, table, np.nan)
        return found

    def _bins(self, layer: str) -> BinCounts:
        self._require(layer)
        bins = self.sums[layer].bins
        if bins is None:
            raise DataError(
                f"no histograms of layer {layer!r} were gathered: give class_profiles "
                'statistics=(…, "histogram")'
            )
        return bins

    def _require(self, layer: str) -> None:
        if layer not in self.sums:
            raise LayerError(
                f"no layer {layer!r} in these profiles; they hold {', '.join(self.layers)}"
            )
