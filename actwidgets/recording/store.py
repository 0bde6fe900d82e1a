"""What the folder of a recording holds: samples, metrics, and snapshots with a cache."""

import hashlib
import json
import math
import operator
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from actwidgets.core import batches, files
from actwidgets.core.accumulators import SampleSummary
from actwidgets.core.arrays import Array, Doubles, Floats, Integers
from actwidgets.core.class_profiles import ClassProfiles
from actwidgets.core.histograms import Histogram
from actwidgets.core.layers import LayerInfo
from actwidgets.errors import DataError, LayerError
from actwidgets.recording import snapshot
from actwidgets.recording.snapshot import LayerSnapshot, Manifest, Snapshot, SnapshotInfo
from actwidgets.training.events import EpochCount, TrainingMoment


class TrainingProgress(EpochCount):
    """Counts seconds beside epochs and steps, and knows the last step of a `fit`.

    Args:
        epoch: Epochs trained before.
        step: Steps trained before.
        seconds: Time taken before.

    Attributes:
        stride: Steps done at a time; the last of an epoch may be fewer. None until one is done.
    """

    def __init__(self, epoch: float = 0, step: int = 0, seconds: float = 0) -> None:
        super().__init__(epoch, step)
        self.stride: int | None = None
        self._seconds, self._since = seconds, float("nan")

    @property
    def seconds(self) -> float:
        """Time taken, pauses between calls of `fit` left out."""
        running = not math.isnan(self._since)
        return self._seconds + (time.monotonic() - self._since if running else 0)

    def run(self) -> None:
        """The time from now on counts."""
        if math.isnan(self._since):
            self._since = time.monotonic()

    def pause(self) -> None:
        """The time until the next `begin` does not count."""
        self._seconds, self._since = self.seconds, float("nan")

    def begin(self, moment: TrainingMoment) -> None:
        """Another `fit` begins; the one before may have been interrupted."""
        super().begin(moment)
        self.pause()
        self.run()
        self.stride = None

    def is_last_step(self, moment: TrainingMoment) -> bool:
        """Whether the step that begins is the last of this `fit`, as far as anybody knows."""
        if not (moment.n_epochs and self.steps_of_epoch and self.stride):
            return False
        left = self.steps_of_epoch - moment.step_of_epoch
        return moment.epoch + 1 >= moment.n_epochs and self.stride >= left

    def after_step(self, moment: TrainingMoment) -> TrainingMoment:
        """A step, or several at a time, are complete."""
        before = self.step
        now = super().after_step(moment)
        self.stride = max(self.step - before, self.stride or 1)
        return now

    def advance(self, epoch: float | None) -> None:
        """In a training loop of somebody's own: to that epoch, or to the next."""
        self.epoch = float(self.epoch + 1 if epoch is None else epoch)


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
    files.write_npz(folder / SAMPLES_NAME, SAMPLES_KIND, header, arrays)


def read_samples(folder: Path) -> tuple[Any, Integers | None, Floats | None]:
    """The samples in the structure in which they were given, the labels, and the targets.

    Raises:
        DataError: The file is missing, damaged or of something else.
    """
    with files.open_npz(folder / SAMPLES_NAME, SAMPLES_KIND) as (header, arrays):
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
    """Adds lines to the history of a recording.

    Args:
        folder: Of the recording.
    """

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
            found = {
                str(name): (float(entry[at]), float(value))
                for name, value in entry["metrics"].items()
            }
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
        for name, point in found.items():
            curves.setdefault(name, []).append(point)
    return History(_curves(epochs), _curves(steps))


def _curves(points: Mapping[str, list[tuple[float, float]]]) -> Curves:
    return {
        name: (np.array([x for x, _ in each]), np.array([y for _, y in each]))
        for name, each in points.items()
    }


KEPT_BYTES = 128 * 2**20  # of snapshots in memory, about; one is kept in any case
File = tuple[str, int, int]  # name, bytes, time of the last change


