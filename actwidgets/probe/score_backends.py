"""Traced and eager backends of a score function: one call of a model, inputs to scores.

What decides is what the model does with an input, never the dtype that it is declared with:
token ids through a floating-point input, as most text models are written, are cast to whole
numbers and looked up, and no derivative leads back to them.
"""

import functools
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import tensorflow as tf

from actwidgets.errors import ModelError
from actwidgets.probe.call_trace import CallTraceError, LayerOutput, element_name, trace_call
from actwidgets.probe.compiled import CompiledFunction, function_on_graph
from actwidgets.probe.graph_ops import LayerNames
from actwidgets.probe.guided_relu import guide
from actwidgets.probe.inputs import InputSpec
from actwidgets.probe.layer_index import Output, is_models_own
from actwidgets.probe.receptive_fields import OF_SHAPES


@dataclass(frozen=True)
class Call:
    """One call of a model with its inputs, layer outputs and operations.

    Attributes:
        inputs: The model's own inputs.
        points: What is differentiated: inputs, then the embedded ones.
        target: `(sample,)` int64, the class asked about.
        taps: What layers put out, by name; `""` is the first output of the model.
        recorded: The same, in the order of the calls.
        operations: What TensorFlow did, in order; each has `type`, `inputs`, `outputs`.
        gradients: Of the sum of a score at some tensors; None for each that it does not reach.
        weights: Variables, each with the one that stands in for it.
        notes: What is to be said of what was made of it, by key.
    """

    inputs: tuple[Any, ...]
    points: tuple[Any, ...]
    target: Any
    taps: dict[str, Any]
    recorded: tuple[LayerOutput, ...]
    operations: Sequence[Any]
    gradients: Callable[[Any, Sequence[Any]], list[Any]]
    weights: Sequence[tuple[Any, Any]] = ()
    notes: dict[Any, str] = field(default_factory=dict)


Build = Callable[[Call], Sequence[Any]]


class _Backend:
    """A model as it is called for its scores, and what takes the place of its parts.

    Args:
        model: A built Keras model.
        inputs: What it takes.
        embedded: Outputs of layers that are arguments, in the place of what these layers put out.
        differentiated: Which of the inputs are; all floating-point ones by default.
        training: Whether layers act as they do in training.
        weights: Variables, each with the one that stands in for it.
    """

    def __init__(
        self,
        model: Any,
        inputs: InputSpec,
        embedded: Sequence[Output] = (),
        differentiated: Sequence[bool] | None = None,
        *,
        training: bool = False,
        weights: Sequence[tuple[Any, Any]] = (),
    ) -> None:
        self._model, self._inputs, self._embedded = model, inputs, tuple(embedded)
        self._differentiated, self._training, self._weights = differentiated, training, weights

    def _call(
        self,
        tensors: Sequence[Any],
        operations: Callable[[], Sequence[Any]],
        gradients: Callable[[Any, Sequence[Any]], list[Any]],
    ) -> Call:
        """Call the model, eagerly or while it is traced; `operations` is asked when it is over.

        Tensors are the model's inputs, the embedded ones, and the target. CallTraceError where
        a layer raised.
        """
        inputs = self._inputs
        n_given, n_inputs = len(inputs.signature), len(inputs.specs)
        given, arguments, target = tensors[:n_given], tensors[n_given:-1], tensors[-1]
        names = [output.name for output in self._embedded]
        stand_ins = dict(zip(names, arguments, strict=True))
        edit = inputs.change(given)

        def change(name: str, output: Any) -> Any:
            output = output if edit is None else edit(name, output)
            return _exchanged(name, output, stand_ins)  # what stands in was edited when it was made

        recording = trace_call(
            self._model,
            inputs.arguments(given),
            training=self._training,
            change=change,
            weights=[(ours, tf.convert_to_tensor(other)) for ours, other in self._weights],
        )
        own = given[:n_inputs]
        chosen = self._differentiated
        if chosen is None:
            chosen = [tensor.dtype.is_floating for tensor in own]
        return Call(
            inputs=tuple(own),
            points=(*itertools.compress(own, chosen), *arguments),
            target=target,
            taps={tap.name: tap.output for tap in recording.taps},
            recorded=recording.taps,
            operations=operations(),
            gradients=gradients,
            weights=self._weights,
        )


def _exchanged(name: str, output: Any, stand_ins: Mapping[str, Any]) -> Any:
    """Replace a layer's output by its stand-in; the mask that Keras keeps on it stays."""
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


# What makes floating-point values of whole numbers by what they stand for, not by their size.
LOOKUPS = frozenset((
    "Bincount", "DenseBincount", "Gather", "GatherNd", "GatherV2", "LookupTableFindV2", "OneHot",
    "RaggedBincount", "ResourceGather", "ResourceGatherNd", "SparseBincount",
    "SparseTensorDenseMatMul",
))  # fmt: skip


