"""Models out of files, of Keras 3, 2 and 1, without running anything that is in them."""

import copy
import importlib
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from actwidgets.errors import ModelError
from actwidgets.probe import model_containers as containers
from actwidgets.probe.file_safety import (
    cannot_be_read,
    first_line,
    of_another_framework,
    refuse_code,
    refuse_strangers,
    with_given_functions,
    with_registered_names,
)
from actwidgets.probe.frameworks import call_untouched
from actwidgets.probe.keras_1_files import NotConvertedError, as_keras_2
from actwidgets.probe.keras_2_config import NotKnownError, rewritten, with_modules
from actwidgets.probe.labels_file import note_class_names
from actwidgets.probe.model_containers import Stored
from actwidgets.probe.model_settings import unlike_settings
from actwidgets.probe.model_weights import in_file, in_model, place_weights, renumbered
from actwidgets.probe.saved_models import graph_as_a_layer, keras_2_config, model_of_keras_2
from actwidgets.probe.weights_alone import with_weights_of

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
        stored = containers.look_into(Path(path), Path(folder))
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
            stored = containers.with_config(stored, given, folder)
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
        model = keras.saving.load_model(containers.named_rightly(stored, folder), **options)
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
    weights = containers.weights_file(stored, folder)
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
        as_file = replace(containers.look_into(path, folder), name=stored.name)
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
    path = containers.named_rightly(stored, folder)
    if stored.kind == "folder" or weights.parent.name == "renumbered":
        stored = containers.with_config(stored, stored.config, folder)  # its modules of today
        path = containers.with_weights(stored, weights, folder)
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
    """Weights of a `.keras` file are numbered in the order of the layers, which must be the same.

    Raises:
        NotKnownError: It is not.
    """
    entries = [each for each in config["config"]["layers"] if each["class_name"] != "InputLayer"]
    layers = [each for each in model.layers if not isinstance(each, keras.layers.InputLayer)]
    if [each["config"]["name"] for each in entries] != [each.name for each in layers]:
        raise NotKnownError("its layers are in another order")
    for entry, layer in zip(entries, layers, strict=True):
        if isinstance(entry["config"].get("layers"), list):
            _require_order(entry, layer)


# --- one run -----------------------------------------------------------------------------


def _problem_of_a_run(model: Any) -> str | None:
    """Why a model does not run on samples of zeros, or None where it does.

    Some operations are there for one processor and not for another, which only a call tells.
    """
    problem: str | None = None
    for samples in _blank_samples(model):
        try:
            call_untouched(model, lambda samples=samples: model(samples, training=False))
        except Exception as failure:  # noqa: BLE001  whatever it is, it does not run
            problem = problem or first_line(failure)
        else:
            return None
    return problem


def _blank_samples(model: Any) -> Iterator[Any]:
    shapes = [tuple(tensor.shape) for tensor in model.inputs]
    is_open = any(length is None for shape in shapes for length in shape[1:])
    for open_length in _OPEN_AXES if is_open else _OPEN_AXES[:1]:
        found = []
        for tensor, shape in zip(model.inputs, shapes, strict=True):
            lengths = [shape[0] or 1, *(length or open_length for length in shape[1:])]
            dtype = tf.as_dtype(tensor.dtype)
            blank = "" if dtype == tf.string else np.zeros((), dtype.as_numpy_dtype)
            found.append(tf.fill(lengths, tf.constant(blank, dtype)))
        yield found[0] if len(found) == 1 else found
