"""Round numbers along an axis."""

import math

import numpy as np

from actwidgets.core.arrays import Doubles


def ticks(low: float, high: float, count: int = 5) -> Doubles:
    """Round numbers that enclose a range: multiples of 1, 2 or 5 times a power of ten.

    Args:
        low: The smallest value.
        high: The largest; where it is not larger, a range around both is taken.
        count: How many steps there are, about.

    Returns:
        `(tick,)` float64, at least two, the first at most `low` and the last at least `high`.
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        low, high = 0.0, 1.0
    if high <= low:
        margin = abs(low) / 2 or 0.5
        low, high = low - margin, high + margin
    rough = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * each for each in (1, 2, 5, 10) if rough <= power * each * (1 + 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return np.arange(first, last + 1, dtype=np.float64) * step
