"""Grad-CAM++: as Grad-CAM, with positions weighted so that small and several objects count."""

import numpy as np

from actwidgets.core.arrays import Array, Integers
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


def grad_cam_plus_plus(
    slice_: ModelSlice, points: Points, target: Integers, *, upsample: bool = True
) -> Steps:
    """ReLU of the sum over units of (sum of alpha · positive gradient) · map.

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
    scores, maps, gradients = slice_.map_gradients(points, target)
    maps, gradients = at_least_single(maps), at_least_single(gradients)
    return over_inputs(weighted_sum(maps, unit_weights(maps, gradients)), scores, wanted)


def unit_weights(maps: Array, gradients: Array) -> Array:
    """The weight of each unit, `(sample, unit)`.

    The paper differentiates Y = exp(S), S being the score. Where the rest of the network is
    piecewise linear the derivatives of Y by a place A of a map are exp(S) times g, g², g³, with
    g = dS/dA, so that

        alpha = Y'' / (2 Y'' + sum(A) Y''') = g² / (2 g² + sum(A) g³) = 1 / (2 + sum(A) g)

    with the sum over all positions of the map, and the weight is the sum of alpha · max(Y', 0).
    Its factor exp(S), one number for a sample, is left out: it may overflow, and changes only
    how bright the map is as a whole. `output="probability"` takes g of the probability.

    Args:
        maps: `(sample, *position, unit)`.
        gradients: dS/dA, the same shape.

    Returns:
        Weights of which those of units with maps above zero are not negative. A place where
        the denominator is zero has alpha 0.
    """
    positions = position_axes_of(maps)
    denominators = 2 + maps.sum(axis=positions, keepdims=True) * gradients
    rising = np.maximum(gradients, 0)
    shares = np.divide(rising, denominators, out=np.zeros_like(rising), where=denominators != 0)
    return shares.sum(axis=positions)


METHOD = Method(
    "grad_cam_plus_plus",
    "Grad-CAM++",
    grad_cam_plus_plus,
    tells="Where the layer's maps speak for the class; small or several things count as much as "
    "one large thing.",
    source="Chattopadhay et al. 2018, arXiv:1710.11063",
    options=(UPSAMPLE,),
    needs_layer=True,
    channels=False,
    signed=False,
)
