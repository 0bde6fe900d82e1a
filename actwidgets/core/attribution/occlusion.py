"""Occlusion: the fall of the score when a patch of the sample is hidden."""

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np

from actwidgets.core.arrays import Array, Integers
from actwidgets.core.attribution.base import (
    Inputs,
    Method,
    MethodResult,
    Option,
    ScoreFunction,
    Steps,
    score_of,
    whole,
)
from actwidgets.core.attribution.baselines import (
    baseline_inputs,
    divided_axes,
    has_no_positions,
    note_of_equals,
    perturbed_batches,
)
from actwidgets.errors import DataError, ShapeError

Patch = tuple[slice, ...]  # of the leading axes of a sample; whole where they are channels


def patches_of(points: Inputs, index: int, patch: Any = None, stride: Any = None) -> list[Patch]:
    """The patches that cover every value of one input.

    Args:
        index: Which of their arrays.
        patch: Length along each axis of places: a number for all, or one each. A list as long
            as the sample has axes also divides the channels. By default a quarter of each
            side, and at least 1; of vectors `(sample, feature)` and of what has one place
            only, whose neighbors mean nothing, 1.
        stride: How far apart they begin, likewise; half of the patch by default. The last of
            each row is moved back so that it ends with the sample.

    Raises:
        DataError: Lengths below 1, a stride longer than its patch: values would be left out.
        ShapeError: A patch longer than the sample, other numbers of axes.
    """
    shape, name = points.arrays[index].shape[1:], points.names[index]
    axes = divided_axes(points, index)
    patch, stride = _of_input(patch, points, index), _of_input(stride, points, index)
    if isinstance(patch, list | tuple | np.ndarray):
        if len(patch) not in (len(shape), len(axes), max(len(shape) - 1, 1)):
            raise ShapeError(
                f"patch must have {len(axes)} lengths, or {len(shape)} where it "
                f"divides all axes, for input {name!r} of shape {shape}; got {patch!r}"
            )
        if len(patch) != len(axes):
            axes = tuple(range(1, len(patch) + 1))
    sides = [shape[axis - 1] for axis in axes]
    is_features = has_no_positions(points, index) or set(shape[:-1]) == {1}
    whole_share = [1] * len(axes) if is_features else [max(side // 4, 1) for side in sides]
    lengths = _lengths("patch", patch, whole_share)
    strides = _lengths("stride", stride, [max(length // 2, 1) for length in lengths])
    for side, length, step in zip(sides, lengths, strides, strict=True):
        if length > side:
            raise ShapeError(
                f"patch {tuple(lengths)} is larger than input {name!r}, which is {tuple(sides)}"
            )
        if step > length:
            raise DataError(
                f"stride {tuple(strides)} leaves gaps between patches of {tuple(lengths)}: it "
                "must not be longer than the patch"
            )
    along = [
        # The last one is moved back so that it ends with the sample.
        [slice(at, at + length) for at in (*range(0, side - length, step), side - length)]
        for side, length, step in zip(sides, lengths, strides, strict=True)
    ]
    by_axis = dict(zip(axes, along, strict=True))
    return list(product(*(by_axis.get(each, [slice(None)]) for each in range(1, max(axes) + 1))))


def _of_input(setting: Any, points: Inputs, index: int) -> Any:
    if not isinstance(setting, Mapping):
        return setting
    unknown = ", ".join(sorted(map(str, set(setting) - set(points.names))))
    if unknown:
        raise DataError(f"no input {unknown}; this model has {', '.join(points.names)}")
    return setting.get(points.names[index])


def _lengths(name: str, setting: Any, default: list[int]) -> list[int]:
    if setting is None:
        return default
    given = list(setting) if isinstance(setting, list | tuple | np.ndarray) else [setting]
    if len(given) == 1:
        given = given * len(default)
    if len(given) != len(default):
        raise ShapeError(f"{name} must have {len(default)} lengths, as the patch; got {setting!r}")
    return [whole(name, each, least=1) for each in given]


def occlusion(
    model: ScoreFunction,
    points: Inputs,
    target: Integers,
    *,
    patch: Any = None,
    stride: Any = None,
    fill: Any = "auto",
) -> Steps:
    """Occlusion: S(x) - S(x with a patch filled), averaged over the patches that hide a value.

    A patch hides all channels of its places, so that these have the same value; of several
    inputs one at a time is hidden. Of a linear model the values are exact: a patch loses the
    sum of w · (x - fill) over what it hides.

    Args:
        patch: As in `patches_of`: a number or one per axis; a quarter of each side by default.
        stride: Likewise; half the patch by default.
        fill: What hides, as in `baseline_inputs`: "mean" of each channel over the sample's
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
    filling = baseline_inputs(points, fill, name="fill")
    totals, counts = _blank(points, hidden)
    scores: Array = np.zeros(len(points))
    done, total = 0, len(points) * (len(hidden) + 1)
    for samples, variants in perturbed_batches(len(points), len(hidden) + 1, model.batch_size):
        yield done, total
        there = points.take(samples)  # a copy, which patches are written into
        # Variant 0 is the whole sample; variant v hides patch v - 1.
        for at, (sample, variant) in enumerate(zip(samples, variants, strict=True)):
            if variant:
                index, where = hidden[variant - 1]
                there.arrays[index][at][where] = filling.arrays[index][sample][where]
        target_scores = score_of(model.scores(there), target[samples])
        for score, sample, variant in zip(target_scores, samples, variants, strict=True):
            if variant:
                index, where = hidden[variant - 1]
                totals[index][sample][where] += score
            else:
                scores[sample] = score
        done += len(samples)
    values = []
    for x, sum_, count in zip(points.arrays, totals, counts, strict=True):
        # Sum of the scores over all patches that hide a value, over how many these are.
        drops = scores.reshape(-1, *[1] * (sum_.ndim - 1)) - sum_ / count
        n_missing = x.ndim - drops.ndim
        values.append(np.broadcast_to(drops.reshape(*drops.shape, *[1] * n_missing), x.shape))
    return MethodResult(tuple(values), scores, note=note_of_equals(points, filling, "the fill"))


def _blank(points: Inputs, hidden: list[Any]) -> tuple[list[Array], list[Array]]:
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


OCCLUSION = Method(
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
