"""Fingerprint of a model: variables and settings that a compiled function reads or bakes in.

Variables are read when it is run. Everything else that a layer reads, its settings, tensors
such as the statistics of a `Normalization`, the table of a `StringLookup`, what a function of
the user's refers to, is in the graph as it was when the model was traced.
"""

import functools
import itertools
import threading
import zlib
from collections.abc import Iterator, Mapping
from types import FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import tensorflow as tf

from actwidgets.probe.frameworks import frameworks

MAX_DEPTH = 4  # of what a setting refers to: a function, its closure, an object in it
MAX_VALUES = 5_000  # of one setting
_LIBRARIES = ("keras", "tf_keras", "tensorflow", "numpy", "builtins", "functools", "jax", "torch")
_PLAIN: tuple[type, ...] = (bool, int, float, complex, str, bytes, type(None), tf.DType, np.dtype)
_COMPARED = (*_PLAIN, tuple)


class _Value(NamedTuple):
    """One value that a trace bakes in."""

    layer: Any
    name: str
    value: Any


class _Array(NamedTuple):
    """Contents of a numpy array, which may be written into."""

    dtype: str
    shape: tuple[int, ...]
    checksum: int


def structure(model: Any, *, training: bool = False) -> list[_Value]:
    """Collect everything a trace of a model bakes in: layers, variables, and their settings.

    Args:
        model: A Keras model.
        training: Whether it is traced as in training, where what is frozen acts otherwise.

    Cost: as much as reading all variables once for their `fingerprint`, or less.
    """
    found: list[_Value] = []
    for layer in model._flatten_layers():
        found.append(_Value(layer, "", layer))
        found += [_Value(layer, "weights", weight) for weight in layer.weights]
        if training:
            found.append(_Value(layer, "trainable", layer.trainable))
    return found + _settings(model)


def _settings(model: Any) -> list[_Value]:
    """Settings that the layers of a model read besides their variables."""
    found: list[_Value] = []
    classes: set[type] = set()
    for layer in model._flatten_layers():
        for name, value in list(vars(layer).items()):
            if not _may_be_setting(name):
                continue
            if type(value) in _PLAIN:  # nearly all of them
                found.append(_Value(layer, name, value))
            elif _is_setting(name, value):
                values = itertools.islice(_values(value), MAX_VALUES)
                found += [_Value(layer, name, each) for each in values]
        for owner in type(layer).__mro__:
            if _is_of_a_library(owner):
                break
            if owner not in classes:
                classes.add(owner)
                found += [_Value(layer, "", each) for each in _of_a_class(owner)]
    return found


def same_structure(
    before: list[_Value], after: list[_Value], but: frozenset[tuple[int, str]] = frozenset()
) -> bool:
    """Compare two results of `structure`: whether nothing was exchanged or set otherwise.

    Args:
        before: What one gave.
        after: What the other gave.
        but: Attributes, as the id of the layer and the name, that do not count.
    """
    if but:
        before, after = (
            [each for each in values if (id(each.layer), each.name) not in but]
            for values in (before, after)
        )
    return len(before) == len(after) and all(
        one.layer is other.layer and one.name == other.name and _is_same(one.value, other.value)
        for one, other in zip(before, after, strict=True)
    )


def containers(model: Any) -> dict[tuple[int, str], Any]:
    """Mutable attributes of layers, by the id of the layer and the name."""
    return {
        (id(layer), name): value
        for layer in model._flatten_layers()
        for name, value in list(vars(layer).items())
        if isinstance(value, list | dict | set) and _may_be_setting(name)
    }


