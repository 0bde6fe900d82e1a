"""The configuration of a Keras 2 model, rewritten so that Keras 3 means the same by it.

Only what is known to be equal is rewritten. Everything else is refused here, because Keras 3
would read some of it silently wrong; then Keras 2 itself has to read the file.
"""

import copy
import inspect
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf

_SAME = """
    Activation Add Average AveragePooling1D AveragePooling2D AveragePooling3D
    BatchNormalization Bidirectional Concatenate Conv1D Conv2D Conv2DTranspose Conv3D
    Cropping1D Cropping2D Cropping3D Dense DepthwiseConv2D Dot Dropout ELU Embedding Flatten
    GRU GaussianDropout GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D
    GlobalAveragePooling3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D
    InputLayer LSTM LayerNormalization LeakyReLU Masking MaxPooling1D MaxPooling2D
    MaxPooling3D Maximum Minimum Multiply PReLU Permute ReLU RepeatVector Rescaling Reshape
    SeparableConv2D SimpleRNN Softmax SpatialDropout1D SpatialDropout2D SpatialDropout3D
    Subtract TimeDistributed UpSampling1D UpSampling2D ZeroPadding1D ZeroPadding2D
    ZeroPadding3D
""".split()  # noqa: SIM905  a list of names reads better in lines
_SAME_ACTIVATIONS = """
    linear relu softmax sigmoid tanh elu selu softplus softsign exponential swish silu gelu
""".split()  # noqa: SIM905
_FUNCTIONAL = ("Functional", "Model")
_MODELS = ("Sequential", *_FUNCTIONAL)
_WRAPPED = ("layer", "backward_layer")  # arguments that are layers themselves
# Said elsewhere, or another way to the same values; the weights come from the file.
_NO_MATTER = ("batch_input_shape", "input_dtype", "input_length", "implementation")


class NotKnownError(Exception):
    """Keras 3 is not known to mean the same by this; says by what."""


@keras.saving.register_keras_serializable("actwidgets")
def keras_2_hard_sigmoid(x: Any) -> Any:
    """Keras 2's piecewise linear sigmoid, `clip(x / 5 + 1 / 2, 0, 1)`; Keras 3's is steeper."""
    return tf.clip_by_value(0.2 * x + 0.5, 0.0, 1.0)


def rewritten(model_config: Mapping[str, Any], custom: Collection[str]) -> dict[str, Any]:
    """The same model as Keras 3 writes it down.

    Args:
        model_config: `class_name` and `config` of a Sequential or Functional model, which may
            have others inside.
        custom: Names of classes that the caller supplies; they are taken as they are.

    Raises:
        NotKnownError: Something in it may mean another thing to Keras 3.
    """
    kind, config = model_config["class_name"], model_config["config"]
    if kind == "Sequential":
        listed = (
            {"name": "sequential", "layers": config} if isinstance(config, list) else {**config}
        )
        layers = listed["layers"]
        listed["layers"] = [*_input_of(layers), *(_layer(each, custom) for each in layers)]
        listed.pop("build_input_shape", None)
        return {"class_name": kind, "config": listed, **_in_module("keras")}
    if kind in _FUNCTIONAL:
        layers = [_layer(each, custom) for each in config["layers"]]
        if any(_has_arguments(each) for each in layers):
            raise NotKnownError("a layer called with further arguments")
        found = _calls_counted_from_zero({**config, "layers": layers})
        for ends in ("input_layers", "output_layers"):
            if isinstance(found[ends], list) and len(found[ends]) == 1:
                (found[ends],) = found[ends]  # one tensor, not a list with one in it
        return {"class_name": "Model", "config": found, **_in_module("keras")}
    raise NotKnownError(f"a model of class {kind}")


