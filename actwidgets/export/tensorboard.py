"""Event files, which TensorBoard shows: of a recording, or of a training under way."""

import io
import math
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from actwidgets.core.arrays import Array
from actwidgets.core.files import require_writable
from actwidgets.core.histograms import Histogram, histogram, shared_bins
from actwidgets.errors import (
    ActwidgetsError,
    DataError,
    require_choice,
    require_names,
    require_path,
)
from actwidgets.images.colormap import NORMALIZATIONS
from actwidgets.images.tile_grid import map_sheet
from actwidgets.probe.base import Probe
from actwidgets.training.events import EpochCount, Interval, TrainingMoment

N_BINS = 64  # TensorBoard brings them down to 30 by itself
MAX_EDGE = np.finfo(np.float64).max


def require_tensorboard() -> None:
    """Refuse to go on where the package `tensorboard` is missing.

    Raises:
        ActwidgetsError: Says how to install it.
    """
    try:
        import tensorboard.summary.writer.record_writer  # noqa: F401
    except ImportError as failure:
        raise ActwidgetsError(
            "event files are written with the package tensorboard, which is not installed here: "
            'pip install "actwidgets[tensorboard]"'
        ) from failure


class EventWriter:
    """A file of events in a folder that TensorBoard is started on.

    Every event is handed to the system when the call returns: a run that is killed loses none,
    and TensorBoard shows it while the run goes on.

    Args:
        logdir: Folder; made where there is none. Several writers may write into one.

    Attributes:
        path: Of the file.
        wall_time: Of all that is written, in seconds since 1970; None for the time it is.

    Raises:
        ActwidgetsError: TensorBoard is not installed.
        DataError: The folder cannot be written to.
    """

    # Not tensorboard's EventFileWriter, which loads TensorFlow where there is one (seconds, for
    # a recording that needs none), and whose thread, on a full disk, leaves half a record, behind
    # which nothing is read any more, and writes nothing after it.

    def __init__(self, logdir: str | os.PathLike[str]) -> None:
        require_tensorboard()
        from tensorboard.compat.proto.event_pb2 import Event

        name = f"events.out.tfevents.{int(time.time()):010d}.actwidgets.{secrets.token_hex(4)}"
        self.path = Path(logdir) / name
        self.wall_time: float | None = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("xb", buffering=0)
        except OSError as failure:
            raise DataError(f"cannot write to {str(logdir)!r}: {failure}") from failure
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def layer(
        self,
        layer: str,
        step: int,
        *,
        maps: Array,
        activations: Array | Histogram,
        weights: Mapping[str, Array | Histogram],
        normalize: str = "per layer",
    ) -> None:
        """Write what is told of a layer: `maps/conv_1`, `weights/conv_1/kernel` and so on.

        Args:
            layer: Its name.
            step: On TensorBoard's axis.
            maps: Outputs `(sample, …, unit)` to be shown; where empty there is no picture.
            activations: Whose distribution is shown.
            weights: The same by name.
            normalize: What one color scale of the picture covers.

        Raises:
            OSError: It cannot be written, as on a full disk.
        """
        from tensorboard.plugins.image import metadata

        if maps.size:
            sheet = map_sheet(maps, normalize)
            height, width = sheet.codes.shape
            image = [f"{width}".encode(), f"{height}".encode(), sheet.png()]
            summary = metadata.create_summary_metadata(display_name=None, description=str(sheet))
            self._tensor(f"maps/{layer}", step, image, summary)
        self.histogram(f"activations/{layer}", step, activations)
        for name, values in weights.items():
            self.histogram(f"weights/{layer}/{name}", step, values)

    def scalar(self, tag: str, step: int, value: float) -> None:
        """Write a number, in float32; NaN and infinities are shown as such.

        Args:
            tag: Its name; what is before a `/` groups it.
            step: On TensorBoard's axis.
            value: The number.

        Raises:
            OSError: It cannot be written.
        """
        from tensorboard.plugins.scalar import metadata

        summary = metadata.create_summary_metadata(display_name=None, description=None)
        self._tensor(tag, step, np.float32(value), summary)

    def histogram(self, tag: str, step: int, values: Array | Histogram) -> None:
        """Write a distribution in at most 64 bins, each of whole bins of the histogram.

        NaN and infinite values have no place in one; where there are any, the scalar
        `<tag>/not_finite` says how many.

        Raises:
            OSError: It cannot be written.
        """
        from tensorboard.plugins.histogram import metadata

        counted = values if isinstance(values, Histogram) else histogram(values)
        bins = shared_bins([counted], N_BINS)
        edges = np.clip(bins.edges, -MAX_EDGE, MAX_EDGE)
        table = np.stack([edges[:-1], edges[1:], bins.counts[0].astype(np.float64)], axis=1)
        summary = metadata.create_summary_metadata(display_name=None, description=None)
        self._tensor(tag, step, table, summary)
        n_lost = counted.n_nan + counted.n_infinite
        if n_lost:
            self.scalar(f"{tag}/not_finite", step, n_lost)

    def close(self) -> None:
        """Write no more. Safe to call twice."""
        self._file.close()

    def _tensor(self, tag: str, step: int, values: Any, metadata: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.util.tensor_util import make_tensor_proto

        wall_time = time.time() if self.wall_time is None else self.wall_time
        event = Event(wall_time=wall_time, step=step)
        event.summary.value.add(tag=tag, metadata=metadata, tensor=make_tensor_proto(values))
        self._write(event)

    def _write(self, event: Any) -> None:
        from tensorboard.summary.writer.record_writer import RecordWriter

        record = io.BytesIO()
        RecordWriter(record).write(event.SerializeToString())
        left, end = record.getbuffer(), self._file.tell()
        try:
            while len(left):
                left = left[self._file.write(left) :]
        except OSError:
            self._file.truncate(end)  # half a record would hide all that come later
            self._file.seek(end)
            raise


# --- a training under way -----------------------------------------------------------------


class EventListener:
    """Writes what layers put out while a model is trained: a `TrainingListener`.

    Epochs and steps are counted on where a model is trained again.

    Args:
        open_writer: Makes the writer, when there is something to write.
        layers: Names.
        x: Samples: one batch.
        n_pictures: How many of them, the first, are in the pictures.
        every: How often maps and histograms are written.
        normalize: What one color scale of a picture covers.

    Attributes:
        probe: Of the model, once it is known.
        error: Why the last thing was not written; empty where it was. The next is tried anyway.
    """

    def __init__(
        self,
        open_writer: Callable[[], EventWriter],
        layers: Sequence[str],
        x: Any,
        *,
        n_pictures: int,
        every: Interval,
        normalize: str = "per layer",
    ) -> None:
        self.probe: Probe | None = None
        self.error = ""
        self._open_writer = open_writer
        self._writer: EventWriter | None = None
        self._layers, self._x = tuple(layers), x
        self._n_pictures, self._every, self._normalize = n_pictures, every, normalize
        self._count = EpochCount()
        self._is_first_step_next = False
        self._tried, self._tried_s = TrainingMoment(), 0.0
        self._last_written: int | None = None  # place on the axis

    def begins(self, moment: TrainingMoment) -> None:
        """Note that steps are counted from 0 again."""
        self._count.begin(moment)
        self._is_first_step_next = True

    def before_step(self, moment: TrainingMoment) -> None:
        """Write the state before all training."""
        if not self._is_first_step_next:
            return
        self._is_first_step_next = False
        self._tried, self._tried_s = self._count.before_step(moment), time.monotonic()
        if self._last_written is None:
            self._write_layers(self._tried)

    def after_step(self, moment: TrainingMoment) -> None:
        """Write, where the interval is one of batches or seconds and it is time."""
        now = self._count.after_step(moment)
        if self._every.unit != "epochs" and self._is_due(now):
            self._write_metrics("batch_metrics", now)
            self._write_layers(now)

    def after_epoch(self, moment: TrainingMoment) -> None:
        """Write the metrics; and the rest, where it is time."""
        now = self._count.after_epoch(moment)
        self._write_metrics("metrics", now)
        if self._every.unit == "epochs" and self._is_due(now):
            self._write_layers(now)

    def ends(self, moment: TrainingMoment) -> None:
        """Write the state after the training, where that has not been done."""
        now = TrainingMoment(math.floor(self._count.epoch), self._count.step)
        if self._last_written != self._place(now):
            self._write_layers(now)
        if self._writer is not None:  # another is made where there is another training
            self._writer.close()
            self._writer = None

    def failed(self, failure: Exception) -> None:
        """Keep why something was not written."""
        self.error = f"could not write to TensorBoard's log: {failure}"

    def _is_due(self, now: TrainingMoment) -> bool:
        now_s, last = time.monotonic(), self._tried
        due = self._every.is_over(
            now.epoch - last.epoch, now.step - last.step, now_s - self._tried_s
        )
        if due:
            self._tried, self._tried_s = now, now_s
        return due

    def _place(self, now: TrainingMoment) -> int:
        """Where on TensorBoard's axis: an epoch, or a step where the interval is not epochs."""
        return now.epoch if self._every.unit == "epochs" else now.step

    def _opened(self) -> EventWriter:
        if self._writer is None:
            self._writer = self._open_writer()
        return self._writer

    def _write_metrics(self, group: str, now: TrainingMoment) -> None:
        for name, value in now.metrics.items():
            self._opened().scalar(f"{group}/{name}", self._place(now), value)

    def _write_layers(self, now: TrainingMoment) -> None:
        assert self.probe is not None, "a model is known before its training"
        writer, place = self._opened(), self._place(now)
        outputs = self.probe.activations(self._layers, self._x)
        for layer in self._layers:
            writer.layer(
                layer,
                place,
                maps=outputs[layer][: self._n_pictures],
                activations=outputs[layer],
                weights=self.probe.weights(layer),
                normalize=self._normalize,
            )
        self._last_written, self.error = place, ""


# --- a recording --------------------------------------------------------------------------


def to_tensorboard(
    recording: Any,
    logdir: str | os.PathLike[str],
    *,
    layers: Sequence[str] | None = None,
    normalize: str = "per layer",
) -> Path:
    """Write what is recorded so that TensorBoard shows it.

    For each snapshot and layer the maps that were kept as a picture, histograms of all weights
    and activations, and how many units are dead, the update ratio and the gradient norm; and
    the metrics. The axis is that of epochs where every snapshot is at the end of one, and of
    training steps otherwise.

    Args:
        recording: A `Recording`, which stays as it is; neither the model nor TensorFlow is
            needed.
        logdir: Folder that TensorBoard is started on. In it a folder is made that is named
            like the recording's.
        layers: Names; all that are recorded when omitted.
        normalize: What one color scale of a picture covers: "per layer", "per map" or
            "symmetric".

    Returns:
        The folder that was made.

    Raises:
        ActwidgetsError: TensorBoard is not installed.
        LayerError: A layer is not recorded.
        DataError: There is no snapshot, the folder holds event files already, or it cannot be
            written; what was begun is then taken away.

    Cost: every snapshot is read once.
    """
    require_tensorboard()
    require_choice("normalization", normalize, NORMALIZATIONS)
    names = [info.name for info in recording.layers]
    if layers is not None:
        names = list(require_names("layers", layers))
    for name in names:
        recording.weight_numbers(name)
    if not recording.snapshots:
        raise DataError("there is no snapshot to write: nothing has been recorded yet")
    folder = require_path(logdir, "logdir") / recording.path.absolute().name
    require_writable(folder)
    if any(folder.glob("*tfevents*")):
        raise DataError(
            f"{str(folder)!r} holds event files already, and TensorBoard would show both: name "
            "another logdir, or delete them"
        )
    writer = EventWriter(folder)
    try:
        with closing(writer):
            _write_recording(writer, recording, names, normalize)
    except BaseException as failure:
        writer.path.unlink(missing_ok=True)
        if isinstance(failure, OSError):
            raise DataError(f"cannot write to {str(folder)!r}: {failure}") from failure
        raise
    return folder


def _write_recording(
    writer: EventWriter, recording: Any, names: Sequence[str], normalize: str
) -> None:
    infos = recording.snapshots
    places = _places(infos)
    for at, (info, place) in enumerate(zip(infos, places, strict=True)):
        writer.wall_time = recording.begun + info.seconds
        for name in names:
            writer.layer(
                name,
                place,
                maps=recording.activations(name, at),
                activations=recording.activation_histogram(name, at),
                weights=recording.weight_histograms(name, at),
                normalize=normalize,
            )
    writer.wall_time = None
    for name in names:
        numbers = recording.weight_numbers(name)
        for group, values in (
            ("weight_norm", numbers.norm),
            ("update_ratio", numbers.update_ratio),
            ("gradient_norm", numbers.gradient_norm),
            ("dead_units", numbers.n_dead),
        ):
            for place, value in zip(places, values, strict=True):
                if value == value:  # NaN: it was not measured
                    writer.scalar(f"{group}/{name}", place, float(value))
    for tag, place, value in _metrics(recording, places):
        writer.scalar(tag, place, value)


def _places(infos: Sequence[Any]) -> list[int]:
    """Where snapshots are on TensorBoard's axis, which knows whole numbers only."""
    if all(float(info.epoch).is_integer() for info in infos):
        epochs = [int(info.epoch) for info in infos]
        if len(set(epochs)) == len(epochs):
            return epochs
    steps = [info.step for info in infos]
    return steps if len(set(steps)) == len(steps) else [info.index for info in infos]


def _metrics(recording: Any, places: Sequence[int]) -> Iterator[tuple[str, int, float]]:
    infos, history = recording.snapshots, recording.history
    by_place = {
        (name, place): value
        for info, place in zip(infos, places, strict=True)
        for name, value in info.metrics.items()
    }
    if list(places) == [info.epoch for info in infos]:  # thinned snapshots leave no gap here
        for name, (epochs, values) in history.by_epoch.items():
            pairs = zip(epochs, values, strict=True)
            by_place |= {(name, int(epoch)): float(value) for epoch, value in pairs}
    for (name, place), value in sorted(by_place.items()):
        yield f"metrics/{name}", place, value
    for name, (steps, values) in history.by_step.items():
        for step, value in zip(steps, values, strict=True):
            yield f"batch_metrics/{name}", int(step), float(value)
