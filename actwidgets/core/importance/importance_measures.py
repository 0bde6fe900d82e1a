"""How much units tell of the class, measured by scikit-learn, a piece at a time."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core.arrays import Array, Doubles, require_axes
from actwidgets.errors import ShapeError

SEED = 0
TREES = 100  # as many as scikit-learn grows unless told otherwise


class GrowingForest:
    """A random forest that predicts the class from the units, grown tree by tree.

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
        last = self.n_grown + 1 == self.n_trees
        self._forest.set_params(n_estimators=self.n_grown + 1, oob_score=last)
        self._forest.fit(self._values, self._labels)
        self.n_grown += 1
        self.importance = self._forest.feature_importances_
        if last:
            self.out_of_bag_accuracy = float(self._forest.oob_score_)


def mutual_information(values: ArrayLike, labels: ArrayLike) -> float:
    """What one unit tells of the class, in nats.

    As `mutual_info_classif(values[:, None], labels, random_state=0)`: from the distances to
    the three nearest neighbours (Kraskov 2004, Ross 2014). Alone, because the noise by which
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