def with_modules(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The description of a Keras 3 model in an `.h5` file, as a `.keras` file would have it.

    Keras 3 reads the two in different ways: the one for `.h5` drops settings.
    """
    found, kind, config = dict(entry), str(entry["class_name"]), entry["config"]
    if isinstance(config, Mapping) and isinstance(config.get("layers"), list):
        found["config"] = {**config, "layers": [with_modules(each) for each in config["layers"]]}
    if "module" not in found and kind in (*_FUNCTIONAL, "Sequential"):
        found["class_name"] = "Sequential" if kind == "Sequential" else "Model"
        found.update(_in_module("keras"))
    elif "module" not in found and hasattr(keras.layers, kind):
        found.update(_in_module("keras.layers"))
    return found


def _in_module(module: str) -> dict[str, Any]:
    """What makes Keras 3 read an entry with its reader of today, which drops no setting."""
    return {"module": module, "registered_name": None}


def _input_of(layers: list[Any]) -> list[Any]:
    """An InputLayer, where the first layer says the shape itself: Keras 3 would mistake it."""
    first = layers[0]
    if first["class_name"] in _MODELS and first["class_name"] not in _FUNCTIONAL:
        inner = first["config"]
        return _input_of(inner if isinstance(inner, list) else inner["layers"])
    shape = first["config"].get("batch_input_shape")
    if first["class_name"] == "InputLayer" or shape is None:
        return []
    dtype = "int32" if first["class_name"] == "Embedding" else first["config"].get("dtype")
    config = {"batch_shape": [None, *shape[1:]], "dtype": _dtype(dtype), "name": "input"}
    return [{"class_name": "InputLayer", "config": config, **_in_module("keras.layers")}]


def _calls_counted_from_zero(config: dict[str, Any]) -> dict[str, Any]:
    """References to calls of models inside, which Keras 2 counts from one, and Keras 3 from zero.

    Where such a model gives the output, Keras 3 knows of it, unless it is a Sequential.
    """
    found = copy.deepcopy(config)
    inside = [list(_references(each.get("inbound_nodes", []))) for each in found["layers"]]
    between = [call for calls in inside for call in calls]
    outputs = list(_references(found.get("output_layers", [])))
    for layer in config["layers"]:
        name = layer["config"].get("name")
        calls = [call for call in [*between, *outputs] if call[0] == name]
        if layer["class_name"] in _MODELS and calls and min(call[1] for call in calls) > 0:
            known = outputs if layer["class_name"] in _FUNCTIONAL else []
            for call in calls:
                call[1] -= not any(call is each for each in known)
    return found


def _references(value: Any) -> Iterator[list[Any]]:
    """Every `[layer, call, output, …]` that a graph is made of."""
    if isinstance(value, list):
        if len(value) >= 3 and isinstance(value[0], str) and isinstance(value[1], int):
            yield value
        else:
            for each in value:
                yield from _references(each)


def _layer(entry: Mapping[str, Any], custom: Collection[str]) -> dict[str, Any]:
    kind = entry["class_name"]
    kept = {key: entry[key] for key in ("name", "inbound_nodes") if key in entry}
    if kind in custom:
        return dict(entry)
    if kind in _MODELS:
        return {**rewritten(entry, custom), **kept}
    if kind == "Lambda" and isinstance(entry["config"].get("function"), str | Mapping):
        return {
            "class_name": kind,
            "config": _lambda(entry["config"]),
            **_in_module("keras.layers"),
            **kept,
        }
    if kind not in _SAME:
        raise NotKnownError(f"a layer of class {kind}")
    config = dict(entry["config"])
    for argument in _WRAPPED:
        if isinstance(config.get(argument), Mapping):
            config[argument] = _layer(config[argument], custom)
    if kind == "InputLayer":
        shape = config.pop("batch_input_shape", None) or config.get("batch_shape")
        config = {
            "name": config["name"],
            "dtype": _dtype(config.get("dtype")),
            "batch_shape": shape,
        }
    else:
        config = _arguments(kind, config)
    return {"class_name": kind, "config": config, **_in_module("keras.layers"), **kept}


def _lambda(config: Mapping[str, Any]) -> dict[str, Any]:
    """A Lambda whose function is named; one whose code is in the file never gets here."""
    function = config["function"]
    if isinstance(function, str):
        function = {
            "module": "builtins",
            "class_name": "function",
            "config": function,
            "registered_name": "function",
        }
    if function["config"] == "hard_sigmoid":
        function = _activation("hard_sigmoid")
    found = {"name": config["name"], "function": function}
    found["arguments"] = config.get("arguments") or {}
    if config.get("mask") is not None or config.get("output_shape_type") not in (None, "raw"):
        raise NotKnownError("a Lambda with a function for its mask or its output shape")
    if config.get("output_shape") is not None:
        found["output_shape"] = config["output_shape"]
    return found


def _arguments(kind: str, config: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a layer under their names of today."""
    if kind == "LeakyReLU" and "alpha" in config:
        config["negative_slope"] = config.pop("alpha")
    if kind == "GRU":
        config.setdefault("reset_after", False)  # as it was before there was the argument
    known = _parameters(getattr(keras.layers, kind))
    found = {}
    for name, value in config.items():
        if name in _NO_MATTER or name.endswith("_initializer"):
            continue
        if name == "dtype":
            value = _dtype(value)
        elif name == "axis" and isinstance(value, list) and len(value) == 1:
            (value,) = value
        elif name.endswith("activation") and value is not None:
            value = _activation(value)
        elif name not in known:
            if value in (None, False, 1):
                continue  # an argument that has gone, at the value it has today
            raise NotKnownError(f"{name}={value!r} of a {kind}")
        found[name] = value
    return found


def _parameters(layer_class: Any) -> set[str]:
    """The arguments that a class takes, those it hands on to its base included."""
    names: set[str] = set()
    for each in layer_class.__mro__:
        if "__init__" in vars(each):
            names |= set(inspect.signature(each.__init__).parameters)
            if "kwargs" not in inspect.signature(each.__init__).parameters:
                break
    return names


def _activation(value: Any) -> Any:
    if value == "hard_sigmoid":
        return {
            "module": "builtins",
            "class_name": "function",
            "config": "keras_2_hard_sigmoid",
            "registered_name": "actwidgets>keras_2_hard_sigmoid",
        }
    if value not in _SAME_ACTIVATIONS:
        raise NotKnownError(f"activation {value!r}")
    return value


def _dtype(value: Any) -> Any:
    """A dtype, or the name of a policy, which old files hold as an object."""
    if isinstance(value, Mapping):
        return value.get("config", {}).get("name")
    return value


def _has_arguments(entry: Mapping[str, Any]) -> bool:
    """Whether a layer is called with more than tensors, which is written in ways of its own."""
    nodes = entry.get("inbound_nodes", [])
    return any(
        not isinstance(node, list) or any(len(call) > 3 and call[3] for call in node)
        for node in nodes
    )
