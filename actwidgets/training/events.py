"""What a training tells whoever watches it: events, intervals, epochs, curves of metrics."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from actwidgets.core.arrays import Doubles
from actwidgets.errors import DataError


@dataclass(frozen=True)
class TrainingMoment:
    """Epoch, step and metrics of a training at some moment.

    Attributes:
        epoch: Epochs that are complete, those before `initial_epoch` included.
        step: Steps of this call of `fit` that are complete.
        n_epochs: At which number of epochs it is to end; None where nobody knows.
        n_steps: Steps of an epoch; None where nobody knows.
        step_of_epoch: Steps of the epoch under way that are complete; 0 at the end of one.
        metrics: By name, as Keras has them: after a step the mean over the epoch so far, after
            an epoch those of the epoch, and with `val_` before their names of the validation.
    """

    epoch: int = 0
    step: int = 0
    n_epochs: int | None = None
    n_steps: int | None = None
    step_of_epoch: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)


class TrainingListener(Protocol):
    """Callbacks of a training, called between steps on the thread that trains.

    What it raises is logged and told to `failed`, the same thing once in a training; the
    training goes on.
    """

    def begins(self, moment: TrainingMoment) -> None:
        """Nothing has been trained yet."""

    def before_step(self, moment: TrainingMoment) -> None:
        """A step is about to begin."""

    def after_step(self, moment: TrainingMoment) -> None:
        """A step is complete."""

    def after_epoch(self, moment: TrainingMoment) -> None:
        """An epoch is complete, its validation included."""

    def ends(self, moment: TrainingMoment) -> None:
        """The training is over. Not told where it raised or was interrupted."""

    def failed(self, failure: Exception) -> None:
        """One of the above has raised."""


UNITS = ("epochs", "batches", "seconds")


@dataclass(frozen=True)
class Interval:
    """Every so many epochs, batches or seconds.

    Attributes:
        count: How many.
        unit: "epochs", "batches" or "seconds".
    """

    count: float
    unit: str

    def is_over(self, n_epochs: float, n_steps: int, seconds: float) -> bool:
        """Whether it is time again, so many epochs, steps and seconds after the last time."""
        passed = {"epochs": n_epochs, "batches": n_steps, "seconds": seconds}
        return passed[self.unit] >= self.count

    def is_last_step(
        self, n_epochs: float, n_steps: int, stride: int | None, left_of_epoch: int | None
    ) -> bool | None:
        """Whether the step about to begin is the last before it is over; None: nobody knows.

        Args:
            n_epochs: Whole epochs since the last time.
            n_steps: Steps since then.
            stride: Steps that are done at a time, where that is known.
            left_of_epoch: Steps that the epoch still has, where that is known.
        """
        if stride is None:
            return None
        if self.unit == "batches":
            return n_steps + stride >= self.count
        if self.unit == "seconds" or left_of_epoch is None:
            return None
        return stride >= left_of_epoch and n_epochs + 1 >= self.count


def interval(every: Any) -> Interval:
    """Read an interval: "epoch", "batch" or "second", or `("batches", 50)` and the like.

    Raises:
        DataError: Nothing of the kind; a number that is not positive, or a part of a batch.
    """
    if isinstance(every, Interval):
        return every
    if isinstance(every, str):
        plural = {"epoch": "epochs", "batch": "batches", "second": "seconds"}.get(every, every)
        unit, count = plural, 1.0
    elif isinstance(every, Sequence) and len(every) == 2:
        unit, count = every
    else:
        unit, count = "", 0.0
    is_number = isinstance(count, int | float) and not isinstance(count, bool)
    whole = unit == "seconds" or (is_number and float(count).is_integer())
    if unit not in UNITS or not is_number or not 0 < count < float("inf") or not whole:
        raise DataError(
            'an interval is "epoch", "batch" or "second", or a pair of "epochs", "batches" or '
            f'"seconds" and a number, as ("batches", 50); got {every!r}'
        )
    return Interval(float(count), unit)


class EpochCount:
    """Counts epochs and steps over several calls of `fit`.

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

    def begin(self, moment: TrainingMoment) -> None:
        """Another `fit` begins; the one before may have been interrupted."""
        self._earlier_epochs, self._earlier_steps = None, self.step - moment.step
        self._done_of_epoch = 0

    def before_step(self, moment: TrainingMoment) -> TrainingMoment:
        """A step begins. Returns that moment, its epochs and steps counted over all fits."""
        return self._counted(moment, moment.epoch)

    def after_step(self, moment: TrainingMoment) -> TrainingMoment:
        """A step, or several at a time, are complete. Returns as `before_step`."""
        now = self._counted(moment, moment.epoch)
        self.steps_of_epoch = moment.n_steps or self.steps_of_epoch
        self._done_of_epoch = done = moment.step_of_epoch
        whole = self.steps_of_epoch or done + 1
        self.epoch, self.step = now.epoch + min(done / whole, 1), now.step
        return now

    def after_epoch(self, moment: TrainingMoment) -> TrainingMoment:
        """An epoch is complete, with steps or without. Returns as `before_step`."""
        now = self._counted(moment, moment.epoch - 1)
        self.epoch, self.step = now.epoch, now.step
        self.steps_of_epoch = moment.n_steps or self._done_of_epoch or self.steps_of_epoch
        return now

    def _counted(self, moment: TrainingMoment, begun: int) -> TrainingMoment:
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


