"""SmoothGrad: the mean gradient over noisy copies of the sample."""

import numpy as np

from actwidgets.core.arrays import Array, Integers
from actwidgets.core.attributions.attribution import Found
from actwidgets.core.attributions.method import Method, Option, Steps
from actwidgets.core.attributions.model_slice import ModelSlice
from actwidgets.core.attributions.option_checks import number, whole
from actwidgets.core.attributions.points import Points
from actwidgets.core.attributions.variants import add_by_sample, in_batches

OPTIONS = (
    Option("n_samples", 50, (10, 25, 50, 100), "how many noisy copies"),
    Option("sigma", 0.15, (0.0, 0.05, 0.1, 0.15, 0.2, 0.3), "noise, as a share of the range"),
    Option("seed", 0, (), "of the noise"),
)


def smooth_grad(
    slice_: ModelSlice,
    points: Points,
    target: Integers,
    *,
    n_samples: int = 50,
    sigma: float = 0.15,
    seed: int = 0,
    guided: bool = False,
) -> Steps:
    """The mean of dS_c/dx over normal noise around each sample.

    One draw for all samples: whichever are looked at together, each has the same noise, and
    so has every batch size.

    Args:
        slice_: The model.
        points: The samples.
        target: `(sample,)`.
        n_samples: How many noisy copies of each.
        sigma: Standard deviation of the noise, as a share of the sample's range, max - min,
            of each input; of one that holds the same value all over, of that value's size; 0
            gives the gradient. An input of zeros gets no noise, and the note says so.
        seed: Of the noise.
        guided: Whether ReLUs let only positive gradient pass, at positive input.

    Raises:
        DataError: No copies, a negative sigma or seed.
        ModelError: There is no gradient; there is no ReLU to guide.

    Cost: one forward and one backward pass for each copy, and one for the sample's score.
    """
    n_copies = whole("n_samples", n_samples, least=1)
    seed, sigma = whole("seed", seed, least=0), number("sigma", sigma, least=0)
    deviations = [sigma * _ranges(each) for each in points.arrays]
    totals = [np.zeros(each.shape) for each in points.arrays]
    scores = np.zeros(len(points))
    done, total = 0, len(points) * (n_copies + 1)
    for samples, copies in in_batches(len(points), n_copies + 1, slice_.batch_size):
        yield done, total
        here = points.take(samples)
        noisy = [
            x + (deviations[index][samples] * _noise(seed, index, copies, x)).astype(x.dtype)
            for index, x in enumerate(here.arrays)
        ]
        found, gradients = slice_.gradients(here.moved(noisy), target[samples], guided=guided)
        clean = copies == 0
        scores[samples[clean]] = found[clean]
        for sum_, gradient in zip(totals, gradients, strict=True):
            counted = gradient.astype(np.float64)
            counted[clean] = 0
            add_by_sample(sum_, counted, samples)
        done += len(samples)
    found_scores: Array = scores
    note = _told_of_no_noise(points, deviations) if sigma else ""
    notes = note, slice_.guided_note if guided else ""
    return Found(
        tuple(each / n_copies for each in totals), found_scores, note=" ".join(filter(None, notes))
    )


def _ranges(array: Array) -> Array:
    """The range of each sample, with as many axes as the array; of a flat one its distance to 0."""
    if not array.size:
        return np.zeros((len(array), *[1] * (array.ndim - 1)))
    axes = tuple(range(1, array.ndim))
    ranges = np.ptp(array, axis=axes, keepdims=True).astype(np.float64)
    sizes = np.abs(array).max(axis=axes, keepdims=True).astype(np.float64)
    return np.where(ranges > 0, ranges, sizes)


def _told_of_no_noise(points: Points, deviations: list[Array]) -> str:
    """A sentence on inputs that no noise was added to; "" where there are none."""
    told = []
    for name, deviation in zip(points.names, deviations, strict=True):
        n_without = int((deviation == 0).sum())
        if n_without:
            told.append(
                f"Input {name!r} is all 0 in {n_without} of {len(points)} samples, and so has no "
                "range to scale the noise by: it got none."
            )
    return " ".join(told)


def _noise(seed: int, index: int, copies: Integers, like: Array) -> Array:
    """What each copy of a batch is moved by, in standard deviations; copy 0 stays."""
    noise = np.zeros(like.shape)
    for copy in set(copies.tolist()) - {0}:
        draw = np.random.default_rng((seed, index, copy)).standard_normal(like.shape[1:])
        noise[copies == copy] = draw
    return noise


METHOD = Method(
    "smooth_grad",
    "SmoothGrad",
    smooth_grad,
    tells="How much the score would rise if this value rose a little, on average nearby.",
    source="Smilkov et al. 2017, arXiv:1706.03825",
    options=OPTIONS,
)
