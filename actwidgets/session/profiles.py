"""Class profiles and layer similarity of a session, over all samples."""

import functools
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from actwidgets.core.accumulators import SampleSummary, TopSamples
from actwidgets.core.arrays import Array, Doubles, Floats, Integers, finite_range
from actwidgets.core.cka import CkaSums, LayerSimilarityTable
from actwidgets.core.class_profiles import (
    BoxStatistics,
    ClassProfiles,
    ProfileBuilder,
    ProfileSpec,
    box_statistics,
    sketched_box_statistics,
    state_bytes,
)
from actwidgets.core.labels import label_pairs
from actwidgets.errors import DataError
from actwidgets.session.context import Context, has_units
from actwidgets.session.tasks import Steps, Task, progress_of

Layers = tuple[str, ...]
PROFILE_STEP, REPRESENTATION_STEP = 64, 128  # samples


class ProfilePass(Task):
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
    """

    def __init__(
        self,
        layers: Layers,
        summaries: Callable[[range], Mapping[str, SampleSummary]],
        labels: NDArray[np.int64] | NDArray[np.bool_],
        class_names: tuple[str, ...],
        *,
        threshold: float,
        budget_bytes: int,
    ) -> None:
        super().__init__(
            "profiles", layers, self._steps, lambda: (self._builder.n_samples, len(labels))
        )
        self._summaries, self._labels, self._budget_bytes = summaries, labels, budget_bytes
        self._builder = ProfileBuilder(class_names, ProfileSpec(threshold))
        # Samples and their profiles: replaced as one, so that other threads see a whole state.
        self._nothing = -1, self._builder.profiles(complete=False)
        self._read = 0, self._nothing[1]
        self._peaks: dict[str, NDArray[Any]] = {}
        self._top: dict[str, TopSamples] = {}
        self._fits = True

    @property
    def n_bytes(self) -> int:
        """Memory that the peaks take."""
        return sum(each.nbytes for each in self._peaks.values())

    @property
    def keeps_peaks(self) -> bool:
        """Whether these fit into the budget, as far as is known before the first batch."""
        return self._fits

    def can_answer(self, threshold: float) -> bool:
        """Whether profiles at this threshold follow from what was read."""
        profiles = self._sofar()[1]
        return (
            self._fits
            or threshold == profiles.threshold
            or all("histogram" in profiles.gathered(name) for name in profiles.layers)
        )

    def profiles(self, threshold: float) -> ClassProfiles:
        """What has been read so far, at a threshold that `can_answer`.

        `complete` of the result tells whether that is all.
        """
        n_read, profiles = self._sofar()
        if threshold == profiles.threshold or not profiles.layers:
            return profiles
        if not self._peaks:
            return profiles.at_threshold(threshold)
        rows: Any = slice(0, n_read)
        labels = self._labels[rows]
        if labels.ndim == 2:
            rows, labels = label_pairs(labels)
        peaks = {name: values[rows] for name, values in self._peaks.items()}
        return profiles.at_peaks(peaks, labels, threshold)

    def peak_range(self, layer: str) -> tuple[float, float]:
        """The smallest and the largest value read: where thresholds make a difference."""
        profiles = self._sofar()[1]
        if layer not in profiles.layers:
            return 0.0, 0.0
        sums = profiles.sums[layer]
        assert sums.min is not None
        assert sums.max is not None
        return finite_range(sums.min)[0], finite_range(sums.max)[1]

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

    def _steps(self) -> Steps:
        while True:
            start = self._builder.n_samples
            rows = range(start, min(start + PROFILE_STEP, self.n_samples))
            summaries = self._summaries(rows)
            self._keep_peaks(rows, summaries)
            self._builder.add(summaries, self._labels[rows.start : rows.stop])
            yield self.n_read, self.n_samples

    def _sofar(self) -> tuple[int, ClassProfiles]:
        read = self._read
        if read[0] == self._builder.n_samples:
            return read
        with self._stepping:  # a copy is taken when somebody looks, not with every batch
            n_read = self._builder.n_samples
            if self._read[0] != n_read:
                del read
                self._read = self._nothing  # the copy before goes first: it may be large
                profiles = self._builder.profiles(complete=n_read >= self.n_samples)
                self._read = n_read, profiles
            return self._read

    def _keep_peaks(self, rows: range, summaries: Mapping[str, SampleSummary]) -> None:
        if not self._peaks and self._fits:
            per_sample = sum(each.max[0].nbytes for each in summaries.values())
            self._fits = self.n_samples * per_sample <= self._budget_bytes
            if self._fits:
                self._peaks = {
                    name: np.empty((self.n_samples, each.max.shape[1]), each.max.dtype)
                    for name, each in summaries.items()
                }
        for name, summary in summaries.items():
            if self._fits:
                self._peaks[name][rows.start : rows.stop] = summary.max
            else:
                self._top.setdefault(name, TopSamples()).add(summary.max, rows.start)


ENOUGH = 4  # samples; of fewer there is no debiased CKA
Outputs = Callable[[tuple[str, ...], range], Mapping[str, Array]]


class RepresentationPass(Task):
    """Debiased CKA of every layer with every other, gathered a batch at a time.

    A layer that puts out NaN or infinity is left out, whatever it was that came first.

    Args:
        layers: Names of the rows.
        outputs: From layers and a range of rows to each layer's `(sample, feature)`.
        other_layers: Names of the columns, where they are another model's; else None.
        other_outputs: As `outputs`, of the other model.
        n_samples: How many samples are read.
        budget_bytes: What exact sums may take.
    """

    def __init__(
        self,
        layers: Layers,
        outputs: Outputs,
        *,
        other_layers: Layers | None = None,
        other_outputs: Outputs | None = None,
        n_samples: int,
        budget_bytes: int,
    ) -> None:
        super().__init__(
            "representations", layers, self._steps, lambda: (self._sums.n_samples, self._n_samples)
        )
        self._n_samples, self._budget_bytes = n_samples, budget_bytes
        self._outputs, self._other_outputs = outputs, other_outputs
        self._other_layers = other_layers
        self.left_out: Layers = ()
        self._table: LayerSimilarityTable | None = None
        self._clear()

    def table(self) -> LayerSimilarityTable | None:
        """What has been read so far; None before there are 4 samples."""
        with self._stepping:
            if self.n_read < ENOUGH:
                return None
            if self._table is None or self._table.n_samples != self.n_read:
                self._table = self._sums.table()
            return self._table

    def _steps(self) -> Steps:
        while True:
            start = self.n_read
            rows = range(start, min(start + REPRESENTATION_STEP, self.n_samples))
            outputs = self._outputs(self.layers, rows)
            others = None
            if self._other_layers is not None and self._other_outputs is not None:
                others = self._other_outputs(self._other_layers, rows)
            odd = {
                name
                for each in (outputs, others or {})
                for name, values in each.items()
                if not np.isfinite(values).all()
            }
            if odd:
                self._leave_out(odd)
            else:
                self._sums.add(outputs, others)
            yield self.n_read, self.n_samples

    def _clear(self) -> None:
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
            self._n_samples = 0
            raise DataError("every layer puts out NaN or infinity on some sample")
        self._clear()


REPRESENTED = 2000  # samples by which layers are compared
COMPLETE_KEPT = 8  # results of passes, for when a later one is cancelled
ALL_SAMPLES = ("all samples",)  # the one class of samples without labels


class Profiles:
    """Profiles of classes and similarity of layers, over all samples; `session.profiles` is one.

    Args:
        context: Whose samples are read.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._complete: OrderedDict[Layers, ClassProfiles] = OrderedDict()
        self._representations: dict[Any, RepresentationPass] = {}
        self._passes: dict[Layers, ProfilePass] = {}  # the one used last at the end

    def __call__(self, *, every_layer: bool = False) -> ClassProfiles:
        """Class profiles at the chosen threshold, over all samples; see `read`."""
        return self.read(every_layer=every_layer)

    def read(self, *, partial: bool = False, every_layer: bool = False) -> ClassProfiles:
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
        if self._context.samples.labels is None and self._context.samples.label_sets is None:
            raise DataError(f"class profiles need labels; {self._has_none}")
        return self._profiles(partial, every_layer)

    def begin(self, *, every_layer: bool = False) -> bool:
        """Whether `read(partial=True)` has a batch to tell of, or one that is soon read.

        Where the model is to be traced for it first, that is done in the background; after
        `cancel` nobody waits for it.
        """
        context = self._context
        with context.lock:
            task = self._pass(every_layer)
        if task.n_read or task.failure or not context.probe.may_read_on:
            return True
        if context.probe.summarizes_at_once(task.layers):
            return True
        if task.cancelled:
            context.report(progress_of(task, cancelled=True))
        else:
            context.read_on(task)
        return False

    def layers_read(self, *, every_layer: bool = False) -> Layers:
        """The layers of the pass that tells of the chosen one, or of all: perhaps of more."""
        with self._context.lock:
            return self._pass(every_layer).layers

    def units(self, *, partial: bool = False) -> ClassProfiles:
        """What the units of the chosen layer do on all samples: `read`, labels or not.

        Args:
            partial: As in `read`.

        Returns:
            As of `read`; without labels of all samples as one class.
        """
        return self._profiles(partial)

    @property
    def _has_none(self) -> str:
        has_targets = self._context.samples.targets is not None
        given = "the targets of a regression for y" if has_targets else "no y"
        return f"this session was given {given}"

    def _profiles(self, partial: bool, every_layer: bool = False) -> ClassProfiles:
        with self._context.lock:
            threshold = self._context.selection.threshold
            profile_pass = self._pass(every_layer, partial=partial)
        if not profile_pass.n_read:
            profile_pass.step()
        if partial:
            return self._so_far(profile_pass, threshold)
        profile_pass.finish()
        return self._kept(profile_pass.layers, profile_pass.profiles(threshold))

    def missing_for_units(self) -> str:
        """Why there is nothing to tell of the chosen layer's units: "" where there is."""
        return self._context.missing_for_units()

    def missing_for_unit_boxes(self) -> str:
        """Why the chosen unit cannot be told by class: "" where it can."""
        if self._context.samples.labels is None and self._context.samples.label_sets is None:
            return self._context.missing_labels
        return self.missing_for_units()

    def similarity(self, statistic: str = "firing_rate", metric: str = "mean_abs_diff") -> Doubles:
        """How far the classes are apart in the chosen layer; see `ClassProfiles.similarity`."""
        return self().similarity(self._context.selection.layer, statistic, metric)

    def value_range(self) -> tuple[float, float]:
        """The smallest and the largest value that `read` has read of the chosen layer."""
        with self._context.lock:
            return self._pass().peak_range(self._context.selection.layer)

    def unit_boxes(self) -> BoxStatistics:
        """The chosen unit's values by class, over the samples that `read` has read.

        For a map, each sample's largest value. Exact where these fit into a quarter of the
        memory budget, else sketched, with the `error` of the result.

        Raises:
            DataError: The session has no labels.
        """
        with self._context.lock:
            profile_pass, selection = self._pass(), self._context.selection
        peaks = profile_pass.peaks(selection.layer)
        if peaks is None:
            sums = profile_pass.profiles(selection.threshold).sums[selection.layer]
            return sketched_box_statistics(sums, selection.unit)
        samples = self._context.samples
        labels = samples.labels if samples.label_sets is None else samples.label_sets
        assert labels is not None
        rows, classes = label_pairs(labels[: len(peaks)])
        return box_statistics(peaks[rows, selection.unit], classes, len(self._context.class_names))

    def top_samples(self, limit: int = 24) -> tuple[Integers, Floats]:
        """The samples that drive the chosen unit most, of those that `read` has read.

        Returns:
            Rows, the one that drives it most first, and the largest value of each, on a map
            at any position. At most 24.
        """
        with self._context.lock:
            selection = self._context.selection
            rows, values = self._pass().top(selection.layer, selection.unit)
        return rows[:limit], values[:limit]

    def layer_similarity(
        self,
        *,
        other: "Profiles | None" = None,
        positions: Literal["mean", "flat"] = "mean",
        partial: bool = False,
    ) -> tuple[LayerSimilarityTable | None, tuple[str, ...]]:
        """Debiased linear CKA of every layer with every other; see `aw.layer_similarity`.

        Args:
            other: Of a session over the same samples whose model's layers are the columns.
            positions: What of a map counts: the "mean" of each unit; or every position, "flat",
                for which the maps of all layers have to fit into memory.
            partial: As in `read`.

        Returns:
            The table of the first 2,000 samples, or None of fewer than 4; and the layers that
            were left out because they put out NaN or infinity.

        Raises:
            DataError: The other session holds another number of samples; other `positions`.
        """
        context = self._context
        if positions not in ("mean", "flat"):
            raise DataError(f"positions must be 'flat' or 'mean'; got {positions!r}")
        with context.lock:
            task = self._representation_pass(other, positions)
        while task.n_read < min(ENOUGH, task.n_samples):  # a layer left out begins it anew
            if task.n_read and partial and not context.probe.may_read_on:
                break
            task.step()
        if task.complete:
            context.tell_complete(task)
        elif task.cancelled:
            context.report(progress_of(task, cancelled=True))
        elif partial:
            context.read_on(task)
        if not partial:
            task.finish()
        return task.table(), task.left_out

    def resume(self) -> None:
        """Have cancelled passes go on when they are asked for."""
        for task in (*self._representations.values(), *self._passes.values()):
            task.resume()

    def forget(self, *, everything: bool = False) -> None:
        """Drop what was read, as the model may say something else now.

        Args:
            everything: The complete results too, which are shown where a pass is cancelled.
        """
        if everything:
            self._complete.clear()
        self._representations, self._passes = {}, {}

    # --- how they are kept ---------------------------------------------------------------

    def task(self, layers: Layers, threshold: float) -> ProfilePass:
        """The pass over all samples for some layers, as far as it has come.

        Without labels they are taken together, as of one class. The passes used last are kept,
        as long as their peaks fit into half the memory budget.
        """
        budget_bytes = self._context.budget_bytes // 2
        for task in self._passes.values():
            # With its peaks it can answer exactly for any threshold.
            if task.complete and task.n_bytes and set(layers) <= set(task.layers):
                break
        else:
            known = self._passes.get(layers)
            is_enough = known is not None and known.can_answer(threshold)
            task = known if known and is_enough else self._new_pass(layers, threshold)
        self._passes.pop(task.layers, None)
        self._passes[task.layers] = task
        while sum(each.n_bytes for each in self._passes.values()) > budget_bytes:
            self._passes.pop(next(iter(self._passes)))
        return task

    def _new_pass(self, layers: Layers, threshold: float) -> ProfilePass:
        context, samples, names = self._context, self._context.samples, self._context.class_names
        labels = samples.labels if samples.label_sets is None else samples.label_sets
        if labels is None:
            labels, names = np.zeros(len(samples), np.int64), ALL_SAMPLES
        probe = context.probe
        return ProfilePass(
            layers,
            lambda rows: probe.summaries(layers, samples.rows(rows)),
            labels,
            names,
            threshold=threshold,
            budget_bytes=context.budget_bytes // 4,
        )

    def _pass(self, every_layer: bool = False, *, partial: bool = True) -> ProfilePass:
        selection = self._context.selection
        layers = self._layers_that_fit() if every_layer else (selection.layer,)
        wider = self._wider_pass(layers) if partial else None
        return wider or self.task(layers, selection.threshold)

    def _wider_pass(self, layers: Layers) -> ProfilePass | None:
        """A pass under way that will tell of these layers too: one of their own is not begun.

        Nobody who waits for all samples is sent there: it may take much longer.
        """
        if layers in self._passes:
            return None
        for task in self._passes.values():
            is_wider = set(layers) < set(task.layers) and task.keeps_peaks
            if is_wider and not (task.complete or task.failure):
                return task
        return None

    def _representation_pass(self, other: "Profiles | None", positions: str) -> RepresentationPass:
        if other is not None and other._context.n_samples != self._context.n_samples:
            raise DataError(
                f"sessions must hold the same samples; they hold {self._context.n_samples:,} and "
                f"{other._context.n_samples:,}"
            )
        context = self._context
        key = None if other is None else (id(other), other._context.revision), positions

        def features_in(of: Context) -> Outputs:
            return functools.partial(layer_features, of, positions=positions)

        if key not in self._representations:
            self._representations[key] = RepresentationPass(
                self.layers_with_units(),
                features_in(context),
                other_layers=None if other is None else other.layers_with_units(),
                other_outputs=None if other is None else features_in(other._context),
                n_samples=min(context.n_samples, REPRESENTED),
                budget_bytes=context.budget_bytes // 4,
            )
        return self._representations[key]

    def _layers_that_fit(self) -> Layers:
        """All layers, but for the largest where their sums would go beyond the budget."""
        context = self._context
        left = context.budget_bytes // 2  # half: while it is read it is copied
        kept: set[str] = set()
        n_units = {name: context.infos[name].n_units or 0 for name in self.layers_with_units()}
        for name in sorted(n_units, key=lambda name: n_units[name]):
            left -= state_bytes(len(context.class_names), n_units[name])
            if left >= 0 or not kept:
                kept.add(name)
        return tuple(name for name in n_units if name in kept)

    def layers_with_units(self) -> Layers:
        """Names of the layers that have a fixed number of units, and some."""
        return tuple(info.name for info in self._context.infos.values() if has_units(info))

    def _so_far(self, profile_pass: ProfilePass, threshold: float) -> ClassProfiles:
        layers = profile_pass.layers
        if profile_pass.complete:
            self._context.tell_complete(profile_pass)
            return self._kept(layers, profile_pass.profiles(threshold))
        if profile_pass.cancelled:  # it may have been read on by somebody else since
            self._context.report(progress_of(profile_pass, cancelled=True))
            before = self._complete.get(layers)
            return profile_pass.profiles(threshold) if before is None else before
        self._context.read_on(profile_pass)
        return profile_pass.profiles(threshold)

    def _kept(self, layers: Layers, profiles: ClassProfiles) -> ClassProfiles:
        """Remember a complete result, where it is small enough."""
        if profiles.n_bytes <= self._context.budget_bytes // (8 * COMPLETE_KEPT):
            self._complete[layers] = profiles
            self._complete.move_to_end(layers)
            while len(self._complete) > COMPLETE_KEPT:
                self._complete.popitem(last=False)
        return profiles


def layer_features(
    context: Context, layers: Layers, rows: Any, positions: str
) -> Mapping[str, Array]:
    """What layers make of samples, `(sample, feature)` by name.

    Args:
        context: Whose model and samples are read.
        layers: Names of the layers.
        rows: Rows of the data.
        positions: What of a map counts: "mean" of each unit, or "flat", every position.
    """
    x = context.samples.rows(rows)
    if positions == "mean":
        summaries = context.probe.summaries(layers, x, low=False)
        return {  # a mean that leaves NaN out would hide it
            name: each.mean if each.n_nan is None else np.where(each.n_nan, np.nan, each.mean)
            for name, each in summaries.items()
        }
    outputs = context.probe.activations(layers, x)
    return {name: outputs[name].reshape(len(outputs[name]), -1) for name in layers}
