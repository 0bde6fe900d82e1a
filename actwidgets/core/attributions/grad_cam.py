"""Grad-CAM: the maps of a layer, added up by how much the score rises with each of them."""

from actwidgets.core.arrays import Array, Floats, Integers
from actwidgets.core.attributions.class_activation import (
    UPSAMPLE,
    at_least_single,
    over_inputs,
    overlays_wanted,
    position_axes_of,
    weighted_sum,
)
from actwidgets.core.attributions.method import Method, Steps
from actwidgets.core.attributions.model_slice import ModelSlice
from actwidgets.core.attributions.points import Points


def grad_cam(
    slice_: ModelSlice, points: Points, target: Integers, *, upsample: bool = True
) -> Steps:
    """ReLU of the sum over units of (mean gradient at the unit's map) · map.

    Args:
        slice_: The model, with a layer that has positions.
        points: The samples.
        target: `(sample,)`.
        upsample: Whether at the size of the inputs.

    Returns:
        `(sample, *position)` for each input that the map lies over, none below zero.

    Raises:
        LayerError: A layer without positions, on which the score does not depend, or whose
            maps lie over no input.

    Cost: one forward pass, and one backward pass to the layer.
    """
    wanted = overlays_wanted(slice_, points, upsample)
    yield 0, 1
    scores, maps = grad_cam_maps(slice_, points, target)
    return over_inputs(maps, scores, wanted)


def grad_cam_maps(slice_: ModelSlice, points: Points, target: Integers) -> tuple[Floats, Array]:
    """The score of each target, and Grad-CAM at the layer's own size, `(sample, *position)`."""
    scores, maps, gradients = slice_.map_gradients(points, target)
    weights = at_least_single(gradients).mean(axis=position_axes_of(gradients))
    return scores, weighted_sum(at_least_single(maps), weights)


METHOD = Method(
    "grad_cam",
    "Grad-CAM",
    grad_cam,
    tells="Where the layer's maps speak for the class, at the layer's resolution.",
    source="Selvaraju et al. 2017, arXiv:1610.02391",
    options=(UPSAMPLE,),
    needs_layer=True,
    channels=False,
    signed=False,
)
