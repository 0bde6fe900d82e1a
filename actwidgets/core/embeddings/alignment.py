"""One picture of samples laid upon another, and several in a plane that they share."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import orthogonal_procrustes

from actwidgets.core.arrays import Array, Doubles, Floats, require_axes
from actwidgets.core.embeddings.embedding import Embedding
from actwidgets.errors import DataError

_LARGEST = 1e37  # float32 reaches a little further


@dataclass(frozen=True)
class Motion:
    """A turn, which may mirror, about one point, and a move of that point to another.

    Attributes:
        turn: `(2, 2)` float64, orthogonal.
        centre: `(2,)` float64.
        goal: `(2,)` float64.
    """

    turn: Doubles
    centre: Doubles
    goal: Doubles

    def moved(self, embedding: Embedding) -> Embedding:
        """The same distances between points, in another place."""
        if self is STAYING:
            return embedding
        points = (embedding.points.astype(np.float64) - self.centre) @ self.turn + self.goal
        return replace(embedding, points=np.clip(points, -_LARGEST, _LARGEST).astype(np.float32))


STAYING = Motion(np.eye(2), np.zeros(2), np.zeros(2))


def motion_onto(embedding: Embedding, to: Embedding) -> Motion:
    """How a picture is turned, mirrored and moved to lie on another as well as it can.

    Args:
        embedding: The picture that is turned.
        to: The one that stays; the samples that both show are laid upon each other.

    Returns:
        The motion. Two raw features keep their axes, and pictures without a common sample
        stay as they are.

    Reference: Schönemann 1966, orthogonal Procrustes; no scaling.
    """
    if "features" in (embedding.method, to.method):
        return STAYING
    _, mine, theirs = np.intersect1d(embedding.rows, to.rows, return_indices=True)
    if not len(mine):
        return STAYING
    points = embedding.points[mine].astype(np.float64)
    target = to.points[theirs].astype(np.float64)
    centre, goal = points.mean(axis=0), target.mean(axis=0)
    turn, _ = orthogonal_procrustes(points - centre, target - goal)
    return Motion(turn, centre, goal)


def align(embedding: Embedding, to: Embedding) -> Embedding:
    """Turn, mirror and move a picture so that it lies on another; see `motion_onto`."""
    return motion_onto(embedding, to).moved(embedding)


@dataclass(frozen=True)
class Plane:
    """Two directions in the space of features, found on some samples and used for others.

    Attributes:
        centre: `(feature,)` float64: the mean of the samples it was found on.
        axes: `(feature, 2)` float64, orthonormal columns; zero where there was no variance.
        name: What pictures in this plane have in common.
        told: What a reader should know of it.
    """

    centre: Doubles
    axes: Doubles
    name: str
    told: str

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
        if values.shape[1] != len(self.centre):
            raise DataError(
                f"the plane is one of {len(self.centre)} features; got {values.shape[1]}"
            )
        away = values - self.centre
        points = away @ self.axes
        spread = away - away.mean(axis=0) if len(away) else away
        total = float((spread**2).sum())
        shown = float(((spread @ self.axes) ** 2).sum())
        clipped = np.clip(points, -_LARGEST, _LARGEST).astype(np.float32)
        return clipped, shown / total if total else 0.0


def principal_plane(features: Array, name: str, told: str) -> Plane:
    """The plane of the two largest principal components of some samples.

    Args:
        features: `(sample, feature)`, any real dtype; samples with NaN or infinity are left out.
        name: Of the plane.
        told: What a reader should know of it.

    Cost: a singular value decomposition: 20 ms for 500 samples and 1,000 features.
    """
    values = require_axes(features, ("sample", "feature"), name="features").astype(np.float64)
    values = values[np.isfinite(values).all(axis=1)]
    n_features = values.shape[1]
    centre = values.mean(axis=0) if len(values) else np.zeros(n_features)
    axes = np.zeros((n_features, 2))
    if values.size:
        _, sizes, rows = np.linalg.svd(values - centre, full_matrices=False)
        n_found = min(2, int((sizes > 1e-9 * max(1.0, float(sizes[0]))).sum()))
        axes[:, :n_found] = rows[:n_found].T
        largest = np.abs(axes).argmax(axis=0)  # the sign of a component is free: pin it
        axes *= np.where(np.take_along_axis(axes, largest[None], 0) < 0, -1.0, 1.0)
    return Plane(centre, axes, name, told)
