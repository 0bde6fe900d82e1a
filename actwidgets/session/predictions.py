"""What a session's model predicts of the samples: right, wrong, and taken for what."""

import time
from collections.abc import Sequence

import numpy as np

from actwidgets.core.ablation import Ablation
from actwidgets.core.arrays import Array, Bools, Floats, Integers
from actwidgets.core.confusion import AnyConfusion
from actwidgets.core.perturbation import UNDISTURBED
from actwidgets.core.predictions import (
    ClassScores,
    ValueScores,
    class_scores,
    predicted_labels,
    value_scores,
)
from actwidgets.core.selection import known_rows
from actwidgets.errors import DataError
from actwidgets.session.context import Context
from actwidgets.session.results import PixelPass, PredictionPass

# Nobody notices so long a wait, in which a small model predicts thousands of samples.
AT_ONCE_S = 0.03


class Predictions:
    """Predictions, scores and confusion of samples; `session.predictions` is one.

    Args:
        context: Whose samples are predicted.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    def __call__(self, rows: Sequence[int] | None = None, *, ablated: bool = True) -> Floats:
        """The model's output on `rows`, or on all samples: `(sample, class)` float32.

        Args:
            rows: Rows of the data, unperturbed; all of them by default.
            ablated: Whether the ablations of the selection are in force.

        Raises:
            DataError: The model's output is not `(sample, class)`.

        Cost: a forward pass for the rows that were not asked for before.
        """
        self._require_classes()
        context = self._context
        with context.lock:
            n_samples = context.n_samples
            rows = range(n_samples) if rows is None else known_rows(rows, n_samples)
            return context.results.outputs(rows, ablations=self._ablations(ablated))

    def outputs(
        self, rows: Sequence[int], *, as_shown: bool = False, ablated: bool = True
    ) -> Array:
        """The model's output on `rows`, classes or not: `(sample, output)` float32.

        Args:
            rows: Rows of the data.
            as_shown: Whether with the perturbation of the selection; then read-only.
            ablated: Whether with its ablations.

        Raises:
            DataError: The model's output is no vector per sample.
        """
        context = self._context
        if not context.probe.n_classes:
            raise DataError("the model's output is not one vector per sample")
        with context.lock:
            context.queue.touched_s = time.monotonic()
            known, ablations = known_rows(rows, context.n_samples), self._ablations(ablated)
            perturbation = context.selection.perturbation if as_shown else UNDISTURBED
            return context.results.outputs(known, perturbation, ablations)

    def missing_for_confusion(self) -> str:
        """Why right and wrong cannot be told: "" where they can."""
        if self._context.samples.masks is not None:
            return ""
        if missing := self._context.missing_for_predictions():
            return missing
        return "" if self._context.samples.label_sets is not None else self._context.missing_labels

    def confusion(
        self,
        rows: Sequence[int] | Integers | None = None,
        *,
        partial: bool = False,
        ablated: bool = True,
    ) -> AnyConfusion:
        """True and predicted classes of `rows`, or of all samples, and what follows from them.

        Args:
            rows: Rows of the data; not of masks.
            partial: Of all samples: return at once with what has been predicted so far, at
                least one batch, and go on in the background; `reading` tells how far it is.
            ablated: Whether the ablations of the selection are in force.

        Returns:
            A `Confusion`; of several labels a sample a `MultilabelConfusion`, with two by two
            counts of each label, and of masks a `PixelConfusion`, which counts their pixels.

        Raises:
            DataError: The session has no labels, or the model predicts no classes.

        Cost: one pass over the samples that have not been predicted.
        """
        context, has_masks = self._context, self._context.samples.masks is not None
        if missing := self.missing_for_confusion():
            raise DataError(f"no confusion matrix: {missing}")
        if has_masks and rows is not None:
            raise DataError("the pixels of masks are counted of all samples: confusion()")
        if has_masks:
            with context.lock:
                model = context.results.model(self._ablations(ablated))
                pixels = model.pixel_pass(context.class_names, context.output)
            self._predict(pixels, partial)
            return pixels.confusion()
        if rows is None:
            rows = self.rows(partial=partial, ablated=ablated)
        known = np.array(known_rows(rows, context.n_samples), np.int64)
        with context.lock:
            model = context.results.model(self._ablations(ablated))
            return model.confusion(known, context.class_names, context.output)

    def rows(self, *, partial: bool = False, ablated: bool = True) -> Integers:
        """Rows of the samples that have been predicted: all of them, or those so far.

        Args: as `confusion`.

        Raises:
            DataError: The model's output is no vector per sample.
        """
        if not self._context.probe.n_classes:
            self._require_classes()
        with self._context.lock:
            task = self._context.results.model(self._ablations(ablated)).prediction_pass
        self._predict(task, partial)
        return task.table.known

    def _predict(self, task: PredictionPass | PixelPass, partial: bool) -> None:
        """Take steps of a pass: all of them, or those that nobody notices."""
        begun_s = time.monotonic()
        while not task.complete:
            enough = task.cancelled or time.monotonic() - begun_s > AT_ONCE_S
            if partial and task.n_read and (enough or not self._context.probe.may_read_on):
                break
            task.step()
        if not (task.complete or task.cancelled):
            self._context.read_on(task)
        elif partial:
            self._context.read_no_more(task)

    def labels(self, rows: Sequence[int] | Integers | None = None) -> Bools:
        """Which labels the model says of `rows`, or of all samples: `(sample, class)` bool.

        Those above a probability of a half, or a logit of zero.

        Raises:
            DataError: The model predicts no classes, or one class a sample.
        """
        output = self._context.output
        if not output.is_multi_label:
            raise DataError(f"the model does not put out several labels: {output.words}")
        given = None if rows is None else np.asarray(rows).tolist()
        return predicted_labels(self(given), output)

    def scores(
        self,
        rows: Sequence[int] | Integers | None = None,
        *,
        limit: int | None = None,
        ablated: bool = True,
    ) -> ClassScores:
        """What the model says of each of `rows`, or of `samples`, and how sure it is.

        Args:
            rows: Rows of the data, as they were given. `samples` by default, which are on
                show: with the perturbation of the selection.
            limit: How many samples at most.
            ablated: Of `rows`: whether the ablations of the selection are in force.

        Raises:
            DataError: The model predicts no classes.
        """
        self._require_classes()
        context = self._context
        if rows is not None:
            chosen = np.array(known_rows(rows, context.n_samples)[:limit], np.int64)
            with context.lock:
                model = context.results.model(self._ablations(ablated))
                return model.scores(chosen, context.output)
        visible, labels = context.selection.samples[:limit], context.samples.labels
        if labels is not None:
            labels = labels[list(visible)]
        return class_scores(self.outputs(visible, as_shown=True), labels, output=context.output)

    def value_scores(
        self, rows: Sequence[int] | Integers | None = None, *, limit: int | None = None
    ) -> ValueScores:
        """What a regression says of each of `rows`, or of `samples`, and how far it is off.

        Args:
            rows: As in `scores`.
            limit: As in `scores`.

        Returns:
            `.values`, `.targets`, `.residuals`, `.mae`, `.rmse`, `.r2`.

        Raises:
            DataError: The model's output is no vector per sample.
        """
        context, targets = self._context, self._context.samples.targets
        given = context.selection.samples if rows is None else rows
        chosen = known_rows(given, context.n_samples)[:limit]
        values = self.outputs(chosen, as_shown=rows is None)
        return value_scores(values, None if targets is None else targets[list(chosen)])

    def _ablations(self, ablated: bool) -> tuple[Ablation, ...]:
        """Those that are in force, or none."""
        return self._context.selection.ablations if ablated else ()

    def _require_classes(self) -> None:
        if missing := self._context.missing_for_predictions():
            raise DataError(f"no predictions: {missing}")
