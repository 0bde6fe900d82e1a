"""Integrated gradients and interior gradients."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core.arrays import Array, Doubles, Integers
from actwidgets.core.attribution.base import (
    Inputs,
    Method,
    MethodResult,
    Option,
    Path,
    Progress,
    ScoreFunction,
    Steps,
    listed_rows,
    number,
    whole,
)
from actwidgets.core.attribution.baselines import (
    baseline_inputs,
    note_of_equals,
    perturbed_batches,
)
from actwidgets.errors import DataError


@dataclass(frozen=True)
class PathGradients:
    """Gradients and scores along the path from baseline to sample.

    Attributes:
        sums: `(sample, …)` float64 for each array, the weighted sum of the gradients.
        scores: `(sample, step)` float64.
        gradient_norms: `(sample, step)` float64, over all arrays.
    """

    sums: tuple[Array, ...]
    scores: Array
    gradient_norms: Array


def path_gradients(
    model: ScoreFunction,
    points: Inputs,
    baseline: Inputs,
    target: Integers,
    alphas: Doubles,
    weights: Doubles,
    before: int = 0,
) -> Generator[Progress, None, PathGradients]:
    """The gradient at points of the straight path x' + alpha (x - x'), for all samples.

    Args:
        points: Where the way ends.
        baseline: Where it begins.
        alphas: `(step,)` in 0..1, the shares of the way.
        weights: `(step,)`, what each gradient counts in the sum.
        before: How many gradients were taken on earlier paths.

    Yields:
        How many of how many gradients are done, before each batch of the slice's size.

    Cost: one forward and one backward pass for each step of each sample.
    """
    n_samples, n_steps = len(points), len(alphas)
    sums = tuple(np.zeros(array.shape) for array in points.arrays)
    scores, norms = np.zeros((n_samples, n_steps)), np.zeros((n_samples, n_steps))
    done, total = before, before + n_samples * n_steps
    for samples, steps in perturbed_batches(n_samples, n_steps, model.batch_size):
        yield done, total
        there = _between(baseline, points, samples, alphas[steps])
        target_scores, gradients = model.gradients(there, target[samples])
        scores[samples, steps] = target_scores
        squares = np.zeros(len(samples))
        starts = np.flatnonzero(np.diff(samples, prepend=-1))
        for sum_, gradient in zip(sums, gradients, strict=True):
            exact = gradient.reshape(len(samples), -1).astype(np.float64)
            squares += np.einsum("pv,pv->p", exact, exact)
            for sample, first, end in zip(
                samples[starts], starts, [*starts[1:], len(samples)], strict=True
            ):
                weighted = np.einsum("p,pv->v", weights[steps[first:end]], exact[first:end])
                sum_[sample] += weighted.reshape(sum_.shape[1:])
        norms[samples, steps] = np.sqrt(squares)
        done += len(samples)
    return PathGradients(sums, scores, norms)


def sums_by_sample(values: Sequence[Array]) -> Array:
    """`(sample,)` float64: the sum over all values of all arrays."""
    sums = [value.sum(axis=tuple(range(1, value.ndim)), dtype=np.float64) for value in values]
    return np.asarray(np.sum(sums, axis=0))


def _between(start: Inputs, end: Inputs, samples: Integers, alphas: Doubles) -> Inputs:
    """Both ends are met exactly, which `start + alpha * (end - start)` would not do."""
    arrays = []
    rows = samples if samples[0] != samples[-1] else samples[:1]  # of one sample no copies
    for one, other in zip(start.arrays, end.arrays, strict=True):
        share = _along(alphas, one).astype(one.dtype)
        arrays.append((1 - share) * one[rows] + share * other[rows])
    others = tuple(other[samples] for other in end.others)
    return replace(end, arrays=tuple(arrays), others=others)


def _along(values: Doubles, like: Array) -> Array:
    """`(sample,)` values with as many axes as an array."""
    return values.reshape(-1, *[1] * (like.ndim - 1))


FIRST_STEPS = 32  # where no number of steps is given
TOLERANCE = 0.01


def integrated_gradients(
    model: ScoreFunction,
    points: Inputs,
    target: Integers,
    *,
    baseline: Any = None,
    steps: int | None = None,
    tolerance: float | str | None = "auto",
    max_steps: int = 1024,
) -> Steps:
    """Integrated gradients: (x - x') times the mean of dS_c/dx on the straight path from x' to x.

    The mean is taken by the midpoint rule. A sample whose values' sum misses S(x) - S(x') by
    more than the tolerance is looked at in three times as many steps, of which a third is
    known already. On published networks with ReLUs this rule has a smaller gap than the
    trapezoid rule with as many gradients, and of a network without biases it is exact: the
    trapezoid rule counts the gradient at the baseline, where no ReLU is open.

    Args:
        baseline: x', as in `baseline_inputs`; zeros by default.
        steps: How many gradients; two more are taken for the scores at the ends. A number is
            kept: none is added unless a tolerance is given too. None for 32 at first, and
            more where the tolerance asks for them.
        tolerance: The gap that is small enough, as a share of |S(x) - S(x')|; None for any.
            A gap that floating-point numbers cannot tell from none is. "auto" for 0.01 where
            `steps` is None, and any gap where it is a number.
        max_steps: No sample is looked at in more to meet the tolerance.

    Returns:
        `MethodResult.n_steps` tells how many steps each sample took, and the note which samples
        miss the tolerance, or 0.01 where the number of steps was given.

    Raises:
        DataError: Steps below 1, fewer `max_steps`, a tolerance that is negative, a baseline
            that is none.
        ShapeError: A baseline of another shape.

    Cost: `steps` forward and backward passes a sample, and three times as many after each
    refining; 0.01 takes about 270 on a small CNN for CIFAR-10, and 0.05 about 80. Where that
    is too long, give `steps`, or a lower `max_steps`.
    """
    most = whole("max_steps", max_steps, least=1)
    n_steps = min(FIRST_STEPS, most) if steps is None else whole("steps", steps, least=1)
    # A number of steps that was given is kept, unless a tolerance is given too.
    if isinstance(tolerance, str) and tolerance == "auto":
        share = TOLERANCE if steps is None else None
    else:
        share = None if tolerance is None else number("tolerance", tolerance, least=0)
    if share is not None and most < n_steps:
        raise DataError(f"max_steps must be at least steps, which is {n_steps}; got {most}")
    start = baseline_inputs(points, baseline, name="baseline")
    integral = _Integral(model, points, start, target, n_steps)
    yield from integral.begin()
    while share is not None and 3 * integral.n_steps <= most:
        rows = integral.beyond(share)
        if not rows.size:
            break
        yield from integral.refine(rows)
    return MethodResult(
        integral.values(),
        integral.scores,
        gap=integral.gap(),
        note=_note(integral, share, tolerance, points, start),
        path=integral.path,
        n_steps=integral.n_steps_taken,
    )


class _Integral:
    """Midpoint sums of the gradients along the path, refined sample by sample."""

    def __init__(
        self, model: ScoreFunction, points: Inputs, start: Inputs, target: Integers, n_steps: int
    ) -> None:
        self._model, self._points, self._start, self._target = model, points, start, target
        self.n_steps = n_steps
        self._counts = np.full(len(points), float(n_steps))
        self._done = 0

    def begin(self) -> Generator[Progress, None, None]:
        """Take the gradients along the whole path, both ends included, once."""
        # Midpoint rule; both ends have weight 0 and are there for their scores.
        middles = (np.arange(self.n_steps) + 0.5) / self.n_steps
        alphas = np.array([0.0, *middles, 1.0])
        weights = np.array([0.0, *np.ones(self.n_steps), 0.0])  # the ends for their scores
        path = yield from self._gradients(np.arange(len(self._points)), alphas, weights)
        self._sums = path.sums
        self.scores: Array = path.scores[:, -1]
        self._change = path.scores[:, -1] - path.scores[:, 0]
        self._size = np.abs(path.scores[:, [0, -1]]).sum(axis=1)
        self.path = Path(alphas, path.scores, path.gradient_norms)

    def refine(self, rows: Integers) -> Generator[Progress, None, None]:
        """Look at some samples in three times as many steps."""
        self.n_steps *= 3
        places = np.arange(self.n_steps)
        # Thirds: every old midpoint is the middle one of three new ones.
        new = (places[places % 3 != 1] + 0.5) / self.n_steps  # the others are known already
        path = yield from self._gradients(rows, new, np.ones(len(new)))
        for total, more in zip(self._sums, path.sums, strict=True):
            total[rows] += more
        self._counts[rows] = self.n_steps
        if len(rows) == len(self._points):
            self.path = _joined(self.path, new, path)

    def values(self) -> tuple[Array, ...]:
        values = []
        for x, start, total in zip(
            self._points.arrays, self._start.arrays, self._sums, strict=True
        ):
            counts = self._counts.reshape(-1, *[1] * (x.ndim - 1))
            values.append((x.astype(np.float64) - start) * total / counts)
        return tuple(values)

    @property
    def n_steps_taken(self) -> Integers:
        """`(sample,)` how many steps each was looked at in, the two ends not counted."""
        return self._counts.astype(np.int64)

    def gap(self) -> Array:
        return sums_by_sample(self.values()) - self._change

    def beyond(self, share: float) -> Integers:
        """The samples whose gap is too large; where it is NaN, more steps do not help."""
        exact = max(np.finfo(array.dtype).eps for array in self._points.arrays)
        # What rounding of the scores alone may leave is no gap.
        allowed = share * np.abs(self._change) + 8 * float(exact) * self._size
        return np.flatnonzero(np.abs(self.gap()) > allowed)

    def _gradients(
        self, rows: Integers, alphas: Doubles, weights: Doubles
    ) -> Generator[Progress, None, PathGradients]:
        points, start, target = self._points.take(rows), self._start.take(rows), self._target[rows]
        path = yield from path_gradients(
            self._model, points, start, target, alphas, weights, self._done
        )
        self._done += len(rows) * len(alphas)
        return path


def _joined(path: Path, alphas: Doubles, new: PathGradients) -> Path:
    order = np.argsort([*path.alphas, *alphas], kind="stable")
    return Path(
        np.concatenate([path.alphas, alphas])[order],
        np.concatenate([path.scores, new.scores], axis=1)[:, order],
        np.concatenate([path.gradient_norms, new.gradient_norms], axis=1)[:, order],
    )


def _note(
    integral: _Integral, share: float | None, tolerance: Any, points: Inputs, start: Inputs
) -> str:
    note = note_of_equals(points, start, "the baseline")
    if share is None and tolerance is None:  # whoever says that any gap will do knows of it
        return note
    rows = integral.beyond(TOLERANCE if share is None else share)
    if not rows.size:
        return note
    given = "the given " if share is None else ""
    limit = TOLERANCE if share is None else share
    missed = (
        f"For {len(rows)} of {len(integral.scores)} samples ({listed_rows(rows)}) the values' sum "
        f"misses the change of the score by more than {limit:.3g} of it after {given}"
        f"{integral.n_steps} steps."
    )
    return f"{note} {missed}".strip()


INTEGRATED_GRADIENTS = Method(
    "integrated_gradients",
    "Integrated gradients",
    integrated_gradients,
    tells="What this value adds to the change of the score on the way from the baseline.",
    source="Sundararajan, Taly & Yan 2017, arXiv:1703.01365",
    options=(
        Option("baseline", None, (None, 1.0, "mean", "blur"), "where the way begins", "zeros"),
        Option(
            "steps", None, (None, 8, 16, 32, 64, 128), "gradients on the way", "as many as needed"
        ),
        Option(
            "tolerance", "auto", ("auto", None, 0.1, 0.05, 0.01), "gap that is small enough", "any"
        ),
        Option("max_steps", 1024, (), "no sample is looked at in more steps"),
    ),
    promise="S(x) - S(baseline)",
)


def interior_gradients(
    model: ScoreFunction,
    points: Inputs,
    target: Integers,
    *,
    steps: int = 50,
    alphas: ArrayLike | None = None,
) -> Steps:
    """Interior gradients: x times the mean of dS_c/dx at alpha·x, for alphas in (0, 1].

    Where the score is saturated at the sample its gradient is small; dimmed samples show what
    the score has come from. `MethodResult.path` says where on the way that is.

    Args:
        steps: How many alphas, evenly spaced up to 1.
        alphas: `(step,)` the alphas themselves, in the place of `steps`.

    Raises:
        DataError: Steps below 1, alphas that are none or outside (0, 1].

    Cost: one forward and one backward pass for each alpha of each sample, and two more.
    """
    shares = _shares(steps, alphas)
    nowhere = baseline_inputs(points, None, name="baseline")
    weights = np.array(
        [0.0, *np.full(len(shares), 1 / len(shares)), 0.0]
    )  # the ends for their scores
    ends = np.array([0.0, *shares, 1.0])
    path = yield from path_gradients(model, points, nowhere, target, ends, weights)
    values = tuple(x * each for x, each in zip(points.arrays, path.sums, strict=True))
    return MethodResult(
        values,
        path.scores[:, -1],
        gap=sums_by_sample(values) - (path.scores[:, -1] - path.scores[:, 0]),
        path=Path(shares, path.scores[:, 1:-1], path.gradient_norms[:, 1:-1]),
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


INTERIOR_GRADIENTS = Method(
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
