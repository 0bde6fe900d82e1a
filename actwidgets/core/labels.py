"""Class labels and class names: one form for all the ways they are given."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actwidgets.core.arrays import (
    Array,
    Integers,
    as_array,
    column_values,
    columns_of,
    feature_names,
    is_column,
    is_table,
)
from actwidgets.core.output_kind import OutputKind
from actwidgets.errors import DataError, ShapeError


def label_array(y: Any) -> Array:
    """Labels as an array: those of a table or a column too.

    Args:
        y: Anything numpy can read; a column of pandas, Polars or PyArrow, categorical ones by
            their categories; a table of one such column, or of several numbers.

    Raises:
        DataError: A table of several columns that are not numbers.
    """
    if is_table(y):
        columns = columns_of(y)
        return label_array(columns[0]) if len(columns) == 1 else np.asarray(as_array(y, name="y"))
    labels = column_values(y) if is_column(y) else np.asarray(y)
    return labels.astype(object) if labels.dtype.kind in "TSU" else labels


def label_names(y: Any) -> tuple[str, ...]:
    """The names of classes that labels bring along; () where they bring none.

    Args:
        y: As in `class_indices`, or None.

    Returns:
        The categories of a categorical column, in their order; the names of the columns of a
        one-hot table; of other text each that occurs, in alphabetical order, as scikit-learn's
        `LabelEncoder` and `pd.get_dummies` have it. () where these are the indices as text.
    """
    if is_table(y):
        columns = columns_of(y)
        return label_names(columns[0]) if len(columns) == 1 else feature_names(y)
    dtype: Any = getattr(y, "dtype", None)
    categories = getattr(dtype, "categories", None)
    if categories is not None and len(categories):
        names = [*categories]
        return tuple(names) if _are_names(names) else ()
    if y is None or (dtype is not None and getattr(dtype, "kind", "O") in "biufcmM"):
        return ()
    labels = label_array(y)
    if labels.dtype.kind != "O" or labels.ndim > 2 or (labels.ndim == 2 and labels.shape[1] != 1):
        return ()
    if not all(isinstance(each, str | bytes) for each in labels.flat):
        return ()
    names = sorted({_text(each) for each in labels.flat})
    return tuple(names) if _are_names(names) else ()


def order_of_names(y: Any) -> str:
    """By what `label_names` orders classes, in words; "" where there are none."""
    if not label_names(y):
        return ""
    if is_table(y) and len(columns := columns_of(y)) > 1:
        return f"classes are the {len(columns)} columns of y, in their order"
    column = columns_of(y)[0] if is_table(y) else y
    if getattr(getattr(column, "dtype", None), "categories", None) is not None:
        return "classes are the categories of y, in their order"
    return "classes are the names in y, in alphabetical order"


def names_of_classes(
    given: Sequence[str] | None, brought: Sequence[str], n_outputs: int
) -> Sequence[str] | None:
    """The names to go by: those given, or those that the labels bring along.

    Args:
        given: `class_names` as somebody gave them, or None.
        brought: From `label_names`.
        n_outputs: How many outputs the model has per sample; see `count_classes`.

    Raises:
        DataError: The labels bring other numbers of names than the model has classes.
    """
    if given is not None or not brought:
        return given
    n_classes = count_classes(n_outputs, brought)
    if len(brought) != n_classes:
        some = ", ".join(brought[:5]) + (", …" if len(brought) > 5 else "")
        raise DataError(
            f"y names {len(brought)} classes ({some}), and the model has {n_classes}: give "
            "class_names, in the order of the model's output"
        )
    return brought


def class_indices(
    y: Any, *, n_classes: int | None = None, class_names: Sequence[str] | None = None
) -> NDArray[np.int64]:
    """Read labels as class indices.

    Args:
        y: `(sample,)` or `(sample, 1)` integers (or floats that are whole), names of classes,
            or one-hot `(sample, class)`; tables and columns of pandas and Polars too.
        n_classes: How many classes there are; labels must lie in `0..n_classes-1`.
        class_names: One per class, for labels that are names; without them those of
            `label_names`.

    Returns:
        `(sample,)` int64, a copy.

    Raises:
        ShapeError: More than two axes, or one-hot of another width than `n_classes`.
        DataError: Labels that are neither whole numbers nor names, or outside the classes.
    """
    labels = label_array(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2:
        labels = _from_one_hot(labels, n_classes)
    if labels.ndim != 1:
        raise ShapeError(
            f"y needs class indices (sample,) or one-hot (sample, class); got shape {labels.shape}"
        )
    if labels.dtype.kind == "O" and labels.size:
        labels = _from_names(labels, class_names or label_names(y))
    if labels.dtype.kind == "b":  # of two classes
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "iuf" and labels.size:
        raise DataError(f"y must hold class indices; got values like {labels.tolist()[0]!r}")
    with np.errstate(invalid="ignore"):  # NaN is refused below
        indices = labels.astype(np.int64)
    if labels.dtype.kind == "f" and not np.array_equal(indices, labels):
        if n_missing := int(np.isnan(labels).sum()):
            raise DataError(f"y has no label for {n_missing:,} of {len(labels):,} samples")
        odd = labels[indices != labels][0]
        raise DataError(
            f"y must hold whole class indices; got {odd}. Targets of a regression are no classes: "
            "leave y out"
        )
    _require_known(indices, n_classes)
    return indices


def multi_hot(y: Any) -> NDArray[np.bool_] | None:
    """Labels of samples that may have several each, or none: `(sample, class)`.

    Args:
        y: `(sample, class)` of zeros and ones, a table too; or None.

    Returns:
        None of anything else, one-hot labels included: these are one class each.
    """
    labels = np.empty(0) if y is None else label_array(y)
    if labels.ndim != 2 or labels.shape[1] < 2 or labels.dtype.kind not in "biuf":
        return None
    ones = labels == 1
    if not (ones | (labels == 0)).all() or (ones.sum(axis=1) == 1).all():
        return None
    return np.array(ones)


def class_labels(
    y: Any, *, n_classes: int, class_names: Sequence[str] | None = None
) -> NDArray[np.int64] | NDArray[np.bool_]:
    """Read labels as class indices, or as several labels a sample where they are that.

    Args:
        y: As in `class_indices`, or `(sample, class)` of zeros and ones.
        class_names: One per class, for labels that are names.

    Returns:
        `(sample,)` int64, or `(sample, class)` bool.

    Raises: as `class_indices`.
    """
    several = multi_hot(y)
    if several is None:
        return class_indices(y, n_classes=n_classes, class_names=class_names)
    if several.shape[1] != n_classes:
        raise ShapeError(f"y has {several.shape[1]} columns of labels for {n_classes} classes")
    return several


def label_pairs(labels: Array) -> tuple[Any, Integers]:
    """Each sample with each class that it has: rows, and classes, `(pair,)` both.

    Args:
        labels: From `class_labels`.
    """
    if labels.ndim == 1:
        return np.arange(len(labels)), labels
    rows, classes = np.nonzero(labels)
    return rows, classes


def mask_indices(masks: Any, positions: tuple[int, ...], n_classes: int) -> NDArray[np.int64]:
    """The classes of positions of samples, such as the pixels of masks.

    Args:
        masks: `(sample, …)` class indices, `(sample, …, 1)`, or one-hot `(sample, …, class)`.
        positions: The shape of the samples' positions, samples first.

    Raises:
        ShapeError: Another shape.
        DataError: Classes outside 0..n_classes-1.
    """
    indices = np.asarray(masks)
    shape = tuple(positions)
    if indices.shape == (*shape, n_classes) and n_classes > 1:
        indices = _from_one_hot(indices.reshape(-1, n_classes), n_classes).reshape(shape)
    elif indices.shape == (*shape, 1):
        indices = indices[..., 0]
    if indices.shape != shape:
        raise ShapeError(
            f"masks need a class for each position of the output {shape[1:]}; "
            f"got {indices.shape[1:]}"
        )
    return class_indices(indices.ravel(), n_classes=n_classes).reshape(shape)


def _from_names(labels: Array, names: Sequence[str]) -> NDArray[np.int64]:
    """Names of classes, or indices written as text, as indices."""
    missing = sum(label is None or label != label for label in labels)
    if missing:
        raise DataError(f"y has no label for {missing:,} of {len(labels):,} samples")
    if not all(isinstance(label, str | bytes) for label in labels):
        raise DataError(f"y must hold class indices or names; got values like {labels[0]!r}")
    distinct, indices = np.unique([_text(label) for label in labels], return_inverse=True)
    known = {name: index for index, name in enumerate(names)}
    if not set(distinct) <= set(known) and not _are_names(distinct):
        known = {name: int(name) for name in distinct.tolist()}
    if unknown := [name for name in distinct.tolist() if name not in known]:
        listed = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
        classes = f"which is none of the classes {listed}" if names else "which is no class index"
        raise DataError(f"y holds {unknown[0]!r}, {classes}: give class_names")
    return np.array([known[name] for name in distinct.tolist()], np.int64)[indices.ravel()]


def _are_names(texts: Iterable[Any]) -> bool:
    """Whether these are texts, and not whole numbers written as such."""
    names = [*texts]
    if not all(isinstance(each, str) for each in names):
        return False
    return not all(each.isdecimal() for each in names)


def _text(label: str | bytes) -> str:
    return label.decode(errors="replace") if isinstance(label, bytes) else label


def _from_one_hot(labels: NDArray[Any], n_classes: int | None) -> NDArray[np.int64]:
    if n_classes is not None and labels.shape[1] != n_classes:
        raise ShapeError(f"one-hot y has {labels.shape[1]} columns for {n_classes} classes")
    ones = (labels == 1).sum(axis=1) == 1
    if not (ones & ((labels != 0).sum(axis=1) == 1)).all():
        raise DataError(
            "y has two axes but is not one-hot: every row needs one 1 and else 0, unless each "
            "output of the model stands on its own, as of a sigmoid: then it may have several"
        )
    return labels.argmax(axis=1).astype(np.int64, copy=False)


def _require_known(indices: NDArray[np.int64], n_classes: int | None) -> None:
    if indices.size == 0:
        return
    low, high = int(indices.min()), int(indices.max())
    if low < 0:
        raise DataError(f"y holds {low}; class indices begin at 0")
    if n_classes is not None and high >= n_classes:
        raise DataError(f"y holds {high}, but there are {n_classes} classes: 0..{n_classes - 1}")


def count_classes(
    n_outputs: int,
    class_names: Sequence[str] | None,
    output: OutputKind | None = None,
    y: Array | None = None,
) -> int:
    """How many classes there are.

    Args:
        n_outputs: Outputs of the model per sample; 0 where its output is not a vector. One
            output tells two classes apart.
        class_names: What decides where the model does not.
        output: What the outputs mean; None where that is not known yet.
        y: Labels. Beside values that are no targets of the model they may be classes all the
            same: as many as they hold.
    """
    if output is None or output.kind != "value":
        return 2 if n_outputs == 1 else n_outputs or len(class_names or ())
    if class_names is not None or y is None or n_outputs < 2:
        return len(class_names or ())
    is_whole = y.ndim == 1 and y.dtype.kind in "iu" and y.size and y.min() >= 0
    return int(y.max()) + 1 if is_whole else 0


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
