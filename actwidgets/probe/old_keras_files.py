"""Convert model files of Keras 1 and 2 so that Keras 3 means the same.

Only what is known to be equal is rewritten. Everything else is refused here, because Keras 3
would read some of it silently wrong; then Keras 2 itself has to read the file.

Names of layers and arguments have changed since, and the order in which some layers keep their
weights. Only what is known to mean the same is rewritten.
"""

import copy
import inspect
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import tensorflow as tf

from actwidgets.probe.load_weights import texts_of
from actwidgets.probe.model_file import Stored, function_config

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
    """A setting whose meaning in Keras 3 is not known; says which."""


@keras.saving.register_keras_serializable("actwidgets")
def keras_2_hard_sigmoid(x: Any) -> Any:
    """Keras 2's piecewise linear sigmoid, `clip(x / 5 + 1 / 2, 0, 1)`; Keras 3's is steeper."""
    return tf.clip_by_value(0.2 * x + 0.5, 0.0, 1.0)


def rewritten(model_config: Mapping[str, Any], custom: Collection[str]) -> dict[str, Any]:
    """Convert a Keras 2 configuration to one of Keras 3.

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
    """Module entries that make Keras 3 use its current reader, which drops no setting."""
    return {"module": module, "registered_name": None}


def _input_of(layers: Sequence[Any]) -> list[Any]:
    """InputLayer for a first layer that gives the shape itself: Keras 3 would mistake it."""
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
    """Renumber calls of nested models, which Keras 2 counts from one, and Keras 3 from zero.

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
    """Convert a Lambda with a named function; one with code never gets here."""
    function = config["function"]
    if isinstance(function, str):
        function = function_config(function)
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
    """Rename the arguments of a layer to their current names."""
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
    """Parameters of a class's constructor, those of its bases included."""
    names: set[str] = set()
    for each in layer_class.__mro__:
        if "__init__" in vars(each):
            names |= set(inspect.signature(each.__init__).parameters)
            if "kwargs" not in inspect.signature(each.__init__).parameters:
                break
    return names


def _activation(value: Any) -> Any:
    if value == "hard_sigmoid":
        return function_config("keras_2_hard_sigmoid", "actwidgets>keras_2_hard_sigmoid")
    if value not in _SAME_ACTIVATIONS:
        raise NotKnownError(f"activation {value!r}")
    return value


def _dtype(value: Any) -> Any:
    """A dtype, or the name of a policy, which old files hold as an object."""
    if isinstance(value, Mapping):
        return value.get("config", {}).get("name")
    return value


def _has_arguments(entry: Mapping[str, Any]) -> bool:
    """Whether a layer is called with more than tensors, which versions write differently."""
    nodes = entry.get("inbound_nodes", [])
    return any(
        not isinstance(node, list) or any(len(call) > 3 and call[3] for call in node)
        for node in nodes
    )


_LAYERS = {
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "SeparableConvolution2D": "SeparableConv2D",
    "TimeDistributedDense": "Dense",  # on sequences the same
}
_SAME_IN_KERAS_1 = """
    Activation AveragePooling1D AveragePooling2D AveragePooling3D BatchNormalization Bidirectional
    Cropping1D Cropping2D Cropping3D Dense Dropout ELU Embedding Flatten GRU GaussianDropout
    GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D
    GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D InputLayer LSTM LeakyReLU Masking
    MaxPooling1D MaxPooling2D MaxPooling3D PReLU Permute RepeatVector Reshape SimpleRNN
    SpatialDropout1D SpatialDropout2D SpatialDropout3D ThresholdedReLU TimeDistributed
    UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D
""".split()  # noqa: SIM905  a list of names reads better in lines
_MERGES = {
    "sum": "Add",
    "mul": "Multiply",
    "ave": "Average",
    "max": "Maximum",
    "concat": "Concatenate",
    "dot": "Dot",
}
_ARGUMENTS = {
    "bias": "use_bias",
    "border_mode": "padding",
    "subsample": "strides",
    "subsample_length": "strides",
    "pool_length": "pool_size",
    "stride": "strides",
    "nb_filter": "filters",
    "atrous_rate": "dilation_rate",
    "inner_activation": "recurrent_activation",
    "forget_bias_init": "unit_forget_bias",
    "dropout_W": "dropout",
    "dropout_U": "recurrent_dropout",
    "W_constraint": "kernel_constraint",
    "U_constraint": "recurrent_constraint",
    "b_constraint": "bias_constraint",
    "p": "rate",
    "sigma": "stddev",
    "length": "size",
}
_ORDERINGS = {"tf": "channels_last", "th": "channels_first"}
# Of a training alone, and another way to the same values.
_LEFT_OUT = """
    init inner_init W_regularizer U_regularizer b_regularizer activity_regularizer consume_less
    gamma_init beta_init gamma_regularizer beta_regularizer input_dim input_length input_dtype
    depthwise_init pointwise_init depthwise_regularizer pointwise_regularizer sparse
    W_learning_rate_multiplier b_learning_rate_multiplier depthwise_constraint
    pointwise_constraint unroll forget_bias_init cache_enabled
""".split()  # noqa: SIM905
_SIZES = ("nb_row", "nb_col", "kernel_dim1", "kernel_dim2", "kernel_dim3")
_GATES_OF_LSTM = (0, 2, 1, 3)  # kept as i, c, f, o; wanted as i, f, c, o


