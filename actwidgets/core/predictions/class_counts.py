"""How many samples there are of each class."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core.arrays import Integers
from actwidgets.core.labels import class_indices


def class_counts(
    y: ArrayLike, n_classes: int, class_names: Sequence[str] | None = None
) -> Integers:
    """Count the samples of each class.

    Args:
        y: `(sample,)` class indices or one-hot `(sample, class)`.
        n_classes: How many classes there are.
        class_names: One per class, for labels that are names.

    Returns:
        `(class,)` int64; 0 for a class that does not occur.

    Raises:
        DataError: Labels outside the classes.
        ShapeError: Labels of another shape.
    """
    labels = class_indices(y, n_classes=n_classes, class_names=class_names)
    return np.bincount(labels, minlength=n_classes).astype(np.int64)
