"""Gradients along the straight line from a baseline to each sample, summed up on the way."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np

from actwidgets.core.arrays import Array, Doubles, Integers
from actwidgets.core.attributions.method import Progress
from actwidgets.core.attributions.model_slice import ModelSlice
from actwidgets.core.attributions.points import Points
from actwidgets.core.attributions.variants import add_by_sample, in_batches


@dataclass(frozen=True)
class Walk:
    """What was met on the way.

    Attributes:
        sums: `(sample, …)` float64 for each array, the weighted sum of the gradients.
        scores: `(sample, step)` float64.
        gradient_norms: `(sample, step)` float64, over all arrays.
    """

    sums: tuple[Array, ...]
    scores: Array
    gradient_norms: Array


def walk(
    slice_: ModelSlice,
    points: Points,
    baseline: Points,
    target: Integers,
    alphas: Doubles,
    weights: Doubles,
    before: int = 0,
) -> Generator[Progress, None, Walk]:
    """Look at the gradient at some shares of the way, for all samples.

    Args:
        slice_: The model.
        points: Where the way ends.
        baseline: Where it begins.
        target: `(sample,)`.
        alphas: `(step,)` in 0..1, the shares of the way.
        weights: `(step,)`, what each gradient counts in the sum.
        before: How many gradients were taken on earlier walks.

    Yields:
        How many of how many gradients are done, before each batch of the slice's size.

    Cost: one forward and one backward pass for each step of each sample.
    """
    n_samples, n_steps = len(points), len(alphas)
    sums = tuple(np.zeros(each.shape) for each in points.arrays)
    scores, norms = np.zeros((n_samples, n_steps)), np.zeros((n_samples, n_steps))
    done, total = before, before + n_samples * n_steps
    for samples, steps in in_batches(n_samples, n_steps, slice_.batch_size):
        yield done, total
        there = _between(baseline.take(samples), points.take(samples), alphas[steps])
        found, gradients = slice_.gradients(there, target[samples])
        scores[samples, steps] = found
        squares = []
        for sum_, gradient in zip(sums, gradients, strict=True):
            exact = gradient.astype(np.float64)
            squares.append(np.square(exact))
            add_by_sample(sum_, _along(weights[steps], exact) * exact, samples)
        norms[samples, steps] = np.sqrt(sums_by_sample(squares))
        done += len(samples)
    return Walk(sums, scores, norms)


def sums_by_sample(values: Sequence[Array]) -> Array:
    """`(sample,)` float64: the sum over all values of all arrays."""
    sums = [each.sum(axis=tuple(range(1, each.ndim)), dtype=np.float64) for each in values]
    return np.asarray(np.sum(sums, axis=0))


def _between(start: Points, end: Points, alphas: Doubles) -> Points:
    """Both ends are met exactly, which `start + alpha * (end - start)` would not do."""
    arrays = []
    for one, other in zip(start.arrays, end.arrays, strict=True):
        share = _along(alphas, one).astype(one.dtype)
        arrays.append((1 - share) * one + share * other)
    return end.moved(arrays)


def _along(values: Doubles, like: Array) -> Array:
    """`(sample,)` values with as many axes as an array."""
    return values.reshape(-1, *[1] * (like.ndim - 1))
