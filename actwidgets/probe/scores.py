"""Score functions of a Keras model: scores, gradients, maps and relevance as arrays."""

import copy
import logging
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
import tensorflow as tf

from actwidgets.core.arrays import Array, Floats, Integers
from actwidgets.core.attribution.base import Inputs, LrpRules
from actwidgets.core.output_kind import OutputKind
from actwidgets.errors import LayerError, ModelError
from actwidgets.probe import score_outputs
from actwidgets.probe.call_trace import CallTraceError
from actwidgets.probe.compiled import (
    N_COMPARED,
    CompiledFunction,
    as_values,
    disagreement,
    tolerance_of,
)
from actwidgets.probe.frameworks import failure_message, step_gate_of
from actwidgets.probe.inputs import InputSpec, Shapes, state_reset
from actwidgets.probe.layer_index import LayerIndex, Output
from actwidgets.probe.score_backends import (
    Backend,
    Build,
    Call,
    EagerBackend,
    TracedBackend,
    embedded_inputs,
)
from actwidgets.probe.score_outputs import MapPositions, position_axes

LARGEST_BATCH = 128  # more at once is no faster on a processor
MEMORY_BUDGET_BYTES = 512 * 2**20
MAX_TRACES = 6  # for samples of several shapes
_EMBEDDING, _PLAIN, _GUIDED = "embedding", "plain", "guided"
log = logging.getLogger("actwidgets")


