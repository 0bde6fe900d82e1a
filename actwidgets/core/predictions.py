"""Scores of predictions: confidence, margin, loss, residuals, and which samples are right."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_expit, log_softmax

from actwidgets.core.arrays import Doubles, Floats, Integers, require_axes
from actwidgets.core.labels import class_indices, class_labels, mask_indices
from actwidgets.core.output_kind import MARGIN, SIGMOID, OutputKind, said_kind
from actwidgets.errors import DataError, ShapeError

OUTCOMES = ("all", "right", "wrong")


def predicted_classes(
    predictions: ArrayLike, *, output: OutputKind | str | None
) -> NDArray[np.int64]:
    """The class with the largest output; of a single output, 1 where it is above its threshold.

    Args:
        predictions: `(sample, class)`.
        output: What they mean: the threshold of a probability is a half, of a logit zero.
            None will do for several outputs.

    Returns:
        `(sample,)` int64.

    Raises:
        DataError: A single output, and nobody says what it means.
    """
    predictions = np.asarray(predictions)
    if predictions.shape[1] == 1:
        if output is None:
            raise DataError(
                'one output tells two classes apart only as output="logit" or "probability"'
            )
        if isinstance(output, str):
            output = said_kind(output, (1,))
        return (predictions[:, 0] > output.threshold).astype(np.int64)
    return predictions.argmax(axis=1).astype(np.int64)


def predicted_labels(predictions: ArrayLike, output: OutputKind) -> NDArray[np.bool_]:
    """The classes whose output is above its threshold: several of a sample, or none.

    Args:
        predictions: `(sample, class)`; NaN is no.
        output: What they mean: the threshold of a probability is a half, of a logit zero.

    Returns:
        `(sample, class)` bool.
    """
    return np.asarray(np.asarray(predictions) > output.threshold)


def needs_predictions(outcome: str) -> bool:
    """Whether a filter by outcome must know all predictions."""
    return outcome != "all"


def filter_rows(
    n_samples: int,
    labels: NDArray[np.int64] | NDArray[np.bool_] | None,
    predictions: ArrayLike | None,
    *,
    class_index: int | None = None,
    outcome: str = "all",
    among: Sequence[int] | None = None,
    output: OutputKind | str | None = None,
) -> NDArray[np.intp]:
    """The samples of one class, with the outcome asked for, in order.

    Args:
        n_samples: How many samples there are.
        labels: `(sample,)`, or None where there are none; then no filter can be applied. Or
            `(sample, class)` bool: then a sample is of each class that it has, and right only
            where all its labels are.
        predictions: `(sample, class)`; only read where `outcome` needs it.
        class_index: Only samples of this true class; None for all.
        outcome: `"all"`, `"right"` or `"wrong"`.
        among: Only these rows, in this order; None for all.
        output: What the predictions mean, as in `predicted_classes`.

    Raises:
        DataError: No such outcome, or a filter without the labels or predictions it needs.
    """
    if outcome not in OUTCOMES:
        raise DataError(f"no outcome {outcome!r}; there are {', '.join(OUTCOMES)}")
    rows = np.arange(n_samples) if among is None else np.asarray(among, np.intp)
    if class_index is None and outcome == "all":
        return rows
    if labels is None:
        raise DataError("samples can be filtered by class or outcome only where y is given")
    if class_index is None:
        keep = np.ones(n_samples, bool)
    else:
        keep = labels[:, class_index] if labels.ndim == 2 else labels == class_index
    if needs_predictions(outcome):
        if predictions is None:
            raise DataError(
                f"samples can be filtered by {outcome!r} only where predictions are given"
            )
        if labels.ndim == 2:
            assert isinstance(output, OutputKind)
            right = (predicted_labels(predictions, output) == labels).all(axis=1)
        else:
            right = predicted_classes(predictions, output=output) == labels
        keep = keep & (right == (outcome == "right"))
    return rows[keep[rows]]


SORTED_BY = ("row", "confidence", "margin", "loss")
_LEAST = 1e-7  # as Keras' losses have it: no logarithm of nothing


@dataclass(frozen=True, eq=False)
class ClassScores:
    """Probabilities, confidence, margin and cross-entropy of some samples.

    Attributes:
        values: `(sample, class)` float64, as the model put them out; of logits that are read
            through a sigmoid the probabilities, of a single output both classes, 1 - p and p.
        predicted: `(sample,)` int64.
        confidence: `(sample,)`: the probability of the predicted class; NaN of margins.
        margin: `(sample,)`: how far it is above the next one.
        loss: `(sample,)`: the cross-entropy -log p(true class), in nats; NaN without labels,
            and of margins.
        kind: "probabilities"; "shares", which are each their own and need not sum to one, and
            are divided by their sum for the loss, as Keras' categorical cross-entropy does;
            "scores", of which all three are told from their softmax; or "margins", which have
            no probability. Minus infinity, as of a class that is masked, is a score with a
            probability of 0.
    """

    values: Doubles
    predicted: Integers
    confidence: Doubles
    margin: Doubles
    loss: Doubles
    kind: str

    def order(self, by: str) -> Integers:
        """The samples sorted: the least sure first, the greatest loss first; NaN last.

        Args:
            by: "row" for the order they have, "confidence", "margin" or "loss".

        Raises:
            DataError: No such order.
        """
        if by not in SORTED_BY:
            raise DataError(f"no order {by!r}; there are {', '.join(SORTED_BY)}")
        if by == "row":
            return np.arange(len(self.values))
        figures = -self.loss if by == "loss" else getattr(self, by)
        return np.argsort(figures, kind="stable")


def class_scores(
    predictions: ArrayLike, labels: ArrayLike | None = None, *, output: OutputKind | str
) -> ClassScores:
    """Scores of a model's outputs, class by class.

    Args:
        predictions: `(sample, class)`, or `(sample, 1)`. A sample with NaN or plus infinity has
            NaN for its figures.
        labels: `(sample,)` class indices or one-hot, or None.
        output: What the outputs mean, as `session.output` has it; or in a word "logit" or
            "probability". It is never read off the values of the samples that are asked about.

    Raises:
        ShapeError: Other axes, or not as many labels as samples.
        DataError: An output that tells no classes apart; labels outside the classes.
    """
    outputs = require_axes(predictions, ("sample", "class"), name="predictions")
    if isinstance(output, str):
        output = said_kind(output, outputs.shape[1:])
    if missing := output.missing_for_classes:
        raise DataError(f"no class scores: {missing}")
    predicted = predicted_classes(outputs, output=output)
    kind, values, logarithms = _read(outputs.astype(np.float64), output)
    probabilities = np.exp(logarithms) if kind == "scores" else values
    loss = np.full(len(values), np.nan)
    if labels is not None:
        true = class_indices(labels, n_classes=values.shape[1])
        if len(true) != len(values):
            raise ShapeError(f"{len(values)} samples need as many labels; got {len(true)}")
        loss = -logarithms[np.arange(len(values)), true]
    best = np.sort(probabilities, axis=1)[:, ::-1]
    margin = best[:, 0] - best[:, 1]
    confidence = np.full(len(values), np.nan) if kind == "margins" else best[:, 0]
    is_odd = ~(outputs < np.inf).all(axis=1)
    confidence, margin, loss = (
        np.where(is_odd, np.nan, each) for each in (confidence, margin, loss)
    )
    return ClassScores(values, predicted, confidence, margin, loss, kind)


def _read(outputs: Doubles, output: OutputKind) -> tuple[str, Doubles, Doubles]:
    """The kind of the values, the values of all classes, and logarithms of probabilities."""
    is_single = outputs.shape[1] == 1
    if output.link == MARGIN:
        values = np.concatenate([-outputs, outputs], axis=1) if is_single else outputs
        return "margins", values, np.full_like(values, np.nan)
    if output.kind == "logit" and output.link != SIGMOID:
        logarithms = log_softmax(outputs, axis=1) if outputs.size else outputs
        return "scores", outputs, logarithms
    values = output.probabilities(outputs)
    if output.kind == "logit" and is_single:  # exact also where 1 - p rounds to nothing
        signed = np.concatenate([-outputs, outputs], axis=1)
        return "probabilities", values, log_expit(signed)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = values / values.sum(axis=1, keepdims=True)
    kind = "shares" if output.is_multi_label else "probabilities"
    return kind, values, np.log(np.clip(shares, _LEAST, 1.0))


VALUES_SORTED_BY = ("row", "predicted", "target", "error")


@dataclass(frozen=True, eq=False)
class ValueScores:
    """Residuals and errors of a regression: MAE, RMSE, R².

    Attributes:
        values: `(sample, output)` float64, as the model put them out.
        targets: `(sample, output)` float64; None without them.
    """

    values: Doubles
    targets: Doubles | None

    @property
    def residuals(self) -> Doubles | None:
        """`(sample, output)`: predicted less target; None without targets."""
        return None if self.targets is None else self.values - self.targets

    @property
    def errors(self) -> Doubles:
        """`(sample,)`: mean absolute residual over the outputs; NaN without targets."""
        residuals = self.residuals
        if residuals is None:
            return np.full(len(self.values), np.nan)
        return np.asarray(np.abs(residuals).mean(axis=1))

    @property
    def mae(self) -> float:
        """Mean absolute error over samples and outputs; NaN of no samples, or no targets."""
        return float(self.errors.mean()) if len(self.values) else float("nan")

    @property
    def rmse(self) -> float:
        """Root of the mean squared error over samples and outputs; NaN as of `mae`."""
        residuals = self.residuals
        if residuals is None or not residuals.size:
            return float("nan")
        return float(np.sqrt(np.mean(residuals**2)))

    @property
    def r2(self) -> float:
        """Share of the targets' variance that is predicted, the mean over the outputs.

        NaN without targets, and where the targets of an output are all the same.
        """
        if self.targets is None or not len(self.values):
            return float("nan")
        spread = ((self.targets - self.targets.mean(axis=0)) ** 2).sum(axis=0)
        missed = ((self.values - self.targets) ** 2).sum(axis=0)
        shares = 1 - np.divide(missed, spread, out=np.full(len(spread), np.nan), where=spread > 0)
        return float(shares.mean())

    def order(self, by: str) -> Integers:
        """The samples sorted: the smallest first, of errors the greatest; NaN last.

        Args:
            by: "row" for the order they have, "predicted" or "target" by the first output, or
                "error".

        Raises:
            DataError: No such order, or no targets to sort by.
        """
        if by not in VALUES_SORTED_BY:
            raise DataError(f"no order {by!r}; there are {', '.join(VALUES_SORTED_BY)}")
        if by == "row":
            return np.arange(len(self.values))
        if by == "predicted":
            return np.argsort(self.values[:, 0], kind="stable")
        if self.targets is None:
            raise DataError(f"no order by {by}: there are no targets")
        figures = self.targets[:, 0] if by == "target" else -self.errors
        return np.argsort(figures, kind="stable")


def value_scores(values: ArrayLike, targets: ArrayLike | None = None) -> ValueScores:
    """Compare what a regression puts out with what it should.

    Args:
        values: `(sample, output)`.
        targets: `(sample, output)`, or None.

    Raises:
        ShapeError: Other axes, or targets of another shape.
    """
    predicted = require_axes(values, ("sample", "output"), name="values").astype(np.float64)
    if targets is None:
        return ValueScores(predicted, None)
    expected = require_axes(targets, ("sample", "output"), name="targets").astype(np.float64)
    if expected.shape != predicted.shape:
        raise ShapeError(f"values {predicted.shape} need targets as many; got {expected.shape}")
    return ValueScores(predicted, expected)


BATCH_SIZE = 256


class PredictionTable:
    """Predictions of all samples, `(sample, class)` float32, filled in lazily."""

    def __init__(self, n_samples: int, n_classes: int) -> None:
        self._values = np.empty((n_samples, n_classes), np.float32)
        self._is_known = np.zeros(n_samples, bool)

    def __len__(self) -> int:
        """How many samples there are."""
        return len(self._values)

    @property
    def n_known(self) -> int:
        """How many of them have been predicted."""
        return int(np.count_nonzero(self._is_known))

    @property
    def known(self) -> Integers:
        """Their rows."""
        return np.flatnonzero(self._is_known)

    def missing(self, limit: int) -> Integers:
        """The first rows that have not been predicted."""
        return np.flatnonzero(~self._is_known)[:limit]

    def of(
        self, rows: ArrayLike, predict: Callable[[Integers], Any], batch_size: int = BATCH_SIZE
    ) -> Floats:
        """The predictions of `rows`, a copy; `predict` is called for those not yet known."""
        indices = np.asarray(rows, dtype=np.intp)
        missing = np.unique(indices[~self._is_known[indices]])
        for start in range(0, len(missing), batch_size):
            batch = missing[start : start + batch_size]
            self._values[batch] = predict(batch)
            self._is_known[batch] = True
        return self._values[indices]


@dataclass(frozen=True, eq=False)
class PredictionShift:
    """Predictions of one sample before and after a change, of the most probable classes.

    Attributes:
        classes: `(shown,)` int64. Of few classes all, in their order; of many those that were
            or are the most probable, as probable as they were, and the true one among them.
        before: `(shown,)` what the model held of each; NaN where it put out NaN.
        now: Likewise.
        n_classes: How many classes there are.
        predicted: The predicted class, before and now.
        confidence: The probability of each of these two; NaN where there are none.
        has_probabilities: Whether `before` and `now` are some, rather than margins.
    """

    classes: Integers
    before: Doubles
    now: Doubles
    n_classes: int
    predicted: tuple[int, int]
    confidence: tuple[float, float]
    has_probabilities: bool = True


def prediction_shift(
    before: ArrayLike,
    now: ArrayLike,
    *,
    output: OutputKind | str,
    true_class: int | None = None,
    limit: int = 10,
) -> PredictionShift:
    """Compare two outputs of a model for one sample.

    Args:
        before: `(class,)`, as the model put it out.
        now: Likewise.
        output: What that means, as in `class_scores`: of logits the probabilities are told.
        true_class: Shown whatever it is held to be.
        limit: How many classes are shown at most.

    Raises:
        ShapeError: Not one axis, or lengths that differ.
        DataError: An output that tells no classes apart.
    """
    first, second = (require_axes(each, ("class",), name="outputs") for each in (before, now))
    if len(first) != len(second):
        raise ShapeError(
            f"outputs must be alike; got {len(first)} classes before and {len(second)} now"
        )
    both = np.stack([first, second])
    kind = said_kind(output, both.shape[1:]) if isinstance(output, str) else output
    scores = class_scores(both, output=kind)
    values = kind.probabilities(both) if kind.has_probabilities else scores.values
    n_classes = values.shape[1]
    classes = np.arange(n_classes)
    if n_classes > limit:
        known = np.nan_to_num(values, nan=-1.0)
        classes = np.argsort(-known.max(axis=0), kind="stable")[:limit]
        if true_class is not None and true_class not in classes:
            classes[-1] = true_class
        classes = classes[np.argsort(-known[0, classes], kind="stable")]
    return PredictionShift(
        classes,
        before=values[0, classes],
        now=values[1, classes],
        n_classes=n_classes,
        predicted=(int(scores.predicted[0]), int(scores.predicted[1])),
        confidence=(float(scores.confidence[0]), float(scores.confidence[1])),
        has_probabilities=kind.has_probabilities,
    )


STEP = 64  # samples of which each has many positions


def class_counts(
    y: ArrayLike, n_classes: int, class_names: Sequence[str] | None = None
) -> Integers:
    """Count the samples of each class.

    Args:
        y: `(sample,)` class indices or names, or `(sample, class)` one-hot; of several labels
            a sample zeros and ones: it counts in every class that it has.
        class_names: One per class, for labels that are names.

    Returns:
        `(class,)` int64; 0 for a class that does not occur.

    Raises:
        DataError: Labels outside the classes.
        ShapeError: Labels of another shape.
    """
    labels = class_labels(y, n_classes=n_classes, class_names=class_names)
    if labels.ndim == 2:
        return labels.sum(axis=0).astype(np.int64)
    return np.bincount(labels, minlength=n_classes).astype(np.int64)


def pixel_counts(masks: Any, n_classes: int) -> Integers:
    """Count the positions of masks by class, a few samples at a time.

    Args:
        masks: `(sample, …)` class indices, or what gives them for a slice of rows; a last axis of
            `n_classes` or 1 is that of the classes.

    Returns:
        `(class,)` int64.

    Raises:
        DataError: Classes outside 0..n_classes-1.
    """
    counts = np.zeros(n_classes, np.int64)
    for start in range(0, len(masks), STEP):
        some = np.asarray(masks[start : start + STEP])
        is_wide = some.ndim > 2 and some.shape[-1] in (1, n_classes)
        indices = mask_indices(some, some.shape[:-1] if is_wide else some.shape, n_classes)
        counts += np.bincount(indices.ravel(), minlength=n_classes)
    return counts
