"""Evaluation of attributions: deletion and insertion curves, parameter randomization."""

import math
import warnings
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core.arrays import Array, Integers
from actwidgets.core.attribution.base import (
    Attribution,
    Inputs,
    Method,
    Progress,
    ScoreFunction,
    score_of,
    whole,
)
from actwidgets.core.attribution.baselines import (
    baseline_inputs,
    divided_axes,
    note_of_equals,
    perturbed_batches,
    position_axes,
)
from actwidgets.core.attribution.registry import attribution_steps
from actwidgets.errors import DataError, ModelError, ShapeError

KINDS = {"deletion": "auto", "insertion": "auto blur"}  # and with what is filled by default


@dataclass(frozen=True, repr=False)
class Faithfulness:
    """Deletion or insertion curve of a map, and the area under it.

    Attributes:
        kind: "deletion": a faithful map makes the probability fall soon, and `auc` low;
            "insertion": it makes it rise soon, and `auc` high.
        shares: `(step,)` float64 from 0 to 1, of the places deleted or inserted.
        scores: `(sample, step)` float64, the probability of the target; NaN for a sample whose
            map holds no number.
        target: `(sample,)` the class.
        note: What is to be said of it, such as a fill that hides nothing; or "".
    """

    kind: str
    shares: Array
    scores: Array
    target: Integers
    note: str = ""

    def __repr__(self) -> str:
        """One line."""
        n_samples, n_steps = self.scores.shape
        auc = float(self.auc.mean()) if n_samples else float("nan")
        return (
            f"Faithfulness({self.kind}, {n_samples} samples, {n_steps} steps, mean auc {auc:.3f})"
        )

    @property
    def auc(self) -> Array:
        """`(sample,)` float64, the area under the curve, by trapezoids; in 0..1."""
        heights = (self.scores[:, 1:] + self.scores[:, :-1]) / 2
        return np.asarray(heights @ np.diff(self.shares))


def faithfulness(
    model: ScoreFunction,
    points: Inputs,
    target: Integers,
    values: tuple[Array, ...],
    *,
    kind: str = "deletion",
    steps: int = 32,
    fill: Any = None,
) -> Generator[Progress, None, Faithfulness]:
    """Deletion and insertion curves: a class's probability while places go or come, highest first.

    The signed values of all channels of a place are summed; places of equal sums come in
    reading order, and those of NaN last. Places of several inputs are ranked together.

    Args:
        target: `(sample,)`, the class whose probability is followed.
        values: The map, one array per input: in its shape, or without its last axes.
        kind: "deletion" from the whole sample to none of it; "insertion" the other way.
        steps: In so many, as even as the number of places allows.
        fill: What is seen in the place of the sample, as in `baseline_inputs`; "auto" for
            deletion and "auto blur" for insertion by default. A map that compares with a
            baseline is judged fairly where the fill is that baseline.

    Yields:
        How many of how many variants are done, before each batch of the slice's size.

    Raises:
        DataError: No such kind, steps below 1, a fill that is none.
        ShapeError: A map, or a fill, of another shape than the samples.
        ModelError: The model gives no probabilities.

    Cost: one forward pass for each step of each sample, and one more.

    Reference: Petsiuk, Das & Saenko 2018, arXiv:1806.07421, section 4.2; there deletion fills
    with gray and insertion begins with a blurred sample.
    """
    if kind not in KINDS:
        raise DataError(f'kind must be "deletion" or "insertion"; got {kind!r}')
    n_steps = whole("steps", steps, least=1)
    filling = baseline_inputs(points, KINDS[kind] if fill is None else fill, name="fill")
    sums = _place_sums(points, values)
    ranks = _ranks(sums)
    # The curve's steps: how many of the highest places are moved at each.
    n_moved = np.unique(np.round(np.linspace(0, ranks.shape[1], n_steps + 1)).astype(np.int64))
    before, after = (points, filling) if kind == "deletion" else (filling, points)
    scores = np.zeros((len(points), len(n_moved)))
    done, total = 0, scores.size
    for samples, variants in perturbed_batches(*scores.shape, model.batch_size):
        yield done, total
        is_moved = ranks[samples] < n_moved[variants][:, None]
        there = _mixed(before.take(samples), after.take(samples), is_moved, sums)
        scores[samples, variants] = score_of(model.scores(there, "probability"), target[samples])
        done += len(samples)
    scores[np.isnan(np.concatenate(_flat(sums), axis=1)).all(axis=1)] = np.nan
    note = note_of_equals(points, filling, "the fill")
    return Faithfulness(kind, n_moved / max(ranks.shape[1], 1), scores, target, note)


