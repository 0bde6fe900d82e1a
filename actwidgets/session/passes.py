"""Passes over all samples in steps: profiles, similarity, predictions."""

import threading
import time
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actwidgets.core.ablation import Ablation, Edit, edit_of
from actwidgets.core.accumulators import SampleSummary, TopSamples
from actwidgets.core.arrays import Array, Floats, Integers, finite_range
from actwidgets.core.cka import CkaSums, LayerSimilarityTable
from actwidgets.core.class_profiles import ClassProfiles, ProfileBuilder, ProfileSpec
from actwidgets.core.confusion import Confusion, MultilabelConfusion, PixelConfusion, PixelCounter
from actwidgets.core.labels import label_pairs
from actwidgets.core.output_kind import OutputKind
from actwidgets.core.predictions import (
    BATCH_SIZE,
    ClassScores,
    PredictionTable,
    class_scores,
    predicted_classes,
    predicted_labels,
)
from actwidgets.core.samples import Samples
from actwidgets.errors import DataError, LayerError
from actwidgets.probe.base import Probe

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
        self._builder = ProfileBuilder(class_names, ProfileSpec(threshold))
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


STEP = 256  # samples at first; of a fast model more, so that Python is no great part of it
LARGEST_STEP = 4096
PIXEL_STEP = 16  # samples of which each has many positions
FAST_S = 0.01  # a step that takes less is followed by one twice as large


class PredictionPass:
    """Fills a table of predictions; satisfies `background.Pass`.

    Args:
        table: Where the predictions are kept; what it knows already is not predicted again.
        predict: Gives the predictions of some rows.
    """

    what = "predictions"
    layers: tuple[str, ...] = ()

    def __init__(self, table: PredictionTable, predict: Callable[[Integers], Any]) -> None:
        self.table, self._predict = table, predict
        self.cancelled = False
        self._step = STEP

    @property
    def n_read(self) -> int:
        """How many samples have been predicted."""
        return self.table.n_known

    @property
    def n_samples(self) -> int:
        """How many samples there are."""
        return len(self.table)

    @property
    def complete(self) -> bool:
        """Whether every sample has been predicted."""
        return self.n_read >= self.n_samples

    @property
    def known(self) -> Integers:
        """Rows of the samples predicted so far."""
        return self.table.known

    def predictions(self, rows: Any) -> Floats:
        """The predictions of some rows, `(sample, class)` float32."""
        return self.table.of(rows, self._predict)

    def step(self) -> None:
        """Predict the next samples that are not known yet."""
        begun_s = time.monotonic()
        self.table.of(self.table.missing(self._step), self._predict, self._step)
        if time.monotonic() - begun_s < FAST_S:
            self._step = min(2 * self._step, LARGEST_STEP)


class PixelPass:
    """Compares masks with a model's maps of classes, batch by batch; a `background.Pass`.

    Args:
        counter: Where positions are counted.
        masks: From rows to the class of each position.
        predict: Gives what the model puts out for some rows, `(sample, …, class)`.
        output: What that means, and along which axis its classes lie.
    """

    what = "predictions"
    layers: tuple[str, ...] = ()

    def __init__(
        self, counter: PixelCounter, masks: Any, predict: Callable[[Any], Any], output: OutputKind
    ) -> None:
        self._counter, self._masks, self._predict, self._output = counter, masks, predict, output
        self.cancelled = False
        self._stepping = threading.Lock()

    @property
    def n_read(self) -> int:
        """How many samples have been compared."""
        return self._counter.n_read

    @property
    def n_samples(self) -> int:
        """How many samples there are."""
        return self._counter.n_samples

    @property
    def complete(self) -> bool:
        """Whether every sample has been compared."""
        return self.n_read >= self.n_samples

    def step(self) -> None:
        """Compare the next samples; any thread may call it."""
        with self._stepping:
            rows = np.arange(self.n_read, min(self.n_read + PIXEL_STEP, self.n_samples))
            if len(rows):
                outputs = np.moveaxis(np.asarray(self._predict(rows)), self._output.axis, -1)
                self._counter.add(self._masks[rows], outputs, self._output.threshold)

    def confusion(self) -> PixelConfusion:
        """What was counted so far."""
        with self._stepping:
            return self._counter.confusion()


def spread(n_samples: int, limit: int) -> Integers:
    """At most `limit` rows, evenly over all samples."""
    if n_samples <= limit:
        return np.arange(n_samples)
    return np.unique(np.linspace(0, n_samples - 1, limit).round().astype(np.int64))


MEANS_OF = 1000  # samples whose mean takes the place of a unit


