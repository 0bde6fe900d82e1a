"""What a snapshot holds of all samples, in the place of a pass that would gather it."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from actwidgets.core.arrays import Floats, Integers, finite_range
from actwidgets.core.profiles.class_profiles import ClassProfiles
from actwidgets.core.profiles.profile_pass import Layers, ProfilePass
from actwidgets.core.profiles.top_samples import TopSamples

if TYPE_CHECKING:
    from actwidgets.recording.recorded_probe import RecordedProbe


class StoredPass(ProfilePass):
    """A pass that is through: the profiles are those of the training, exact at its threshold.

    At another threshold they follow from the stored peaks, which are quantised.

    Args:
        probe: At a snapshot, where it stays; a live recording may lose others before it.
        layers: Names of recorded layers.
        labels: `(sample,)` class indices of all recorded samples.
    """

    def __init__(self, probe: "RecordedProbe", layers: Layers, labels: Integers) -> None:
        self.layers, self.cancelled = layers, False
        self._probe, self._labels = probe, labels
        stored = probe.recording.profiles(probe.at)
        sums = {name: stored.sums[name] for name in layers}
        self._stored = replace(stored, sums=sums, complete=True)
        self._moved: tuple[float, ClassProfiles] | None = None

    @property
    def n_read(self) -> int:
        """All samples."""
        return len(self._labels)

    @property
    def n_bytes(self) -> int:
        """Nothing of its own."""
        return 0

    def step(self) -> None:
        """Do nothing: all is there."""

    def can_answer(self, threshold: float) -> bool:
        """At any threshold."""
        return True

    def profiles(self, threshold: float) -> ClassProfiles:
        """The profiles at a threshold; the last ones that were worked out are kept."""
        if threshold == self._stored.threshold:
            return self._stored
        if self._moved is None or self._moved[0] != threshold:
            peaks = {name: self.peaks(name) for name in self.layers}
            labels = np.asarray(self._labels, np.int64)  # of recordings one class each
            self._moved = threshold, self._stored.at_peaks(peaks, labels, threshold)
        return self._moved[1]

    def peaks(self, layer: str) -> Floats:
        """`(sample, unit)` float32: the largest value of each sample."""
        return np.asarray(self._probe.recording.summaries(layer, self._probe.at).high, np.float32)

    def peak_range(self, layer: str) -> tuple[float, float]:
        """The smallest and the largest value of a layer."""
        sums = self._stored.sums[layer]
        lows = self.peaks(layer) if sums.low is None else sums.low
        highs = self.peaks(layer) if sums.high is None else sums.high
        return finite_range(lows)[0], finite_range(highs)[1]

    def top(self, layer: str, unit: int) -> tuple[Integers, Floats]:
        """The samples that drive a unit most, the first the most, and their values."""
        return TopSamples.of(self.peaks(layer)[:, unit])
