"""Files in the folder of a recording: samples and their lookup, history, LRU of snapshots."""

import hashlib
import json
import os
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from actwidgets.core import batches, files
from actwidgets.core.arrays import Array, Doubles, Floats, Integers
from actwidgets.errors import DataError, NotRecordedError, ShapeError
from actwidgets.recording import snapshot
from actwidgets.recording.snapshot import Manifest, Snapshot, SnapshotInfo

SAMPLES_NAME = "samples.npz"
SAMPLES_KIND = files.Kind(
    format="actwidgets recorded samples",
    version=1,
    what="the samples of a recording",
    hint="it belongs to a recording made with Recorder",
)
SCALED = "float32 = uint8 / 255"


def write_samples(
    folder: Path, x: Any, labels: Integers | None, targets: Floats | None = None
) -> None:
    """Keep samples, and labels or targets.

    Args:
        x: An array, or a list or dict of arrays.
        labels: `(sample,)` class indices, or None.
        targets: `(sample, output)` of a regression, or None.

    Raises:
        DataError: They cannot be written.
    """
    known = {"y": labels, "targets": targets}
    arrays: dict[str, Array] = {name: each for name, each in known.items() if each is not None}
    scales = []
    for index, part in enumerate(batches.parts(x)):
        arrays[f"x{index}"], scale = _packed(_plain(part))
        scales.append(scale)
    names = list(x) if isinstance(x, dict) else None
    header = {"names": names, "scales": scales, "is_list": isinstance(x, list | tuple)}
    files.write_npz(folder / SAMPLES_NAME, SAMPLES_KIND, header, arrays)


def read_samples(folder: Path) -> tuple[Any, Integers | None, Floats | None]:
    """The samples in the structure in which they were given, the labels, and the targets.

    Raises:
        DataError: The file is missing, damaged or of something else.
    """
    with files.open_npz(folder / SAMPLES_NAME, SAMPLES_KIND) as (header, arrays):
        parts = [
            _unpacked(arrays[f"x{index}"], scale) for index, scale in enumerate(header["scales"])
        ]
        labels, targets = arrays.get("y"), arrays.get("targets")
        names, is_list = header["names"], header["is_list"]
    if names is not None:
        return dict(zip(names, parts, strict=True)), labels, targets
    return parts if is_list else parts[0], labels, targets


def digest(x: Any, labels: Integers | None, targets: Floats | None = None) -> str:
    """SHA-256 of samples, labels and targets."""
    sha = hashlib.sha256()
    for part in [*batches.parts(x), *(each for each in (labels, targets) if each is not None)]:
        values = np.ascontiguousarray(_plain(part))
        sha.update(f"{values.dtype}{values.shape}".encode())
        sha.update(values.tobytes())
    return sha.hexdigest()


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


HISTORY_NAME = "history.jsonl"
LINES_BEFORE_THINNING = 512  # so many steps are told one by one; of the next every second, …
Curves = Mapping[str, tuple[Doubles, Doubles]]


@dataclass(frozen=True, eq=False)
class History:
    """Curves of a training.

    Attributes:
        by_epoch: By metric `(epochs, values)`, float64: epochs that are complete.
        by_step: By metric `(steps, values)`, float64: steps counted over all calls of `fit`;
            values are means over the epoch so far, as Keras has them.
    """

    by_epoch: Curves
    by_step: Curves


