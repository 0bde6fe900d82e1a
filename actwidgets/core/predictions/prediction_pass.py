"""Predict all samples step by step, so that what is known so far can be shown."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from actwidgets.core.arrays import Floats, Integers
from actwidgets.core.predictions.prediction_table import PredictionTable

STEP = 256  # samples at first; of a fast model more, so that Python is no great part of it
LARGEST_STEP = 4096
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


def spread(n_samples: int, limit: int) -> Integers:
    """At most `limit` rows, evenly over all samples."""
    if n_samples <= limit:
        return np.arange(n_samples)
    return np.unique(np.linspace(0, n_samples - 1, limit).round().astype(np.int64))
