"""Record what every layer puts out while a model is called once, and leave no trace on it."""

import re
import threading
from collections import Counter
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
    is_recurrent,
)
from actwidgets.probe.unit_axis import UnitAxes


@dataclass(frozen=True)
class Tap:
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
class Recording:
    """What one call of a model put out.

    Attributes:
        taps: In the order in which the calls begin; the first are the model's own outputs,
            `""`, `":1"`, …
        structure: The model's output as it returned it; None where it was not run to the end.
    """

    taps: tuple[Tap, ...]
    structure: Any


class RecordingError(Exception):
    """A layer raised while the model was called; `__cause__` is what it raised."""


class _Enough(BaseException):  # passes through `except Exception` in other people's layers
    """Every layer asked for has been recorded."""


def record(
    model: Any,
    arguments: Sequence[Any],
    *,
    training: bool = False,
    only: Collection[str] | None = None,
    at_each_call: Callable[[], None] | None = None,
    change: Callable[[str, Any], Any] | None = None,
    weights: Sequence[tuple[Any, Any]] = (),
) -> Recording:
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
        raise RecordingError(f"{inside} raised {_described(failure)}") from failure
    return Recording(calls.taps(), calls.outputs[""][1])


def element_name(name: str, index: int) -> str:
    """The name of one tensor of an output that holds several."""
    return f"{name}:{index}" if index else name


class _Calls:
    """Names the calls below the outermost one by path, in the order in which they begin."""

    def __init__(
        self,
        only: Collection[str] | None,
        at_each_call: Callable[[], None] | None,
        change: Callable[[str, Any], Any] | None,
    ) -> None:
        self.outputs: dict[str, tuple[Any, Any]] = {}
        self.failed_in: str | None = None
        self._axes = UnitAxes()
        self._missing = None if only is None else {re.sub(r":\d+$", "", name) for name in only}
        self._at_each_call, self._change = at_each_call, change
        self._path: list[str] = []
        self._callers: list[Any] = []
        self._counts: Counter[tuple[str, ...]] = Counter()
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
        elif name in self._missing:  # nothing else is kept: it may be large
            self.outputs[name] = (layer, output)
            self._missing.discard(name)
            if not self._missing:
                raise _Enough
        return output

    def _is_part(self, layer: Any) -> bool:
        """Whether it is a layer, or an operation that a Functional model is made of.

        Layers make operations of their own when they are called, under names that change.
        """
        if not isinstance(layer, keras.Operation) or isinstance(layer, keras.Layer):
            return True
        return any(layer is each for each in getattr(self._callers[-1], "operations", ()))

    def _begin(self, layer: Any) -> str:
        path = (*self._path, layer.name)
        while True:  # a layer may itself be called `shared#1`
            count = self._counts[path]
            self._counts[path] += 1
            self._path.append(f"{layer.name}#{count}" if count else layer.name)
            name = "/".join(self._path[1:])  # the outermost call is the model itself
            if name not in self.outputs:
                self.outputs[name] = (layer, None)  # reserves the place in the order of calls
                return name
            self._path.pop()

    def taps(self) -> tuple[Tap, ...]:
        """One tap per tensor: `lstm`, `lstm:1` where a layer puts out several."""
        found = []
        for name, (layer, output) in self.outputs.items():
            tensors = [t for t in tf.nest.flatten(output) if hasattr(t, "shape")]
            for index, tensor in enumerate(tensors):
                axis = self._axes.of(tensor, layer, index)
                found.append(Tap(element_name(name, index), layer, tensor, axis))
        return tuple(found)


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


def _inlined(original: Any) -> Any:
    """A `tf.function` of the user's is run as Python, or the layers in it could not be seen."""

    def call(function: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(_here, "calls", None) is None or _is_tensorflows(function):
            return original(function, *args, **kwargs)
        return function.python_function(*args, **kwargs)

    return call


def _noted(original: Any) -> Any:
    """What a call sets on a layer, Keras' flags or somebody's last attention, is put back."""

    def set_attribute(layer: Any, name: str, value: Any) -> None:
        if getattr(_here, "calls", None) is not None:
            if name in _ONLY_NOTES:
                return
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
