"""Distances between classes, as long as somebody can wait for them."""

import numpy as np

from actwidgets.core.profiles.class_profiles import ClassProfiles
from actwidgets.core.profiles.value_bins import METRICS as OF_HISTOGRAMS
from actwidgets.errors import DataError

HISTOGRAMS_UP_TO = 100  # classes whose histograms are compared while somebody waits


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
