"""Detect the format of model files by content, refuse code in them, read class names.

A `Lambda` may hold the byte code of its function, which is never run unless the caller says so.
Where the function is only named, or where the caller gives it, nothing has to be run.
"""

import inspect
import json
import re
import shutil
import weakref
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import keras

from actwidgets.errors import ModelError
from actwidgets.probe.frameworks import frameworks

_OUR_MODULES = ("keras", "tf_keras", "builtins")
_BUILT_IN = ("activations", "constraints", "initializers", "losses", "metrics", "regularizers")
_GIVEN = "actwidgets_given_"  # before the name of a Lambda whose function the caller gives


def parts_of(config: Any) -> Iterator[Mapping[str, Any]]:
    """Iterate over every dict in a configuration."""
    if isinstance(config, Mapping):
        yield config
    if isinstance(config, Mapping | list):
        for part in config.values() if isinstance(config, Mapping) else config:
            yield from parts_of(part)


def function_config(name: str, registered_name: str = "function") -> dict[str, Any]:
    """A function as a configuration of Keras 3 names it."""
    return {
        "module": "builtins",
        "class_name": "function",
        "config": name,
        "registered_name": registered_name,
    }


# --- Lambda ------------------------------------------------------------------------------


def with_given_functions(config: Any, custom: dict[str, Any]) -> Any:
    """Put the caller's own functions in place of those whose code a file holds.

    Args:
        config: Of a model.
        custom: What the caller gives. The function of a `Lambda` goes by the name of its layer,
            or by "Lambda" for all of them; a class called "Lambda" stands in for Keras' own.
            Names for the functions are added to it.

    Returns:
        The configuration, changed where a function is given.
    """
    if isinstance(config, list):
        return [with_given_functions(each, custom) for each in config]
    if not isinstance(config, Mapping):
        return config
    found = {name: with_given_functions(each, custom) for name, each in config.items()}
    if found.get("class_name") != "Lambda" or not isinstance(found.get("config"), Mapping):
        return found
    inner, given = dict(found["config"]), custom.get("Lambda")
    own = custom.get(str(inner.get("name")))
    if isinstance(given, type) and own is None:
        if "module" in found:  # where Keras would take its own of that name
            found.update({"module": None, "registered_name": "Lambda"})
        return found
    if own is None and _is_code(found):
        own = given
    if not callable(own):
        return found
    name = f"{_GIVEN}{inner['name']}"
    custom[name] = own
    if isinstance(inner["function"], Mapping):
        inner["function"] = function_config(name)
    else:  # as Keras 2 writes it
        inner.update(function=name, function_type="function", module=None)
        inner.setdefault("output_shape_type", "raw")
    return {**found, "config": inner}


def refuse_code(config: Any, custom: Mapping[str, Any], file_name: str) -> None:
    """Refuse a file that holds Python code, unless the caller has given what it computes.

    Raises:
        ModelError: There is code in it; says by what it can be replaced.
    """
    given = custom.get("Lambda")
    own = isinstance(given, type) and _reads_for_itself(given)
    for part in _code_in(config, but_of_lambda=own):
        name = part["config"].get("name") if isinstance(part.get("config"), Mapping) else None
        if isinstance(given, type) and part.get("class_name") == "Lambda":
            raise ModelError(
                f"{file_name} holds Python code (in the Lambda layer {name!r}), which the class "
                "given as 'Lambda' would run: give one with a from_config of its own, or the "
                f"function itself, as custom_objects={{{str(name)!r}: function}}"
            )
        where = f"in the Lambda layer {name!r}" if name else "of a function"
        instead = (
            f"pass what it computes as custom_objects={{{str(name)!r}: function}}, or "
            if name
            else ""
        )
        raise ModelError(
            f"{file_name} holds Python code ({where}), which is not run: {instead}"
            "safe_mode=False if you trust the file like a program"
        )


def _code_in(config: Any, *, but_of_lambda: bool) -> Iterator[Mapping[str, Any]]:
    """The parts of a configuration that hold code, but of a Lambda where that is no matter."""
    if isinstance(config, Mapping):
        if _is_code(config):
            if not (but_of_lambda and config.get("class_name") == "Lambda"):
                yield config
            return
        for part in config.values():
            yield from _code_in(part, but_of_lambda=but_of_lambda)
    elif isinstance(config, list):
        for part in config:
            yield from _code_in(part, but_of_lambda=but_of_lambda)


