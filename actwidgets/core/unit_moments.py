"""Sums per class and unit: gathered from a batch, and merged exactly."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actwidgets.core.arrays import Array
from actwidgets.errors import ShapeError

Reduce = Literal["any", "mean"]
PerUnit = NDArray[np.float64]  # (class, unit)


@dataclass(frozen=True)
class UnitMoments:
    """Sums per class and unit from which every statistic of one layer follows.

    All arrays are `(class, unit)`. `fired` counts samples (`reduce="any"`) or positions
    (`reduce="mean"`), `n_valid` the samples whose value is not NaN, `n_nan` the NaN values.
    `squares` is the sum of squared differences from `mean`.

    Reference: Chan, Golub and LeVeque 1979, "Updating formulae and a pairwise algorithm for
    computing sample variances", equation 2.1.
    """

    fired: NDArray[np.int64]
    n_valid: NDArray[np.int64]
    n_nan: NDArray[np.int64]
    mean: PerUnit
    squares: PerUnit
    low: PerUnit
    high: PerUnit
    n_positions: int

    @classmethod
    def empty(cls, n_classes: int, n_units: int, n_positions: int) -> "UnitMoments":
        """The moments of no samples."""
        shape = (n_classes, n_units)
        return cls(
            fired=np.zeros(shape, np.int64),
            n_valid=np.zeros(shape, np.int64),
            n_nan=np.zeros(shape, np.int64),
            mean=np.zeros(shape),
            squares=np.zeros(shape),
            low=np.full(shape, np.nan),
            high=np.full(shape, np.nan),
            n_positions=n_positions,
        )

    def merge(self, other: "UnitMoments") -> "UnitMoments":
        """The moments of the samples of both.

        Raises:
            ShapeError: They differ in classes or units.
        """
        if self.mean.shape != other.mean.shape:
            raise ShapeError(
                f"moments of shapes (class, unit) {self.mean.shape} and {other.mean.shape} "
                f"do not merge"
            )
        n_valid = self.n_valid + other.n_valid
        share = other.n_valid / np.maximum(n_valid, 1)
        with np.errstate(invalid="ignore"):  # infinite means
            step = other.mean - self.mean
            inner = self.mean + step * share
            mean = np.where(np.isfinite(step), inner, self.mean + other.mean)
            between = step**2 * self.n_valid * share
        return UnitMoments(
            fired=self.fired + other.fired,
            n_valid=n_valid,
            n_nan=self.n_nan + other.n_nan,
            mean=mean,
            squares=self.squares + other.squares + between,
            low=np.fmin(self.low, other.low),
            high=np.fmax(self.high, other.high),
            n_positions=self.n_positions,
        )


def batch_moments(
    outputs: ArrayLike,
    labels: NDArray[np.int64],
    n_classes: int,
    *,
    threshold: float = 0.0,
    reduce: Reduce = "any",
) -> UnitMoments:
    """The moments of one batch of one layer's outputs.

    Args:
        outputs: `(sample, …, unit)`, any real dtype.
        labels: `(sample,)` class indices.
        n_classes: Number of classes.
        threshold: A value above it fires. NaN does not.
        reduce: `"any"` counts samples with a position that fires, `"mean"` the positions.

    Infinity is a value: it fires where it is positive, makes the mean infinite (NaN where
    both signs meet) and the squares NaN.

    Raises:
        ShapeError: Maps without positions.

    Cost: a few passes over `outputs`; the reductions over positions dominate.
    """
    values = _by_position(outputs)
    _, n_positions, n_units = values.shape
    nan = np.isnan(values)
    n_valid = n_positions - nan.sum(axis=1)  # (sample, unit)
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        if fully := bool((n_valid == n_positions).all()):
            means = values.mean(axis=1, dtype=np.float64)
        else:
            means = np.where(nan, 0, values).sum(axis=1, dtype=np.float64) / np.maximum(n_valid, 1)
    low, high = np.fmin.reduce(values, axis=1), peaks(values)
    limit = high.dtype.type(threshold)  # half precision would round it
    fired = high > limit if reduce == "any" else (values > limit).sum(axis=1)
    result = UnitMoments.empty(n_classes, n_units, n_positions)
    for index in np.unique(labels):
        mine = labels == index
        valid = n_valid[mine] > 0
        count = valid.sum(axis=0)
        with np.errstate(invalid="ignore"):
            mean = np.where(valid, means[mine], 0).sum(axis=0) / np.maximum(count, 1)
            squares = (np.where(valid, means[mine] - mean, 0) ** 2).sum(axis=0)
        result.fired[index] = fired[mine].sum(axis=0)
        result.n_valid[index] = count
        result.n_nan[index] = 0 if fully else nan[mine].sum(axis=(0, 1))
        result.mean[index] = mean
        result.squares[index] = squares
        result.low[index] = np.fmin.reduce(low[mine], axis=0)
        result.high[index] = np.fmax.reduce(high[mine], axis=0)
    return result


def peaks(outputs: ArrayLike) -> Array:
    """The largest value of each unit on each sample: what decides whether it fires.

    Args:
        outputs: `(sample, …, unit)`.

    Returns:
        `(sample, unit)` float32, or float64 where float32 cannot hold the values; NaN only
        where every position is NaN.

    Raises:
        ShapeError: Maps without positions.
    """
    values = _by_position(outputs)
    return np.fmax.reduce(values, axis=1).astype(np.result_type(values, np.float32))


def _by_position(outputs: ArrayLike) -> Array:
    """The outputs as `(sample, position, unit)`."""
    outputs = np.asarray(outputs)
    n_units = outputs.shape[-1] if outputs.ndim > 1 else 1
    n_positions = math.prod(outputs.shape[1:-1])
    if n_positions == 0:
        raise ShapeError(f"outputs of shape {outputs.shape} have no positions")
    return outputs.reshape(len(outputs), n_positions, n_units)
