"""A Keras model from its inputs to the scores of its classes: numpy in, numpy out."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from actwidgets.core.arrays import Array, Floats, Integers
from actwidgets.core.attributions.lrp_rules import LrpRules
from actwidgets.core.attributions.points import Points
from actwidgets.errors import LayerError
from actwidgets.probe.attributions import score_heads
from actwidgets.probe.attributions.score_model import ScoreModel
from actwidgets.probe.attributions.score_trace import Build


class KerasSlice:
    """One score of a model, and one layer on the way to it; satisfies `ModelSlice`.

    Args:
        model: What all slices of the same model share.
        head: Name of the model's output in its catalogue.
        layer: Whose maps are looked at; None for the last layer with maps of the same number
            of axes as an input.
        output: "logit" or "probability".

    Raises:
        LayerError: The model has no such layer, or it cannot be shown.
    """

    def __init__(
        self, model: ScoreModel, head: str, layer: str | None = None, output: str = "logit"
    ) -> None:
        self._model, self._head = model, head
        self.output = output
        self.layer = model.last_maps(head) if layer is None else layer
        self._unit_axis = model.catalogue.require(layer).unit_axis if layer is not None else -1
        if layer is None and self.layer:
            self._unit_axis = model.catalogue.require(self.layer).unit_axis
        self.batch_size = model.batch_size
        self.n_targets = model.n_targets(head, output)

    def points(self, x: Any) -> Points:
        """Samples as an attribution sees them.

        Raises:
            ShapeError: Samples of another shape than the model takes.
            DataError: Values of the wrong kind.
        """
        return self._model.points(x)

    def scores(self, points: Points, output: str | None = None) -> Floats:
        """See `ModelSlice`."""
        as_probability = (output or self.output) == "probability"
        key = "scores", self._head, as_probability
        build = score_heads.scores(self._head, as_probability)
        return self._run(key, build, points)[0]

    def gradients(
        self, points: Points, target: Integers, *, guided: bool = False
    ) -> tuple[Floats, tuple[Array, ...]]:
        """See `ModelSlice`."""
        key = "gradients", self._head, self._as_probability
        build = score_heads.gradients(self._head, self._as_probability, guided)
        score, *found = self._run(key, build, points, target, guided=guided)
        return score, tuple(found)

    def maps(self, points: Points) -> Array:
        """See `ModelSlice`."""
        layer = self._required_layer()
        return self._units_last(self._run(("maps", layer), score_heads.maps(layer), points)[0])

    def map_gradients(self, points: Points, target: Integers) -> tuple[Floats, Array, Array]:
        """See `ModelSlice`."""
        layer = self._required_layer()
        key = "map gradients", self._head, self._as_probability, layer
        build = score_heads.map_gradients(self._head, self._as_probability, layer)
        score, maps, gradient = self._run(key, build, points, target)
        return score, self._units_last(maps), self._units_last(gradient)

    def relevance(
        self, points: Points, target: Integers, rules: LrpRules
    ) -> tuple[Floats, tuple[Array, ...]]:
        """See `ModelSlice`."""
        raise NotImplementedError

    @property
    def _as_probability(self) -> bool:
        return self.output == "probability"

    def _required_layer(self) -> str:
        if not self.layer:
            raise LayerError(
                "no layer of this model has maps with as many axes as its input: name one with "
                "layer="
            )
        return self.layer

    def _units_last(self, values: Array) -> Array:
        return np.moveaxis(values, self._unit_axis, -1) if self._unit_axis > 0 else values

    def _run(
        self,
        key: Any,
        build: Build,
        points: Points,
        target: Integers | None = None,
        *,
        guided: bool = False,
    ) -> list[Array]:
        """What a head puts out for all samples, `batch_size` at a time."""
        if target is None:
            target = np.zeros(len(points), np.int64)
        found: list[Sequence[Any]] = []
        for start in range(0, max(len(points), 1), self.batch_size):
            rows = slice(start, start + self.batch_size)
            found.append(self._model.run(key, build, points, target, rows, guided=guided))
        if len(found) == 1:
            return [each.numpy() for each in found[0]]
        return [
            np.concatenate([each.numpy() for each in part]) for part in zip(*found, strict=True)
        ]