def _is_code(part: Mapping[str, Any]) -> bool:
    if part.get("class_name") == "__lambda__":
        return True
    inner = part.get("config")
    if part.get("class_name") != "Lambda" or not isinstance(inner, Mapping):
        return False
    functions = (inner.get(name) for name in ("function", "output_shape", "mask"))
    types = [inner.get(f"{name}_type") for name in ("function", "output_shape", "mask")]
    return (
        isinstance(inner.get("function"), list)
        or "lambda" in types
        or any(isinstance(each, Mapping) and _holds_lambda(each) for each in functions)
    )


def _holds_lambda(part: Mapping[str, Any]) -> bool:
    return any(each.get("class_name") == "__lambda__" for each in parts_of(part))


def _reads_for_itself(given: type) -> bool:
    """Whether a class has a `from_config` other than that of Keras' own Lambda, which runs code."""
    own = inspect.getattr_static(given, "from_config", None)
    return own is not None and not any(
        own is inspect.getattr_static(each.layers.Lambda, "from_config") for each in frameworks()
    )


# --- names -------------------------------------------------------------------------------


def refuse_strangers(config: Any, custom: Mapping[str, Any], file_name: str) -> None:
    """Refuse classes in a file that are neither Keras' nor given by the caller.

    Raises:
        ModelError: It names something else; says what.
    """
    for part in parts_of(config):
        module, kind = part.get("module"), part.get("class_name")
        if not isinstance(module, str) or kind is None:
            continue
        name = part.get("config") if kind == "function" else kind
        registered = str(part.get("registered_name") or "")
        package = module.partition(".")[0]
        known = package in _OUR_MODULES
        if package == "builtins" and kind == "function":
            known, registered = _is_built_in(str(name)), str(name)
        given = str(name) in custom or _bare(registered) in custom or registered in custom
        if not (known or given or _is_registered(registered)):
            bare, what = _bare(str(name)), "function" if kind == "function" else "class"
            raise ModelError(
                f"{file_name} needs the {what} {bare}"
                f"{'' if package == 'builtins' else f' of {module}'}, which is not part of Keras: "
                "import the package that registers it, or pass "
                f"custom_objects={{{bare!r}: {bare}}}"
            )


def _bare(name: str) -> str:
    return name.rpartition(">")[2]


def _is_built_in(name: str) -> bool:
    """Whether Keras has a layer function of that name; no other builtin is looked up."""
    return any(inspect.isfunction(getattr(getattr(keras, each), name, None)) for each in _BUILT_IN)


def _is_registered(name: str) -> bool:
    """Whether the caller has registered it with Keras by a decorator."""
    return any(each.saving.get_registered_object(name) is not None for each in frameworks())


def with_registered_names(config: Any, custom: Mapping[str, Any]) -> dict[str, Any]:
    """Custom objects also under the names under which the file has them registered."""
    found = dict(custom)
    for part in parts_of(config):
        for name in (part.get("registered_name"), part.get("config"), part.get("class_name")):
            if isinstance(name, str) and ">" in name and _bare(name) in custom:
                found.setdefault(name, custom[_bare(name)])
    return found


def missing_classes(config: Any, custom: Mapping[str, Any]) -> list[str]:
    """Layer classes that no Keras at hand knows and the caller does not give."""
    found = []
    for part in parts_of(config):
        kind, inner = str(part.get("class_name")), part.get("config")
        if not isinstance(inner, Mapping) or "name" not in inner or kind in found:
            continue
        known = any(
            hasattr(module, kind)
            for each in frameworks()
            for module in (each, each.layers, each.models)
        )
        named = kind in custom or _bare(kind) in custom or _is_registered(kind)
        registered = str(part.get("registered_name") or "")
        named = named or _bare(registered) in custom or _is_registered(registered)
        if not (known or named or kind in ("Functional", "Policy", "DTypePolicy", "function")):
            found.append(kind)
    return [_bare(name) for name in found]


