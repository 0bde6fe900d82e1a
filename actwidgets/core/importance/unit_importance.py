"""Which units of a layer carry the class, by three measures side by side."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from actwidgets.core.arrays import Doubles, Integers
from actwidgets.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

MEASURES = ("forest", "mutual_information", "ablation")
UNITS_UP_TO = 256  # units that are measured; beyond it those that vary most
SAMPLES_UP_TO = 2000

CAVEATS: Mapping[str, str] = {
    "forest": (
        "Units that say the same share what one of them would get, so a low figure need not "
        "mean that a unit knows little; units with many different values are preferred to "
        "units with few, such as rarely firing ones (Strobl 2007)."
    ),
    "mutual_information": (
        "Each unit is looked at alone: it tells neither what several know together nor whether "
        "the model uses it. Estimated from nearest neighbours, so it is off by some hundredths; "
        "what comes out below zero is told as 0."
    ),
    "ablation": (
        "Only what the other units cannot make good: two units that say the same may both show "
        "0. A unit is put at zero, which may lie outside everything it ever does; the drop is "
        "then the model's surprise as well."
    ),
}


@dataclass(frozen=True, eq=False)
class ImportanceTable:
    """What three measures say of the units of one layer, what they cost and what to mind.

    Every figure is NaN where it is not known: not yet, not of this unit, or not at all, and
    then `notes` tell why.

    Attributes:
        layer: Name of the layer.
        class_name: The class that is told from the rest; None where all are told apart.
        forest: `(unit,)` float64 mean decrease of impurity in a random forest that predicts
            the class from the units; sums to 1, or is 0 throughout where it found nothing.
        mutual_information: `(unit,)` float64 between the unit and the class, in nats.
        ablation: `(unit,)` float64 accuracy that is lost when the unit is switched off, or
            recall of the class where one is chosen. Above 0: the unit is needed. Below: the
            model does better without it.
        measured: The units that are measured, ascending; all, or those that vary most.
        seconds: What each measure has cost so far; "reading" is what all of them share.
        n_samples: Samples that are read, evenly over all; the ablation is of these.
        n_total: Samples that there are.
        n_finite: Samples that forest and mutual information are of: without NaN and infinity.
        n_ablated: Samples that the ablation is of: those of the class where one is chosen.
        n_trees: Trees that the forest has so far.
        out_of_bag_accuracy: How often the forest is right on samples that a tree has not
            seen; NaN before its last tree.
        majority_share: How often one is right who always says the most frequent class.
        baseline: Accuracy or recall before anything is switched off.
        stage: What is measured at the moment: "reading" or one of the measures.
        complete: Whether nothing is to come.
        seconds_left: How long the rest will take, about.
        notes: What was left out, and why something is not known, in plain sentences.
    """

    layer: str
    class_name: str | None
    forest: Doubles
    mutual_information: Doubles
    ablation: Doubles
    measured: Integers
    seconds: Mapping[str, float]
    n_samples: int
    n_total: int
    n_finite: int
    n_ablated: int
    n_trees: int
    out_of_bag_accuracy: float
    majority_share: float
    baseline: float
    stage: str
    complete: bool
    seconds_left: float
    notes: tuple[str, ...] = ()

    @property
    def n_units(self) -> int:
        """Units that the layer has."""
        return len(self.forest)

    @property
    def caveats(self) -> Mapping[str, str]:
        """What each measure does not tell, in plain sentences."""
        return CAVEATS

    def of(self, measure: str) -> Doubles:
        """One of the measures, `(unit,)` float64.

        Raises:
            DataError: No such measure.
        """
        if measure not in MEASURES:
            raise DataError(f"no measure {measure!r}; there are {', '.join(MEASURES)}")
        values: Doubles = getattr(self, measure)
        return values

    def known(self, measure: str) -> bool:
        """Whether a measure is known of every unit that is measured, and there are some."""
        return bool(self.measured.size) and not np.isnan(self.of(measure)[self.measured]).any()

    def order(self, by: str = "forest") -> Integers:
        """The units from the most important to the least.

        Args:
            by: One of the measures, or `"unit"` for the units as they are numbered.

        Returns:
            `(unit,)` int64 unit indices. Ties go to the lower index; units of which the
            measure is not known come last.

        Raises:
            DataError: No such measure.
        """
        if by == "unit":
            return np.arange(self.n_units)
        return np.argsort(-self.of(by), kind="stable").astype(np.int64)  # numpy puts NaN last

    def to_dataframe(self) -> "pd.DataFrame":
        """One row per unit, one column per measure."""
        import pandas as pd  # takes a while to load

        columns = {measure: self.of(measure) for measure in MEASURES}
        return pd.DataFrame(columns, index=pd.RangeIndex(self.n_units, name="unit"))
