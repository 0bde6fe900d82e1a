"""The length of weights, gradients and steps as vectors."""

import math
from collections.abc import Mapping

import numpy as np

from actwidgets.core.arrays import Array

CHUNK = 2**15  # values at a time: they stay in the processor's cache


def norm(arrays: Mapping[str, Array], before: Mapping[str, Array] | None = None) -> float:
    """The Euclidean norm of arrays by name, taken together as one vector.

    Args:
        arrays: Any shapes, any real dtype; summed up in float64.
        before: Of the same names and shapes; where it is given, the norm is that of what has
            been added to them since.

    Returns:
        NaN without arrays, or where a value is NaN.

    Cost: about 1 ns a value, on one core: a training may want the others. No copy of all.
    """
    if not arrays:
        return math.nan
    total = 0.0
    with np.errstate(invalid="ignore", over="ignore"):  # infinity minus infinity
        for name, array in arrays.items():
            flat = array.reshape(-1)
            base = None if before is None else before[name].reshape(-1)
            for start in range(0, flat.size, CHUNK):
                chunk = flat[start : start + CHUNK].astype(np.float64)
                if base is not None:
                    chunk -= base[start : start + CHUNK]
                total += float(np.square(chunk, out=chunk).sum())
    return math.sqrt(total)
