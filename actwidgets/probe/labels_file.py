"""Class names in a `labels.txt` beside a model, as Teachable Machine writes it."""

import re
import weakref
from pathlib import Path
from typing import Any

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
