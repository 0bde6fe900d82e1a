"""Distances between classes, their order by clustering, and how well a layer separates them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.cluster.hierarchy import dendrogram, linkage
from scipy.spatial.distance import pdist, squareform

from actwidgets.core.arrays import Doubles, Integers, require_axes
from actwidgets.errors import DataError, ShapeError

Matrix = NDArray[np.float64]


def mean_abs_diff(rows: ArrayLike) -> Matrix:
    """Sum over units of `abs(p_i - p_j)`, divided by the number of units.

    Args:
        rows: `(class, unit)`; a row with a NaN stands for a class that has no value.

    Returns:
        `(class, class)` float64, symmetric, zero diagonal; NaN in the row and the column of
        a class that has none.
    """
    rows = _rows(rows)
    return _distances(rows, "cityblock") / max(rows.shape[1], 1)


def euclidean(rows: ArrayLike) -> Matrix:
    """Euclidean distance; axes and NaN as in `mean_abs_diff`."""
    return _distances(_rows(rows), "euclidean")


def cosine(rows: ArrayLike) -> Matrix:
    """One minus the cosine of the angle; axes and NaN as in `mean_abs_diff`.

    A row of zeros has no direction: NaN, "no activity", rather than 0.
    """
    rows = _rows(rows).copy()
    rows[~rows.any(axis=1)] = np.nan
    return _distances(rows, "cosine")


def correlation(rows: ArrayLike) -> Matrix:
    """One minus Pearson's correlation over units; axes and NaN as in `mean_abs_diff`.

    A row that is the same for every unit has no correlation: NaN.
    """
    rows = _rows(rows).copy()
    rows[(rows == rows[:, :1]).all(axis=1)] = np.nan
    return _distances(rows, "correlation")


METRICS: dict[str, Callable[[ArrayLike], Matrix]] = {
    "mean_abs_diff": mean_abs_diff,
    "cosine": cosine,
    "correlation": correlation,
    "euclidean": euclidean,
}


def distances(rows: ArrayLike, metric: str = "mean_abs_diff") -> Matrix:
    """Distance of every pair of rows by the metric of that name.

    Raises:
        DataError: No such metric.
    """
    if metric not in METRICS:
        raise DataError(f"no metric {metric!r}; there are {', '.join(METRICS)}")
    return METRICS[metric](rows)


def ranking(matrix: ArrayLike) -> NDArray[np.int64]:
    """For each class, all classes from the nearest to the farthest.

    Args:
        matrix: `(class, class)` distances.

    Returns:
        `(class, class)` int64. Row i begins with i; ties go to the lower index; classes at a
        distance of NaN come last.

    Raises:
        ShapeError: The matrix is not square.
    """
    matrix = np.array(require_axes(matrix, ("class", "class"), name="matrix"), dtype=np.float64)
    if len(matrix) != matrix.shape[1]:
        raise ShapeError(f"matrix needs as many columns as rows; got shape {matrix.shape}")
    np.fill_diagonal(matrix, -np.inf)
    return np.argsort(matrix, axis=1, kind="stable").astype(np.int64)  # numpy puts NaN last


def tells_apart(matrix: ArrayLike) -> bool:
    """Whether distances rank anything: some pair of classes differs from another pair.

    Args:
        matrix: `(class, class)` distances; NaN is no distance.

    Returns:
        Of two classes, whether they differ. False with fewer than two that have a distance.
    """
    matrix = np.asarray(matrix, np.float64)
    between = matrix[np.triu_indices(len(matrix), 1)]
    known = between[~np.isnan(between)]
    if len(known) < 2:
        return bool(known.any())
    return bool(known.max() > known.min())


def _rows(rows: ArrayLike) -> Matrix:
    return require_axes(rows, ("class", "unit"), name="rows").astype(np.float64, copy=False)


def _distances(rows: Matrix, metric: str) -> Matrix:
    known = np.isfinite(rows).all(axis=1)
    matrix = np.full((len(rows), len(rows)), np.nan)
    if known.any():
        present = rows[known]
        matrix[np.ix_(known, known)] = squareform(pdist(present, metric))
    return matrix


OPTIMAL_UP_TO = 400  # classes; ordering the leaves takes seconds beyond


@dataclass(frozen=True)
class Clustering:
    """A dendrogram of classes and the order of its leaves.

    Attributes:
        order: `(class,)` int64: all classes, like beside like; those without distances last.
        joins: `(join, 4, 2)` float64: each join as a line of four points, place and height.
            Place 0 is the middle of the first class in `order`.
    """

    order: Integers
    joins: Doubles


def cluster(matrix: ArrayLike) -> Clustering:
    """Average-linkage clustering, its leaves ordered so that neighbors are most alike.

    Args:
        matrix: `(class, class)` distances; a class whose row is NaN is left out of the tree.

    Cost: O(class³) for the best order of the leaves, which is looked for up to 400 classes;
    beyond, the order is that in which the classes were joined.

    References: Sokal and Michener 1958 (average linkage); Bar-Joseph, Gifford and Jaakkola
    2001, "Fast optimal leaf ordering for hierarchical clustering".
    """
    matrix = np.asarray(matrix, np.float64)
    known = np.flatnonzero(np.isfinite(np.diag(matrix)))
    # A class without distances to some other one has no place in the tree.
    inner = matrix[np.ix_(known, known)]
    related = np.isfinite(inner).all(axis=1)
    known, inner = known[related], inner[np.ix_(related, related)]
    left_out = np.setdiff1d(np.arange(len(matrix)), known)
    if len(known) < 2:
        return Clustering(np.concatenate([known, left_out]), np.zeros((0, 4, 2)))
    # Average linkage, then the order of leaves with the least distance between neighbors.
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
    for class_ in classes:
        if isinstance(class_, str) and class_ in class_names:
            rows.append(list(class_names).index(class_))
        elif not isinstance(class_, str) and 0 <= class_ < len(class_names):
            rows.append(int(class_))
        else:
            raise DataError(f"no class {class_!r}; there are {', '.join(class_names)}")
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


def fisher_ratio(mean: ArrayLike, std: ArrayLike, n_samples: ArrayLike) -> float:
    """Fisher ratio: scatter between classes over scatter within, `trace(S_B) / trace(S_W)`.

    Args:
        mean: `(class, unit)`; NaN where there is no sample, which is left out.
        std: `(class, unit)`, ddof 0.
        n_samples: `(class, unit)` samples behind each mean.

    Returns:
        At least 0; `expected_by_chance` of a layer that does not part the classes at all. It
        is infinite where no class varies but the classes differ. NaN with fewer than two
        classes, where nothing varies, and where no class has two samples: how far samples of
        one class scatter is then not known.

    Reference: Fisher 1936, "The use of multiple measurements in taxonomic problems";
    Fukunaga 1990, "Introduction to statistical pattern recognition", section 10.2.
    """
    means: Doubles = np.asarray(mean, np.float64)
    weights: Doubles = np.asarray(n_samples, np.float64)
    if np.count_nonzero(weights.any(axis=1)) < 2 or weights.max(initial=0) < 2:
        return float("nan")
    means = np.where(np.isnan(means), 0, means)
    spread: Doubles = np.nan_to_num(np.asarray(std, np.float64))
    with np.errstate(invalid="ignore", divide="ignore"):  # infinite activations
        # Fukunaga 1990, section 10.2: scatter about the common mean, and within.
        middle = (weights * means).sum(axis=0) / np.maximum(weights.sum(axis=0), 1)
        between = float((weights * (means - middle) ** 2).sum())
        within = float((weights * spread**2).sum())
        return float(np.float64(between) / np.float64(within))


def expected_by_chance(counts: ArrayLike) -> float:
    """The Fisher ratio expected of classes that do not differ.

    With C classes and N samples in all, scatter between the means has C - 1 degrees of freedom
    and scatter within the classes N - C, so that the ratio is about (C - 1) / (N - C): 1.0
    where classes have two samples each.

    Args:
        counts: `(class,)` samples of each class; classes without samples do not count.

    Returns:
        At least 0; infinite where no class has two samples, NaN with fewer than two classes.

    Reference: Fukunaga 1990, "Introduction to statistical pattern recognition", section 10.2.
    """
    sizes: Doubles = np.asarray(counts, np.float64)
    n_classes = np.count_nonzero(sizes)
    if n_classes < 2:
        return float("nan")
    free = float(sizes.sum()) - n_classes
    return (n_classes - 1) / free if free else float("inf")
