"""Sums per class and unit of one layer: gathered batch by batch, and merged exactly."""

from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from actwidgets.core.arrays import Array, Doubles, Integers
from actwidgets.core.profiles.sample_summary import SampleSummary
from actwidgets.core.profiles.value_bins import BinCounts
from actwidgets.errors import ShapeError

Reduce = Literal["any", "mean"]
Rows = Integers | slice


@dataclass(frozen=True)
class Groups:
    """The samples of a batch, put in the order of their classes.

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
    def of(cls, labels: Integers) -> "Groups":
        """The groups of a batch with these class indices."""
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
class UnitSums:
    """Sums from which every statistic of one layer follows.

    Arrays are `(class, unit)` but for `counts`, `(class,)`. What was not asked for is None;
    so are `n_nan` and `n_missing` until a NaN has been seen. Only rows of classes that occur
    in a batch are touched: a thousand classes cost no more than ten.

    Attributes:
        n_positions: Positions of the map; 1 for a layer without.
        counts: Samples of each class.
        fired: Samples (`reduce="any"`) or positions (`reduce="mean"`) above the threshold.
        mean: Mean over samples of the mean over positions.
        squares: Sum of squared differences from `mean`.
        low: The smallest value at any position; NaN where there is none.
        high: The largest.
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
    low: Doubles | None = None
    high: Doubles | None = None
    bins: BinCounts | None = None
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
    ) -> "UnitSums":
        """The sums of no samples.

        Args:
            n_classes: Number of classes.
            n_units: Number of units.
            n_positions: Positions of the map.
            moments: Whether to gather `mean` and `squares`.
            extremes: Whether to gather `low` and `high`.
            bins: Whether to gather the histogram.
        """
        shape = (n_classes, n_units)
        return cls(
            n_positions=n_positions,
            counts=np.zeros(n_classes, np.int64),
            fired=np.zeros(shape, np.int64),
            mean=np.zeros(shape) if moments else None,
            squares=np.zeros(shape) if moments else None,
            low=np.full(shape, np.nan) if extremes else None,
            high=np.full(shape, np.nan) if extremes else None,
            bins=BinCounts.empty(*shape) if bins else None,
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
        return sum(each.nbytes for each in arrays if isinstance(each, np.ndarray))

    def copy(self) -> "UnitSums":
        """Sums that can be added to without changing these."""
        arrays: dict[str, Any] = {
            field.name: value.copy()
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), np.ndarray | BinCounts)
        }
        return replace(self, **arrays)

    def add(
        self, summary: SampleSummary, groups: Groups, *, threshold: float, reduce: Reduce
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
        self._add_rows(groups.present, self._of_batch(summary, groups, threshold, reduce))
        if self.bins is not None:
            classes = groups.spread(groups.present)
            self.bins.add(summary.high[groups.order], classes)

    def merge(self, other: "UnitSums") -> "UnitSums":
        """The sums of the samples of both.

        Raises:
            ShapeError: They differ in classes or units.
        """
        merged = self.copy()
        merged._add_rows(slice(None), other)
        if merged.bins is not None and other.bins is not None:
            merged.bins.merge_into(other.bins)
        return merged

    def _of_batch(
        self, summary: SampleSummary, groups: Groups, threshold: float, reduce: Reduce
    ) -> "UnitSums":
        """The sums of one batch, with a row for each class present."""
        order = groups.order
        high = summary.high[order]
        if reduce == "any":
            fired = groups.total(high > high.dtype.type(threshold), np.int64)
        else:
            assert summary.n_above is not None
            fired = groups.total(summary.n_above[order], np.int64)
        batch = UnitSums(summary.n_positions, groups.sizes, fired)
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
        if self.high is not None and self.low is not None:
            assert summary.low is not None
            batch.high = np.fmax.reduceat(high, groups.starts, axis=0)
            batch.low = np.fmin.reduceat(summary.low[order], groups.starts, axis=0)
        return batch

    def _add_rows(self, rows: Rows, other: "UnitSums") -> None:
        """Add sums whose rows are these rows of ours."""
        if self.fired.shape[1] != other.fired.shape[1]:
            raise ShapeError(
                f"sums of {self.fired.shape[1]} and {other.fired.shape[1]} units do not merge"
            )
        if other.n_nan is not None and self.n_nan is None:
            self.n_nan, self.n_missing = np.zeros_like(self.fired), np.zeros_like(self.fired)
        if self.mean is not None and self.squares is not None:
            assert other.mean is not None
            assert other.squares is not None
            before, n_other = self.n_valid[rows], other.n_valid
            share = n_other / np.maximum(before + n_other, 1)
            mine = self.mean[rows]
            with np.errstate(invalid="ignore"):  # infinite means
                step = other.mean - mine
                finite = np.isfinite(step)
                self.mean[rows] = np.where(finite, mine + step * share, mine + other.mean)
                self.squares[rows] += other.squares + step * step * before * share
        self.counts[rows] += other.counts
        self.fired[rows] += other.fired
        if other.n_nan is not None and other.n_missing is not None:
            assert self.n_nan is not None
            assert self.n_missing is not None
            self.n_nan[rows] += other.n_nan
            self.n_missing[rows] += other.n_missing
        if self.low is not None and self.high is not None:
            assert other.low is not None
            assert other.high is not None
            self.low[rows] = np.fmin(self.low[rows], other.low)
            self.high[rows] = np.fmax(self.high[rows], other.high)
