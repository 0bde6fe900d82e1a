"""Epochs and steps of a training, counted on over several calls of `fit`."""

import math
from dataclasses import replace

from actwidgets.core.training.listener import Moment


class EpochCount:
    """Is told what a `TrainingListener` is, and says how far it all has come.

    A `fit` that begins at epoch 0 again goes on behind the last epoch that was begun: one that
    was interrupted counts as soon as a step of it is complete. One with an `initial_epoch` at
    or beyond that goes on by itself.

    Args:
        epoch: Epochs trained before.
        step: Steps trained before.

    Attributes:
        epoch: Epochs trained so far: 1.5 is amid the second one. It never falls. Of an epoch of
            unknown length it is known only that it is not over.
        step: Steps trained so far.
        steps_of_epoch: How many an epoch has: as this `fit` says, or else as the last complete
            epoch had; None where nobody knows.
    """

    def __init__(self, epoch: float = 0, step: int = 0) -> None:
        self.epoch, self.step = epoch, step
        self.steps_of_epoch: int | None = None
        self._earlier_epochs: int | None = None  # until it is known where Keras begins
        self._earlier_steps, self._done_of_epoch = step, 0

    @property
    def earlier_epochs(self) -> int:
        """Epochs of the fits before this one that it does not count itself."""
        return self._earlier_epochs or 0

    def begin(self, moment: Moment) -> None:
        """Another `fit` begins; the one before may have been interrupted."""
        self._earlier_epochs, self._earlier_steps = None, self.step - moment.step
        self._done_of_epoch = 0

    def before_step(self, moment: Moment) -> Moment:
        """A step begins. Returns that moment, its epochs and steps counted over all fits."""
        return self._counted(moment, moment.epoch)

    def after_step(self, moment: Moment) -> Moment:
        """A step, or several at a time, are complete. Returns as `before_step`."""
        now = self._counted(moment, moment.epoch)
        self.steps_of_epoch = moment.n_steps or self.steps_of_epoch
        self._done_of_epoch = done = moment.step_of_epoch
        whole = self.steps_of_epoch or done + 1
        self.epoch, self.step = now.epoch + min(done / whole, 1), now.step
        return now

    def after_epoch(self, moment: Moment) -> Moment:
        """An epoch is complete, with steps or without. Returns as `before_step`."""
        now = self._counted(moment, moment.epoch - 1)
        self.epoch, self.step = now.epoch, now.step
        self.steps_of_epoch = moment.n_steps or self._done_of_epoch or self.steps_of_epoch
        return now

    def _counted(self, moment: Moment, begun: int) -> Moment:
        """A moment of an epoch before which Keras counts so many."""
        if self._earlier_epochs is None:
            self._earlier_epochs = max(math.ceil(self.epoch) - begun, 0)
        earlier = self._earlier_epochs
        return replace(
            moment,
            epoch=moment.epoch + earlier,
            step=moment.step + self._earlier_steps,
            n_epochs=None if moment.n_epochs is None else moment.n_epochs + earlier,
        )
