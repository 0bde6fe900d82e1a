"""Predict all samples step by step, so that what is known so far can be shown."""

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from actwidgets.core.arrays import Floats, Integers
from actwidgets.core.predictions.confusion import PixelConfusion, PixelCounter
from actwidgets.core.predictions.output_kind import OutputKind
from actwidgets.core.predictions.prediction_table import PredictionTable

STEP = 256  # samples at first; of a fast model more, so that Python is no great part of it
LARGEST_STEP = 4096
PIXEL_STEP = 16  # samples of which each has many positions
FAST_S = 0.01  # a step that takes less is followed by one twice as large


class PredictionPass:
    """Fills a table of predictions; satisfies `background.Pass`.

    Args:
        table: Where the predictions are kept; what it knows already is not predicted again.
        predict: Gives the predictions of some rows.
    """

    what = "predictions"
    layers: tuple[str, ...] = ()

    def __init__(self, table: PredictionTable, predict: Callable[[Integers], Any]) -> None:
        self.table, self._predict = table, predict
        self.cancelled = False
        self._step = STEP

    @property
    def n_read(self) -> int:
        """How many samples have been predicted."""
        return self.table.n_known

    @property
    def n_samples(self) -> int:
        """How many samples there are."""
        return len(self.table)

    @property
    def complete(self) -> bool:
        """Whether every sample has been predicted."""
        return self.n_read >= self.n_samples

    @property
    def known(self) -> Integers:
        """Rows of the samples predicted so far."""
        return self.table.known

    def predictions(self, rows: Any) -> Floats:
        """The predictions of some rows, `(sample, class)` float32."""
        return self.table.of(rows, self._predict)

    def step(self) -> None:
        """Predict the next samples that are not known yet."""
        begun_s = time.monotonic()
        self.table.of(self.table.missing(self._step), self._predict, self._step)
        if time.monotonic() - begun_s < FAST_S:
            self._step = min(2 * self._step, LARGEST_STEP)


class PixelPass:
    """Compares masks with a model's maps of classes, batch by batch; a `background.Pass`.

    Args:
        counter: Where positions are counted.
        masks: From rows to the class of each position.
        predict: Gives what the model puts out for some rows, `(sample, …, class)`.
        output: What that means, and along which axis its classes lie.
    """

    what = "predictions"
    layers: tuple[str, ...] = ()

    def __init__(
        self, counter: PixelCounter, masks: Any, predict: Callable[[Any], Any], output: OutputKind
    ) -> None:
        self._counter, self._masks, self._predict, self._output = counter, masks, predict, output
        self.cancelled = False
        self._stepping = threading.Lock()

    @property
    def n_read(self) -> int:
        """How many samples have been compared."""
        return self._counter.n_read

    @property
    def n_samples(self) -> int:
        """How many samples there are."""
        return self._counter.n_samples

    @property
    def complete(self) -> bool:
        """Whether every sample has been compared."""
        return self.n_read >= self.n_samples

    def step(self) -> None:
        """Compare the next samples; any thread may call it."""
        with self._stepping:
            rows = np.arange(self.n_read, min(self.n_read + PIXEL_STEP, self.n_samples))
            if len(rows):
                outputs = np.moveaxis(np.asarray(self._predict(rows)), self._output.axis, -1)
                self._counter.add(self._masks[rows], outputs, self._output.threshold)

    def confusion(self) -> PixelConfusion:
        """What was counted so far."""
        with self._stepping:
            return self._counter.confusion()


def spread(n_samples: int, limit: int) -> Integers:
    """At most `limit` rows, evenly over all samples."""
    if n_samples <= limit:
        return np.arange(n_samples)
    return np.unique(np.linspace(0, n_samples - 1, limit).round().astype(np.int64))
