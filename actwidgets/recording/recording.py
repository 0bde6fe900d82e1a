"""A recording read back without the model: its data, and an LRU cache of its snapshots."""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from actwidgets.core import class_profiles, files
from actwidgets.core.accumulators import SampleSummary
from actwidgets.core.arrays import Array, Doubles, Floats, Integers, finite_range
from actwidgets.core.class_profiles import ClassProfiles
from actwidgets.core.confusion import Confusion
from actwidgets.core.files import Arrays
from actwidgets.core.histograms import METRICS as OF_HISTOGRAMS
from actwidgets.core.histograms import Histogram
from actwidgets.core.layers import LayerInfo
from actwidgets.core.output_kind import OutputKind, kind_by_values
from actwidgets.core.predictions import predicted_classes
from actwidgets.errors import (
    DataError,
    LayerError,
    require_integer,
    require_number,
    require_path,
)
from actwidgets.recording import snapshot, store
from actwidgets.recording.snapshot import KIND, LayerSnapshot, Manifest, Snapshot, SnapshotInfo
from actwidgets.recording.store import History

MOMENTS = 64  # that are looked at, evenly spread: 0.3 s
PAIRS_UP_TO = 10**8  # of values that are compared, over all of these


class CommonScales:
    """Color ranges common to all snapshots, each of which is read once.

    Of a recording with more than 64 snapshots over as many, evenly spread.
    """

    def __init__(self, recording: "RecordingData") -> None:
        self._recording = recording
        self._known: dict[Hashable, Any] = {}

    def distance(self, layer: str, statistic: str, metric: str) -> float | None:
        """The largest distance between two classes, at threshold 0; 1 where none can be larger.

        Args:
            statistic: As in `ClassProfiles.similarity`.
            metric: As there.

        Returns:
            None where it would take long, or where no snapshot can be read.
        """
        if metric in OF_HISTOGRAMS:
            return 1.0
        n_units = next(each.n_units for each in self._recording.layers if each.name == layer)
        n_classes = len(self._recording.class_names)
        if MOMENTS * n_classes**2 * (n_units or 0) > PAIRS_UP_TO:
            return None

        def largest(header: Mapping[str, Any], arrays: Arrays) -> float:
            matrix = _profiles(header, arrays, layer).similarity(layer, statistic, metric)
            return finite_range(matrix)[1]

        distances = self._over_moments(("distance", layer, statistic, metric), largest)
        return max(distances) if distances else None

    def confused(self, normalized: str, class_names: tuple[str, ...]) -> tuple[float, float] | None:
        """The largest cell of a confusion matrix on the diagonal, and the largest beside it.

        Args:
            normalized: As in `Confusion.normalized`.

        Returns:
            None where no snapshot can be read.
        """
        labels, output = self._recording.labels, self._recording.output
        if labels is None:
            return None
        rows = np.arange(len(labels))

        def largest(_header: Mapping[str, Any], arrays: Arrays) -> tuple[float, float]:
            predicted = predicted_classes(arrays["predictions"], output=output)
            cells = Confusion(labels, predicted, rows, class_names, len(labels))
            return diagonal_and_rest(cells.normalized(normalized))

        cells = self._over_moments(("confused", normalized), largest)
        if not cells:
            return None
        return max(right for right, _ in cells), max(wrong for _, wrong in cells)

    def _over_moments(
        self, what: Hashable, of: Callable[[Mapping[str, Any], Arrays], Any]
    ) -> list[Any]:
        """A number of each moment; those that are gone meanwhile are left out."""
        snapshots = self._recording.snapshots
        indices = np.unique(np.linspace(0, len(snapshots) - 1, MOMENTS).round().astype(int))
        results, folder = [], Path(self._recording.path)
        for info in (snapshots[index] for index in indices):
            key = info.index, what
            if key not in self._known:
                try:
                    with files.open_npz(folder / info.file, KIND, checked=True) as (header, arrays):
                        self._known[key] = of(header, arrays)
                except DataError:
                    continue
            results.append(self._known[key])
        return results


