"""How sure a model is of each sample: confidence, margin and loss, by what its output means."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_expit, log_softmax

from actwidgets.core.arrays import Doubles, Integers, require_axes
from actwidgets.core.labels import class_indices
from actwidgets.core.predictions.outcomes import predicted_classes
from actwidgets.core.predictions.output_kind import MARGIN, SIGMOID, OutputKind, said_kind
from actwidgets.errors import DataError, ShapeError

SORTED_BY = ("row", "confidence", "margin", "loss")
_LEAST = 1e-7  # as Keras' losses have it: no logarithm of nothing


@dataclass(frozen=True, eq=False)
class ClassScores:
    """What a model says of some samples, class by class.

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
    """Read a model's outputs as what it holds of each class.

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
