"""How sure a model is of each sample: confidence, margin and loss, whatever it puts out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_softmax

from actwidgets.core.arrays import Doubles, Integers, require_axes
from actwidgets.core.labels import class_indices
from actwidgets.core.predictions.outcomes import predicted_classes
from actwidgets.errors import DataError, ShapeError

SORTED_BY = ("row", "confidence", "margin", "loss")
_SUM_TOLERANCE = 5e-3  # what sums in bfloat16 may be off: each value by up to 1 / 512
_LEAST = 1e-7  # as Keras' losses have it: no logarithm of nothing


@dataclass(frozen=True, eq=False)
class ClassScores:
    """What a model says of some samples, class by class.

    Attributes:
        values: `(sample, class)` float64, as the model put them out; of a single sigmoid
            both classes, 1 - p and p.
        predicted: `(sample,)` int64.
        confidence: `(sample,)`: the probability of the predicted class.
        margin: `(sample,)`: how far it is above the next one.
        loss: `(sample,)`: the cross-entropy -log p(true class), in nats; NaN without labels.
        kind: "probabilities"; "shares", which lie in 0..1 but do not sum to one, and are
            divided by their sum for the loss, as Keras' categorical cross-entropy does; or
            "scores", of which all three are told from their softmax. Minus infinity, as of
            a class that is masked, is a score with a probability of 0.
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


def class_scores(predictions: ArrayLike, labels: ArrayLike | None = None) -> ClassScores:
    """Read a model's outputs as what it holds of each class.

    Args:
        predictions: `(sample, class)`, or `(sample, 1)` of a sigmoid. A sample with NaN or
            plus infinity has NaN for its figures.
        labels: `(sample,)` class indices or one-hot, or None.

    Raises:
        ShapeError: Other axes, or not as many labels as samples.
        DataError: A single output outside 0..1, which no sigmoid puts out; labels outside the
            classes.
    """
    outputs = require_axes(predictions, ("sample", "class"), name="predictions")
    predicted = predicted_classes(outputs)
    values = _of_both_classes(outputs.astype(np.float64))
    with np.errstate(invalid="ignore"):
        kind = _kind(values)
        logarithms = (
            log_softmax(values, axis=1)
            if kind == "scores" and values.size
            else np.log(np.clip(values / values.sum(axis=1, keepdims=True), _LEAST, 1.0))
        )
    probabilities = np.exp(logarithms) if kind == "scores" else values
    loss = np.full(len(values), np.nan)
    if labels is not None:
        true = class_indices(labels, n_classes=values.shape[1])
        if len(true) != len(values):
            raise ShapeError(f"{len(values)} samples need as many labels; got {len(true)}")
        loss = -logarithms[np.arange(len(values)), true]
    best = np.sort(probabilities, axis=1)[:, ::-1]
    margin = best[:, 0] - best[:, 1]
    is_odd = ~(values < np.inf).all(axis=1)
    confidence, margin, loss = (
        np.where(is_odd, np.nan, each) for each in (best[:, 0], margin, loss)
    )
    return ClassScores(values, predicted, confidence, margin, loss, kind)


def _of_both_classes(values: Doubles) -> Doubles:
    if values.shape[1] != 1:
        return values
    known = values[~np.isnan(values)]
    if known.size and not (known.min() >= 0 and known.max() <= 1):
        raise DataError(
            f"a single output tells two classes apart only as a probability in 0..1; this "
            f"model's goes from {known.min():.3g} to {known.max():.3g}"
        )
    return np.concatenate([1 - values, values], axis=1)


def _kind(values: Doubles) -> str:
    known = values[~np.isnan(values).any(axis=1)]
    if not known.size:
        return "probabilities"
    if known.min() < 0 or known.max() > 1 + _SUM_TOLERANCE:
        return "scores"
    return "probabilities" if np.allclose(known.sum(1), 1, atol=_SUM_TOLERANCE) else "shares"