def diagonal_and_rest(matrix: Doubles) -> tuple[float, float]:
    """The largest value on the diagonal and the largest beside it; 0 where there is none.

    Args:
        matrix: `(class, class)`, not negative; NaN counts as 0.
    """
    known = np.nan_to_num(matrix)
    is_right = np.eye(len(known), dtype=bool)
    return float(known[is_right].max(initial=0)), float(known[~is_right].max(initial=0))


def _profiles(header: Mapping[str, Any], arrays: Arrays, layer: str) -> ClassProfiles:
    """The profiles of one layer; the others are left in the file."""
    stored = header["profiles"]
    index = next(at for at, each in enumerate(stored["layers"]) if each["name"] == layer)
    start = f"profiles/{index}/"
    kept = {
        f"0/{name.removeprefix(start)}": arrays[name] for name in arrays if name.startswith(start)
    }
    kept["counts"] = arrays["profiles/counts"]
    return class_profiles.from_arrays(stored | {"layers": [stored["layers"][index]]}, kept)


@dataclass(frozen=True, eq=False)
class WeightNumbers:
    """Norms, update ratios, gradient norms and dead units of a layer, a value per snapshot.

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
        """The snapshot at a position, counted from the end where negative.

        Raises:
            DataError: There is none.
        """
        n_infos, at = len(self.infos), require_integer("at", at)
        if not n_infos:
            raise DataError(
                f"the recording in {str(self._folder)!r} has no snapshot that can be read"
            )
        if not -n_infos <= at < n_infos:
            raise DataError(
                f"there is no snapshot {at}; this recording has {n_infos}, 0 to {n_infos - 1}"
            )
        return self.infos[at]

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
                while len(self._kept) > 1 and sum(map(_n_bytes, self._kept.values())) > KEPT_BYTES:
                    self._kept.popitem(last=False)
            return self._kept[file]

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


class RecordingData:
    """The data of a `Recording`. Snapshots are read when they are asked for; a few are kept."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = require_path(path)
        self.manifest = snapshot.read_manifest(self.path)
        self._layers = {info.name: info for info in self.manifest.recorded_layers}
        self._cache = SnapshotCache(self.path, self.manifest)
        self._output: OutputKind | None = None

    def __repr__(self) -> str:
        """Say what it holds, and how much of it cannot be read."""
        snapshots = self.snapshots
        plural = "" if len(snapshots) == 1 else "s"
        parts = [f"{len(snapshots):,} snapshot{plural}"]
        if snapshots:
            parts[0] += f", epoch {snapshots[0].epoch:.4g} to {snapshots[-1].epoch:.4g}"
        if self.refused:
            parts.append(f"{len(self.refused):,} that cannot be read")
        parts.append(f"{self.n_samples:,} samples")
        parts.append(f"layers {', '.join(self._layers)}")
        return f"<Recording {str(self.path)!r}: {'; '.join(parts)}>"

    # --- what there is -------------------------------------------------------------------

    @property
    def begun(self) -> float:
        """When the recording was begun, in seconds since 1970."""
        return (self.path / snapshot.MANIFEST_NAME).stat().st_mtime

    @property
    def class_names(self) -> tuple[str, ...]:
        """One per class."""
        return self.manifest.class_names

    @property
    def output(self) -> OutputKind | None:
        """What the model's output means, as it was when the recording began.

        Of a recording from before that was kept, by the values of its first snapshot; None
        where the output is no vector, or nothing is recorded yet.
        """
        if self._output is None:
            self._output = self.manifest.output
        if self._output is None and self.manifest.n_classes and self.snapshots:
            of = "the recorded samples of the first snapshot"
            self._output = kind_by_values(self.predictions(0), of)
        return self._output

    @property
    def n_samples(self) -> int:
        """How many samples are recorded."""
        return self.manifest.n_samples

    @property
    def x(self) -> Any:
        """The samples: an array, or a list or dict of arrays, as they were given."""
        return self._samples[0]

    @property
    def labels(self) -> Integers | None:
        """`(sample,)` int64 class indices, or None."""
        return self._samples[1]

    @property
    def targets(self) -> Floats | None:
        """`(sample, output)` float32 targets of a regression, or None."""
        return self._samples[2]

    @property
    def n_bytes(self) -> int:
        """What the recording takes on disk."""
        named = [
            self.path / name
            for name in (snapshot.MANIFEST_NAME, store.SAMPLES_NAME, store.HISTORY_NAME)
        ]
        sizes = [path.stat().st_size for path in named if path.exists()]
        return sum(sizes) + sum(info.n_bytes for info in self.snapshots)

    @property
    def history(self) -> History:
        """Metrics by epoch and by step, as they are on disk now."""
        return store.read_history(self.path)

    # --- which there are -----------------------------------------------------------------

    @property
    def layers(self) -> tuple[LayerInfo, ...]:
        """The layers that are recorded, in the model's order."""
        return tuple(self._layers.values())

    @property
    def snapshots(self) -> tuple[SnapshotInfo, ...]:
        """Which moments there are, from the earliest on."""
        return self._cache.infos

    def refresh(self, written: SnapshotInfo | None = None) -> bool:
        """Look which snapshots there are now; those that cannot be read are in `refused`.

        Args:
            written: A snapshot that a recorder has just written: its file is not read back.

        Returns:
            Whether anything has changed.

        Cost: new files are read once, so that damage is found.
        """
        return self._cache.refresh(written)

    def still(self) -> AbstractContextManager[Any]:
        """A time in which `snapshots` stays as it is."""
        return self._cache.lock

    @property
    def refused(self) -> Mapping[str, str]:
        """Files of snapshots that cannot be read, and why, in a sentence each."""
        return self._cache.refused

    def nearest(self, epoch: float) -> int:
        """The position in `snapshots` of the one nearest to an epoch.

        Raises:
            DataError: There is no snapshot yet.
        """
        self._cache.info(0)
        epoch = require_number("epoch", epoch)
        epochs = np.array([info.epoch for info in self.snapshots])
        return int(np.argmin(abs(epochs - epoch)))

    # --- what a snapshot holds -----------------------------------------------------------

    def activations(self, layer: str, at: int = -1, rows: Sequence[int] | None = None) -> Floats:
        """Whole outputs of a layer, as far as `activation_error` exact.

        Args:
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
        if isinstance(rows, str) or not isinstance(rows, Iterable):
            raise DataError(f"rows must be a list of samples; got {rows!r}")
        known = [require_integer("row", row) for row in rows]
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
        """The largest that `max`, `mean` and `min` of `summaries` may be off, by unit."""
        stored = self._layer(layer, at)
        return {name: getattr(stored, name).error for name in ("max", "mean", "min")}

    def predictions(self, at: int = -1) -> Floats:
        """The model's output for each recorded sample: `(sample, class)` float32, exact.

        Raises:
            DataError: There is no such snapshot, or the model's output is no vector.
        """
        predictions = self._cache.snapshot(at).predictions
        if predictions is None:
            raise DataError("the model's output is not one vector per sample: none is recorded")
        return predictions

    def profiles(self, at: int = -1) -> ClassProfiles:
        """How the classes differ to the units, at threshold 0; exact.

        Raises:
            DataError: There is no such snapshot, or the samples have no labels.
        """
        profiles = self._cache.snapshot(at).profiles
        if profiles is None:
            raise DataError("there are no class profiles: this recording has no labels (y)")
        return profiles

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
        kernels = self._layer(layer, at).kernels
        if kernels is None:
            kind = self._layers[layer].kind
            raise LayerError(
                f"no kernels of layer {layer!r} are recorded: it is of type {kind}, without any, "
                "or with more than 100,000 values"
            )
        return kernels.values

    def weight_numbers(self, layer: str) -> WeightNumbers:
        """How the weights of a layer went, over the snapshots; no file is read for it.

        Raises:
            LayerError: The layer is not recorded.
        """
        self._require(layer)
        return WeightNumbers.of(layer, self.snapshots)

    def _require(self, layer: str) -> None:
        if not isinstance(layer, str) or layer not in self._layers:
            raise LayerError(
                f"layer {layer!r} is not recorded; recorded are {', '.join(self._layers)}"
            )

    def _layer(self, layer: str, at: int) -> LayerSnapshot:
        self._require(layer)
        return self._cache.snapshot(at).layers[layer]

    # --- reading -------------------------------------------------------------------------

    @cached_property
    def _samples(self) -> tuple[Any, Integers | None, Floats | None]:
        return store.read_samples(self.path)
