"""Trace a model's call: every layer's output by path, or from its functional graph."""

import re
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from actwidgets.probe.frameworks import (
    call_untouched,
    failure_message,
    frameworks,
    graph_runners,
    is_recurrent,
)
from actwidgets.probe.graph import CallNames, GraphRun, InputFlow, calls_of, is_layer
from actwidgets.probe.layer_index import PHASE, LayerIndex, Output, describe
from actwidgets.probe.unit_axis import UnitAxes


@dataclass(frozen=True)
class LayerOutput:
    """One output of one call of one layer.

    Attributes:
        name: Path, `#` and the number of the call, `:` and the number of the output.
        layer: The layer, or the plain operation of a Functional model.
        output: A tensor, eager or of a graph.
        unit_axis: The axis along which the units lie.
    """

    name: str
    layer: Any
    output: Any
    unit_axis: int


@dataclass(frozen=True)
class CallTrace:
    """All layer outputs of one call of a model.

    Attributes:
        taps: In the order in which the calls begin, those of a Functional model in the order
            in which they were made; the first are the model's own outputs, `""`, `":1"`, …
        structure: The model's output as it returned it; None where it was not run to the end.
        calls: Each call's name, layer, arguments and output, as they ended; none where only
            some layers were asked for.
        set_by_calls: Attributes of layers that were set on the way, as the id of the layer
            and the name. They were put back.
    """

    taps: tuple[LayerOutput, ...]
    structure: Any
    calls: tuple[tuple[str, Any, Any, Any], ...] = ()
    set_by_calls: frozenset[tuple[int, str]] = frozenset()


class CallTraceError(Exception):
    """A layer raised while the model was called; `__cause__` is what it raised."""


class _Enough(BaseException):  # passes through `except Exception` in other people's layers
    """Raised to end a call: every layer asked for has been recorded."""


def trace_call(
    model: Any,
    arguments: Sequence[Any],
    *,
    training: bool = False,
    only: Collection[str] | None = None,
    at_each_call: Callable[[], None] | None = None,
    change: Callable[[str, Any], Any] | None = None,
    weights: Sequence[tuple[Any, Any]] = (),
) -> CallTrace:
    """Call a built model once and return what its layers put out, by path.

    Args:
        model: A built Keras model.
        arguments: What it is called with: tensors, eager or of a graph that is being traced.
        training: Passed on to the model. Nothing it would change is changed.
        only: Names of taps; the call is left as soon as all of them are there, and no others
            are recorded.
        at_each_call: Called before each layer; may wait, or raise to give up.
        change: Called with the name of each call and its output; gives what takes its place.
        weights: Variables of a Keras 3 model, each with the tensor that stands in for it.

    Only calls on this thread are recorded. `Layer.__call__` and what a call leaves behind on
    the layers are put back, also when the model raises.

    Raises:
        RecordingError: The model raised; says which layer.
    """
    calls = _Calls(only, at_each_call, change)

    def call() -> None:
        with _recording_to(calls), suppress(_Enough):
            model(*arguments, training=training)

    try:
        call_untouched(model, call, weights)
    except Exception as failure:
        where = calls.failed_in
        inside = f"layer {where!r}" if where else f"model {model.name!r}"
        raise CallTraceError(f"{inside} raised {_described(failure)}") from failure
    return CallTrace(
        calls.taps(), calls.outputs[""][1], tuple(calls.ended), frozenset(calls.attributes)
    )


def real_parts(name: str, tensor: Any) -> list[tuple[str, Any]]:
    """A tensor by name; of a complex one its magnitude, and the phase as `stft:phase`.

    The phase is in radians, from -pi to pi.
    """
    here = None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
    inside_loop = not hasattr(tensor, "numpy") and getattr(tensor, "graph", None) is not here
    if not tf.is_tensor(tensor) or not tensor.dtype.is_complex or inside_loop:
        return [(name, tensor)]
    return [(name, tf.abs(tensor)), (f"{name}{PHASE}", tf.math.angle(tensor))]


