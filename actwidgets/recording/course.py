"""How far a training has come, over several calls of `fit`."""

import math
import time

from actwidgets.core.training.listener import Moment


class Course:
    """Counts epochs, steps and seconds on where a further `fit` begins at 0 again.

    Args:
        epoch: Epochs trained before.
        step: Steps trained before.
        seconds: Time taken before.
    """

    def __init__(self, epoch: float = 0, step: int = 0, seconds: float = 0) -> None:
        self.epoch, self.step = epoch, step
        self.stride: int | None = None  # steps done at a time; the last of an epoch may be fewer
        self.steps_of_epoch: int | None = None
        self._seconds, self._since = seconds, float("nan")
        self._epoch_offset: float | None = 0
        self._step_offset = self._done_of_epoch = 0

    @property
    def seconds(self) -> float:
        """Time taken, pauses between calls of `fit` left out."""
        running = not math.isnan(self._since)
        return self._seconds + (time.monotonic() - self._since if running else 0)

    def run(self) -> None:
        """The time from now on counts."""
        if math.isnan(self._since):
            self._since = time.monotonic()

    def begin(self, moment: Moment) -> None:
        """Another `fit` begins; the one before may have been interrupted."""
        self.pause()
        self.run()
        self._epoch_offset = None  # until it is known whether Keras counts on by itself
        self._step_offset = self.step - moment.step
        self.stride = None
        self.steps_of_epoch = moment.n_steps or self.steps_of_epoch

    def pause(self) -> None:
        """The time until the next `begin` does not count."""
        self._seconds, self._since = self.seconds, float("nan")

    def before_step(self, moment: Moment) -> None:
        """A step begins: the first tells which epoch Keras is in."""
        if self._epoch_offset is None:
            done = math.ceil(self.epoch)  # an epoch that was interrupted is not gone on with
            self._epoch_offset = max(done - moment.epoch, 0)

    def is_last_step(self, moment: Moment) -> bool:
        """Whether the step that begins is the last of this `fit`, as far as anybody knows."""
        if not (moment.n_epochs and self.steps_of_epoch and self.stride):
            return False
        left = self.steps_of_epoch - moment.step_of_epoch
        return moment.epoch + 1 >= moment.n_epochs and self.stride >= left

    def after_step(self, moment: Moment) -> None:
        """A step is complete."""
        step = self._step_offset + moment.step
        self.stride, self.step = max(step - self.step, self.stride or 1), step
        done = moment.step_of_epoch
        self._done_of_epoch = done
        # Of an epoch of unknown length it is known only that it is not over.
        whole = self.steps_of_epoch or done + 1
        self.epoch = moment.epoch + (self._epoch_offset or 0) + min(done / whole, 1)

    def after_epoch(self, moment: Moment) -> None:
        """An epoch is complete."""
        if self._epoch_offset is None:  # without a step
            self.before_step(Moment(epoch=moment.epoch - 1))
        self.epoch = moment.epoch + (self._epoch_offset or 0)
        self.step = self._step_offset + moment.step
        self.steps_of_epoch = self.steps_of_epoch or self._done_of_epoch or None

    def advance(self, epoch: float | None) -> None:
        """In a training loop of somebody's own: to that epoch, or to the next."""
        self.epoch = float(self.epoch + 1 if epoch is None else epoch)
