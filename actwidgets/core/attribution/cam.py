"""Class activation maps: Grad-CAM, Grad-CAM++, Score-CAM, guided Grad-CAM."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from actwidgets.core.arrays import Array, Floats, Integers
from actwidgets.core.attribution.base import (
    Inputs,
    Method,
    MethodResult,
    Option,
    ScoreFunction,
    Steps,
    score_of,
)
from actwidgets.core.attribution.baselines import perturbed_batches
from actwidgets.errors import DataError, LayerError, ShapeError


def upsampled(maps: Array, sizes: Sequence[int]) -> Array:
    """Resize maps linearly along each position axis, as `tf.image.resize` does.

    Args:
        maps: `(sample, *position, …)` floating; axes behind the positions stay as they are.
        sizes: The new length of each position axis.

    Returns:
        The same axes, of the same dtype. NaN spreads to what is made of it.

    Raises:
        ShapeError: More sizes than axes, an axis of maps without a place, a size below one.

    Cost: one matrix product per axis; the map is never larger than the result.
    """
    if maps.ndim <= len(sizes):
        raise ShapeError(f"maps of shape {maps.shape} have no {len(sizes)} position axes")
    for axis, size in enumerate(sizes, start=1):
        if maps.shape[axis] != size:
            weights = interpolation(maps.shape[axis], size).astype(maps.dtype)
            maps = np.moveaxis(np.moveaxis(maps, axis, -1) @ weights.T, -1, axis)
    return maps


def interpolation(n_given: int, n_wanted: int) -> Array:
    """Matrix of linear interpolation, `(wanted, given)` float64.

    Places are the middles of equal parts of the same stretch; what lies beyond the first or the
    last middle is that place itself. Rows sum to one.

    Raises:
        ShapeError: Fewer than one place.
    """
    if n_given < 1 or n_wanted < 1:
        raise ShapeError(f"cannot bring {n_given} places to {n_wanted}: each must be at least 1")
    middles = (np.arange(n_wanted) + 0.5) * (n_given / n_wanted) - 0.5
    middles = np.clip(middles, 0, n_given - 1)
    return np.maximum(0, 1 - np.abs(middles[:, None] - np.arange(n_given)))


@dataclass(frozen=True)
class Overlay:
    """Resizes a layer's maps to one of the inputs.

    Attributes:
        name: Of the input.
        place: Which of the arrays of `Inputs` it is.
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
    model: ScoreFunction, points: Inputs, *, upsample: bool | None = None
) -> tuple[Overlay, ...]:
    """The inputs over which the maps of the layer lie, one or more; none without upsampling.

    Args:
        upsample: Whether a map is laid over inputs; None where it must be.

    Raises:
        LayerError: The layer has no position axes; its maps lie over no input.
    """
    axes = model.position_axes()
    if upsample is False:
        return ()
    if not axes:
        remedy = "ask for upsample=False to have the map as it is" if upsample else ""
        raise LayerError(
            f"the maps of layer {model.layer!r} lie over no input: none has as many position "
            f"axes; {remedy or 'name another layer'}"
        )
    return tuple(
        Overlay(name, index, points.arrays[index].shape[1:], axes[name])
        for index, name in enumerate(points.names)
        if name in axes
    )


UPSAMPLE = Option(
    "upsample", True, (True, False), "at the size of the input, or of the layer's own maps"
)


def over_inputs(
    maps: Array, scores: Floats, lying: Sequence[Overlay], note: str = ""
) -> MethodResult:
    """A class activation map `(sample, *position)` laid over inputs; as it is, if over none."""
    values = tuple(overlay.laid(maps) for overlay in lying)
    names = tuple(overlay.name for overlay in lying)
    return MethodResult(values or (maps,), scores, note=note, names=names)


def weighted_sum(maps: Array, weights: Array) -> Array:
    """ReLU of the weighted sum of maps.

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


def mean_gradients(maps: Array, gradients: Array) -> Array:
    """Grad-CAM's weight of each unit, `(sample, unit)`: its gradient averaged over positions."""
    return np.asarray(gradients.mean(axis=position_axes_of(gradients)))


def unit_weights(maps: Array, gradients: Array) -> Array:
    """Grad-CAM++'s weight of each unit, `(sample, unit)` (Chattopadhay et al. 2018, section 3.2).

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
    # alpha · max(Y', 0) is max(g, 0) / (2 + sum(A) g), but for exp(S).
    denominators = 2 + maps.sum(axis=positions, keepdims=True) * gradients
    rising = np.maximum(gradients, 0)
    shares = np.divide(rising, denominators, out=np.zeros_like(rising), where=denominators != 0)
    return shares.sum(axis=positions)


UnitWeights = Callable[[Array, Array], Array]  # of maps and the gradients at them


def grad_cam(
    model: ScoreFunction,
    points: Inputs,
    target: Integers,
    *,
    upsample: bool = True,
    weights: UnitWeights = mean_gradients,
) -> Steps:
    """ReLU of the sum over units of (weight of the unit) · map.

    Returns:
        `(sample, *position)` for each input that the map lies over, at its size; with
        `upsample=False` one at the layer's own. None is below zero.

    Raises:
        LayerError: A layer without positions, on which the score does not depend, or whose
            maps lie over no input.

    Cost: one forward pass, and one backward pass to the layer.
    """
    lying = overlays(model, points, upsample=upsample)
    yield 0, 1
    scores, maps = grad_cam_maps(model, points, target, weights)
    return over_inputs(maps, scores, lying)


def grad_cam_maps(
    model: ScoreFunction, points: Inputs, target: Integers, weights: UnitWeights = mean_gradients
) -> tuple[Floats, Array]:
    """The score of each target, and Grad-CAM at the layer's own size, `(sample, *position)`."""
    # Selvaraju et al. 2017, equations 1 and 2.
    scores, maps, gradients = model.map_gradients(points, target)
    maps, gradients = at_least_single(maps), at_least_single(gradients)
    return scores, weighted_sum(maps, weights(maps, gradients))


