"""Confusion matrices and classification reports: counts, shares and the samples behind them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core.arrays import Array, Bools, Doubles, Integers
from actwidgets.core.labels import class_indices, mask_indices
from actwidgets.errors import DataError, SelectionError, ShapeError

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("precision", "recall", "f1-score", "support")


@dataclass(frozen=True)
class Averages:
    """Precision, recall and F1 averaged over the classes.

    Attributes:
        precision: Averaged precision.
        recall: Averaged recall.
        f1: The averaged F1 of the classes, not the F1 of the averages.
    """

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, eq=False)
class ClassificationReport:
    """Precision, recall and F1 by class, accuracy and averages, as scikit-learn has them.

    Attributes:
        class_names: One per class.
        precision: `(class,)` float64: share of the samples predicted as the class that are of
            it; 0, as scikit-learn has it, where none was predicted.
        recall: `(class,)` float64: share of the samples of the class that were predicted as
            it; 0 where there are none.
        f1: `(class,)` float64: harmonic mean of the two; 0 where both are.
        support: `(class,)` int64: samples of the class.
        n_predicted: `(class,)` int64: samples predicted as the class.
        accuracy: Share of all samples; NaN of no samples.
        macro: Averages in which every class counts the same, those without samples too.
        weighted: Averages in which every class counts by its support.
        micro: Of several labels a sample, averages in which every label counts the same; None
            where each sample has one class, as they are the accuracy then.
        samples: Of several labels a sample, averages over samples.
        iou: `(class,)` float64, of the positions of masks: what was taken for the class rightly,
            as a share of what is of it or was taken for it; 0 where nothing is or was. None of
            whole samples.
    """

    class_names: tuple[str, ...]
    precision: Doubles
    recall: Doubles
    f1: Doubles
    support: Integers
    n_predicted: Integers
    accuracy: float
    macro: Averages
    weighted: Averages
    micro: Averages | None = None
    samples: Averages | None = None
    iou: Doubles | None = None

    def to_dataframe(self) -> "pd.DataFrame":
        """A row per class, then `accuracy` and the averages, as scikit-learn has them.

        Of several labels a sample `micro avg` stands in the place of `accuracy`, and
        `samples avg` comes last; of masks there is a column `iou`, with its mean over classes.
        """
        import pandas as pd  # takes a while to load

        total = int(self.support.sum())
        lines = [
            (name, *figures)
            for name, *figures in zip(
                self.class_names, self.precision, self.recall, self.f1, self.support, strict=True
            )
        ]
        if self.micro is None:
            lines.append(("accuracy", self.accuracy, self.accuracy, self.accuracy, total))
        for name, average in self.averages:
            lines.append((name, average.precision, average.recall, average.f1, total))
        table = pd.DataFrame(lines, columns=["class", *COLUMNS]).set_index("class")
        if self.iou is not None:
            table["iou"] = np.nan
            table.iloc[: len(self.iou), -1] = self.iou
            table.loc["macro avg", "iou"] = self.iou.mean()
        return table

    @property
    def averages(self) -> tuple[tuple[str, Averages], ...]:
        """The averages that there are, with the names that scikit-learn gives them."""
        named = (
            ("micro avg", self.micro),
            ("macro avg", self.macro),
            ("weighted avg", self.weighted),
            ("samples avg", self.samples),
        )
        return tuple((name, each) for name, each in named if each is not None)


def classification_report(
    labels: ArrayLike, predicted: ArrayLike, class_names: tuple[str, ...]
) -> ClassificationReport:
    """Tell how well each class is recognized.

    Args:
        labels: `(sample,)` true class indices.
        predicted: `(sample,)` predicted class indices.

    Raises:
        ShapeError: Not as many predictions as labels.
        DataError: Classes outside the names.
    """
    return confusion(labels, predicted, class_names).report


def report_of_counts(counts: Integers, class_names: tuple[str, ...]) -> ClassificationReport:
    """The report of a confusion matrix.

    Counted here rather than by scikit-learn, whose report takes as long as the forward passes
    of a small model; the tests hold it to be the same.

    Args:
        counts: `(class, class)`: row the true class, column the predicted one.
    """
    right, support, n_predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    precision, recall = _share(right, n_predicted), _share(right, support)
    f1 = _share(2 * right, n_predicted + support)
    n_samples = int(support.sum())
    each = (precision, recall, f1)
    if n_samples:
        macro = Averages(*(float(figures.mean()) for figures in each))
        weighted = Averages(*(float(figures @ support / n_samples) for figures in each))
    else:
        macro = weighted = Averages(*[float("nan")] * 3)
    return ClassificationReport(
        class_names=class_names,
        precision=precision,
        recall=recall,
        f1=f1,
        support=support,
        n_predicted=n_predicted,
        accuracy=float(right.sum() / n_samples) if n_samples else float("nan"),
        macro=macro,
        weighted=weighted,
    )


def report_of_labels(
    truth: Bools, predicted: Bools, class_names: tuple[str, ...]
) -> ClassificationReport:
    """The report of multi-label samples.

    Args:
        truth: `(sample, class)`: whether the sample has the label.
        predicted: `(sample, class)`: whether it was predicted to have it.
    """
    both = truth & predicted

    def averages(axis: int | None) -> tuple[Doubles, Doubles, Doubles]:
        right, n_true, n_said = (
            np.atleast_1d(each.sum(axis=axis)).astype(np.int64) for each in (both, truth, predicted)
        )
        return _share(right, n_said), _share(right, n_true), _share(2 * right, n_true + n_said)

    support = truth.sum(axis=0).astype(np.int64)
    each, n_labels = averages(0), int(support.sum())
    means = [float(figures.mean()) if len(figures) else float("nan") for figures in each]
    weighted = [float(figures @ support / n_labels) if n_labels else 0.0 for figures in each]
    of_samples = [float(f.mean()) if len(f) else float("nan") for f in averages(1)]
    right = (truth == predicted).all(axis=1)
    return ClassificationReport(
        class_names=class_names,
        precision=each[0],
        recall=each[1],
        f1=each[2],
        support=support,
        n_predicted=predicted.sum(axis=0).astype(np.int64),
        accuracy=float(right.mean()) if len(right) else float("nan"),
        macro=Averages(*means),
        weighted=Averages(*weighted),
        micro=Averages(*(float(figures[0]) for figures in averages(None))),
        samples=Averages(*of_samples),
    )


def _share(part: Integers, whole: Integers) -> Doubles:
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)


NORMALIZED = ("counts", "row", "column", "all")


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


class ConfusionCounts:
    """What follows from a confusion matrix."""

    class_names: tuple[str, ...]
    counts: Integers  # `(class, class)`: row the true class, column the predicted one
    rows: Integers
    n_samples: int
    n_nan: int
    unit = "sample"  # what is counted

    @property
    def complete(self) -> bool:
        """Whether these are all samples of the data."""
        return len(self.rows) >= self.n_samples

    @property
    def accuracy(self) -> float:
        """Share that was taken for what it is; NaN of nothing."""
        total = int(self.counts.sum())
        return float(np.trace(self.counts) / total) if total else float("nan")

    @cached_property
    def report(self) -> ClassificationReport:
        """Precision, recall and F1 of each class, and their averages."""
        return report_of_counts(self.counts, self.class_names)

    def normalized(self, by: str) -> Doubles:
        """The counts as shares.

        Args:
            by: "row" (of the samples of a class: the diagonal is recall), "column" (of those
                predicted as a class: the diagonal is precision), "all", or "counts" for none.

        Returns:
            `(class, class)` float64; NaN where a row or column holds no sample.

        Raises:
            DataError: No such way.
        """
        if by not in NORMALIZED:
            raise DataError(f"no way {by!r} to normalize; there are {', '.join(NORMALIZED)}")
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
        keep = self._has(self._class(true), self._class(predicted))
        return tuple(self.rows[keep].tolist())

    def _has(self, true: int | None, predicted: int | None) -> Bools:
        """`(sample,)`: which samples are behind a cell, a row or a column."""
        raise NotImplementedError

    def _class(self, given: int | str | None) -> int | None:
        return None if given is None else class_of(given, self.class_names)

    def to_dataframe(self, by: str = "counts") -> "pd.DataFrame":
        """The matrix with class names: true classes down, predicted ones across."""
        import pandas as pd  # takes a while to load

        names = list(self.class_names)
        values = self.counts if by == "counts" else self.normalized(by)
        return pd.DataFrame(
            values,
            index=pd.Index(names, name="true"),
            columns=pd.Index(names, name="predicted"),
        )


@dataclass(frozen=True, eq=False)
class Confusion(ConfusionCounts):
    """Confusion matrix of single-label samples, and the samples behind it.

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

    @cached_property
    def counts(self) -> Integers:  # type: ignore[override]
        """`(class, class)` int64: row the true class, column the predicted one."""
        n_classes = len(self.class_names)
        # A cell's index is row times width plus column: one bincount counts all of them.
        cells = self.labels * n_classes + self.predicted
        counts = np.bincount(cells, minlength=n_classes * n_classes).astype(np.int64)
        return counts.reshape(n_classes, n_classes)

    def _has(self, true: int | None, predicted: int | None) -> Bools:
        keep = np.ones(len(self.rows), bool)
        if true is not None:
            keep &= self.labels == true
        if predicted is not None:
            keep &= self.predicted == predicted
        return keep


