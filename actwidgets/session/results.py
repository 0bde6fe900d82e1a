"""What a model said of samples, kept within a budget of memory.

Thrown away as a whole when weights or data are said to have changed, so that nothing stale
can be left; outputs also where the weights are found to differ.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, MutableMapping
from typing import Any

import numpy as np

from actwidgets.core.ablation import Ablation, Edit, edit_of
from actwidgets.core.arrays import Array, Floats, Integers
from actwidgets.core.confusion import Confusion, MultilabelConfusion, PixelConfusion, PixelCounter
from actwidgets.core.output_kind import OutputKind, kind_by_values
from actwidgets.core.perturbation import UNDISTURBED, Perturbation
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
from actwidgets.session.tasks import Steps, Task


class ArrayCache:
    """Arrays by key, at most `budget_bytes` of them; an array larger than that is not kept."""

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self.n_bytes = 0
        self._arrays: OrderedDict[Hashable, Array] = OrderedDict()

    def get(self, key: Hashable) -> Array | None:
        """The array of that key, where it is there. It is read-only."""
        if key not in self._arrays:
            return None
        self._arrays.move_to_end(key)
        return self._arrays[key]

    def keep(self, key: Hashable, array: Array) -> Array:
        """A read-only view of an array, kept where it fits."""
        array = np.asarray(array).view()  # whoever made it may go on writing to it
        array.flags.writeable = False
        if array.nbytes <= self.budget_bytes:
            self._arrays[key] = array
            self.n_bytes += array.nbytes
            while self.n_bytes > self.budget_bytes:
                self.n_bytes -= self._arrays.popitem(last=False)[1].nbytes
        return array

    def __contains__(self, key: Hashable) -> bool:
        """Whether the array of that key is there."""
        return key in self._arrays

    def clear(self) -> None:
        """Forget everything."""
        self._arrays.clear()
        self.n_bytes = 0


STEP = 128  # samples at first; of a fast model more, so that Python is no great part of it
LARGEST_STEP = 4096
PIXEL_STEP = 16  # samples of which each has many positions
FAST_S = 0.01  # a step that takes less is followed by one twice as large


class PredictionPass(Task):
    """Fills a table of predictions, by what gives those of some rows."""

    def __init__(self, table: PredictionTable, predict: Callable[[Integers], Any]) -> None:
        super().__init__("predictions", (), self._steps, lambda: (table.n_known, len(table)))
        self.table, self._predict = table, predict

    def predictions(self, rows: Any) -> Floats:
        """The predictions of some rows, `(sample, class)` float32."""
        return self.table.of(rows, self._predict)

    def _steps(self) -> Steps:
        n_rows = STEP
        while True:
            begun_s = time.monotonic()
            self.table.of(self.table.missing(n_rows), self._predict, n_rows)
            if time.monotonic() - begun_s < FAST_S:
                n_rows = min(2 * n_rows, LARGEST_STEP)
            yield self.n_read, self.n_samples


class PixelPass(Task):
    """Compares masks, the class of each position, with a model's maps of classes."""

    def __init__(
        self, counter: PixelCounter, masks: Any, predict: Callable[[Any], Any], output: OutputKind
    ) -> None:
        super().__init__(
            "predictions", (), self._steps, lambda: (counter.n_read, counter.n_samples)
        )
        self._counter, self._masks, self._predict, self._output = counter, masks, predict, output

    def confusion(self) -> PixelConfusion:
        """What was counted so far."""
        with self._stepping:
            return self._counter.confusion()

    def _steps(self) -> Steps:
        while True:
            rows = np.arange(self.n_read, min(self.n_read + PIXEL_STEP, self.n_samples))
            outputs = np.moveaxis(np.asarray(self._predict(rows)), self._output.axis, -1)
            self._counter.add(self._masks[rows], outputs, self._output.threshold)
            yield self.n_read, self.n_samples


def spread(n_samples: int, limit: int) -> Integers:
    """At most `limit` rows, evenly over all samples."""
    if n_samples <= limit:
        return np.arange(n_samples)
    return np.unique(np.linspace(0, n_samples - 1, limit).round().astype(np.int64))


Ablations = tuple[Ablation, ...]
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
        ablations: Ablations = (),
        unit_means: MutableMapping[str, Array] | None = None,
    ) -> None:
        self.unit_means: MutableMapping[str, Array] = {} if unit_means is None else unit_means
        self._samples = samples
        self.probe = probe
        if ablations:
            self.probe = probe.edited(self._edits(probe, ablations))
        table = PredictionTable(len(samples), probe.n_classes)
        self.prediction_pass = PredictionPass(table, self._predict)
        self._pixel_pass: PixelPass | None = None
        self._kept: dict[str, tuple[bytes, Any]] = {}  # the last result of each kind, by its rows

    def confusion(
        self, rows: Integers, class_names: tuple[str, ...], output: OutputKind
    ) -> Confusion | MultilabelConfusion:
        """True and predicted classes of some samples that have labels; the last one is kept."""

        def make() -> Confusion | MultilabelConfusion:
            labels, sets = self._samples.labels, self._samples.label_sets
            outputs = self.prediction_pass.predictions(rows)
            n_nan = int(np.isnan(outputs).any(axis=1).sum())
            rest = rows, class_names, len(self._samples)
            if sets is not None:
                said = predicted_labels(outputs, output)
                return MultilabelConfusion(sets[rows], said, *rest, n_nan=n_nan)
            assert labels is not None
            classes = predicted_classes(outputs, output=output)
            return Confusion(labels[rows], classes, *rest, n_nan=n_nan)

        confusion: Confusion | MultilabelConfusion = self._last("confusion", rows, make)
        return confusion

    def scores(self, rows: Integers, output: OutputKind) -> ClassScores:
        """What is said of some samples, and how sure it is; the last one of several is kept."""

        def make() -> ClassScores:
            labels = self._samples.labels
            of_rows = None if labels is None else labels[rows]
            return class_scores(self.prediction_pass.predictions(rows), of_rows, output=output)

        scores: ClassScores = make() if len(rows) < 2 else self._last("scores", rows, make)
        return scores

    def _last(self, kind: str, rows: Integers, make: Callable[[], Any]) -> Any:
        key = rows.tobytes()
        if kind not in self._kept or self._kept[kind][0] != key:
            self._kept[kind] = key, make()
        return self._kept[kind][1]

    def pixel_pass(self, class_names: tuple[str, ...], output: OutputKind) -> PixelPass:
        """The pass that compares the masks of all samples with what the model says."""
        if self._pixel_pass is None:
            counter = PixelCounter(class_names, len(self._samples))
            self._pixel_pass = PixelPass(counter, self._samples.masks, self._predict, output)
        return self._pixel_pass

    def resume(self) -> None:
        """Have cancelled passes go on when they are asked for."""
        self.prediction_pass.resume()
        if self._pixel_pass is not None:
            self._pixel_pass.resume()

    def _predict(self, rows: Integers) -> Array:
        return self.probe.predictions(self._samples.rows(rows))

    def _edits(self, probe: Probe, ablations: Ablations) -> dict[str, Edit]:
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


