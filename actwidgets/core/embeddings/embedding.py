"""Samples as points in the plane: which of them, and where."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core.arrays import Array, Doubles, Floats, Integers, require_axes
from actwidgets.errors import DataError

METHODS = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP", "features": "two features"}
MAX_POINTS = 10_000  # more are neither told apart on a screen nor laid out in a minute
_EXACT_UP_TO = 1000  # features; of more the components are found by random projection
_LARGEST = 1e37  # float32 reaches a little further


@dataclass(frozen=True)
class Embedding:
    """Samples as points.

    Attributes:
        points: `(point, 2)` float32, finite.
        rows: `(point,)` int64: the sample of each point, rising.
        method: One of `METHODS`.
        of: "input" or the name of a layer.
        note: What a reader should know of it: variance explained, what was left out.
        features: For the method "features", the two that were drawn; else None.
        plane: What pictures share whose points lie in the same plane; "" for one of its own.
    """

    points: Floats
    rows: Integers
    method: str
    of: str
    note: str
    features: tuple[int, int] | None = None
    plane: str = ""


def even_rows(n_samples: int, n_points: int) -> Integers:
    """At most `n_points` of the rows `0..n_samples-1`, evenly spread, the first among them.

    Raises:
        DataError: `n_points` is not in 1..10,000.
    """
    if not 1 <= n_points <= MAX_POINTS:
        raise DataError(f"n_points must be in 1..{MAX_POINTS:,}; got {n_points}")
    count = min(n_samples, n_points)
    return np.arange(count, dtype=np.int64) * n_samples // max(count, 1)


def finite_rows(features: Array) -> Array:
    """`(sample,)` bool: whether a sample's features hold neither NaN nor infinity."""
    return np.asarray(np.isfinite(features).all(axis=1))


def pca(features: ArrayLike, n_components: int = 2) -> tuple[Floats, Doubles]:
    """Scores of samples on the principal components of their features.

    Args:
        features: `(sample, feature)`, any real dtype, finite. Not modified.
        n_components: How many components.

    Returns:
        `(sample, n_components)` float32 scores, the component of largest variance first, and
        `(n_components,)` float64, the share of the whole variance that each holds. Zeros for
        components that there are not: of constant features, of one sample, of one feature.

    Cost: exact by the covariance for up to 1,000 features; beyond that by seeded random
    projections, which agree with it to float32. The same input gives the same scores.
    """
    values = require_axes(features, ("sample", "feature"), name="features")
    n_samples, n_features = values.shape
    scores = np.zeros((n_samples, n_components), np.float32)
    shares = np.zeros(n_components)
    centred, scale = _centred(values)
    n_found = min(n_components, n_samples, n_features)
    if not scale:
        return scores, shares
    solver = "covariance_eigh" if n_features <= _EXACT_UP_TO else "randomized"
    from sklearn.decomposition import PCA  # takes seconds to load

    model = PCA(n_found, svd_solver=solver, iterated_power=7, random_state=0)
    found = model.fit_transform(centred).astype(np.float64) * scale
    scores[:, :n_found] = np.clip(found, -_LARGEST, _LARGEST)
    shares[:n_found] = model.explained_variance_ratio_
    return scores, shares


def two_features(features: Array) -> tuple[int, int]:
    """The feature that varies most, and the one that varies most beyond what the first tells.

    Args:
        features: `(sample, feature)`, any real dtype; NaN and infinity count as 0.

    Returns:
        Two indices; the same one twice where there is only one feature.
    """
    values = np.nan_to_num(features.astype(np.float64), posinf=0.0, neginf=0.0)
    centred, _ = _centred(values)
    first = int(np.argmax((centred**2).sum(axis=0)))
    length = float((centred[:, first] ** 2).sum())
    if length:
        told = centred[:, first] @ centred / length
        centred = centred - np.outer(centred[:, first], told)
    left = (centred**2).sum(axis=0)
    if left.size > 1:
        left[first] = -1.0
    return first, int(np.argmax(left))


def _centred(values: Array) -> tuple[Array, float]:
    """Features without their mean and divided by the largest, and that; 0 where none varies.

    Squares of large float32 would overflow.
    """
    if not values.size:
        return values, 0.0
    dtype = np.float64 if values.dtype == np.float64 else np.float32
    mean = values.mean(axis=0, dtype=np.float64)
    centred = np.subtract(values, mean, dtype=np.float64).astype(dtype)
    scale = float(np.abs(centred).max())
    varies = scale > 1e-6 * float(np.abs(mean).max())  # not rounding alone
    return (centred / dtype(scale), scale) if varies else (np.zeros_like(centred), 0.0)
