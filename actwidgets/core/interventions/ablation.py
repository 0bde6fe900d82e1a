"""Some units of a layer switched off, held at their mean, or scaled."""

import operator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core.arrays import require_axes
from actwidgets.core.interventions.edits import Edit
from actwidgets.errors import DataError, SelectionError, ShapeError

Fill = Literal["zero", "mean"]


@dataclass(frozen=True)
class Ablation:
    """What is done to some units of one layer: `fill + scale * (value - fill)`.

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
    others = tuple(each for each in ablations if each.layer != layer)
    return (*others, Ablation(layer, units, scale, fill)) if units else others


def edit_of(ablation: Ablation, n_units: int, means: ArrayLike | None = None) -> Edit:
    """What an ablation does to the output of its layer.

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
    found = tuple(_unit(unit) for unit in units)
    if len(set(found)) != len(found):
        raise SelectionError(f"units must differ; got {found}")
    return found


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