TOLD_BY = 16  # samples by which outputs are judged that nobody tells of
INPUTS_KEPT = 64  # samples
LOOK_EVERY_S = 0.25  # how often weights are compared; it takes 20 ms for a large model


class Results:
    """What a probe says of samples, asked for once and kept.

    Args:
        probe: Of the model.
        samples: The samples.
        budget_bytes: What cached maps and kept peaks may take together, about; maps half.
    """

    def __init__(self, probe: Probe, samples: Samples, budget_bytes: int) -> None:
        self._probe, self._samples = probe, samples
        self._outputs = ArrayCache(budget_bytes // 2)
        self._models: dict[Ablations, AblatedModel] = {}
        self._last_inputs: tuple[tuple[tuple[int, ...], Perturbation], Any] | None = None
        self._weights = probe.fingerprint()
        self._looked_s = time.monotonic()

    def maps(
        self,
        layer: str,
        rows: tuple[int, ...],
        perturbation: Perturbation = UNDISTURBED,
        ablations: Ablations = (),
    ) -> Array:
        """Activations of a layer on some samples, `(sample, …, unit)`, read-only."""
        key = layer, rows, perturbation, ablations
        if (known := self._known(key)) is not None:
            return known
        x = self._inputs(rows, perturbation)
        return self._outputs.keep(key, self.probe(ablations).activations((layer,), x)[layer])

    def _known(self, key: Hashable) -> Array | None:
        """An output that was asked for before, of the same weights as far as is known."""
        if key in self._outputs:
            self._forget_outputs_of_other_weights()
        return self._outputs.get(key)

    def _inputs(self, rows: tuple[int, ...], perturbation: Perturbation) -> Any:
        """Samples as a model sees them; few of them, as on show, are kept for the next layer."""
        if self._last_inputs is not None and self._last_inputs[0] == (rows, perturbation):
            return self._last_inputs[1]
        x = self._samples.perturbed(rows, perturbation)
        if len(rows) <= INPUTS_KEPT:
            self._last_inputs = (rows, perturbation), x
        return x

    def outputs(
        self, rows: Any, perturbation: Perturbation = UNDISTURBED, ablations: Ablations = ()
    ) -> Floats:
        """The model's output on some samples, `(sample, class)`; read-only where perturbed."""
        if perturbation.is_identity:
            return self.model(ablations).prediction_pass.predictions(rows)
        key = "", rows, perturbation, ablations
        if (known := self._known(key)) is not None:
            return known
        x = self._inputs(rows, perturbation)
        return self._outputs.keep(key, self.probe(ablations).predictions(x))

    def output_kind(self) -> OutputKind:
        """What the model's output means, where nothing but its values tells.

        Cost: a forward pass for 16 samples.
        """
        if not self._probe.n_classes:
            reason = "nothing tells what the model's output is"
            return OutputKind("value", "", (None, None), reason, "shape")
        rows = spread(len(self._samples), TOLD_BY)
        of = f"{len(rows)} samples, evenly over all of them"
        return kind_by_values(self._probe.predictions(self._samples.rows(rows)), of)

    def model(self, ablations: Ablations = ()) -> AblatedModel:
        """The model as it is, or as it is with ablations, and what it said with these weights."""
        self._forget_outputs_of_other_weights()
        return self._model(ablations)

    def probe(self, ablations: Ablations = ()) -> Probe:
        """The probe of the model as it is, or as it is with ablations."""
        return self._model(ablations).probe

    def resume(self) -> None:
        """Have cancelled passes go on when they are asked for."""
        for each in self._models.values():
            each.resume()

    def _model(self, ablations: Ablations) -> AblatedModel:
        if ablations not in self._models:
            for other in [each for each in self._models if each and ablations]:
                del self._models[other]  # a slider leaves a trail of them
            before = self._models.get(())
            self._models[ablations] = AblatedModel(
                self._probe, self._samples, ablations, before.unit_means if before else {}
            )
        return self._models[ablations]

    def _forget_outputs_of_other_weights(self) -> None:
        """A model in training changes unannounced: look now and then before showing old values."""
        now_s = time.monotonic()
        if now_s - self._looked_s < LOOK_EVERY_S:
            return
        weights = self._probe.fingerprint()
        self._looked_s = time.monotonic()
        if weights != self._weights:
            self._weights = weights
            self._outputs.clear()
            self._models.clear()
