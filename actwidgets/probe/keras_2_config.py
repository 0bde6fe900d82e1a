"""The configuration of a Keras 2 model, rewritten so that Keras 3 means the same by it.

Only what is known to be equal is rewritten. Everything else is refused here, because Keras 3
would read some of it silently wrong; then Keras 2 itself has to read the file.
"""

import inspect
from collections.abc import Collection, Mapping
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
        model_config: `class_name` and `config` of a Sequential or Functional model.
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
        return {"class_name": kind, "config": listed}
    if kind in ("Model", "Functional"):
        layers = [_layer(each, custom) for each in config["layers"]]
        if any(_has_arguments(each) for each in layers):
            raise NotKnownError("a layer called with further arguments")
        return {"class_name": "Functional", "config": {**config, "layers": layers}}
    raise NotKnownError(f"a model of class {kind}")


def _input_of(layers: list[Any]) -> list[Any]:
    """An InputLayer, where the first layer says the shape itself: Keras 3 would mistake it."""
    first = layers[0]
    shape = first["config"].get("batch_input_shape")
    if first["class_name"] == "InputLayer" or shape is None:
        return []
    dtype = "int32" if first["class_name"] == "Embedding" else first["config"].get("dtype")
    config = {"batch_shape": [None, *shape[1:]], "dtype": _dtype(dtype), "name": "input"}
    return [{"class_name": "InputLayer", "config": config}]


def _layer(entry: Mapping[str, Any], custom: Collection[str]) -> dict[str, Any]:
    kind = entry["class_name"]
    if kind in custom:
        return dict(entry)
    if kind not in _SAME:
        raise NotKnownError(f"a layer of class {kind}")
    config = dict(entry["config"])
    for argument in _WRAPPED:
        if isinstance(config.get(argument), Mapping):
            inner = _layer(config[argument], custom)
            config[argument] = {"module": "keras.layers", "registered_name": None, **inner}
    if kind == "InputLayer":
        shape = config.pop("batch_input_shape", None) or config.get("batch_shape")
        config = {
            "name": config["name"],
            "dtype": _dtype(config.get("dtype")),
            "batch_shape": shape,
        }
    else:
        config = _arguments(kind, config)
    kept = {key: entry[key] for key in ("name", "inbound_nodes") if key in entry}
    return {"class_name": kind, "config": config, **kept}


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
