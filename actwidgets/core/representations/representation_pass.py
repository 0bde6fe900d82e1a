"""How alike layers represent the samples, read in steps so that it can be watched and left."""

import threading
from collections.abc import Callable, Mapping

import numpy as np

from actwidgets.core.arrays import Array
from actwidgets.core.representations.cka_sums import CkaSums
from actwidgets.core.representations.layer_similarity import LayerSimilarityTable
from actwidgets.errors import DataError

ENOUGH = 4  # samples; of fewer there is no debiased CKA
Outputs = Callable[[tuple[str, ...], range], Mapping[str, Array]]


class RepresentationPass:
    """Debiased CKA of every layer with every other, gathered a batch at a time.

    A layer that puts out NaN or infinity is left out, whatever it was that came first.

    Args:
        layers: Names of the rows.
        outputs: From layers and a range of rows to each layer's `(sample, feature)`.
        other_layers: Names of the columns, where they are another model's; else None.
        other_outputs: As `outputs`, of the other model.
        n_samples: How many samples are read.
        budget_bytes: What exact sums may take.
        batch_size: Samples per step.
    """

    what = "representations"

    def __init__(
        self,
        layers: tuple[str, ...],
        outputs: Outputs,
        *,
        other_layers: tuple[str, ...] | None = None,
        other_outputs: Outputs | None = None,
        n_samples: int,
        budget_bytes: int,
        batch_size: int = 128,
    ) -> None:
        self.layers = layers
        self.n_samples = n_samples
        self.cancelled = False  # set by whoever cancels it, so that nobody reads on unasked
        self.left_out: tuple[str, ...] = ()
        self._outputs, self._other_outputs = outputs, other_outputs
        self._other_layers = other_layers
        self._budget_bytes, self._batch_size = budget_bytes, batch_size
        self._stepping = threading.Lock()
        self._table: LayerSimilarityTable | None = None
        self._begin()

    @property
    def n_read(self) -> int:
        """How many samples have been read."""
        return self._sums.n_samples

    @property
    def complete(self) -> bool:
        """Whether every sample has been read."""
        return self.n_read >= self.n_samples

    def step(self) -> None:
        """Read one more batch; nothing where all is read. Any thread may call it.

        Raises:
            DataError: Every layer puts out NaN or infinity.
        """
        with self._stepping:
            start = self.n_read
            rows = range(start, min(start + self._batch_size, self.n_samples))
            if not rows:
                return
            found = self._outputs(self.layers, rows)
            other = None
            if self._other_layers is not None and self._other_outputs is not None:
                other = self._other_outputs(self._other_layers, rows)
            odd = _not_finite(found) | _not_finite(other or {})
            if odd:
                self._leave_out(odd)
                return
            self._sums.add(found, other)

    def table(self) -> LayerSimilarityTable | None:
        """What has been read so far; None before there are 4 samples."""
        with self._stepping:
            if self.n_read < ENOUGH:
                return None
            if self._table is None or self._table.n_samples != self.n_read:
                self._table = self._sums.table()
            return self._table

    def _begin(self) -> None:
        self._sums = CkaSums(
            self.layers, self._other_layers, memory_budget_bytes=self._budget_bytes
        )

    def _leave_out(self, odd: set[str]) -> None:
        """Begin anew without some layers."""
        self.left_out = (*self.left_out, *sorted(odd - set(self.left_out)))
        self.layers = tuple(name for name in self.layers if name not in odd)
        if self._other_layers is not None:
            self._other_layers = tuple(name for name in self._other_layers if name not in odd)
        if not self.layers or self._other_layers == ():
            self.n_samples = 0
            raise DataError("every layer puts out NaN or infinity on some sample")
        self._begin()


def _not_finite(outputs: Mapping[str, Array]) -> set[str]:
    return {name for name, values in outputs.items() if not np.isfinite(values).all()}
