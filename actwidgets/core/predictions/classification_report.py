"""Precision, recall and F1 by class, as scikit-learn defines them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core.arrays import Doubles, Integers

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

    def to_dataframe(self) -> "pd.DataFrame":
        """A row per class, then `accuracy`, `macro avg` and `weighted avg`."""
        import pandas as pd  # takes a while to load

        total = int(self.support.sum())
        lines = [
            (name, *figures)
            for name, *figures in zip(
                self.class_names, self.precision, self.recall, self.f1, self.support, strict=True
            )
        ]
        lines.append(("accuracy", self.accuracy, self.accuracy, self.accuracy, total))
        for name, each in (("macro avg", self.macro), ("weighted avg", self.weighted)):
            lines.append((name, each.precision, each.recall, each.f1, total))
        table = pd.DataFrame(lines, columns=["class", *COLUMNS])
        return table.set_index("class")


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


def _share(part: Integers, whole: Integers) -> Doubles:
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)
