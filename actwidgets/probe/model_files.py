"""Models out of files, of Keras 3 and of Keras 2, without running anything that is in them."""

import importlib
import json
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from actwidgets.errors import ModelError
from actwidgets.probe.frameworks import frameworks
from actwidgets.probe.keras_2_config import NotKnownError, rewritten

_OUR_MODULES = ("keras", "tf_keras", "builtins")
_WEIGHTS = "model.weights.h5"


def load_model(
    path: Any, *, custom_objects: Mapping[str, Any] | None = None, safe_mode: bool = True
) -> Any:
    """Read a model from a `.keras` or `.h5` file, written by Keras 3 or by Keras 2.

    Keras 3 takes some files of Keras 2 for something else. What is known to mean the same is
    rewritten; what is not is read by Keras 2 itself (`pip install tf_keras`).

    Args:
        path: Of the file.
        custom_objects: Classes and functions of your own that the model uses, by name.
        safe_mode: Whether to refuse Python code that the file holds, as in a `Lambda`. Say
            False only for a file that you trust like a program.

    Returns:
        A Keras 3 model where it can be right, a `tf_keras` one otherwise; not compiled. Every
        weight in the file is in the model.

    Raises:
        FileNotFoundError: There is no such file.
        ModelError: The file holds no whole model, holds code, or cannot be read rightly; says
            what would help.
    """
    path, custom = Path(path), dict(custom_objects or {})
    stored = _looked_into(path)
    if safe_mode and any(_is_code(part) for part in _parts(stored.config)):
        raise ModelError(
            f"{path.name} holds Python code (a Lambda layer), which is not run: pass "
            "safe_mode=False if you trust the file"
        )
    _refuse_strangers(stored.config, custom, path)
    try:
        if stored.keras_version >= 3:
            options = {"custom_objects": custom, "compile": False, "safe_mode": safe_mode}
            return keras.saving.load_model(path, **options)
        return _of_keras_2(path, stored, custom, safe_mode=safe_mode)
    except ModelError:
        raise
    except Exception as failure:
        raise ModelError(_told(path, stored, custom, failure)) from failure


@dataclass(frozen=True)
class _Stored:
    """What a file says of itself."""

    config: Mapping[str, Any]
    keras_version: int
    is_zip: bool


def _looked_into(path: Path) -> _Stored:
    if path.is_dir():
        raise ModelError(
            f"{path} is a folder, a SavedModel perhaps: give a .keras or .h5 file, "
            "or wrap it with keras.layers.TFSMLayer"
        )
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                metadata = json.loads(archive.read("metadata.json"))
                config = json.loads(archive.read("config.json"))
            config.pop("compile_config", None)  # the loss and such, which are left out
            return _Stored(config, _major(metadata["keras_version"]), is_zip=True)
        with h5py.File(path) as file:
            if "model_config" not in file.attrs:
                raise ModelError(
                    f"{path.name} holds weights without a model: build the model and call "
                    "its load_weights"
                )
            config = json.loads(file.attrs["model_config"])
            return _Stored(config, _major(file.attrs.get("keras_version", "2")), is_zip=False)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as failure:
        if isinstance(failure, ModelError):
            raise
        raise ModelError(
            f"{path.name} is no whole .keras or .h5 file of a Keras model ({failure})"
        ) from failure


def _major(version: Any) -> int:
    text = version.decode() if isinstance(version, bytes) else str(version)
    return int(text.partition(".")[0])


# --- what a file must not do -------------------------------------------------------------


def _parts(config: Any) -> Iterator[Mapping[str, Any]]:
    """Every dict in a configuration."""
    if isinstance(config, Mapping):
        yield config
    if isinstance(config, Mapping | list):
        for part in config.values() if isinstance(config, Mapping) else config:
            yield from _parts(part)


def _is_code(part: Mapping[str, Any]) -> bool:
    if part.get("class_name") == "__lambda__":
        return True
    function = part.get("config", {})
    function = function.get("function") if isinstance(function, Mapping) else None
    return part.get("class_name") == "Lambda" and isinstance(function, list | Mapping)


