"""Load models from files of Keras 3, 2 and 1 without running code in them."""

import copy
import importlib
import json
import tempfile
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import keras
import tensorflow as tf

from actwidgets.errors import ModelError
from actwidgets.probe import model_file
from actwidgets.probe.frameworks import call_untouched, frameworks, require_model
from actwidgets.probe.inputs import input_spec_of
from actwidgets.probe.load_weights import (
    NotPlacedError,
    in_file,
    in_model,
    place_weights,
    renumbered,
    unlike_settings,
)
from actwidgets.probe.model_file import (
    Stored,
    cannot_be_read,
    first_line,
    note_class_names,
    of_another_framework,
    refuse_code,
    refuse_strangers,
    with_given_functions,
    with_registered_names,
)
from actwidgets.probe.old_keras_files import (
    NotConvertedError,
    NotKnownError,
    as_keras_2,
    rewritten,
    with_modules,
)

_METADATA = "keras_metadata.pb"
_VARIABLES = "variables/variables"


def keras_2_config(stored: Stored) -> Mapping[str, Any] | None:
    """Config of the Sequential or Functional model in a SavedModel of Keras 2, or None."""
    metadata = stored.path / _METADATA
    if not metadata.is_file():
        return None
    try:
        saved_metadata = importlib.import_module("tf_keras.protobuf.saved_metadata_pb2")
    except ImportError as missing:
        raise ModelError(
            f"{stored.name} is a SavedModel that Keras 2 wrote: pip install tf_keras"
        ) from missing
    nodes = saved_metadata.SavedMetadata.FromString(metadata.read_bytes()).nodes
    root: Any = next((json.loads(node.metadata) for node in nodes if node.node_path == "root"), {})
    config = root.get("model_config") or {}
    return config if config.get("class_name") in ("Sequential", "Functional", "Model") else None


def model_of_keras_2(stored: Stored, config: Mapping[str, Any], custom: Mapping[str, Any]) -> Any:
    """Rebuild the Keras 2 model in a SavedModel from its config and weights.

    The graph in it, which is a program, is not looked at.
    """
    keras_2 = importlib.import_module("tf_keras")
    with keras_2.utils.custom_object_scope(dict(custom)):
        model = keras_2.models.model_from_json(json.dumps(config))
    status = model.load_weights(str(stored.path / _VARIABLES))
    status.assert_existing_objects_matched()
    status.expect_partial()
    return model


def graph_as_a_layer(stored: Stored, *, safe_mode: bool) -> Any:
    """Wrap the graph of a SavedModel as a model of one layer, whose insides cannot be shown."""
    if safe_mode:
        raise ModelError(
            f"{stored.name} is a SavedModel without a Keras model that could be built again. Its "
            "graph is a program, which may read and write files: pass safe_mode=False if you trust "
            "it like one, and it is read as a single layer; or give the .keras or .h5 file"
        )
    signatures = tf.saved_model.load(str(stored.path)).signatures
    name = next((each for each in ("serving_default", "serve") if each in signatures), None)
    name = name or next(iter(signatures), None)
    if name is None:
        raise ModelError(f"{stored.name} is a SavedModel without a signature to call")
    specs = signatures[name].structured_input_signature[1]
    if len(specs) != 1:
        raise ModelError(
            f"the signature {name!r} of {stored.name} takes {len(specs)} inputs; one can be read"
        )
    (title, spec), *_ = specs.items()
    inputs = keras.Input(batch_shape=spec.shape, dtype=spec.dtype.name, name=title)
    layer = keras.layers.TFSMLayer(str(stored.path), call_endpoint=name, name="saved_model")
    outputs = layer(inputs)
    if isinstance(outputs, Mapping) and len(outputs) == 1:
        (outputs,) = outputs.values()
    return keras.Model(inputs, outputs, name="of_saved_model")


def with_weights_of(stored: Stored, model: Any, folder: Path) -> Any:
    """Copy a built Sequential or Functional model with the weights of a file."""
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
    """Resolve the file to load from, and the weights in it."""
    if stored.path.name.endswith(".weights.json"):
        shards = json.loads(stored.path.read_text())["weight_map"].values()
        names = {Path(name).name for each in shards for name in each}
        there: Counter[Any] = Counter()
        for name in sorted(names):
            there += in_file(stored.path.parent / name)
        return stored.path, there
    path = stored.path
    if stored.kind != "hdf5":
        path = renumbered(model_file.weights_file(stored, folder), folder)
    elif _is_of_layers(path) and not path.name.endswith(".h5"):
        path = model_file.named_rightly(stored, folder)
    elif not _is_of_layers(path):
        path = model_file.linked(renumbered(path, folder), (".weights.h5",), folder)
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


_OPEN_AXES = (32, 224)  # lengths tried for an axis whose length a model leaves open