GRAD_CAM = Method(
    "grad_cam",
    "Grad-CAM",
    grad_cam,
    tells="Where the layer's maps are evidence for the class, at the layer's resolution.",
    source="Selvaraju et al. 2017, arXiv:1610.02391",
    options=(UPSAMPLE,),
    needs_layer=True,
    channels=False,
    signed=False,
)


GRAD_CAM_PLUS_PLUS = Method(
    "grad_cam_plus_plus",
    "Grad-CAM++",
    partial(grad_cam, weights=unit_weights),
    tells="Where the layer's maps are evidence for the class; small or several things count as "
    "much as one large thing.",
    source="Chattopadhay et al. 2018, arXiv:1710.11063",
    options=(UPSAMPLE,),
    needs_layer=True,
    channels=False,
    signed=False,
)


def score_cam(
    model: ScoreFunction,
    points: Inputs,
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
        upsample: Whether at the size of the inputs, as in `grad_cam`.
        max_units: Only so many units, those with the highest value in each sample; None for all.

    Raises:
        LayerError: A layer without positions, or whose maps lie over no input.
        DataError: `max_units` below one.
        ModelError: The model's output is no probability.

    Cost: a forward pass of every sample for every unit.
    """
    if max_units is not None and (not isinstance(max_units, int | np.integer) or max_units < 1):
        raise DataError(f"max_units must be a whole number above zero, or None; got {max_units!r}")
    lying = overlays(model, points)
    yield 0, 1
    scores = score_of(model.scores(points), target)
    maps = at_least_single(model.maps(points))
    nothing = np.zeros(maps.shape[:-1], maps.dtype)
    # The baseline of Wang et al. 2020: the input masked to nothing.
    least = score_of(model.scores(_masked(points, lying, nothing), "probability"), target)
    weights = np.zeros((len(points), maps.shape[-1]), maps.dtype)
    pairs = np.argwhere(_telling(maps, max_units))
    n_batches = -(-len(pairs) // model.batch_size)
    batches = perturbed_batches(len(pairs), 1, model.batch_size)
    for done, (rows, _) in enumerate(batches, start=1):
        yield done, n_batches + 1
        samples, units = pairs[rows].T
        seen = _masked(points.take(samples), lying, maps[samples, ..., units])
        # The channel-wise increase of confidence (Wang et al. 2020).
        confidence = score_of(model.scores(seen, "probability"), target[samples])
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


def _masked(points: Inputs, lying: Sequence[Overlay], maps: Array) -> Inputs:
    """Samples multiplied by a map each, `(sample, *position)`, scaled to 0..1."""
    arrays = list(points.arrays)
    for overlay in lying:
        mask = _in_unit_range(overlay.as_factor(maps))
        arrays[overlay.place] = arrays[overlay.place] * mask.astype(arrays[overlay.place].dtype)
    return points.moved(arrays)


def _telling(maps: Array, max_units: int | None) -> Array:
    """`(sample, unit)` whether a map is run: it is not flat, and among the highest."""
    positions = position_axes_of(maps)
    highest = maps.max(axis=positions)
    is_run = highest > maps.min(axis=positions)
    if max_units is not None:
        last = np.argsort(-np.where(is_run, highest, -np.inf), axis=1)[:, max_units:]
        np.put_along_axis(is_run, last, False, axis=1)
    return is_run


def _in_unit_range(maps: Array) -> Array:
    """Each map `(sample, …)` from its lowest to its highest value; 0 where it is flat."""
    positions = tuple(range(1, maps.ndim))
    low, high = maps.min(axis=positions, keepdims=True), maps.max(axis=positions, keepdims=True)
    span = high - low
    return np.divide(maps - low, span, out=np.zeros_like(maps), where=span != 0)


SCORE_CAM = Method(
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


def guided_grad_cam(model: ScoreFunction, points: Inputs, target: Integers) -> Steps:
    """Guided backprop times Grad-CAM at the size of the input.

    Returns:
        In the shape of each input that the layer's map lies over.

    Raises:
        LayerError: As of `grad_cam`.
        ModelError: As of `guided_backprop`.

    Cost: two forward and two backward passes, one of which ends at the layer.
    """
    lying = overlays(model, points)
    yield 0, 2
    scores, maps = grad_cam_maps(model, points, target)
    yield 1, 2
    _, gradients = model.gradients(points, target, guided=True)
    values = tuple(gradients[each.place] * each.as_factor(maps) for each in lying)
    names = tuple(each.name for each in lying)
    return MethodResult(values, scores, note=model.guided_note, names=names)


GUIDED_GRAD_CAM = Method(
    "guided_grad_cam",
    "Guided Grad-CAM",
    guided_grad_cam,
    tells="Guided backprop, shown only where Grad-CAM finds the class: the place depends on the "
    "class, the lines hardly do.",
    source="Selvaraju et al. 2017, arXiv:1610.02391",
    needs_layer=True,
)
