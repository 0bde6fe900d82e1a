"""The kinds of failure a caller may want to tell apart, and checks of numbers and names."""

import math
import os
import re
from collections.abc import Collection, Iterable
from numbers import Real
from pathlib import Path
from typing import Any

from traitlets import TraitError

_NUMPY = re.compile(
    r"""\bnp\.(?:
        (?:u?int|float|complex)\d+ \( ([^()'"]*) \)
      | longdouble \( '([^']*)' \)
      | (?:str|bytes)_ \( ( b?'(?:[^'\\]|\\.)*' | b?"(?:[^"\\]|\\.)*" ) \)
      | (True|False) _
    )""",
    re.VERBOSE,
)


def plain(message: str) -> str:
    """A message in which numpy's numbers and texts stand as Python's: `5` for `np.int64(5)`.

    What is given to this package mostly comes out of arrays, alone or in lists and tuples, and
    numpy writes the type of each into its `repr`.
    """
    return _NUMPY.sub(lambda match: next(each for each in match.groups() if each), message)


class ActwidgetsError(Exception):
    """Base of everything this package raises on purpose.

    Attributes:
        partial: What a pass over samples had gathered when it failed, or None.
    """

    partial: Any = None

    def __init__(self, *args: Any) -> None:
        super().__init__(*(plain(each) if isinstance(each, str) else each for each in args))


class ShapeError(ActwidgetsError, ValueError):
    """An array has the wrong number or length of axes."""


class DataError(ActwidgetsError, ValueError):
    """Samples, labels or class names that cannot be used as they are."""


class ModelError(ActwidgetsError, ValueError):
    """A model that cannot be read: not built, not a model, without layers."""


class NotRecordedError(ModelError):
    """Something that a recording does not hold, or that only the live model can tell."""


class LayerError(ActwidgetsError, ValueError):
    """A layer that the model does not have."""


class SelectionError(ActwidgetsError, TraitError):
    """A layer, unit, sample or class that does not exist was asked for."""


# --- checks at the door: each raises a DataError that says what was given and what is right


def require_number(
    name: str,
    value: Any,
    low: Any = None,
    high: Any = None,
    *,
    above: Any = None,
    finite: bool = True,
) -> float:
    """A number at the door of a function.

    Args:
        name: What the message calls it.
        value: What was given; text and booleans are no numbers.
        low: The least that is right.
        high: The most that is right.
        above: What it must be larger than.
        finite: Whether infinity is refused. NaN always is.

    Raises:
        DataError: It is something else; says what would be right.
    """
    is_number = isinstance(value, Real) and not isinstance(value, bool) and not math.isnan(value)
    is_number = is_number and not (finite and math.isinf(value))
    is_low = is_number and (
        (low is not None and value < float(low)) or (above is not None and value <= above)
    )
    if not is_number or is_low or (high is not None and value > high):
        limits = [("of at least", low), ("above", above), ("up to", high)]
        words = " and ".join(f"{word} {limit}" for word, limit in limits if limit is not None)
        raise DataError(f"{name} must be a number {words or 'that is finite'}; got {value!r}")
    return float(value)


def require_integer(name: str, value: Any, low: int | None = None) -> int:
    """A whole number at the door of a function, also one that is written as 4.0."""
    is_whole = isinstance(value, Real) and not isinstance(value, bool) and value % 1 == 0
    if not is_whole or (low is not None and value < float(low)):
        least = "" if low is None else f" of at least {low}"
        raise DataError(f"{name} must be a whole number{least}; got {value!r}")
    return int(value)


def require_choice(what: str, value: Any, choices: Collection[str]) -> str:
    """One of some names at the door of a function."""
    if not isinstance(value, str) or value not in choices:
        raise DataError(f"no {what} {value!r}; there are {', '.join(choices)}")
    return value


def require_names(name: str, value: Any) -> tuple[str, ...]:
    """Names at the door of a function: a single one, or some."""
    if isinstance(value, str):
        return (value,)
    names = tuple(value) if isinstance(value, Iterable) else (None,)
    if not all(isinstance(one, str) for one in names):
        raise DataError(f"{name} must be a name or a list of names; got {value!r}")
    return names


def require_path(value: Any, name: str = "path") -> Path:
    """A path at the door of a function."""
    if not isinstance(value, str | os.PathLike):
        raise DataError(f"{name} must be text or a Path; got {value!r}")
    return Path(value)
