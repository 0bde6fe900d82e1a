"""Checks and scalings shared by the rest of the package. Arrays in, arrays out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actwidgets.errors import ShapeError

Array = NDArray[Any]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]


def require_axes(array: ArrayLike, axes: Sequence[str], *, name: str = "array") -> Array:
    """Return `array` as an ndarray after checking how many axes it has.

    Args:
        array: Anything numpy can read.
        axes: Names of the expected axes, e.g. `("sample", "row", "column", "unit")`.
        name: What the caller calls this array; used in the message.

    Raises:
        ShapeError: The number of axes differs.
    """
    array = np.asarray(array)
    if array.ndim != len(axes):
        wanted = ", ".join(axes)
        raise ShapeError(f"{name} needs {len(axes)} axes ({wanted}); got shape {array.shape}")
    return array


def as_maps(outputs: ArrayLike, depth: int | None = None) -> Array:
    """Give the output of any layer the axes `(sample, row, column, unit)`.

    Args:
        outputs: `(sample,)`, `(sample, unit)`, `(sample, time, unit)`,
            `(sample, row, column, unit)` or `(sample, depth, row, column, unit)`.
        depth: Which slice of a volume is taken; the middle one by default.

    Returns:
        A view of the same values. Scalars are one unit, vectors are maps of one position,
        and sequences are one row in which time runs to the right.

    Raises:
        ShapeError: More than five axes, or none; a slice that the volume does not have.
    """
    outputs = np.asarray(outputs)
    if outputs.ndim == 1:
        return outputs[:, None, None, None]
    if outputs.ndim == 2:
        return outputs[:, None, None, :]
    if outputs.ndim == 3:
        return outputs[:, None, :, :]
    if outputs.ndim == 4:
        return outputs
    if outputs.ndim == 5:
        n_slices = outputs.shape[1]
        chosen = n_slices // 2 if depth is None else depth
        if not 0 <= chosen < max(n_slices, 1):
            raise ShapeError(f"slice {chosen} is outside 0..{n_slices - 1}")
        return outputs[:, chosen] if n_slices else outputs.reshape(0, 0, 0, outputs.shape[-1])
    raise ShapeError(f"no picture for a layer output with {outputs.ndim} axes: {outputs.shape}")


def finite_range(values: ArrayLike) -> tuple[float, float]:
    """The smallest and the largest finite value; `(0.0, 0.0)` where there is none."""
    values = np.asarray(values)
    if values.size == 0:
        return 0.0, 0.0
    low, high = values.min(), values.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        finite = values[np.isfinite(values)]
        if finite.size == 0:
            return 0.0, 0.0
        low, high = finite.min(), finite.max()
    return float(low), float(high)


def to_unit_range(
    values: ArrayLike, *, low: float | None = None, high: float | None = None
) -> Floats:
    """Scale finite values linearly so that `low` maps to 0 and `high` to 1.

    Args:
        values: Any shape, any real dtype. Not modified.
        low: Value mapped to 0; the smallest finite value when omitted.
        high: Value mapped to 1; the largest finite value when omitted.

    Returns:
        float32 array of the same shape, clipped to 0..1. Non-finite input becomes NaN, so
        that a view can paint it in a colour of its own. Where all finite values are equal
        the result is 0 everywhere: a constant map is dark, not an error.
    """
    values = np.asarray(values)
    values = values.astype(np.result_type(values, np.float32), copy=False)
    least, most = finite_range(values)
    low = least if low is None else low
    high = most if high is None else high
    finite = np.isfinite(values)
    span = high - low
    if span > 0:
        scaled = np.clip((np.where(finite, values, 0) - low) / span, 0, 1)
    else:
        scaled = np.zeros(values.shape, np.float32)
    return np.where(finite, scaled, np.nan).astype(np.float32)
