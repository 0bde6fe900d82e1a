"""Predictions of all samples, made for the rows that are asked for and kept."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core.arrays import Floats, Integers

BATCH_SIZE = 256


class PredictionTable:
    """`(sample, class)` float32, filled in as far as it was asked for."""

    def __init__(self, n_samples: int, n_classes: int) -> None:
        self._values = np.empty((n_samples, n_classes), np.float32)
        self._is_known = np.zeros(n_samples, bool)

    def __len__(self) -> int:
        """How many samples there are."""
        return len(self._values)

    @property
    def n_known(self) -> int:
        """How many of them have been predicted."""
        return int(np.count_nonzero(self._is_known))

    @property
    def known(self) -> Integers:
        """Their rows."""
        return np.flatnonzero(self._is_known)

    def missing(self, limit: int) -> Integers:
        """The first rows that have not been predicted."""
        return np.flatnonzero(~self._is_known)[:limit]

    def of(
        self, rows: ArrayLike, predict: Callable[[Integers], Any], batch_size: int = BATCH_SIZE
    ) -> Floats:
        """The predictions of `rows`, a copy; `predict` is called for those not yet known."""
        wanted = np.asarray(rows, dtype=np.intp)
        missing = np.unique(wanted[~self._is_known[wanted]])
        for start in range(0, len(missing), batch_size):
            batch = missing[start : start + batch_size]
            self._values[batch] = predict(batch)
            self._is_known[batch] = True
        return self._values[wanted]
