"""Importance of units for the class, by three measures side by side."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core.accumulators import SampleSummary
from actwidgets.core.arrays import Array, Doubles, Floats, Integers, require_axes
from actwidgets.errors import DataError, ShapeError

if TYPE_CHECKING:
    import pandas as pd

MEASURES = ("forest", "mutual_information", "ablation")
UNITS_UP_TO = 256  # units that are measured; beyond it those that vary most
SAMPLES_UP_TO = 2000

CAVEATS: Mapping[str, str] = {
    "forest": (
        "Units that say the same share what one of them would get, so a low figure need not "
        "mean that a unit knows little; units with many different values are preferred to "
        "units with few, such as rarely firing ones (Strobl 2007)."
    ),
    "mutual_information": (
        "Each unit is looked at alone: it tells neither what several know together nor whether "
        "the model uses it. Estimated from nearest neighbors, so it is off by some hundredths; "
        "what comes out below zero is shown as 0."
    ),
    "ablation": (
        "Only what the other units cannot make good: two units that say the same may both show "
        "0. A unit is put at zero, which may lie outside everything it ever does; the drop is "
        "then the model's surprise as well."
    ),
}


@dataclass(frozen=True, eq=False)
class ImportanceTable:
    """Unit importance of one layer by random forest, mutual information and ablation.

    Every figure is NaN where it is not known: not yet, not of this unit, or not at all, and
    then `notes` tell why.

    Attributes:
        layer: Name of the layer.
        class_name: The class that is told from the rest; None where all are told apart.
        forest: `(unit,)` float64 mean decrease of impurity in a random forest that predicts
            the class from the units; sums to 1, or is 0 throughout where it found nothing.
        mutual_information: `(unit,)` float64 between the unit and the class, in nats.
        ablation: `(unit,)` float64 accuracy that is lost when the unit is switched off, or
            recall of the class where one is chosen. Above 0: the unit is needed. Below: the
            model does better without it.
        measured: The units that are measured, ascending; all, or those that vary most.
        seconds: What each measure has cost so far; "reading" is what all of them share.
        n_samples: Samples that are read, evenly over all; the ablation is of these.
        n_total: Samples that there are.
        n_finite: Samples that forest and mutual information are of: without NaN and infinity.
        n_ablated: Samples that the ablation is of: those of the class where one is chosen.
        n_trees: Trees that the forest has so far.
        out_of_bag_accuracy: How often the forest is right on samples that a tree has not
            seen; NaN before its last tree.
        majority_share: How often one is right who always says the most frequent class.
        baseline: Accuracy or recall before anything is switched off.
        stage: What is measured at the moment: "reading" or one of the measures.
        complete: Whether nothing is to come.
        seconds_left: How long the rest will take, about.
        notes: What was left out, and why something is not known, in plain sentences.
    """

    layer: str
    class_name: str | None
    forest: Doubles
    mutual_information: Doubles
    ablation: Doubles
    measured: Integers
    seconds: Mapping[str, float]
    n_samples: int
    n_total: int
    n_finite: int
    n_ablated: int
    n_trees: int
    out_of_bag_accuracy: float
    majority_share: float
    baseline: float
    stage: str
    complete: bool
    seconds_left: float
    notes: tuple[str, ...] = ()

    @property
    def n_units(self) -> int:
        """Units that the layer has."""
        return len(self.forest)

    @property
    def caveats(self) -> Mapping[str, str]:
        """What each measure does not tell, in plain sentences."""
        return CAVEATS

    def of(self, measure: str) -> Doubles:
        """One of the measures, `(unit,)` float64.

        Raises:
            DataError: No such measure.
        """
        if measure not in MEASURES:
            raise DataError(f"no measure {measure!r}; there are {', '.join(MEASURES)}")
        values: Doubles = getattr(self, measure)
        return values

    def known(self, measure: str) -> bool:
        """Whether a measure is known of every unit that is measured, and there are some."""
        return bool(self.measured.size) and not np.isnan(self.of(measure)[self.measured]).any()

    def order(self, by: str = "forest") -> Integers:
        """The units from the most important to the least.

        Args:
            by: One of the measures, or `"unit"` for the units as they are numbered.

        Returns:
            `(unit,)` int64 unit indices. Ties go to the lower index; units of which the
            measure is not known come last.

        Raises:
            DataError: No such measure.
        """
        if by == "unit":
            return np.arange(self.n_units)
        return np.argsort(-self.of(by), kind="stable").astype(np.int64)  # numpy puts NaN last

    def to_dataframe(self) -> "pd.DataFrame":
        """One row per unit, one column per measure."""
        import pandas as pd  # takes a while to load

        columns = {measure: self.of(measure) for measure in MEASURES}
        return pd.DataFrame(columns, index=pd.RangeIndex(self.n_units, name="unit"))


SEED = 0
TREES = 100  # as many as scikit-learn grows unless told otherwise


class GrowingForest:
    """Random forest importance of units, grown tree by tree.

    Grown to its end it is the forest that
    `RandomForestClassifier(n_trees, random_state=0, oob_score=True)` fits in one go.

    Args:
        values: `(sample, unit)`, finite.
        labels: `(sample,)` class indices.
        n_trees: How many trees it gets.

    Raises:
        ShapeError: Another number of axes, or lengths that differ.
    """

    def __init__(self, values: ArrayLike, labels: ArrayLike, n_trees: int = TREES) -> None:
        self._values, self._labels = _matching(values, labels)
        self.n_trees, self.n_grown = n_trees, 0
        self.importance: Doubles = np.full(self._values.shape[1], np.nan)
        self.out_of_bag_accuracy = float("nan")
        self._forest: Any = None
        self._by_tree: list[Doubles] = []  # scikit-learn's own figure asks every tree again

    def grow(self) -> None:
        """Add a tree; nothing where all have grown.

        Of samples of one class the importance is 0 throughout, and nothing is right out of
        the bag that would not be right anyway: the accuracy stays NaN.
        """
        if self.n_grown >= self.n_trees:
            return
        if len(np.unique(self._labels)) < 2 or not self._values.shape[1]:
            self.importance = np.zeros(self._values.shape[1])
            self.n_grown = self.n_trees
            return
        if self._forest is None:
            from sklearn.ensemble import RandomForestClassifier  # takes a third of a second

            self._forest = RandomForestClassifier(0, random_state=SEED, warm_start=True)
        # `warm_start` adds a tree; the out-of-bag score is worked out once, with the last.
        last = self.n_grown + 1 == self.n_trees
        self._forest.set_params(n_estimators=self.n_grown + 1, oob_score=last)
        self._forest.fit(self._values, self._labels)
        self.n_grown += 1
        tree = self._forest.estimators_[-1]
        if tree.tree_.node_count > 1:
            self._by_tree.append(tree.feature_importances_)
            mean = np.mean(self._by_tree, axis=0)
            self.importance = mean / (mean.sum() or 1.0)  # 0 where no split has gained anything
        elif not self._by_tree:
            self.importance = np.zeros(self._values.shape[1])
        if last:
            self.out_of_bag_accuracy = float(self._forest.oob_score_)


def mutual_information(values: ArrayLike, labels: ArrayLike) -> float:
    """Mutual information of one unit and the class, in nats.

    As `mutual_info_classif(values[:, None], labels, random_state=0)`: from the distances to
    the three nearest neighbors (Kraskov 2004, Ross 2014). Alone, because the noise by which
    scikit-learn parts equal values would otherwise depend on the other units.

    Args:
        values: `(sample,)`, finite.
        labels: `(sample,)` class indices.

    Returns:
        0 where the unit is constant or all samples are of one class; NaN where fewer than
        two classes have two samples or more, as it cannot be told then, or without samples.
    """
    units, labels = _matching(np.asarray(values)[..., None], labels)
    counts = np.unique(labels, return_counts=True)[1]
    if not counts.size:
        return float("nan")
    if len(counts) == 1 or (units == units[0]).all():
        return 0.0
    if np.count_nonzero(counts > 1) < 2:
        return float("nan")
    from sklearn.feature_selection import mutual_info_classif

    return float(mutual_info_classif(units, labels, random_state=SEED)[0])


def _matching(values: ArrayLike, labels: ArrayLike) -> tuple[Array, Array]:
    values = require_axes(values, ("sample", "unit"), name="values")
    labels = require_axes(labels, ("sample",), name="labels")
    if len(values) != len(labels):
        raise ShapeError(f"values of {len(values)} samples need as many labels; got {len(labels)}")
    return values, labels


class UnitValues:
    """A unit's mean over the positions of its map, or its value where it has no map.

    Args:
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
        self.is_zero &= ((mean == 0) & (np.asarray(summary.max) == 0)).all(axis=0)
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
        sentences = []
        if n_units - n_odd > limit:
            sentences.append(f"Measured are the {limit} of {n_units:,} units that vary most.")
        if n_odd:
            sentences.append(f"Units left out, as they are never finite: {n_odd:,}.")
        if n_left:
            sentences.append(
                "Samples left out of forest and mutual information, as some unit is NaN or "
                f"infinite: {n_left:,}."
            )
        return tuple(sentences)

    def forget(self) -> None:
        """Let go of the values; how many samples were finite stays known."""
        self._values = self._values[:0]
