"""Record what every layer puts out while a model is called once, and leave no trace on it."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras

# Keras sets these on a layer that is called; the model is on loan, so they are put back.
_TOUCHED_BY_A_CALL = ("_called", "_parent_path", "built")
_one_at_a_time = threading.RLock()


@dataclass(frozen=True)
class Tap:
    """One output of one call of one layer."""

    name: str
    layer: Any
    output: Any


class _Calls:
    """Names the calls below the outermost one by path, in the order in which they begin."""

    def __init__(self) -> None:
        self.outputs: dict[str, tuple[Any, Any]] = {}
        self._path: list[str] = []
        self._counts: Counter[tuple[str, ...]] = Counter()

    def record(self, layer: Any, call: Any, args: Any, kwargs: Any) -> Any:
        path = (*self._path, layer.name)
        count = self._counts[path]
        self._counts[path] += 1
        self._path.append(f"{layer.name}#{count}" if count else layer.name)
        name = "/".join(self._path[1:])  # the outermost call is the model itself
        self.outputs[name] = (layer, None)  # reserves the place in the order of calls
        try:
            output = call(layer, *args, **kwargs)
        finally:
            self._path.pop()
        self.outputs[name] = (layer, output)
        return output

    def taps(self) -> tuple[Tap, ...]:
        """One tap per tensor: `lstm:0`, `lstm:1` where a layer puts out several."""
        found = []
        for name, (layer, output) in self.outputs.items():
            tensors = [t for t in keras.tree.flatten(output) if hasattr(t, "shape")]
            for index, tensor in enumerate(tensors):
                label = f"{name}:{index}" if len(tensors) > 1 and index else name
                found.append(Tap(label, layer, tensor))
        return tuple(found)


def record(model: Any, inputs: Any, *, training: bool = False) -> tuple[Tap, ...]:
    """Call a built model once and return what its layers put out, by path.

    Args:
        model: A built Keras model.
        inputs: What the model takes: tensors, eager or of a graph that is being traced.
        training: Passed on to the model.

    Returns:
        A tap per output of each call, in the order in which the calls begin. The first is
        the model's own output, under the name `""`; a second call of `shared` is `shared#1`.

    Only calls on this thread are recorded. One recording runs at a time. `Layer.__call__`
    and what a call leaves behind on the layers are put back, also when the model raises.
    """
    calls = _Calls()
    with _one_at_a_time, _untouched(model), _patched(calls):
        model(inputs, training=training)
    return calls.taps()


@contextmanager
def _patched(calls: _Calls) -> Iterator[None]:
    original = keras.Layer.__call__
    thread = threading.get_ident()

    def recorded(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() != thread:
            return original(layer, *args, **kwargs)
        return calls.record(layer, original, args, kwargs)

    keras.Layer.__call__ = recorded
    try:
        yield
    finally:
        keras.Layer.__call__ = original


@contextmanager
def _untouched(model: Any) -> Iterator[None]:
    layers = list(model._flatten_layers())
    before = [
        (
            {name: vars(layer)[name] for name in _TOUCHED_BY_A_CALL if name in vars(layer)},
            list(layer._losses),
        )
        for layer in layers
    ]
    try:
        yield
    finally:
        for layer, (attributes, losses) in zip(layers, before, strict=True):
            vars(layer).update(attributes)
            layer._losses[:] = losses  # activity regularisers add to it