def grown(
    before: list[_Value], after: list[_Value], kept: Mapping[tuple[int, str], Any]
) -> frozenset[tuple[int, str]]:
    """Attributes whose contents a call of the model changed as a side effect.

    A layer may keep a list of what it was called with, say. What was assigned meanwhile is
    none of it: that was the user, in another thread.

    Args:
        before: What `structure` gave before a call of ours.
        after: What it gave after it.
        kept: The `containers` before it which were the same object after it.
    """
    old: dict[tuple[int, str], list[Any]] = {}
    new: dict[tuple[int, str], list[Any]] = {}
    for values, found in ((before, old), (after, new)):
        for each in values:
            found.setdefault((id(each.layer), each.name), []).append(each.value)
    return frozenset(
        key
        for key in kept
        if len(old.get(key, ())) != len(new.get(key, ()))
        or not all(map(_is_same, old.get(key, ()), new.get(key, ())))
    )


def fingerprint(model: Any) -> tuple[int, ...]:
    """A number for what a trace bakes in, and one for each variable, which change with it.

    Cost: 1.5 times that of reading the variables where they are, which for ResNet50 is 20 ms.
    """
    settings = number_of_settings(model)
    return settings, *(_checksum(tf.convert_to_tensor(variable)) for variable in model.weights)


_known: WeakKeyDictionary[Any, tuple[int, list[_Value]]] = WeakKeyDictionary()
_comparing = threading.Lock()


def number_of_settings(model: Any) -> int:
    """Version number of what a trace bakes in: how often it was found changed."""
    # Held here, layers would keep the model alive: the weak key would lead to itself.
    now = [_held(each) for _layer, _name, each in _settings(model)]
    with _comparing:
        number, before = _known.get(model, (0, now))
        if len(before) != len(now) or not all(map(_is_same, before, now)):
            number += 1
        _known[model] = number, now
    return number


def _held(value: Any) -> Any:
    """A value as it is compared; of what may lead to the model its identity alone."""
    if type(value) in _PLAIN or isinstance(value, tuple | tf.Tensor):
        return value
    return id(value)


def _checksum(tensor: Any) -> int:
    try:
        return zlib.crc32(memoryview(tensor))
    except (TypeError, ValueError, BufferError):  # bfloat16 has no buffer
        return zlib.crc32(tensor.numpy().tobytes())


def _is_same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if not isinstance(one, _COMPARED) or type(one) is not type(other):
        return False
    return bool(one == other) or (isinstance(one, float) and one != one and other != other)


# --- what there is to compare ------------------------------------------------------------

# What Keras notes on a model while it is compiled, trained and called.
_BOOKKEEPING = {
    *("built", "history", "loss", "optimizer", "compiled", "compiled_loss", "compiled_metrics"),
    *("stop_training", "stop_evaluating", "stop_predicting", "steps_per_execution"),
    *("unrolled_steps_per_execution", "train_function", "test_function", "predict_function"),
    *("train_tf_function", "inputs", "outputs", "input_names", "output_names", "jit_compile"),
    *("_compile_config", "_compile_loss", "_compiled_trainable_state", "_eval_epoch_iterator"),
    *("_jit_compile", "_loss_tracker", "_is_compiled", "_steps_per_execution", "_is_adapted"),
    *("_pss_evaluation_shards", "_is_graph_network", "_already_warned", "_adapt_function"),
    *("_expected_batch_size", "_states", "states", "summary", "_compile_metrics", "_run_eagerly"),
    *("build", "quantize", "call_signature_parameters", "_nodes", "_nodes_by_depth"),
    *("_operations", "_operations_by_depth", "_inputs", "_outputs"),
    *("_reset_state_impl", "reset_state", "_distribute_strategy", "_in_multi_worker_mode"),
}
_BOOKKEEPING_IN = ("_self_", "_obj_reference", "_build", "_keras_api", "_instrumented")


@functools.cache
def _of_every_layer(framework: Any) -> frozenset[str]:
    """Private attributes that a layer without settings has."""
    return frozenset(
        name
        for name in vars(framework.layers.Layer(name="plain", dtype="float32"))
        if name.startswith("_")
    )


