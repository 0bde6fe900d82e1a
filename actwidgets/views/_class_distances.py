"""Distances between classes as two views show them, and why there may be nothing to show."""

from collections.abc import Callable

import ipywidgets as w
import numpy as np

from actwidgets.core.profiles.class_profiles import METRICS, ClassProfiles
from actwidgets.core.profiles.similarity import tells_apart
from actwidgets.core.profiles.unit_statistics import STATISTICS
from actwidgets.core.profiles.value_bins import METRICS as OF_HISTOGRAMS
from actwidgets.errors import DataError

HISTOGRAMS_UP_TO = 100  # classes whose histograms are compared while somebody waits
# A map fires on a sample where any position does: by that measure all classes of a
# convolution look the same, so that means are what is compared at first.
STATISTIC, METRIC = STATISTICS[STATISTICS.index("mean")], METRICS[METRICS.index("euclidean")]


def class_distances(profiles: ClassProfiles, layer: str, statistic: str, metric: str) -> np.ndarray:
    """`(class, class)` distances, as `ClassProfiles.similarity` has them.

    Raises:
        DataError: Histograms of so many classes that it would take minutes.
    """
    if metric in OF_HISTOGRAMS and len(profiles.class_names) > HISTOGRAMS_UP_TO:
        raise DataError(
            f"{metric} of more than {HISTOGRAMS_UP_TO} classes takes minutes: "
            "call session.profiles().similarity(…) for it"
        )
    return profiles.similarity(layer, statistic, metric)


def classes_with_samples(profiles: ClassProfiles) -> np.ndarray:
    """Indices of the classes that have samples: the others have no distance to any."""
    return np.flatnonzero(profiles.counts)


def why_nothing(
    profiles: ClassProfiles, layer: str, matrix: np.ndarray, statistic: str, metric: str
) -> str:
    """Why these distances tell nothing of classes, as a sentence; "" where they do."""
    n_present, n_classes = len(classes_with_samples(profiles)), len(profiles.class_names)
    if n_present < 2:
        return f"nothing to compare: {n_present} of {n_classes:,} classes have samples"
    if tells_apart(matrix):
        return ""
    if np.isnan(matrix[~np.eye(len(matrix), dtype=bool)]).all():
        return f"nothing to compare: no class has a distance by {metric} here"
    differ = bool(np.nan_to_num(matrix).any())
    alike = "are equally far from one another" if differ else "are the same"
    if statistic != "firing_rate" or metric in OF_HISTOGRAMS:
        return f"nothing to compare: all classes {alike} by this statistic and metric"
    where = "any position of a map is" if profiles.sums[layer].n_positions > 1 else "a unit is"
    return (
        f"nothing to compare: all classes {alike} by firing rate, which counts the samples on "
        f"which {where} above {profiles.threshold:.3g}"
    )


def mean_button(on_click: Callable[[], None]) -> w.Button:
    """The way out where firing rates tell nothing."""
    button = w.Button(description="Use mean activation", layout={"width": "170px"})
    button.on_click(lambda _button: on_click())
    button.layout.display = "none"
    return button


def offer_mean(button: w.Button, nothing: str, statistic: str, metric: str) -> None:
    """Show the button where means may tell what firing rates do not."""
    helps = bool(nothing) and statistic == "firing_rate" and metric not in OF_HISTOGRAMS
    button.layout.display = None if helps else "none"
