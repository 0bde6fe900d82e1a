"""One trace of a model, and compiled slices of it: heads on the same graph."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from actwidgets.core.receptive_field import ReceptiveField
from actwidgets.probe.catalogue import Catalogue, Output, describe
from actwidgets.probe.input_flow import InputFlow
from actwidgets.probe.inputs import Inputs
from actwidgets.probe.receptive_fields import Fields, field_of, receptive_fields
from actwidgets.probe.recorder import Recording, record

Head = Callable[..., Sequence[tf.Tensor]]
Transform = Callable[[Sequence[tf.Tensor]], list[tf.Tensor]]


class Trace:
    """A model traced once for batches of any size, and a compiled function per layer asked for.

    A head stops at its layers: what the graph holds behind them is not run. Heads read the
    model's variables when they run, so they stay right while it is trained.

    Args:
        model: A built Keras model.
        inputs: What it takes.
        training: Whether layers act as they do in training.
        at_each_call: As in `record`.

    Attributes:
        catalogue: Its layers.
        set_by_calls: As of a `Recording`.

    Raises:
        RecordingError: A layer cannot be traced.
    """

    def __init__(
        self,
        model: Any,
        inputs: Inputs,
        *,
        training: bool = False,
        at_each_call: Callable[[], None] | None = None,
    ) -> None:
        self._inputs = inputs

        def run(tensors: Sequence[Any], **limits: Any) -> Recording:
            arguments, change = inputs.arguments(tensors), inputs.change(tensors)
            return record(model, arguments, training=training, change=change, **limits)

        def call(*tensors: Any) -> Any:
            given.append(tensors[: len(inputs.specs)])
            recordings.append(run(tensors, at_each_call=at_each_call))
            return []  # each head brings outputs of its own

        recordings: list[Recording] = []
        given: list[Sequence[Any]] = []
        self._run = run
        self._whole = tf.function(call, autograph=False).get_concrete_function(*inputs.signature)
        self._fields: dict[Any, Fields] | None = None
        self.set_by_calls = recordings[0].set_by_calls
        self._tensors = {tap.name: tap.output for tap in recordings[0].taps}
        self.catalogue = _catalogue(
            recordings[0], self._whole.graph, model, (None, inputs.batch_size)
        )
        self.catalogue.flow = flow_of(recordings[0], given[0])

    def receptive_field(self, name: str) -> ReceptiveField | None:
        """What a position of a layer's map sees of the input; None for everything.

        Known for models with one input.
        """
        output, tensor = self.catalogue.require(name), self._tensors[name]
        graph, specs = self._whole.graph, self._inputs.specs
        if len(specs) != 1 or tensor.graph is not graph:
            return None
        if self._fields is None:
            self._fields = receptive_fields(graph, graph.inputs[0])
        fields = self._fields.get(tensor.ref(), {})
        return field_of(fields, len(output.shape), output.unit_axis)

    def head(self, names: Sequence[str], fold: Transform | None = None) -> Head:
        """Make a compiled function from input tensors to the outputs of these layers.

        Args:
            names: The layers.
            fold: What to make of their outputs in the same function.

        Raises:
            LayerError: The model has no such layer, or it cannot be shown.
        """
        for name in names:
            self.catalogue.require(name)
        try:
            return head_on_graph(self._whole, [self._tensors[name] for name in names], fold)
        except (ImportError, AttributeError, TypeError):  # TensorFlow's inside has changed
            return self._head_by_tracing(names, fold)

    def _head_by_tracing(self, names: Sequence[str], fold: Transform | None = None) -> Head:
        """The same by the public road: a trace per head, to the last of its layers."""

        def call(*tensors: Any) -> Any:
            taps = {tap.name: tap.output for tap in self._run(tensors, only=names).taps}
            outputs = [taps[name] for name in names]
            return outputs if fold is None else fold(outputs)

        return tf.function(call, autograph=False).get_concrete_function(*self._inputs.signature)


class _Slice:
    """The part of a traced graph that some outputs need, in the place of the whole graph.

    What lies behind the outputs is not in it, nor are variables that only that reads: each
    one handed to a function costs half a microsecond a call.
    """

    def __init__(self, whole: Any, outputs: list[Any]) -> None:
        graph = whole.graph
        if graph.deferred_external_captures:
            raise TypeError("captures by reference are read when the function is called")
        self._graph, self._needed = graph, operations_behind(outputs)
        kept = [
            (capture, each)
            for capture, each in zip(
                graph.captures, whole.function_type.captures.items(), strict=True
            )
            if capture[1].op in self._needed
        ]
        self.captures = [capture for capture, _ in kept]
        self.capture_types = OrderedDict(each for _, each in kept)
        self.external_captures = [external for external, _ in self.captures]
        n_arguments = len(graph.inputs) - len(graph.captures)
        self.inputs = [*graph.inputs[:n_arguments], *(internal for _, internal in self.captures)]
        self.outputs, self.structured_outputs = list(outputs), list(outputs)
        self.control_outputs: list[Any] = []  # or whatever has a state would be run

    def get_operations(self) -> list[Any]:
        return [each for each in self._graph.get_operations() if each in self._needed]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._graph, name)


def flow_of(recording: Recording, inputs: Sequence[Any]) -> InputFlow:
    """How the inputs went through the layers of a model that was called."""
    flow = InputFlow(inputs)
    for name, layer, given, outputs in recording.calls:
        flow.note(name, layer, given, outputs)
    return flow.done()


def operations_behind(outputs: list[Any]) -> set[Any]:
    """The operations that the values of these tensors depend on."""
    needed: set[Any] = set()
    waiting = [output.op for output in outputs]
    while waiting:
        operation = waiting.pop()
        if operation not in needed:
            needed.add(operation)
            waiting += [each.op for each in operation.inputs]
            waiting += operation.control_inputs
    return needed


def head_on_graph(whole: Any, outputs: list[Any], fold: Transform | None = None) -> Head:
    """A head on the graph that is there: no second trace. Uses TensorFlow's private parts."""
    from tensorflow.core.function import trace_type
    from tensorflow.core.function.polymorphism import function_type
    from tensorflow.python.eager.polymorphic_function import concrete_function

    if fold is not None:
        with whole.graph.as_default():
            outputs = fold(outputs)
    part = _Slice(whole, outputs)
    signature = function_type.FunctionType(
        whole.function_type.parameters.values(),
        part.capture_types,
        return_annotation=trace_type.from_value(part.structured_outputs),
    )
    return concrete_function.ConcreteFunction.from_func_graph(part, signature, {})


def _catalogue(
    recording: Recording, graph: Any, model: Any, n_samples: tuple[int | None, ...]
) -> Catalogue:
    outputs = []
    for tap in recording.taps:
        # What is inside a loop or a branch has a graph of its own and cannot be fetched.
        if getattr(tap.output, "graph", graph) is graph:
            output = describe(tap.name, tap.layer, tap.output, tap.unit_axis, sample_axis=n_samples)
        else:
            refused = "is called inside a loop or a branch, where its output cannot be fetched"
            output = Output(tap.name, tap.layer, (), tap.unit_axis, refused)
        outputs.append(output)
    names = getattr(getattr(model, "_functional", model), "output_names", None)
    return Catalogue(outputs, recording.structure, names or ())