@functools.lru_cache(maxsize=10_000)
def _may_be_setting(name: str) -> bool:
    """Whether an attribute may by its name be a setting that a layer's call reads, as `rate` is."""
    if name == "_dtype_policy":
        return True
    if name in _BOOKKEEPING or name.startswith(_BOOKKEEPING_IN):
        return False
    return not any(name in _of_every_layer(framework) for framework in frameworks())


def _is_setting(name: str, value: Any) -> bool:
    if not name.startswith("_") or name == "_dtype_policy":
        return True
    return not _is_of_a_library(type(value)) or isinstance(
        value, (*_PLAIN, list, tuple, dict, set, np.ndarray, np.generic, FunctionType, tf.Tensor)
    )


def _is_of_a_library(kind: Any) -> bool:
    return (getattr(kind, "__module__", None) or "").partition(".")[0] in _LIBRARIES


def _values(value: Any, depth: int = 0) -> Iterator[Any]:
    """Comparable values of an attribute: itself, its contents, what it refers to."""
    if isinstance(value, (*_PLAIN, tf.Tensor)) or hasattr(value, "assign"):
        yield value  # tensors do not change, and variables are read when a function is run
    elif isinstance(value, np.ndarray | np.generic):
        yield _array(np.asarray(value))
    elif isinstance(value, Mapping):
        for key, each in list(value.items()):
            yield key if isinstance(key, _PLAIN) else id(key)
            yield from _values(each, depth)
    elif isinstance(value, list | tuple | set | frozenset):
        parts = tuple(value)
        if all(isinstance(each, _PLAIN) for each in parts):
            yield parts
        elif depth < MAX_DEPTH:
            for each in parts:
                yield from _values(each, depth + 1)
    elif isinstance(value, MethodType):
        yield value.__self__
        yield from _values(value.__func__, depth)
    elif isinstance(value, functools.partial):
        for each in (value.func, value.args, value.keywords):
            yield from _values(each, depth)
    else:
        yield value
        if depth < MAX_DEPTH and not isinstance(value, type | ModuleType) and not _is_part(value):
            yield from _referred_to(value, depth + 1)


def _referred_to(value: Any, depth: int) -> Iterator[Any]:
    """Values that a function or object of the user's refers to."""
    function = getattr(value, "python_function", value)  # of a `tf.function`
    if isinstance(function, FunctionType):
        if not _is_of_a_library(function):
            for each in _of_a_function(function):
                yield from _values(each, depth)
    elif not _is_of_a_library(type(value)):
        for name, each in list(getattr(value, "__dict__", {}).items()):
            if isinstance(name, str) and not name.startswith("__"):
                yield from _values(each, depth)


def _of_a_function(function: FunctionType) -> Iterator[Any]:
    """Values of a function: defaults, closure, and globals that it names."""
    yield function.__code__
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not filled yet
            yield None
    for name in _names_in(function.__code__):
        each = function.__globals__.get(name)
        if each is not None and not isinstance(each, type | ModuleType):
            yield each


@functools.lru_cache(maxsize=1_000)
def _names_in(code: Any) -> tuple[str, ...]:
    inner = [each for each in code.co_consts if hasattr(each, "co_names")]
    return (*code.co_names, *(name for each in inner for name in _names_in(each)))


def _of_a_class(owner: type) -> Iterator[Any]:
    """Values of a user's class: its attributes, and what its code names."""
    for name, each in list(vars(owner).items()):
        is_value = not name.startswith("_") and not callable(each) and type(each) is not property
        if is_value or isinstance(each, FunctionType):
            yield from itertools.islice(_values(each), MAX_VALUES)


def _is_part(value: Any) -> bool:
    """Whether a value is a layer, which is looked at by itself."""
    return any(isinstance(value, each.layers.Layer) for each in frameworks())


def _array(values: Any) -> _Array:
    contents = repr(values.tolist()).encode() if values.dtype.hasobject else values.tobytes()
    return _Array(str(values.dtype), values.shape, zlib.crc32(contents))
