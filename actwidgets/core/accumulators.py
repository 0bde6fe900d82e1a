"""Streaming statistics of units by class, which merge exactly."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actwidgets.core.arrays import Array, Doubles, Floats, Integers
from actwidgets.core.histograms import LogHistogram
from actwidgets.errors import DataError, LayerError, ShapeError


@dataclass(frozen=True)
class SampleSummary:
    """Summary of one layer on one batch: max, mean, min and counts over positions.

    All arrays are `(sample, unit)`.

    Attributes:
        max: The largest value at any position; NaN only where every position is.
        mean: The mean over positions that are not NaN; 0 where there are none.
        min: The smallest value at any position, or None where it was not asked for.
        n_above: Positions above the threshold, or None where they were not asked for.
        n_nan: Positions that are NaN, or None where there are none at all.
        n_positions: Positions of the map; 1 for a layer without.
    """

    max: Array
    mean: Array
    min: Array | None = None
    n_above: Integers | None = None
    n_nan: Integers | None = None
    n_positions: int = 1

    def of_units(self, units: slice) -> "SampleSummary":
        """The same of some units: views."""
        low, n_above, n_nan = (
            None if each is None else each[:, units]
            for each in (self.min, self.n_above, self.n_nan)
        )
        high, mean = self.max[:, units], self.mean[:, units]
        return SampleSummary(high, mean, low, n_above, n_nan, self.n_positions)

    def take(self, rows: Integers) -> "SampleSummary":
        """The same of some samples; one may come several times."""
        low, n_above, n_nan = (
            None if each is None else each[rows] for each in (self.min, self.n_above, self.n_nan)
        )
        high, mean = self.max[rows], self.mean[rows]
        return SampleSummary(high, mean, low, n_above, n_nan, self.n_positions)


def summarize(outputs: ArrayLike, threshold: float | None = None) -> SampleSummary:
    """Reduce a batch of one layer's outputs over positions.

    Args:
        outputs: `(sample, …, unit)`, any real dtype; `(sample,)` is one unit.
        threshold: Count the positions above it; None counts none.

    Infinity is a value. NaN is left out of every number and counted.

    Raises:
        ShapeError: Maps without positions.

    Cost: a pass over `outputs` per number.
    """
    values = _by_position(outputs)
    n_positions = values.shape[1]
    nan = np.isnan(values)
    n_above: Integers | None = None
    if threshold is not None:
        above: Array = values > values.dtype.type(threshold)
        n_above = above.sum(axis=1, dtype=np.int64)
    n_nan: Integers | None = None
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        if nan.any():
            n_nan = nan.sum(axis=1, dtype=np.int64)
            total = np.where(nan, 0, values).sum(axis=1, dtype=np.float64)
            mean = total / np.maximum(n_positions - n_nan, 1)
        else:
            mean = values.mean(axis=1, dtype=np.float64)
    return SampleSummary(
        max=np.fmax.reduce(values, axis=1),
        mean=mean,
        min=np.fmin.reduce(values, axis=1),
        n_above=n_above,
        n_nan=n_nan,
        n_positions=n_positions,
    )


def _by_position(outputs: ArrayLike) -> Array:
    """The outputs as `(sample, position, unit)`, float32 or float64."""
    outputs = np.asarray(outputs)
    n_units = outputs.shape[-1] if outputs.ndim > 1 else 1
    n_positions = math.prod(outputs.shape[1:-1])
    if n_positions == 0:
        raise ShapeError(f"outputs of shape {outputs.shape} have no positions")
    dtype = np.result_type(outputs, np.float32)
    return outputs.reshape(len(outputs), n_positions, n_units).astype(dtype, copy=False)


Reduce = Literal["any", "mean"]
Rows = Integers | slice
# What is worked out on the way takes many times what it is of, and a flattened map has 10^5 units.
UNITS_AT_ONCE = 4096


def blocks_of_units(n_units: int) -> list[slice]:
    """Some thousand units each, so that what is between them and their sums stays small."""
    return [slice(start, start + UNITS_AT_ONCE) for start in range(0, n_units, UNITS_AT_ONCE)]


@dataclass(frozen=True)
class LabelGroups:
    """Samples of a batch grouped by class, for `reduceat`.

    Attributes:
        order: Rows of the batch, those of one class behind one another.
        present: The classes that occur, ascending.
        starts: Where each of them begins in `order`.
        sizes: How many samples each of them has.
    """

    order: NDArray[np.intp]
    present: Integers
    starts: NDArray[np.intp]
    sizes: Integers

    @classmethod
    def of(cls, labels: Integers) -> "LabelGroups":
        """The groups of a batch with these class indices."""
        # Counting sort: rows of one class behind one another, so that `reduceat` sums them.
        counts = np.bincount(labels)
        present = np.flatnonzero(counts)
        sizes = counts[present].astype(np.int64)
        return cls(np.argsort(labels, kind="stable"), present, np.cumsum(sizes) - sizes, sizes)

    def total(self, ordered: Array, dtype: Any = None) -> Array:
        """`(class present, unit)`: the sum of each group's rows, which are in `order`."""
        return np.add.reduceat(ordered, self.starts, axis=0, dtype=dtype)

    def spread(self, by_class: Array) -> Array:
        """The row of its class for each sample, in `order`."""
        return np.repeat(by_class, self.sizes, axis=0)


