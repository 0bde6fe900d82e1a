"""Occlusion: by how much the score falls when a patch of the sample is hidden."""

from typing import Any

import numpy as np

from actwidgets.core.arrays import Array, Integers
from actwidgets.core.attributions.attribution import Found
from actwidgets.core.attributions.method import Method, Option, Steps
from actwidgets.core.attributions.model_slice import ModelSlice, score_of
from actwidgets.core.attributions.patches import patches_of
from actwidgets.core.attributions.points import Points
from actwidgets.core.attributions.references import reference_points, told_of_equals
from actwidgets.core.attributions.variants import in_batches


def occlusion(
    slice_: ModelSlice,
    points: Points,
    target: Integers,
    *,
    patch: Any = None,
    stride: Any = None,
    fill: Any = "auto",
) -> Steps:
    """S(x) - S(x with a patch filled), for each value the mean over the patches that hide it.

    A patch hides all channels of its places, so that these have the same value; of several
    inputs one at a time is hidden. Of a linear model the values are exact: a patch loses the
    sum of w · (x - fill) over what it hides.

    Args:
        slice_: The model.
        points: The samples.
        target: `(sample,)`.
        patch: As in `patches_of`: a number or one per axis; a quarter of each side by default.
        stride: Likewise; half the patch by default.
        fill: What hides, as in `reference_points`: "mean" of each channel over the sample's
            places, "blur", a number, an array. "auto" is the mean where there are places to
            take it over, and 0 for features and for channels that are the same all over: these
            would be hidden behind themselves. A sample that any other fill hides behind itself
            is told in the note.

    Raises:
        DataError: Lengths below 1, a stride that leaves gaps, a fill that is none.
        ShapeError: A patch larger than the sample, a fill of another shape.

    Cost: one forward pass for each patch of each sample; about 50 of images by default. No
    gradient is needed.
    """
    hidden = [
        (index, each)
        for index in range(len(points.arrays))
        for each in patches_of(points, index, patch, stride)
    ]
    filling = reference_points(points, fill, name="fill")
    totals, counts = _blank(points, hidden)
    scores = np.zeros(len(points))
    done, total = 0, len(points) * (len(hidden) + 1)
    for samples, variants in in_batches(len(points), len(hidden) + 1, slice_.batch_size):
        yield done, total
        there = points.take(samples)  # a copy, which patches are written into
        for place, (sample, variant) in enumerate(zip(samples, variants, strict=True)):
            if variant:
                index, where = hidden[variant - 1]
                there.arrays[index][place][where] = filling.arrays[index][sample][where]
        found = score_of(slice_.scores(there), target[samples])
        for score, sample, variant in zip(found, samples, variants, strict=True):
            if variant:
                index, where = hidden[variant - 1]
                totals[index][sample][where] += score
            else:
                scores[sample] = score
        done += len(samples)
    values = []
    for x, sum_, count in zip(points.arrays, totals, counts, strict=True):
        drops = scores.reshape(-1, *[1] * (sum_.ndim - 1)) - sum_ / count
        n_missing = x.ndim - drops.ndim
        values.append(np.broadcast_to(drops.reshape(*drops.shape, *[1] * n_missing), x.shape))
    found_scores: Array = scores
    return Found(tuple(values), found_scores, note=told_of_equals(points, filling, "the fill"))


def _blank(points: Points, hidden: list[Any]) -> tuple[list[Array], list[Array]]:
    """Sums of zero `(sample, *place)`, and how many patches hide each place, per input."""
    totals, counts = [], []
    for index, x in enumerate(points.arrays):
        mine = [where for each, where in hidden if each == index]
        sides = x.shape[1 : 1 + len(mine[0])]
        count = np.zeros(sides)
        for where in mine:
            count[where] += 1
        totals.append(np.zeros((len(points), *sides)))
        counts.append(count)
    return totals, counts


METHOD = Method(
    "occlusion",
    "Occlusion",
    occlusion,
    tells="By how much the score falls when this place is hidden.",
    source="Zeiler & Fergus 2014, arXiv:1311.2901, section 4.2",
    options=(
        Option("patch", None, (None, 1, 2, 4, 8, 16), "length along each axis", "a quarter"),
        Option("stride", None, (None, 1, 2, 4, 8), "how far apart", "half a patch"),
        Option("fill", "auto", ("auto", "mean", "blur", 0.0, 1.0), "what hides"),
    ),
)
