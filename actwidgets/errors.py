"""The kinds of failure a caller may want to tell apart."""

import re
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
    return _NUMPY.sub(lambda found: next(each for each in found.groups() if each), message)


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
