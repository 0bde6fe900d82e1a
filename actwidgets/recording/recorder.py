"""Record a model while it is trained: the folder, when a snapshot is due, the byte budget."""

import logging
import math
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from actwidgets.core import files
from actwidgets.core.arrays import Array, norm
from actwidgets.core.labels import checked_class_names, count_classes
from actwidgets.core.layers import LayerInfo
from actwidgets.core.output_kind import checked_output_is
from actwidgets.core.samples import Samples
from actwidgets.errors import (
    DataError,
    LayerError,
    ModelError,
    require_integer,
    require_names,
    require_number,
    require_path,
)
from actwidgets.probe.base import Probe, settled_output_kind
from actwidgets.recording import snapshot as snapshots
from actwidgets.recording import store
from actwidgets.recording.replay import Recording
from actwidgets.recording.snapshot import (
    Manifest,
    SnapshotInfo,
    SnapshotSpec,
    capture_snapshot,
    weights_of,
)
from actwidgets.session.session import Session
from actwidgets.training.events import EpochCount, TrainingMoment, interval

log = logging.getLogger("actwidgets")

BUDGET_BYTES = 64 * 2**20
MANY_UNITS = 4096  # layers with more (flattened maps, most often) are recorded where named


class RecordedModel:
    """A model, and the samples and layers that are recorded of it.

    Args: as of `Recorder`.

    Attributes:
        probe: Of the model, as it was last read.
        spec: What a snapshot is taken of.
        targets: `(sample, output)` of a regression, or None.
        manifest: What the folder says of the recording.
    """

    def __init__(
        self,
        model: Any,
        x: Any,
        y: Any,
        *,
        layers: Sequence[str] | None,
        class_names: Sequence[str] | None,
        n_maps: int,
        max_samples: int,
        batch_size: int,
        image_shape: Sequence[int] | None,
        head: str | int | None,
        output_is: str | None = None,
    ) -> None:
        self._session = model if isinstance(model, Session) else None
        self._model = model.model if isinstance(model, Session) else model
        if self._session is not None and x is None:
            samples = self._session.context.samples
        else:
            samples = Samples(x, y, max_samples=max_samples, image_shape=image_shape)
        if self._session is not None:
            class_names = self._session.class_names if class_names is None else class_names
            head = self._session.context.options["head"] if head is None else head
            output_is = output_is or self._session.context.options["output_is"]
        checked_output_is(output_is)
        if not (head is None or isinstance(head, str)):
            head = require_integer("head, unless it is a name,", head)
        self._head, self._output_is = head, output_is
        n_samples = min(len(samples), max_samples)
        self._one = samples.rows([0])
        self.probe: Probe = self._read() if self._session is None else self._session.context.probe
        self.probe.check(self._one)
        output, named = settled_output_kind(self.probe, samples, class_names, output_is)
        n_classes = count_classes(self.probe.n_classes, named, output, samples.y)
        names = checked_class_names(named, n_classes)
        if self._session is None or x is not None:
            names_of_inputs = self.probe.input_names(samples.x)
            samples.read_inputs(names_of_inputs, self.probe.input_axes())
        samples.read_y(output, n_classes, names, head=head)
        if samples.label_sets is not None or samples.masks is not None:
            held = "masks" if samples.label_sets is None else "several labels a sample"
            raise DataError(
                f"a recording keeps one class a sample, and y holds {held}: give x, and no y"
            )
        labels = None if samples.labels is None else samples.labels[:n_samples]
        self.targets = None if samples.targets is None else samples.targets[:n_samples]
        chosen = _recorded_layers(self.probe.layers, layers)
        kept = samples.rows(range(n_samples))
        self.spec = SnapshotSpec(kept, labels, names, chosen, min(n_maps, n_samples), batch_size)
        self.manifest = Manifest(
            model_name=str(getattr(self._model, "name", "")),
            layers=self.probe.layers,
            recorded=tuple(info.name for info in chosen),
            class_names=names,
            n_classes=self.probe.n_classes,
            head=head,
            image_shape=tuple(samples._image_shape),
            n_samples=n_samples,
            n_maps=self.spec.n_maps,
            samples=store.digest(kept, labels, self.targets),
            output=output,
            input_names=tuple(samples.axes),
            input_axes=dict(samples.axes),
        )

    def current_probe(self) -> Probe:
        """The same, read anew where layers of the model were exchanged.

        Raises:
            ModelError: It has other layers now.
        """
        if self._session is not None:
            self.probe = self._session.context.probe
        if self.probe.is_stale():
            self.probe = self._read()
        if self.probe.layers != self.manifest.layers:
            raise ModelError(
                "the model has other layers than when its recording began: begin another one"
            )
        return self.probe

    def close(self) -> None:
        """Read nothing more."""
        if self._session is None and self.probe is not self._model:
            self.probe.close()

    def _read(self) -> Probe:
        if isinstance(self._model, Probe):
            return self._model
        from actwidgets.probe.keras_probe import KerasProbe

        return KerasProbe(self._model, self._one, head=self._head, output_is=self._output_is)