class HistoryFile:
    """Adds lines to the history of a recording."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / HISTORY_NAME
        self._n_lines = 0
        self._due_at = 0

    def add_epoch(self, epoch: float, step: int, metrics: Mapping[str, float]) -> None:
        """Add what an epoch has come to.

        Raises:
            OSError: A full disk; what was there is still there.
        """
        self._add({"epoch": epoch, "step": step, "metrics": dict(metrics)})

    def add_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add what a step has come to, or leave it out: the longer the run, the more.

        Raises:
            OSError: A full disk; what was there is still there.
        """
        if step < self._due_at or not metrics:
            return
        self._n_lines += 1
        self._due_at = step + 2 ** (self._n_lines // LINES_BEFORE_THINNING)
        self._add({"step": step, "metrics": dict(metrics)})

    def _add(self, entry: Mapping[str, Any]) -> None:
        with self._path.open("a+b") as file:
            end = file.seek(0, os.SEEK_END)
            if end:
                file.seek(end - 1)
            gap = b"" if not end or file.read(1) == b"\n" else b"\n"  # a line was cut off
            file.write(gap + json.dumps(entry).encode() + b"\n")


def read_history(folder: Path) -> History:
    """The history of a recording; lines that were cut off are left out."""
    try:
        lines = (folder / HISTORY_NAME).read_bytes().splitlines()
    except FileNotFoundError:
        lines = []
    epochs: dict[str, list[tuple[float, float]]] = {}
    steps: dict[str, list[tuple[float, float]]] = {}
    for line in lines:
        try:
            entry = json.loads(line)
            curves, at = (epochs, "epoch") if "epoch" in entry else (steps, "step")
            points = {
                str(name): (float(entry[at]), float(value))
                for name, value in entry["metrics"].items()
            }
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
        for name, point in points.items():
            curves.setdefault(name, []).append(point)
    return History(_curves(epochs), _curves(steps))


def _curves(points: Mapping[str, list[tuple[float, float]]]) -> Curves:
    return {
        name: (np.array([x for x, _ in curve]), np.array([y for _, y in curve]))
        for name, curve in points.items()
    }


KEPT_BYTES = 128 * 2**20  # of snapshots in memory, about; one is kept in any case
File = tuple[str, int, int]  # name, bytes, time of the last change


class SnapshotCache:
    """Snapshots of a folder, the directory being the truth, with an LRU cache of those decoded.

    Args:
        manifest: Its manifest; snapshots of other recordings are refused.

    Attributes:
        infos: Which moments there are, from the earliest on.
        refused: By name of the file, why it cannot be read.
        lock: Held while they change.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._folder, self._manifest = folder, manifest
        self.infos: tuple[SnapshotInfo, ...] = ()
        self.refused: Mapping[str, str] = {}
        self._looked_at: dict[File, SnapshotInfo | str] = {}
        self._kept: OrderedDict[str, Snapshot] = OrderedDict()
        self.lock = threading.RLock()
        self.refresh()

    def refresh(self, written: SnapshotInfo | None = None) -> bool:
        """Look again; whether anything has changed. New files are read once, but for `written`."""
        with self.lock:
            entries: dict[File, SnapshotInfo | str] = {}
            for file in self._files():
                is_known = written is not None and file[:2] == (written.file, written.n_bytes)
                new = written if is_known else None
                entries[file] = self._looked_at.get(file) or new or self._look_at(file[0])
            if entries.keys() == self._looked_at.keys():
                return False
            for name, *_ in self._looked_at.keys() - entries.keys():
                self._kept.pop(name, None)
            self._looked_at = entries
            infos = [each for each in entries.values() if isinstance(each, SnapshotInfo)]
            self.infos = tuple(sorted(infos, key=lambda info: info.index))
            self.refused = {
                name: each for (name, *_), each in sorted(entries.items()) if isinstance(each, str)
            }
            return True

    def info(self, at: int) -> SnapshotInfo:
        """Which moment is at a place, counted from the end where negative.

        Raises:
            DataError: There is none.
        """
        return _at(self.infos, at, self._folder)

    def snapshot(self, at: int) -> Snapshot:
        """What is kept of that moment.

        Raises:
            DataError: There is none, or its file is gone or was damaged meanwhile.
        """
        with self.lock:
            file = self.info(at).file
            cached = self._kept.pop(file, None)
            self._kept[file] = cached or snapshot.read_snapshot(self._folder, file)
            if cached is None:
                self._make_room()
            return self._kept[file]

    def _make_room(self) -> None:
        while len(self._kept) > 1 and sum(map(_n_bytes, self._kept.values())) > KEPT_BYTES:
            self._kept.popitem(last=False)

    def _files(self) -> list[File]:
        files = []
        for entry in os.scandir(self._folder):
            if snapshot.index_of(entry.name) is not None:
                try:
                    state = entry.stat()
                except FileNotFoundError:  # thinned meanwhile
                    continue
                files.append((entry.name, state.st_size, state.st_mtime_ns))
        return files

    def _look_at(self, name: str) -> SnapshotInfo | str:
        try:
            return snapshot.read_info(self._folder, name, self._manifest)
        except DataError as failure:
            return str(failure)


def _n_bytes(kept: Any) -> int:
    """What the arrays in a snapshot take in memory."""
    if isinstance(kept, np.ndarray):
        return kept.nbytes
    if isinstance(kept, Mapping):
        return sum(map(_n_bytes, kept.values()))
    return sum(map(_n_bytes, vars(kept).values())) if is_dataclass(kept) else 0


def _at(infos: tuple[SnapshotInfo, ...], at: int, folder: Path) -> SnapshotInfo:
    if not infos:
        raise DataError(f"the recording in {str(folder)!r} has no snapshot that can be read")
    if not -len(infos) <= at < len(infos):
        raise DataError(
            f"there is no snapshot {at}; this recording has {len(infos)}, 0 to {len(infos) - 1}"
        )
    return infos[at]


LOOKED_AT = 64  # values of a sample that tell it from most others; the rest is compared


class KnownSamples:
    """Looks up recorded samples by their values.

    Of samples that hold the same the first is meant: a model says the same of them.

    Args:
        x: The recorded samples: an array, or a list or dict of arrays.
    """

    def __init__(self, x: Any) -> None:
        self._parts = [_comparable(part) for part in batches.parts(x)]
        self._rows: dict[bytes, list[int]] = {}
        for row, key in enumerate(_keys(self._parts)):
            self._rows.setdefault(key, []).append(row)

    def rows_of(self, x: Any) -> Integers:
        """`(sample,)` int64: the recorded row of each sample of a batch.

        Raises:
            NotRecordedError: A sample that was not recorded, such as a perturbed one.
            ShapeError: Samples of another shape, or other inputs.

        Cost: one comparison of all bytes.
        """
        self.check(x)
        parts = [
            _comparable(part, known.dtype)
            for part, known in zip(batches.parts(x), self._parts, strict=True)
        ]
        rows = [self._row(key, parts, index) for index, key in enumerate(_keys(parts))]
        return np.array(rows, np.int64)

    def check(self, x: Any) -> None:
        """Refuse samples of another shape than the recorded ones.

        Raises:
            ShapeError: Another shape, or another number of inputs.
            DataError: Text in the place of numbers, or numbers in the place of text.
        """
        parts = batches.parts(x)
        if len(parts) != len(self._parts):
            raise ShapeError(
                f"this recording has {len(self._parts)} inputs; the samples have {len(parts)}"
            )
        for part, known in zip(map(np.asarray, parts), self._parts, strict=True):
            if part.shape[1:] != known.shape[1:]:
                raise ShapeError(
                    f"the recorded samples have shape {known.shape[1:]}; these {part.shape[1:]}"
                )
            if _is_text(part) != _is_text(known):
                kinds = [("text" if _is_text(each) else "numbers") for each in (known, part)]
                raise DataError(f"the recorded samples are {kinds[0]}; these are {kinds[1]}")

    def _row(self, key: bytes, parts: list[Array], index: int) -> int:
        for row in self._rows.get(key, ()):
            if all(
                _same(part[index], known[row])
                for part, known in zip(parts, self._parts, strict=True)
            ):
                return row
        raise NotRecordedError(
            "a recording knows only the samples that were recorded, as they were given: "
            "of another or a perturbed one only the model itself could tell"
        )


def _comparable(part: Any, dtype: Any = None) -> Array:
    values = np.asarray(part)
    if _is_text(values):
        return values.astype(np.str_)
    return values if dtype is None else values.astype(dtype, copy=False)


def _is_text(values: Array) -> bool:
    return values.dtype.kind in "OSU"


def _same(one: Array, other: Array) -> bool:
    return np.array_equal(one, other, equal_nan=one.dtype.kind in "fc")


def _keys(parts: list[Array]) -> list[bytes]:
    """For each sample some bytes of it."""
    keys = [b""] * len(parts[0])
    for part in parts:
        flat = part.reshape(len(part), -1)
        # A key of 64 evenly spread values; rows with the same key are compared whole.
        some = flat[:, :: max(1, flat.shape[1] // LOOKED_AT)]
        if some.dtype.kind in "fc":
            some = some + some.dtype.type(0)  # -0.0 equals 0.0, and so must its bytes
        if some.dtype.kind == "U":  # whose bytes depend on the longest of a batch
            keys = [
                key + "\0".join(each).encode()
                for key, each in zip(keys, some.tolist(), strict=True)
            ]
        else:
            some = np.ascontiguousarray(some)
            keys = [key + each.tobytes() for key, each in zip(keys, some, strict=True)]
    return keys
