"""What a session's model predicts of all samples: right, wrong, and taken for what."""

import time
from collections.abc import Sequence

import numpy as np

from actwidgets.core.ablation import Ablation
from actwidgets.core.arrays import Bools, Integers
from actwidgets.core.confusion import (
    AnyConfusion,
    ClassificationReport,
    Confusion,
    MultilabelConfusion,
    PixelConfusion,
)
from actwidgets.core.predictions import (
    ClassScores,
    ValueScores,
    class_scores,
    predicted_labels,
    value_scores,
)
from actwidgets.core.selection import known_rows
from actwidgets.errors import DataError
from actwidgets.session.passes import PixelPass, PredictionPass
from actwidgets.session.profiles import SessionPasses

AT_ONCE_S = 0.03  # nobody notices so long a wait: a small model predicts thousands of samples in it


class SessionPredictions(SessionPasses):
    """Confusion matrix, classification report and scores, with ablations in force."""

    def missing_for_confusion(self) -> str:
        """Why right and wrong cannot be told: "" where they can."""
        if self.masks is not None:
            return ""
        if self.missing_for_predictions():
            return self.missing_for_predictions()
        return "" if self.label_sets is not None else self.missing_labels

    def confusion(self, *, partial: bool = False, ablated: bool = True) -> AnyConfusion:
        """True and predicted classes of all samples, and what follows from them.

        A `Confusion`; of several labels a sample a `MultilabelConfusion`, with two by two counts
        of each label, and of masks a `PixelConfusion`, which counts their pixels.

        Args:
            partial: Return at once with what has been predicted so far, at least one batch,
                and go on in the background; `reading` tells how far it is.
            ablated: Whether the ablations of the selection are in force.

        Raises:
            DataError: The session has no labels, or the model predicts no classes.

        Cost: one pass over the samples that have not been predicted.
        """
        if missing := self.missing_for_confusion():
            raise DataError(f"no confusion matrix: {missing}")
        if self.masks is not None:
            return self._pixel_confusion(partial, self.ablations if ablated else ())
        rows = self.predicted_rows(partial=partial, ablated=ablated)
        return self.confusion_of(rows, ablated=ablated)

    def confusion_of(
        self, rows: Sequence[int] | Integers, *, ablated: bool = True
    ) -> Confusion | MultilabelConfusion:
        """The same of some samples; not of masks.

        Args:
            rows: `(sample,)` rows of the data.
            ablated: Whether the ablations of the selection are in force.

        Raises: as `confusion`.
        """
        if missing := self.missing_for_confusion():
            raise DataError(f"no confusion matrix: {missing}")
        if self.masks is not None:
            raise DataError("the pixels of masks are counted of all samples: confusion()")
        chosen = np.array(known_rows(rows, self.n_samples), np.int64)
        with self.lock:
            return self._numbers.confusion(chosen, self.ablations if ablated else ())

    def predicted_rows(self, *, partial: bool = False, ablated: bool = True) -> Integers:
        """Rows of the samples that have been predicted: all of them, or those so far.

        Args: as `confusion`.

        Raises:
            DataError: The model's output is no vector per sample.
        """
        if not self.n_outputs:
            self._require_classes()
        with self.lock:
            wanted = self._numbers.prediction_pass(self.ablations if ablated else ())
        self._predict(wanted, partial)
        return wanted.known

    def _pixel_confusion(self, partial: bool, ablations: tuple[Ablation, ...]) -> PixelConfusion:
        with self.lock:
            wanted = self._numbers.pixel_pass(ablations)
        self._predict(wanted, partial)
        return wanted.confusion()

    def _predict(self, wanted: PredictionPass | PixelPass, partial: bool) -> None:
        """Take steps of a pass: all of them, or those that nobody notices."""
        begun_s = time.monotonic()
        while not wanted.complete:
            enough = wanted.cancelled or time.monotonic() - begun_s > AT_ONCE_S
            if partial and wanted.n_read and (enough or not self._probe.may_read_on):
                break
            wanted.step()
        if not (wanted.complete or wanted.cancelled):
            self._read_on(wanted)
        elif partial:
            self._read_no_more(wanted)

    def predicted_labels(self, rows: Sequence[int] | Integers | None = None) -> Bools:
        """Which labels the model says of `rows`, or of all samples: `(sample, class)` bool.

        Those above a probability of a half, or a logit of zero.

        Raises:
            DataError: The model predicts no classes, or one class a sample.
        """
        if not self.output.is_multi_label:
            raise DataError(f"the model does not put out several labels: {self.output.words}")
        given = None if rows is None else np.asarray(rows).tolist()
        return predicted_labels(self.predictions(given), self.output)

    def predicted_words(self, row: int) -> str | None:
        """The predicted class of a sample, by name; of several labels those of all.

        None where the model predicts none.
        """
        if not self.predicts_classes:
            return None
        if self.label_sets is not None:
            return self._words_of(self.predicted_labels([row])[0])
        return self.class_names[int(self.predicted_classes([row])[0])]

    def classification_report(self) -> ClassificationReport:
        """Precision, recall, F1 and support by class, over all samples."""
        return self.confusion().report

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
        if rows is not None:
            chosen = np.array(known_rows(rows, self.n_samples)[:limit], np.int64)
            with self.lock:
                return self._numbers.scores(chosen, self.ablations if ablated else ())
        outputs = self.predictions_on_show(limit=limit)
        labels = None if self.labels is None else self.labels[list(self.samples[:limit])]
        return class_scores(outputs, labels, output=self.output)

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
        chosen = known_rows(self.samples if rows is None else rows, self.n_samples)[:limit]
        values = self.outputs(chosen, as_shown=rows is None)
        targets = None if self.targets is None else self.targets[list(chosen)]
        return value_scores(values, targets)