def load_model(
    path: Any,
    *,
    custom_objects: Mapping[str, Any] | None = None,
    safe_mode: bool = True,
    model: Any = None,
) -> Any:
    """Read a model that Keras 3, 2 or 1 wrote, from a file or a folder.

    What it is tells its content, not its name: a `.keras` file, zipped or not, an `.h5` file, an
    export of Teachable Machine, a SavedModel. Keras 3 takes some of them for something else.
    What is known to mean the same is rewritten; what is not is read by Keras 2 itself
    (`pip install tf_keras`). Each setting in the file is compared with the layer that was built,
    each weight with those that arrived, and what Keras 3 makes of an older file has run once.

    Args:
        path: Of a file; or of a folder or a zip archive with one in it. Of a `labels.txt` beside
            it the class names are kept (`class_names_of`), and `explore` and `Session` show them.
        custom_objects: Classes and functions of your own that the model uses, by name. The
            function of a `Lambda` whose code is in the file goes by the name of its layer.
        safe_mode: Whether to refuse Python code that the file holds, as in a `Lambda`, and the
            graph of a SavedModel. Say False only for a file that you trust like a program.
        model: For a file with weights alone: a built model of that architecture. It is left as
            it is.

    Returns:
        A Keras 3 model where it can be right, a `tf_keras` one otherwise; not compiled. Every
        weight in the file is in the model. Of `model` a copy that is not compiled, with the
        weights of the file.

    Raises:
        FileNotFoundError: There is no such file.
        ModelError: The file holds no whole model, holds code, or cannot be read rightly; says
            what would help.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        stored = model_file.look_into(Path(path), Path(folder))
        if model is not None:
            return with_weights_of(stored, model, Path(folder))
        if stored.is_weights_alone:
            raise ModelError(
                f"{stored.name} holds weights without a model: build the model, and pass it as "
                "load_model(path, model=…)"
            )
        found = _read(stored, dict(custom_objects or {}), Path(folder), safe_mode=safe_mode)
        note_class_names(found, stored.class_names)
        return found


def _read(stored: Stored, custom: dict[str, Any], folder: Path, *, safe_mode: bool) -> Any:
    if stored.kind == "saved_model":
        config = keras_2_config(stored)
        if config is None:
            return graph_as_a_layer(stored, safe_mode=safe_mode)
        stored = replace(stored, config=config)
    given = with_given_functions(stored.config, custom)
    if not isinstance(custom.get("Lambda", type), type):
        del custom["Lambda"]  # a function: it has gone where it belongs
    custom = with_registered_names(given, custom)
    if safe_mode:
        refuse_code(given, custom, stored.name)
    refuse_strangers(given, custom, stored.name)
    try:
        if stored.kind == "saved_model":
            return _of_saved_model(stored, given, custom, folder, safe_mode=safe_mode)
        if given != stored.config:
            stored = model_file.with_config(stored, given, folder)
        if stored.keras_version >= 3:
            return _of_keras_3(stored, custom, folder, safe_mode=safe_mode)
        if stored.keras_version == 1:
            stored = as_keras_2(stored, folder)
        return _of_keras_2(stored, custom, folder, safe_mode=safe_mode)
    except ModelError:
        raise
    except NotConvertedError as failure:
        raise ModelError(f"{stored.name} was written by Keras 1, and {failure}") from failure
    except Exception as failure:
        told = cannot_be_read(stored.name, stored.config, custom, failure)
        raise ModelError(told) from failure


# --- Keras 3 -----------------------------------------------------------------------------


def _of_keras_3(stored: Stored, custom: dict[str, Any], folder: Path, *, safe_mode: bool) -> Any:
    _refuse_of_another(stored, custom, keras, "Keras 3")
    options = {"custom_objects": custom, "compile": False, "safe_mode": safe_mode}
    failure: Exception | None = None
    unlike: list[str] = []
    try:
        model = keras.saving.load_model(model_file.named_rightly(stored, folder), **options)
        unlike = unlike_settings(stored.config, model)
        if not unlike:
            return model
    except Exception as raised:
        if stored.kind != "hdf5":
            raise
        failure = raised
    if stored.kind == "hdf5" and safe_mode:  # there is a second way to read it
        try:
            config = with_modules(stored.config)
            model = _built(config, custom)
            place_weights(model, stored.path)
            if not unlike_settings(config, model) and in_file(stored.path) == in_model(model):
                return model
        except Exception:  # noqa: BLE001  what the first way said is told
            pass
    if failure is not None:
        raise failure
    raise ModelError(
        f"{stored.name} cannot be read rightly: {unlike[0]}; save the model as .keras, where it "
        "was made"
    )


def _built(config: Mapping[str, Any], custom: Mapping[str, Any]) -> Any:
    with keras.saving.custom_object_scope(custom):
        build = keras.Sequential if config["class_name"] == "Sequential" else keras.Model
        return build.from_config(copy.deepcopy(config["config"]))  # which takes it apart


# --- Keras 2 -----------------------------------------------------------------------------


def _of_keras_2(stored: Stored, custom: dict[str, Any], folder: Path, *, safe_mode: bool) -> Any:
    cannot_run: Any = None
    weights = model_file.weights_file(stored, folder)
    if stored.kind != "hdf5":
        weights = renumbered(weights, folder)
    try:
        if not safe_mode or of_another_framework(stored.config, custom, keras):
            raise NotKnownError("classes or code written for Keras 2")
        config = rewritten(stored.config, custom)
        model = _built(config, custom)
        if stored.kind == "hdf5":
            place_weights(model, weights)
        else:
            _require_order(config, model)
            model.load_weights(weights)
        if in_file(weights) != in_model(model):
            raise NotKnownError("its weights do not fit")
        if unlike := unlike_settings(config, model):
            raise NotKnownError(unlike[0])
        problem = _problem_of_a_run(model)
        if problem is None:
            return model
        cannot_run, why = model, f"it cannot run it here: {problem}"
    except Exception as failure:  # noqa: BLE001  Keras 3 fails in many ways; Keras 2 may not
        why = str(failure) if isinstance(failure, NotKnownError) else first_line(failure)
    try:
        keras_2 = importlib.import_module("tf_keras")
    except ImportError as missing:
        raise ModelError(
            f"{stored.name} was written by Keras {stored.keras_version} and Keras 3 cannot be "
            f"trusted with it ({why}): pip install tf_keras"
        ) from missing
    _refuse_of_another(stored, custom, keras_2, "Keras 2 (tf_keras)", why)
    model = _by_keras_2(keras_2, stored, weights, custom, folder, safe_mode=safe_mode)
    if cannot_run is not None and _problem_of_a_run(model) is not None:
        return cannot_run  # neither runs on blank samples, which says nothing of either
    return model


def _of_saved_model(
    stored: Stored, config: Any, custom: dict[str, Any], folder: Path, *, safe_mode: bool
) -> Any:
    model, path = model_of_keras_2(stored, config, custom), folder / "of_saved_model.h5"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that .h5 is an old format
            model.save(path)
        as_file = replace(model_file.look_into(path, folder), name=stored.name)
        return _of_keras_2(as_file, custom, folder, safe_mode=safe_mode)
    except Exception:  # noqa: BLE001  then it stays what it is, which is right
        return model


def _by_keras_2(
    keras_2: Any,
    stored: Stored,
    weights: Path,
    custom: dict[str, Any],
    folder: Path,
    *,
    safe_mode: bool,
) -> Any:
    path = model_file.named_rightly(stored, folder)
    if stored.kind == "folder" or weights.parent.name == "renumbered":
        stored = model_file.with_config(stored, stored.config, folder)  # its modules of today
        path = model_file.with_weights(stored, weights, folder)
    options = {"custom_objects": custom, "compile": False, "safe_mode": safe_mode}
    model = keras_2.models.load_model(path, **options)
    if not set(in_model(model)) <= set(in_file(weights)):
        raise ModelError(f"{stored.name} cannot be read rightly: weights of it do not fit")
    return model


def _refuse_of_another(
    stored: Stored, custom: Mapping[str, Any], framework: Any, title: str, why: str = ""
) -> None:
    name = of_another_framework(stored.config, custom, framework)
    if name is not None:
        raise ModelError(
            f"{stored.name} has to be read by {title}{f' ({why})' if why else ''}, and the class "
            f"{name} in custom_objects is one of another Keras: give one that derives from "
            f"{framework.__name__}.layers.Layer"
        )


def _require_order(config: Mapping[str, Any], model: Any) -> None:
    """Require the same order of layers: weights of a `.keras` file are numbered by it."""
    entries = [each for each in config["config"]["layers"] if each["class_name"] != "InputLayer"]
    layers = [each for each in model.layers if not isinstance(each, keras.layers.InputLayer)]
    if [each["config"]["name"] for each in entries] != [each.name for each in layers]:
        raise NotKnownError("its layers are in another order")
    for entry, layer in zip(entries, layers, strict=True):
        if isinstance(entry["config"].get("layers"), list):
            _require_order(entry, layer)


# --- one run -----------------------------------------------------------------------------


def _problem_of_a_run(model: Any) -> str | None:
    """Error of a model on samples of zeros, or None where it runs.

    Some operations are there for one processor and not for another, which only a call tells.
    """
    problem: str | None = None
    inputs = input_spec_of(model)
    for open_length in _OPEN_AXES if inputs.has_open_axes else _OPEN_AXES[:1]:
        samples = inputs.blank(inputs.batch_size or 1, open_length)
        try:
            call_untouched(model, partial(model, *inputs.arguments(samples), training=False))
        except Exception as failure:  # noqa: BLE001  whatever it is, it does not run
            problem = problem or first_line(failure)
        else:
            return None
    return problem
