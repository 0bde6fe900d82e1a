"""Class profiles and box plots: what the units of each layer do for each class."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actwidgets.core import class_distances, files, histograms
from actwidgets.core.accumulators import (
    GATHERED,
    ClassMoments,
    LabelGroups,
    Reduce,
    SampleSummary,
    UnitStatistics,
)
from actwidgets.core.arrays import Array, Bools, Doubles, Integers
from actwidgets.core.files import Arrays, require_suffix
from actwidgets.core.histograms import LogHistogram
from actwidgets.core.labels import label_pairs
from actwidgets.errors import DataError, ShapeError

if TYPE_CHECKING:
    import pandas as pd

SELECTIVE_FROM = 0.5  # the favored class drives the unit three times as much as the others
Kind = Literal["dead", "always active", "selective"]


@dataclass(frozen=True)
class UnitFinding:
    """A dead, always active or selective unit, and the evidence.

    Attributes:
        unit: Index of the unit.
        kind: `"dead"`: above the threshold at no position of any sample. `"always active"`:
            at every position of every one. `"selective"`: driven by one class far more than
            by the others.
        n_samples: Samples that this rests on.
        bound: Of a dead unit, the firing rate that it may still have with a chance of 5 %,
            3/N (Hanley and Lippman-Hand 1983, "If nothing goes wrong, is everything all
            right?"); of one always active, one minus the rate that it may have. Else NaN.
        class_index: The class that a selective unit favors, or None.
        selectivity: `(a - b) / (a + b)` for the mean activity a of the favored class and b
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
    """Find dead, always active and selective units of a layer, in this order.

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
    index, favorite = selectivity(mean)
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
        *(UnitFinding(int(u), "selective", n_samples, nan, int(favorite[u]), float(index[u]))
          for u in selective),
    )  # fmt: skip


def selectivity(mean: Doubles) -> tuple[Doubles, Integers]:
    """The selectivity index of each unit, and the class it favors.

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


METRICS = (*class_distances.METRICS, *histograms.METRICS)


@dataclass(frozen=True)
class ClassProfiles(UnitStatistics):
    """Class profiles of units by layer: statistics, distances between classes, clustering.

    Statistics are those of `UnitStatistics`, by layer: `firing_rate`, `mean`, `std`, `min`
    and `max` as `(class, unit)` float64, NaN for a class without samples; and `counts`,
    `(class,)` int64.
    """

    def similarity(
        self, layer: str, statistic: str = "firing_rate", metric: str = "mean_abs_diff"
    ) -> Doubles:
        """How far the classes are apart in one layer.

        Args:
            statistic: What describes a class: `firing_rate`, `mean` or `max` of its units.
            metric: A distance. `mean_abs_diff`, `cosine`, `correlation` or `euclidean` of
                the statistic, as scipy defines them; `jensen_shannon` or `overlap` of the
                histograms, whatever the statistic.

        Returns:
            `(class, class)` float64, symmetric, zero diagonal. NaN for a class without
            samples or, where the metric needs one, without activity.

        Raises:
            LayerError: The profiles do not hold the layer.
            DataError: No such statistic or metric, or it was not gathered.
        """
        if metric in histograms.METRICS:
            self._require(layer)
            return histograms.METRICS[metric](self._bins(layer).shares())
        if metric not in class_distances.METRICS:
            raise DataError(f"no metric {metric!r}; there are {', '.join(METRICS)}")
        return class_distances.distances(self.statistic(layer, statistic), metric)

    def ranking(
        self, layer: str, statistic: str = "firing_rate", metric: str = "mean_abs_diff"
    ) -> Integers:
        """`(class, class)` int64: row i, all classes from the nearest to i on, i first."""
        return class_distances.ranking(self.similarity(layer, statistic, metric))

    def clustering(
        self, layer: str, statistic: str = "firing_rate", metric: str = "mean_abs_diff"
    ) -> class_distances.Clustering:
        """The classes as a tree, like beside like."""
        return class_distances.cluster(self.similarity(layer, statistic, metric))

    def fisher_ratio(self, layer: str, classes: tuple[int | str, ...] | None = None) -> float:
        """Fisher ratio of a layer: scatter between the classes over scatter within them.

        Args:
            classes: Names or indices of those to part; all that have samples by default.

        Returns:
            `trace(S_B) / trace(S_W)`. For maps, of their
            means over positions. NaN with fewer than two classes, or where no class has two
            samples. `class_distances.expected_by_chance` tells what it is of a layer that
            does not part the classes.

        Raises:
            LayerError: The profiles do not hold the layer.
            DataError: No such class, or `mean` and `std` were not gathered.
        """
        self._require(layer)
        rows = class_distances.rows_of(classes, self.class_names)
        sums = self.sums[layer]
        return class_distances.fisher_ratio(
            self.mean[layer][rows],
            self.std[layer][rows],
            np.broadcast_to(sums.n_valid, sums.fired.shape)[rows],
        )

    def unit_findings(self, layer: str) -> tuple[UnitFinding, ...]:
        """Units that are dead, always active or selective for a class, with the evidence.

        Raises:
            LayerError: The profiles do not hold the layer.
            DataError: `mean` or, of maps, `min` was not gathered, or `reduce` is not `"any"`.
        """
        self._require(layer)
        if self.reduce != "any":
            raise DataError("whether a unit is dead is told of samples: reduce must be 'any'")
        sums = self.sums[layer]
        lowest = None if sums.n_positions == 1 else self.min[layer]
        return find_units(sums.fired, self.counts, self.mean[layer], self.threshold, lowest)

    def to_dataframe(self, layer: str) -> "pd.DataFrame":
        """The statistics of one layer, a row per class and unit, classes outermost.

        Returns:
            Columns `class` (name), `unit`, `count` (samples of the class), `firing_rate`, then
            what was gathered of `mean`, `std`, `min`, `max`, and `n_nan`.

        Raises:
            LayerError: The profiles do not hold the layer.
        """
        import pandas as pd  # late: 0.3 s

        self._require(layer)
        n_classes, n_units = self.sums[layer].fired.shape
        columns = {
            "class": np.repeat(np.array(self.class_names, dtype=object), n_units),
            "unit": np.tile(np.arange(n_units), n_classes),
            "count": np.repeat(self.counts, n_units),
        }
        for statistic in self.gathered(layer):
            if statistic != "histogram":
                columns[statistic] = getattr(self, statistic)[layer].ravel()
        return pd.DataFrame(columns | {"n_nan": self.n_nan[layer].ravel()})

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the profiles to one `.npz` file, all of it or nothing.

        Raises:
            DataError: A name that ends in another format, or the file cannot be written (a full
                disk, no such folder); whatever was there before is still there.
        """
        require_suffix(path, ".npz", "class profiles")
        files.write_npz(path, KIND, *as_arrays(self))

    @staticmethod
    def load(path: str | os.PathLike[str]) -> "ClassProfiles":
        """Read profiles that `save` wrote; never runs code out of the file.

        Raises:
            DataError: No such file; a file that is cut off, of something else, or of a newer
                version than this one.
        """
        with files.open_npz(path, KIND) as (header, arrays):
            return from_arrays(header, dict(arrays))


# Histograms take about a kilobyte per class and unit: kept unasked for layers up to this size.
HISTOGRAMS_UP_TO = 2**16


@dataclass(frozen=True)
class ProfileSpec:
    """Threshold, reduction and statistics that profiles gather.

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
        return self.statistics is None or any(
            statistic in self.statistics for statistic in statistics
        )


def state_bytes(n_classes: int, n_units: int) -> int:
    """What the sums of a layer take about, everything gathered that is by default."""
    pairs = n_classes * n_units
    return pairs * (40 + (900 if pairs <= HISTOGRAMS_UP_TO else 0))


class ProfileBuilder:
    """Accumulates class profiles batch by batch; `profiles` gives those so far.

    Args:
        spec: What to gather.
    """

    def __init__(self, class_names: Sequence[str], spec: ProfileSpec = ProfileSpec()) -> None:
        self.class_names, self._spec = tuple(class_names), spec
        self._counts = np.zeros(len(self.class_names), np.int64)
        self._sums: dict[str, ClassMoments] = {}
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
        groups = LabelGroups.of(np.asarray(labels, np.int64))
        self._counts[groups.present] += groups.sizes
        for name, summary in summaries.items():
            self._sums[name].add(
                summary, groups, threshold=self._spec.threshold, reduce=self._spec.reduce
            )

    def profiles(self, *, complete: bool = True) -> ClassProfiles:
        """What has been gathered so far: a copy, unless it is complete and nothing follows."""
        return ClassProfiles(
            counts=self._counts.copy(),
            threshold=float(self._spec.threshold),
            reduce=self._spec.reduce,
            sums=self._sums
            if complete
            else {name: each.copy() for name, each in self._sums.items()},
            class_names=self.class_names,
            complete=complete,
        )

    def _empty(self, summary: SampleSummary) -> ClassMoments:
        n_classes, n_units = len(self.class_names), summary.max.shape[1]
        named = self._spec.statistics is not None
        return ClassMoments.empty(
            n_classes,
            n_units,
            summary.n_positions,
            moments=self._spec.wants("mean", "std"),
            extremes=self._spec.wants("min", "max"),
            bins=self._spec.wants("histogram")
            and (named or n_classes * n_units <= HISTOGRAMS_UP_TO),
        )

    def _check(self, name: str, summary: SampleSummary) -> None:
        sums = self._sums[name]
        n_units, before = summary.max.shape[1], sums.fired.shape[1]
        if n_units != before:
            raise ShapeError(f"layer {name!r} has {n_units} units in this batch, {before} before")
        if self._spec.reduce == "mean" and summary.n_positions != sums.n_positions:
            raise ShapeError(
                f"layer {name!r} has {summary.n_positions} positions in this batch, "
                f"{sums.n_positions} before: shares of positions do not add up"
            )


KIND = files.Kind(
    format="actwidgets class profiles",
    version=1,
    what="class profiles",
    hint="write them with profiles.save()",
)


def as_arrays(profiles: ClassProfiles) -> tuple[dict[str, Any], Arrays]:
    """Serialize profiles as a header and arrays; the index of a layer stands for its name."""
    arrays: dict[str, NDArray[Any]] = {"counts": profiles.counts}
    layers = []
    for index, (name, sums) in enumerate(profiles.sums.items()):
        kept = {field.name: getattr(sums, field.name) for field in fields(sums)}
        if sums.bins is not None:
            kept["bins"] = sums.bins.counts
        arrays |= {
            f"{index}/{files.stored_name(part)}": value
            for part, value in kept.items()
            if value is not None and part != "n_positions"
        }
        first = None if sums.bins is None else sums.bins.first
        layers.append({"name": name, "n_positions": sums.n_positions, "first_bin": first})
    header = {
        "threshold": profiles.threshold,
        "reduce": profiles.reduce,
        "class_names": profiles.class_names,
        "complete": profiles.complete,
        "firing_error": profiles.firing_error,
        "layers": layers,
    }
    return header, arrays


def from_arrays(header: Mapping[str, Any], arrays: Arrays) -> ClassProfiles:
    """The profiles of which `as_arrays` made these.

    Raises:
        ValueError: Parts that do not belong together.
    """
    counts = arrays["counts"]
    sums = {}
    for index, layer in enumerate(header["layers"]):
        kept: dict[str, Any] = {
            field.name: arrays.get(f"{index}/{files.stored_name(field.name)}")
            for field in fields(ClassMoments)
        }
        if kept["bins"] is not None:
            kept["bins"] = LogHistogram(layer["first_bin"], kept["bins"])
        kept["n_positions"] = layer["n_positions"]
        if kept["fired"] is None or len(kept["fired"]) != len(counts):
            raise ValueError(f"sums of layer {layer['name']!r}")
        sums[layer["name"]] = ClassMoments(**kept)
    if len(header["class_names"]) != len(counts):
        raise ValueError("a name for each class")
    return ClassProfiles(
        counts=counts,
        threshold=header["threshold"],
        reduce=header["reduce"],
        sums=sums,
        class_names=tuple(header["class_names"]),
        complete=header["complete"],
        firing_error=header["firing_error"],
    )


WHISKERS = 1.5  # times the interquartile range: Tukey 1977, "Exploratory data analysis"


OUTLIERS = 40  # of each class, those farthest from the box


@dataclass(frozen=True)
class BoxStatistics:
    """Box plot statistics of one unit by class. NaN for a class without samples.

    Attributes:
        counts: `(class,)` values that are not NaN.
        fives: `(class, 5)` float64: lower whisker, quartile, median, quartile, upper whisker.
            A whisker ends at the last value within 1.5 interquartile ranges of the box.
        min: `(class,)` the smallest value.
        max: `(class,)` the largest.
        outliers: For each class its values beyond the whiskers, the farthest 40 of them.
        n_outliers: `(class,)` how many there are.
        error: How far a quartile may be off: 0 where it comes of the values themselves.
    """

    counts: Integers
    fives: Doubles
    min: Doubles
    max: Doubles
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
                # Tukey 1977: whiskers end at the last value within the fences.
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


def sketched_box_statistics(sums: ClassMoments, unit: int) -> BoxStatistics:
    """Box statistics from the histogram, where the values themselves are not kept.

    Outliers are not told apart. A quartile is the value at its rank, rounded down, as that of
    `numpy.percentile(method="lower")`; `error` bounds what it may be off, which is half a bin
    or so, a sixteenth of the value.

    Raises:
        DataError: No histogram was gathered.
    """
    if sums.bins is None or sums.max is None:
        raise DataError("box statistics need the values or a histogram; neither was kept")
    bins = type(sums.bins)(sums.bins.first, sums.bins.counts[:, unit : unit + 1])
    quantiles = [bins.quantile(share) for share in (0, 0.25, 0.5, 0.75, 1)]
    estimates = np.stack([each[0][:, 0] for each in quantiles], axis=1)
    errors = [np.fmax(est - low, high - est)[:, 0] for est, low, high in quantiles[1:4]]
    # The largest value is known, and without maps the smallest: no estimate lies beyond.
    high = sums.max[:, unit]
    estimates = np.fmin(estimates, high[:, None])
    low = estimates[:, 0]
    if sums.n_positions == 1 and sums.min is not None:
        low = sums.min[:, unit]
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
        min=low,
        max=high,
        outliers=(np.zeros(0),) * n_classes,
        n_outliers=np.zeros(n_classes, np.int64),
        error=float(np.nanmax(error)) if np.isfinite(error).any() else 0.0,
    )