@dataclass(frozen=True, eq=False)
class PixelConfusion(ConfusionCounts):
    """Confusion matrix of the pixels of masks.

    Attributes:
        counts: `(class, class)` int64 positions: row the true class, column the predicted one.
        present: `(sample, class, class)`: whether the sample has such a position; None where
            that would take too much memory.
        rows: `(sample,)` int64: which rows of the data these samples are.
        class_names: One per class.
        n_samples: How many samples the data hold.
        n_nan: How many positions have NaN among the model's outputs.
    """

    counts: Integers
    present: Bools | None
    rows: Integers
    class_names: tuple[str, ...]
    n_samples: int
    n_nan: int = 0
    unit = "pixel"

    @cached_property
    def report(self) -> ClassificationReport:
        """The same of positions, with the intersection over union of each class."""
        report = report_of_counts(self.counts, self.class_names)
        right = np.diag(self.counts)
        union = self.counts.sum(axis=0) + self.counts.sum(axis=1) - right
        return replace(
            report, iou=np.divide(right, union, out=np.zeros(len(right)), where=union > 0)
        )

    def _has(self, true: int | None, predicted: int | None) -> Bools:
        if self.present is None:
            return np.zeros(len(self.rows), bool)
        some = self.present[:, slice(None) if true is None else [true]]
        cells = some[:, :, slice(None) if predicted is None else [predicted]]
        return np.asarray(cells.any(axis=(1, 2)))