MAX_STEPS = 2000  # points kept of each curve by steps; beyond it every other one goes
VALIDATION = "val_"


class Curves:
    """Learning curves of metrics by step and by epoch, over several calls of `fit`.

    Places are counted in epochs, as `EpochCount` does: 1.5 is amid the second one. Where nobody
    knows how many steps an epoch has, its steps so far lie evenly in it, short of its end.
    """

    def __init__(self) -> None:
        self._count = EpochCount()
        # Epochs before it, step in its epoch, metrics.
        self._steps: list[tuple[int, int, Mapping[str, float]]] = []
        self._epochs: list[tuple[int, Mapping[str, float]]] = []
        self._every, self._n_offered = 1, 0
        self._n_steps: dict[int, int] = {}  # of an epoch, by the epochs before it

    def begin(self) -> None:
        """Say that another `fit` begins: its epochs come behind those there are."""
        self._count.begin(TrainingMoment())

    def add_step(self, moment: TrainingMoment) -> None:
        """Take the metrics after a step, the mean over the epoch so far."""
        now = self._count.after_step(moment)
        step = now.step_of_epoch
        self._n_steps[now.epoch] = max(self._count.steps_of_epoch or step + 1, step)
        self._n_offered += 1
        if self._n_offered % self._every:
            return
        self._steps.append((now.epoch, step, dict(now.metrics)))
        if len(self._steps) > MAX_STEPS:
            self._steps = self._steps[1::2]
            self._every *= 2

    def add_epoch(self, moment: TrainingMoment) -> None:
        """Take the metrics after an epoch, those of its validation included."""
        now = self._count.after_epoch(moment)
        if self._count.steps_of_epoch:
            self._n_steps[now.epoch - 1] = self._count.steps_of_epoch
        self._epochs.append((now.epoch, dict(now.metrics)))

    @property
    def n_epochs(self) -> int:
        """Epochs that are complete."""
        return math.floor(self._count.epoch)

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics, `loss` first, without those of validation."""
        first = [*(step[2] for step in self._steps[:1]), *(epoch[1] for epoch in self._epochs[:1])]
        names = dict.fromkeys(
            name for metrics in first for name in metrics if not name.startswith(VALIDATION)
        )
        return tuple(sorted(names, key=lambda name: name != "loss"))

    def by_step(self, name: str) -> tuple[Doubles, Doubles]:
        """Places in epochs and values of a metric, each the mean over its epoch so far.

        Returns:
            Two arrays `(point,)` float64; every epoch's end is followed by a NaN, where a line
            is to break: the next mean begins anew.
        """
        places, values, before = [], [], -1
        for epoch, step, metrics in self._steps:
            if before not in (-1, epoch):
                places.append(float(epoch))
                values.append(math.nan)
            before = epoch
            places.append(epoch + min(step / self._n_steps[epoch], 1.0))
            values.append(metrics.get(name, math.nan))
        return np.array(places, np.float64), np.array(values, np.float64)

    def by_epoch(self, name: str) -> tuple[Doubles, Doubles]:
        """Epochs and values of a metric at their ends, `(epoch,)` float64 each.

        Where it is one of validation, those epochs alone that had some.
        """
        points = [(epoch, metrics[name]) for epoch, metrics in self._epochs if name in metrics]
        places, values = zip(*points, strict=True) if points else ((), ())
        return np.array(places, np.float64), np.array(values, np.float64)

    @property
    def earlier_epochs(self) -> int:
        """Epochs of the fits before this one that it does not count itself."""
        return self._count.earlier_epochs

    @property
    def last(self) -> Mapping[str, float]:
        """The metrics told last."""
        if self._steps and (not self._epochs or self._steps[-1][0] >= self._epochs[-1][0]):
            return self._steps[-1][2]
        return self._epochs[-1][1] if self._epochs else {}
