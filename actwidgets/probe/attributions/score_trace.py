"""One trace of a model from what is differentiated to its output, and compiled heads on it."""

import threading
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from actwidgets.probe.attributions.guided_relu import guide
from actwidgets.probe.attributions.layer_names import LayerNames
from actwidgets.probe.attributions.score_call import Build, Call, called, signature
from actwidgets.probe.catalogue import Output
from actwidgets.probe.inputs import Inputs
from actwidgets.probe.trace import Head, head_on_graph


class ScoreTrace:
    """A model traced once; each thing wanted of it is a compiled head on the same graph.

    Args:
        model: A built Keras model.
        inputs: What it takes.
        embedded: Outputs of layers that are arguments of the graph, and take the place of
            what these layers put out.
        differentiated: Which of the inputs are; all floating-point ones by default.
        training: Whether layers act as they do in training.
        guided: Whether the gradient of every ReLU is the guided one.
        weights: Variables, each with the one that stands in for it.

    Attributes:
        call: The call that was traced.
        compared: Layers whose values were found to be those of an eager call.

    Raises:
        RecordingError: A layer cannot be traced.
    """

    def __init__(
        self,
        model: Any,
        inputs: Inputs,
        embedded: Sequence[Output] = (),
        differentiated: Sequence[bool] | None = None,
        *,
        training: bool = False,
        guided: bool = False,
        weights: Sequence[tuple[Any, Any]] = (),
    ) -> None:
        self._model, self._inputs, self._embedded = model, inputs, tuple(embedded)
        self._differentiated = differentiated
        self._training, self._guided, self._weights = training, guided, weights
        calls: list[Call] = []

        def call(*tensors: Any) -> Any:
            calls.append(self._called(tensors))
            return []  # each head brings outputs of its own

        traced = tf.function(call, autograph=False)
        self._whole = traced.get_concrete_function(*signature(inputs, self._embedded))
        self.call = calls[0]
        self._heads: dict[Any, Head] = {}
        self.compared: set[str] = set()
        self._making = threading.Lock()

    @property
    def graph(self) -> Any:
        """The traced graph."""
        return self._whole.graph

    def head(self, key: Any, build: Build) -> Head:
        """A compiled function of the model's inputs, the embedded ones, and the target.

        Args:
            key: What the head is known by.
            build: Makes the tensors wanted, in the graph of the call.

        Raises: what `build` raises.
        """
        with self._making:
            if key not in self._heads:
                self._heads[key] = self._make(build)
            return self._heads[key]

    def _make(self, build: Build) -> Head:
        with self.graph.as_default():
            outputs = list(build(self.call))
        try:
            return head_on_graph(self._whole, outputs)
        except (ImportError, AttributeError, TypeError):  # TensorFlow's inside has changed
            traced = tf.function(
                lambda *tensors: list(build(self._called(tensors))), autograph=False
            )
            return traced.get_concrete_function(*signature(self._inputs, self._embedded))

    def _called(self, tensors: Sequence[Any]) -> Call:
        graph = tf.compat.v1.get_default_graph()
        call = called(
            self._model,
            self._inputs,
            tensors,
            self._embedded,
            self._differentiated,
            operations=graph.get_operations,
            gradients=lambda score, at: tf.gradients(score, list(at)),
            training=self._training,
            weights=self._weights,
        )
        if self._guided:
            guide(call.operations, LayerNames(call.recorded))
        return call
