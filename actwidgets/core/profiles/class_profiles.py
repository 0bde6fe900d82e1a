"""How the classes differ to the units of each layer."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from actwidgets.core.arrays import Doubles, Integers
from actwidgets.core.profiles import class_order, class_separation, value_bins
from actwidgets.core.profiles import similarity as metrics
from actwidgets.core.profiles.unit_findings import UnitFinding, find_units
from actwidgets.core.profiles.unit_statistics import UnitStatistics
from actwidgets.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

METRICS = (*metrics.METRICS, *value_bins.METRICS)


@dataclass(frozen=True)
class ClassProfiles(UnitStatistics):
    """What each unit of some layers does for each class, and how classes compare by it.

    Statistics are those of `UnitStatistics`, by layer: `firing_rate`, `mean`, `std`, `min`
    and `max` as `(class, unit)` float64, NaN for a class without samples; and `counts`,
    `(class,)` int64.
    """

    def similarity(
        self, layer: str, statistic: str = "firing_rate", metric: str = "mean_abs_diff"
    ) -> Doubles:
        """How far the classes are apart in one layer.

        Args:
            layer: A layer these profiles hold.
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
        if metric in value_bins.METRICS:
            self._require(layer)
            return value_bins.METRICS[metric](self._bins(layer).shares())
        if metric not in metrics.METRICS:
            raise DataError(f"no metric {metric!r}; there are {', '.join(METRICS)}")
        return metrics.distances(self.statistic(layer, statistic), metric)

    def ranking(
        self, layer: str, statistic: str = "firing_rate", metric: str = "mean_abs_diff"
    ) -> Integers:
        """`(class, class)` int64: row i, all classes from the nearest to i on, i first."""
        return metrics.ranking(self.similarity(layer, statistic, metric))

    def clustering(
        self, layer: str, statistic: str = "firing_rate", metric: str = "mean_abs_diff"
    ) -> class_order.Clustering:
        """The classes as a tree, like beside like; see `core/profiles/class_order.py`."""
        return class_order.cluster(self.similarity(layer, statistic, metric))

    def fisher_ratio(self, layer: str, classes: tuple[int | str, ...] | None = None) -> float:
        """How well a layer parts the classes: scatter between them over scatter within.

        Args:
            layer: A layer these profiles hold.
            classes: Names or indices of those to part; all that have samples by default.

        Returns:
            `trace(S_B) / trace(S_W)`; see `core/profiles/class_separation.py`. For maps, of their
            means over positions. NaN with fewer than two classes, or where no class has two
            samples. `class_separation.expected_by_chance` tells what it is of a layer that
            does not part the classes.

        Raises:
            LayerError: The profiles do not hold the layer.
            DataError: No such class, or `mean` and `std` were not gathered.
        """
        self._require(layer)
        rows = class_order.rows_of(classes, self.class_names)
        sums = self.sums[layer]
        return class_separation.fisher_ratio(
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
        """The statistics of one layer, a row per class and unit; see `profile_table.py`.

        Raises:
            LayerError: The profiles do not hold the layer.
        """
        from actwidgets.core.profiles.profile_table import as_table  # pandas takes a while to load

        self._require(layer)
        return as_table(self, layer)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the profiles to one `.npz` file, all of it or nothing.

        Raises:
            DataError: The file cannot be written (a full disk, no such folder); whatever
                was there before is still there.
        """
        from actwidgets.core.profiles import profile_files

        profile_files.save(self, path)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> "ClassProfiles":
        """Read profiles that `save` wrote; never runs code out of the file.

        Raises:
            DataError: No such file; a file that is cut off, of something else, or of a newer
                version than this one.
        """
        from actwidgets.core.profiles import profile_files

        return profile_files.load(path)
