"""The numbers behind the pictures of a session. Arrays come from methods, never from traits."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import traitlets as t

from actwidgets.background import BackgroundReader, Pass, Reading
from actwidgets.core import probes
from actwidgets.core.arrays import Array, Doubles, Floats, Integers
from actwidgets.core.box_statistics import (
    BoxStatistics,
    box_statistics,
    sketched_box_statistics,
)
from actwidgets.core.class_profiles import ClassProfiles
from actwidgets.core.images import Pixels
from actwidgets.core.layer_info import LayerInfo
from actwidgets.core.model_numbers import ModelNumbers
from actwidgets.core.outcomes import predicted_classes
from actwidgets.core.probes import Probe
from actwidgets.core.profile_pass import Layers, ProfilePass
from actwidgets.core.samples import Samples
from actwidgets.core.selection import known_rows
from actwidgets.errors import DataError

COMPLETE_KEPT = 8  # results of passes, for when a later one is cancelled


class SessionNumbers(t.HasTraits):
    """What a model says of the samples, for the selection that `Session` keeps.

    Args:
        samples: The samples.
        memory_budget_bytes: What cached arrays and kept peaks may take, about.
    """

    reading = t.Instance(Reading, allow_none=True, read_only=True, help="a pass under way")

    class_names: tuple[str, ...]
    layer: Any
    samples: Any
    unit: Any
    threshold: Any
    _probe: Probe
    _infos: dict[str, LayerInfo]

    def __init__(self, samples: Samples, memory_budget_bytes: int) -> None:
        self.lock = threading.RLock()
        self.memory_budget_bytes = memory_budget_bytes
        self._samples = samples
        self._reader = BackgroundReader(self._report)
        self._complete: OrderedDict[Layers, ClassProfiles] = OrderedDict()
        super().__init__()

    # --- samples -------------------------------------------------------------------------

    @property
    def n_samples(self) -> int:
        """How many samples there are."""
        return len(self._samples)

    @property
    def labels(self) -> Integers | None:
        """`(sample,)` int64 class indices, or None where no labels were given."""
        return self._samples.labels

    def exemplars(self, class_index: int, limit: int = 1) -> tuple[int, ...]:
        """The first `limit` samples of a class; none where it has none."""
        return self._samples.of_class(class_index, limit)

    def pictures(self, rows: Sequence[int] | None = None) -> Pixels:
        """The image input of `rows`, or of `samples`: `(sample, row, column, 3)` uint8."""
        shown = self.samples if rows is None else known_rows(rows, self.n_samples)
        return self._samples.pictures(shown)

    # --- forward passes ------------------------------------------------------------------

    def maps(self, rows: Sequence[int] | None = None) -> Array:
        """Activations of the chosen layer on `rows`, or on `samples`.

        Returns:
            `(sample, …, unit)` float32, read-only, in the order of the rows.

        Cost: one forward pass to that layer, unless it was asked for before.
        """
        with self.lock:
            self._reader.touch()
            shown = self.samples if rows is None else known_rows(rows, self.n_samples)
            return self._numbers.maps(self.layer, tuple(shown))

    def kernels(self) -> Array:
        """The weights of the chosen layer: `(row, column, in_channel, out_channel)` float32.

        Raises:
            LayerError: The layer has no kernels.
        """
        with self.lock:
            return probes.kernels(self._probe, self.layer)

    @property
    def predicts_classes(self) -> bool:
        """Whether the model tells classes apart: a value for each, or one for two of them.

        A single output without labels may as well be a regression: it predicts no class.
        """
        n_outputs = self._probe.n_classes
        return n_outputs > 1 or (n_outputs == 1 and self.labels is not None)

    def predictions(self, rows: Sequence[int] | None = None) -> Floats:
        """The model's output on `rows`, or on all samples: `(sample, class)` float32.

        Raises:
            DataError: The model's output is not `(sample, class)`.

        Cost: a forward pass for the rows that were not asked for before.
        """
        if not self.predicts_classes:
            raise DataError("this model's output is not one value per class: no predictions")
        with self.lock:
            rows = range(self.n_samples) if rows is None else known_rows(rows, self.n_samples)
            return self._numbers.predictions(rows)

    def predicted_classes(self, rows: Sequence[int] | None = None) -> Integers:
        """The predicted class of `rows`, or of all samples: `(sample,)` int64."""
        return predicted_classes(self.predictions(rows))

    # --- passes over all samples ---------------------------------------------------------

    def profiles(self, *, partial: bool = False, every_layer: bool = False) -> ClassProfiles:
        """Class profiles at the chosen threshold, over all samples.

        Args:
            partial: Return at once with what has been read so far, at least one batch, and
                read on in the background; `reading` tells how far it is. After `cancel`, the
                last complete result where there is one, of whatever weights.
            every_layer: Of all layers whose number of units is fixed, in one pass, instead
                of the chosen one.

        Raises:
            DataError: The session has no labels.

        Cost: one pass over the samples. Another threshold then costs a comparison per sample
        and unit while the peaks fit into a quarter of the memory budget; beyond it comes from
        histograms, and `firing_error` of the result says how far it may be off.
        """
        with self.lock:
            threshold = self.threshold
            profile_pass = self._pass(every_layer)
        if not profile_pass.n_read:
            profile_pass.step()
        if partial:
            return self._so_far(profile_pass, threshold)
        while not profile_pass.complete:
            profile_pass.step()
        return self._kept(profile_pass.layers, profile_pass.profiles(threshold))

    def missing_for_classes(self, *, every_layer: bool = False) -> str:
        """Why classes cannot be compared, in the chosen layer or in any: "" where they can."""
        if self.labels is None:
            return "this needs labels"
        if len(self.class_names) < 2:
            return "this needs two classes or more"
        if every_layer:
            return "" if any(map(_has_units, self._infos.values())) else "all outputs are empty"
        return "its output is empty" if 0 in self._infos[self.layer].output_shape else ""

    def similarity(self, statistic: str = "firing_rate", metric: str = "mean_abs_diff") -> Doubles:
        """How far the classes are apart in the chosen layer; see `ClassProfiles.similarity`."""
        return self.profiles().similarity(self.layer, statistic, metric)

    def value_range(self) -> tuple[float, float]:
        """The smallest and the largest value that `profiles` has read of the chosen layer."""
        with self.lock:
            return self._pass().peak_range(self.layer)

    def unit_boxes(self) -> BoxStatistics:
        """The chosen unit's values by class, over the samples that `profiles` has read.

        For a map, each sample's largest value. Exact where these fit into a quarter of the
        memory budget, else sketched, with the `error` of the result.

        Raises:
            DataError: The session has no labels.
        """
        with self.lock:
            profile_pass, unit = self._pass(), self.unit
        peaks = profile_pass.peaks(self.layer)
        if peaks is None:
            sums = profile_pass.profiles(self.threshold).sums[self.layer]
            return sketched_box_statistics(sums, unit)
        assert self.labels is not None
        return box_statistics(peaks[:, unit], self.labels[: len(peaks)], len(self.class_names))

    def top_samples(self, limit: int = 24) -> tuple[Integers, Floats]:
        """The samples that drive the chosen unit most, of those that `profiles` has read.

        Returns:
            Rows, the one that drives it most first, and the largest value of each, on a map
            at any position. At most 24.

        Raises:
            DataError: The session has no labels.
        """
        with self.lock:
            rows, values = self._pass().top(self.layer, self.unit)
        return rows[:limit], values[:limit]

    def cancel(self) -> None:
        """Read no further. What was read stays, marked as partial; `resume` goes on."""
        left = self._reader.cancel()
        for each in left:
            each.cancelled = True
        if left:
            self._report(_cancelled(left[-1]))

    def resume(self) -> None:
        """Go on with the passes that were cancelled, as soon as a view asks for them."""
        with self.lock:
            self._numbers.resume()
            if self.reading is not None and self.reading.cancelled:
                reading = self.reading
                self.set_trait(
                    "reading", Reading(reading.layers, reading.n_read, reading.n_samples)
                )

    def wait(self) -> None:
        """Return when the passes under way, if there are any, are finished.

        A kernel interrupt while this waits cancels them.
        """
        try:
            self._reader.wait()
        except KeyboardInterrupt:
            self.cancel()
            raise

    def close(self) -> None:
        """Stop reading in the background. The session goes on working."""
        self._reader.stop()
        probes.stop(self._probe)

    # --- how they are kept ---------------------------------------------------------------

    def _forget(self, *, everything: bool = False) -> None:
        """Drop what the model said, as it may say something else now."""
        self._reader.cancel()
        if everything:
            self._complete.clear()
        self._numbers = ModelNumbers(
            self._probe, self._samples, self.class_names, self.memory_budget_bytes
        )

    def _pass(self, every_layer: bool = False) -> ProfilePass:
        layers: Layers = (self.layer,)
        if every_layer:
            layers = tuple(info.name for info in self._infos.values() if _has_units(info))
        return self._numbers.profile_pass(layers, self.threshold)

    def _so_far(self, profile_pass: ProfilePass, threshold: float) -> ClassProfiles:
        layers = profile_pass.layers
        if profile_pass.complete:
            return self._kept(layers, profile_pass.profiles(threshold))
        if profile_pass.cancelled:
            self._report(_cancelled(profile_pass))  # whatever was read since
            before = self._complete.get(layers)
            return profile_pass.profiles(threshold) if before is None else before

        def is_left(other: Pass) -> bool:
            """Only one single layer is looked at; all of them wait behind it."""
            return len(other.layers) == len(layers)

        self._reader.read(profile_pass, instead_of=is_left)
        return profile_pass.profiles(threshold)

    def _kept(self, layers: Layers, profiles: ClassProfiles) -> ClassProfiles:
        """Remember a complete result, where it is small enough."""
        if profiles.n_bytes <= self.memory_budget_bytes // (8 * COMPLETE_KEPT):
            self._complete[layers] = profiles
            self._complete.move_to_end(layers)
            while len(self._complete) > COMPLETE_KEPT:
                self._complete.popitem(last=False)
        return profiles

    def _report(self, reading: Reading) -> None:
        with self.lock:
            self.set_trait("reading", reading)


def _cancelled(left: Pass) -> Reading:
    return Reading(left.layers, left.n_read, left.n_samples, cancelled=True)


def _has_units(info: LayerInfo) -> bool:
    return bool(info.n_units) and 0 not in info.output_shape