def of_another_framework(config: Any, custom: Mapping[str, Any], framework: Any) -> str | None:
    """Name of a layer class in a file that is given for another Keras, or None."""
    layer_classes = [each.layers.Layer for each in frameworks()]
    used = {_bare(str(part.get("class_name"))) for part in parts_of(config)}
    for name, value in custom.items():
        if isinstance(value, type) and _bare(name) in used:
            bases = [each for each in layer_classes if issubclass(value, each)]
            if bases and framework.layers.Layer not in bases:
                return _bare(name)
    return None


def first_line(failure: Exception) -> str:
    """First line of an exception's message."""
    text = re.sub(r"\x1b\[\d*m|\{\{[^}]*\}\} ?", "", str(failure))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].startswith("Exception encountered when calling"):
        lines = lines[1:]
    return lines[0] if lines else type(failure).__name__


def cannot_be_read(
    path: Path | str, config: Any, custom: Mapping[str, Any], failure: Exception
) -> str:
    """Explain why a file could not be read, as far as that is known."""
    missing = missing_classes(config, custom)
    if missing:
        given = ", ".join(f"{name!r}: {name}" for name in missing)
        what = f"the class {missing[0]}" if len(missing) == 1 else f"classes {', '.join(missing)}"
        return f"{path} needs {what}, not part of Keras: pass custom_objects={{{given}}}"
    return f"{path} cannot be read: {first_line(failure)}"


_LABELS = "labels.txt"
# By a model that was read here. Its names go with it, and nothing is written onto it.
_NAMES_OF_MODELS: weakref.WeakKeyDictionary[Any, tuple[str, ...]] = weakref.WeakKeyDictionary()


def read_labels(text: bytes) -> tuple[str, ...]:
    """The names in a `labels.txt`, one a line, in the order of the model's outputs.

    Lines such as "0 Class 1" begin with the index of the class, which is taken off where each
    line has its own.
    """
    lines = [line.strip() for line in text.decode("utf-8-sig", "replace").splitlines()]
    lines = [line for line in lines if line]
    numbered = [re.fullmatch(r"(\d+)[\s:,]\s*(.+)", line) for line in lines]
    found = [match for match in numbered if match is not None]
    indices = [int(match[1]) for match in found]
    if len(found) == len(lines) and sorted(indices) == list(range(len(lines))):
        return tuple(match[2] for match in sorted(found, key=lambda each: int(each[1])))
    return tuple(lines)


def labels_beside(path: Path) -> tuple[str, ...]:
    """The names in the `labels.txt` beside a file, or none."""
    labels = path.parent / _LABELS
    return read_labels(labels.read_bytes()) if labels.is_file() else ()


def note_class_names(model: Any, names: tuple[str, ...]) -> None:
    """Remember the class names that came with a model, without touching it."""
    shapes = [tuple(each.shape) for each in getattr(model, "outputs", None) or ()]
    if names and shapes == [(*shapes[0][:1], len(names))]:
        _NAMES_OF_MODELS[model] = names


def class_names_of(model: Any) -> tuple[str, ...] | None:
    """The class names that came with a model in its file's folder, as `labels.txt`.

    `explore` and `Session` take them where no `class_names` are given.

    Args:
        model: From `load_model`.

    Returns:
        One per output, or None where none came with it.
    """
    try:
        return _NAMES_OF_MODELS.get(model)
    except TypeError:  # not a model: nothing that can be looked up
        return None


CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_MODEL_FILES = (".keras", ".h5", ".hdf5")
_TEACHABLE = "keras_model.h5"  # what Teachable Machine calls a model
_SUFFIXES = {"zip": (".keras",), "hdf5": (".h5", ".hdf5"), "folder": ("",), "saved_model": ("",)}


@dataclass(frozen=True)
class Stored:
    """A model file or folder with its format and configuration.

    Attributes:
        path: Where it lies; in a folder or an archive of several files the model's own.
        name: How to call it in a message.
        kind: "zip" and "folder" (unzipped) of the `.keras` format, "hdf5", or "saved_model".
        config: Of the model; empty for weights alone.
        keras_version: 1, 2 or 3.
        class_names: Out of a `labels.txt` beside it.
    """

    path: Path
    name: str
    kind: str
    config: Mapping[str, Any]
    keras_version: int
    class_names: tuple[str, ...] = ()

    @property
    def is_weights_alone(self) -> bool:
        """Whether no model is described, only what its variables hold."""
        return not self.config and self.kind != "saved_model"


