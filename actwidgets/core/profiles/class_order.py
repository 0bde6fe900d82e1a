"""In which order classes stand beside each other, and the tree that says why."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.cluster.hierarchy import dendrogram, linkage
from scipy.spatial.distance import squareform

from actwidgets.core.arrays import Doubles, Integers
from actwidgets.errors import DataError

OPTIMAL_UP_TO = 400  # classes; ordering the leaves takes seconds beyond


@dataclass(frozen=True)
class Clustering:
    """Classes merged pair by pair, the nearest first.

    Attributes:
        order: `(class,)` int64: all classes, like beside like; those without distances last.
        joins: `(join, 4, 2)` float64: each join as a line of four points, place and height.
            Place 0 is the middle of the first class in `order`.
    """

    order: Integers
    joins: Doubles


def cluster(matrix: ArrayLike) -> Clustering:
    """Average-linkage clustering, its leaves ordered so that neighbours are most alike.

    Args:
        matrix: `(class, class)` distances; a class whose row is NaN is left out of the tree.

    Cost: O(class³) for the best order of the leaves, which is looked for up to 400 classes;
    beyond, the order is that in which the classes were joined.

    References: Sokal and Michener 1958 (average linkage); Bar-Joseph, Gifford and Jaakkola
    2001, "Fast optimal leaf ordering for hierarchical clustering".
    """
    matrix = np.asarray(matrix, np.float64)
    known = np.flatnonzero(np.isfinite(np.diag(matrix)))
    inner = matrix[np.ix_(known, known)]
    related = np.isfinite(inner).all(axis=1)
    known, inner = known[related], inner[np.ix_(related, related)]
    left_out = np.setdiff1d(np.arange(len(matrix)), known)
    if len(known) < 2:
        return Clustering(np.concatenate([known, left_out]), np.zeros((0, 4, 2)))
    tree = linkage(
        squareform(inner, checks=False), "average", optimal_ordering=len(known) <= OPTIMAL_UP_TO
    )
    drawn = dendrogram(tree, no_plot=True)
    places = (np.array(drawn["icoord"]) - 5) / 10  # scipy puts leaves at 5, 15, 25, …
    joins = np.stack([places, np.array(drawn["dcoord"])], axis=2)
    return Clustering(np.concatenate([known[drawn["leaves"]], left_out]), joins)


def rows_of(classes: Sequence[int | str] | None, class_names: Sequence[str]) -> Integers:
    """Indices of classes that are given by name or by index; all of them for None.

    Raises:
        DataError: No such class.
    """
    if classes is None:
        return np.arange(len(class_names))
    rows = []
    for each in classes:
        if isinstance(each, str) and each in class_names:
            rows.append(list(class_names).index(each))
        elif not isinstance(each, str) and 0 <= each < len(class_names):
            rows.append(int(each))
        else:
            raise DataError(f"no class {each!r}; there are {', '.join(class_names)}")
    return np.array(rows, np.int64)


def nearest_pairs(matrix: ArrayLike, limit: int) -> Integers:
    """The pairs of different classes that are nearest to each other.

    Args:
        matrix: `(class, class)` distances, symmetric; NaN is no distance.
        limit: How many pairs at most.

    Returns:
        `(pair, 2)` int64, the lower index first, the nearest pair first.
    """
    matrix = np.asarray(matrix, np.float64)
    rows, columns = np.triu_indices(len(matrix), 1)
    far = matrix[rows, columns]
    known = np.flatnonzero(~np.isnan(far))
    if len(known) > limit:
        known = known[np.argpartition(far[known], limit - 1)[:limit]]
    best = known[np.argsort(far[known], kind="stable")]
    return np.stack([rows[best], columns[best]], axis=1).astype(np.int64)