def _place_sums(points: Inputs, values: tuple[Array, ...]) -> list[Array]:
    """For each input `(sample, …)` float64, channels summed: axes of length 1, or missing."""
    if len(values) != len(points.arrays):
        raise ShapeError(
            f"there must be a map for each of {', '.join(points.names)}; got {len(values)}"
        )
    sums = []
    for index, (x, value) in enumerate(zip(points.arrays, values, strict=True)):
        places = divided_axes(points, index)
        others = tuple(axis for axis in range(1, x.ndim) if axis not in places)
        if value.ndim < x.ndim and value.shape[1:] == tuple(x.shape[axis] for axis in places):
            value = np.expand_dims(value, others)
        elif value.ndim < min(x.ndim, 2) or value.shape != x.shape[: value.ndim]:
            raise ShapeError(
                f"the map of {points.names[index]!r} must have the shape of the samples "
                f"{x.shape}, or that without channels; got {value.shape}"
            )
        elif value.ndim == x.ndim:
            value = value.sum(axis=others, keepdims=True, dtype=np.float64)
        sums.append(value.astype(np.float64))
    return sums


def _ranks(sums: list[Array]) -> Integers:
    """`(sample, place)` over all inputs: 0 for the place with the largest sum."""
    order = np.argsort(-np.concatenate(_flat(sums), axis=1), axis=1, kind="stable")
    return np.argsort(order, axis=1)


def _mixed(before: Inputs, after: Inputs, is_moved: Array, sums: list[Array]) -> Inputs:
    """Samples of which the places that are moved are as after, and the others as before."""
    ends = np.cumsum([each.shape[1] for each in _flat(sums)])
    arrays = []
    for one, other, like, mask in zip(
        before.arrays, after.arrays, sums, np.split(is_moved, ends[:-1], axis=1), strict=True
    ):
        shape = *like.shape[1:], *[1] * (one.ndim - like.ndim)
        arrays.append(np.where(mask.reshape(len(mask), *shape), other, one))
    return before.moved(arrays)


def _flat(sums: list[Array]) -> list[Array]:
    return [each.reshape(len(each), math.prod(each.shape[1:])) for each in sums]


WINDOW = 1.5  # standard deviation in places
_LUMINANCE, _CONTRAST = 0.01**2, 0.03**2  # of values in 0..1


def map_similarity(one: Array, other: Array, n_place_axes: int) -> Array:
    """Structural similarity (SSIM) of the absolute values of two maps, each scaled to 0..1.

    Args:
        one: `(sample, *place[, channel])`; absolute values are summed over channels.
        other: Likewise, of the same shape.
        n_place_axes: How many axes behind the sample axis are places.

    Returns:
        `(sample,)` float64, at most 1; 1 for equal maps. 0 where one of them is the same at
        all places and the other is not; NaN where both are and differ, or where one holds
        NaN. Of vectors, whose neighbors mean nothing, one window spans all.

    Reference: Wang et al. 2004, with a Gaussian window; so compared by Adebayo et al. 2018.
    """
    axes = tuple(range(1, 1 + n_place_axes))
    a, b = _scaled(one, axes), _scaled(other, axes)
    mean_a, mean_b = _local(a, axes), _local(b, axes)
    # Wang et al. 2004, equation 13: means, variances and covariance over each window.
    variances = _local(a * a, axes) - mean_a**2 + _local(b * b, axes) - mean_b**2
    covariance = _local(a * b, axes) - mean_a * mean_b
    upper = (2 * mean_a * mean_b + _LUMINANCE) * (2 * covariance + _CONTRAST)
    lower = (mean_a**2 + mean_b**2 + _LUMINANCE) * (variances + _CONTRAST)
    similarity = (upper / lower).mean(axis=axes)
    is_flat = np.ptp(a, axis=axes) == 0, np.ptp(b, axis=axes) == 0
    similarity[is_flat[0] != is_flat[1]] = 0
    similarity[is_flat[0] & is_flat[1]] = np.nan
    every = tuple(range(1, one.ndim))
    similarity[(one == other).all(axis=every)] = 1
    similarity[np.isnan(one).any(axis=every) | np.isnan(other).any(axis=every)] = np.nan
    return similarity