class SnapshotCache:
    """What is in a folder is what there is; it is looked at when it is made, and by `refresh`.

    Args:
        folder: Of the recording.
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

    def refresh(self) -> bool:
        """Look again; whether anything has changed. New files are read once."""
        with self.lock:
            found: dict[File, SnapshotInfo | str] = {}
            for file in self._files():
                found[file] = self._looked_at.get(file) or self._look_at(file[0])
            if found.keys() == self._looked_at.keys():
                return False
            for name, *_ in self._looked_at.keys() - found.keys():
                self._kept.pop(name, None)
            self._looked_at = found
            infos = [each for each in found.values() if isinstance(each, SnapshotInfo)]
            self.infos = tuple(sorted(infos, key=lambda info: info.index))
            self.refused = {
                name: each for (name, *_), each in sorted(found.items()) if isinstance(each, str)
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
            found = self._kept.pop(file, None)
            self._kept[file] = found or snapshot.read_snapshot(self._folder, file)
            if found is None:
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


@dataclass(frozen=True, eq=False)
class WeightNumbers:
    """How the weights of a layer went: arrays with a value per snapshot, NaN where none is.

    Attributes:
        epoch: Of the snapshots, float64.
        norm: Of all weights of the layer as one vector.
        update_ratio: The norm of what one step added to them, over `norm`.
        gradient_norm: Of the loss by its trainable weights.
        n_dead: int64, units above 0 on none of the recorded samples.
    """

    epoch: Doubles
    norm: Doubles
    update_ratio: Doubles
    gradient_norm: Doubles
    n_dead: Integers

    @classmethod
    def of(cls, layer: str, snapshots: Sequence[SnapshotInfo]) -> "WeightNumbers":
        """Those of a layer that all these snapshots are of."""
        each = [info.numbers[layer] for info in snapshots]
        return cls(
            epoch=np.array([info.epoch for info in snapshots]),
            norm=np.array([one.norm for one in each]),
            update_ratio=np.array([one.update_ratio for one in each]),
            gradient_norm=np.array([one.gradient_norm for one in each]),
            n_dead=np.array([one.n_dead for one in each], np.int64),
        )


class StoredSnapshots:
    """The values of a `Recording`: read when they are asked for, and a few are kept.

    `at` is a place in `snapshots` everywhere, counted from the end where negative.

    Args:
        path: The folder.

    Raises:
        DataError: It holds no recording, or one that cannot be read; says why.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.manifest = snapshot.read_manifest(self.path)
        self._layers = {info.name: info for info in self.manifest.recorded_layers}
        self._shelf = SnapshotCache(self.path, self.manifest)

    # --- which there are -----------------------------------------------------------------

    @property
    def layers(self) -> tuple[LayerInfo, ...]:
        """The layers that are recorded, in the model's order."""
        return tuple(self._layers.values())

    @property
    def snapshots(self) -> tuple[SnapshotInfo, ...]:
        """Which moments there are, from the earliest on."""
        return self._shelf.infos

    def refresh(self) -> bool:
        """Look which snapshots there are now; those that cannot be read are in `refused`.

        Returns:
            Whether anything has changed.

        Cost: new files are read once, so that damage is found.
        """
        return self._shelf.refresh()

    def still(self) -> AbstractContextManager[Any]:
        """A time in which `snapshots` stays as it is."""
        return self._shelf.lock

    @property
    def refused(self) -> Mapping[str, str]:
        """Files of snapshots that cannot be read, and why, in a sentence each."""
        return self._shelf.refused

    def nearest(self, epoch: float) -> int:
        """The place in `snapshots` of the one nearest to an epoch.

        Raises:
            DataError: There is no snapshot yet.
        """
        self._shelf.info(0)
        epochs = np.array([info.epoch for info in self.snapshots])
        return int(np.argmin(abs(epochs - epoch)))

    # --- what a snapshot holds -----------------------------------------------------------

    def activations(self, layer: str, at: int = -1, rows: Sequence[int] | None = None) -> Floats:
        """Whole outputs of a layer, as far as `activation_error` exact.

        Args:
            layer: One that is recorded.
            at: Which snapshot.
            rows: Samples; by default all whose maps are kept.

        Returns:
            `(sample, …, unit)` float32.

        Raises:
            LayerError: The layer is not recorded.
            DataError: There is no such snapshot, or no maps of such a sample.
        """
        values = self._layer(layer, at).maps.values
        if len(self._layers[layer].output_shape) == 1:
            values = values[:, 0]
        if rows is None:
            return values
        known = [operator.index(row) for row in rows]
        unknown = [row for row in known if not 0 <= row < len(values)]
        if unknown:
            kept = f"samples 0 to {len(values) - 1}" if len(values) else "no samples"
            raise DataError(f"maps were kept of {kept}; sample {unknown[0]} has none")
        return values[known]

    def activation_error(self, layer: str, at: int = -1) -> Floats:
        """The largest that `activations` may be off: `(unit,)` float32."""
        return self._layer(layer, at).maps.error

    def summaries(self, layer: str, at: int = -1) -> SampleSummary:
        """What a layer puts out for each recorded sample; off by `summary_error` at most."""
        return self._layer(layer, at).summary

    def summary_error(self, layer: str, at: int = -1) -> Mapping[str, Floats]:
        """The largest that `high`, `mean` and `low` of `summaries` may be off, by unit."""
        found = self._layer(layer, at)
        return {name: getattr(found, name).error for name in ("high", "mean", "low")}

    def predictions(self, at: int = -1) -> Floats:
        """The model's output for each recorded sample: `(sample, class)` float32, exact.

        Raises:
            DataError: There is no such snapshot, or the model's output is no vector.
        """
        found = self._shelf.snapshot(at).predictions
        if found is None:
            raise DataError("the model's output is not one vector per sample: none is recorded")
        return found

    def profiles(self, at: int = -1) -> ClassProfiles:
        """How the classes differ to the units, at threshold 0; exact.

        Raises:
            DataError: There is no such snapshot, or the samples have no labels.
        """
        found = self._shelf.snapshot(at).profiles
        if found is None:
            raise DataError("there are no class profiles: this recording has no labels (y)")
        return found

    def weight_histograms(self, layer: str, at: int = -1) -> Mapping[str, Histogram]:
        """How the weights of a layer are spread, by name of the weight."""
        return self._layer(layer, at).weight_histograms

    def activation_histogram(self, layer: str, at: int = -1) -> Histogram:
        """How all values of a layer are spread, at all positions.

        Over the first samples that have a million values between them, or over all; its
        `n_values` tells how many.
        """
        return self._layer(layer, at).histogram

    def kernels(self, layer: str, at: int = -1) -> Array:
        """Weights `(row, column, in_channel, out_channel)` float32, in 253 steps per output.

        Raises:
            LayerError: The layer is not recorded, or its kernels are not.
        """
        found = self._layer(layer, at).kernels
        if found is None:
            kind = self._layers[layer].kind
            raise LayerError(
                f"no kernels of layer {layer!r} are recorded: it is of type {kind}, without any, "
                "or with more than 100,000 values"
            )
        return found.values

    def weight_numbers(self, layer: str) -> WeightNumbers:
        """How the weights of a layer went, over the snapshots; no file is read for it.

        Raises:
            LayerError: The layer is not recorded.
        """
        self._require(layer)
        return WeightNumbers.of(layer, self.snapshots)

    def _require(self, layer: str) -> None:
        if layer not in self._layers:
            raise LayerError(
                f"layer {layer!r} is not recorded; recorded are {', '.join(self._layers)}"
            )

    def _layer(self, layer: str, at: int) -> LayerSnapshot:
        self._require(layer)
        return self._shelf.snapshot(at).layers[layer]