def _recorded_layers(
    layers: Sequence[LayerInfo], names: Sequence[str] | None
) -> tuple[LayerInfo, ...]:
    """The layers to record, in the model's order."""
    if names is None:
        chosen = [info for info in layers if not _refusal(info) and info.n_units <= MANY_UNITS]
        if not chosen:
            raise LayerError("this model has no layer that can be recorded")
        return tuple(chosen)
    by_name = {info.name: info for info in layers}
    names = require_names("layers", names)
    for name in names:
        if name not in by_name:
            raise LayerError(f"no layer {name!r}; this model has {', '.join(by_name)}")
        if refusal := _refusal(by_name[name]):
            raise LayerError(f"layer {name!r} cannot be recorded: {refusal}")
    if not names:
        raise LayerError("layers must name at least one layer; got none")
    return tuple(info for info in layers if info.name in names)


def _refusal(info: LayerInfo) -> str:
    if not info.n_units:
        return "its number of units varies"
    return "its maps are empty" if 0 in info.output_shape[1:] else ""


class TrainingProgress(EpochCount):
    """Epochs, steps and seconds trained so far, and which step is the last of a `fit`.

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

    @classmethod
    def of(cls, recording: Recording) -> "TrainingProgress":
        """Where a recording has come to that is gone on with."""
        history, infos = recording.history, recording.snapshots
        epochs = [float(x[-1]) for x, _ in history.by_epoch.values()]
        steps = [int(x[-1]) for x, _ in history.by_step.values()]
        return cls(
            epoch=max([0.0, *epochs, *(info.epoch for info in infos)]),
            step=max([0, *steps, *(info.step for info in infos)]),
            seconds=max([0.0, *(info.seconds for info in infos)]),
        )


def _begin(folder: Path, recorded: RecordedModel, resume: bool) -> Recording:
    """Make a folder a recording, or see that it holds this one; else change nothing.

    What a recorder that was killed has left behind is removed.
    """
    path = repr(str(folder))
    if (folder / snapshots.MANIFEST_NAME).exists():
        difference = recorded.manifest.difference(snapshots.read_manifest(folder))
        if difference:
            raise DataError(
                f"{path} holds another recording, with {difference}: give another folder"
            )
        if not resume:
            raise DataError(
                f"{path} holds this recording already: go on with it by resume=True, or give "
                "another folder"
            )
    elif _indices(folder):
        raise DataError(
            f"{path} holds snapshots without their {snapshots.MANIFEST_NAME}: give another folder"
        )
    else:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as failure:
            raise DataError(f"no folder can be made at {path}: {failure}") from failure
        with suppress(FileNotFoundError):
            (folder / store.HISTORY_NAME).unlink()
        store.write_samples(folder, recorded.spec.x, recorded.spec.labels, recorded.targets)
        snapshots.write_manifest(folder, recorded.manifest)  # last: now it is a recording
    for name in (f"{snapshots.PREFIX}*", store.SAMPLES_NAME, snapshots.MANIFEST_NAME):
        for leftover in files.leftovers(folder, name):
            leftover.unlink(missing_ok=True)
    return Recording(folder)


def _indices(folder: Path) -> list[int]:
    """The numbers of all snapshots in a folder, readable or not."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return [index for name in names if (index := snapshots.index_of(name)) is not None]


