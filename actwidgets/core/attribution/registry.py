"""The attribution methods, and carrying one out."""

import math
from collections.abc import Generator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core.arrays import Array, Floats, Integers
from actwidgets.core.attribution import cam, gradients, lrp, occlusion, paths
from actwidgets.core.attribution.base import (
    Attribution,
    Inputs,
    Method,
    MethodResult,
    Progress,
    ScoreFunction,
    checked_target,
    score_of,
)
from actwidgets.errors import DataError

METHODS = MappingProxyType(
    {
        method.name: method
        for method in (
            gradients.GRADIENT,
            gradients.GRADIENT_X_INPUT,
            gradients.SMOOTH_GRAD,
            gradients.GUIDED_BACKPROP,
            gradients.GUIDED_SMOOTH_GRAD,
            paths.INTEGRATED_GRADIENTS,
            paths.INTERIOR_GRADIENTS,
            occlusion.OCCLUSION,
            cam.GRAD_CAM,
            cam.GRAD_CAM_PLUS_PLUS,
            cam.GUIDED_GRAD_CAM,
            cam.SCORE_CAM,
            lrp.LRP,
        )
    }
)


def method_named(name: str) -> Method:
    """The method of that name.

    Raises:
        DataError: There is none.
    """
    if name not in METHODS:
        raise DataError(f"no method {name!r}; there are {', '.join(METHODS)}")
    return METHODS[name]


def attribution_methods() -> tuple[Method, ...]:
    """All methods of `attribute`, each with its title, its options and what its map tells."""
    return tuple(METHODS.values())


Result = TypeVar("Result")
NAMED_ROWS = 5  # places of samples that a note spells out


def attribution_steps(
    slice_: ScoreFunction,
    points: Inputs,
    method: Method,
    target: ArrayLike | None = None,
    options: Mapping[str, Any] | None = None,
    rows: Sequence[int] | None = None,
) -> Generator[Progress, None, Attribution]:
    """Attribute the score of each sample's target, piece by piece.

    Args:
        slice_: The model.
        points: The samples.
        method: How.
        target: As in `checked_target`.
        options: Of the method; the rest are as by default.
        rows: What the samples are called in the note; their places by default.

    Yields:
        `(done, total)` before each piece of work.

    Returns:
        An `Attribution`.

    Raises:
        DataError: A target or a setting that cannot be; gradients of which none is a number.
        ShapeError: Settings whose shape does not go with the samples.
        LayerError: A layer to which the method does not apply.
        ModelError: A model to which it does not apply.
    """
    settings = method.settings(options or {})
    classes = checked_target(slice_, points, target)
    found = yield from method.run(slice_, points, classes, **settings)
    values = [each.astype(np.float32, copy=False) for each in found.values]
    shares = _left_out_shares(slice_, points, classes, found.scores)
    return Attribution(
        values=_by_input(values, points, found.names),
        gap=_gap(found, len(points)),
        target=classes,
        scores=found.scores.astype(np.float64),
        method=method.name,
        output=slice_.output,
        layer=slice_.layer if method.needs_layer else "",
        options=settings,
        note=" ".join(
            filter(
                None,
                (
                    found.note,
                    _told_of_inputs(points, found.names),
                    _told_of_left_out(shares),
                    _told_of_nan(values, range(len(points)) if rows is None else rows)
                    or _told_of_samples(points, range(len(points)) if rows is None else rows),
                ),
            )
        ),
        path=found.path,
        n_steps=found.n_steps,
        left_out=shares,
    )


def finished(steps: Generator[Progress, None, Result]) -> Result:
    """What comes of it in the end."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def _by_input(
    values: list[Array], points: Inputs, names: tuple[str, ...] | None
) -> Array | dict[str, Array]:
    """One array where there is one input, or where it lies over none; else one by name."""
    if not points.by_name or names == ():
        return values[0]
    return dict(zip(points.names if names is None else names, values, strict=True))


def _left_out_shares(
    slice_: ScoreFunction, points: Inputs, target: Integers, scores: Floats
) -> dict[str, Array]:
    """By name of input without values: by how much the score falls where it holds nothing."""
    if not len(points):
        return {name: np.zeros(0) for name in points.left_out}
    return {
        name: np.asarray(scores - score_of(slice_.scores(points.without(name)), target), np.float64)
        for name in points.left_out
    }


def _told_of_left_out(shares: Mapping[str, Array]) -> str:
    """A sentence on inputs that have no values, and what they do to the score."""
    told = [
        f"{name} ({shares[name].min():.3g} to {shares[name].max():.3g})"
        for name in shares
        if np.any(shares[name] != 0)
    ]
    if not told:
        return ""
    return (
        f"These values leave out {', '.join(told)}, which no layer makes floating-point: in "
        "brackets by how much the score falls where that input holds nothing, which is in no "
        "value and no sum of them."
    )


def _told_of_inputs(points: Inputs, names: tuple[str, ...] | None) -> str:
    """A sentence on inputs without a map; "" where there are none."""
    without = [each for each in points.names if names and each not in names]
    return f"There is no map of {', '.join(without)}: the layer does not lie over it." * bool(
        without
    )


def _told_of_samples(points: Inputs, rows: Sequence[int]) -> str:
    """A sentence on samples that hold NaN where their map does not; "" where there are none."""
    is_odd = np.zeros(len(rows), bool)
    for each in points.arrays:
        is_odd |= ~np.isfinite(each.reshape(len(rows), math.prod(each.shape[1:]))).all(axis=1)
    if not is_odd.any():
        return ""
    named = _named(np.asarray(rows)[is_odd])
    return (
        f"{is_odd.sum()} of {len(rows)} samples ({named}) hold values that are not finite, which "
        "the map does not show."
    )


def _named(rows: Integers) -> str:
    return ", ".join(map(str, rows[:NAMED_ROWS])) + (", …" if len(rows) > NAMED_ROWS else "")


def _gap(found: MethodResult, n_samples: int) -> Array:
    if found.gap is None:
        return np.full(n_samples, np.nan)
    return np.asarray(found.gap, np.float64)


def _told_of_nan(values: list[Array], rows: Sequence[int]) -> str:
    """A sentence on samples whose map holds NaN; "" where there are none."""
    has_nan = np.zeros(len(rows), bool)
    has_number = False
    for each in values:
        is_nan = np.isnan(each)
        has_nan |= is_nan.any(axis=tuple(range(1, each.ndim)))
        has_number |= not is_nan.all()
    if not has_nan.any():
        return ""
    if not has_number:
        raise DataError(
            "the gradient is not a number anywhere: the input or a weight is NaN, or the model "
            "has no slope there"
        )
    told = f"for {has_nan.sum()} of {len(rows)} samples ({_named(np.asarray(rows)[has_nan])})"
    return f"The map holds values that are not numbers {told}."
