"""Where bars end that share a panel of length 1."""

import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core.arrays import Doubles, finite_range


def bar_ends(values: ArrayLike) -> tuple[float, Doubles]:
    """Scale values so that zero and the outermost of them span 0..1.

    Args:
        values: `(bar,)`, of any sign; NaN and infinity have no bar.

    Returns:
        Where zero lies, and `(bar,)` float64 where each bar ends that begins there. Where no
        value differs from zero all bars end where they begin, at 0.
    """
    given: Doubles = np.asarray(values, np.float64)
    low, high = finite_range(given)
    low, high = min(low, 0.0), max(high, 0.0)
    span = high - low
    if not span:
        return 0.0, np.zeros(given.shape)
    known: Doubles = np.where(np.isfinite(given), given, 0.0)
    return -low / span, (known - low) / span