def _scaled(values: Array, axes: tuple[int, ...]) -> Array:
    """`(sample, *place)` sizes in 0..1; 0 where all are equal, or some are NaN."""
    channels = tuple(range(1 + len(axes), values.ndim))
    sizes = np.abs(np.nan_to_num(values)).sum(axis=channels, dtype=np.float64)
    low, span = sizes.min(axis=axes, keepdims=True), np.ptp(sizes, axis=axes, keepdims=True)
    scaled: Array = (sizes - low) / np.where(span > 0, span, 1)
    return scaled


def _local(values: Array, axes: tuple[int, ...]) -> Array:
    """Means over a window about each place."""
    from scipy.ndimage import gaussian_filter  # late: a session does without

    if values.ndim == 2:
        return values.mean(axis=1, keepdims=True)
    means: Array = gaussian_filter(values, [0.0, *[WINDOW] * len(axes)], mode="reflect")
    return means


# On three published CNNs gradients, SmoothGrad and occlusion stay below 0.56 with a random last
# layer, guided methods above 0.82.
INSENSITIVE_FROM = 0.7


class RandomizedScoreFunction(ScoreFunction, Protocol):
    """A model whose layers can be given random weights.

    Attributes:
        stages: Names of its layers with weights, the one nearest to the output first.
        fixed: Its layers with weights that cannot be exchanged, in words.
    """

    stages: tuple[str, ...]
    fixed: tuple[str, ...]

    def reset(self) -> None:
        """Give all layers the weights that the model has."""

    def randomize(self, layer: str) -> None:
        """Give a layer random weights; layers randomized before keep theirs."""


@dataclass(frozen=True, repr=False)
class RandomizationCheck:
    """Result of the cascading parameter randomization check of a map.

    Attributes:
        method: Name of the method.
        stages: "" for the weights that the model has, then names of layers: there, and in
            those before, weights are random. The layer nearest to the output comes first.
        similarity: `(stage, sample)` float64, the structural similarity (SSIM) of the map to
            that of the model: 1 for the same, about 0 for unrelated ones; 1 at the first stage.
        target: `(sample,)` the class asked about throughout.
        reached: `(stage,)` bool, whether the scores of some sample became others there than at
            the stage before; True at the first. A layer that reaches none tells nothing.
        fixed: Layers with weights that cannot be exchanged, in words; they stay as they are.
    """

    method: str
    stages: tuple[str, ...]
    similarity: Array
    target: Array
    reached: Array | None = None
    fixed: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """One line."""
        n_stages, n_samples = self.similarity.shape
        return (
            f"RandomizationCheck(method={self.method!r}, {n_samples} samples, {n_stages} stages: "
            f"{self.sentence})"
        )

    @property
    def insensitive(self) -> bool:
        """Whether the map hardly changes when the layer nearest to the output is random."""
        return self._has_reached and self._after_the_first > INSENSITIVE_FROM

    @property
    def sentence(self) -> str:
        """What is to be said of it."""
        if not self.fixed:
            return self._said
        named = ", ".join(self.fixed)
        return f"{self._said} The weights of {named} cannot be exchanged: they stayed as they are."

    @property
    def _has_reached(self) -> bool:
        return self.reached is None or bool(self.reached[1])

    @property
    def _said(self) -> str:
        similarity, layer = self._after_the_first, self.stages[1]
        if not self._has_reached:
            return (
                f"Random weights in layer {layer!r} change no score of these samples, so the map "
                "cannot tell what it shows: ask about other samples, or another output."
            )
        if np.isnan(similarity):
            return (
                f"The map cannot be compared with that of random weights in layer {layer!r}: one "
                "holds NaN, or both are the same at all places."
            )
        condition = f"With random weights in layer {layer!r}"
        if self.insensitive:
            return (
                f"{condition} the map hardly changes (similarity {similarity:.2f} of 1): it shows "
                "the input more than what the model has learned."
            )
        return f"{condition} the map changes, as it should (similarity {similarity:.2f} of 1)."

    @property
    def _after_the_first(self) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of NaN throughout
            return float(np.nanmean(self.similarity[1]))