class NotConvertedError(Exception):
    """Part of a Keras 1 model without a known equivalent; says which."""


def as_keras_2(stored: Stored, folder: Path) -> Stored:
    """Convert a Keras 1 file to a new file of Keras 2.

    Args:
        stored: An `.h5` file of Keras 1.
        folder: For the new file.

    Raises:
        NotConvertedError: A layer or a setting that cannot be converted.
    """
    config = _model_of_keras_1(stored.config)
    path = folder / "of_keras_1.h5"
    with h5py.File(stored.path) as old, h5py.File(path, "w") as new:
        new.attrs["model_config"] = json.dumps(config)
        new.attrs["keras_version"] = "2.0.0"
        _write_weights(old.get("model_weights", old), new.create_group("model_weights"), stored)
    return replace(stored, path=path, config=config)


def _model_of_keras_1(entry: Mapping[str, Any]) -> dict[str, Any]:
    kind, inner = entry["class_name"], entry["config"]
    if kind == "Sequential" and isinstance(inner, list):
        return {**entry, "config": [_layer_of_keras_1(each) for each in inner]}
    if kind not in ("Sequential", "Model", "Graph") or "layers" not in inner:
        raise NotConvertedError(f"a model of class {kind} is not known")
    layers = [_layer_of_keras_1(each) for each in inner["layers"]]
    return {**entry, "config": {**inner, "layers": layers}}


def _layer_of_keras_1(entry: Mapping[str, Any]) -> dict[str, Any]:
    kind, config = entry["class_name"], dict(entry["config"] if entry["config"] else {})
    kept = {key: entry[key] for key in ("name", "inbound_nodes") if key in entry}
    if kind in ("Sequential", "Model"):
        return _model_of_keras_1(entry)
    if kind == "Merge":
        kind, config = _merge(config)
        return {"class_name": kind, "config": config, **kept}
    new = _LAYERS.get(kind, kind)
    if new not in (*_LAYERS.values(), *_SAME_IN_KERAS_1):
        raise NotConvertedError(f"its layer {config.get('name')!r} is a {kind}, which has gone")
    if isinstance(config.get("layer"), Mapping):
        config["layer"] = _layer_of_keras_1(config["layer"])
    return {"class_name": new, "config": _arguments_of_keras_1(kind, config), **kept}


