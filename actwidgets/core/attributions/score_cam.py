"""Score-CAM: the maps of a layer, added up by what each shows the model when it is a mask."""

from collections.abc import Sequence

import numpy as np

from actwidgets.core.arrays import Array, Integers
from actwidgets.core.attributions.class_activation import (
    UPSAMPLE,
    at_least_single,
    over_inputs,
    position_axes_of,
    weighted_sum,
)
from actwidgets.core.attributions.method import Method, Option, Steps
from actwidgets.core.attributions.model_slice import ModelSlice, score_of
from actwidgets.core.attributions.overlay import Overlay, overlays
from actwidgets.core.attributions.points import Points
from actwidgets.core.attributions.variants import in_batches
from actwidgets.errors import DataError


def score_cam(
    slice_: ModelSlice,
    points: Points,
    target: Integers,
    *,
    upsample: bool = True,
    max_units: int | None = None,
) -> Steps:
    """ReLU of the sum over units of (increase of confidence) · map.

    The increase of confidence is the probability of the target where the input is multiplied
    by the unit's map, brought to the input's size and to 0..1, less that where the input is
    all zero. This is how the paper defines its weights. Its algorithm scores by logits, and so
    has to bring the weights to a common scale by a softmax over the units, by which a map that
    changes nothing counts too. Probabilities need none: a flat map, which hides everything,
    has weight 0.

    Args:
        slice_: The model, with a layer that has positions.
        points: The samples.
        target: `(sample,)`.
        upsample: Whether at the size of the inputs.
        max_units: Only so many units, those with the highest value in each sample; None for all.

    Returns:
        `(sample, *position)` for each input that the map lies over, none below zero.

    Raises:
        LayerError: A layer without positions, or whose maps lie over no input.
        DataError: `max_units` below one.
        ModelError: The model's output is no probability.

    Cost: a forward pass of every sample for every unit.
    """
    if max_units is not None and (not isinstance(max_units, int | np.integer) or max_units < 1):
        raise DataError(f"max_units must be a whole number above zero, or None; got {max_units!r}")
    lying = overlays(slice_, points)
    yield 0, 1
    scores = score_of(slice_.scores(points), target)
    maps = at_least_single(slice_.maps(points))
    nothing = np.zeros(maps.shape[:-1], maps.dtype)
    least = score_of(slice_.scores(_masked(points, lying, nothing), "probability"), target)
    weights = np.zeros((len(points), maps.shape[-1]), maps.dtype)
    pairs = np.argwhere(_telling(maps, max_units))
    n_batches = -(-len(pairs) // slice_.batch_size)
    batches = in_batches(len(pairs), 1, slice_.batch_size)
    for done, (rows, _) in enumerate(batches, start=1):
        yield done, n_batches + 1
        samples, units = pairs[rows].T
        seen = _masked(points.take(samples), lying, maps[samples, ..., units])
        confidence = score_of(slice_.scores(seen, "probability"), target[samples])
        weights[samples, units] = confidence - least[samples]
    note, n_units = "", maps.shape[-1]
    if max_units is not None and max_units < n_units:
        note = f"{max_units} of {n_units} units, those with the highest values, were looked at."
    positions = position_axes_of(maps)
    n_flat = int((maps.max(positions) == maps.min(positions)).all(axis=1).sum())
    if n_flat:
        flat = (
            f"For {n_flat} of {len(points)} samples every map of the layer is the same at all "
            "places: none can be a mask, and the values are 0 because nothing was looked at."
        )
        note = f"{note} {flat}".strip()
    return over_inputs(weighted_sum(maps, weights), scores, lying if upsample else (), note)


def _masked(points: Points, lying: Sequence[Overlay], maps: Array) -> Points:
    """Samples multiplied by a map each, `(sample, *position)`, once it reaches from 0 to 1."""
    arrays = list(points.arrays)
    for overlay in lying:
        mask = _in_unit_range(overlay.as_factor(maps))
        arrays[overlay.place] = arrays[overlay.place] * mask.astype(arrays[overlay.place].dtype)
    return points.moved(arrays)


def _telling(maps: Array, max_units: int | None) -> Array:
    """`(sample, unit)` whether a map is run: it is not flat, and among the highest."""
    positions = position_axes_of(maps)
    highest = maps.max(axis=positions)
    found = highest > maps.min(axis=positions)
    if max_units is not None:
        last = np.argsort(-np.where(found, highest, -np.inf), axis=1)[:, max_units:]
        np.put_along_axis(found, last, False, axis=1)
    return found


def _in_unit_range(maps: Array) -> Array:
    """Each map `(sample, …)` from its lowest to its highest value; 0 where it is flat."""
    positions = tuple(range(1, maps.ndim))
    low, high = maps.min(axis=positions, keepdims=True), maps.max(axis=positions, keepdims=True)
    span = high - low
    return np.divide(maps - low, span, out=np.zeros_like(maps), where=span != 0)


METHOD = Method(
    "score_cam",
    "Score-CAM",
    score_cam,
    tells="Where the layer's maps, laid over the input as a mask, raise the class's probability.",
    source="Wang et al. 2020, arXiv:1910.01279",
    options=(
        UPSAMPLE,
        Option("max_units", None, (None, 16, 64, 256), "those with the highest values", "all"),
    ),
    needs_layer=True,
    channels=False,
    signed=False,
)
