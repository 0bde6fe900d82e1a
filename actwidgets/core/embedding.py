"""Samples as points in the plane: PCA, Procrustes alignment, features of inputs and layers."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import eigh, orthogonal_procrustes

from actwidgets.core.arrays import Array, Doubles, Floats, Integers, require_axes
from actwidgets.errors import DataError
from actwidgets.images.encode import is_image

METHODS = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP", "features": "two features"}
MAX_POINTS = 10_000  # more are neither told apart on a screen nor laid out in a minute
_EXACT_UP_TO = 1000  # features; of more the components are found by random projection
_LARGEST = 1e37  # float32 reaches a little further


@dataclass(frozen=True)
class Embedding:
    """Samples as points of the plane, by PCA, t-SNE, UMAP or two features.

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
    """Principal component scores of samples, and the share of variance of each component.

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
    centered, scale = _centered(values)
    n_found = min(n_components, n_samples, n_features)
    if not scale:
        return scores, shares
    if n_features <= _EXACT_UP_TO:
        components, shares[:n_found] = _exact_pca(centered, n_found)
    else:
        from sklearn.decomposition import PCA  # takes seconds to load

        model = PCA(n_found, svd_solver="randomized", iterated_power=7, random_state=0)
        components = model.fit_transform(centered)
        shares[:n_found] = model.explained_variance_ratio_
    components = components.astype(np.float64) * scale
    scores[:, :n_found] = np.clip(components, -_LARGEST, _LARGEST)
    return scores, shares


def _exact_pca(centered: Array, n_components: int) -> tuple[Array, Array]:
    """`pca` by the covariance of centered features: as scikit-learn's `covariance_eigh`.

    That one finds as many components as there are features, which takes ten times as long.
    """
    covariance = centered.T @ centered
    n_features = len(covariance)
    # By bisection: the default takes seconds of 784 pixels once TensorFlow has run.
    largest = n_features - n_components, n_features - 1
    variances, axes = eigh(covariance, subset_by_index=largest, driver="evx")
    if len(variances) < n_components:  # it counts wrongly where many are equal
        variances, axes = np.linalg.eigh(covariance)
    variances, axes = variances[: -n_components - 1 : -1], axes[:, : -n_components - 1 : -1]
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(n_components)])
    axes = axes * signs  # which leaves no choice of them
    return centered @ axes, np.maximum(variances, 0.0) / np.trace(covariance)


def two_features(features: Array) -> tuple[int, int]:
    """The feature that varies most, and the one that varies most beyond what the first tells.

    Args:
        features: `(sample, feature)`, any real dtype; NaN and infinity count as 0.

    Returns:
        Two indices; the same one twice where there is only one feature.
    """
    values = np.nan_to_num(features.astype(np.float64), posinf=0.0, neginf=0.0)
    centered, _ = _centered(values)
    first = int(np.argmax((centered**2).sum(axis=0)))
    length = float((centered[:, first] ** 2).sum())
    if length:
        slopes = centered[:, first] @ centered / length
        centered = centered - np.outer(centered[:, first], slopes)
    left = (centered**2).sum(axis=0)
    if left.size > 1:
        left[first] = -1.0
    return first, int(np.argmax(left))


def _centered(values: Array) -> tuple[Array, float]:
    """Features without their mean and divided by the largest, and that; 0 where none varies.

    Squares of large float32 would overflow.
    """
    if not values.size:
        return values, 0.0
    dtype = np.float64 if values.dtype == np.float64 else np.float32
    mean = values.mean(axis=0, dtype=np.float64)
    centered = np.subtract(values, mean, dtype=np.float64).astype(dtype)
    scale = float(np.abs(centered).max())
    varies = scale > 1e-6 * float(np.abs(mean).max())  # not rounding alone
    return (centered / dtype(scale), scale) if varies else (np.zeros_like(centered), 0.0)


@dataclass(frozen=True)
class RigidTransform:
    """Rotation, which may mirror, about a center, and a translation of the center.

    Attributes:
        rotation: `(2, 2)` float64, orthogonal.
        center: `(2,)` float64.
        target: `(2,)` float64.
    """

    rotation: Doubles
    center: Doubles
    target: Doubles

    def moved(self, embedding: Embedding) -> Embedding:
        """Apply the transform to an embedding."""
        if self is STAYING:
            return embedding
        points = (embedding.points.astype(np.float64) - self.center) @ self.rotation + self.target
        return replace(embedding, points=np.clip(points, -_LARGEST, _LARGEST).astype(np.float32))


STAYING = RigidTransform(np.eye(2), np.zeros(2), np.zeros(2))


def procrustes(embedding: Embedding, to: Embedding) -> RigidTransform:
    """The rigid transform that lays an embedding on another one (orthogonal Procrustes).

    Args:
        embedding: The picture that is turned.
        to: The one that stays; the samples that both show are laid upon each other.

    Returns:
        The transform. Two raw features keep their axes, and pictures without a common sample
        stay as they are.

    Reference: Schönemann 1966, orthogonal Procrustes; no scaling.
    """
    if "features" in (embedding.method, to.method):
        return STAYING
    # Only samples that both show can be laid upon each other.
    _, mine, theirs = np.intersect1d(embedding.rows, to.rows, return_indices=True)
    if not len(mine):
        return STAYING
    points = embedding.points[mine].astype(np.float64)
    others = to.points[theirs].astype(np.float64)
    center, target = points.mean(axis=0), others.mean(axis=0)
    rotation, _ = orthogonal_procrustes(points - center, others - target)
    return RigidTransform(rotation, center, target)


def align(embedding: Embedding, to: Embedding) -> Embedding:
    """Turn, mirror and move a picture so that it lies on another; see `procrustes`."""
    return procrustes(embedding, to).moved(embedding)


@dataclass(frozen=True)
class Plane:
    """A plane of principal components, found on some samples and used for others.

    Attributes:
        center: `(feature,)` float64: the mean of the samples it was found on.
        axes: `(feature, 2)` float64, orthonormal columns; zero where there was no variance.
        name: What pictures in this plane have in common.
        note: What a reader should know of it.
    """

    center: Doubles
    axes: Doubles
    name: str
    note: str

    def points_of(self, features: ArrayLike) -> tuple[Floats, float]:
        """Samples as points of this plane.

        Args:
            features: `(sample, feature)`, any real dtype, finite. Not modified.

        Returns:
            `(sample, 2)` float32, and the share of their variance that the plane shows; 0 where
            they have none.

        Raises:
            DataError: Another number of features than the plane has.
        """
        values = require_axes(features, ("sample", "feature"), name="features")
        if values.shape[1] != len(self.center):
            raise DataError(
                f"the plane is one of {len(self.center)} features; got {values.shape[1]}"
            )
        away = values - self.center
        points = away @ self.axes
        spread = away - away.mean(axis=0) if len(away) else away
        total = float((spread**2).sum())
        shown = float(((spread @ self.axes) ** 2).sum())
        clipped = np.clip(points, -_LARGEST, _LARGEST).astype(np.float32)
        return clipped, shown / total if total else 0.0


def principal_plane(features: Array, name: str, note: str) -> Plane:
    """The plane of the two largest principal components of some samples.

    Args:
        features: `(sample, feature)`, any real dtype; samples with NaN or infinity are left out.
        note: What a reader should know of it.

    Cost: a singular value decomposition: 20 ms for 500 samples and 1,000 features.
    """
    values = require_axes(features, ("sample", "feature"), name="features").astype(np.float64)
    values = values[np.isfinite(values).all(axis=1)]
    n_features = values.shape[1]
    center = values.mean(axis=0) if len(values) else np.zeros(n_features)
    axes = np.zeros((n_features, 2))
    if values.size:
        # Rows of V' are the principal axes; components of rounding alone are left at zero.
        _, sizes, rows = np.linalg.svd(values - center, full_matrices=False)
        n_found = min(2, int((sizes > 1e-9 * max(1.0, float(sizes[0]))).sum()))
        axes[:, :n_found] = rows[:n_found].T
        largest = np.abs(axes).argmax(axis=0)  # the sign of a component is free: pin it
        axes *= np.where(np.take_along_axis(axes, largest[None], 0) < 0, -1.0, 1.0)
    return Plane(center, axes, name, note)


@dataclass(frozen=True)
class Layout:
    """Method and settings of an embedding.

    Attributes:
        method: One of `METHODS`.
        seed: Of what is random.
        perplexity: How many neighbors count in t-SNE and UMAP, about.
        features: For the method "features": two columns; None for two that vary most.
        names: What a column of the features is called.
        picked: Whether only these two columns are read.
    """

    method: str
    seed: int = 0
    perplexity: float = 30.0
    features: tuple[int, int] | None = None
    names: Callable[[int], str] = str
    picked: bool = False


class Reference(Protocol):
    """Pictures of the same samples that a picture is to be compared with."""

    def plane(self) -> Plane:
        """The plane of principal components that all of them are drawn in."""

    def begin(self) -> tuple[Embedding, str] | None:
        """A picture to begin t-SNE at, and which it is in words; None where there is none."""


def coarsening(shape: tuple[int, ...], n_samples: int, budget_bytes: int) -> int:
    """The smallest step at which all samples fit a budget as float32.

    Args:
        n_samples: How many are kept.
        budget_bytes: What they may take.

    Returns:
        1 where they fit as they are; else the side of the blocks of pixels to average, or, of
        samples that are no images, of how many numbers one is kept.
    """
    step = 1
    while _n_features(shape, step) > 1 and n_samples * 4 * _n_features(shape, step) > budget_bytes:
        step += 1
    return step


def input_features(samples: Array, step: int = 1) -> Array:
    """Samples as vectors.

    Args:
        samples: `(sample, …)`, any real dtype. Not modified.
        step: From `coarsening`. Rows and columns beyond a whole number of blocks are left out.

    Returns:
        `(sample, feature)` float32.
    """
    values = samples.astype(np.float32)
    if step > 1 and is_image(samples.shape):
        rows, columns = (max(1, side // step) for side in samples.shape[1:3])
        high, wide = min(step, samples.shape[1]), min(step, samples.shape[2])
        cut = values[:, : rows * high, : columns * wide]
        blocks = cut.reshape(len(cut), rows, high, columns, wide, -1)
        return blocks.mean(axis=(2, 4)).reshape(len(cut), -1)
    return values.reshape(len(values), -1)[:, ::step]


def namer(shape: tuple[int, ...], names: Sequence[str] = ()) -> Callable[[int], str]:
    """What the numbers of an input are called: pixels by row and column.

    Args:
        names: One per number, where they have any.
    """

    def name(index: int) -> str:
        if len(names) == math.prod(shape):
            return names[index]
        if not is_image((None, *shape)):
            return f"number {index}"
        row, column, *channel = (int(each) for each in np.unravel_index(index, shape))
        words = f"pixel {index} (row {row}, column {column}"
        return f"{words}, channel {channel[0]})" if channel and shape[-1] > 1 else f"{words})"

    return name


def _n_features(shape: tuple[int, ...], step: int) -> int:
    if step > 1 and is_image((None, *shape)):
        rows, columns = (max(1, side // step) for side in shape[:2])
        return rows * columns * math.prod(shape[2:])
    return -(-math.prod(shape) // step)