def element_name(name: str, index: int) -> str:
    """The name of one tensor of an output that holds several."""
    return f"{name}:{index}" if index else name


def _call_name(name: str) -> str:
    """Name of the call that an output is of: `lstm` of `lstm:1`, `stft` of `stft:phase`."""
    return re.sub(r":\d+$", "", name.removesuffix(PHASE))


class _Calls:
    """Stack of the calls under way: names each by path and keeps its output."""

    def __init__(
        self,
        only: Collection[str] | None,
        at_each_call: Callable[[], None] | None,
        change: Callable[[str, Any], Any] | None,
    ) -> None:
        self.outputs: dict[str, tuple[Any, Any]] = {}
        self.failed_in: str | None = None
        self.ended: list[tuple[str, Any, Any, Any]] = []
        self.attributes: set[tuple[int, str]] = set()
        self._axes = UnitAxes()
        self._missing = None if only is None else {_call_name(name) for name in only}
        self._at_each_call, self._change = at_each_call, change
        self._path: list[str] = []
        self._callers: list[Any] = []
        self._names = CallNames()
        self._places: dict[tuple[str, ...], int] = {}  # by path
        self._order: dict[str, tuple[int, ...]] = {}
        self._graphs: list[_GraphUnderWay] = []
        self._inside_loop = False

    def record(self, layer: Any, call: Any, args: Any, kwargs: Any) -> Any:
        if self._inside_loop or not self._is_part(layer):
            return call(layer, *args, **kwargs)
        if self._at_each_call is not None:
            self._at_each_call()
        name = self._begin(layer)
        self._callers.append(layer)
        self._inside_loop = is_recurrent(layer)
        try:
            output = call(layer, *args, **kwargs)
            output = output if self._change is None else self._change(name, output)
        except Exception:
            self.failed_in = name if self.failed_in is None else self.failed_in
            raise
        finally:
            self._inside_loop = False
            self._path.pop()
            self._callers.pop()
        if self._missing is None:
            self.outputs[name] = (layer, output)
            self._axes.note(layer, (args, kwargs), output)
            self.ended.append((name, layer, (args, kwargs), output))
        elif name in self._missing:  # nothing else is kept: it may be large
            self.outputs[name] = (layer, output)
            self._missing.discard(name)
            if not self._missing:
                raise _Enough
        return output

    @contextmanager
    def running(self, graph: Any) -> Iterator[None]:
        """Name the calls made meanwhile as those of this graph, which Keras runs by depth."""
        self._graphs.append(_GraphUnderWay(graph, len(self._path)))
        try:
            yield
        finally:
            self._graphs.pop()

    def _is_part(self, layer: Any) -> bool:
        """Whether it is a layer, or an operation that a Functional model is made of.

        Layers make operations of their own when they are called, under names that change.
        """
        if is_layer(layer):
            return True
        return any(layer is each for each in getattr(self._callers[-1], "operations", ()))

    def _begin(self, layer: Any) -> str:
        outermost = not self._path  # that is the model itself
        part = layer.name if outermost else self._name_in_graph(layer) or self._name(layer)
        self._path.append(part)
        below = tuple(self._path[1:])
        name = "/".join(below)
        self.outputs[name] = (layer, None)
        # Inside which calls it is made, and where among those beside it.
        self._order[name] = tuple(
            self._places[below[:length]] for length in range(1, len(below) + 1)
        )
        return name

    def _name_in_graph(self, layer: Any) -> str | None:
        graph = self._graphs[-1] if self._graphs else None
        if graph is None or graph.depth != len(self._path):
            return None
        if graph.run is None:
            try:
                graph.run = GraphRun(calls_of(graph.graph), self._name, self._is_part)
            except (AttributeError, KeyError):  # Keras' inside has changed
                return None
        return graph.run.next(layer)

    def _name(self, layer: Any) -> str:
        path = tuple(self._path[1:])
        part = self._names.name(path, layer)
        self._places[*path, part] = len(self._places)
        return part

    def taps(self) -> tuple[LayerOutput, ...]:
        """One tap per tensor: `lstm`, `lstm:1` where a layer puts out several."""
        found = []
        for name in sorted(self.outputs, key=self._order.__getitem__):
            layer, output = self.outputs[name]
            tensors = [t for t in tf.nest.flatten(output) if hasattr(t, "shape")]
            for index, tensor in enumerate(tensors):
                axis = self._axes.of(tensor)
                for part, values in real_parts(element_name(name, index), tensor):
                    found.append(LayerOutput(part, layer, values, axis))
        return tuple(found)


