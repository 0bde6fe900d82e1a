"""Record a model while it is trained."""

import logging
import math
import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np

from actwidgets.core import files
from actwidgets.core.arrays import Array, norm
from actwidgets.errors import DataError
from actwidgets.probe import base
from actwidgets.recording import snapshot, store
from actwidgets.recording import snapshot as snapshot_files
from actwidgets.recording.capture import RecordedModel, capture_snapshot, weights_of
from actwidgets.recording.recording import Recording
from actwidgets.recording.snapshot import SnapshotInfo
from actwidgets.recording.store import HistoryFile, TrainingProgress
from actwidgets.training.events import Interval, TrainingMoment, interval


def begin_recording(folder: Path, subject: RecordedModel, resume: bool) -> None:
    """Make a folder a recording, or see that it holds this one; else change nothing.

    What a recorder that was killed has left behind is removed.

    Raises:
        DataError: It holds another recording, or this one and `resume` is False; it cannot be
            written to.
    """
    told = repr(str(folder))
    if (folder / snapshot.MANIFEST_NAME).exists():
        other = snapshot.read_manifest(folder)
        different = subject.manifest.difference(other)
        if different:
            raise DataError(
                f"{told} holds another recording, with {different}: give another folder"
            )
        if not resume:
            raise DataError(
                f"{told} holds this recording already: go on with it by resume=True, or give "
                "another folder"
            )
    elif any(snapshot.index_of(each.name) is not None for each in _files(folder)):
        raise DataError(
            f"{told} holds snapshots without their {snapshot.MANIFEST_NAME}: give another folder"
        )
    else:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as failure:
            raise DataError(f"no folder can be made at {told}: {failure}") from failure
        with suppress(FileNotFoundError):
            (folder / store.HISTORY_NAME).unlink()
        store.write_samples(folder, subject.wish.x, subject.wish.labels, subject.targets)
        snapshot.write_manifest(folder, subject.manifest)  # last: from now on it is a recording
    for name in (f"{snapshot.PREFIX}*", store.SAMPLES_NAME, snapshot.MANIFEST_NAME):
        for leftover in files.leftovers(folder, name):
            leftover.unlink(missing_ok=True)


def _files(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def next_index(folder: Path) -> int:
    """Above those of all files there, readable or not: none is ever written over."""
    found = (snapshot.index_of(each.name) for each in _files(folder))
    return max((index for index in found if index is not None), default=-1) + 1


def course_so_far(recording: Recording) -> TrainingProgress:
    """Where a recording has come to that is gone on with."""
    history, snapshots = recording.history, recording.snapshots
    epochs = [float(x[-1]) for x, _ in history.by_epoch.values()]
    steps = [int(x[-1]) for x, _ in history.by_step.values()]
    return TrainingProgress(
        epoch=max([0.0, *epochs, *(each.epoch for each in snapshots)]),
        step=max([0, *steps, *(each.step for each in snapshots)]),
        seconds=max([0.0, *(each.seconds for each in snapshots)]),
    )


class UpdateRatios:
    """Measures single steps: the weights are copied only before those.

    Args:
        subject: The model and the layers looked at.

    Attributes:
        known: The norm of what the step added to the weights, over the norm that they had
            before, by layer. Moving averages are weights too.
    """

    def __init__(self, subject: RecordedModel) -> None:
        self._subject = subject
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
        self.known = {
            layer: _ratio(before[layer], after) for layer, after in self._weights().items()
        }

    def _weights(self) -> dict[str, Mapping[str, Array]]:
        probe, layers = self._subject.probe, self._subject.manifest.recorded
        found = {layer: weights_of(probe, layer) for layer in layers}
        return {layer: weights for layer, weights in found.items() if weights}


def _ratio(before: Mapping[str, Array], after: Mapping[str, Array]) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):  # of weights that are 0 or not finite
        return float(np.float64(norm(after, before)) / norm(before))