@dataclass
class ClassMoments:
    """Mergeable sums of one layer by class and unit: counts, mean, squares, extremes, histogram.

    Arrays are `(class, unit)` but for `counts`, `(class,)`. What was not asked for is None;
    so are `n_nan` and `n_missing` until a NaN has been seen. Only rows of classes that occur
    in a batch are touched: a thousand classes cost no more than ten.

    Attributes:
        n_positions: Positions of the map; 1 for a layer without.
        counts: Samples of each class.
        fired: Samples (`reduce="any"`) or positions (`reduce="mean"`) above the threshold.
        mean: Mean over samples of the mean over positions.
        squares: Sum of squared differences from `mean`.
        min: The smallest value at any position; NaN where there is none.
        max: The largest.
        bins: Histogram of each sample's largest value.
        n_nan: Values that are NaN.
        n_missing: Samples of which every value is NaN.

    Reference: Chan, Golub and LeVeque 1979, "Updating formulae and a pairwise algorithm for
    computing sample variances", equation 2.1.
    """

    n_positions: int
    counts: Integers
    fired: Integers
    mean: Doubles | None = None
    squares: Doubles | None = None
    min: Doubles | None = None
    max: Doubles | None = None
    bins: LogHistogram | None = None
    n_nan: Integers | None = None
    n_missing: Integers | None = None

    @classmethod
    def empty(
        cls,
        n_classes: int,
        n_units: int,
        n_positions: int,
        *,
        moments: bool = True,
        extremes: bool = True,
        bins: bool = False,
    ) -> "ClassMoments":
        """The sums of no samples.

        Args:
            moments: Whether to gather `mean` and `squares`.
            extremes: Whether to gather `min` and `max`.
            bins: Whether to gather the histogram.
        """
        shape = (n_classes, n_units)
        return cls(
            n_positions=n_positions,
            counts=np.zeros(n_classes, np.int64),
            fired=np.zeros(shape, np.int64),
            mean=np.zeros(shape) if moments else None,
            squares=np.zeros(shape) if moments else None,
            min=np.full(shape, np.nan) if extremes else None,
            max=np.full(shape, np.nan) if extremes else None,
            bins=LogHistogram.empty(*shape) if bins else None,
        )

    @property
    def n_valid(self) -> Integers:
        """`(class, unit)`, or `(class, 1)` where no value was NaN: samples with a value."""
        each = self.counts[:, None]
        return each if self.n_missing is None else each - self.n_missing

    @property
    def n_bytes(self) -> int:
        """Memory that the sums take."""
        arrays = [getattr(self, field.name) for field in fields(self)]
        arrays += [self.bins.counts] if self.bins else []
        return sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))

    def copy(self) -> "ClassMoments":
        """A deep copy."""
        arrays: dict[str, Any] = {
            field.name: value.copy()
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), np.ndarray | LogHistogram)
        }
        return replace(self, **arrays)

    def add(
        self, summary: SampleSummary, groups: LabelGroups, *, threshold: float, reduce: Reduce
    ) -> None:
        """Add one batch.

        Args:
            summary: The layer on the batch.
            groups: The batch by class.
            threshold: A value above it fires. NaN does not.
            reduce: What `fired` counts. Positions must have been counted by `summary`.

        Raises:
            ShapeError: The batch has another number of units.
        """
        self._require_units(summary.max.shape[1])
        for units in blocks_of_units(summary.max.shape[1]):
            batch = self._of_batch(summary.of_units(units), groups, threshold, reduce)
            self._add_rows(groups.present, batch, units)
        self.counts[groups.present] += groups.sizes
        if self.bins is not None:
            classes = groups.spread(groups.present)
            self.bins.add(summary.max[groups.order], classes)

    def merge(self, other: "ClassMoments") -> "ClassMoments":
        """The sums of the samples of both.

        Raises:
            ShapeError: They differ in classes or units.
        """
        self._require_units(other.fired.shape[1])
        merged = self.copy()
        merged._add_rows(slice(None), other, slice(None))
        merged.counts += other.counts
        if merged.bins is not None and other.bins is not None:
            merged.bins.merge_into(other.bins)
        return merged

    def _of_batch(
        self, summary: SampleSummary, groups: LabelGroups, threshold: float, reduce: Reduce
    ) -> "ClassMoments":
        """The sums of one batch, with a row for each class present."""
        order = groups.order
        high = summary.max[order]
        if reduce == "any":
            fired = groups.total(high > high.dtype.type(threshold), np.int64)
        else:
            assert summary.n_above is not None
            fired = groups.total(summary.n_above[order], np.int64)
        batch = ClassMoments(summary.n_positions, groups.sizes, fired)
        valid = None
        if summary.n_nan is not None:
            batch.n_nan = groups.total(summary.n_nan[order])
            valid = summary.n_nan[order] < summary.n_positions
            batch.n_missing = groups.total(~valid, np.int64)
        if self.mean is not None:
            with np.errstate(invalid="ignore"):  # infinite means
                means = summary.mean[order].astype(np.float64)
                batch.mean = groups.total(means) / np.maximum(batch.n_valid, 1)
                means -= groups.spread(batch.mean)
                means *= means
                batch.squares = groups.total(means if valid is None else np.where(valid, means, 0))
        if self.max is not None and self.min is not None:
            assert summary.min is not None
            batch.max = np.fmax.reduceat(high, groups.starts, axis=0)
            batch.min = np.fmin.reduceat(summary.min[order], groups.starts, axis=0)
        return batch

    def _require_units(self, n_units: int) -> None:
        if self.fired.shape[1] != n_units:
            raise ShapeError(f"sums of {self.fired.shape[1]} and {n_units} units do not merge")

    def _add_rows(self, rows: Rows, other: "ClassMoments", units: slice) -> None:
        """Merge sums in place whose classes are these rows; `counts` are left to be added."""
        if other.n_nan is not None and self.n_nan is None:
            self.n_nan, self.n_missing = np.zeros_like(self.fired), np.zeros_like(self.fired)
        if self.mean is not None and self.squares is not None:
            assert other.mean is not None
            assert other.squares is not None
            # Chan, Golub and LeVeque 1979, equation 2.1: the mean moves by the share of the
            # new samples, the squares grow by the gap between both means.
            valid, n_other = self.n_valid, other.n_valid
            before = valid[rows] if valid.shape[1] == 1 else valid[rows, units]
            share = n_other / np.maximum(before + n_other, 1)
            mine = self.mean[rows, units]
            with np.errstate(invalid="ignore"):  # infinite means
                step = other.mean - mine
                # An infinite mean has no step: infinity minus infinity.
                finite = np.isfinite(step)
                self.mean[rows, units] = np.where(finite, mine + step * share, mine + other.mean)
                self.squares[rows, units] += other.squares + step * step * before * share
        self.fired[rows, units] += other.fired
        if other.n_nan is not None and other.n_missing is not None:
            assert self.n_nan is not None
            assert self.n_missing is not None
            self.n_nan[rows, units] += other.n_nan
            self.n_missing[rows, units] += other.n_missing
        if self.min is not None and self.max is not None:
            assert other.min is not None
            assert other.max is not None
            self.min[rows, units] = np.fmin(self.min[rows, units], other.min)
            self.max[rows, units] = np.fmax(self.max[rows, units], other.max)


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
    sums: Mapping[str, ClassMoments] = field(repr=False)
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
        return self._each("min", lambda sums: sums.min)

    @cached_property
    def max(self) -> Mapping[str, PerUnit]:
        """The largest value at any position."""
        return self._each("max", lambda sums: sums.max)

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
            edge; it is an eighth of an octave wide.

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
        groups = LabelGroups.of(labels)
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
        held = (sums.fired, sums.mean, sums.squares, sums.min, sums.max, sums.bins)
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

    def _firing_rate(self, sums: ClassMoments) -> PerUnit:
        per_sample = 1 if self.reduce == "any" else sums.n_positions
        rates = sums.fired / (np.maximum(self.counts, 1)[:, None] * per_sample)
        return np.where(self.counts[:, None] > 0, rates, np.nan)

    def _each(self, statistic: str, tell: Callable[[ClassMoments], Any]) -> Mapping[str, PerUnit]:
        tables = {}
        for name, sums in self.sums.items():
            table = tell(sums)
            if table is None:
                raise DataError(
                    f"these profiles were gathered without {statistic}; they hold "
                    f"{', '.join(self.gathered(name))}"
                )
            tables[name] = np.where(sums.n_valid > 0, table, np.nan)
        return tables

    def _bins(self, layer: str) -> LogHistogram:
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


