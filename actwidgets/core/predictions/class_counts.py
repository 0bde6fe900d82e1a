"""How many samples, or pixels of masks, there are of each class."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core.arrays import Integers
from actwidgets.core.labels import class_labels, mask_indices

STEP = 64  # samples of which each has many positions


def class_counts(
    y: ArrayLike, n_classes: int, class_names: Sequence[str] | None = None
) -> Integers:
    """Count the samples of each class.

    Args:
        y: `(sample,)` class indices or names, or `(sample, class)` one-hot; of several labels
            a sample zeros and ones: it counts in every class that it has.
        n_classes: How many classes there are.
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
        n_classes: How many classes there are.

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
