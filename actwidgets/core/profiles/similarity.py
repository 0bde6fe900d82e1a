"""How far the classes are apart, given one row of unit statistics per class."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import pdist, squareform

from actwidgets.core.arrays import require_axes
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
