"""Model files and folders by what is in them, whatever they are called."""

import json
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py

from actwidgets.errors import ModelError
from actwidgets.probe.labels_file import labels_beside, read_labels

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_MODEL_FILES = (".keras", ".h5", ".hdf5")
_TEACHABLE = "keras_model.h5"  # what Teachable Machine calls a model
_SUFFIXES = {"zip": (".keras",), "hdf5": (".h5", ".hdf5"), "folder": ("",), "saved_model": ("",)}


@dataclass(frozen=True)
class Stored:
    """A model in a file or a folder, and what it says of itself.

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
    """Find out what a file or folder holds, by its content.

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
    config = json.loads(text)
    config.pop("compile_config", None)  # the loss and such, which are left out
    config = _moved(config)
    return Stored(path, path.name, kind, config, _major(json.loads(metadata)["keras_version"]))


def _moved(config: Any) -> Any:
    """A configuration with the modules of Keras 2.12, which have moved since."""
    if isinstance(config, list):
        return [_moved(each) for each in config]
    if not isinstance(config, Mapping):
        return config
    found = {name: _moved(each) for name, each in config.items()}
    if str(found.get("module")).startswith("keras.engine."):
        found["module"] = found["module"].replace("keras.engine.", "keras.src.engine.", 1)
    return found


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
    """The file under a name that ends as its content asks for: Keras goes by the ending."""
    suffixes = _SUFFIXES[stored.kind]
    if stored.path.name.endswith(suffixes):
        return stored.path
    target = folder / f"named{suffixes[0]}"
    if not target.exists():
        try:
            target.symlink_to(stored.path.resolve())
        except OSError:  # as on Windows without the right to
            shutil.copyfile(stored.path, target)
    return target


def with_config(stored: Stored, config: Mapping[str, Any], folder: Path) -> Stored:
    """A copy of the same weights with another description of the model."""
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
    """A zipped `.keras` file with other weights."""
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
    """The HDF5 file with the weights, unpacked where they are packed."""
    if stored.kind == "hdf5":
        return named_rightly(stored, folder)
    if stored.kind == "folder":
        return stored.path / WEIGHTS
    with zipfile.ZipFile(stored.path) as archive:
        return Path(archive.extract(WEIGHTS, folder))