N_TOP = 24


class TopSamples:
    """Streaming top samples: the `N_TOP` largest values of every unit and their rows.

    Ties go to the sample that comes first; NaN is never among them.
    """

    def __init__(self) -> None:
        self._values: Array | None = None  # (top, unit), descending; -inf where there is none
        self._rows: NDArray[np.int32] | None = None

    def add(self, values: Array, first_row: int) -> None:
        """Add the values of samples that follow on those before.

        Args:
            values: `(sample, unit)`.
            first_row: The row of the first of them.
        """
        n_units = values.shape[1]
        if self._values is None or self._rows is None:
            self._values = np.full((N_TOP, n_units), -np.inf, values.dtype)
            self._rows = np.zeros((N_TOP, n_units), np.int32)
        rows = np.arange(first_row, first_row + len(values), dtype=np.int32)
        for units in blocks_of_units(n_units):
            new = np.where(np.isnan(values[:, units]), -np.inf, values[:, units])
            # Later no more than a few units have a sample that is new among their top.
            is_new = (new > self._values[-1, units]).any(axis=0)
            columns = units.start + np.flatnonzero(is_new)
            both = np.concatenate([self._values[:, columns], new[:, is_new]])
            # A stable sort: of equal values the one that came first stays.
            best = np.argsort(-both, axis=0, kind="stable")[:N_TOP]
            self._values[:, columns] = np.take_along_axis(both, best, axis=0)
            of_new = rows[np.maximum(best - N_TOP, 0)]
            of_old = np.take_along_axis(self._rows[:, columns], np.minimum(best, N_TOP - 1), axis=0)
            self._rows[:, columns] = np.where(best < N_TOP, of_old, of_new)

    def of_unit(self, unit: int) -> tuple[Integers, Floats]:
        """Rows of the samples that drive a unit most, the first the most, and their values."""
        if self._values is None or self._rows is None:
            return self.none()
        values = self._values[:, unit]
        known = values > -np.inf
        return self._rows[known, unit].astype(np.int64), values[known]

    @staticmethod
    def of(values: ArrayLike) -> tuple[Integers, Floats]:
        """The same of a single unit whose values are all at hand, `(sample,)`."""
        values = np.asarray(values)
        known = np.flatnonzero(values > -np.inf)
        best = known[np.argsort(-values[known], kind="stable")[:N_TOP]]
        return best.astype(np.int64), values[best]

    @staticmethod
    def none() -> tuple[Integers, Floats]:
        """No samples."""
        return np.zeros(0, np.int64), np.zeros(0, np.float32)
