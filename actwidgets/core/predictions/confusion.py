"""Which classes a model takes for which: counts, shares, and the samples behind each."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core.arrays import Doubles, Integers
from actwidgets.core.labels import class_indices
from actwidgets.core.predictions.classification_report import ClassificationReport, report_of_counts
from actwidgets.errors import DataError, SelectionError, ShapeError

if TYPE_CHECKING:
    import pandas as pd

NORMALISED = ("counts", "row", "column", "all")


@dataclass(frozen=True)
class ConfusedPair:
    """Samples of one class that were taken for another.

    Attributes:
        true: Their class.
        predicted: The class they were taken for.
        count: How many.
        share: Of the samples of the true class.
    """

    true: int
    predicted: int
    count: int
    share: float


@dataclass(frozen=True, eq=False)
class Confusion:
    """True and predicted class of some samples.

    Attributes:
        labels: `(sample,)` int64 true classes.
        predicted: `(sample,)` int64 predicted classes.
        rows: `(sample,)` int64: which rows of the data these samples are.
        class_names: One per class.
        n_samples: How many samples the data hold; more than `rows` while they are read.
        n_nan: How many of these samples have NaN among the model's outputs. They count as
            predicted as the first class that is NaN, as `argmax` and Keras' accuracy have it.
    """

    labels: Integers
    predicted: Integers
    rows: Integers
    class_names: tuple[str, ...]
    n_samples: int
    n_nan: int = 0

    @property
    def complete(self) -> bool:
        """Whether these are all samples of the data."""
        return len(self.rows) >= self.n_samples

    @cached_property
    def counts(self) -> Integers:
        """`(class, class)` int64: row the true class, column the predicted one."""
        n_classes = len(self.class_names)
        cells = self.labels * n_classes + self.predicted
        counts = np.bincount(cells, minlength=n_classes * n_classes).astype(np.int64)
        return counts.reshape(n_classes, n_classes)

    @property
    def accuracy(self) -> float:
        """Share of the samples that were taken for what they are; NaN of no samples."""
        return float(np.mean(self.labels == self.predicted)) if len(self.labels) else float("nan")

    @cached_property
    def report(self) -> ClassificationReport:
        """Precision, recall and F1 of each class, and their averages."""
        return report_of_counts(self.counts, self.class_names)

    def normalised(self, by: str) -> Doubles:
        """The counts as shares.

        Args:
            by: "row" (of the samples of a class: the diagonal is recall), "column" (of those
                predicted as a class: the diagonal is precision), "all", or "counts" for none.

        Returns:
            `(class, class)` float64; NaN where a row or column holds no sample.

        Raises:
            DataError: No such way.
        """
        if by not in NORMALISED:
            raise DataError(f"no way {by!r} to normalise; there are {', '.join(NORMALISED)}")
        counts = self.counts.astype(np.float64)
        if by == "counts":
            return counts
        axis = {"row": 1, "column": 0, "all": None}[by]
        with np.errstate(invalid="ignore"):
            shares: Doubles = counts / counts.sum(axis=axis, keepdims=True)
        return shares

    def worst_pairs(self, limit: int = 10) -> tuple[ConfusedPair, ...]:
        """The pairs of different classes with the most samples, most first.

        Args:
            limit: How many pairs at most; those without a sample are left out.
        """
        wrong = self.counts.copy()
        np.fill_diagonal(wrong, 0)
        order = np.argsort(-wrong, axis=None, kind="stable")[:limit]
        supports = self.counts.sum(axis=1)
        pairs = []
        for true, predicted in zip(*np.unravel_index(order, wrong.shape), strict=True):
            count = int(wrong[true, predicted])
            if count:
                share = count / int(supports[true])
                pairs.append(ConfusedPair(int(true), int(predicted), count, share))
        return tuple(pairs)

    def mixed_up(self, class_index: int | None, limit: int) -> Integers:
        """The classes that a class is mixed up with, itself first.

        Args:
            class_index: The class; None for those with the most mistakes of all.
            limit: How many classes at most.

        Returns:
            `(class,)` int64; classes without mistakes come last, in their own order.
        """
        wrong = self.counts.copy()
        np.fill_diagonal(wrong, 0)
        if class_index is None:
            mistakes = wrong.sum(axis=0) + wrong.sum(axis=1)
        else:
            mistakes = wrong[class_index] + wrong[:, class_index]
            mistakes[class_index] = np.iinfo(np.int64).max
        return np.argsort(-mistakes, kind="stable")[:limit]

    def samples(
        self, true: int | str | None = None, predicted: int | str | None = None
    ) -> tuple[int, ...]:
        """Rows of the data in a cell, in a row (`true` alone) or in a column of the matrix.

        Args:
            true: A class, as index or name; None for all.
            predicted: Likewise.

        Raises:
            SelectionError: No such class.
        """
        true, predicted = self._class(true), self._class(predicted)
        keep = np.ones(len(self.rows), bool)
        if true is not None:
            keep &= self.labels == true
        if predicted is not None:
            keep &= self.predicted == predicted
        return tuple(self.rows[keep].tolist())

    def _class(self, given: int | str | None) -> int | None:
        if given is None:
            return None
        if isinstance(given, str) and given in self.class_names:
            return self.class_names.index(given)
        if isinstance(given, str) or not 0 <= given < len(self.class_names):
            last = len(self.class_names) - 1
            raise SelectionError(f"no class {given!r}; give its name, or an index in 0..{last}")
        return given

    def to_dataframe(self, by: str = "counts") -> "pd.DataFrame":
        """The matrix with class names: true classes down, predicted ones across."""
        import pandas as pd  # takes a while to load

        names = list(self.class_names)
        values = self.counts if by == "counts" else self.normalised(by)
        return pd.DataFrame(
            values,
            index=pd.Index(names, name="true"),
            columns=pd.Index(names, name="predicted"),
        )


def confusion(
    y: ArrayLike,
    predicted: ArrayLike,
    class_names: tuple[str, ...],
    *,
    rows: ArrayLike | None = None,
    n_samples: int | None = None,
) -> Confusion:
    """Compare true and predicted classes.

    Args:
        y: `(sample,)` class indices or names, or one-hot.
        predicted: `(sample,)` class indices or names.
        class_names: One per class.
        rows: `(sample,)` rows of the data; 0, 1, … by default.
        n_samples: How many samples the data hold, where these are not all.

    Raises:
        ShapeError: Other lengths.
        DataError: Classes outside the names.
    """
    n_classes = len(class_names)
    labels = class_indices(y, n_classes=n_classes, class_names=class_names)
    found = class_indices(predicted, n_classes=n_classes, class_names=class_names)
    known = np.arange(len(labels)) if rows is None else np.asarray(rows, np.int64)
    if not len(labels) == len(found) == len(known):
        raise ShapeError(
            f"labels, predictions and rows must be as many; got {len(labels)}, {len(found)} "
            f"and {len(known)}"
        )
    total = len(labels) if n_samples is None else n_samples
    return Confusion(labels, found, known, class_names, total)
