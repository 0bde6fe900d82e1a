"""A model with some of its units switched off or scaled, and what it predicts."""

from collections.abc import MutableMapping
from typing import Any

import numpy as np

from actwidgets.core import probes
from actwidgets.core.arrays import Array, Integers
from actwidgets.core.interventions.ablation import Ablation, edit_of
from actwidgets.core.interventions.edits import Edit
from actwidgets.core.predictions.class_scores import ClassScores, class_scores
from actwidgets.core.predictions.confusion import Confusion, MultilabelConfusion, PixelCounter
from actwidgets.core.predictions.outcomes import predicted_classes, predicted_labels
from actwidgets.core.predictions.output_kind import OutputKind
from actwidgets.core.predictions.prediction_pass import PixelPass, PredictionPass, spread
from actwidgets.core.predictions.prediction_table import BATCH_SIZE, PredictionTable
from actwidgets.core.samples import Samples
from actwidgets.errors import DataError, LayerError

MEANS_OF = 1000  # samples whose mean takes the place of a unit


class AlteredModel:
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
        probe: Any,
        samples: Samples,
        ablations: tuple[Ablation, ...] = (),
        unit_means: MutableMapping[str, Array] | None = None,
    ) -> None:
        self.unit_means: MutableMapping[str, Array] = {} if unit_means is None else unit_means
        self._samples = samples
        self.probe = probe
        if ablations:
            self.probe = probes.edited(probe, self._edits(probe, ablations))
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

    def _edits(self, probe: Any, ablations: tuple[Ablation, ...]) -> dict[str, Edit]:
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

    def _means(self, probe: Any, layer: str) -> Array:
        """`(unit,)` float64: means over samples and positions, of a thousand samples.

        NaN is left out; a unit without another value has NaN for a mean.
        """
        if layer not in self.unit_means:
            rows = spread(len(self._samples), MEANS_OF)
            sums: Any = 0.0
            counts: Any = 0
            for start in range(0, len(rows), BATCH_SIZE):
                batch = self._samples.rows(rows[start : start + BATCH_SIZE])
                summary = probes.summaries(probe, (layer,), batch, low=False)[layer]
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