@dataclass
class _GraphUnderWay:
    """A functional graph being run at some depth; its names are given at its first call."""

    graph: Any
    depth: int
    run: GraphRun | None = None


# --- how calls are seen ------------------------------------------------------------------

_here = threading.local()  # .calls: where the calls on this thread are recorded
_patching = threading.Lock()
_n_recordings = 0
_originals: list[tuple[type, str, Any]] = []
_attributes: dict[tuple[int, str], tuple[Any, Any]] = {}  # what they were before any recording
_ABSENT = object()
_ONLY_NOTES = ("_called", "_parent_path")  # set by each call, and of no use to it
_COMPILED = type(tf.function(lambda: None))


@contextmanager
def _recording_to(calls: _Calls) -> Iterator[None]:
    """Send the calls on this thread to `calls`; the last recording to end puts all back."""
    global _n_recordings
    with _patching:
        _n_recordings += 1
        _patch_missing()
    before = getattr(_here, "calls", None)
    _here.calls = calls
    try:
        yield
    finally:
        _here.calls = before
        with _patching:
            _n_recordings -= 1
            if not _n_recordings:
                while _originals:
                    owner, method, original = _originals.pop()
                    setattr(owner, method, original)
                while _attributes:
                    (_, name), (layer, value) = _attributes.popitem()
                    if value is _ABSENT:
                        vars(layer).pop(name, None)
                    else:
                        vars(layer)[name] = value


def _patch_missing() -> None:
    patched = {owner for owner, _, _ in _originals}
    wrappers = [(keras.Operation, "__call__", _seen_operation), (_COMPILED, "__call__", _inlined)]
    for framework in frameworks():
        layer = framework.layers.Layer
        wrappers += [(layer, "__call__", _seen), (layer, "__setattr__", _noted)]
    wrappers += [(owner, method, _run_in_sight) for owner, method in graph_runners()]
    for owner, method, wrapper in wrappers:
        if owner not in patched:
            original = getattr(owner, method)
            _originals.append((owner, method, original))
            setattr(owner, method, wrapper(original))


def _seen(original: Any) -> Any:
    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        calls = getattr(_here, "calls", None)
        if calls is None:
            return original(layer, *args, **kwargs)
        return calls.record(layer, original, args, kwargs)

    return call


def _seen_operation(original: Any) -> Any:
    """A plain operation of a Functional model. A layer comes here too, on its way inwards."""

    def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        calls = getattr(_here, "calls", None)
        if calls is None or isinstance(operation, keras.Layer):
            return original(operation, *args, **kwargs)
        return calls.record(operation, original, args, kwargs)

    return call


def _run_in_sight(original: Any) -> Any:
    """Record a run through the graph of a Functional model."""

    def run(graph: Any, *args: Any, **kwargs: Any) -> Any:
        calls = getattr(_here, "calls", None)
        if calls is None:
            return original(graph, *args, **kwargs)
        with calls.running(graph):
            return original(graph, *args, **kwargs)

    return run


