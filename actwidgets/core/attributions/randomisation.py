"""Whether a map tells of the model: with random weights it must become another."""

import warnings
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core.arrays import Array
from actwidgets.core.attributions.attributing import attributing
from actwidgets.core.attributions.attribution import Attribution
from actwidgets.core.attributions.map_similarity import map_similarity
from actwidgets.core.attributions.method import Method, Progress
from actwidgets.core.attributions.model_slice import ModelSlice
from actwidgets.core.attributions.option_checks import whole
from actwidgets.core.attributions.places import place_axes
from actwidgets.core.attributions.points import Points
from actwidgets.errors import ModelError

# On three published CNNs gradients, SmoothGrad and occlusion stay below 0.56 with a random last
# layer, guided methods above 0.82.
INSENSITIVE_FROM = 0.7


class RandomisedSlice(ModelSlice, Protocol):
    """A model whose layers can be given random weights.

    Attributes:
        stages: Names of its layers with weights, the one nearest to the output first.
        fixed: Its layers with weights that cannot be exchanged, in words.
    """

    stages: tuple[str, ...]
    fixed: tuple[str, ...]

    def reset(self) -> None:
        """Give all layers the weights that the model has."""

    def randomise(self, layer: str) -> None:
        """Give a layer random weights; layers randomised before keep theirs."""


@dataclass(frozen=True, repr=False)
class RandomisationCheck:
    """How a map changes while one layer after the other gets random weights.

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
            f"RandomisationCheck(method={self.method!r}, {n_samples} samples, {n_stages} stages: "
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
        found, layer = self._after_the_first, self.stages[1]
        if not self._has_reached:
            return (
                f"Random weights in layer {layer!r} change no score of these samples, so the map "
                "cannot tell what it shows: ask about other samples, or another output."
            )
        if np.isnan(found):
            return (
                f"The map cannot be compared with that of random weights in layer {layer!r}: one "
                "holds NaN, or both are the same at all places."
            )
        told = f"With random weights in layer {layer!r}"
        if self.insensitive:
            return (
                f"{told} the map hardly changes (similarity {found:.2f} of 1): it shows the "
                "input more than what the model has learnt."
            )
        return f"{told} the map changes, as it should (similarity {found:.2f} of 1)."

    @property
    def _after_the_first(self) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of NaN throughout
            return float(np.nanmean(self.similarity[1]))


def randomising(
    slice_: ModelSlice,
    randomised: RandomisedSlice,
    points: Points,
    method: Method,
    target: ArrayLike | None = None,
    options: Mapping[str, Any] | None = None,
    n_layers: int | None = None,
) -> Generator[Progress, None, RandomisationCheck]:
    """Attribute, then again with random weights in one layer more, from the output down.

    Args:
        slice_: The model.
        randomised: The same, of which layers can be given random weights.
        points: The samples.
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
        ModelError: No layer has weights to randomise, or none that can be exchanged. And as
            `attributing`.

    Cost: one attribution, and one more for each layer with weights and for none.

    Reference: Adebayo et al. 2018, arXiv:1810.03292, section 3.1, cascading randomisation.
    """
    if not randomised.stages and randomised.fixed:
        raise ModelError(
            f"the weights of {', '.join(randomised.fixed)} cannot be exchanged: they are constants "
            "of a graph, or held by something other than Keras, as in a SavedModel; the "
            "randomisation check needs layers whose weights Keras holds"
        )
    if not randomised.stages:
        raise ModelError("no layer of this model has a matrix of weights that could be random")
    n_layers = None if n_layers is None else whole("n_layers", n_layers, least=1)
    stages = "", *randomised.stages[:n_layers]
    n_runs = len(stages) + 1
    original = yield from _within(0, n_runs, attributing(slice_, points, method, target, options))
    maps = _maps(original)
    similarity = np.zeros((len(stages), len(points)))
    randomised.reset()
    before, reached = randomised.scores(points), np.ones(len(stages), bool)
    for place, layer in enumerate(stages):
        if layer:
            randomised.randomise(layer)
            scores = randomised.scores(points)
            reached[place] = not np.array_equal(scores, before, equal_nan=True)
            before = scores
        steps = attributing(randomised, points, method, original.target, options)
        found = _maps((yield from _within(place + 1, n_runs, steps)))
        alike = []
        for index, (one, other) in enumerate(zip(maps, found, strict=True)):
            has_channels = one.ndim == points.arrays[index].ndim
            places = place_axes(points, index) if has_channels else tuple(range(1, one.ndim))
            first = range(1, 1 + len(places))
            turned, turned_other = (np.moveaxis(each, places, first) for each in (one, other))
            alike.append(map_similarity(turned, turned_other, len(places)))
        similarity[place] = np.mean(alike, axis=0)
    return RandomisationCheck(
        method.name, stages, similarity, original.target, reached, randomised.fixed
    )


def _within(
    run: int, n_runs: int, steps: Generator[Progress, None, Attribution]
) -> Generator[Progress, None, Attribution]:
    """The progress of one run as that of all."""
    while True:
        try:
            done, total = next(steps)
        except StopIteration as end:
            found: Attribution = end.value
            return found
        yield run * total + done, n_runs * total


def _maps(attribution: Attribution) -> list[Array]:
    values = attribution.values
    return list(values.values()) if isinstance(values, dict) else [values]
