"""What the slices of one model share: its traces, and how samples become arguments of them."""

import copy
import math
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from actwidgets.core.arrays import Integers
from actwidgets.core.attributions.points import Points
from actwidgets.errors import ModelError
from actwidgets.probe.attributions import score_heads
from actwidgets.probe.attributions.embedded_inputs import embedded_inputs
from actwidgets.probe.attributions.score_trace import Build, ScoreTrace
from actwidgets.probe.catalogue import Catalogue, Output, is_models_own
from actwidgets.probe.inputs import Inputs
from actwidgets.probe.recorder import RecordingError
from actwidgets.probe.trace import operations_behind

LARGEST_BATCH = 128  # more at once is no faster on a processor
MEMORY_BUDGET_BYTES = 512 * 2**20


class ScoreModel:
    """A model as attributions see it. Weights are read live.

    Args:
        model: A built Keras model.
        inputs: What it takes.
        catalogue: Its layers.
        training: Whether layers act as they do in training.
        memory_budget_bytes: What a batch may take, about.
        weights: Variables, each with the one that stands in for it.

    Raises:
        ModelError: The model cannot be traced, or nothing in it can be differentiated.
    """

    def __init__(
        self,
        model: Any,
        inputs: Inputs,
        catalogue: Catalogue,
        *,
        training: bool = False,
        memory_budget_bytes: int = MEMORY_BUDGET_BYTES,
        weights: Sequence[tuple[Any, Any]] = (),
    ) -> None:
        self.catalogue = catalogue
        self._inputs, self._numbers = inputs, list[Any]()
        self._weights, self._model, self._training = list(weights), model, training
        self._tracing = threading.Lock()
        self._guided: ScoreTrace | None = None
        whole = self._traced()
        graph = whole.graph
        self._embedding: ScoreTrace | None = None
        self._embedded: tuple[Output, ...] = ()
        if not all(each.dtype.is_floating for each in whole.call.inputs):
            taps = embedded_inputs(graph, whole.call.inputs, whole.call.recorded)
            self._embedded = tuple(catalogue.require(tap.name) for tap in taps)
            self._embedding, whole = whole, self._traced(embedded=self._embedded)
        self._plain = whole
        if not whole.call.points:
            raise ModelError(
                f"model {model.name!r} has no input that can be differentiated: its inputs hold "
                "integers or text, and no layer makes floating-point values of them"
            )
        self._names = (
            *(
                name
                for name, spec in zip(inputs.names, inputs.specs, strict=True)
                if spec.dtype.is_floating
            ),
            *(each.name for each in self._embedded),
        )
        self.batch_size = self._affordable(memory_budget_bytes)

    def with_numbers(self, numbers: Sequence[Any]) -> "ScoreModel":
        """The same, where the inputs take tensors besides the samples: those of edits."""
        other = copy.copy(self)
        other._numbers = list(numbers)
        return other

    def points(self, x: Any) -> Points:
        """Samples as an attribution sees them.

        Raises:
            ShapeError: Samples of another shape than the model takes.
            DataError: Values of the wrong kind.
        """
        tensors = Inputs.tensors(self._inputs, x)  # samples alone, also where layers are edited
        arrays = [each.numpy() for each in tensors if each.dtype.is_floating]
        others = [each.numpy() for each in tensors if not each.dtype.is_floating]
        if self._embedding is not None:
            names = [each.name for each in self._embedded]
            head = self._embedding.head("embedded", lambda call: [call.taps[n] for n in names])
            target = tf.zeros(len(tensors[0]), tf.int64)
            arrays += [each.numpy() for each in head(*tensors, *self._numbers, target)]
        return Points(tuple(arrays), self._names, tuple(others))

    def n_targets(self, head: str, output: str) -> int:
        """How many classes an output of the model tells apart."""
        key = "scores", head, output == "probability"
        made = self._plain.head(key, score_heads.scores(head, output == "probability"))
        return int(made.output_shapes[0][-1])

    def last_maps(self, head: str) -> str:
        """The last layer with positions on the way to an output, or "".

        It has as many axes as an input, and more than one position.
        """
        call = self._plain.call
        ranks = {each.shape.rank for each in call.points} - {1, 2}
        needed = operations_behind([call.taps[head]])
        found = ""
        place = -1
        for info in self.catalogue.layers:
            tensor = call.taps.get(info.name)
            if is_models_own(info.name) or tensor is None or tensor.graph is not self._plain.graph:
                continue
            positions = [
                size
                for axis, size in enumerate(info.output_shape)
                if axis not in (0, info.unit_axis)
            ]
            has_maps = len(info.output_shape) in ranks and any(size != 1 for size in positions)
            has_maps = has_maps and "Pooling" not in info.kind  # which only coarsens them
            if has_maps and tensor.op in needed and tensor.op._id > place:
                found, place = info.name, tensor.op._id
        return found

    def run(
        self,
        key: Any,
        build: Build,
        points: Points,
        target: Integers,
        rows: slice,
        *,
        guided: bool = False,
    ) -> list[Any]:
        """What a head puts out for some of the samples.

        Raises:
            ModelError: A layer raised. Whatever `build` raises.
        """
        head = (self._guided_trace() if guided else self._plain).head(key, build)
        arrays, others = iter(points.arrays), iter(points.others)
        tensors = []
        for spec in self._inputs.specs:
            part = next(arrays if spec.dtype.is_floating else others)[rows]
            tensors.append(_tensor(part, spec.dtype))
        embedded = [_tensor(next(arrays)[rows], tf.as_dtype(each.dtype)) for each in self._embedded]
        try:
            found = head(*tensors, *self._numbers, *embedded, tf.constant(target[rows]))
        except tf.errors.OpError as failure:
            words = " ".join(failure.message.split())
            raise ModelError(f"model {self._model.name!r} cannot be run: {words}") from failure
        return list(found)

    def _guided_trace(self) -> ScoreTrace:
        with self._tracing:
            if self._guided is None:
                self._guided = self._traced(embedded=self._embedded, guided=True)
            return self._guided

    def _traced(self, **options: Any) -> ScoreTrace:
        try:
            return ScoreTrace(
                self._model,
                self._inputs,
                training=self._training,
                weights=self._weights,
                **options,
            )
        except RecordingError as failure:
            raise ModelError(f"model {self._model.name!r} cannot be traced: {failure}") from failure

    def _affordable(self, budget_bytes: int) -> int:
        """How many samples at once keep values and gradients of all layers in the budget."""
        per_sample = sum(
            math.prod(axis or 1 for axis in output.shape[1:]) * output.dtype.size
            for operation in self._plain.graph.get_operations()
            for output in operation.outputs
            if output.dtype.is_floating and output.shape.rank and output.shape[0] is None
        )
        return int(np.clip(budget_bytes // max(2 * per_sample, 1), 1, LARGEST_BATCH))


def _tensor(part: Any, dtype: tf.DType) -> tf.Tensor:
    if dtype == tf.string:
        return tf.constant(part.astype(object))
    return tf.constant(part, dtype=dtype)