class PixelCounter:
    """Accumulates a `PixelConfusion` batch by batch.

    Args:
        n_samples: How many samples there are.
        budget_bytes: What may be kept to tell samples by cell.
    """

    def __init__(
        self, class_names: tuple[str, ...], n_samples: int, budget_bytes: int = 2**26
    ) -> None:
        n_classes = len(class_names)
        self._names, self.n_samples = class_names, n_samples
        self._counts = np.zeros((n_classes, n_classes), np.int64)
        fits = n_samples * n_classes**2 <= budget_bytes
        self._present = np.zeros((n_samples, n_classes, n_classes), bool) if fits else None
        self._n_read = self._n_nan = 0

    @property
    def n_read(self) -> int:
        """How many samples were added."""
        return self._n_read

    def add(self, masks: ArrayLike, outputs: Array, threshold: float = 0.5) -> None:
        """Add the next samples.

        Args:
            masks: `(sample, …)` class indices of positions, or one-hot `(sample, …, class)`.
            outputs: `(sample, …, class)` of the model; `(sample, …, 1)` for two classes.
            threshold: Above which a single output means the second class.

        Raises:
            DataError: Classes outside the names.
            ShapeError: Masks of another shape than the outputs.
        """
        n_classes = len(self._names)
        true = mask_indices(masks, outputs.shape[:-1], n_classes)
        single = outputs.shape[-1] == 1
        said = outputs[..., 0] > threshold if single else outputs.argmax(axis=-1)
        cells = (true * n_classes + said).reshape(len(true), -1)
        # Sample by sample, to know which of them has positions in which cell.
        for row, sample_cells in enumerate(cells, self._n_read):
            counts = np.bincount(sample_cells, minlength=n_classes**2).reshape(n_classes, n_classes)
            self._counts += counts
            if self._present is not None:
                self._present[row] = counts > 0
        self._n_nan += int(np.isnan(outputs).any(axis=-1).sum())
        self._n_read += len(true)

    def confusion(self) -> PixelConfusion:
        """What was counted so far: a copy."""
        present = None if self._present is None else self._present[: self._n_read].copy()
        rows = np.arange(self._n_read)
        return PixelConfusion(
            self._counts.copy(), present, rows, self._names, self.n_samples, self._n_nan
        )