def _refuse_strangers(config: Any, custom: Mapping[str, Any], path: Path) -> None:
    """A file may name Keras' classes and the caller's, and nothing else there is to import."""
    for part in _parts(config):
        module, kind = part.get("module"), part.get("class_name")
        if not isinstance(module, str) or kind is None:
            continue
        name = part.get("config") if kind == "function" else kind
        package = module.partition(".")[0]
        known = package in _OUR_MODULES and not (package == "builtins" and kind == "function")
        registered = str(part.get("registered_name") or "")
        given = name in custom or registered.rpartition(">")[2] in custom
        if not (known or given or _is_registered(registered)):
            raise ModelError(
                f"{path.name} needs {module}.{name}, which is not part of Keras: import the "
                f"package that registers it, or pass custom_objects={{{str(name)!r}: …}}"
            )


def _is_registered(name: str) -> bool:
    """Whether the caller has made it known to Keras already, by a decorator."""
    return any(each.saving.get_registered_object(name) is not None for each in frameworks())


# --- Keras 2 -----------------------------------------------------------------------------


def _of_keras_2(path: Path, stored: _Stored, custom: dict[str, Any], *, safe_mode: bool) -> Any:
    old = {name for name, value in custom.items() if not _is_of_keras_3(value)}
    try:
        if old or not safe_mode:
            raise NotKnownError("classes or code written for Keras 2")
        config = rewritten(stored.config, custom)
        build = keras.Sequential if config["class_name"] == "Sequential" else keras.Model
        with keras.saving.custom_object_scope(custom):
            model = build.from_config(config["config"])
        with tempfile.TemporaryDirectory() as folder:
            weights = _weights_file(path, stored, Path(folder))
            model.load_weights(weights)
            if _in_file(weights) == _in_model(model):
                return model
        why = "its weights do not fit"
    except Exception as failure:  # noqa: BLE001  Keras 3 fails in many ways; Keras 2 may not
        why = str(failure) if isinstance(failure, NotKnownError) else _first_line(failure)
    try:
        keras_2 = importlib.import_module("tf_keras")
    except ImportError as missing:
        raise ModelError(
            f"{path.name} was written by Keras 2 and Keras 3 cannot be trusted with it ({why}): "
            "pip install tf_keras"
        ) from missing
    return keras_2.models.load_model(
        path, custom_objects=custom, compile=False, safe_mode=safe_mode
    )


def _is_of_keras_3(value: Any) -> bool:
    return not isinstance(value, type) or issubclass(value, keras.Layer)


def _weights_file(path: Path, stored: _Stored, folder: Path) -> Path:
    if not stored.is_zip:
        return path
    with zipfile.ZipFile(path) as archive:
        return Path(archive.extract(_WEIGHTS, folder))


def _in_file(path: Path) -> Counter[tuple[Any, ...]]:
    """The weights in a file, whatever their order and their names."""
    found: Counter[tuple[Any, ...]] = Counter()

    def note(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind == "f":
            found[_fingerprint(item[()])] += 1

    with h5py.File(path) as file:
        file.get("model_weights", file).visititems(note)
    return found


def _in_model(model: Any) -> Counter[tuple[Any, ...]]:
    return Counter(_fingerprint(weight) for weight in model.get_weights())


def _fingerprint(weight: Any) -> tuple[Any, ...]:
    values = np.asarray(weight, np.float32)
    return values.shape, values.tobytes()


# --- what is said when it fails ----------------------------------------------------------


def _told(path: Path, stored: _Stored, custom: Mapping[str, Any], failure: Exception) -> str:
    missing = [
        str(part["class_name"])
        for part in _parts(stored.config)
        if "class_name" in part
        and f"'{part['class_name']}'" in str(failure)
        and not hasattr(keras.layers, str(part["class_name"]))
        and part["class_name"] not in custom
    ]
    if missing:
        name = missing[-1]
        return f"{path.name} needs the class {name}: pass custom_objects={{{name!r}: {name}}}"
    return f"{path.name} cannot be read: {_first_line(failure)}"


def _first_line(failure: Exception) -> str:
    lines = [line.strip() for line in str(failure).splitlines() if line.strip()]
    return lines[0] if lines else type(failure).__name__
