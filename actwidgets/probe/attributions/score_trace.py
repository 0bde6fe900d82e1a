"""One trace of a model from what is differentiated to its output, and compiled heads on it."""

import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from actwidgets.probe.catalogue import Output
from actwidgets.probe.inputs import Inputs
from actwidgets.probe.recorder import Tap, element_name, record
from actwidgets.probe.trace import Head, head_on_graph

GUIDED = {"Relu": "ActwidgetsGuidedRelu", "Relu6": "ActwidgetsGuidedRelu6"}


@dataclass(frozen=True)
class Call:
    """One call of a model while it is traced.

    Attributes:
        inputs: The model's own inputs.
        points: What is differentiated: the floating-point inputs, then the embedded ones.
        target: `(sample,)` int64, the class asked about.
        taps: What layers put out, by name; `""` is the first output of the model.
        recorded: The same, in the order of the calls.
    """

    inputs: tuple[Any, ...]
    points: tuple[Any, ...]
    target: Any
    taps: dict[str, Any]
    recorded: tuple[Tap, ...]


Build = Callable[[Call], Sequence[Any]]


class ScoreTrace:
    """A model traced once; each thing wanted of it is a compiled head on the same graph.

    Args:
        model: A built Keras model.
        inputs: What it takes.
        embedded: Outputs of layers that are arguments of the graph, and take the place of
            what these layers put out.
        training: Whether layers act as they do in training.
        guided: Whether the gradient of every ReLU is the guided one.
        weights: Variables, each with the one that stands in for it.

    Raises:
        RecordingError: A layer cannot be traced.
    """

    def __init__(
        self,
        model: Any,
        inputs: Inputs,
        embedded: Sequence[Output] = (),
        *,
        training: bool = False,
        guided: bool = False,
        weights: Sequence[tuple[Any, Any]] = (),
    ) -> None:
        self._model, self._inputs, self._embedded = model, inputs, tuple(embedded)
        self._training, self._guided, self._weights = training, guided, weights
        calls: list[Call] = []

        def call(*tensors: Any) -> Any:
            calls.append(self._called(tensors))
            return []  # each head brings outputs of its own

        self._whole = tf.function(call, autograph=False).get_concrete_function(*self._signature())
        self.call = calls[0]
        self._heads: dict[Any, Head] = {}
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
            return traced.get_concrete_function(*self._signature())

    def _signature(self) -> tuple[tf.TensorSpec, ...]:
        embedded = (tf.TensorSpec(each.shape, each.dtype) for each in self._embedded)
        return (*self._inputs.signature, *embedded, tf.TensorSpec((None,), tf.int64))

    def _called(self, tensors: Sequence[Any]) -> Call:
        n_given, n_inputs = len(self._inputs.signature), len(self._inputs.specs)
        given, embedded, target = tensors[:n_given], tensors[n_given:-1], tensors[-1]
        stand_ins = {
            each.name: tensor for each, tensor in zip(self._embedded, embedded, strict=True)
        }
        edit = self._inputs.change(given)

        def change(name: str, output: Any) -> Any:
            output = _exchanged(name, output, stand_ins)
            return output if edit is None else edit(name, output)

        graph = tf.compat.v1.get_default_graph()
        with graph.gradient_override_map(GUIDED) if self._guided else nullcontext():
            recording = record(
                self._model,
                self._inputs.arguments(given),
                training=self._training,
                change=change,
                weights=[(ours, tf.convert_to_tensor(other)) for ours, other in self._weights],
            )
        return Call(
            inputs=tuple(given[:n_inputs]),
            points=(*(each for each in given[:n_inputs] if each.dtype.is_floating), *embedded),
            target=target,
            taps={tap.name: tap.output for tap in recording.taps},
            recorded=recording.taps,
        )


def _exchanged(name: str, output: Any, stand_ins: dict[str, Any]) -> Any:
    """A layer's output with what stands in for it; the mask that Keras keeps on it stays."""
    parts = tf.nest.flatten(output)
    places = [place for place, part in enumerate(parts) if hasattr(part, "shape")]
    names = {element_name(name, index): place for index, place in enumerate(places)}
    if not names.keys() & stand_ins.keys():
        return output
    for element, place in names.items():
        if element in stand_ins:
            mask = getattr(parts[place], "_keras_mask", None)
            parts[place] = tf.identity(stand_ins[element])  # the argument itself keeps no mask
            if mask is not None:
                parts[place]._keras_mask = mask
    return tf.nest.pack_sequence_as(output, parts)


@tf.RegisterGradient(GUIDED["Relu"])
def _guided_relu(operation: Any, gradient: Any) -> Any:
    return tf.where((operation.outputs[0] > 0) & (gradient > 0), gradient, tf.zeros_like(gradient))


@tf.RegisterGradient(GUIDED["Relu6"])
def _guided_relu6(operation: Any, gradient: Any) -> Any:
    output = operation.outputs[0]
    return tf.where((output > 0) & (output < 6) & (gradient > 0), gradient, tf.zeros_like(gradient))