@dataclass(frozen=True, eq=False)
class MultilabelConfusion:
    """Confusion of multi-label samples: a 2x2 matrix for each label.

    Attributes:
        truth: `(sample, class)`: whether the sample has the label.
        predicted: `(sample, class)`: whether the model says so.
        rows: `(sample,)` int64: which rows of the data these samples are.
        class_names: One per class.
        n_samples: How many samples the data hold; more than `rows` while they are read.
        n_nan: How many of these samples have NaN among the model's outputs; it means no.
    """

    truth: Bools
    predicted: Bools
    rows: Integers
    class_names: tuple[str, ...]
    n_samples: int
    n_nan: int = 0
    unit = "sample"

    @property
    def complete(self) -> bool:
        """Whether these are all samples of the data."""
        return len(self.rows) >= self.n_samples

    @cached_property
    def counts(self) -> Integers:
        """`(class, 2, 2)` int64: row whether it has the label, column whether the model says so.

        As scikit-learn's `multilabel_confusion_matrix` has it: right no, wrong yes; wrong no,
        right yes.
        """
        truth, said = self.truth, self.predicted
        cells = [[~truth & ~said, ~truth & said], [truth & ~said, truth & said]]
        return np.stack([np.stack([c.sum(axis=0) for c in line], -1) for line in cells], axis=1)

    @property
    def accuracy(self) -> float:
        """Share of the samples all of whose labels are right; NaN of no samples."""
        return self.report.accuracy

    @cached_property
    def report(self) -> ClassificationReport:
        """Precision, recall and F1 of each label, and their averages."""
        return report_of_labels(self.truth, self.predicted, self.class_names)

    def of_label(self, label: int | str) -> Confusion:
        """The same of one label: "no" and "yes" as two classes.

        Raises:
            SelectionError: No such label.
        """
        index = class_of(label, self.class_names)
        truth, said = (each[:, index].astype(np.int64) for each in (self.truth, self.predicted))
        return Confusion(truth, said, self.rows, ("no", "yes"), self.n_samples, self.n_nan)

    def samples(
        self, label: int | str, true: bool | None = None, predicted: bool | None = None
    ) -> tuple[int, ...]:
        """Rows of the data in a cell of a label's matrix, in a row or a column of it.

        Args:
            label: Index or name.
            true: Whether they have it; None for all.
            predicted: Whether the model says so; None for all.

        Raises:
            SelectionError: No such label.
        """
        index = class_of(label, self.class_names)
        keep = np.ones(len(self.rows), bool)
        if true is not None:
            keep &= self.truth[:, index] == true
        if predicted is not None:
            keep &= self.predicted[:, index] == predicted
        return tuple(self.rows[keep].tolist())

    def to_dataframe(self) -> "pd.DataFrame":
        """A row per label: how many samples rightly or wrongly have it, or have it not."""
        import pandas as pd  # takes a while to load

        columns = ["true negative", "false positive", "false negative", "true positive"]
        index = pd.Index(list(self.class_names), name="label")
        return pd.DataFrame(self.counts.reshape(-1, 4), index=index, columns=columns)


AnyConfusion = Confusion | MultilabelConfusion | PixelConfusion


def class_of(given: int | str, class_names: Sequence[str]) -> int:
    """The index of a class given by name or index.

    Raises:
        SelectionError: No such class.
    """
    if isinstance(given, str) and given in class_names:
        return list(class_names).index(given)
    if isinstance(given, str) or not 0 <= given < len(class_names):
        last = len(class_names) - 1
        raise SelectionError(f"no class {given!r}; give its name, or an index in 0..{last}")
    return given


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
        rows: `(sample,)` rows of the data; 0, 1, … by default.
        n_samples: How many samples the data hold, where these are not all.

    Raises:
        ShapeError: Other lengths.
        DataError: Classes outside the names.
    """
    n_classes = len(class_names)
    labels = class_indices(y, n_classes=n_classes, class_names=class_names)
    predictions = class_indices(predicted, n_classes=n_classes, class_names=class_names)
    known = np.arange(len(labels)) if rows is None else np.asarray(rows, np.int64)
    if not len(labels) == len(predictions) == len(known):
        raise ShapeError(
            f"labels, predictions and rows must be as many; got {len(labels)}, {len(predictions)} "
            f"and {len(known)}"
        )
    total = len(labels) if n_samples is None else n_samples
    return Confusion(labels, predictions, known, class_names, total)
