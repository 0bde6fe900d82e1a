"""What class activation maps have in common: of which layers they are, and over which inputs."""

import math
from collections.abc import Sequence

import numpy as np

from actwidgets.core.arrays import Array, Floats
from actwidgets.core.attributions.attribution import Found
from actwidgets.core.attributions.method import Option
from actwidgets.core.attributions.model_slice import ModelSlice
from actwidgets.core.attributions.overlay import Overlay, overlays
from actwidgets.core.attributions.points import Points

UPSAMPLE = Option(
    "upsample", True, (True, False), "at the size of the input, or of the layer's own maps"
)


def overlays_wanted(slice_: ModelSlice, points: Points, upsample: bool) -> tuple[Overlay, ...]:
    """The inputs that a map is to be laid over; none where it is wanted as it is.

    Raises:
        LayerError: The layer has no position axes; there is no input with as many.
    """
    if upsample:
        return overlays(slice_, points, "ask for upsample=False to have the map as it is")
    slice_.position_axes()  # refuses a layer without any
    return ()


def over_inputs(maps: Array, scores: Floats, wanted: Sequence[Overlay], note: str = "") -> Found:
    """A class activation map `(sample, *position)` laid over inputs; as it is, if over none."""
    values = tuple(overlay.laid(maps) for overlay in wanted)
    names = tuple(overlay.name for overlay in wanted)
    return Found(values or (maps,), scores, note=note, names=names)


def weighted_sum(maps: Array, weights: Array) -> Array:
    """The part above zero of the sum of maps, each times its weight.

    Args:
        maps: `(sample, *position, unit)`.
        weights: `(sample, unit)`.

    Returns:
        `(sample, *position)`; NaN where a map or a weight is.
    """
    flat = maps.reshape(len(maps), math.prod(maps.shape[1:-1]), maps.shape[-1])
    return np.maximum((flat @ weights[..., None]).reshape(maps.shape[:-1]), 0)


def at_least_single(values: Array) -> Array:
    """The same values in float32, where they have less: sums of halves lose too much."""
    return values.astype(np.result_type(values.dtype, np.float32), copy=False)


def position_axes_of(maps: Array) -> tuple[int, ...]:
    """The axes of `(sample, *position, unit)` that run over positions."""
    return tuple(range(1, maps.ndim - 1))
