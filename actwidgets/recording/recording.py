"""What a `Recorder` has kept, read back without the model and without TensorFlow."""

import operator
import os
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from actwidgets.core.arrays import Array, Doubles, Floats, Integers
from actwidgets.core.layer_info import LayerInfo
from actwidgets.core.profiles.class_profiles import ClassProfiles
from actwidgets.core.profiles.sample_summary import SampleSummary
from actwidgets.core.training.histogram import Histogram
from actwidgets.errors import DataError, LayerError
from actwidgets.recording import history_file, manifest, samples_file, snapshot_files
from actwidgets.recording.history_file import History
from actwidgets.recording.snapshot import LayerSnapshot, Snapshot
from actwidgets.recording.snapshot_files import SnapshotInfo

if TYPE_CHECKING:
    from actwidgets.recording.recorded_probe import RecordedProbe
    from actwidgets.recording.recorded_session import RecordedSession

KEPT = 4  # snapshots in memory


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


class Recording:
    """A training on disk. Snapshots are read when they are asked for, and a few are kept.

    `at` is a place in `snapshots` everywhere, counted from the end where negative. A recorder
    that goes on adds snapshots, and may drop some in between: `refresh` looks again.

    Args:
        path: The folder.

    Raises:
        DataError: It holds no recording, or one that cannot be read; says why.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.manifest = manifest.read(self.path)
        self._layers = {info.name: info for info in self.manifest.recorded_layers}
        self._snapshots: tuple[SnapshotInfo, ...] = ()
        self.refused: Mapping[str, str] = {}
        self._looked_at: dict[tuple[str, int, int], SnapshotInfo | str] = {}
        self._reading = threading.RLock()
        self._kept: OrderedDict[str, Snapshot] = OrderedDict()
        self._samples: tuple[Any, Integers | None] | None = None
        self.refresh()

    # --- what there is -------------------------------------------------------------------

    def refresh(self) -> bool:
        """Look which snapshots there are now; those that cannot be read are in `refused`.

        Returns:
            Whether anything has changed.

        Cost: new files are read once, so that damage is found.
        """
        with self._reading:
            found: dict[tuple[str, int, int], SnapshotInfo | str] = {}
            for entry in os.scandir(self.path):
                if snapshot_files.index_of(entry.name) is None:
                    continue
                try:
                    state = entry.stat()
                except FileNotFoundError:  # thinned meanwhile
                    continue
                key = entry.name, state.st_size, state.st_mtime_ns
                found[key] = self._looked_at.get(key) or self._look_at(entry.name)
            changed = found.keys() != self._looked_at.keys()
            if changed:
                self._kept.clear()
            self._looked_at = found
            infos = [each for each in found.values() if isinstance(each, SnapshotInfo)]
            self._snapshots = tuple(sorted(infos, key=lambda info: info.index))
            self.refused = {
                name: each for (name, *_), each in sorted(found.items()) if isinstance(each, str)
            }
            return changed

    def _look_at(self, name: str) -> SnapshotInfo | str:
        try:
            return snapshot_files.read_info(self.path, name, self.manifest)
        except DataError as failure:
            return str(failure)

    @property
    def layers(self) -> tuple[LayerInfo, ...]:
        """The layers that are recorded, in the model's order."""
        return tuple(self._layers.values())

    @property
    def class_names(self) -> tuple[str, ...]:
        """One per class."""
        return self.manifest.class_names

    @property
    def n_samples(self) -> int:
        """How many samples are recorded."""
        return self.manifest.n_samples

    @property
    def x(self) -> Any:
        """The samples: an array, or a list or dict of arrays, as they were given."""
        return self._read_samples()[0]

    @property
    def labels(self) -> Integers | None:
        """`(sample,)` int64 class indices, or None."""
        return self._read_samples()[1]

    @property
    def n_bytes(self) -> int:
        """What the recording takes on disk."""
        named = [self.path / each.NAME for each in (manifest, samples_file, history_file)]
        sizes = [path.stat().st_size for path in named if path.exists()]
        return sum(sizes) + sum(info.n_bytes for info in self._snapshots)

    @property
    def snapshots(self) -> tuple[SnapshotInfo, ...]:
        """Which moments there are, from the earliest on."""
        return self._snapshots

    def nearest(self, epoch: float) -> int:
        """The place in `snapshots` of the one nearest to an epoch.

        Raises:
            DataError: There is no snapshot yet.
        """
        self._info(0)
        epochs = np.array([info.epoch for info in self._snapshots])
        return int(np.argmin(abs(epochs - epoch)))

    @property
    def history(self) -> History:
        """Metrics by epoch and by step, as they are on disk now."""
        return history_file.read(self.path)

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
        found = self._snapshot(at).predictions
        if found is None:
            raise DataError("the model's output is not one vector per sample: none is recorded")
        return found

    def profiles(self, at: int = -1) -> ClassProfiles:
        """How the classes differ to the units, at threshold 0; exact.

        Raises:
            DataError: There is no such snapshot, or the samples have no labels.
        """
        found = self._snapshot(at).profiles
        if found is None:
            raise DataError("there are no class profiles: this recording has no labels (y)")
        return found

    def weight_histograms(self, layer: str, at: int = -1) -> Mapping[str, Histogram]:
        """How the weights of a layer are spread, by name of the weight."""
        return self._layer(layer, at).weight_histograms

    def activation_histogram(self, layer: str, at: int = -1) -> Histogram:
        """How all values of a layer are spread, over all recorded samples."""
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
                f"no kernels of layer {layer!r} are recorded: it is a {kind} without any, or with "
                "more than 100,000 values"
            )
        return found.values

    def weight_numbers(self, layer: str) -> WeightNumbers:
        """How the weights of a layer went, over the snapshots; no file is read for it.

        Raises:
            LayerError: The layer is not recorded.
        """
        self._require(layer)
        each = [info.numbers[layer] for info in self._snapshots]
        return WeightNumbers(
            epoch=np.array([info.epoch for info in self._snapshots]),
            norm=np.array([one.norm for one in each]),
            update_ratio=np.array([one.update_ratio for one in each]),
            gradient_norm=np.array([one.gradient_norm for one in each]),
            n_dead=np.array([one.n_dead for one in each], np.int64),
        )

    # --- looking at it -------------------------------------------------------------------

    def probe(self, at: int = -1) -> "RecordedProbe":
        """The model as it was at a snapshot, for `Session`; it knows the recorded samples only.

        Raises:
            SelectionError: There is no such snapshot.
        """
        from actwidgets.recording.recorded_probe import RecordedProbe

        return RecordedProbe(self, at)

    def session(self, at: int = -1, **options: Any) -> "RecordedSession":
        """A session that any view works on; set its `at` to look at another snapshot.

        Args:
            at: Which snapshot it begins at.
            **options: As of `Session`: the first `layer` or `sample`, …

        Raises:
            DataError: There is no snapshot yet.
            SelectionError: No such snapshot, or a first selection that does not exist.
        """
        from actwidgets.recording.recorded_session import RecordedSession

        return RecordedSession(self, at, **options)

    # --- reading -------------------------------------------------------------------------

    def _info(self, at: int) -> SnapshotInfo:
        snapshots = self._snapshots
        if not snapshots:
            raise DataError(
                f"the recording in {str(self.path)!r} has no snapshots that can be read"
            )
        if not -len(snapshots) <= at < len(snapshots):
            raise DataError(
                f"there is no snapshot {at}; this recording has {len(snapshots)}, "
                f"0 to {len(snapshots) - 1}"
            )
        return snapshots[at]

    def _require(self, layer: str) -> None:
        if layer not in self._layers:
            raise LayerError(
                f"layer {layer!r} is not recorded; recorded are {', '.join(self._layers)}"
            )

    def _layer(self, layer: str, at: int) -> LayerSnapshot:
        self._require(layer)
        return self._snapshot(at).layers[layer]

    def _snapshot(self, at: int) -> Snapshot:
        with self._reading:
            file = self._info(at).file
            found = self._kept.pop(file, None)
            self._kept[file] = found or snapshot_files.read(self.path, file)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return self._kept[file]

    def _read_samples(self) -> tuple[Any, Integers | None]:
        with self._reading:
            if self._samples is None:
                self._samples = samples_file.read(self.path)
            return self._samples


def open_recording(path: str | os.PathLike[str]) -> Recording:
    """Open what a `Recorder` has written, while it goes on or long after.

    Neither the model nor TensorFlow is needed. Snapshots that cannot be read are left out,
    and `refused` says why.

    Raises:
        DataError: The folder holds no recording, or one of a newer version; says why.
    """
    return Recording(path)
