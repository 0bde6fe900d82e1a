"""Passes over all samples of a session, and what they gather."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from actwidgets.core.accumulators import BoxStatistics, box_statistics, sketched_box_statistics
from actwidgets.core.arrays import Array, Doubles, Floats, Integers
from actwidgets.core.cka import LayerSimilarityTable
from actwidgets.core.class_profiles import ClassProfiles, state_bytes
from actwidgets.core.labels import label_pairs
from actwidgets.core.layers import LayerInfo
from actwidgets.core.samples import Samples
from actwidgets.errors import DataError
from actwidgets.session.passes import ENOUGH, Layers, ProfilePass, RepresentationPass
from actwidgets.session.results import SessionReadings
from actwidgets.session.tasks import progress_of

REPRESENTED = 2000  # samples by which layers are compared
COMPLETE_KEPT = 8  # results of passes, for when a later one is cancelled


class SessionPasses(SessionReadings):
    """Profiles of classes and similarity of layers, over all samples.

    Args:
        samples: The samples.
        memory_budget_bytes: What cached arrays and kept peaks may take, about.
    """

    def __init__(self, samples: Samples, memory_budget_bytes: int) -> None:
        self._complete: OrderedDict[Layers, ClassProfiles] = OrderedDict()
        self._representations: dict[Any, RepresentationPass] = {}
        super().__init__(samples, memory_budget_bytes)

    def profiles(self, *, partial: bool = False, every_layer: bool = False) -> ClassProfiles:
        """Class profiles at the chosen threshold, over all samples.

        Args:
            partial: Return at once with what has been read so far, at least one batch, and
                read on in the background; `reading` tells how far it is. After `cancel`, the
                last complete result where there is one, of whatever weights.
            every_layer: Of all layers whose number of units is fixed, in one pass, instead
                of the chosen one; without the largest where the sums of all would take more
                than half the memory budget.

        Raises:
            DataError: The session has no labels.

        Cost: one pass over the samples. Another threshold then costs a comparison per sample
        and unit while the peaks fit into a quarter of the memory budget; beyond it comes from
        histograms, and `firing_error` of the result says how far it may be off.
        """
        if self.labels is None and self.label_sets is None:
            raise DataError(f"class profiles need labels; {self._has_none}")
        return self._profiles(partial, every_layer)

    def unit_profiles(self, *, partial: bool = False) -> ClassProfiles:
        """What the units of the chosen layer do on all samples: `profiles`, labels or not.

        Args:
            partial: As in `profiles`.

        Returns:
            As of `profiles`; without labels of all samples as one class.
        """
        return self._profiles(partial)

    @property
    def _has_none(self) -> str:
        given = "no y" if self.targets is None else "the targets of a regression for y"
        return f"this session was given {given}"

    def _profiles(self, partial: bool, every_layer: bool = False) -> ClassProfiles:
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
        if self.labels is None and self.label_sets is None:
            return self.missing_labels
        if len(self.class_names) < 2:
            return "this needs two classes or more"
        if every_layer:
            return "" if any(map(_has_units, self._infos.values())) else "all outputs are empty"
        return "its output is empty" if 0 in self._infos[self.layer].output_shape else ""

    def missing_for_units(self) -> str:
        """Why there is nothing to tell of the chosen layer's units: "" where there is."""
        return "its output is empty" if 0 in self._infos[self.layer].output_shape else ""

    def missing_for_unit_boxes(self) -> str:
        """Why the chosen unit cannot be told by class: "" where it can."""
        if self.labels is None and self.label_sets is None:
            return self.missing_labels
        return self.missing_for_units()

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
        labels = self.labels if self.label_sets is None else self.label_sets
        assert labels is not None
        rows, classes = label_pairs(labels[: len(peaks)])
        return box_statistics(peaks[rows, unit], classes, len(self.class_names))

    def top_samples(self, limit: int = 24) -> tuple[Integers, Floats]:
        """The samples that drive the chosen unit most, of those that `profiles` has read.

        Returns:
            Rows, the one that drives it most first, and the largest value of each, on a map
            at any position. At most 24.
        """
        with self.lock:
            rows, values = self._pass().top(self.layer, self.unit)
        return rows[:limit], values[:limit]

    def layer_similarity(
        self,
        *,
        other: "SessionPasses | None" = None,
        positions: Literal["mean", "flat"] = "mean",
        partial: bool = False,
    ) -> tuple[LayerSimilarityTable | None, tuple[str, ...]]:
        """Debiased linear CKA of every layer with every other; see `aw.layer_similarity`.

        Args:
            other: A session over the same samples whose model's layers are the columns.
            positions: What of a map counts: the mean of each unit, or every position.
            partial: As in `profiles`.

        Returns:
            The table of the first 2,000 samples, or None of fewer than 4; and the layers that
            were left out because they put out NaN or infinity.

        Raises:
            DataError: The other session holds another number of samples.
        """
        with self.lock:
            wanted = self._representation_pass(other, positions)
        while wanted.n_read < min(ENOUGH, wanted.n_samples):  # a layer left out begins it anew
            if wanted.n_read and partial and not self._probe.may_read_on:
                break
            wanted.step()
        if wanted.cancelled:
            self._report(progress_of(wanted, cancelled=True))
        elif partial and not wanted.complete:
            self._read_on(wanted)
        while not (partial or wanted.complete):
            wanted.step()
        return wanted.table(), wanted.left_out

    def resume(self) -> None:
        """Go on with the passes that were cancelled, as soon as a view asks for them."""
        with self.lock:
            for each in self._representations.values():
                each.cancelled = False
            super().resume()

    # --- how they are kept ---------------------------------------------------------------

    def _forget(self, *, everything: bool = False) -> None:
        """Drop what the model said, as it may say something else now."""
        if everything:
            self._complete.clear()
        self._representations = {}
        super()._forget()

    def _pass(self, every_layer: bool = False) -> ProfilePass:
        layers: Layers = (self.layer,)
        if every_layer:
            layers = self._layers_that_fit()
        return self._numbers.profile_pass(layers, self.threshold)

    def _representation_pass(
        self, other: "SessionPasses | None", positions: str
    ) -> RepresentationPass:
        if other is not None and other.n_samples != self.n_samples:
            raise DataError(
                f"sessions must hold the same samples; they hold {self.n_samples:,} and "
                f"{other.n_samples:,}"
            )
        revision = None if other is None else (id(other), getattr(other, "revision", 0))
        key = revision, positions
        if key not in self._representations:
            self._representations[key] = RepresentationPass(
                self._layers_with_units(),
                lambda layers, rows: self._features(layers, rows, positions),
                other_layers=None if other is None else other._layers_with_units(),
                other_outputs=None
                if other is None
                else lambda layers, rows: other._features(layers, rows, positions),
                n_samples=min(self.n_samples, REPRESENTED),
                budget_bytes=self.memory_budget_bytes // 4,
            )
        return self._representations[key]

    def _features(self, layers: Layers, rows: range, positions: str) -> Mapping[str, Array]:
        x = self._samples.rows(rows)
        if positions == "mean":
            summaries = self._probe.summaries(layers, x, low=False)
            return {  # a mean that leaves NaN out would hide it
                name: each.mean if each.n_nan is None else np.where(each.n_nan, np.nan, each.mean)
                for name, each in summaries.items()
            }
        outputs = self._probe.activations(layers, x)
        return {name: outputs[name].reshape(len(outputs[name]), -1) for name in layers}

    def _layers_that_fit(self) -> Layers:
        """All layers, but for the largest where their sums would go beyond the budget."""
        left = self.memory_budget_bytes // 2  # half: while it is read it is copied
        kept: set[str] = set()
        for name in sorted(self._layers_with_units(), key=lambda name: self._infos[name].n_units):
            left -= state_bytes(len(self.class_names), self._infos[name].n_units)
            if left >= 0 or not kept:
                kept.add(name)
        return tuple(name for name in self._layers_with_units() if name in kept)

    def _layers_with_units(self) -> Layers:
        return tuple(info.name for info in self._infos.values() if _has_units(info))

    def _so_far(self, profile_pass: ProfilePass, threshold: float) -> ClassProfiles:
        layers = profile_pass.layers
        if profile_pass.complete:
            self._tell_complete(profile_pass)
            return self._kept(layers, profile_pass.profiles(threshold))
        if profile_pass.cancelled:
            self._report(progress_of(profile_pass, cancelled=True))  # whatever was read since
            before = self._complete.get(layers)
            return profile_pass.profiles(threshold) if before is None else before

        self._read_on(profile_pass)
        return profile_pass.profiles(threshold)

    def _kept(self, layers: Layers, profiles: ClassProfiles) -> ClassProfiles:
        """Remember a complete result, where it is small enough."""
        if profiles.n_bytes <= self.memory_budget_bytes // (8 * COMPLETE_KEPT):
            self._complete[layers] = profiles
            self._complete.move_to_end(layers)
            while len(self._complete) > COMPLETE_KEPT:
                self._complete.popitem(last=False)
        return profiles


def _has_units(info: LayerInfo) -> bool:
    return bool(info.n_units) and 0 not in info.output_shape
