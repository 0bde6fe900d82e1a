"""Files of Keras 1, rewritten as Keras 2 would have written them.

Names of layers and arguments have changed since, and the order in which some layers keep their
weights. Only what is known to mean the same is rewritten.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from actwidgets.probe.model_containers import Stored
from actwidgets.probe.model_weights import texts_of

_LAYERS = {
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "SeparableConvolution2D": "SeparableConv2D",
    "TimeDistributedDense": "Dense",  # on sequences the same
}
_SAME = """
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
_GATES_OF_LSTM = (0, 2, 1, 3)  # kept as i, c, f, o; wanted as i, f, c, o


class NotConvertedError(Exception):
    """Something of Keras 1 that is not known to be the same in a later one; says what."""


def as_keras_2(stored: Stored, folder: Path) -> Stored:
    """The same model in a new file, as Keras 2 writes it.

    Args:
        stored: An `.h5` file of Keras 1.
        folder: For the new file.

    Raises:
        NotConvertedError: A layer or a setting that cannot be converted.
    """
    layers = _entries(stored.config)
    config = {**stored.config, "config": _with_layers(stored.config["config"], layers)}
    path = folder / "of_keras_1.h5"
    with h5py.File(stored.path) as old, h5py.File(path, "w") as new:
        new.attrs["model_config"] = json.dumps(config)
        new.attrs["keras_version"] = "2.0.0"
        _write_weights(old.get("model_weights", old), new.create_group("model_weights"), stored)
    return replace(stored, path=path, config=config)


def _entries(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    kind, inner = config["class_name"], config["config"]
    if kind == "Sequential":
        return [_layer(each) for each in (inner if isinstance(inner, list) else inner["layers"])]
    if kind in ("Model", "Graph") and isinstance(inner, Mapping) and "layers" in inner:
        return [_layer(each) for each in inner["layers"]]
    raise NotConvertedError(f"a model of class {kind} is not known")


def _with_layers(inner: Any, layers: list[dict[str, Any]]) -> Any:
    return layers if isinstance(inner, list) else {**inner, "layers": layers}


def _layer(entry: Mapping[str, Any]) -> dict[str, Any]:
    kind, config = entry["class_name"], dict(entry["config"] if entry["config"] else {})
    kept = {key: entry[key] for key in ("name", "inbound_nodes") if key in entry}
    if kind in ("Sequential", "Model"):
        layers = _entries(entry)
        inner = _with_layers(entry["config"], layers)
        return {"class_name": kind, "config": inner, **kept}
    if kind == "Merge":
        kind, config = _merge(config)
        return {"class_name": kind, "config": config, **kept}
    new = _LAYERS.get(kind, kind)
    if new not in (*_LAYERS.values(), *_SAME):
        raise NotConvertedError(f"its layer {config.get('name')!r} is a {kind}, which has gone")
    if isinstance(config.get("layer"), Mapping):
        config["layer"] = _layer(config["layer"])
    return {"class_name": new, "config": _arguments(kind, config), **kept}


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


def _arguments(kind: str, config: dict[str, Any]) -> dict[str, Any]:
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


_SIZES = ("nb_row", "nb_col", "kernel_dim1", "kernel_dim2", "kernel_dim3")


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


def _of_lstm(weights: list[np.ndarray], config: Mapping[str, Any]) -> list[np.ndarray]:
    return _gates_side_by_side(weights, _GATES_OF_LSTM)


def _of_gru(weights: list[np.ndarray], config: Mapping[str, Any]) -> list[np.ndarray]:
    return _gates_side_by_side(weights, (0, 1, 2))


def _gates_side_by_side(weights: list[np.ndarray], order: Sequence[int]) -> list[np.ndarray]:
    """From W, U and b of each gate in turn to one kernel, recurrent kernel and bias."""
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
    "LSTM": _of_lstm,
    "GRU": _of_gru,
}
