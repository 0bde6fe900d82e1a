"""What a recorder does while a model is trained: note the metrics, and know what is due."""

import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from actwidgets.core import probes
from actwidgets.core.training.interval import Interval
from actwidgets.core.training.listener import Moment
from actwidgets.recording import folder
from actwidgets.recording.history_file import HistoryFile
from actwidgets.recording.recording import Recording
from actwidgets.recording.snapshot_files import SnapshotInfo
from actwidgets.recording.subject import Subject
from actwidgets.recording.update_ratios import UpdateRatios


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

    def __init__(self, subject: Subject, recording: Recording, every: Interval) -> None:
        self.error, self.recording = "", recording
        self._subject, self._interval = subject, every
        self._history = HistoryFile(recording.path)
        self._course = folder.course_so_far(recording)
        self._ratios = UpdateRatios(subject)
        self._closed = False
        self._taken_of: Any = None  # which weights the last snapshot is of
        self._lock = threading.RLock()
        self._note_the_last()

    @abstractmethod
    def _take(self, metrics: Mapping[str, float]) -> SnapshotInfo | None:
        """Take a snapshot where the course is now, or say in `error` why there is none."""

    # --- what a training tells -----------------------------------------------------------

    def begins(self, moment: Moment) -> None:
        """Take the state before training, where there is no snapshot yet."""
        with self._lock:
            self._course.begin(moment)
            self._ratios.forget()
            if not self.recording.snapshots:
                self._take({})
            self._note_the_last()

    def before_step(self, moment: Moment) -> None:
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

    def after_step(self, moment: Moment) -> None:
        """Note the metrics; take a snapshot where one is due."""
        course = self._course
        with self._lock:
            course.after_step(moment)
            self._ratios.after_step()
            self._note(self._history.add_step, course.step, moment.metrics)
            is_epoch_over = moment.step_of_epoch == course.steps_of_epoch  # soon more is known
            if self._interval.unit != "epochs" and not is_epoch_over and self._is_due():
                self._take(moment.metrics)

    def after_epoch(self, moment: Moment) -> None:
        """Note the metrics; take a snapshot where one is due."""
        course = self._course
        with self._lock:
            course.after_epoch(moment)
            self._note(self._history.add_epoch, course.epoch, course.step, moment.metrics)
            if self._is_due():
                self._take(moment.metrics)

    def ends(self, moment: Moment) -> None:
        """Take the state at the end, where that is not the last that was taken."""
        with self._lock:
            # Another callback may have put the best weights back.
            is_other = probes.fingerprint(self._subject.probe) != self._taken_of
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
