"""How alike layers are: a table of CKA."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class LayerSimilarityTable:
    """Debiased linear CKA of each of some layers with each of the same or other layers.

    Attributes:
        values: `(layer, other layer)` float64: 1 for equal representations, near 0 (also
            slightly below) for unrelated ones. NaN where a layer has no variance.
        layers: Names of the rows.
        other_layers: Names of the columns; the same where one model is compared with itself.
        n_samples: Over how many samples.
        estimated: `(layer, other layer)` bool: where the value is a minibatch average,
            because the exact sums were beyond the memory budget.
    """

    values: NDArray[np.float64]
    layers: tuple[str, ...]
    other_layers: tuple[str, ...]
    n_samples: int
    estimated: NDArray[np.bool_]