class UpdateRatios:
    """Norm of one step's update over the norm of the weights, by layer.

    The weights are copied only before a step that is measured.

    Args:
        recorded: The model and its recorded layers.

    Attributes:
        known: The norm of what the step added to the weights, over the norm that they had
            before, by layer. Moving averages are weights too.
    """

    def __init__(self, recorded: RecordedModel) -> None:
        self._recorded = recorded
        self._before: dict[str, Mapping[str, Array]] = {}
        self.known: Mapping[str, float] = {}

    def forget(self) -> None:
        """A new interval begins."""
        self._before, self.known = {}, {}

    def before_step(self) -> None:
        """Keep the weights."""
        self._before = self._weights()

    def after_step(self) -> None:
        """Measure what has been added, where the weights were kept before."""
        if not self._before:
            return
        before, self._before = self._before, {}
        with np.errstate(divide="ignore", invalid="ignore"):  # of weights that are 0 or not finite
            self.known = {
                layer: float(np.float64(norm(after, before[layer])) / norm(before[layer]))
                for layer, after in self._weights().items()
            }

    def _weights(self) -> dict[str, Mapping[str, Array]]:
        recorded = self._recorded
        by_layer = {name: weights_of(recorded.probe, name) for name in recorded.manifest.recorded}
        return {name: weights for name, weights in by_layer.items() if weights}


def to_drop(epochs: Sequence[float], n_bytes: Sequence[int], budget_bytes: int) -> tuple[int, ...]:
    """Thin snapshots to a byte budget, evenly over the epochs.

    The first and the last stay, whatever they take. One after the other that goes which
    leaves the smallest gap, the earliest of equals: what is added later is thinned in turn.

    Args:
        epochs: Of the snapshots, ascending.
        n_bytes: What each of them takes.
        budget_bytes: What all of them may take.

    Returns:
        Their places, ascending.
    """
    kept = list(range(len(epochs)))
    total = sum(n_bytes)
    while total > budget_bytes and len(kept) > 2:
        # Drop the snapshot whose neighbors are nearest to each other; the ends stay.
        gaps = [epochs[kept[at + 1]] - epochs[kept[at - 1]] for at in range(1, len(kept) - 1)]
        total -= n_bytes[kept.pop(gaps.index(min(gaps)) + 1)]
    return tuple(sorted(set(range(len(epochs))) - set(kept)))


