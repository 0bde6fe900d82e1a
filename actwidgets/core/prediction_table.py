"""Predictions of all samples, made for the rows that are asked for and kept."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

BATCH_SIZE = 256


class PredictionTable:
    """`(sample, class)` float32, filled in as far as it was asked for."""

    def __init__(self, n_samples: int, n_classes: int) -> None:
        self._values = np.empty((n_samples, n_classes), np.float32)
        self._known = np.zeros(n_samples, bool)

    def of(
        self, rows: Sequence[int], predict: Callable[[NDArray[np.intp]], Any]
    ) -> NDArray[np.float32]:
        """The predictions of `rows`, a copy; `predict` is called for those not yet known."""
        wanted = np.asarray(rows, dtype=np.intp)
        missing = np.unique(wanted[~self._known[wanted]])
        for start in range(0, len(missing), BATCH_SIZE):
            batch = missing[start : start + BATCH_SIZE]
            self._values[batch] = predict(batch)
            self._known[batch] = True
        return self._values[wanted]
