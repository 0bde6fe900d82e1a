"""Checks of what people set a method to, one sentence each."""

import math
import operator
from typing import Any

from actwidgets.errors import DataError


def whole(name: str, value: Any, *, least: int) -> int:
    """The value as a whole number.

    Raises:
        DataError: It is none, or below the least.
    """
    try:
        found = operator.index(value)
    except TypeError:
        found = least - 1
    if isinstance(value, bool) or found < least:
        raise DataError(f"{name} must be a whole number of at least {least}; got {value!r}")
    return found


def number(name: str, value: Any, *, least: float = -math.inf) -> float:
    """The value as a finite number.

    Raises:
        DataError: It is none, or below the least.
    """
    try:
        found = float(value) if not isinstance(value, str) else math.nan
    except (TypeError, ValueError):
        found = math.nan
    if not (math.isfinite(found) and found >= least):
        limit = "" if least == -math.inf else f" of at least {least:g}"
        raise DataError(f"{name} must be a finite number{limit}; got {value!r}")
    return found
