"""An axis that ends a little beyond its round numbers."""

import bqplot as bq

from actwidgets.core.arrays import Doubles


def fit_axis(axis: bq.Axis, numbers: Doubles, before: float, beyond: float) -> None:
    """Have an axis enclose round numbers and a little more; left where it does already.

    Args:
        axis: Of a linear scale.
        numbers: `(tick,)`, ascending; the ticks from now on.
        before: How far it goes beyond the first, in parts of the length between them, so that
            a dot there is whole.
        beyond: How far it goes beyond the last.
    """
    length = numbers[-1] - numbers[0]
    low, high = float(numbers[0] - before * length), float(numbers[-1] + beyond * length)
    if axis.scale.max == high and axis.scale.min == low:
        return
    with axis.scale.hold_sync():
        axis.scale.min, axis.scale.max = low, high
    axis.tick_values = numbers
