"""A pass over all samples, taken in steps so that it can be watched and left."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actwidgets.core.arrays import Floats, finite_range
from actwidgets.core.labels import label_pairs
from actwidgets.core.profiles.class_profiles import ClassProfiles
from actwidgets.core.profiles.profile_builder import ProfileBuilder, Wanted
from actwidgets.core.profiles.sample_summary import SampleSummary
from actwidgets.core.profiles.top_samples import TopSamples

Layers = tuple[str, ...]


@dataclass(frozen=True)
class _Read:
    n_samples: int
    profiles: ClassProfiles


class ProfilePass:
    """Profiles of some layers, gathered a batch at a time.

    The largest value of every unit on every sample is kept where it fits into
    `budget_bytes`; then profiles at any threshold follow exactly, without reading the
    samples again. Beyond the budget they follow from histograms, with their error.

    Args:
        layers: Names of the layers.
        summaries: From a range of rows to each layer's summary of them.
        labels: `(sample,)` class indices of all samples; or `(sample, class)` bool, where one
            counts in every class that it has.
        class_names: One per class.
        threshold: What the pass counts.
        budget_bytes: What the peaks may take.
        batch_size: Samples per step.
    """

    what = "profiles"

    def __init__(
        self,
        layers: Layers,
        summaries: Callable[[range], Mapping[str, SampleSummary]],
        labels: NDArray[np.int64] | NDArray[np.bool_],
        class_names: tuple[str, ...],
        *,
        threshold: float,
        budget_bytes: int,
        batch_size: int = 64,
    ) -> None:
        self.layers = layers
        self.cancelled = False  # set by whoever cancels it, so that nobody reads on unasked
        self._summaries = summaries
        self._labels = labels
        self._budget_bytes = budget_bytes
        self._batch_size = batch_size
        self._builder = ProfileBuilder(class_names, Wanted(threshold))
        # Replaced as one, so that a reader on another thread sees a whole state.
        self._read = _Read(0, self._builder.profiles(complete=False))
        self._stepping = threading.Lock()
        self._peaks: dict[str, NDArray[Any]] = {}
        self._top: dict[str, TopSamples] = {}
        self._fits = True

    @property
    def n_read(self) -> int:
        """How many samples have been read."""
        return self._builder.n_samples

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
        return sum(each.nbytes for each in self._peaks.values())

    def step(self) -> None:
        """Read one more batch; nothing where all is read. Any thread may call it."""
        with self._stepping:
            start = self._builder.n_samples
            rows = range(start, min(start + self._batch_size, self.n_samples))
            if not rows:
                return
            summaries = self._summaries(rows)
            self._keep_peaks(rows, summaries)
            self._builder.add(summaries, self._labels[rows.start : rows.stop])

    def can_answer(self, threshold: float) -> bool:
        """Whether profiles at this threshold follow from what was read."""
        profiles = self._sofar().profiles
        held = profiles.layers or self.layers
        return (
            self._fits
            or threshold == profiles.threshold
            or all("histogram" in profiles.gathered(name) for name in held if profiles.layers)
        )

    def profiles(self, threshold: float) -> ClassProfiles:
        """What has been read so far, at a threshold that `can_answer`.

        `complete` of the result tells whether that is all.
        """
        read = self._sofar()
        profiles = read.profiles
        if threshold == profiles.threshold or not profiles.layers:
            return profiles
        if not self._peaks:
            return profiles.at_threshold(threshold)
        seen: Any = slice(0, read.n_samples)
        labels = self._labels[seen]
        if labels.ndim == 2:
            seen, labels = label_pairs(labels)
        peaks = {name: high[seen] for name, high in self._peaks.items()}
        return profiles.at_peaks(peaks, labels, threshold)

    def peak_range(self, layer: str) -> tuple[float, float]:
        """The smallest and the largest value read: where thresholds make a difference."""
        profiles = self._sofar().profiles
        if layer not in profiles.layers:
            return 0.0, 0.0
        sums = profiles.sums[layer]
        assert sums.low is not None
        assert sums.high is not None
        return finite_range(sums.low)[0], finite_range(sums.high)[1]

    def peaks(self, layer: str) -> Floats | None:
        """`(sample, unit)`: the largest value of each sample read, or None where not kept."""
        kept = self._peaks.get(layer)
        return None if kept is None else kept[: self.n_read]

    def top(self, layer: str, unit: int) -> tuple[NDArray[np.int64], Floats]:
        """The samples read that drive a unit most, the first the most, and their values."""
        peaks = self.peaks(layer)
        if peaks is not None:
            return TopSamples.of(peaks[:, unit])
        top = self._top.get(layer)
        return TopSamples.none() if top is None else top.of_unit(unit)

    def _sofar(self) -> _Read:
        read = self._read
        if read.n_samples == self._builder.n_samples:
            return read
        with self._stepping:  # a copy is taken when somebody looks, not with every batch
            n_read = self._builder.n_samples
            profiles = self._builder.profiles(complete=n_read >= self.n_samples)
            self._read = _Read(n_read, profiles)
            return self._read

    def _keep_peaks(self, rows: range, summaries: Mapping[str, SampleSummary]) -> None:
        if not self._peaks and self._fits:
            per_sample = sum(each.high[0].nbytes for each in summaries.values())
            self._fits = self.n_samples * per_sample <= self._budget_bytes
            if self._fits:
                self._peaks = {
                    name: np.empty((self.n_samples, each.high.shape[1]), each.high.dtype)
                    for name, each in summaries.items()
                }
        for name, summary in summaries.items():
            if self._fits:
                self._peaks[name][rows.start : rows.stop] = summary.high
            else:
                self._top.setdefault(name, TopSamples()).add(summary.high, rows.start)


class ProfilePasses:
    """The passes of the layers looked at last, as long as their peaks fit into a budget.

    Args:
        budget_bytes: What all passes may keep; a single one keeps at most half of it.
    """

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._passes: dict[Layers, ProfilePass] = {}

    def get(
        self, layers: Layers, threshold: float, make: Callable[[int], ProfilePass]
    ) -> ProfilePass:
        """A pass that can answer for these layers at this threshold.

        Args:
            layers: Names of the layers.
            threshold: What it is asked for.
            make: From the bytes it may keep to a new pass, called where there is none.
        """
        for found in self._passes.values():
            if found.complete and found.n_bytes and set(layers) <= set(found.layers):
                self._use(found.layers)
                return found  # with its peaks it can answer exactly for any threshold
        known = self._passes.get(layers)
        if known is None or not known.can_answer(threshold):
            known = self._passes[layers] = make(self._budget_bytes // 2)
        self._use(layers)
        while sum(each.n_bytes for each in self._passes.values()) > self._budget_bytes:
            self._passes.pop(next(iter(self._passes)))
        return known

    def resume(self) -> None:
        """Have cancelled passes go on when they are asked for."""
        for each in self._passes.values():
            each.cancelled = False

    def _use(self, layers: Layers) -> None:
        """Put a pass last: the most recently used."""
        self._passes[layers] = self._passes.pop(layers)
