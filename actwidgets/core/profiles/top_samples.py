"""The samples that drive each unit most, kept while samples stream by."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actwidgets.core.arrays import Array, Floats, Integers

N_TOP = 24


class TopSamples:
    """The `N_TOP` largest values of every unit, and whose they are.

    Ties go to the sample that comes first; NaN is never among them.
    """

    def __init__(self) -> None:
        self._values: Array | None = None  # (top, unit), unordered; -inf where there is none
        self._rows: NDArray[np.int64] | None = None

    def add(self, values: Array, first_row: int) -> None:
        """Add the values of samples that follow on those before.

        Args:
            values: `(sample, unit)`.
            first_row: The row of the first of them.
        """
        values = np.where(np.isnan(values), -np.inf, values)
        rows = np.broadcast_to(
            np.arange(first_row, first_row + len(values), dtype=np.int64)[:, None], values.shape
        )
        if self._values is not None and self._rows is not None:
            values = np.concatenate([self._values, values])
            rows = np.concatenate([self._rows, rows])
        # A stable sort: of equal values the one that came first stays.
        best = np.argsort(-values, axis=0, kind="stable")[:N_TOP]
        self._values = np.take_along_axis(values, best, axis=0)
        self._rows = np.take_along_axis(rows, best, axis=0)

    def of_unit(self, unit: int) -> tuple[Integers, Floats]:
        """Rows of the samples that drive a unit most, the first the most, and their values."""
        if self._values is None or self._rows is None:
            return self.none()
        values = self._values[:, unit]
        known = values > -np.inf
        return self._rows[known, unit], values[known]

    @staticmethod
    def of(values: ArrayLike) -> tuple[Integers, Floats]:
        """The same of a single unit whose values are all at hand, `(sample,)`."""
        values = np.asarray(values)
        known = np.flatnonzero(values > -np.inf)
        best = known[np.argsort(-values[known], kind="stable")[:N_TOP]]
        return best.astype(np.int64), values[best]

    @staticmethod
    def none() -> tuple[Integers, Floats]:
        """No samples."""
        return np.zeros(0, np.int64), np.zeros(0, np.float32)
