"""What a model said of a sample before something was done to it, and what it says now."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core.arrays import Doubles, Integers, require_axes
from actwidgets.core.predictions.class_scores import class_scores
from actwidgets.core.predictions.output_kind import OutputKind, said_kind
from actwidgets.errors import ShapeError


@dataclass(frozen=True, eq=False)
class PredictionShift:
    """The most probable classes of one sample, before and now.

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
