"""Interior gradients: the gradient at the sample dimmed more and more, times the sample."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core.arrays import Array, Integers
from actwidgets.core.attributions.attribution import Found, Path
from actwidgets.core.attributions.method import Method, Option, Steps
from actwidgets.core.attributions.model_slice import ModelSlice
from actwidgets.core.attributions.option_checks import whole
from actwidgets.core.attributions.points import Points
from actwidgets.core.attributions.references import reference_points
from actwidgets.core.attributions.straight_path import sums_by_sample, walk
from actwidgets.errors import DataError


def interior_gradients(
    slice_: ModelSlice,
    points: Points,
    target: Integers,
    *,
    steps: int = 50,
    alphas: ArrayLike | None = None,
) -> Steps:
    """The sample times the mean of dS_c/dx at alpha·x, for alphas in (0, 1].

    Where the score is saturated at the sample its gradient is small; dimmed samples show what
    the score has come from. `Found.path` says where on the way that is.

    Args:
        slice_: The model.
        points: The samples.
        target: `(sample,)`.
        steps: How many alphas, evenly spaced up to 1.
        alphas: `(step,)` the alphas themselves, in the place of `steps`.

    Raises:
        DataError: Steps below 1, alphas that are none or outside (0, 1].

    Cost: one forward and one backward pass for each alpha of each sample, and two more.
    """
    shares = _shares(steps, alphas)
    nowhere = reference_points(points, None, name="baseline")
    weights = np.array(
        [0.0, *np.full(len(shares), 1 / len(shares)), 0.0]
    )  # the ends for their scores
    ends = np.array([0.0, *shares, 1.0])
    found = yield from walk(slice_, points, nowhere, target, ends, weights)
    values = tuple(x * each for x, each in zip(points.arrays, found.sums, strict=True))
    return Found(
        values,
        found.scores[:, -1],
        gap=sums_by_sample(values) - (found.scores[:, -1] - found.scores[:, 0]),
        path=Path(shares, found.scores[:, 1:-1], found.gradient_norms[:, 1:-1]),
    )


def _shares(steps: Any, alphas: ArrayLike | None) -> Array:
    if alphas is None:
        n_steps = whole("steps", steps, least=1)
        return np.arange(1, n_steps + 1) / n_steps
    given = np.asarray(alphas)
    if given.dtype.kind not in "iuf" or given.ndim != 1 or not given.size:
        raise DataError(f"alphas must be a list of numbers above 0 and at most 1; got {alphas!r}")
    outside = given[~((given > 0) & (given <= 1))]
    if outside.size:
        raise DataError(f"alphas must be above 0 and at most 1; got {outside[0]:g} among them")
    return given.astype(np.float64)


METHOD = Method(
    "interior_gradients",
    "Interior gradients",
    interior_gradients,
    tells="What this value adds to the score while the sample brightens up.",
    source="Sundararajan, Taly & Yan 2016, arXiv:1611.02639",
    options=(
        Option("steps", 50, (10, 25, 50, 100), "how many brightnesses up to the sample's own"),
        Option("alphas", None, (), "the brightnesses themselves, as shares"),
    ),
    promise="about S(x) - S(0)",
)
