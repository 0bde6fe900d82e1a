"""What a layer puts out for each sample, with the positions of maps folded away."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core.arrays import Array, Integers
from actwidgets.errors import ShapeError


@dataclass(frozen=True)
class SampleSummary:
    """One layer on one batch: a few numbers per sample and unit, from which profiles follow.

    All arrays are `(sample, unit)`.

    Attributes:
        high: The largest value at any position; NaN only where every position is.
        mean: The mean over positions that are not NaN; 0 where there are none.
        low: The smallest value at any position, or None where it was not asked for.
        n_above: Positions above the threshold, or None where they were not asked for.
        n_nan: Positions that are NaN, or None where there are none at all.
        n_positions: Positions of the map; 1 for a layer without.
    """

    high: Array
    mean: Array
    low: Array | None = None
    n_above: Integers | None = None
    n_nan: Integers | None = None
    n_positions: int = 1

    def take(self, rows: Integers) -> "SampleSummary":
        """The same of some samples; one may come several times."""
        low, n_above, n_nan = (
            None if each is None else each[rows] for each in (self.low, self.n_above, self.n_nan)
        )
        high, mean = self.high[rows], self.mean[rows]
        return SampleSummary(high, mean, low, n_above, n_nan, self.n_positions)


def summarise(outputs: ArrayLike, threshold: float | None = None) -> SampleSummary:
    """Fold the positions of one batch of one layer's outputs.

    Args:
        outputs: `(sample, …, unit)`, any real dtype; `(sample,)` is one unit.
        threshold: Count the positions above it; None counts none.

    Infinity is a value. NaN is left out of every number and counted.

    Raises:
        ShapeError: Maps without positions.

    Cost: a pass over `outputs` per number.
    """
    values = _by_position(outputs)
    n_positions = values.shape[1]
    nan = np.isnan(values)
    n_above: Integers | None = None
    if threshold is not None:
        above: Array = values > values.dtype.type(threshold)
        n_above = above.sum(axis=1, dtype=np.int64)
    n_nan: Integers | None = None
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        if nan.any():
            n_nan = nan.sum(axis=1, dtype=np.int64)
            total = np.where(nan, 0, values).sum(axis=1, dtype=np.float64)
            mean = total / np.maximum(n_positions - n_nan, 1)
        else:
            mean = values.mean(axis=1, dtype=np.float64)
    return SampleSummary(
        high=np.fmax.reduce(values, axis=1),
        mean=mean,
        low=np.fmin.reduce(values, axis=1),
        n_above=n_above,
        n_nan=n_nan,
        n_positions=n_positions,
    )


def _by_position(outputs: ArrayLike) -> Array:
    """The outputs as `(sample, position, unit)`, float32 or float64."""
    outputs = np.asarray(outputs)
    n_units = outputs.shape[-1] if outputs.ndim > 1 else 1
    n_positions = math.prod(outputs.shape[1:-1])
    if n_positions == 0:
        raise ShapeError(f"outputs of shape {outputs.shape} have no positions")
    dtype = np.result_type(outputs, np.float32)
    return outputs.reshape(len(outputs), n_positions, n_units).astype(dtype, copy=False)
