"""A map laid over an input: at its size, its positions along the right axes."""

from dataclasses import dataclass

import numpy as np

from actwidgets.core.arrays import Array
from actwidgets.core.attributions.model_slice import ModelSlice
from actwidgets.core.attributions.points import Points
from actwidgets.core.attributions.upsampling import upsampled
from actwidgets.errors import LayerError


@dataclass(frozen=True)
class Overlay:
    """One input over which the maps of a layer lie.

    Attributes:
        name: Of the input.
        place: Which of the arrays of `Points` it is.
        shape: Of that array behind the sample axis.
        axes: Of the array, in the order of the position axes of the map.
    """

    name: str
    place: int
    shape: tuple[int, ...]
    axes: tuple[int, ...]

    def laid(self, maps: Array) -> Array:
        """Maps `(sample, *position)` at the size of the input, position axes in its order."""
        order = np.argsort(self.axes)
        turned = maps.transpose(0, *(order + 1))
        return upsampled(turned, [self.shape[axis - 1] for axis in sorted(self.axes)])

    def as_factor(self, maps: Array) -> Array:
        """The same with an axis of length 1 for each other axis of the input: to multiply it."""
        others = tuple({*range(1, len(self.shape) + 1)} - {*self.axes})
        return np.expand_dims(self.laid(maps), others)


def overlays(
    slice_: ModelSlice, points: Points, otherwise: str = "name another layer"
) -> tuple[Overlay, ...]:
    """The inputs over which the maps of the layer lie, one or more.

    Args:
        slice_: The model, with a layer.
        points: The samples.
        otherwise: What to do where there is none, as the end of a sentence.

    Raises:
        LayerError: The layer has no position axes; its maps lie over no input.
    """
    axes = slice_.position_axes()
    if not axes:
        raise LayerError(
            f"the maps of layer {slice_.layer!r} lie over no input: none has as many position "
            f"axes; {otherwise}"
        )
    return tuple(
        Overlay(name, place, points.arrays[place].shape[1:], axes[name])
        for place, name in enumerate(points.names)
        if name in axes
    )
