"""Class labels and class names: one form for all the ways they are given."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actwidgets.errors import DataError, ShapeError


def class_indices(y: ArrayLike, *, n_classes: int | None = None) -> NDArray[np.int64]:
    """Read labels as class indices.

    Args:
        y: `(sample,)` or `(sample, 1)` integers (or floats that are whole), or one-hot
            `(sample, class)`.
        n_classes: How many classes there are; labels must lie in `0..n_classes-1`.

    Returns:
        `(sample,)` int64, a copy.

    Raises:
        ShapeError: More than two axes, or one-hot of another width than `n_classes`.
        DataError: Labels that are not whole numbers, or outside the classes.
    """
    labels = np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2:
        labels = _from_one_hot(labels, n_classes)
    if labels.ndim != 1:
        raise ShapeError(
            f"y needs class indices (sample,) or one-hot (sample, class); got shape {labels.shape}"
        )
    if labels.dtype.kind == "b":  # of two classes
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "iuf" and labels.size:
        raise DataError(f"y must hold class indices; got values like {labels.tolist()[0]!r}")
    with np.errstate(invalid="ignore"):  # NaN is refused below
        indices = labels.astype(np.int64)
    if labels.dtype.kind == "f" and not np.array_equal(indices, labels):
        odd = labels[indices != labels][0]
        raise DataError(
            f"y must hold whole class indices; got {odd}. Targets of a regression are no classes: "
            "leave y out"
        )
    _require_known(indices, n_classes)
    return indices


def _from_one_hot(labels: NDArray[Any], n_classes: int | None) -> NDArray[np.int64]:
    if n_classes is not None and labels.shape[1] != n_classes:
        raise ShapeError(f"one-hot y has {labels.shape[1]} columns for {n_classes} classes")
    ones = (labels == 1).sum(axis=1) == 1
    if not (ones & ((labels != 0).sum(axis=1) == 1)).all():
        raise DataError("y has two axes but is not one-hot: every row needs one 1 and else 0")
    return labels.argmax(axis=1).astype(np.int64, copy=False)


def _require_known(indices: NDArray[np.int64], n_classes: int | None) -> None:
    if indices.size == 0:
        return
    low, high = int(indices.min()), int(indices.max())
    if low < 0:
        raise DataError(f"y holds {low}; class indices begin at 0")
    if n_classes is not None and high >= n_classes:
        raise DataError(f"y holds {high}, but there are {n_classes} classes: 0..{n_classes - 1}")


def count_classes(n_outputs: int, class_names: Sequence[str] | None) -> int:
    """How many classes there are.

    Args:
        n_outputs: Outputs of the model per sample; 0 where its output is not a vector. One
            output, as of a sigmoid, tells two classes apart.
        class_names: What decides where the model does not.
    """
    return 2 if n_outputs == 1 else n_outputs or len(class_names or ())


def checked_class_names(names: Sequence[str] | None, n_classes: int) -> tuple[str, ...]:
    """The class names, one per class; the indices as text where none are given.

    Raises:
        DataError: Too few or too many, repeated, or not text.
    """
    if names is None:
        return tuple(str(index) for index in range(n_classes))
    if isinstance(names, str):
        raise DataError(f"class_names must be a sequence of names; got the text {names!r}")
    names = tuple(names)
    for index, name in enumerate(names):
        if not isinstance(name, str):
            raise DataError(f"class_names must be text; number {index} is {name!r}")
    if len(names) != n_classes:
        raise DataError(f"{n_classes} classes need {n_classes} class_names; got {len(names)}")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(f"class_names must differ; repeated: {', '.join(repeated)}")
    return names
