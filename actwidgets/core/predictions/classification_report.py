"""Precision, recall and F1 by class, as scikit-learn defines them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core.arrays import Bools, Doubles, Integers

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
    """How well each class is told from the others.

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
        for name, each in self.averages:
            lines.append((name, each.precision, each.recall, each.f1, total))
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
    """Tell how well each class is recognised.

    Args:
        labels: `(sample,)` true class indices.
        predicted: `(sample,)` predicted class indices.
        class_names: One per class.

    Raises:
        ShapeError: Not as many predictions as labels.
        DataError: Classes outside the names.
    """
    from actwidgets.core.predictions.confusion import confusion  # which makes reports of its own

    return confusion(labels, predicted, class_names).report


def report_of_counts(counts: Integers, class_names: tuple[str, ...]) -> ClassificationReport:
    """The same from a confusion matrix.

    Counted here rather than by scikit-learn, whose report takes as long as the forward passes
    of a small model; the tests hold it to be the same.

    Args:
        counts: `(class, class)`: row the true class, column the predicted one.
        class_names: One per class.
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
    """The same of samples that may have several labels each, or none.

    Args:
        truth: `(sample, class)`: whether the sample has the label.
        predicted: `(sample, class)`: whether it was predicted to have it.
        class_names: One per class.
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