class Recorder:
    """Writes snapshots of a model to a folder while it is trained; the first is of before.

        recorder = Recorder(model, "run-1", x, y, class_names=names)
        model.fit(…, callbacks=[recorder.callback])
        recorder.recording.activations("conv", at=-1)

    In a training loop of one's own `snapshot()` takes the place of the callback. A further
    `fit` goes on in the same recording, epochs counted on. The callback goes last, behind those
    that put weights back at the end, such as `EarlyStopping`. A failure (a full disk) is told by
    `error`; training goes on, and the next snapshot is tried again.

    Args:
        model: A Keras model, a probe, or a `Session`, whose samples, labels and class names
            then are the defaults. It is on loan: unchanged.
        path: A folder, made where there is none.
        x: Samples: an array, a list or dict of arrays, or a re-iterable of batches. The
            first `max_samples` are recorded.
        y: `(sample,)` class indices or one-hot; optional.
        layers: Names of the layers to record. By default all with a fixed number of units,
            up to 4,096 of them.
        class_names: One per class; optional.
        every: "epoch", ("batches", n) or ("seconds", s).
        n_maps: Of so many samples, the first, whole maps are kept.
        max_samples: How many samples are recorded.
        budget_bytes: What the folder may take. Beyond it snapshots are dropped, evenly over
            the epochs, never the first nor the last.
        batch_size: Samples per forward pass.
        image_shape: Of samples given as vectors; as `Session` takes it.
        head: Which of several outputs is predicted; the first by default.
        output_is: What that output is; as `Session` takes it.
        resume: Whether to go on with the recording that the folder holds.

    Attributes:
        recording: What is recorded so far.
        error: Why the last snapshot, or line of the history, was not written; "" where all
            is well.
        seconds: Time spent on snapshots so far.

    Raises:
        DataError: The folder holds a recording and `resume` is False, or it is another one;
            it cannot be written to; samples, class names or `every` that cannot be used.
        LayerError: Layers that the model does not have, or that cannot be recorded.
        ModelError: A model that cannot be read.
        ShapeError: Samples or labels of the wrong shape or number.
    """

    def __init__(
        self,
        model: Any,
        path: str | os.PathLike[str],
        x: Any = None,
        y: Any = None,
        *,
        layers: Sequence[str] | None = None,
        class_names: Sequence[str] | None = None,
        every: Any = "epoch",
        n_maps: int = 4,
        max_samples: int = 200,
        budget_bytes: int = BUDGET_BYTES,
        batch_size: int = 128,
        image_shape: Sequence[int] | None = None,
        head: str | int | None = None,
        output_is: str | None = None,
        resume: bool = False,
    ) -> None:
        self._folder = require_path(path)
        self._interval = interval(every)
        self._budget_bytes = require_integer("budget_bytes", budget_bytes, 1)
        recorded = self._recorded = RecordedModel(
            model,
            x,
            y,
            layers=layers,
            class_names=class_names,
            n_maps=require_integer("n_maps", n_maps, 0),
            max_samples=require_integer("max_samples", max_samples, 1),
            batch_size=require_integer("batch_size", batch_size, 1),
            image_shape=image_shape,
            head=head,
            output_is=output_is,
        )
        self.recording = _begin(self._folder, recorded, resume)
        self.error, self.seconds = "", 0.0
        self._history = store.HistoryFile(self._folder)
        self._progress = TrainingProgress.of(self.recording)
        self._ratios = UpdateRatios(recorded)
        self._closed = False
        self._fingerprint: Any = None  # of the weights that the last snapshot is of
        self._callback: Any = None
        self._lock = threading.RLock()
        self._note_last()

    def __repr__(self) -> str:
        """Say what is recorded so far, and what went wrong last."""
        error = f"; {self.error}" if self.error else ""
        return f"<Recorder of {self.recording!r}{error}>"

    @property
    def callback(self) -> Any:
        """A `keras.callbacks.Callback` for `fit`.

        Raises:
            ModelError: This probe's model cannot be trained.
        """
        if self._callback is None:
            self._callback = self._recorded.probe.training_callback(self)
        return self._callback

    def snapshot(
        self, metrics: Mapping[str, float] | None = None, epoch: float | None = None
    ) -> SnapshotInfo | None:
        """Take a snapshot now: in a training loop of one's own, and once before it.

        Args:
            metrics: By name, as they stand.
            epoch: Epochs trained so far; by default one more than last time, 0 at first, and
                what Keras says while `fit` is under way.

        Returns:
            What was taken; None where it could not be, and `error` says why.

        Raises:
            DataError: Metrics that are not one number each, or an epoch that is none.
        """
        values = _numbers(metrics)
        if epoch is not None:
            epoch = require_number("epoch", epoch, 0)
        with self._alone():
            if not self._recorded.probe.is_training:
                self._progress.run()
                if epoch is None and self.recording.snapshots:
                    epoch = self._progress.epoch + 1
                self._progress.epoch = self._progress.epoch if epoch is None else epoch
            if values:
                self._note(
                    self._history.add_epoch, self._progress.epoch, self._progress.step, values
                )
            return self._take(values)

    def close(self) -> None:
        """Record nothing more. What is recorded stays."""
        with self._lock:
            self._progress.pause()
            self._closed = True
            self._recorded.close()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """A time in which neither the weights nor the recording change by another thread."""
        # The lock comes second: who waits for the end of a step must not have it.
        with self._recorded.probe.read_lock(), self._lock:
            yield

    # --- a training's events, on its thread ----------------------------------------------

    def begins(self, moment: TrainingMoment) -> None:
        """Take the state before training, where there is no snapshot yet."""
        with self._lock:
            self._progress.begin(moment)
            self._ratios.forget()
            if not self.recording.snapshots:
                self._take({})
            self._note_last()

    def before_step(self, moment: TrainingMoment) -> None:
        """Keep the weights where what the step adds to them is to be measured."""
        progress = self._progress
        with self._lock:
            progress.before_step(moment)
            is_last = self._interval.is_last_step(
                math.floor(progress.epoch) - self._last_epoch,
                progress.step - self._last_step,
                progress.stride,
                progress.steps_of_epoch and progress.steps_of_epoch - moment.step_of_epoch,
            )
            if is_last is None or moment.n_steps is None:  # nobody knows which step is the last:
                is_last = is_last or not self._ratios.known  # until it comes, the first will do
            if (is_last or progress.is_last_step(moment)) and not self._closed:
                self._ratios.before_step()

    def after_step(self, moment: TrainingMoment) -> None:
        """Note the metrics; take a snapshot where one is due."""
        progress = self._progress
        with self._lock:
            progress.after_step(moment)
            self._ratios.after_step()
            self._note(self._history.add_step, progress.step, moment.metrics)
            is_epoch_over = moment.step_of_epoch == progress.steps_of_epoch  # soon more is known
            if self._interval.unit != "epochs" and not is_epoch_over and self._is_due():
                self._take(moment.metrics)

    def after_epoch(self, moment: TrainingMoment) -> None:
        """Note the metrics; take a snapshot where one is due."""
        progress = self._progress
        with self._lock:
            progress.after_epoch(moment)
            self._note(self._history.add_epoch, progress.epoch, progress.step, moment.metrics)
            if self._is_due():
                self._take(moment.metrics)

    def ends(self, moment: TrainingMoment) -> None:
        """Take the state at the end, where that is not the last that was taken."""
        with self._lock:
            # Another callback may have put the best weights back.
            is_other = self._recorded.probe.fingerprint() != self._fingerprint
            if self._progress.step > self._last_step or is_other:
                self._take(moment.metrics)
            self._progress.pause()

    def failed(self, failure: Exception) -> None:
        """Say so in `error`."""
        self.error = f"nothing is recorded for now: {failure}"

    # --- what is due ---------------------------------------------------------------------

    def _note_last(self) -> None:
        progress = self._progress
        self._last_epoch, self._last_step = math.floor(progress.epoch), progress.step
        self._last_seconds = progress.seconds

    def _is_due(self) -> bool:
        progress = self._progress
        return self._interval.is_over(
            progress.epoch - self._last_epoch,
            progress.step - self._last_step,
            progress.seconds - self._last_seconds,
        )

    def _note(self, add: Any, *entry: Any) -> None:
        if self._closed:
            return
        try:
            add(*entry)
        except OSError as failure:
            self.error = f"the history cannot be written: {failure}"

    # --- writing -------------------------------------------------------------------------

    def _take(self, metrics: Mapping[str, float]) -> SnapshotInfo | None:
        if self._closed:
            return None
        began, progress = time.monotonic(), self._progress
        self._note_last()
        info = SnapshotInfo(
            index=max(_indices(self._folder), default=-1) + 1,
            epoch=progress.epoch,
            step=progress.step,
            seconds=progress.seconds,
            metrics=metrics,
        )
        try:
            captured = capture_snapshot(
                self._recorded.current_probe(), self._recorded.spec, self._ratios.known
            )
            info = snapshots.write_snapshot(self._folder, self._recorded.manifest, info, captured)
            self._ratios.forget()
            self._fingerprint = self._recorded.probe.fingerprint()
            self.recording.refresh(written=info)
            self.error = self._thin()
        except Exception as failure:
            log.exception("a training goes on, though no snapshot of it could be taken")
            self.failed(failure)
            return None
        finally:
            self.seconds += time.monotonic() - began
            self._last_seconds = progress.seconds  # what is recorded often is not recorded only
        return next(
            (snapshot for snapshot in self.recording.snapshots if snapshot.index == info.index),
            None,
        )

    def _thin(self) -> str:
        """Drop snapshots until the folder is within its budget; a sentence where it cannot be."""
        infos = self.recording.snapshots
        n_bytes = [info.n_bytes for info in infos]
        room = self._budget_bytes - self.recording.n_bytes + sum(n_bytes)
        dropped = to_drop([info.epoch for info in infos], n_bytes, room)
        for at in dropped:
            (self._folder / infos[at].file).unlink(missing_ok=True)
        if dropped:
            self.recording.refresh()
        if self.recording.n_bytes <= self._budget_bytes:
            return ""
        return (
            f"the samples and the first and last snapshot take {self.recording.n_bytes:,} bytes, "
            f"and budget_bytes is {self._budget_bytes:,}: no other snapshots are kept"
        )


def _numbers(metrics: Mapping[str, float] | None) -> dict[str, float]:
    if metrics is not None and not isinstance(metrics, Mapping):
        raise DataError(f"metrics go by name, as {{'loss': 0.5}}; got {metrics!r}")
    try:
        return {name: float(value) for name, value in (metrics or {}).items()}
    except (TypeError, ValueError) as failure:
        raise DataError(f"metrics are one number each; got {metrics!r}") from failure
