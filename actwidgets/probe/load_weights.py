"""Place weights and settings from model files into a model, and compare them.

A reader may drop a setting without a word: Keras 3 does so with several axes in an `.h5` file.
Where the layer has weights their shapes give it away, elsewhere nothing does but this.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

_OLD_LAYERS = "_layer_checkpoint_dependencies"
_NOT_OF_LAYERS = ("optimizer", "metrics", "optimizer_weights")


class NotPlacedError(Exception):
    """Weights in a file that cannot be matched with a layer; says which."""


# --- which are there ---------------------------------------------------------------------


def in_file(path: Path) -> Counter[tuple[Any, ...]]:
    """Fingerprints of the weights of layers in an HDF5 file, whatever their order and names."""
    found: Counter[tuple[Any, ...]] = Counter()

    def note(name: str, item: Any) -> None:
        is_of_layer = name.partition("/")[0] not in _NOT_OF_LAYERS
        if isinstance(item, h5py.Dataset) and item.dtype.kind == "f" and is_of_layer:
            found[_fingerprint(item[()])] += 1

    with h5py.File(path) as file:
        file.get("model_weights", file).visititems(note)
    return found


def in_model(model: Any) -> Counter[tuple[Any, ...]]:
    """Fingerprints of the weights of a model's layers."""
    return Counter(map(_fingerprint, filter(_is_float, model.get_weights())))


def _is_float(weight: Any) -> bool:
    return np.asarray(weight).dtype.kind not in "iubSUO"


def _fingerprint(weight: Any) -> tuple[Any, ...]:
    values = np.asarray(weight, np.float32)
    return values.shape, values.tobytes()


# --- `.h5` -------------------------------------------------------------------------------


def place_weights(model: Any, path: Path) -> None:
    """Load an `.h5` file's weights into a Keras 3 model by the layers' names.

    Keras itself goes by the order of the layers, which is not the same in Keras 2 and 3 for
    every graph.

    Raises:
        NotPlacedError: A layer without its weights, or weights without a layer.
    """
    with h5py.File(path) as file:
        group = file.get("model_weights", file)
        left = {name for name in texts_of(group, "layer_names") if texts_of(group[name])}
        for layer in model.layers:
            if layer.name in group:
                names = texts_of(group[layer.name])
                _place(layer, names, [group[layer.name][name][()] for name in names])
            elif layer.weights:
                raise NotPlacedError(f"there are no weights of layer {layer.name!r}")
            left.discard(layer.name)
        if left:
            raise NotPlacedError(f"there are weights of {sorted(left)[0]!r}, but no such layer")


def _place(layer: Any, names: Sequence[str], values: Sequence[Any]) -> None:
    if not hasattr(layer, "layers") or not hasattr(layer, "_flatten_layers"):
        _assign(layer, names, values)
        return
    left = list(range(len(names)))
    for inner in _leaves(layer):
        owned = [index for index in left if inner.name in names[index].split("/")[:-1]]
        _assign(inner, [names[index] for index in owned], [values[index] for index in owned])
        left = [index for index in left if index not in owned]
    if left:
        raise NotPlacedError(f"there is no layer for {names[left[0]]!r} in {layer.name!r}")


def _leaves(model: Any) -> Iterator[Any]:
    """The layers of a model and of the models in it, each once."""
    for layer in model.layers:
        if hasattr(layer, "layers") and hasattr(layer, "_flatten_layers"):
            yield from _leaves(layer)
        else:
            yield layer


def _assign(layer: Any, names: Sequence[str], values: Sequence[Any]) -> None:
    variables = [*layer.trainable_weights, *layer.non_trainable_weights]
    if len(variables) != len(values):
        raise NotPlacedError(
            f"layer {layer.name!r} has {len(variables)} weights and the file {len(values)}"
        )
    theirs = [name.rpartition("/")[2].partition(":")[0] for name in names]
    for variable, name, value in zip(variables, theirs, values, strict=True):
        another = variable.name != name and variable.name in theirs
        if another or tuple(variable.shape) != value.shape:
            raise NotPlacedError(
                f"{name} {value.shape} in the file is not {variable.name} "
                f"{tuple(variable.shape)} of layer {layer.name!r}"
            )
        variable.assign(value)
    if hasattr(layer, "finalize_state"):  # what a Normalization works out from its weights
        layer.finalize_state()


def texts_of(group: Any, name: str = "weight_names") -> list[str]:
    """Read a list of strings, which HDF5 files split over attributes where it is long."""
    parts = [group.attrs[name]] if name in group.attrs else []
    while f"{name}{len(parts)}" in group.attrs:
        parts.append(group.attrs[f"{name}{len(parts)}"])
    return [
        each.decode() if isinstance(each, bytes) else str(each) for part in parts for each in part
    ]


# --- `.keras` ----------------------------------------------------------------------------


def renumbered(path: Path, folder: Path) -> Path:
    """Rename the weights of a `.keras` file to the names that are read today.

    Keras 2.12 and 2.13 counted a layer with weights twice: three dense layers are `dense`,
    `dense_2` and `dense_4` there, and `dense`, `dense_1` and `dense_2` since.

    Returns:
        A new file in the folder, or the path where nothing is to be done.
    """
    with h5py.File(path) as old:
        if _OLD_LAYERS not in old:
            return path
        (folder / "renumbered").mkdir(exist_ok=True)
        new_path = folder / "renumbered" / "model.weights.h5"
        with h5py.File(new_path, "w") as new:
            _copy_renumbered(old, new)
    return new_path


def _copy_renumbered(old: Any, new: Any) -> None:
    for name, item in old.items():
        if name in _NOT_OF_LAYERS:
            continue
        if name == _OLD_LAYERS:
            _copy_layers(item, new.create_group("layers"))
        elif isinstance(item, h5py.Group):
            _copy_renumbered(item, new.create_group(name))
        else:
            old.copy(item, new, name)


def _copy_layers(old: Any, new: Any) -> None:
    kinds: dict[str, list[tuple[int, str]]] = {}
    for name in old:
        found = re.fullmatch(r"(.+?)(?:_(\d+))?", name)
        assert found is not None  # any name that is not empty
        kinds.setdefault(found[1], []).append((int(found[2] or 0), name))
    for kind, members in kinds.items():
        for index, (_, name) in enumerate(sorted(members)):
            _copy_renumbered(old[name], new.create_group(f"{kind}_{index}" if index else kind))


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
    """Normalize a setting that versions write down differently."""
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
