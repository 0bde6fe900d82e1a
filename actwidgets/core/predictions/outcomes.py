"""Which samples a model gets right, and which wrong."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actwidgets.core.predictions.output_kind import OutputKind, said_kind
from actwidgets.errors import DataError

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
