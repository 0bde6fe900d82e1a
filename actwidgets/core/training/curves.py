"""The metrics of a training over its steps and epochs, as curves of a bounded length."""

import math
from collections.abc import Mapping

import numpy as np

from actwidgets.core.arrays import Doubles
from actwidgets.core.training.epoch_count import EpochCount
from actwidgets.core.training.listener import Moment

MAX_STEPS = 2000  # points kept of each curve by steps; beyond it every other one goes
VALIDATION = "val_"


class Curves:
    """Gathers metrics while a model is trained, over several calls of `fit` if need be.

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
        self._count.begin(Moment())

    def add_step(self, moment: Moment) -> None:
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

    def add_epoch(self, moment: Moment) -> None:
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
        told = [*(each[2] for each in self._steps[:1]), *(each[1] for each in self._epochs[:1])]
        found = dict.fromkeys(
            name for metrics in told for name in metrics if not name.startswith(VALIDATION)
        )
        return tuple(sorted(found, key=lambda name: name != "loss"))

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
        found = [(epoch, metrics[name]) for epoch, metrics in self._epochs if name in metrics]
        places, values = zip(*found, strict=True) if found else ((), ())
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