class ScoreModel:
    """A model in batches of samples for attributions. Weights are read live.

    A model that cannot be traced is called eagerly, which is slower and cannot be guided. So is
    one whose trace gives other scores or maps than an eager call does, which is looked at once.
    A model that takes samples of several shapes is traced for each shape that comes.

    Args:
        model: A built Keras model.
        inputs: What it takes.
        layer_index: Its layers.
        training: Whether layers act as they do in training.
        memory_budget_bytes: What a batch may take, about.
        weights: Variables, each with the one that stands in for it.

    Attributes:
        layer_index: As given.
        positions: Over which inputs the maps of its layers lie.

    Raises:
        ModelError: The model cannot be called, or nothing in it can be differentiated.
    """

    def __init__(
        self,
        model: Any,
        inputs: InputSpec,
        layer_index: LayerIndex,
        *,
        training: bool = False,
        memory_budget_bytes: int = MEMORY_BUDGET_BYTES,
        weights: Sequence[tuple[Any, Any]] = (),
    ) -> None:
        self.layer_index = layer_index
        self._inputs, self._numbers = inputs, list[Any]()
        self._weights, self._model, self._training = list(weights), model, training
        self._tracing, self._state = threading.Lock(), state_reset(model)
        # Shared by all numbers of edits: the last traces, by kind (`_EMBEDDING`, `_PLAIN` or
        # `_GUIDED`) and shapes of samples; and the shapes whose trace gives other values.
        self._traces = OrderedDict[tuple[str, Shapes], Backend]()
        self._wrong = set[Shapes]()
        self._untraceable = ""
        self._embedded: tuple[Output, ...] = ()
        self._differentiated: tuple[bool, ...] = ()  # one per input, once it is known
        whole = self._called()
        self._embedding: Backend | None = None
        seen = embedded_inputs(whole.call)
        self._differentiated = seen.differentiated
        places = [place for place, chosen in enumerate(seen.differentiated) if not chosen]
        self._left_out = {inputs.names[place]: places.index(place) for place in seen.left_out}
        self._embedded = tuple(layer_index.require(tap.name) for tap in seen.taps)
        if self._embedded:
            self._embedding, whole = whole, self._called()
        self._plain = whole
        if not whole.call.points:
            raise ModelError(
                f"model {model.name!r} has no input that can be differentiated: its inputs hold "
                "integers or text, and no layer makes floating-point values of them"
            )
        self._names = seen.names(inputs.names)
        axes = (None,) * len(inputs.specs) if layer_index.flow is None else layer_index.flow.axes
        self._axes = {
            name: each
            for name, each, chosen in zip(inputs.names, axes, seen.differentiated, strict=True)
            if chosen and each is not None
        }
        self.positions = MapPositions(whole.call, self._names, layer_index)
        self._affordable_size = self._affordable(memory_budget_bytes)

    def with_numbers(self, numbers: Sequence[Any]) -> Self:
        """The same, where the inputs take tensors besides the samples: those of edits."""
        other = copy.copy(self)
        other._numbers = list(numbers)
        return other

    def points(self, x: Any) -> Inputs:
        """Samples as an attribution sees them.

        Raises:
            ShapeError: Samples of another shape than the model takes.
            DataError: Values of the wrong kind.
        """
        tensors = self._inputs.tensors(x)
        arrays, others = list[Array](), list[Array]()
        for each, is_chosen in zip(tensors, self._differentiated, strict=True):
            (arrays if is_chosen else others).append(each.numpy())
        if self._embedding is not None:
            names = [each.name for each in self._embedded]

            def embedded(call: Call) -> list[Any]:
                return [call.taps[name] for name in names]

            def arguments(rows: Any) -> list[Any]:
                taken = [tf.gather(each, rows) for each in tensors]
                return [*taken, *self._numbers, tf.zeros(len(rows), tf.int64)]

            shapes = self._inputs.shapes_of(tensors)
            embedding = self._trace_for(_EMBEDDING, shapes, self._embedding)
            function = embedding.function("embedded", embedded)
            eager = self._eager(whole=True).function("embedded", embedded)
            if not self._is_right(
                embedding, tuple(names), function, eager, arguments, len(tensors[0])
            ):
                function = eager
            arrays += self._run(function, arguments, len(tensors[0]))
        return Inputs(
            tuple(arrays),
            self._names,
            tuple(others),
            n_inputs=len(tensors),
            left_out=self._left_out,
            axes=self._axes,
        )

    def n_targets(self, head: str, output: str, kind: OutputKind) -> int:
        """How many classes an output of the model tells apart."""
        of = head, output == "probability", kind
        made: Any = self._plain.function(("scores", *of), score_outputs.scores(*of))
        if isinstance(self._plain, EagerBackend):
            return int(made(*self._plain.blank())[0].shape[-1])
        return int(made.output_shapes[0][-1])

    def require_trace(self, what: str) -> None:
        """Refuse what can only be done on a traced graph.

        Raises:
            ModelError: The model cannot be traced; says why.
        """
        if self._untraceable:
            raise ModelError(
                f"{what} needs the graph of the model, which cannot be traced: "
                f"{self._untraceable.partition('. ')[0]}"
            )

    @property
    def batch_size(self) -> int:
        """How many samples are run at once."""
        return self._inputs.fixed_batch or self._affordable_size

    def run(
        self,
        key: Any,
        build: Build,
        points: Inputs,
        target: Integers,
        *,
        guided: bool = False,
        forward: Build,
        rests_on: tuple[str, ...],
    ) -> list[Array]:
        """Run a compiled function on all samples, `batch_size` at a time.

        Args:
            key: What the function is known by.
            build: Makes what it puts out.
            points: The samples.
            target: `(sample,)`, the class asked about.
            guided: Whether gradients are guided.
            forward: Makes the first of these without a gradient, to compare with an eager call.
            rests_on: The layers whose values that shows.

        Raises:
            ModelError: A layer raised. Whatever `build` raises.
        """
        if not len(points):  # TensorFlow has operations that fail on none
            blank, none = points.blank(), np.zeros(1, np.int64)
            found = self.run(
                key, build, blank, none, guided=guided, forward=forward, rests_on=rests_on
            )
            return [values[:0] for values in found]

        def arguments(rows: Any) -> list[Any]:
            is_whole = len(rows) == len(points) and not self._inputs.fixed_batch
            part = points if is_whole else points.take(rows)
            return [*self._arguments(part), tf.constant(target[rows])]

        if guided:
            self.require_trace("a guided gradient")
        shapes = self._shapes_of(points)
        trace = self._trace_for(_GUIDED if guided else _PLAIN, shapes, self._plain)
        function = trace.function(key, build)
        eager = self._eager()
        if not self._is_right(
            trace, rests_on, function, eager.function("forward", forward), arguments, len(points)
        ):
            self._wrong.add(shapes)
            if guided or key[0] == "relevance":
                raise ModelError(
                    f"model {self._model.name!r}, traced, gives other scores than an eager call of "
                    "it does, and this method needs the traced graph: take another method"
                )
            function = eager.function(key, build)
        try:
            return self._run(function, arguments, len(points))
        except ModelError as failure:
            if isinstance(trace, EagerBackend) or guided or key[0] == "relevance":
                raise
            try:
                found = self._run(eager.function(key, build), arguments, len(points))
            except ModelError:
                raise failure from failure.__cause__
            self._wrong.add(shapes)  # the trace alone fails
            return found

    def _run(
        self, function: CompiledFunction, arguments: Callable[[Any], list[Any]], n_samples: int
    ) -> list[Array]:
        """Run a compiled function on the arguments of all rows, batch by batch."""
        found, size = list[list[Array]](), self.batch_size
        try:
            for start in range(0, max(n_samples, 1), size):
                rows = np.arange(start, min(start + size, n_samples))
                n_rows = len(rows)
                if self._inputs.fixed_batch and n_rows:
                    rows = np.pad(rows, (0, size - n_rows), mode="edge")
                with step_gate_of(self._model).read_lock(), self._state:
                    outputs = function(*arguments(rows))
                found.append([each.numpy()[:n_rows] for each in outputs])
        except tf.errors.OpError as failure:
            raise ModelError(
                f"model {self._model.name!r} cannot be run: {failure_message(failure)}"
            ) from failure
        return found[0] if len(found) == 1 else [*map(np.concatenate, zip(*found, strict=True))]

    def _arguments(self, points: Inputs) -> list[Any]:
        arrays, others = iter(points.arrays), iter(points.others)
        tensors = [
            _tensor(next(arrays if is_chosen else others), spec.dtype)
            for spec, is_chosen in zip(self._inputs.specs, self._differentiated, strict=True)
        ]
        embedded = [_tensor(next(arrays), tf.as_dtype(each.dtype)) for each in self._embedded]
        return [*tensors, *self._numbers, *embedded]

    def guided_note(self, head: str) -> str:
        """What is to be said of the guided gradients of an output, once asked for."""
        traces = [trace for (kind, _), trace in self._traces.items() if kind == _GUIDED]
        notes = (trace.call.notes.get(("guided", head)) for trace in reversed(traces))
        return next(filter(None, notes), "")

    def _shapes_of(self, points: Inputs) -> Shapes:
        """Of samples and of what is embedded of them, where these may be several; else ()."""
        specs = [*self._inputs.specs, *self._embedded]
        if not any(None in tuple(each.shape[1:]) for each in specs):
            return ()
        arrays, others = iter(points.arrays), iter(points.others)
        parts = [next(arrays if each else others) for each in self._differentiated]
        return tuple(tuple(each.shape[1:]) for each in (*parts, *arrays))

    def _trace_for(self, kind: str, shapes: Shapes, general: Backend) -> Backend:
        """A trace for samples of these shapes; `general` serves where they have but one."""
        if isinstance(general, EagerBackend):
            return general
        if shapes in self._wrong and kind != _GUIDED:
            return self._eager(whole=kind == _EMBEDDING)
        if not shapes and kind != _GUIDED:
            return general
        with self._tracing:
            traces = self._traces
            if (kind, shapes) not in traces:
                inputs = self._inputs.of_shapes(shapes[: len(self._inputs.specs)])
                if kind == _EMBEDDING:
                    trace = self._traced(inputs, embedded=(), differentiated=None)
                else:
                    embedded = self._embedded_of(shapes)
                    trace = self._traced(inputs, guided=kind == _GUIDED, embedded=embedded)
                traces[kind, shapes] = trace
            traces.move_to_end((kind, shapes))
            while len(traces) > MAX_TRACES:
                traces.popitem(last=False)
            return traces[kind, shapes]

    def _embedded_of(self, shapes: Shapes) -> tuple[Output, ...]:
        if not shapes:
            return self._embedded
        own = shapes[len(self._inputs.specs) :]
        return tuple(
            replace(each, shape=(None, *shape))
            for each, shape in zip(self._embedded, own, strict=True)
        )

    def _eager(self, *, whole: bool = False) -> EagerBackend:
        """The model called eagerly; where it is whole, from its own inputs on."""
        cut = {"embedded": (), "differentiated": None} if whole else {}
        return EagerBackend(self._model, self._inputs, **self._backend_options(**cut))

    def _is_right(
        self,
        trace: Backend,
        rests_on: tuple[str, ...],
        function: CompiledFunction,
        eager: CompiledFunction,
        arguments: Callable[[Any], list[Any]],
        n_samples: int,
    ) -> bool:
        """Whether a compiled function first agrees with an eager call, on a few of the samples."""
        if isinstance(trace, EagerBackend) or not n_samples or trace.compared.issuperset(rests_on):
            return True
        few = self._inputs.fixed_batch or min(N_COMPARED, n_samples)
        given = arguments(np.minimum(np.arange(few), n_samples - 1))

        def look(tensors: Sequence[Any]) -> list[Array]:
            with step_gate_of(self._model).read_lock(), self._state:
                return as_values(eager(*tensors))

        try:
            wanted = look(given)
        except ModelError:  # nothing to compare with
            return True
        try:
            with step_gate_of(self._model).read_lock(), self._state:
                found = as_values(function(*given)[: len(wanted)])
        except tf.errors.OpError as failure:
            why = f"it fails: {failure_message(failure)}"
        else:
            different = disagreement(found, given, look, tolerance_of(self._model), eager=wanted)
            if different is None:
                trace.compared.update(rests_on)
                return True
            why = f"off by {different[1]:.2g} of its size"
        log.warning(
            "model %r, traced for attributions, does not give what an eager call of it gives "
            "(%s): it is called eagerly, which is right and slower",
            self._model.name,
            why,
        )
        return False

    def _called(self) -> Backend:
        """The model traced; called eagerly where it cannot be."""
        if not self._untraceable:
            try:
                return self._traced()
            except CallTraceError as failure:
                self._untraceable = str(failure)
        try:
            eager = self._eager()
            _ = eager.call  # made now, and failing now
            return eager
        except CallTraceError as failure:
            raise ModelError(f"model {self._model.name!r} cannot be run: {failure}") from failure

    def _traced(
        self, inputs: InputSpec | None = None, *, guided: bool = False, **cut: Any
    ) -> TracedBackend:
        options = self._backend_options(**cut)
        return TracedBackend(self._model, inputs or self._inputs, guided=guided, **options)

    def _backend_options(self, **cut: Any) -> dict[str, Any]:
        return {
            "embedded": self._embedded,
            "differentiated": self._differentiated or None,
            "training": self._training,
            "weights": self._weights,
            **cut,
        }

    def _affordable(self, budget_bytes: int) -> int:
        """How many samples at once keep values and gradients of all layers in the budget."""
        n_samples = self._plain.call.target.shape[0]  # None while it is traced
        per_sample = sum(
            math.prod(axis or 1 for axis in output.shape[1:]) * output.dtype.size
            for operation in self._plain.call.operations
            for output in operation.outputs
            if output.dtype.is_floating and output.shape.rank and output.shape[0] == n_samples
        )
        return int(np.clip(budget_bytes // max(2 * per_sample, 1), 1, LARGEST_BATCH))


def _tensor(part: Any, dtype: tf.DType) -> tf.Tensor:
    if dtype == tf.string:
        return tf.constant(part.astype(object))
    return tf.constant(part, dtype=dtype)


class KerasScoreFunction:
    """One score of a model and one layer on the way to it, as attributions ask for them.

    Args:
        model: What all score functions of the same model share.
        head: Name of the model's output in its layer_index.
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
        self._of = head, output == "probability", kind
        self.layer = model.positions.last(head) if layer is None else layer
        self._unit_axis = model.layer_index.require(self.layer).unit_axis if self.layer else -1
        self.n_targets = model.n_targets(head, output, kind)

    @property
    def batch_size(self) -> int:
        """See `ScoreFunction`."""
        return self._model.batch_size

    @property
    def guided_note(self) -> str:
        """See `ScoreFunction`."""
        return self._model.guided_note(self._head)

    def points(self, x: Any) -> Inputs:
        """Samples as an attribution sees them.

        Raises:
            ShapeError: Samples of another shape than the model takes.
            DataError: Values of the wrong kind.
        """
        return self._model.points(x)

    def scores(self, points: Inputs, output: str | None = None) -> Floats:
        """See `ScoreFunction`."""
        of = self._head, (output or self.output) == "probability", self._kind
        build = score_outputs.scores(*of)
        target = np.zeros(len(points), np.int64)
        return self._run(("scores", *of), build, points, target, forward=build)[0]

    def gradients(
        self, points: Inputs, target: Integers, *, guided: bool = False
    ) -> tuple[Floats, tuple[Array, ...]]:
        """See `ScoreFunction`."""
        build = score_outputs.gradients(*self._of, guided)
        score, *found = self._run(("gradients", *self._of), build, points, target, guided=guided)
        return score, tuple(found)

    def position_axes(self) -> Mapping[str, tuple[int, ...]]:
        """See `ScoreFunction`."""
        info = self._model.layer_index.info(self._required_layer())
        lengths = [info.output_shape[axis] for axis in position_axes(info)]
        if not lengths or 0 in lengths:
            shape = ", ".join("any" if n is None else str(n) for n in info.output_shape[1:])
            better = self._model.positions.last(self._head)
            advice = f"; name one such as {better!r}" if better else ""
            axes = "spatial axes" if not lengths else "places in its maps"
            raise LayerError(f"layer {info.name!r} has no {axes}: it puts out ({shape}){advice}")
        return self._model.positions.axes(info.name)

    def maps(self, points: Inputs) -> Array:
        """See `ScoreFunction`."""
        layer, target = self._required_layer(), np.zeros(len(points), np.int64)
        build = score_outputs.maps(layer)
        options: dict[str, Any] = {"forward": build, "rests_on": (layer,)}
        return self._units_last(self._run(("maps", layer), build, points, target, **options)[0])

    def map_gradients(self, points: Inputs, target: Integers) -> tuple[Floats, Array, Array]:
        """See `ScoreFunction`."""
        layer = self._required_layer()
        if self._model.layer_index.complex_part(layer):
            raise LayerError(
                f"no gradient can be taken in what layer {layer!r} shows: it puts out complex "
                "numbers; name a layer before or behind it"
            )
        key, build = (
            ("map gradients", *self._of, layer),
            score_outputs.map_gradients(*self._of, layer),
        )
        forward, rests_on = score_outputs.score(*self._of, layer), (self._head, layer)
        score, maps, gradient = self._run(
            key, build, points, target, forward=forward, rests_on=rests_on
        )
        return score, self._units_last(maps), self._units_last(gradient)

    def relevance(
        self, points: Inputs, target: Integers, rules: LrpRules
    ) -> tuple[Floats, tuple[Array, ...]]:
        """See `ScoreFunction`."""
        self._model.require_trace("LRP")
        self._refuse_rounded_inputs()
        build = score_outputs.relevance(self._head, self._kind, rules)
        forward = score_outputs.score(self._head, False, self._kind)
        key = "relevance", self._head, self._kind, rules
        score, *found = self._run(key, build, points, target, forward=forward)
        return score, tuple(found)

    def _refuse_rounded_inputs(self) -> None:
        """Between float and whole numbers relevance would take the way of the scale alone."""
        for name, output in self._model.layer_index.outputs.items():
            layer = output.layer
            mode = getattr(layer, "quantization_mode", None)
            if mode in ("int8", "int4") and hasattr(layer, "_kernel") and layer.inputs_quantizer:
                raise LayerError(
                    f"relevance cannot be handed back through layer {name!r} "
                    f"({type(layer).__name__}): quantized to {mode}, it rounds what it takes to "
                    "whole numbers; take another method, such as integrated_gradients"
                )

    def _required_layer(self) -> str:
        if not self.layer:
            if not any(position_axes(info) for info in self._model.layer_index.layers):
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
        points: Inputs,
        target: Integers,
        *,
        guided: bool = False,
        forward: Build | None = None,
        rests_on: tuple[str, ...] = (),
    ) -> list[Array]:
        """Run a compiled function on all samples; compared by the score unless told otherwise."""
        forward, rests_on = forward or score_outputs.score(*self._of), rests_on or (self._head,)
        return self._model.run(
            key, build, points, target, guided=guided, forward=forward, rests_on=rests_on
        )
