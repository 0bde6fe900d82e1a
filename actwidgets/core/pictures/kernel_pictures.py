"""Kernels as pictures: a picture per input channel, their mean, or colours."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actwidgets.core.arrays import Array, finite_range
from actwidgets.core.pictures.colormaps import NAN_COLOUR
from actwidgets.core.pictures.images import Pixels
from actwidgets.errors import DataError, LayerError, ShapeError

EACH, AVERAGE, RGB = "each channel", "average", "RGB"
MODES = (EACH, AVERAGE, RGB)


def modes_of(n_channels: int) -> tuple[str, ...]:
    """The modes that differ for kernels of so many input channels; `EACH` is always one."""
    if n_channels == 1:
        return (EACH,)
    return MODES if n_channels == 3 else (EACH, AVERAGE)


def kernel_pictures(
    kernels: ArrayLike, mode: str = EACH, input_shape: Sequence[int] | None = None
) -> Array:
    """The weights of a layer as pictures. Biases are no part of them.

    Args:
        kernels: `([depth,] row, column, in_channel, out_channel)`, as `aw.kernels` gives them.
            Not modified.
        mode: `"each channel"`; `"average"`: the mean over input channels; `"RGB"`: the three
            input channels, of which `kernel_colours` makes red, green and blue.
        input_shape: Of dense weights: what their inputs were before they were flattened, row
            by row: `(row, column)`, `(row, column, channel)` or `(depth, row, column,
            channel)`, as `dense_input_shape` tells it. None leaves them one position.

    Returns:
        `(channel, [depth,] row, column, unit)`, the weights as they are, of their dtype; one
        channel where they are averaged, and then the mean is NaN where any channel is.

    Raises:
        ShapeError: Another number of axes; dense weights that do not fill `input_shape`.
        LayerError: `"RGB"` where there are not three input channels.
        DataError: No such mode.
    """
    kernels = np.asarray(kernels)
    if kernels.ndim not in (4, 5):
        raise ShapeError(
            "kernels need the axes ([depth,] row, column, in_channel, out_channel); "
            f"got shape {kernels.shape}"
        )
    if input_shape is not None:
        kernels = _unflattened(kernels, tuple(input_shape))
    n_channels = kernels.shape[-2]
    if mode not in MODES:
        raise DataError(f"no mode {mode!r}; there are {', '.join(MODES)}")
    if mode == AVERAGE:
        return kernels.mean(axis=-2)[None]
    if mode == RGB and n_channels != 3:
        raise LayerError(f"RGB needs three input channels; these kernels have {n_channels}")
    return np.moveaxis(kernels, -2, 0)


def kernel_colours(pictures: ArrayLike, reach: float | None = None) -> Pixels:
    """Kernels of three input channels as colours, on one scale on which grey is zero.

    Args:
        pictures: `(3, [depth,] row, column, unit)` from `kernel_pictures`.
        reach: The weight that is as bright as can be; its negative is as dark as can be. The
            largest absolute value that is finite by default.

    Returns:
        `([depth,] row, column, unit, 3)` uint8: -reach to reach mapped linearly to 0 to 255
        and rounded, so that 0 is 128, clipped beyond; grey where all weights are 0. A place
        with a weight that is not finite has the colour that such values have in every map.

    Raises:
        ShapeError: Not three channels.
    """
    pictures = np.asarray(pictures)
    if not pictures.ndim or pictures.shape[0] != 3:
        raise ShapeError(f"colours need three channels in front; got shape {pictures.shape}")
    weights = np.moveaxis(pictures, 0, -1).astype(np.float64)
    lost = np.asarray(~np.isfinite(weights).all(axis=-1))
    reach = max(map(abs, finite_range(weights))) if reach is None else reach
    shares = (
        np.where(lost[..., np.newaxis], 0, weights) / reach if reach > 0 else np.zeros_like(weights)
    )
    colours: NDArray[np.uint8] = np.clip((shares + 1) * 127.5 + 0.5, 0, 255).astype(np.uint8)
    colours[lost] = NAN_COLOUR
    return colours


def _unflattened(kernels: Array, shape: tuple[int, ...]) -> Array:
    """Dense weights `(1, 1, input, unit)` with the axes that their inputs had."""
    *positions, n_inputs, n_units = kernels.shape
    if any(length != 1 for length in positions):
        raise ShapeError(
            f"input_shape is for dense weights, which have one position; got {kernels.shape}"
        )
    if len(shape) not in (2, 3, 4) or math.prod(shape) != n_inputs:
        raise ShapeError(
            f"input_shape {shape} is not ([depth,] row, column[, channel]) of the {n_inputs:,} "
            "inputs that these weights have"
        )
    axes: tuple[Any, ...] = (*shape, 1) if len(shape) == 2 else shape
    return kernels.reshape(*axes, n_units)