def _inlined(original: Any) -> Any:
    """Run a `tf.function` of the user's as Python, or the layers in it could not be seen."""

    def call(function: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(_here, "calls", None) is None or _is_tensorflows(function):
            return original(function, *args, **kwargs)
        return function.python_function(*args, **kwargs)

    return call


def _noted(original: Any) -> Any:
    """Put back what a call sets on a layer: Keras' flags, or somebody's last attention."""

    def set_attribute(layer: Any, name: str, value: Any) -> None:
        calls = getattr(_here, "calls", None)
        if calls is not None:
            if name in _ONLY_NOTES:
                return
            calls.attributes.add((id(layer), name))
            before = layer, vars(layer).get(name, _ABSENT)
            _attributes.setdefault((id(layer), name), before)
        original(layer, name, value)

    return set_attribute


def _is_tensorflows(function: Any) -> bool:
    home = getattr(function.python_function, "__module__", None) or ""
    return home.partition(".")[0] in ("tensorflow", "keras", "tf_keras")


def _described(failure: Exception) -> str:
    """An exception on one line, with its kind."""
    return f"{type(failure).__name__}: {failure_message(failure)}".removesuffix(": ")


class _OpaqueError(Exception):
    """Raised where part of a graph shows only when the model is called."""


def functional_layers(model: Any) -> LayerIndex | None:
    """List the layers of a Functional model without a trace, at a hundredth of its cost.

    Returns:
        None where only a call would show it: subclassed models, layers with layers inside,
        inner graphs that were made for other sizes than they are called with.
    """
    try:
        graph = _functional_graph(model)
        if any(tensor.shape[0] is not None for tensor in graph.inputs):
            raise _OpaqueError  # built by a call: shapes hold for that size of batch only
        axes = UnitAxes()
        flow = InputFlow(keras.tree.flatten(graph._inputs_struct))
        outputs = [*_walk(model, graph, (), axes, CallNames(), flow)]
        outputs = [*_tensors_of("", model, graph.outputs, axes), *outputs]
        return LayerIndex(outputs, graph._outputs_struct, graph.output_names, flow.done())
    except (_OpaqueError, AttributeError, KeyError):  # or Keras' inside has changed
        return None


def _functional_graph(model: Any) -> Any:
    if not isinstance(model, keras.Model):
        raise _OpaqueError
    graph = getattr(model, "_functional", model)
    # A subclass may do anything in its `call`.
    if type(graph).call is not keras.src.models.functional.Functional.call:
        raise _OpaqueError
    return graph


def _walk(
    model: Any,
    graph: Any,
    path: tuple[str, ...],
    axes: UnitAxes,
    names: CallNames,
    flow: InputFlow,
) -> Iterator[Output]:
    for operation, node in calls_of(graph).made:
        if model is not graph and not is_layer(operation):
            continue  # a Sequential is made of layers; the rest computes masks
        here = (*path, names.name(path, operation))
        outputs = keras.tree.flatten(node.outputs)
        inside: list[Output] = []
        axes.note(operation, (node.arguments.args, node.arguments.kwargs), outputs)
        flow.note("/".join(here), operation, node.input_tensors, outputs)
        if isinstance(operation, keras.Model):
            inner = _functional_graph(operation)
            if [each.shape for each in inner.outputs] != [each.shape for each in outputs]:
                raise _OpaqueError
            axes.hand_on(node.input_tensors, inner.inputs)
            flow.alias(inner.inputs, node.input_tensors)
            inside = [*_walk(operation, inner, here, axes, names, flow)]
            axes.hand_on(inner.outputs, outputs)
        elif getattr(operation, "_layers", None) and not is_recurrent(operation):
            raise _OpaqueError
        yield from _tensors_of("/".join(here), operation, outputs, axes)
        yield from inside


def _tensors_of(name: str, layer: Any, tensors: Any, axes: UnitAxes) -> Iterator[Output]:
    for index, tensor in enumerate(tensors):
        axis, part = axes.of(tensor), element_name(name, index)
        if not str(tensor.dtype).startswith("complex"):
            yield describe(part, layer, tensor, axis, sample_axis=(None,))
            continue
        real = keras.KerasTensor(tensor.shape, "float64" if "128" in tensor.dtype else "float32")
        for each in (part, f"{part}{PHASE}"):
            yield describe(each, layer, real, axis, sample_axis=(None,))
