"""A pass over all samples for one layer, taken in steps so that it can be watched and left."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actwidgets.core.arrays import finite_range
from actwidgets.core.class_profiles import (
    ClassProfiles,
    add_batch,
    empty_profiles,
    with_threshold,
)
from actwidgets.core.unit_moments import peaks


@dataclass(frozen=True)
class _Read:
    n_samples: int
    profiles: ClassProfiles


class ProfilePass:
    """Profiles of one layer, gathered a batch at a time.

    The largest value of every unit on every sample is kept where it fits into
    `budget_bytes`; then profiles at any threshold follow without reading the samples again.

    Args:
        layer: Name of the layer.
        outputs: From a range of rows to the layer's outputs on them, `(sample, …, unit)`.
        labels: `(sample,)` class indices of all samples.
        class_names: One per class.
        threshold: What the pass counts where it cannot keep the peaks.
        budget_bytes: What the peaks may take.
        batch_size: Samples per step.
    """

    def __init__(
        self,
        layer: str,
        outputs: Callable[[range], Any],
        labels: NDArray[np.int64],
        class_names: tuple[str, ...],
        *,
        threshold: float,
        budget_bytes: int,
        batch_size: int = 128,
    ) -> None:
        self.layer = layer
        self._outputs = outputs
        self._labels = labels
        self._budget_bytes = budget_bytes
        self._batch_size = batch_size
        # Replaced as one, so that a reader on another thread sees a whole state.
        self._read = _Read(0, empty_profiles(class_names, threshold=threshold))
        self._stepping = threading.Lock()
        self._peaks: NDArray[Any] | None = None
        self._fits = True

    @property
    def n_read(self) -> int:
        """How many samples have been read."""
        return self._read.n_samples

    @property
    def n_samples(self) -> int:
        """How many samples the whole pass reads."""
        return len(self._labels)

    @property
    def complete(self) -> bool:
        """Whether every sample has been read."""
        return self.n_read >= self.n_samples

    @property
    def n_bytes(self) -> int:
        """Memory that the peaks take."""
        return 0 if self._peaks is None else self._peaks.nbytes

    def step(self) -> None:
        """Read one more batch; nothing where all is read. Any thread may call it."""
        with self._stepping:
            read = self._read
            rows = range(read.n_samples, min(read.n_samples + self._batch_size, self.n_samples))
            if not rows:
                return
            outputs = self._outputs(rows)
            self._keep_peaks(rows, peaks(outputs))
            labels = self._labels[rows.start : rows.stop]
            self._read = _Read(rows.stop, add_batch(read.profiles, {self.layer: outputs}, labels))

    def can_answer(self, threshold: float) -> bool:
        """Whether profiles at this threshold follow from what was read."""
        return self._fits or threshold == self._read.profiles.threshold

    def profiles(self, threshold: float) -> ClassProfiles:
        """What has been read so far, at a threshold that `can_answer`."""
        read = self._read
        if self._peaks is None or threshold == read.profiles.threshold:
            return read.profiles
        seen = slice(0, read.n_samples)
        return with_threshold(
            read.profiles, self.layer, self._peaks[seen], self._labels[seen], threshold
        )

    def peak_range(self) -> tuple[float, float]:
        """The smallest and the largest value read: where thresholds make a difference."""
        if not self._read.n_samples:
            return 0.0, 0.0
        moments = self._read.profiles.moments[self.layer]
        return finite_range(moments.low)[0], finite_range(moments.high)[1]

    def _keep_peaks(self, rows: range, found: NDArray[Any]) -> None:
        if self._peaks is None and self._fits:
            n_bytes = self.n_samples * found.shape[1] * found.itemsize
            self._fits = n_bytes <= self._budget_bytes
            if self._fits:
                self._peaks = np.empty((self.n_samples, found.shape[1]), found.dtype)
        if self._peaks is not None:
            self._peaks[rows.start : rows.stop] = found


class ProfilePasses:
    """The passes of the layers looked at last, as long as their peaks fit into a budget.

    Args:
        budget_bytes: What all passes may keep; a single one keeps at most half of it.
    """

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._passes: dict[str, ProfilePass] = {}

    def get(self, layer: str, threshold: float, make: Callable[[int], ProfilePass]) -> ProfilePass:
        """The pass of a layer that can answer for this threshold.

        Args:
            layer: Name of the layer.
            threshold: What it is asked for.
            make: From the bytes it may keep to a new pass, called where there is none.
        """
        found = self._passes.pop(layer, None)
        if found is None or not found.can_answer(threshold):
            found = make(self._budget_bytes // 2)
        self._passes[layer] = found  # last: the most recently used
        while sum(each.n_bytes for each in self._passes.values()) > self._budget_bytes:
            self._passes.pop(next(iter(self._passes)))
        return found