@dataclass(frozen=True)
class EmbeddedInputs:
    """Which inputs are differentiated, and the embeddings of those that cannot be.

    Attributes:
        differentiated: One per input, whether its own values are differentiated.
        taps: The outputs of layers in which the others become floating-point, in the order of
            the calls; of an embedding its output. What is computed from an input beside an
            embedding, such as a mask, is none.
        sources: One per tap, the places of the inputs that it is made of.
    """

    differentiated: tuple[bool, ...]
    taps: tuple[LayerOutput, ...] = ()
    sources: tuple[frozenset[int], ...] = ()

    @property
    def left_out(self) -> tuple[int, ...]:
        """The inputs of which nothing is differentiated."""
        seen = frozenset[int]().union(*self.sources)
        return tuple(
            place
            for place, differentiated in enumerate(self.differentiated)
            if not differentiated and place not in seen
        )

    def names(self, inputs: Sequence[str]) -> tuple[str, ...]:
        """What is differentiated by name: the inputs, and those that are embedded.

        An embedded one goes by the name of its input where that has no other, and the model
        has several inputs; else by that of the layer.
        """
        names = [name for name, mine in zip(inputs, self.differentiated, strict=True) if mine]
        for tap, sources in zip(self.taps, self.sources, strict=True):
            place = next(iter(sources))
            alone = len(sources) == 1 and sum(place in each for each in self.sources) == 1
            by_input = len(inputs) > 1 and alone and not self.differentiated[place]
            name = inputs[place] if by_input else tap.name
            names.append(f"{name} (layer)" if name in inputs and not by_input else name)
        return tuple(names)


def embedded_inputs(call: Call) -> EmbeddedInputs:
    """Find where integer inputs become floating-point, following one call of a model.

    An input is differentiated where a chain of floating-point values leads from it to an
    output of the model. One that is also looked up, such as a number and its bucket, is seen
    at both. A floating-point one that is rounded or compared, and then used as a number, is a
    number still: that no derivative leads to it is for the caller to say.
    """
    floating = frozenset(place for place, each in enumerate(call.inputs) if each.dtype.is_floating)
    reached, _ = _follow(call, floating, {})
    unused = floating - reached
    by_tensor = {tap.output.ref(): tap for tap in call.recorded if hasattr(tap.output, "ref")}
    _, found = _follow(call, reached, by_tensor)
    embedded = frozenset[int]().union(*(sources for _, sources in found))
    differentiated = reached | (unused - embedded)
    return EmbeddedInputs(
        tuple(place in differentiated for place in range(len(call.inputs))),
        tuple(tap for tap, _ in found),
        tuple(sources for _, sources in found),
    )


def _follow(
    call: Call, points: frozenset[int], by_tensor: Mapping[Any, LayerOutput]
) -> tuple[frozenset[int], list[tuple[LayerOutput, frozenset[int]]]]:
    """Inputs that reach an output, and layer outputs with the inputs they are made of.

    The operations are walked over once. `points` are the inputs that are differentiated, as far
    as is known, `by_tensor` the taps at which others may become floating-point.
    """
    live: dict[Any, frozenset[int]] = {}  # floating all the way from these inputs
    cut: dict[Any, frozenset[int]] = {}  # made of these, with something whole on the way
    settled: set[Any] = set()  # follows from what is differentiated
    looked_up: set[Any] = set()
    found: list[tuple[LayerOutput, frozenset[int]]] = []
    floating = frozenset(p for p, each in enumerate(call.inputs) if each.dtype.is_floating)
    for place, each in enumerate(call.inputs):
        (live if each.dtype.is_floating else cut)[each.ref()] = frozenset((place,))
        if place in points:
            settled.add(each.ref())
    for operation in call.operations:
        if operation.type in OF_SHAPES:
            continue
        sources = [each.ref() for each in operation.inputs]
        alive, whole = _union(live, sources), _union(cut, sources)
        is_settled = any(each in settled for each in sources)
        if not (alive or whole or is_settled):
            continue
        is_lookup = operation.type in LOOKUPS or any(each in looked_up for each in sources)
        for output in operation.outputs:
            place = output.ref()
            if not _carries_derivatives(output.dtype):
                cut[place] = alive | whole
                looked_up |= {place} if is_lookup else set()
                continue
            if alive:
                live[place] = alive
            if is_settled:
                settled.add(place)
            elif whole and not alive:
                tap = by_tensor.get(place) if output.dtype.is_floating else None
                # Of a floating-point input a mask is no second use, a lookup is.
                if tap is not None and (is_lookup or whole - floating):
                    found.append((tap, whole))
                    settled.add(place)
                else:
                    cut[place] = whole
                    looked_up |= {place} if is_lookup else set()
    ends = (tap.output.ref() for tap in call.recorded if is_models_own(tap.name))
    return _union(live, ends), found


def _carries_derivatives(dtype: Any) -> bool:
    """Whether values of a dtype may carry derivatives: floats, and lists of such in loops."""
    return dtype.is_floating or dtype.is_complex or dtype == tf.variant


def _union(known: Mapping[Any, frozenset[int]], places: Iterable[Any]) -> frozenset[int]:
    return frozenset[int]().union(*(known.get(each, ()) for each in places))


