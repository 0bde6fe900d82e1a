"""Weights from a file in a copy of a model that the caller has built."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import h5py
import keras

from actwidgets.errors import ModelError
from actwidgets.probe import model_containers as containers
from actwidgets.probe.file_safety import first_line
from actwidgets.probe.frameworks import frameworks, require_model
from actwidgets.probe.model_containers import Stored
from actwidgets.probe.model_weights import (
    NotPlacedError,
    in_file,
    in_model,
    place_weights,
    renumbered,
)


def with_weights_of(stored: Stored, model: Any, folder: Path) -> Any:
    """A copy of a model with the weights of a file; the model itself stays as it is.

    Args:
        stored: A file with weights alone, or with a whole model.
        model: A built Sequential or Functional model of Keras 3 or 2.
        folder: Temporary.

    Raises:
        ModelError: The model cannot be copied, or the weights are those of another.
    """
    require_model(model)
    if stored.kind == "saved_model":
        raise ModelError(f"{stored.name} is a SavedModel: it is read without model=")
    copy = _copied(model)
    try:
        weights, there = _fetch(stored, folder)
        _load(copy, weights)
    except Exception as failure:
        raise ModelError(
            f"the weights in {stored.name} do not fit model {model.name!r}: {first_line(failure)}"
        ) from failure
    if there != in_model(copy):
        n_there, n_here = sum(there.values()), sum(in_model(copy).values())
        raise ModelError(
            f"the weights in {stored.name} do not fit model {model.name!r}: "
            f"{n_there} in the file, {n_here} in the model"
            f"{'' if n_there != n_here else ', not all of which arrived'}"
        )
    return copy


def _fetch(stored: Stored, folder: Path) -> tuple[Path, Counter[Any]]:
    """The file to load from, and the weights in it."""
    if stored.path.name.endswith(".weights.json"):
        shards = json.loads(stored.path.read_text())["weight_map"].values()
        names = {Path(name).name for each in shards for name in each}
        there: Counter[Any] = Counter()
        for name in sorted(names):
            there += in_file(stored.path.parent / name)
        return stored.path, there
    path = stored.path
    if stored.kind != "hdf5":
        path = renumbered(containers.weights_file(stored, folder), folder)
    elif _is_of_layers(path) and not path.name.endswith(".h5"):
        path = containers.named_rightly(stored, folder)
    elif not _is_of_layers(path):
        path = renumbered(path, folder)
        if not path.name.endswith(".weights.h5"):
            target = folder / "named.weights.h5"
            target.symlink_to(path.resolve())
            path = target
    return path, in_file(path)


def _is_of_layers(path: Path) -> bool:
    """Whether an HDF5 file holds weights by layers' names, as those of Keras 2 do."""
    with h5py.File(path) as file:
        return "layer_names" in file.get("model_weights", file).attrs


def _load(model: Any, path: Path) -> None:
    is_json = path.name.endswith(".json")
    if isinstance(model, keras.Model) and not is_json and _is_of_layers(path):
        try:
            place_weights(model, path)
            return
        except NotPlacedError:  # the layers have other names: Keras goes by their order
            if path.name.endswith(".weights.h5"):
                raise
    model.load_weights(path)


def _copied(model: Any) -> Any:
    framework = next(each for each in frameworks() if isinstance(model, each.Model))
    if (
        not getattr(model, "_is_graph_network", False)
        and not hasattr(model, "_functional")
        and (type(model).__name__ != "Functional")
    ):
        raise ModelError(
            f"model {model.name!r} is of the class {type(model).__name__}, which cannot be copied: "
            "call its own load_weights"
        )
    copy = framework.models.clone_model(model, clone_function=_copied_layer)
    if not copy.compiled if hasattr(copy, "compiled") else not copy._is_compiled:
        return copy
    if isinstance(model, framework.Sequential):  # the copy of a compiled model is compiled too
        return framework.Sequential(
            [framework.Input(batch_shape=copy.inputs[0].shape), *copy.layers]
        )
    return framework.Model(copy.input, copy.output, name=model.name)


def _copied_layer(layer: Any) -> Any:
    kind = type(layer)
    if kind is keras.layers.Lambda:  # through its configuration it would be code in a file
        return kind(
            layer.function,
            output_shape=layer._output_shape,
            mask=layer.mask,
            arguments=layer.arguments,
            name=layer.name,
        )
    return kind.from_config(layer.get_config())