def to_drop(epochs: Sequence[float], n_bytes: Sequence[int], budget_bytes: int) -> tuple[int, ...]:
    """Which snapshots to drop so that the rest fits, and lies evenly over the epochs.

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
        gaps = [epochs[kept[at + 1]] - epochs[kept[at - 1]] for at in range(1, len(kept) - 1)]
        total -= n_bytes[kept.pop(gaps.index(min(gaps)) + 1)]
    return tuple(sorted(set(range(len(epochs))) - set(kept)))


class FitFollower(ABC):
    """A `TrainingListener` that has snapshots taken when they are due; a `Recorder` takes them.

    Args:
        subject: What is recorded.
        recording: Where it goes; it may hold snapshots already.
        every: How often a snapshot is due.

    Attributes:
        recording: What is recorded so far.
        error: Why the last snapshot, or line of the history, was not written.
    """

    def __init__(self, subject: RecordedModel, recording: Recording, every: Interval) -> None:
        self.error, self.recording = "", recording
        self._subject, self._interval = subject, every
        self._history = HistoryFile(recording.path)
        self._course = course_so_far(recording)
        self._ratios = UpdateRatios(subject)
        self._closed = False
        self._taken_of: Any = None  # which weights the last snapshot is of
        self._lock = threading.RLock()
        self._note_the_last()

    @abstractmethod
    def _take(self, metrics: Mapping[str, float]) -> SnapshotInfo | None:
        """Take a snapshot where the course is now, or say in `error` why there is none."""

    # --- what a training tells -----------------------------------------------------------

    def begins(self, moment: TrainingMoment) -> None:
        """Take the state before training, where there is no snapshot yet."""
        with self._lock:
            self._course.begin(moment)
            self._ratios.forget()
            if not self.recording.snapshots:
                self._take({})
            self._note_the_last()

    def before_step(self, moment: TrainingMoment) -> None:
        """Keep the weights where what the step adds to them is to be measured."""
        course = self._course
        with self._lock:
            course.before_step(moment)
            is_last = self._interval.is_last_step(
                math.floor(course.epoch) - self._last_epoch,
                course.step - self._last_step,
                course.stride,
                course.steps_of_epoch and course.steps_of_epoch - moment.step_of_epoch,
            )
            if is_last is None or moment.n_steps is None:  # nobody knows which step is the last:
                is_last = is_last or not self._ratios.known  # until it comes, the first will do
            if (is_last or course.is_last_step(moment)) and not self._closed:
                self._ratios.before_step()

    def after_step(self, moment: TrainingMoment) -> None:
        """Note the metrics; take a snapshot where one is due."""
        course = self._course
        with self._lock:
            course.after_step(moment)
            self._ratios.after_step()
            self._note(self._history.add_step, course.step, moment.metrics)
            is_epoch_over = moment.step_of_epoch == course.steps_of_epoch  # soon more is known
            if self._interval.unit != "epochs" and not is_epoch_over and self._is_due():
                self._take(moment.metrics)

    def after_epoch(self, moment: TrainingMoment) -> None:
        """Note the metrics; take a snapshot where one is due."""
        course = self._course
        with self._lock:
            course.after_epoch(moment)
            self._note(self._history.add_epoch, course.epoch, course.step, moment.metrics)
            if self._is_due():
                self._take(moment.metrics)

    def ends(self, moment: TrainingMoment) -> None:
        """Take the state at the end, where that is not the last that was taken."""
        with self._lock:
            # Another callback may have put the best weights back.
            is_other = base.fingerprint(self._subject.probe) != self._taken_of
            if self._course.step > self._last_step or is_other:
                self._take(moment.metrics)
            self._course.pause()

    def failed(self, failure: Exception) -> None:
        """Say so in `error`."""
        self.error = f"nothing is recorded for now: {failure}"

    # --- what is due ---------------------------------------------------------------------

    def _note_the_last(self) -> None:
        course = self._course
        self._last_epoch, self._last_step = math.floor(course.epoch), course.step
        self._last_seconds = course.seconds

    def _is_due(self) -> bool:
        course = self._course
        return self._interval.is_over(
            course.epoch - self._last_epoch,
            course.step - self._last_step,
            course.seconds - self._last_seconds,
        )

    def _note(self, add: Any, *entry: Any) -> None:
        if self._closed:
            return
        try:
            add(*entry)
        except OSError as failure:
            self.error = f"the history cannot be written: {failure}"


BUDGET_BYTES = 64 * 2**20
log = logging.getLogger("actwidgets")


class Recorder(FitFollower):
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
        self.seconds = 0.0
        checked = interval(every)
        self._budget_bytes = _positive("budget_bytes", budget_bytes)
        subject = RecordedModel(
            model,
            x,
            y,
            layers=layers,
            class_names=class_names,
            n_maps=_positive("n_maps", n_maps, least=0),
            max_samples=_positive("max_samples", max_samples),
            batch_size=_positive("batch_size", batch_size),
            image_shape=image_shape,
            head=head,
            output_is=output_is,
        )
        self._folder = Path(path)
        begin_recording(self._folder, subject, resume)
        super().__init__(subject, Recording(self._folder), checked)
        self._callback: Any = None

    def __repr__(self) -> str:
        """Say what is recorded so far, and what went wrong last."""
        told = f"; {self.error}" if self.error else ""
        return f"<Recorder of {self.recording!r}{told}>"

    @property
    def callback(self) -> Any:
        """A `keras.callbacks.Callback` for `fit`.

        Raises:
            ModelError: This probe's model cannot be trained.
        """
        if self._callback is None:
            self._callback = base.training_callback(self._subject.probe, self)
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
            DataError: Metrics that are not one number each.
        """
        told = _numbers(metrics)
        with self._alone():
            turns = base.turns(self._subject.probe)
            if turns is None or not turns.training:
                self._course.run()
                if self.recording.snapshots or epoch is not None:
                    self._course.advance(epoch)
            if told:
                self._note(self._history.add_epoch, self._course.epoch, self._course.step, told)
            return self._take(told)

    def close(self) -> None:
        """Record nothing more. What is recorded stays."""
        with self._lock:
            self._course.pause()
            self._closed = True
            self._subject.close()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """A time in which neither the weights nor the recording change by another thread."""
        turns = base.turns(self._subject.probe)
        # The lock comes second: who waits for the end of a step must not have it.
        with nullcontext() if turns is None else turns.looking(), self._lock:
            yield

    # --- writing -------------------------------------------------------------------------

    def _take(self, metrics: Mapping[str, float]) -> SnapshotInfo | None:
        if self._closed:
            return None
        began, course = time.monotonic(), self._course
        self._note_the_last()
        info = SnapshotInfo(
            index=next_index(self._folder),
            epoch=course.epoch,
            step=course.step,
            seconds=course.seconds,
            metrics=metrics,
        )
        try:
            snapshot = capture_snapshot(
                self._subject.current_probe(), self._subject.wish, self._ratios.known
            )
            snapshot_files.write_snapshot(self._folder, self._subject.manifest, info, snapshot)
            self._ratios.forget()
            self._taken_of = base.fingerprint(self._subject.probe)
            self.recording.refresh()
            self.error = self._thin()
        except Exception as failure:
            log.exception("a training goes on, though no snapshot of it could be taken")
            self.failed(failure)
            return None
        finally:
            self.seconds += time.monotonic() - began
            self._last_seconds = course.seconds  # what is recorded often is not recorded only
        return next((each for each in self.recording.snapshots if each.index == info.index), None)

    def _thin(self) -> str:
        """Drop snapshots until the folder is within its budget; says where it cannot be."""
        snapshots = self.recording.snapshots
        n_bytes = [each.n_bytes for each in snapshots]
        room = self._budget_bytes - self.recording.n_bytes + sum(n_bytes)
        dropped = to_drop([each.epoch for each in snapshots], n_bytes, room)
        for place in dropped:
            (self._folder / snapshots[place].file).unlink(missing_ok=True)
        if dropped:
            self.recording.refresh()
        if self.recording.n_bytes <= self._budget_bytes:
            return ""
        return (
            f"the samples and the first and last snapshot take {self.recording.n_bytes:,} bytes, "
            f"and budget_bytes is {self._budget_bytes:,}: no other snapshots are kept"
        )


def _positive(name: str, value: int, least: int = 1) -> int:
    if value < least:
        raise DataError(f"{name} must be at least {least}; got {value!r}")
    return int(value)


def _numbers(metrics: Mapping[str, float] | None) -> dict[str, float]:
    if metrics is not None and not isinstance(metrics, Mapping):
        raise DataError(f"metrics go by name, as {{'loss': 0.5}}; got {metrics!r}")
    try:
        return {name: float(value) for name, value in (metrics or {}).items()}
    except (TypeError, ValueError) as failure:
        raise DataError(f"metrics are one number each; got {metrics!r}") from failure
