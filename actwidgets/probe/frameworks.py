"""The Keras that a model belongs to: Keras 3, or Keras 2 where the user has loaded it."""

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from actwidgets.errors import ModelError

# A call sets these on a layer; the model is on loan, so they are put back.
_SET_BY_A_CALL = ("_called", "_parent_path", "built")


def frameworks() -> list[Any]:
    """The modules whose models can be read. Keras 2 is looked at, never imported."""
    keras_2 = sys.modules.get("tf_keras")
    return [keras] if keras_2 is None else [keras, keras_2]


def require_model(model: Any) -> None:
    """Refuse what is not a built model with layers.

    Raises:
        ModelError: Another kind of object, a model that is not built, or one without layers.
    """
    if not any(isinstance(model, framework.Model) for framework in frameworks()):
        raise ModelError(f"expected a keras.Model; got {_described(model)}")
    if not model.built:
        raise ModelError(
            f"model {model.name!r} is not built, so its layers have no shapes yet; "
            "call it once on some data, or give it an Input"
        )
    if not any(True for _ in model._flatten_layers(include_self=False)):
        raise ModelError(f"model {model.name!r} has no layers")


def structure(model: Any) -> list[Any]:
    """Everything a trace of a model bakes in: its layers, their variables and settings."""
    found: list[Any] = []
    for layer in model._flatten_layers():
        found += [layer, *layer.weights]
        if not any(isinstance(layer, framework.Model) for framework in frameworks()):
            found += [value for name, value in vars(layer).items() if _is_setting(name, value)]
    return found


def same_structure(before: list[Any], after: list[Any]) -> bool:
    """Whether nothing was exchanged between two calls of `structure`."""
    return len(before) == len(after) and all(
        one is other or (isinstance(one, _PLAIN) and type(one) is type(other) and one == other)
        for one, other in zip(before, after, strict=True)
    )


_PLAIN = (bool, int, float, str, tuple)


def _is_setting(name: str, value: Any) -> bool:
    """Whether an attribute of a layer is one of its arguments, such as `rate`."""
    public = not name.startswith("_") and name not in _SET_BY_A_CALL
    return public and (value is None or isinstance(value, _PLAIN) or callable(value))


def is_recurrent(layer: Any) -> bool:
    """Whether a layer runs a cell in a loop: what is inside has no output of its own."""
    return any(isinstance(layer, framework.layers.RNN) for framework in frameworks())


def call_untouched(model: Any, function: Callable[[], Any]) -> Any:
    """Call a function that calls a model, and leave nothing on it: losses, seeds, averages.

    The call is made from inside a layer of our own: the outermost layer of a call clears the
    losses of all below it, and a training that is under way may want them.
    """
    layers = list(model._flatten_layers())
    flags = [
        {name: vars(layer)[name] for name in _SET_BY_A_CALL if name in vars(layer)}
        for layer in layers
    ]
    in_keras_3 = isinstance(model, keras.Model)
    caller = _caller_class(keras if in_keras_3 else sys.modules["tf_keras"])
    scope = keras.StatelessScope() if in_keras_3 else _losses_kept(layers)
    try:
        with scope:
            return caller(function)(tf.constant(0.0))
    finally:
        for layer, before in zip(layers, flags, strict=True):
            vars(layer).update(before)


@functools.cache
def _caller_class(framework: Any) -> Any:
    class Caller(framework.layers.Layer):
        def __init__(self, function: Callable[[], Any]) -> None:
            super().__init__(name="caller", dtype="float32")
            self._function = function

        def call(self, _: Any) -> Any:
            return self._function()

    return Caller


@contextmanager
def _losses_kept(layers: list[Any]) -> Iterator[None]:
    """Keras 2 has no stateless scope: activity regularisers add to lists on the layers."""
    lists = [(layer._losses, layer._eager_losses) for layer in layers if hasattr(layer, "_losses")]
    before = [tuple(list(each) for each in pair) for pair in lists]
    try:
        yield
    finally:
        for pair, kept in zip(lists, before, strict=True):
            for each, values in zip(pair, kept, strict=True):
                each[:] = values


def _described(thing: Any) -> str:
    if isinstance(thing, str) or hasattr(thing, "__fspath__"):
        return f"the path {str(thing)!r}: read it with actwidgets.load_model"
    kind = type(thing)
    package = kind.__module__.partition(".")[0]
    if isinstance(thing, type):
        return f"the class {thing.__name__}: make an instance of it"
    if package in ("builtins", "numpy"):
        return kind.__name__
    return f"{kind.__name__} of {package}"
