"""What becomes of a layer's output, unit by unit, before the rest of a model sees it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core.arrays import Array, Floats, require_axes
from actwidgets.errors import DataError, ShapeError


@dataclass(frozen=True, eq=False)
class Edit:
    """The output of a layer becomes `factor * value + offset`, each unit with its own.

    A unit whose factor is 0 is its offset, also where its value is NaN or infinite. Two edits
    are equal only if they are the same object: arrays do not compare to one answer.

    Args:
        factor: `(unit,)`; 1 leaves a unit as it is.
        offset: `(unit,)`, in units of the layer's output; 0 adds nothing.

    Attributes:
        factor: A copy in float32 that cannot be written to.
        offset: Likewise.

    Raises:
        ShapeError: Not one axis each, or of different lengths.
        DataError: Not numbers, or not finite in float32.
    """

    factor: Array
    offset: Array

    def __post_init__(self) -> None:
        """Check both, and keep copies."""
        factor, offset = _per_unit(self.factor, "factor"), _per_unit(self.offset, "offset")
        if factor.shape != offset.shape:
            raise ShapeError(
                "factor and offset need one value per unit each; "
                f"got {len(factor)} factors and {len(offset)} offsets"
            )
        object.__setattr__(self, "factor", factor)
        object.__setattr__(self, "offset", offset)

    def then(self, other: "Edit") -> "Edit":
        """This edit, and another one of what it gives.

        Raises:
            ShapeError: For another number of units.
            DataError: The product is too large for float32.
        """
        if other.n_units != self.n_units:
            raise ShapeError(
                f"an edit of {other.n_units} units cannot follow one of {self.n_units}"
            )
        factor = self.factor.astype(np.float64)
        offset = self.offset.astype(np.float64)
        return Edit(other.factor * factor, other.factor * offset + other.offset)

    @property
    def n_units(self) -> int:
        """The number of units that the edit is for."""
        return len(self.factor)


def combined(first: Mapping[str, Edit], then: Mapping[str, Edit]) -> dict[str, Edit]:
    """Edits by layer, where those of layers that both name follow one another."""
    both = {name: first[name].then(then[name]) for name in first.keys() & then.keys()}
    return {**first, **then, **both}


def _per_unit(values: ArrayLike, name: str) -> Floats:
    try:
        with np.errstate(over="ignore"):
            copy = np.array(values, np.float32)
    except (TypeError, ValueError) as failure:
        raise DataError(f"{name} must hold numbers; {failure}") from failure
    copy = require_axes(copy, ("unit",), name=name)
    (odd,) = np.nonzero(~np.isfinite(copy))
    if odd.size:
        raise DataError(f"{name} must be finite; unit {odd[0]} has {copy[odd[0]]}")
    copy.flags.writeable = False
    return copy
