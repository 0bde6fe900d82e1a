"""Compiled functions from inputs to layer outputs on one trace, checked against eager calls."""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from actwidgets.core.accumulators import SampleSummary
from actwidgets.core.arrays import Array
from actwidgets.core.layers import ReceptiveField
from actwidgets.probe.call_trace import CallTrace, trace_call
from actwidgets.probe.input_flow import InputFlow
from actwidgets.probe.inputs import InputSpec
from actwidgets.probe.layer_index import LayerIndex, Output, describe
from actwidgets.probe.receptive_fields import Fields, field_of, receptive_fields


@dataclass(frozen=True)
class PositionReduction:
    """Reduce layer outputs over positions inside the graph: mean, max, min and counts by unit.

    A forward pass over maps then hands over kilobytes instead of megabytes. Two folds that
    are equal stand for the same compiled function.

    Attributes:
        axes: For each layer, how many axes its output has, and which of them runs over units.
        above: Count the positions above this; None counts none.
        low: Whether the smallest values are wanted.
    """

    axes: tuple[tuple[int, int], ...]
    above: float | None = None
    low: bool = True

    def __call__(self, outputs: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """The folded tensors of all layers behind one another, for `read`."""
        return [
            tensor
            for output, axes in zip(outputs, self.axes, strict=True)
            for tensor in self._folded(tf.cast(output, tf.float32), _positions(*axes))
        ]

    def read(self, tensors: Sequence[tf.Tensor]) -> list[SampleSummary | None]:
        """What the folded tensors say of each layer.

        None where a value is NaN or infinite, or there are no positions to take a mean of:
        what becomes of that is for `core.accumulators.summarize` to say, which needs the layer's
        whole output.
        """
        values = iter([tensor.numpy() for tensor in tensors])
        return [self._summary(values, _positions(*axes)) for axes in self.axes]

    def comparable(self, tensors: Sequence[tf.Tensor]) -> list[Array]:
        """The values of each layer among the folded tensors, but for the counts.

        Whether a value lies above a threshold may change with its last digit. NaN where `read`
        says nothing.
        """
        return [
            np.full(1, np.nan, np.float32)
            if each is None
            else np.stack([v for v in (each.max, each.mean, each.min) if v is not None])
            for each in self.read(tensors)
        ]

    def _folded(self, output: tf.Tensor, positions: Sequence[int]) -> Iterator[tf.Tensor]:
        if not positions:
            yield output if output.shape.rank > 1 else output[:, None]
            return
        # The raw operations are made in half the time, and many layers are folded at once.
        over = {"axis": tf.constant(positions, tf.int32)}
        yield tf.raw_ops.Mean(input=output, **over)
        yield tf.raw_ops.Max(input=output, **over)
        lengths = [output.shape[axis] for axis in positions]
        if None in lengths:
            lengths = tf.gather(tf.shape(output), positions)
        yield tf.reduce_prod(lengths) if tf.is_tensor(lengths) else tf.constant(math.prod(lengths))
        if self.low:
            yield tf.raw_ops.Min(input=output, **over)
        if self.above is not None:
            yield tf.raw_ops.Sum(input=tf.cast(output > self.above, tf.float32), **over)

    def _summary(
        self, values: Iterator[np.ndarray], positions: Sequence[int]
    ) -> SampleSummary | None:
        mean = high = next(values)
        low: Array | None = mean
        n_positions, n_above = 1, None
        if positions:
            high, n_positions = next(values), int(next(values))
            low = next(values) if self.low else None
        if self.above is not None:
            is_above = next(values) if positions else mean > np.float32(self.above)
            n_above = is_above.astype(np.int64)
        if not np.isfinite(mean).all():
            return None
        return SampleSummary(high, mean, low, n_above, None, n_positions)


def _positions(n_axes: int, unit_axis: int) -> list[int]:
    """The axes that are neither samples nor units."""
    return [axis for axis in range(1, n_axes) if axis != unit_axis % n_axes]


N_COMPARED = FEW_SAMPLES = 4  # samples, once for each layer of each trace
TOLERANCE = 1e-3  # of what a layer puts out, as lengths of vectors
COARSE_TOLERANCE = 3e-2  # where a layer computes in 16 bits or fewer
AMPLIFIED = 100  # times what its input's last digit moves a layer by

Values = Sequence[Array]
Look = Callable[[Sequence[Any]], Values]


def disagreement(
    compiled: Values,
    tensors: Sequence[Any],
    look: Look,
    tolerance: float,
    eager: Values | None = None,
) -> tuple[int, float] | None:
    """Find the output of a compiled function that differs from that of an eager call.

    A compiled graph adds in another order than an eager call does and leaves out what cancels:
    published networks of float32 then differ by 1e-7 to 1e-5 of a layer's output, and a layer
    that was traced wrongly by a tenth and more. In between lie two kinds of model that are
    right on both roads: one that draws random numbers which are not Keras' own, which two eager
    calls tell, and one that amplifies every rounding, which is told by moving its input by as
    little as that.

    Args:
        compiled: What the compiled function puts out.
        tensors: For which samples.
        look: Calls the model eagerly and gives the same outputs.
        tolerance: The share of a layer's output by which both may differ.
        eager: What `look` gave before, where it was asked.

    Returns:
        The place of the output that differs most, and the share by which it does; None where
        nothing differs.

    Cost: one eager call; two more where something differs.
    """
    eager = look(tensors) if eager is None else eager
    shares = _shares(eager, compiled)
    if max(shares, default=0.0) <= tolerance:
        return None
    by_chance = _shares(eager, look(tensors))
    by_rounding = _shares(eager, look([_moved(each) for each in tensors]))
    excess = [
        share if share > max(tolerance, AMPLIFIED * rounding) and chance <= tolerance else 0.0
        for share, chance, rounding in zip(shares, by_chance, by_rounding, strict=True)
    ]
    worst = int(np.argmax(excess))
    return (worst, excess[worst]) if excess[worst] else None


def tolerance_of(model: Any) -> float:
    """Tolerance between compiled and eager values, by a model's precision."""
    for layer in model._flatten_layers():
        computes_in = str(getattr(layer, "compute_dtype", "") or "")
        if "16" in computes_in or "float8" in computes_in:
            return COARSE_TOLERANCE
        if getattr(layer, "quantization_mode", None) is not None:
            return COARSE_TOLERANCE
    return TOLERANCE


def as_values(tensors: Sequence[Any]) -> list[Array]:
    """Layer outputs as arrays that can be compared."""
    return [np.asarray(tf.convert_to_tensor(each)) for each in tensors]


def _shares(eager: Values, others: Values) -> list[float]:
    return [_share(one, other) for one, other in zip(eager, others, strict=True)]


def _share(eager: Array, other: Array) -> float:
    """Relative error: the norm of the difference over that of the right values; NaN equals NaN."""
    if eager.shape != other.shape:
        return np.inf
    if eager.dtype.kind in "OSU":
        return 0.0 if np.array_equal(eager, other) else np.inf
    kind = np.complex128 if eager.dtype.kind == "c" else np.float64
    one, two = eager.astype(kind), other.astype(kind)
    finite = np.isfinite(one)
    if not np.array_equal(finite, np.isfinite(two)):
        return np.inf
    if not np.array_equal(one[~finite], two[~finite], equal_nan=True):
        return np.inf
    difference = float(np.linalg.norm(one[finite] - two[finite]))
    if not difference:
        return 0.0
    length = float(np.linalg.norm(one[finite]))
    return difference / length if length else np.inf


def _moved(tensor: Any) -> Any:
    """Perturb floating-point values in their last digit, up or down; others as they are."""
    if not tensor.dtype.is_floating:
        return tensor
    values = tf.cast(tensor, tf.float64).numpy()
    known = np.abs(values[np.isfinite(values)])
    step = 2.0 * float(np.finfo(tensor.dtype.as_numpy_dtype).eps) if _has_finfo(tensor) else 2e-2
    signs = np.random.default_rng(0).choice((-1.0, 1.0), values.shape)
    size = np.maximum(np.abs(values), known.mean() if known.size else 0.0)
    moved = np.where(np.isfinite(values), values + step * size * signs, values)
    return tf.cast(moved, tensor.dtype)


def _has_finfo(tensor: Any) -> bool:
    return tensor.dtype in (tf.float16, tf.float32, tf.float64)


CompiledFunction = Callable[..., Sequence[tf.Tensor]]
Transform = Callable[[Sequence[tf.Tensor]], list[tf.Tensor]]


class Trace:
    """A model traced once for batches of any size, and a compiled function per layer asked for.

    A function stops at its layers: what the graph holds behind them is not run. Heads read the
    model's variables when they run, so they stay right while it is trained.

    Args:
        model: A built Keras model.
        inputs: What it takes.
        training: Whether layers act as they do in training.
        at_each_call: As in `trace_call`.

    Attributes:
        layer_index: Its layers.
        set_by_calls: As of a `CallTrace`.

    Raises:
        CallTraceError: A layer cannot be traced.
    """

    def __init__(
        self,
        model: Any,
        inputs: InputSpec,
        *,
        training: bool = False,
        at_each_call: Callable[[], None] | None = None,
    ) -> None:
        self._inputs = inputs

        def run(tensors: Sequence[Any], **limits: Any) -> CallTrace:
            arguments, change = inputs.arguments(tensors), inputs.change(tensors)
            return trace_call(model, arguments, training=training, change=change, **limits)

        def call(*tensors: Any) -> Any:
            given.append(tensors[: len(inputs.specs)])
            recordings.append(run(tensors, at_each_call=at_each_call))
            return []  # each function brings outputs of its own

        recordings: list[CallTrace] = []
        given: list[Sequence[Any]] = []
        self._run = run
        self._whole = tf.function(call, autograph=False).get_concrete_function(*inputs.signature)
        self._fields: dict[Any, Fields] | None = None
        self.set_by_calls = recordings[0].set_by_calls
        self._tensors = {tap.name: tap.output for tap in recordings[0].taps}
        self.layer_index = _layer_index(
            recordings[0], self._whole.graph, model, (None, inputs.batch_size)
        )
        self.layer_index.flow = flow_of(recordings[0], given[0])

    def receptive_field(self, name: str) -> ReceptiveField | None:
        """What a position of a layer's map sees of the input; None for everything.

        Known for models with one input.
        """
        output, tensor = self.layer_index.require(name), self._tensors[name]
        graph, specs = self._whole.graph, self._inputs.specs
        if len(specs) != 1 or tensor.graph is not graph:
            return None
        if self._fields is None:
            self._fields = receptive_fields(graph, graph.inputs[0])
        fields = self._fields.get(tensor.ref(), {})
        return field_of(fields, len(output.shape), output.unit_axis)

    def function(self, names: Sequence[str], fold: Transform | None = None) -> CompiledFunction:
        """Make a compiled function from input tensors to the outputs of these layers.

        Args:
            names: The layers.
            fold: What to make of their outputs in the same function.

        Raises:
            LayerError: The model has no such layer, or it cannot be shown.
        """
        for name in names:
            self.layer_index.require(name)
        try:
            return function_on_graph(self._whole, [self._tensors[name] for name in names], fold)
        except (ImportError, AttributeError, TypeError):  # TensorFlow's inside has changed
            return self._function_by_tracing(names, fold)

    def _function_by_tracing(
        self, names: Sequence[str], fold: Transform | None = None
    ) -> CompiledFunction:
        """The same by the public road: a trace per function, to the last of its layers."""

        def call(*tensors: Any) -> Any:
            taps = {tap.name: tap.output for tap in self._run(tensors, only=names).taps}
            outputs = [taps[name] for name in names]
            return outputs if fold is None else fold(outputs)

        return tf.function(call, autograph=False).get_concrete_function(*self._inputs.signature)


class _Slice:
    """Pruned subgraph that some outputs need, run in the place of the whole graph.

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


def flow_of(recording: CallTrace, inputs: Sequence[Any]) -> InputFlow:
    """Input flow through the layers of a model that was called."""
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


def function_on_graph(
    whole: Any, outputs: list[Any], fold: Transform | None = None
) -> CompiledFunction:
    """Compile outputs on an existing graph without a second trace; private parts of TensorFlow."""
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


def _layer_index(
    recording: CallTrace, graph: Any, model: Any, n_samples: tuple[int | None, ...]
) -> LayerIndex:
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
    return LayerIndex(outputs, recording.structure, names or ())
