"""How far a training has come, and how long it took, over several calls of `fit`."""

import math
import time

from actwidgets.core.training.epoch_count import EpochCount
from actwidgets.core.training.listener import Moment


class Course(EpochCount):
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

    def begin(self, moment: Moment) -> None:
        """Another `fit` begins; the one before may have been interrupted."""
        super().begin(moment)
        self.pause()
        self.run()
        self.stride = None

    def is_last_step(self, moment: Moment) -> bool:
        """Whether the step that begins is the last of this `fit`, as far as anybody knows."""
        if not (moment.n_epochs and self.steps_of_epoch and self.stride):
            return False
        left = self.steps_of_epoch - moment.step_of_epoch
        return moment.epoch + 1 >= moment.n_epochs and self.stride >= left

    def after_step(self, moment: Moment) -> Moment:
        """A step, or several at a time, are complete."""
        before = self.step
        now = super().after_step(moment)
        self.stride = max(self.step - before, self.stride or 1)
        return now

    def advance(self, epoch: float | None) -> None:
        """In a training loop of somebody's own: to that epoch, or to the next."""
        self.epoch = float(self.epoch + 1 if epoch is None else epoch)
