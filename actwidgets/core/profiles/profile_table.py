"""Class profiles of a layer as a table of pandas."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from actwidgets.core.profiles.class_profiles import ClassProfiles


def as_table(profiles: "ClassProfiles", layer: str) -> pd.DataFrame:
    """One row per class and unit, classes outermost.

    Returns:
        Columns `class` (name), `unit`, `count` (samples of the class), `firing_rate`, then
        what was gathered of `mean`, `std`, `min`, `max`, and `n_nan`.
    """
    n_classes, n_units = profiles.sums[layer].fired.shape
    columns = {
        "class": np.repeat(np.array(profiles.class_names, dtype=object), n_units),
        "unit": np.tile(np.arange(n_units), n_classes),
        "count": np.repeat(profiles.counts, n_units),
    }
    for statistic in profiles.gathered(layer):
        if statistic != "histogram":
            columns[statistic] = getattr(profiles, statistic)[layer].ravel()
    return pd.DataFrame(columns | {"n_nan": profiles.n_nan[layer].ravel()})
