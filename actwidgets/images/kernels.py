"""Weights of a layer as pictures."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actwidgets.core.arrays import Array, finite_range
from actwidgets.core.layers import LayerInfo
from actwidgets.errors import DataError, LayerError, ShapeError
from actwidgets.images.colormap import NAN_COLOR
from actwidgets.images.encode import Pixels

_CHANNEL_BY_CHANNEL = ("DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D")
_TRANSPOSED = ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
N_AXES = {"Dense": 2, "Conv1D": 3, "Conv2D": 4, "Conv3D": 5} | {
    "Conv1DTranspose": 3,
    "Conv2DTranspose": 4,
    "Conv3DTranspose": 5,
    "DepthwiseConv1D": 3,
    "DepthwiseConv2D": 4,
    "SeparableConv1D": 3,
    "SeparableConv2D": 4,
}


def sees_one_channel(kind: str) -> bool:
    """Whether each kernel of such a layer sees one input channel, a different one in turn."""
    return kind in _CHANNEL_BY_CHANNEL


def kernels_are_units(kind: str) -> bool:
    """Whether each kernel makes a unit. Those of separable layers are mixed into units."""
    return not kind.startswith("Separable")


def as_kernels(weights: ArrayLike, kind: str) -> NDArray[Any]:
    """Give the weights of a layer the axes `(row, column, in_channel, out_channel)`.

    Args:
        weights: As Keras holds them.
        kind: The layer's class, e.g. `Conv2D`.

    Returns:
        A view. One-dimensional kernels have one row, dense weights one position, volumes a
        depth axis in front. A depthwise kernel sees one input channel: that axis has length 1.

    Raises:
        LayerError: A layer without kernels.
    """
    weights = np.asarray(weights)
    if N_AXES.get(kind) != weights.ndim:
        raise LayerError(f"layers of type {kind} have no kernels")
    if kind in _TRANSPOSED:
        weights = weights.swapaxes(-1, -2)
    if kind in _CHANNEL_BY_CHANNEL:
        weights = weights.reshape(*weights.shape[:-2], 1, -1)
    return weights.reshape(*[1] * (4 - weights.ndim), *weights.shape)


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
            input channels, of which `kernel_colors` makes red, green and blue.
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


def kernel_colors(pictures: ArrayLike, reach: float | None = None) -> Pixels:
    """Kernels of three input channels as colors, on one scale on which gray is zero.

    Args:
        pictures: `(3, [depth,] row, column, unit)` from `kernel_pictures`.
        reach: The weight that is as bright as can be; its negative is as dark as can be. The
            largest absolute value that is finite by default.

    Returns:
        `([depth,] row, column, unit, 3)` uint8: -reach to reach mapped linearly to 0 to 255
        and rounded, so that 0 is 128, clipped beyond; gray where all weights are 0. A place
        with a weight that is not finite has the color that such values have in every map.

    Raises:
        ShapeError: Not three channels.
    """
    pictures = np.asarray(pictures)
    if not pictures.ndim or pictures.shape[0] != 3:
        raise ShapeError(f"colors need three channels in front; got shape {pictures.shape}")
    weights = np.moveaxis(pictures, 0, -1).astype(np.float64)
    lost = np.asarray(~np.isfinite(weights).all(axis=-1))
    reach = max(map(abs, finite_range(weights))) if reach is None else reach
    shares = (
        np.where(lost[..., np.newaxis], 0, weights) / reach if reach > 0 else np.zeros_like(weights)
    )
    colors: NDArray[np.uint8] = np.clip((shares + 1) * 127.5 + 0.5, 0, 255).astype(np.uint8)
    colors[lost] = NAN_COLOR
    return colors


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


# fmt: off
# Every value comes out where it went in.
KEEPS_ORDER = frozenset((
    "Activation", "ActivityRegularization", "AlphaDropout", "BatchNormalization", "Dropout", "ELU",
    "GaussianDropout", "GaussianNoise", "Identity", "InputLayer", "LayerNormalization",
    "LeakyReLU", "Masking", "Normalization", "PReLU", "ReLU", "Rescaling", "Softmax",
    "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "ThresholdedReLU",
    "UnitNormalization",
))
FLATTENS = frozenset(("Flatten", "Reshape"))
# With one of these in a model the layer before in the list need not be the one that feeds.
MERGES = frozenset((
    "Add", "AdditiveAttention", "Attention", "Average", "Concatenate", "Dot",
    "GroupedQueryAttention", "Maximum", "Minimum", "MultiHeadAttention", "Multiply", "Stack",
    "Subtract", "TFOpLambda",
))
# fmt: on


def dense_input_shape(
    layers: Sequence[LayerInfo], name: str, n_inputs: int, picture_shape: Sequence[int] = ()
) -> tuple[int, ...] | None:
    """The shape that the inputs of a dense layer had before they were flattened.

    Args:
        layers: All layers, in the model's order.
        name: The dense layer's.
        n_inputs: How many weights each of its units has.
        picture_shape: Rows and columns of the samples' pictures; () where they are none.

    Returns:
        `(row, column, channel)` of the picture that the model takes, where nothing but layers
        that keep the order of values lies before the dense one; or of the map that the layer
        before was flattened from, `(1, time, channel)` of a sequence and `(depth, row, column,
        channel)` of a volume. None where there was none, and wherever it is in doubt: another
        kind of layer, numbers of values that do not match, shapes that are not known, channels
        in front, several ways through the model that could feed the layer.
    """
    place = next((place for place, layer in enumerate(layers) if layer.name == name), None)
    if place is None or layers[place].kind != "Dense" or len(layers[place].output_shape) != 2:
        return None
    branches = any(layer.kind in MERGES for layer in layers)
    expected: tuple[int | None, ...] | None = (n_inputs,)
    for layer in reversed(_feeding(layers[: place + 1])):
        shape = layer.output_shape[1:]
        if ":" in layer.name or (shape != expected if expected else _size(shape) != n_inputs):
            return None
        if layer.kind in KEEPS_ORDER:
            expected = shape
        elif layer.kind in FLATTENS and expected == (n_inputs,):
            expected = None
        elif expected == (n_inputs,):
            return None
        else:
            map_shape = _of_map(layer, n_inputs)
            doubtful = branches or sum(other.kind in FLATTENS for other in layers) > 1
            rivals = {_of_map(other, n_inputs) for other in layers[:place]} - {None, map_shape}
            return None if doubtful and rivals else map_shape
    return None if branches else _of_picture(n_inputs, picture_shape)


def _feeding(layers: Sequence[LayerInfo]) -> list[LayerInfo]:
    """What comes before the last layer, without the sub-models that it lies in.

    A sub-model stands in the list before its layers, of which the last is what it puts out.
    """
    inner, feeding = layers[-1].name, list[LayerInfo]()
    for layer in reversed(layers[:-1]):
        if not inner.startswith(f"{layer.name}/"):
            feeding.append(layer)
            inner = layer.name
    return feeding[::-1]


def _size(shape: Sequence[int | None]) -> int | None:
    """How many values; None where a length varies."""
    lengths = [length for length in shape if length is not None]
    return math.prod(lengths) if len(lengths) == len(shape) else None


def _of_map(info: LayerInfo, n_values: int) -> tuple[int, ...] | None:
    """The shape of a layer's output as `([depth,] row, column, channel)`, if it has so many."""
    shape = info.output_shape[1:]
    if len(shape) not in (2, 3, 4) or info.unit_axis != -1 or _size(shape) != n_values:
        return None
    known = tuple(length for length in shape if length is not None)
    return (1, *known) if len(known) == 2 else known


def _of_picture(n_values: int, picture_shape: Sequence[int]) -> tuple[int, ...] | None:
    """Rows, columns and channels of the model's own input, if it has so many values."""
    n_places = math.prod(picture_shape) if len(picture_shape) == 2 else 0
    if not n_places or n_values % n_places:
        return None
    return (picture_shape[0], picture_shape[1], n_values // n_places)
