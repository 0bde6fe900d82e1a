"""Weights in model files: where they go in a model, and whether all of them got there."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

_OLD_LAYERS = "_layer_checkpoint_dependencies"
_NOT_OF_LAYERS = ("optimizer", "metrics", "optimizer_weights")


class NotPlacedError(Exception):
    """Weights in a file that cannot be told to belong to a layer; says which."""


# --- which are there ---------------------------------------------------------------------


def in_file(path: Path) -> Counter[tuple[Any, ...]]:
    """The weights of layers in an HDF5 file, whatever their order and their names."""
    found: Counter[tuple[Any, ...]] = Counter()

    def note(name: str, item: Any) -> None:
        is_of_layer = name.partition("/")[0] not in _NOT_OF_LAYERS
        if isinstance(item, h5py.Dataset) and item.dtype.kind == "f" and is_of_layer:
            found[_fingerprint(item[()])] += 1

    with h5py.File(path) as file:
        file.get("model_weights", file).visititems(note)
    return found


def in_model(model: Any) -> Counter[tuple[Any, ...]]:
    """The weights of a model's layers, likewise."""
    return Counter(map(_fingerprint, filter(_is_float, model.get_weights())))


def _is_float(weight: Any) -> bool:
    return np.asarray(weight).dtype.kind not in "iubSUO"


def _fingerprint(weight: Any) -> tuple[Any, ...]:
    values = np.asarray(weight, np.float32)
    return values.shape, values.tobytes()


# --- `.h5` -------------------------------------------------------------------------------


def place_weights(model: Any, path: Path) -> None:
    """Give a Keras 3 model the weights of an `.h5` file, layer by layer, by the layers' names.

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
    """A list of strings, which stands in several attributes where it is long."""
    parts = [group.attrs[name]] if name in group.attrs else []
    while f"{name}{len(parts)}" in group.attrs:
        parts.append(group.attrs[f"{name}{len(parts)}"])
    return [
        each.decode() if isinstance(each, bytes) else str(each) for part in parts for each in part
    ]


# --- `.keras` ----------------------------------------------------------------------------


def renumbered(path: Path, folder: Path) -> Path:
    """The weights of a `.keras` file under the names that are read today.

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