class Operation(NamedTuple):
    """One eager operation of TensorFlow, in the shape of a graph's."""

    type: str
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]


class EagerBackend(_Backend):
    """Eager backend, for a model that branches in Python on values."""

    @functools.cached_property
    def call(self) -> Call:
        """One call, of samples made of zeros."""
        return self._called(self.blank())[0]

    def function(self, key: Any, build: Build) -> CompiledFunction:
        """A function of the model's inputs, the embedded ones, and the target."""

        def run(*tensors: Any) -> list[Any]:
            try:
                return self._called(tensors, build)[1]
            except CallTraceError as failure:
                raise ModelError(
                    f"model {self._model.name!r} cannot be run: {failure}"
                ) from failure

        return run

    def _called(self, tensors: Sequence[Any], build: Build | None = None) -> tuple[Call, list[Any]]:
        """What is built of a call while the tape of its derivatives is running."""
        with (
            tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape,
            operations_noted() as operations,
        ):
            tape.watch([each for each in tensors if each.dtype.is_floating])

            def gradients(score: Any, at: Sequence[Any]) -> list[Any]:
                with tape.stop_recording():
                    return tape.gradient(score, list(at))

            call = self._call(tensors, lambda: operations, gradients)
            return call, [] if build is None else list(build(call))

    def blank(self) -> list[Any]:
        """Zeros for every argument of a function; a length that may be any is 8."""
        inputs, n_samples = self._inputs, self._inputs.fixed_batch or 1
        numbers = [tf.zeros(spec.shape) for spec in inputs.signature[len(inputs.specs) :]]
        embedded = [
            tf.zeros([n_samples, *(axis or 8 for axis in each.shape[1:])], each.dtype)
            for each in self._embedded
        ]
        return [*inputs.blank(n_samples), *numbers, *embedded, tf.zeros(n_samples, tf.int64)]


@contextmanager
def operations_noted() -> Iterator[list[Operation]]:
    """Record the operations that TensorFlow runs on this thread.

    Raises:
        ModelError: This version of TensorFlow does not tell.
    """
    try:
        from tensorflow.python.framework.op_callbacks import add_op_callback, remove_op_callback
    except ImportError as failure:  # TensorFlow's inside has changed
        raise ModelError(
            "the model cannot be traced, and this version of TensorFlow does not tell what an "
            "eager call does: its score before the softmax cannot be found"
        ) from failure
    noted: list[Operation] = []

    def note(kind: Any, inputs: Any, _: Any, outputs: Any, *__: Any, **___: Any) -> None:
        name = kind.decode() if isinstance(kind, bytes) else str(kind)
        noted.append(Operation(name, tuple(inputs), tuple(outputs)))

    add_op_callback(note)
    try:
        yield noted
    finally:
        remove_op_callback(note)


class TracedBackend(_Backend):
    """Traced backend: one trace of a model with compiled outputs on the same graph.

    Args:
        arguments, options: As of every backend.
        guided: Whether the gradient of every ReLU is the guided one.

    Attributes:
        call: The call that was traced.
        compared: Layers whose values were found to be those of an eager call.

    Raises:
        CallTraceError: A layer cannot be traced.
    """

    def __init__(self, *arguments: Any, guided: bool = False, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._guided = guided
        outputs = (tf.TensorSpec(output.shape, output.dtype) for output in self._embedded)
        self._signature = (*self._inputs.signature, *outputs, tf.TensorSpec((None,), tf.int64))
        calls: list[Call] = []

        def call(*tensors: Any) -> Any:
            calls.append(self._called(tensors))
            return []  # each function brings outputs of its own

        traced = tf.function(call, autograph=False)
        self._whole = traced.get_concrete_function(*self._signature)
        self.call = calls[0]
        self._functions: dict[Any, CompiledFunction] = {}
        self.compared: set[str] = set()
        self._making = threading.Lock()

    def function(self, key: Any, build: Build) -> CompiledFunction:
        """A compiled function of the model's inputs, the embedded ones, and the target.

        `build` makes the tensors wanted, in the graph of the call, once for each `key`.
        """
        with self._making:
            if key not in self._functions:
                self._functions[key] = self._make(build)
            return self._functions[key]

    def _make(self, build: Build) -> CompiledFunction:
        with self._whole.graph.as_default():
            outputs = list(build(self.call))
        try:
            return function_on_graph(self._whole, outputs)
        except (ImportError, AttributeError, TypeError):  # TensorFlow's inside has changed
            traced = tf.function(
                lambda *tensors: list(build(self._called(tensors))), autograph=False
            )
            return traced.get_concrete_function(*self._signature)

    def _called(self, tensors: Sequence[Any]) -> Call:
        graph = tf.compat.v1.get_default_graph()
        call = self._call(
            tensors, graph.get_operations, lambda score, at: tf.gradients(score, list(at))
        )
        if self._guided:
            guide(call.operations, LayerNames(call.recorded))
        return call


Backend = TracedBackend | EagerBackend
