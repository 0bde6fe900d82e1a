"""The table of attribution methods, and running one of them."""

import math
from collections.abc import Generator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core.arrays import Array, Integers
from actwidgets.core.attribution import cam, gradients, lrp, occlusion, paths
from actwidgets.core.attribution.base import (
    Attribution,
    Inputs,
    Method,
    Progress,
    ScoreFunction,
    checked_target,
    listed_rows,
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


def attribution_steps(
    model: ScoreFunction,
    points: Inputs,
    method: Method,
    target: ArrayLike | None = None,
    options: Mapping[str, Any] | None = None,
    rows: Sequence[int] | None = None,
) -> Generator[Progress, None, Attribution]:
    """Run a method and label its result, as a generator that yields progress.

    Args:
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
    classes = checked_target(model, points, target)
    result = yield from method.run(model, points, classes, **settings)
    values = [array.astype(np.float32, copy=False) for array in result.values]
    left_out: dict[str, Array] = {
        name: np.asarray(
            result.scores - score_of(model.scores(points.without(name)), classes), np.float64
        )
        if len(points)
        else np.zeros(0)
        for name in points.left_out
    }
    named = np.arange(len(points)) if rows is None else np.asarray(rows)
    notes = (
        result.note,
        _note_of_inputs(points, result.names),
        _note_of_left_out(left_out),
        _note_of_nan(values, named) or _note_of_samples(points, named),
    )
    return Attribution(
        values=_by_input(values, points, result.names),
        gap=np.full(len(points), np.nan)
        if result.gap is None
        else np.asarray(result.gap, np.float64),
        target=classes,
        scores=result.scores.astype(np.float64),
        method=method.name,
        output=model.output,
        layer=model.layer if method.needs_layer else "",
        options=settings,
        note=" ".join(filter(None, notes)),
        path=result.path,
        n_steps=result.n_steps,
        left_out=left_out,
    )


def finished(steps: Generator[Progress, None, Result]) -> Result:
    """Run to the end; the result."""
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


def _note_of_left_out(shares: Mapping[str, Array]) -> str:
    """A sentence on inputs without values: by how much the score falls where one is blank."""
    listed = [
        f"{name} ({share.min():.3g} to {share.max():.3g})"
        for name, share in shares.items()
        if np.any(share != 0)
    ]
    if not listed:
        return ""
    return (
        f"These values leave out {', '.join(listed)}, which no layer makes floating-point: in "
        "brackets by how much the score falls where that input holds nothing, which is in no "
        "value and no sum of them."
    )


def _note_of_inputs(points: Inputs, names: tuple[str, ...] | None) -> str:
    """A sentence on inputs without a map; "" where there are none."""
    without = ", ".join(name for name in points.names if names and name not in names)
    return f"There is no map of {without}: the layer does not lie over it." if without else ""


def _note_of_samples(points: Inputs, rows: Integers) -> str:
    """A sentence on samples that hold NaN where their map does not; "" where there are none."""
    is_odd = np.zeros(len(rows), bool)
    for array in points.arrays:
        is_odd |= ~np.isfinite(array.reshape(len(rows), math.prod(array.shape[1:]))).all(axis=1)
    if not is_odd.any():
        return ""
    return (
        f"{is_odd.sum()} of {len(rows)} samples ({listed_rows(rows[is_odd])}) hold values that "
        "are not finite, which the map does not show."
    )


def _note_of_nan(values: list[Array], rows: Integers) -> str:
    """A sentence on samples whose map holds NaN; "" where there are none."""
    has_nan = np.zeros(len(rows), bool)
    has_number = False
    for array in values:
        is_nan = np.isnan(array)
        has_nan |= is_nan.any(axis=tuple(range(1, array.ndim)))
        has_number |= not is_nan.all()
    if not has_nan.any():
        return ""
    if not has_number:
        raise DataError(
            "the gradient is not a number anywhere: the input or a weight is NaN, or the model "
            "has no slope there"
        )
    samples = f"{has_nan.sum()} of {len(rows)} samples ({listed_rows(rows[has_nan])})"
    return f"The map holds values that are not numbers for {samples}."
