"""What class activation maps have in common: of which layers they are, and over which inputs."""

from collections.abc import Mapping

import numpy as np

from actwidgets.core.arrays import Array, Floats
from actwidgets.core.attributions.attribution import Found
from actwidgets.core.attributions.method import Option
from actwidgets.core.attributions.model_slice import ModelSlice
from actwidgets.core.attributions.points import Points
from actwidgets.core.attributions.upsampling import upsampled
from actwidgets.errors import LayerError

UPSAMPLE = Option(
    "upsample", True, (True, False), "at the size of the input, or of the layer's own maps"
)


def sizes_over_inputs(
    slice_: ModelSlice, points: Points, upsample: bool = True
) -> dict[str, tuple[int, ...]]:
    """The lengths of the position axes of each input that a map can be laid over, by name.

    Empty where none is asked for.

    Raises:
        LayerError: The layer has no position axes; there is no input with as many.
    """
    axes = slice_.position_axes()
    if not upsample:
        return {}
    if not axes:
        raise LayerError(
            f"the maps of layer {slice_.layer!r} do not lie over any input: none has as many "
            "position axes; ask for upsample=False to have them as they are"
        )
    return {name: tuple(_array(points, name).shape[axis] for axis in axes[name]) for name in axes}


def over_inputs(
    maps: Array, scores: Floats, sizes: Mapping[str, tuple[int, ...]], note: str = ""
) -> Found:
    """A class activation map `(sample, *position)` laid over inputs of these sizes."""
    values = tuple(upsampled(maps, size) for size in sizes.values())
    return Found(values or (maps,), scores, note=note, names=tuple(sizes))


def weighted_sum(maps: Array, weights: Array) -> Array:
    """The part above zero of the sum of maps, each times its weight.

    Args:
        maps: `(sample, *position, unit)`.
        weights: `(sample, unit)`.

    Returns:
        `(sample, *position)`; NaN where a map or a weight is.
    """
    return np.maximum(np.einsum("n...k,nk->n...", maps, weights), 0)


def at_least_single(values: Array) -> Array:
    """The same values in float32, where they have less: sums of halves lose too much."""
    return values.astype(np.result_type(values.dtype, np.float32), copy=False)


def position_axes_of(maps: Array) -> tuple[int, ...]:
    """The axes of `(sample, *position, unit)` that run over positions."""
    return tuple(range(1, maps.ndim - 1))


def _array(points: Points, name: str) -> Array:
    return points.arrays[points.names.index(name)]
