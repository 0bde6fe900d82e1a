"""What a model file says of each layer, beside the layer that was built from it.

A reader may drop a setting without a word: Keras 3 does so with several axes in an `.h5` file.
Where the layer has weights their shapes give it away, elsewhere nothing does but this.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

_MODELS = ("Sequential", "Functional", "Model")
# Names, what only a training looks at, and what the reader makes anew.
_OTHERWISE = """
    name trainable seed build_input_shape batch_input_shape batch_shape shared_object_id
    implementation input_dtype input_length quantization_config time_major input_layers
    output_layers
""".split()  # noqa: SIM905  a list of names reads better in lines
_CODE = "__lambda__"
_SYNONYMS = {"swish": "silu"}


def unlike_settings(config: Mapping[str, Any], model: Any) -> list[str]:
    """Compare what a file says of a model with what was built, setting by setting.

    Args:
        config: `class_name` and `config` of a Sequential or Functional model.
        model: What a framework made of it.

    Returns:
        A sentence part for each setting that differs, such as "axis of layer 'softmax' is
        [1, 2] in the file and -1 in what was built". Layers of the caller's own classes are
        not compared: what their `get_config` says is their business.
    """
    return [
        f"{setting} of layer {layer!r} is {said!r} in the file and {built!r} in what was built"
        for layer, setting, said, built in _of_model(config, model)
    ]


def _of_model(config: Mapping[str, Any], model: Any) -> Iterator[tuple[str, str, Any, Any]]:
    layers = {layer.name: layer for layer in getattr(model, "layers", ())}
    for entry in _entries(config):
        layer = layers.get(entry["config"].get("name"))
        if layer is None or entry["class_name"] != type(layer).__name__:
            if layer is not None and entry["class_name"] in _MODELS:
                yield from _of_model(entry, layer)
        elif entry["class_name"] in _MODELS:
            yield from _of_model(entry, layer)
        elif type(layer).__module__.partition(".")[0] in ("keras", "tf_keras"):
            for setting, said, built in _unlike(entry["config"], layer.get_config()):
                yield layer.name, setting, said, built


def _entries(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    inner = config.get("config", {})
    listed = inner if isinstance(inner, list) else inner.get("layers", ())
    for entry in listed if isinstance(listed, list | tuple) else ():
        if isinstance(entry, Mapping) and isinstance(entry.get("config"), Mapping):
            yield entry


def _unlike(said: Mapping[str, Any], built: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name in said.keys() & built.keys():
        if name in _OTHERWISE or name.endswith("_initializer"):
            continue
        one, other = said[name], built[name]
        if name == "function" or (isinstance(one, Mapping) and one.get("class_name") == _CODE):
            continue  # of a Lambda: byte code is written down otherwise each time
        if name == "dtype" and one is None:
            continue  # whatever is usual
        if isinstance(one, Mapping) and isinstance(other, Mapping) and _is_layer(one, other):
            yield from _unlike(one["config"], other["config"])
        elif not _same(_plain(one), _plain(other), any_order=name == "axis"):
            yield name, _shown(one), _shown(other)


def _is_layer(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return (
        one.get("class_name") == other.get("class_name")
        and isinstance(one.get("config"), Mapping)
        and isinstance(other.get("config"), Mapping)
        and "name" in one["config"]
        and "name" in other["config"]
    )


def _plain(value: Any) -> Any:
    """A setting without the ways in which versions write it down."""
    if isinstance(value, Mapping):
        kind, inner = value.get("class_name"), value.get("config")
        if kind in ("DTypePolicy", "Policy") and isinstance(inner, Mapping):
            return inner.get("name")
        if kind == "function":
            return _plain(inner)
        if kind in ("__numpy__", "__tensor__") and isinstance(inner, Mapping):
            return _plain(inner.get("value"))
        if kind is not None and inner is not None:
            return (_plain(kind), _plain(inner))
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return tuple(_plain(each) for each in value)
    if isinstance(value, str):
        name = value.rpartition(">")[2]  # without the package it is registered for
        return _SYNONYMS.get(name, name)
    return value.item() if isinstance(value, np.generic) else value


def _same(one: Any, other: Any, *, any_order: bool = False) -> bool:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return all(_same(one[name], other[name]) for name in one.keys() & other.keys())
    if isinstance(one, tuple) and isinstance(other, tuple):
        if any_order and all(isinstance(each, int) for each in one + other):
            one, other = tuple(sorted(one)), tuple(sorted(other))
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, tuple) or isinstance(other, tuple):  # 2 is short for (2, 2)
        many, single = (one, other) if isinstance(one, tuple) else (other, one)
        return bool(many) and all(_same(each, single) for each in many)
    if isinstance(one, float) or isinstance(other, float):
        numbers = isinstance(one, int | float) and isinstance(other, int | float)
        return numbers and (one == other or math.isclose(one, other, rel_tol=1e-5))
    return bool(one == other)


def _shown(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else value