def _merge(config: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    mode, name = config.get("mode"), config.get("name")
    if config.get("layers"):
        raise NotConvertedError(f"its layer {name!r} merges models, and no tensors")
    if mode not in _MERGES or config.get("mode_type", "raw") != "raw":
        raise NotConvertedError(f"its layer {name!r} merges by {mode!r}, which has gone")
    found: dict[str, Any] = {"name": name}
    if mode == "concat":
        found["axis"] = config.get("concat_axis", -1)
    if mode == "dot":
        found["axes"] = config.get("dot_axes", -1)
    return _MERGES[mode], found


def _arguments_of_keras_1(kind: str, config: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if kind == "BatchNormalization" and config.pop("mode", 0) != 0:
        raise NotConvertedError(
            f"its BatchNormalization {config.get('name')!r} normalizes in a mode that has gone"
        )
    if kind == "Embedding":
        config.pop("dropout", None)  # of a training
        found["input_dim"] = config.pop("input_dim")
    if "output_dim" in config:
        found["output_dim" if kind == "Embedding" else "units"] = config.pop("output_dim")
    if "filter_length" in config:
        found["kernel_size"] = [config.pop("filter_length")]
    sizes = [config.pop(name) for name in _SIZES if name in config]
    if sizes:
        found["kernel_size"] = sizes
    ordering = config.pop("dim_ordering", None)
    if ordering is not None:
        if ordering not in _ORDERINGS:
            raise NotConvertedError(f"dim_ordering {ordering!r} of {kind} is not known")
        found["data_format"] = _ORDERINGS[ordering]
    for name, value in config.items():
        if name not in _LEFT_OUT:
            found[_ARGUMENTS.get(name, name)] = value
    if found.get("padding") not in (None, "valid", "same", "causal") and "Padding" not in kind:
        raise NotConvertedError(f"border_mode {found['padding']!r} of {kind} has gone")
    if kind == "ZeroPadding2D" and len(found.get("padding", ())) == 4:
        top, bottom, left, right = found["padding"]
        found["padding"] = [[top, bottom], [left, right]]
    if kind == "GRU":
        found["reset_after"] = False  # it came later
    return found


# --- weights -----------------------------------------------------------------------------


def _write_weights(old: Any, new: Any, stored: Stored) -> None:
    entries = {}
    inner = stored.config["config"]
    for entry in inner if isinstance(inner, list) else inner["layers"]:
        entries[entry["config"].get("name") or entry.get("name")] = entry
    names = texts_of(old, "layer_names")
    new.attrs["layer_names"] = np.array([name.encode() for name in names])
    for name in names:
        weights = [old[name][each][()] for each in texts_of(old[name], "weight_names")]
        group = new.create_group(name)
        if name not in entries:
            raise NotConvertedError(f"it has weights of {name!r}, which is no layer of it")
        found = _converted(entries[name], weights)
        titles = [f"{name}/weight_{index}:0" for index in range(len(found))]
        group.attrs["weight_names"] = np.array([each.encode() for each in titles])
        for title, value in zip(titles, found, strict=True):
            group[title] = value


def _converted(entry: Mapping[str, Any], weights: Sequence[np.ndarray]) -> list[np.ndarray]:
    kind, config = entry["class_name"], entry["config"]
    if kind in ("Sequential", "Model"):
        if weights:
            raise NotConvertedError(f"its layer {entry.get('name')!r} is a model of its own")
        return []
    if kind == "TimeDistributed":
        return _converted(config["layer"], weights)
    if kind == "Bidirectional":
        half = len(weights) // 2
        return [
            *_converted(config["layer"], weights[:half]),
            *_converted(config["layer"], weights[half:]),
        ]
    convert = _CONVERSIONS.get(_LAYERS.get(kind, kind))
    return convert(list(weights), config) if convert and weights else list(weights)


def _of_convolution_1d(weights: list[np.ndarray], config: Mapping[str, Any]) -> list[np.ndarray]:
    kernel, length, n_filters = weights[0], config["filter_length"], config["nb_filter"]
    if kernel.shape[:2] != (length, 1) or kernel.shape[3] != n_filters:
        kernel = kernel.transpose(2, 3, 1, 0)  # (filter, in, position, 1), as Theano had it
    return [kernel[:, 0], *weights[1:]]


def _of_convolution(weights: list[np.ndarray], config: Mapping[str, Any]) -> list[np.ndarray]:
    kernel = weights[0]
    if config.get("dim_ordering") == "th":  # (filter, in, *positions)
        kernel = np.moveaxis(kernel, (0, 1), (-1, -2))
    return [kernel, *weights[1:]]


def _gates_side_by_side(weights: list[np.ndarray], order: Sequence[int]) -> list[np.ndarray]:
    """Concatenate W, U and b of each gate into one kernel, recurrent kernel and bias."""
    if len(weights) == 3:  # of a layer made for a GPU, which keeps them side by side
        return weights
    if len(weights) != 3 * len(order):
        raise NotConvertedError(f"a recurrent layer of it has {len(weights)} weights")
    return [
        np.concatenate([weights[3 * gate + part] for gate in order], axis=-1) for part in range(3)
    ]


_Conversion = Callable[[list[np.ndarray], Mapping[str, Any]], list[np.ndarray]]
_CONVERSIONS: dict[str, _Conversion] = {
    "Conv1D": _of_convolution_1d,
    "Conv2D": _of_convolution,
    "Conv3D": _of_convolution,
    "LSTM": lambda weights, config: _gates_side_by_side(weights, _GATES_OF_LSTM),
    "GRU": lambda weights, config: _gates_side_by_side(weights, (0, 1, 2)),
}
