"""The samples of a recording: pixels that were scaled to 0..1 take a byte each."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from actwidgets.core import batches, npz_files
from actwidgets.core.arrays import Array, Floats, Integers

NAME = "samples.npz"
KIND = npz_files.Kind(
    format="actwidgets recorded samples",
    version=1,
    what="the samples of a recording",
    hint="it belongs to a recording made with Recorder",
)
SCALED = "float32 = uint8 / 255"


def write(folder: Path, x: Any, labels: Integers | None, targets: Floats | None = None) -> None:
    """Keep samples, and labels or targets.

    Args:
        folder: Of the recording.
        x: An array, or a list or dict of arrays.
        labels: `(sample,)` class indices, or None.
        targets: `(sample, output)` of a regression, or None.

    Raises:
        DataError: They cannot be written.
    """
    known = {"y": labels, "targets": targets}
    arrays: dict[str, Array] = {name: each for name, each in known.items() if each is not None}
    scales = []
    for place, part in enumerate(batches.parts(x)):
        arrays[f"x{place}"], scale = _packed(_plain(part))
        scales.append(scale)
    names = list(x) if isinstance(x, dict) else None
    header = {"names": names, "scales": scales, "is_list": isinstance(x, list | tuple)}
    npz_files.write(folder / NAME, KIND, header, arrays)


def read(folder: Path) -> tuple[Any, Integers | None, Floats | None]:
    """The samples in the structure in which they were given, the labels, and the targets.

    Raises:
        DataError: The file is missing, damaged or of something else.
    """
    with npz_files.opened(folder / NAME, KIND) as (header, arrays):
        parts = [
            _unpacked(arrays[f"x{place}"], scale) for place, scale in enumerate(header["scales"])
        ]
        labels, targets = arrays.get("y"), arrays.get("targets")
        names, is_list = header["names"], header["is_list"]
    if names is not None:
        return dict(zip(names, parts, strict=True)), labels, targets
    return parts if is_list else parts[0], labels, targets


def digest(x: Any, labels: Integers | None, targets: Floats | None = None) -> str:
    """A text that differs between different samples, labels or targets."""
    found = hashlib.sha256()
    for part in [*batches.parts(x), *(each for each in (labels, targets) if each is not None)]:
        values = np.ascontiguousarray(_plain(part))
        found.update(f"{values.dtype}{values.shape}".encode())
        found.update(values.tobytes())
    return found.hexdigest()


def _plain(part: Any) -> Array:
    """Text as text rather than as objects, which no file here holds."""
    values = np.asarray(part)
    return values.astype(str) if values.dtype == object else values


def _packed(values: Array) -> tuple[Array, str | None]:
    """Bytes and how they are scaled where that is exact, else the values themselves."""
    if values.dtype != np.float32 or not values.size:
        return values, None
    with np.errstate(invalid="ignore"):  # NaN is not equal below
        codes = np.clip(np.rint(values * 255), 0, 255).astype(np.uint8)
    exact = np.array_equal(_unpacked(codes, SCALED).view(np.uint32), values.view(np.uint32))
    return (codes, SCALED) if exact else (values, None)


def _unpacked(values: Array, scale: str | None) -> Array:
    return values.astype(np.float32) / np.float32(255) if scale == SCALED else values
