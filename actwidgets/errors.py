"""The kinds of failure a caller may want to tell apart."""

from typing import Any

from traitlets import TraitError


class ActwidgetsError(Exception):
    """Base of everything this package raises on purpose.

    Attributes:
        partial: What a pass over samples had gathered when it failed, or None.
    """

    partial: Any = None


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
