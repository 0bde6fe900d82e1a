"""Weights of a layer as pictures: which axis is which, whatever the layer calls them."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actwidgets.errors import LayerError

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
