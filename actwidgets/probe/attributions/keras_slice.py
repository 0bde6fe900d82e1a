"""A Keras model from its inputs to the scores of its classes: numpy in, numpy out."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from actwidgets.core.arrays import Array, Floats, Integers
from actwidgets.core.attributions.lrp_rules import LrpRules
from actwidgets.core.attributions.points import Points
from actwidgets.core.predictions.output_kind import OutputKind
from actwidgets.errors import LayerError
from actwidgets.probe.attributions import score_heads
from actwidgets.probe.attributions.map_positions import position_axes
from actwidgets.probe.attributions.score_call import Build
from actwidgets.probe.attributions.score_model import ScoreModel


class KerasSlice:
    """One score of a model, and one layer on the way to it; satisfies `ModelSlice`.

    Args:
        model: What all slices of the same model share.
        head: Name of the model's output in its catalogue.
        layer: Whose maps are looked at; None for the last layer with maps of the same number
            of axes as an input.
        output: "logit" or "probability".
        kind: What the model's output means.

    Raises:
        LayerError: The model has no such layer, or it cannot be shown.
    """

    def __init__(
        self,
        model: ScoreModel,
        head: str,
        layer: str | None = None,
        output: str = "logit",
        *,
        kind: OutputKind,
    ) -> None:
        self._model, self._head, self._kind = model, head, kind
        self.output = output
        self.layer = model.positions.last(head) if layer is None else layer
        self._unit_axis = model.catalogue.require(self.layer).unit_axis if self.layer else -1
        self.n_targets = model.n_targets(head, output, kind)

    @property
    def batch_size(self) -> int:
        """See `ModelSlice`."""
        return self._model.batch_size

    @property
    def guided_note(self) -> str:
        """See `ModelSlice`."""
        return self._model.guided_note(self._head)

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
        key = "scores", self._head, as_probability, self._kind
        build = score_heads.scores(self._head, as_probability, self._kind)
        return self._run(key, build, points, forward=build, rests_on=(self._head,))[0]

    def gradients(
        self, points: Points, target: Integers, *, guided: bool = False
    ) -> tuple[Floats, tuple[Array, ...]]:
        """See `ModelSlice`."""
        key = "gradients", self._head, self._as_probability, self._kind
        build = score_heads.gradients(self._head, self._as_probability, self._kind, guided)
        forward = score_heads.score(self._head, self._as_probability, self._kind)
        options: dict[str, Any] = {"forward": forward, "rests_on": (self._head,)}
        score, *found = self._run(key, build, points, target, guided=guided, **options)
        return score, tuple(found)

    def position_axes(self) -> Mapping[str, tuple[int, ...]]:
        """See `ModelSlice`."""
        info = self._model.catalogue.info(self._required_layer())
        lengths = [info.output_shape[axis] for axis in position_axes(info)]
        if not lengths or 0 in lengths:
            shape = ", ".join("any" if n is None else str(n) for n in info.output_shape[1:])
            better = self._model.positions.last(self._head)
            advice = f"; name one such as {better!r}" if better else ""
            axes = "spatial axes" if not lengths else "places in its maps"
            raise LayerError(f"layer {info.name!r} has no {axes}: it puts out ({shape}){advice}")
        return self._model.positions.axes(info.name)

    def maps(self, points: Points) -> Array:
        """See `ModelSlice`."""
        layer = self._required_layer()
        build = score_heads.maps(layer)
        found = self._run(("maps", layer), build, points, forward=build, rests_on=(layer,))
        return self._units_last(found[0])

    def map_gradients(self, points: Points, target: Integers) -> tuple[Floats, Array, Array]:
        """See `ModelSlice`."""
        layer = self._required_layer()
        if self._model.catalogue.complex_part(layer):
            raise LayerError(
                f"no gradient can be taken in what layer {layer!r} shows: it puts out complex "
                "numbers; name a layer before or behind it"
            )
        key = "map gradients", self._head, self._as_probability, self._kind, layer
        build = score_heads.map_gradients(self._head, self._as_probability, self._kind, layer)
        forward = score_heads.score(self._head, self._as_probability, self._kind, layer)
        options: dict[str, Any] = {"forward": forward, "rests_on": (self._head, layer)}
        score, maps, gradient = self._run(key, build, points, target, **options)
        return score, self._units_last(maps), self._units_last(gradient)

    def relevance(
        self, points: Points, target: Integers, rules: LrpRules
    ) -> tuple[Floats, tuple[Array, ...]]:
        """See `ModelSlice`."""
        self._model.require_trace("LRP")
        self._refuse_rounded_inputs()
        key = "relevance", self._head, self._kind, rules
        build = score_heads.relevance(self._head, self._kind, rules)
        forward = score_heads.score(self._head, False, self._kind)
        options: dict[str, Any] = {"forward": forward, "rests_on": (self._head,)}
        score, *found = self._run(key, build, points, target, **options)
        return score, tuple(found)

    def _refuse_rounded_inputs(self) -> None:
        """Between float and whole numbers relevance would take the way of the scale alone."""
        for name, output in self._model.catalogue.outputs.items():
            layer = output.layer
            mode = getattr(layer, "quantization_mode", None)
            if mode in ("int8", "int4") and hasattr(layer, "_kernel") and layer.inputs_quantizer:
                raise LayerError(
                    f"relevance cannot be handed back through layer {name!r} "
                    f"({type(layer).__name__}): quantized to {mode}, it rounds what it takes to "
                    "whole numbers; take another method, such as integrated_gradients"
                )

    @property
    def _as_probability(self) -> bool:
        return self.output == "probability"

    def _required_layer(self) -> str:
        if not self.layer:
            if not any(position_axes(info) for info in self._model.catalogue.layers):
                raise LayerError(
                    "no layer of this model has spatial axes, and this method looks at maps: take "
                    "another method"
                )
            raise LayerError(
                "no layer of this model has maps with as many position axes as an input: name one "
                "with layer= and ask for upsample=False"
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
        **options: Any,
    ) -> list[Array]:
        """What a head puts out for all samples."""
        if target is None:
            target = np.zeros(len(points), np.int64)
        return self._model.run(key, build, points, target, **options)