class AblatedModel:
    """A model under ablations, which may be none, and its predictions of all samples.

    Args:
        probe: The model; nothing about it is changed.
        samples: The samples.
        ablations: What is done to its units.
        unit_means: Means found before, by layer; those found here are added.

    Raises:
        LayerError: A layer whose number of units varies, or a probe that cannot be altered.
    """

    def __init__(
        self,
        probe: Probe,
        samples: Samples,
        ablations: tuple[Ablation, ...] = (),
        unit_means: MutableMapping[str, Array] | None = None,
    ) -> None:
        self.unit_means: MutableMapping[str, Array] = {} if unit_means is None else unit_means
        self._samples = samples
        self.probe = probe
        if ablations:
            self.probe = probe.edited(self._edits(probe, ablations))
        table = PredictionTable(len(samples), probe.n_classes)
        self.prediction_pass = PredictionPass(table, self._predict)
        self._confusion: tuple[bytes, Confusion | MultilabelConfusion] | None = None
        self._pixel_pass: PixelPass | None = None
        self._scores: tuple[bytes, ClassScores] | None = None

    def confusion(
        self, rows: Integers, class_names: tuple[str, ...], output: OutputKind
    ) -> Confusion | MultilabelConfusion:
        """True and predicted classes of some samples that have labels; the last one is kept."""
        key = rows.tobytes()
        if self._confusion is None or self._confusion[0] != key:
            labels, sets = self._samples.labels, self._samples.label_sets
            outputs = self.prediction_pass.predictions(rows)
            if sets is not None:
                self._confusion = (
                    key,
                    MultilabelConfusion(
                        sets[rows],
                        predicted_labels(outputs, output),
                        rows,
                        class_names,
                        len(self._samples),
                        n_nan=int(np.isnan(outputs).any(axis=1).sum()),
                    ),
                )
                return self._confusion[1]
            assert labels is not None
            self._confusion = (
                key,
                Confusion(
                    labels[rows],
                    predicted_classes(outputs, output=output),
                    rows,
                    class_names,
                    len(self._samples),
                    n_nan=int(np.isnan(outputs).any(axis=1).sum()),
                ),
            )
        return self._confusion[1]

    def pixel_pass(self, class_names: tuple[str, ...], output: OutputKind) -> PixelPass:
        """The pass that compares the masks of all samples with what the model says."""
        if self._pixel_pass is None:
            counter = PixelCounter(class_names, len(self._samples))
            self._pixel_pass = PixelPass(counter, self._samples.masks, self._predict, output)
        return self._pixel_pass

    def resume(self) -> None:
        """Have cancelled passes go on when they are asked for."""
        self.prediction_pass.cancelled = False
        if self._pixel_pass is not None:
            self._pixel_pass.cancelled = False

    def scores(self, rows: Integers, output: OutputKind) -> ClassScores:
        """What is said of some samples, and how sure it is; the last one of several is kept."""
        key = rows.tobytes()
        if self._scores is not None and self._scores[0] == key:
            return self._scores[1]
        labels = self._samples.labels
        of_rows = None if labels is None else labels[rows]
        found = class_scores(self.prediction_pass.predictions(rows), of_rows, output=output)
        if len(rows) > 1:
            self._scores = key, found
        return found

    def _predict(self, rows: Integers) -> Array:
        return self.probe.predictions(self._samples.rows(rows))

    def _edits(self, probe: Probe, ablations: tuple[Ablation, ...]) -> dict[str, Edit]:
        n_units = {info.name: info.n_units for info in probe.layers}
        edits: dict[str, Edit] = {}
        for each in ablations:
            count = n_units[each.layer]
            if not count:
                raise LayerError(f"the units of {each.layer!r} vary from sample to sample")
            means = self._means(probe, each.layer) if each.fill == "mean" else None
            edit = edit_of(each, count, means)
            if each.layer in edits:  # other units of the same layer
                before = edits[each.layer]
                edit = Edit(before.factor * edit.factor, before.offset + edit.offset)
            edits[each.layer] = edit
        return edits

    def _means(self, probe: Probe, layer: str) -> Array:
        """`(unit,)` float64: means over samples and positions, of a thousand samples.

        NaN is left out; a unit without another value has NaN for a mean.
        """
        if layer not in self.unit_means:
            rows = spread(len(self._samples), MEANS_OF)
            sums: Any = 0.0
            counts: Any = 0
            for start in range(0, len(rows), BATCH_SIZE):
                batch = self._samples.rows(rows[start : start + BATCH_SIZE])
                summary = probe.summaries((layer,), batch, low=False)[layer]
                known = summary.n_positions - (0 if summary.n_nan is None else summary.n_nan)
                known = np.broadcast_to(known, summary.mean.shape)
                sums = sums + (np.asarray(summary.mean, np.float64) * known).sum(axis=0)
                counts = counts + known.sum(axis=0)
            if len(rows) == 1 and np.max(counts, initial=0) == 1:
                raise DataError(
                    f"the mean of a unit of {layer!r} over the only sample is the value itself, "
                    'and would change nothing: give more samples, or take fill="zero"'
                )
            with np.errstate(invalid="ignore"):  # a unit that is nothing but NaN
                self.unit_means[layer] = sums / counts
        return self.unit_means[layer]
