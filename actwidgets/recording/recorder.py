"""Keep what becomes of a model while it is trained."""

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from actwidgets.core import probes
from actwidgets.core.training.interval import interval
from actwidgets.errors import DataError
from actwidgets.recording import folder, snapshot_files, thinning
from actwidgets.recording.fit_follower import FitFollower
from actwidgets.recording.recording import Recording
from actwidgets.recording.snapshot_files import SnapshotInfo
from actwidgets.recording.subject import Subject
from actwidgets.recording.taking import take

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
        subject = Subject(
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
        folder.begin(self._folder, subject, resume)
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
            self._callback = probes.training_callback(self._subject.probe, self)
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
            turns = probes.turns(self._subject.probe)
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
        turns = probes.turns(self._subject.probe)
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
            index=folder.next_index(self._folder),
            epoch=course.epoch,
            step=course.step,
            seconds=course.seconds,
            metrics=metrics,
        )
        try:
            snapshot = take(self._subject.current_probe(), self._subject.wish, self._ratios.known)
            snapshot_files.write(self._folder, self._subject.manifest, info, snapshot)
            self._ratios.forget()
            self._taken_of = probes.fingerprint(self._subject.probe)
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
        dropped = thinning.to_drop([each.epoch for each in snapshots], n_bytes, room)
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
