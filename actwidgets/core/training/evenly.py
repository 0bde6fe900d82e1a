"""A part of many values that stands for all of them."""

from math import gcd

from actwidgets.core.arrays import Array


def evenly(values: Array, limit: int) -> Array:
    """At most `limit` of the values, evenly spread over all axes.

    Args:
        values: Any shape.
        limit: At least 1.

    Returns:
        `(value,)`, a view: every n-th of them, where n shares no factor with the number of all, so
        that it does not fall on the same unit again and again. All of them where they are few.
    """
    flat = values.reshape(-1)
    step = max(1, -(-flat.size // limit))
    while gcd(step, flat.size) > 1 and step > 1:
        step += 1
    return flat[::step]
