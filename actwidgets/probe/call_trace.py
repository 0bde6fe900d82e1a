"""Trace a model's call: every layer's output by path."""

import re
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from actwidgets.probe.frameworks import (
    GraphCalls,
    call_untouched,
    calls_of,
    failure_message,
    frameworks,
    graph_runners,
    is_layer,
    is_recurrent,
)
from actwidgets.probe.unit_axis import LAST, UnitAxes

PHASE = ":phase"  # in radians, of what holds complex numbers


@dataclass(frozen=True)
class LayerOutput:
    """One output of one call of one layer.

    Attributes:
        name: Path, `#` and the number of the call, `:` and the number of the output.
        layer: The layer, or the plain operation of a Functional model.
        output: A tensor, eager or of a graph.
        unit_axis: The axis along which the units lie; -1 where only some layers were asked for.
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
        CallTraceError: The model raised; says which layer.
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
        self._axes = UnitAxes() if only is None else None  # what is asked for by name is known
        self._missing = {_call_name(name) for name in only or ()}
        self._at_each_call, self._change = at_each_call, change
        self._path: list[str] = []
        self._callers: list[Any] = []
        self._names = CallNames()
        self._places: dict[tuple[str, ...], int] = {}  # by path
        self._order: dict[str, tuple[int, ...]] = {}
        self._graphs: list[_GraphRun] = []
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
        if self._axes is not None:
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
        self._graphs.append(_GraphRun(graph, len(self._path)))
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
        """The name of the next call of a layer of the graph under way; None of no such layer."""
        run = self._graphs[-1] if self._graphs else None
        if run is None or run.depth != len(self._path):
            return None
        if run.names is None:
            try:
                run.names = self._names_in_order(calls_of(run.graph))
            except (AttributeError, KeyError):  # Keras' inside has changed
                return None
        names = run.names.get(id(layer))
        return names.popleft() if names else None

    def _names_in_order(self, calls: GraphCalls) -> dict[int, deque[str]]:
        """Names given in the order in which calls were made, by layer as Keras runs them."""
        made = [call for call in calls.made if self._is_part(call.layer)]
        names = {id(call.node): self._name(call.layer) for call in made}
        by_layer: dict[int, deque[str]] = {}
        for call in calls.run:
            if id(call.node) in names:
                by_layer.setdefault(id(call.layer), deque()).append(names[id(call.node)])
        return by_layer

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
                axis = LAST if self._axes is None else self._axes.of(tensor)
                for part, values in real_parts(element_name(name, index), tensor):
                    found.append(LayerOutput(part, layer, values, axis))
        return tuple(found)


class CallNames:
    """Unique names of all calls below a model, such as `shared` and `shared#1`."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._counts: dict[tuple[str, ...], int] = {}

    def name(self, path: Sequence[str], layer: Any) -> str:
        """The part of a name that stands for the next call of a layer in this place.

        Args:
            path: Parts of the name of the call that it is called in.
            layer: What is called.
        """
        key = (*path, layer.name)
        while True:  # a layer may itself be called `shared#1`
            count = self._counts.get(key, 0)
            self._counts[key] = count + 1
            part = f"{layer.name}#{count}" if count else layer.name
            name = "/".join((*path, part))
            if name not in self._taken:
                self._taken.add(name)
                return part


@dataclass
class _GraphRun:
    """A run of a functional graph: at which depth, and names that its calls will have, by layer."""

    graph: Any
    depth: int
    names: dict[int, deque[str]] | None = None  # given at its first call


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
    # A layer of Keras 3 is an operation too, and comes by there on its way inwards.
    of_operations = partial(_seen, unless=keras.Layer)
    wrappers: list[tuple[type, str, Callable[[Any], Any]]]
    wrappers = [(keras.Operation, "__call__", of_operations), (_COMPILED, "__call__", _inlined)]
    for framework in frameworks():
        layer = framework.layers.Layer
        wrappers += [(layer, "__call__", _seen), (layer, "__setattr__", _noted)]
    wrappers += [(owner, method, _run_in_sight) for owner, method in graph_runners()]
    for owner, method, wrapper in wrappers:
        if owner not in patched:
            original = getattr(owner, method)
            _originals.append((owner, method, original))
            setattr(owner, method, wrapper(original))


def _seen(original: Any, unless: Any = ()) -> Any:
    """Record calls of layers, or of plain operations of a Functional model."""

    def call(part: Any, *args: Any, **kwargs: Any) -> Any:
        calls = getattr(_here, "calls", None)
        if calls is None or isinstance(part, unless):
            return original(part, *args, **kwargs)
        return calls.record(part, original, args, kwargs)

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
