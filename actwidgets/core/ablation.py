"""Ablation: units switched off, held at their mean, or scaled."""

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core.arrays import Array, Floats, require_axes
from actwidgets.errors import DataError, SelectionError, ShapeError


@dataclass(frozen=True, eq=False)
class Edit:
    """Affine edit of a layer's output, `factor * value + offset`, unit by unit.

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
        """Compose this edit with one that follows it.

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
    """Compose two sets of edits by layer, the second following the first."""
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


Fill = Literal["zero", "mean"]


@dataclass(frozen=True)
class Ablation:
    """Ablation of some units of one layer: `fill + scale * (value - fill)`.

    Compared by value and hashable, so that it may be the key of a cache.

    Attributes:
        layer: Name of the layer.
        units: Those that are altered, in any order; none leaves the layer as it is.
        scale: How much of the distance from the fill is left: 0 puts the fill in the place
            of the value, 1 leaves the value as it is, 2 doubles its distance.
        fill: `"zero"`, or `"mean"` for each unit's own mean.

    Raises:
        SelectionError: A unit that is not a whole number of 0 or more, or is given twice.
        DataError: The layer is not a name, the scale not a finite number, or another fill.
    """

    layer: str
    units: tuple[int, ...]
    scale: float = 0.0
    fill: Fill = "zero"

    def __post_init__(self) -> None:
        """Check what was given; units become a tuple of int, the scale a float."""
        if not isinstance(self.layer, str) or not self.layer:
            raise DataError(f"layer must be the name of a layer; got {self.layer!r}")
        if self.fill not in get_args(Fill):
            raise DataError(f"fill must be 'zero' or 'mean'; got {self.fill!r}")
        object.__setattr__(self, "layer", str(self.layer))
        object.__setattr__(self, "units", _units(self.units))
        object.__setattr__(self, "scale", _scale(self.scale))


def replaced(
    ablations: tuple[Ablation, ...],
    layer: str,
    units: tuple[int, ...],
    scale: float = 0.0,
    fill: Fill = "zero",
) -> tuple[Ablation, ...]:
    """Ablations in which one layer's are exchanged for another set of units.

    Args:
        ablations: Those before; of other layers they stay.
        layer: The layer.
        units: Its units that are altered from now on; none for none.
        scale: Of all of them.
        fill: Likewise.
    """
    others = tuple(ablation for ablation in ablations if ablation.layer != layer)
    return (*others, Ablation(layer, units, scale, fill)) if units else others


def edit_of(ablation: Ablation, n_units: int, means: ArrayLike | None = None) -> Edit:
    """The `Edit` of its layer's output that an ablation stands for.

    Args:
        ablation: What is done.
        n_units: How many units the layer has.
        means: `(unit,)`, each unit's mean over samples and positions; only needed where the
            fill is `"mean"`. Means of units that are left alone may be NaN.

    Raises:
        SelectionError: A unit that the layer does not have.
        ShapeError: Not one mean per unit.
        DataError: No means where they are needed, or one of them is not finite.
    """
    beyond = [unit for unit in ablation.units if unit >= n_units]
    if beyond:
        raise SelectionError(
            f"unit {beyond[0]} is outside 0..{n_units - 1} of layer {ablation.layer!r}"
        )
    units = list(ablation.units)
    factor, offset = np.ones(n_units), np.zeros(n_units)
    factor[units] = ablation.scale
    if ablation.fill == "mean":
        if means is None:
            raise DataError(f"the means of layer {ablation.layer!r} are needed to fill with them")
        fills = np.asarray(require_axes(means, ("unit",), name="means"), np.float64)
        if len(fills) != n_units:
            raise ShapeError(
                f"layer {ablation.layer!r} has {n_units} units; got means of {len(fills)}"
            )
        odd = [unit for unit in units if not np.isfinite(fills[unit])]
        if odd:
            raise DataError(
                f"unit {odd[0]} of layer {ablation.layer!r} cannot be filled with its mean: "
                f"it is {fills[odd[0]]}"
            )
        offset[units] = (1 - ablation.scale) * fills[units]
    return Edit(factor, offset)


def _units(units: object) -> tuple[int, ...]:
    if isinstance(units, str) or not hasattr(units, "__iter__"):
        raise SelectionError(f"units must be several indices; got {units!r}")
    units_ = tuple(_unit(unit) for unit in units)
    if len(set(units_)) != len(units_):
        raise SelectionError(f"units must differ; got {units_}")
    return units_


def _unit(unit: object) -> int:
    try:
        index = operator.index(unit)  # type: ignore[arg-type]
    except TypeError:
        index = -1
    if index < 0 or isinstance(unit, bool):
        raise SelectionError(f"a unit must be a whole number of 0 or more; got {unit!r}")
    return index


def _scale(scale: object) -> float:
    try:
        number = float(scale)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"scale must be a number; got {scale!r}") from None
    if not np.isfinite(number):
        raise DataError(f"scale must be finite; got {number}")
    return number
