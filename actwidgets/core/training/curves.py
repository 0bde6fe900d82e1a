"""The metrics of a training over its steps and epochs, as curves of a bounded length."""

import math
from collections.abc import Mapping

import numpy as np

from actwidgets.core.arrays import Doubles
from actwidgets.core.training.listener import Moment

MAX_STEPS = 2000  # points kept of each curve by steps; beyond it every other one goes
VALIDATION = "val_"


class Curves:
    """Gathers metrics while a model is trained, over several calls of `fit` if need be.

    Places are counted in epochs: 1.5 is amid the second one. Where nobody knows how many steps
    an epoch has, the first epoch of a `fit` is taken to have as many as were seen so far. An epoch
    that was interrupted counts: the next `fit` begins behind it.
    """

    def __init__(self) -> None:
        # Which fit, epoch, step in it, metrics.
        self._steps: list[tuple[int, int, int, Mapping[str, float]]] = []
        self._epochs: list[tuple[int, Mapping[str, float]]] = []
        self._every, self._n_offered = 1, 0
        self._n_steps = [0]  # of an epoch, by fit
        self._last_epoch = 0
        self._offset: int | None = 0  # epochs of earlier fits; None until one is seen

    def begin(self) -> None:
        """Say that another `fit` begins: its epochs come behind those there are."""
        self._offset = None
        self._n_steps.append(0)

    def add_step(self, moment: Moment) -> None:
        """Take the metrics after a step, the mean over the epoch so far."""
        self._n_steps[-1] = max(self._n_steps[-1], moment.n_steps or 0, moment.step_of_epoch)
        epoch = self._counted(moment.epoch)
        self._last_epoch = epoch + 1
        self._n_offered += 1
        if self._n_offered % self._every:
            return
        fit = len(self._n_steps) - 1
        self._steps.append((fit, epoch, moment.step_of_epoch, dict(moment.metrics)))
        if len(self._steps) > MAX_STEPS:
            self._steps = self._steps[1::2]
            self._every *= 2

    def add_epoch(self, moment: Moment) -> None:
        """Take the metrics after an epoch, those of its validation included."""
        self._last_epoch = self._counted(moment.epoch - 1) + 1
        self._epochs.append((self._last_epoch, dict(moment.metrics)))

    @property
    def n_epochs(self) -> int:
        """Epochs that are complete."""
        return self._last_epoch

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics, `loss` first, without those of validation."""
        told = [*(each[3] for each in self._steps[:1]), *(each[1] for each in self._epochs[:1])]
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
        for fit, epoch, step, metrics in self._steps:
            if before not in (-1, epoch):
                places.append(float(epoch))
                values.append(math.nan)
            before = epoch
            places.append(epoch + min(step / max(self._n_steps[fit], 1), 1.0))
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
        return self._offset or 0

    @property
    def last(self) -> Mapping[str, float]:
        """The metrics told last."""
        if self._steps and (not self._epochs or self._steps[-1][1] >= self._epochs[-1][0]):
            return self._steps[-1][3]
        return self._epochs[-1][1] if self._epochs else {}

    def _counted(self, epoch: int) -> int:
        """An epoch of this `fit` among all of them; one with an `initial_epoch` goes on itself."""
        if self._offset is None:
            self._offset = max(self._last_epoch - epoch, 0)
        return epoch + self._offset