def randomization_steps(
    model: ScoreFunction,
    randomized: RandomizedScoreFunction,
    points: Inputs,
    method: Method,
    target: ArrayLike | None = None,
    options: Mapping[str, Any] | None = None,
    n_layers: int | None = None,
) -> Generator[Progress, None, RandomizationCheck]:
    """Cascading parameter randomization, from the output down.

    Args:
        randomized: The same, of which layers can be given random weights.
        method: How.
        target: As in `checked_target`; the classes of the model, also where its weights are
            random and it would predict others.
        options: Of the method.
        n_layers: How many layers, from the output down; all by default. One is enough for
            `insensitive`.

    Yields:
        `(done, total)` before each piece of work.

    Raises:
        DataError: Fewer layers than one.
        ModelError: No layer has weights to randomize, or none that can be exchanged. And as
            `attributing`.

    Cost: one attribution, and one more for each layer with weights and for none.

    Reference: Adebayo et al. 2018, arXiv:1810.03292, section 3.1, cascading randomization.
    """
    if not randomized.stages and randomized.fixed:
        raise ModelError(
            f"the weights of {', '.join(randomized.fixed)} cannot be exchanged: they are constants "
            "of a graph, or held by something other than Keras, as in a SavedModel; the "
            "randomization check needs layers whose weights Keras holds"
        )
    if not randomized.stages:
        raise ModelError("no layer of this model has a matrix of weights that could be random")
    n_layers = None if n_layers is None else whole("n_layers", n_layers, least=1)
    stages = "", *randomized.stages[:n_layers]
    n_runs = len(stages) + 1
    original = yield from _within(
        0, n_runs, attribution_steps(model, points, method, target, options)
    )
    maps = _maps(original)
    similarity = np.zeros((len(stages), len(points)))
    randomized.reset()
    before, reached = randomized.scores(points), np.ones(len(stages), bool)
    for at, layer in enumerate(stages):
        # Cascading: layers randomized before stay random (Adebayo et al. 2018, section 3.1).
        if layer:
            randomized.randomize(layer)
            scores = randomized.scores(points)
            reached[at] = not np.array_equal(scores, before, equal_nan=True)
            before = scores
        steps = attribution_steps(randomized, points, method, original.target, options)
        randomized_maps = _maps((yield from _within(at + 1, n_runs, steps)))
        alike = []
        for index, (one, other) in enumerate(zip(maps, randomized_maps, strict=True)):
            has_channels = one.ndim == points.arrays[index].ndim
            places = position_axes(points, index) if has_channels else tuple(range(1, one.ndim))
            first = range(1, 1 + len(places))
            turned, turned_other = (np.moveaxis(each, places, first) for each in (one, other))
            alike.append(map_similarity(turned, turned_other, len(places)))
        similarity[at] = np.mean(alike, axis=0)
    return RandomizationCheck(
        method.name, stages, similarity, original.target, reached, randomized.fixed
    )


def _within(
    run: int, n_runs: int, steps: Generator[Progress, None, Attribution]
) -> Generator[Progress, None, Attribution]:
    """The progress of one run as that of all."""
    while True:
        try:
            done, total = next(steps)
        except StopIteration as end:
            attribution: Attribution = end.value
            return attribution
        yield run * total + done, n_runs * total


def _maps(attribution: Attribution) -> list[Array]:
    values = attribution.values
    return list(values.values()) if isinstance(values, dict) else [values]