def look_into(path: Path, folder: Path) -> Stored:
    """Detect what a file or folder holds, by its content.

    Args:
        path: Of a file, a folder, or an archive with a model in it.
        folder: Temporary; what has to be unpacked goes there.

    Raises:
        FileNotFoundError: There is nothing.
        ModelError: No model, or not a whole one; says what it is instead, where that is known.
    """
    if path.with_name(f"{path.name}.index").exists() or path.suffix == ".index":
        raise ModelError(
            f"{path.name} is a checkpoint of TensorFlow, which holds weights without a model: "
            "build the model with tf_keras, and call its load_weights"
        )
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    if path.is_dir():
        return _folder(path, folder)
    try:
        if zipfile.is_zipfile(path):
            return _archive(path, folder)
        if path.name.endswith(".weights.json"):
            return Stored(path, path.name, "hdf5", {}, 3)
        if not h5py.is_hdf5(path):
            raise ModelError(f"{path.name} is {_what_else(path)}")
        stored = _hdf5(path)
        return replace(stored, class_names=labels_beside(path))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as failure:
        if isinstance(failure, ModelError):
            raise
        raise ModelError(
            f"{path.name} is no whole .keras or .h5 file of a Keras model ({failure})"
        ) from failure


def _hdf5(path: Path) -> Stored:
    with h5py.File(path) as file:
        version = file.attrs.get("keras_version")
        if version is None and "model_weights" in file:
            version = file["model_weights"].attrs.get("keras_version")
        if "model_config" not in file.attrs:
            return Stored(path, path.name, "hdf5", {}, _major(version or "3"))
        config = json.loads(file.attrs["model_config"])
        return Stored(path, path.name, "hdf5", config, _major(version or _guessed(config)))


def _guessed(config: Any) -> str:
    """The Keras of a file that does not say it: Keras 1 had other names for arguments."""
    text = json.dumps(config)
    return "1" if any(f'"{name}":' in text for name in ("nb_filter", "border_mode")) else "2"


def _archive(path: Path, folder: Path) -> Stored:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if METADATA in names and CONFIG in names:
            stored = _described(archive.read(METADATA), archive.read(CONFIG), path, "zip")
            return replace(stored, class_names=labels_beside(path))
        inside = [name for name in names if name.lower().endswith(_MODEL_FILES)]
        inside = [name for name in inside if Path(name).name == _TEACHABLE] or inside
        if len(inside) != 1:
            raise ModelError(
                f"{path.name} is no whole .keras file, but an archive with "
                f"{_listed(names) if names else 'nothing in it'}: unpack it, and give the model"
            )
        model = folder / Path(inside[0]).name  # never a path that the archive chooses
        with archive.open(inside[0]) as source, model.open("wb") as target:
            shutil.copyfileobj(source, target)
        labels = [name for name in names if Path(name).name == "labels.txt"]
        texts = read_labels(archive.read(labels[0])) if len(labels) == 1 else ()
    return replace(look_into(model, folder), name=path.name, class_names=texts)


def _described(metadata: bytes, text: bytes, path: Path, kind: str) -> Stored:
    config = json.loads(text, object_hook=_moved)
    config.pop("compile_config", None)  # the loss and such, which are left out
    return Stored(path, path.name, kind, config, _major(json.loads(metadata)["keras_version"]))


def _moved(part: dict[str, Any]) -> dict[str, Any]:
    """Part of a configuration with the module of Keras 2.12 under its name of today."""
    if str(part.get("module")).startswith("keras.engine."):
        part["module"] = part["module"].replace("keras.engine.", "keras.src.engine.", 1)
    return part


