"""Gradient, gradient x input, SmoothGrad, guided backpropagation."""

from functools import partial

import numpy as np

from actwidgets.core.arrays import Array, Integers
from actwidgets.core.attribution.base import (
    Inputs,
    Method,
    MethodResult,
    Option,
    ScoreFunction,
    Steps,
    number,
    whole,
)
from actwidgets.core.attribution.baselines import add_by_sample, perturbed_batches


def gradient(model: ScoreFunction, points: Inputs, target: Integers) -> Steps:
    """dS_c/dx at each sample.

    Cost: one forward and one backward pass.
    """
    yield 0, 1
    scores, gradients = model.gradients(points, target)
    return MethodResult(gradients, scores)


GRADIENT = Method(
    "gradient",
    "Gradient",
    gradient,
    tells="How much the score would rise if this value rose a little.",
    source="Simonyan, Vedaldi & Zisserman 2013, arXiv:1312.6034",
)


def gradient_x_input(model: ScoreFunction, points: Inputs, target: Integers) -> Steps:
    """The input times dS_c/dx, at each sample.

    Cost: one forward and one backward pass.
    """
    yield 0, 1
    scores, gradients = model.gradients(points, target)
    values = tuple(x * each for x, each in zip(points.arrays, gradients, strict=True))
    return MethodResult(values, scores)


GRADIENT_X_INPUT = Method(
    "gradient_x_input",
    "Gradient × input",
    gradient_x_input,
    tells="What this value adds to the score, were the model linear.",
    source="Shrikumar et al. 2016, arXiv:1605.01713",
)


def guided_backprop(model: ScoreFunction, points: Inputs, target: Integers) -> Steps:
    """Guided backpropagation at each sample.

    Raises:
        ModelError: There is no ReLU between the inputs and the score, or one in a loop.

    Cost: one forward and one backward pass; the first time a trace.
    """
    yield 0, 1
    scores, gradients = model.gradients(points, target, guided=True)
    return MethodResult(gradients, scores, note=model.guided_note)


GUIDED_BACKPROP = Method(
    "guided_backprop",
    "Guided backprop",
    guided_backprop,
    tells="Which edges and dots the network picks up here. It hardly depends on the class, nor "
    "on the weights (Adebayo et al. 2018): a sharp picture of the input, no reason for the class.",
    source="Springenberg et al. 2014, arXiv:1412.6806",
)


OPTIONS = (
    Option("n_samples", 50, (10, 25, 50, 100), "how many noisy copies"),
    Option("sigma", 0.15, (0.0, 0.05, 0.1, 0.15, 0.2, 0.3), "noise, as a share of the range"),
    Option("seed", 0, (), "of the noise"),
)


def smooth_grad(
    model: ScoreFunction,
    points: Inputs,
    target: Integers,
    *,
    n_samples: int = 50,
    sigma: float = 0.15,
    seed: int = 0,
    guided: bool = False,
) -> Steps:
    """SmoothGrad: the mean of dS_c/dx over normal noise around each sample.

    One draw for all samples: whichever are looked at together, each has the same noise, and
    so has every batch size.

    Args:
        n_samples: How many noisy copies of each.
        sigma: Standard deviation of the noise, as a share of the sample's range, max - min,
            of each input; of one that holds the same value all over, of that value's size; 0
            gives the gradient. An input of zeros gets no noise, and the note says so.
        guided: Whether ReLUs let only positive gradient pass, at positive input.

    Raises:
        DataError: No copies, a negative sigma or seed.
        ModelError: There is no gradient; there is no ReLU to guide.

    Cost: one forward and one backward pass for each copy, and one for the sample's score.
    """
    n_copies = whole("n_samples", n_samples, least=1)
    seed, sigma = whole("seed", seed, least=0), number("sigma", sigma, least=0)
    deviations = [sigma * _ranges(array) for array in points.arrays]
    totals = [np.zeros(array.shape) for array in points.arrays]
    scores: Array = np.zeros(len(points))
    done, total = 0, len(points) * (n_copies + 1)
    for samples, copies in perturbed_batches(len(points), n_copies + 1, model.batch_size):
        yield done, total
        here = points.take(samples)
        # Copy 0 is the sample itself, for its score; its gradient does not count.
        noisy = [
            x + (deviations[index][samples] * _noise(seed, index, copies, x)).astype(x.dtype)
            for index, x in enumerate(here.arrays)
        ]
        target_scores, gradients = model.gradients(
            here.moved(noisy), target[samples], guided=guided
        )
        clean = copies == 0
        scores[samples[clean]] = target_scores[clean]
        for sum_, gradient in zip(totals, gradients, strict=True):
            counted = gradient.astype(np.float64)
            counted[clean] = 0
            add_by_sample(sum_, counted, samples)
        done += len(samples)
    note = _note_of_no_noise(points, deviations) if sigma else ""
    notes = note, model.guided_note if guided else ""
    return MethodResult(
        tuple(each / n_copies for each in totals), scores, note=" ".join(filter(None, notes))
    )


def _ranges(array: Array) -> Array:
    """The range of each sample, with as many axes as the array; of a flat one its distance to 0."""
    if not array.size:
        return np.zeros((len(array), *[1] * (array.ndim - 1)))
    axes = tuple(range(1, array.ndim))
    ranges = np.ptp(array, axis=axes, keepdims=True).astype(np.float64)
    sizes = np.abs(array).max(axis=axes, keepdims=True).astype(np.float64)
    return np.where(ranges > 0, ranges, sizes)


def _note_of_no_noise(points: Inputs, deviations: list[Array]) -> str:
    """A sentence on inputs that no noise was added to; "" where there are none."""
    sentences = []
    for name, deviation in zip(points.names, deviations, strict=True):
        n_without = int((deviation == 0).sum())
        if n_without:
            sentences.append(
                f"Input {name!r} is all 0 in {n_without} of {len(points)} samples, and so has no "
                "range to scale the noise by: it got none."
            )
    return " ".join(sentences)


def _noise(seed: int, index: int, copies: Integers, like: Array) -> Array:
    """What each copy of a batch is moved by, in standard deviations; copy 0 stays."""
    noise = np.zeros(like.shape)
    for copy in set(copies.tolist()) - {0}:
        draw = np.random.default_rng((seed, index, copy)).standard_normal(like.shape[1:])
        noise[copies == copy] = draw
    return noise


SMOOTH_GRAD = Method(
    "smooth_grad",
    "SmoothGrad",
    smooth_grad,
    tells="How much the score would rise if this value rose a little, on average nearby.",
    source="Smilkov et al. 2017, arXiv:1706.03825",
    options=OPTIONS,
)


GUIDED_SMOOTH_GRAD = Method(
    "guided_smooth_grad",
    "Guided SmoothGrad",
    partial(smooth_grad, guided=True),
    tells="What excites units on the way to the class, on average over noisy copies.",
    source="Smilkov et al. 2017, arXiv:1706.03825; Springenberg et al. 2014, arXiv:1412.6806",
    options=OPTIONS,
)
