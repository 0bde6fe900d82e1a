"""In which order units are shown."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actwidgets.errors import DataError

_ALL_BUT_UNITS = (0, 1, 2)
ORDERS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "index": lambda maps: -np.arange(maps.shape[-1]),
    "mean": lambda maps: maps.mean(axis=_ALL_BUT_UNITS),
    "peak": lambda maps: maps.max(axis=_ALL_BUT_UNITS),
}


def unit_order(maps: NDArray[Any], order: str) -> NDArray[np.intp]:
    """The units from first to last.

    Args:
        maps: `(sample, row, column, unit)`.
        order: `"index"`; or `"mean"` or `"peak"` over everything in `maps`, largest first.

    Returns:
        `(unit,)`: unit indices. By value, units with a NaN come last; ties go to the lower
        index, as do maps without positions.

    Raises:
        DataError: No such order.
    """
    if order not in ORDERS:
        raise DataError(f"no order {order!r}; there are {', '.join(ORDERS)}")
    if not maps.size:
        return np.arange(maps.shape[-1])
    with np.errstate(invalid="ignore"):  # infinities of both signs have no mean
        scores = ORDERS[order](maps).astype(np.float64)
    return np.argsort(-scores, kind="stable")  # numpy puts NaN last