def _folder(path: Path, folder: Path) -> Stored:
    names = sorted(each.name for each in path.iterdir())
    if CONFIG in names and METADATA in names:
        try:
            texts = (path / METADATA).read_bytes(), (path / CONFIG).read_bytes()
            stored = _described(*texts, path, "folder")
        except (KeyError, ValueError) as failure:
            raise ModelError(f"{path} is no whole unzipped .keras file ({failure})") from failure
        if WEIGHTS not in names:
            raise ModelError(f"{path} is an unzipped .keras file without its {WEIGHTS}")
        return stored
    if "saved_model.pb" in names:
        return Stored(path, path.name, "saved_model", {}, 2, labels_beside(path / "saved_model.pb"))
    models = [name for name in names if name.lower().endswith(_MODEL_FILES)]
    models = [_TEACHABLE] if _TEACHABLE in models else models
    if len(models) == 1:
        return look_into(path / models[0], folder)
    raise ModelError(
        f"{path} is a folder with {_listed(names) if names else 'nothing in it'}: give one with "
        "one .keras or .h5 file in it, an unzipped .keras file, or a SavedModel"
    )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _what_else(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(512)
    if start.startswith(b"version https://git-lfs"):
        return (
            "a pointer of Git LFS, not the model itself: run git lfs pull, or download the file "
            "from its page"
        )
    if start.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "a web page, not a model: download the file itself"
    if start[4:8] == b"TFL3":
        return "a TensorFlow Lite model, which has no layers to show: give the Keras model"
    if start.lstrip().startswith(b"{"):
        return (
            "JSON, which may describe a model but holds no weights: build it with "
            "keras.models.model_from_json, and pass it as model= with the file of its weights"
        )
    return "no whole .keras or .h5 file of a Keras model"


def _major(version: Any) -> int:
    text = version.decode() if isinstance(version, bytes) else str(version)
    return int(text.partition(".")[0])


# --- copies that a framework reads -------------------------------------------------------


def named_rightly(stored: Stored, folder: Path) -> Path:
    """Link a file under the suffix that its content asks for: Keras goes by the suffix."""
    return linked(stored.path, _SUFFIXES[stored.kind], folder)


def linked(path: Path, suffixes: tuple[str, ...], folder: Path) -> Path:
    """Link a file under the first of some suffixes, where it has none of them."""
    if path.name.endswith(suffixes):
        return path
    target = folder / f"named{suffixes[0]}"
    if not target.exists():
        try:
            target.symlink_to(path.resolve())
        except OSError:  # as on Windows without the right to
            shutil.copyfile(path, target)
    return target


def with_config(stored: Stored, config: Mapping[str, Any], folder: Path) -> Stored:
    """Copy a file with another configuration and the same weights."""
    if stored.kind == "hdf5":
        target = folder / "described.h5"
        shutil.copyfile(stored.path, target)
        with h5py.File(target, "r+") as file:
            file.attrs["model_config"] = json.dumps(config)
    else:
        target = folder / "described.keras"
        _write_zip(stored, target, {CONFIG: json.dumps(config).encode()})
    kind = "hdf5" if stored.kind == "hdf5" else "zip"
    return replace(stored, path=target, kind=kind, config=config)


def with_weights(stored: Stored, weights: Path, folder: Path) -> Path:
    """Copy a zipped `.keras` file with other weights."""
    target = folder / "weighted.keras"
    _write_zip(stored, target, {WEIGHTS: weights.read_bytes()})
    return target


def _write_zip(stored: Stored, target: Path, changed: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(target, "w") as new:
        if stored.kind == "zip":
            with zipfile.ZipFile(stored.path) as old:
                for name in old.namelist():
                    if not name.endswith("/"):
                        new.writestr(name, changed.get(name) or old.read(name))
        else:
            for each in sorted(stored.path.rglob("*")):
                if each.is_file():
                    name = each.relative_to(stored.path).as_posix()
                    new.writestr(name, changed.get(name) or each.read_bytes())


def weights_file(stored: Stored, folder: Path) -> Path:
    """Path of the HDF5 weights, unpacked where they are packed."""
    if stored.kind == "hdf5":
        return named_rightly(stored, folder)
    if stored.kind == "folder":
        return stored.path / WEIGHTS
    with zipfile.ZipFile(stored.path) as archive:
        return Path(archive.extract(WEIGHTS, folder))
