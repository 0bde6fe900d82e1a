"""How far a map tells what the model goes by: hide or show what it ranks highest, and look."""

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np

from actwidgets.core.arrays import Array, Integers
from actwidgets.core.attributions.method import Progress
from actwidgets.core.attributions.model_slice import ModelSlice, score_of
from actwidgets.core.attributions.option_checks import whole
from actwidgets.core.attributions.places import divided_axes
from actwidgets.core.attributions.points import Points
from actwidgets.core.attributions.references import reference_points, told_of_equals
from actwidgets.core.attributions.variants import in_batches
from actwidgets.errors import DataError, ShapeError

KINDS = {"deletion": "auto", "insertion": "auto blur"}  # and with what is filled by default


@dataclass(frozen=True, repr=False)
class Faithfulness:
    """What becomes of a class while the places that a map ranks highest go, or come.

    Attributes:
        kind: "deletion": a faithful map makes the probability fall soon, and `auc` low;
            "insertion": it makes it rise soon, and `auc` high.
        shares: `(step,)` float64 from 0 to 1, of the places deleted or inserted.
        scores: `(sample, step)` float64, the probability of the target; NaN for a sample whose
            map holds no number.
        target: `(sample,)` the class.
        note: What is to be said of it, such as a fill that hides nothing; or "".
    """

    kind: str
    shares: Array
    scores: Array
    target: Integers
    note: str = ""

    def __repr__(self) -> str:
        """One line."""
        n_samples, n_steps = self.scores.shape
        auc = float(self.auc.mean()) if n_samples else float("nan")
        return (
            f"Faithfulness({self.kind}, {n_samples} samples, {n_steps} steps, mean auc {auc:.3f})"
        )

    @property
    def auc(self) -> Array:
        """`(sample,)` float64, the area under the curve, by trapezoids; in 0..1."""
        heights = (self.scores[:, 1:] + self.scores[:, :-1]) / 2
        return np.asarray(heights @ np.diff(self.shares))


def faithfulness(
    slice_: ModelSlice,
    points: Points,
    target: Integers,
    values: tuple[Array, ...],
    *,
    kind: str = "deletion",
    steps: int = 32,
    fill: Any = None,
) -> Generator[Progress, None, Faithfulness]:
    """Follow a class's probability while places are deleted, or inserted, highest first.

    The signed values of all channels of a place are summed; places of equal sums come in
    reading order, and those of NaN last. Places of several inputs are ranked together.

    Args:
        slice_: The model.
        points: The samples.
        target: `(sample,)`, the class whose probability is followed.
        values: The map, one array per input: in its shape, or without its last axes.
        kind: "deletion" from the whole sample to none of it; "insertion" the other way.
        steps: In so many, as even as the number of places allows.
        fill: What is seen in the place of the sample, as in `reference_points`; "auto" for
            deletion and "auto blur" for insertion by default. A map that compares with a
            baseline is judged fairly where the fill is that baseline.

    Yields:
        How many of how many variants are done, before each batch of the slice's size.

    Raises:
        DataError: No such kind, steps below 1, a fill that is none.
        ShapeError: A map, or a fill, of another shape than the samples.
        ModelError: The model gives no probabilities.

    Cost: one forward pass for each step of each sample, and one more.

    Reference: Petsiuk, Das & Saenko 2018, arXiv:1806.07421, section 4.2; there deletion fills
    with grey and insertion begins with a blurred sample.
    """
    if kind not in KINDS:
        raise DataError(f'kind must be "deletion" or "insertion"; got {kind!r}')
    n_steps = whole("steps", steps, least=1)
    filling = reference_points(points, KINDS[kind] if fill is None else fill, name="fill")
    sums = _place_sums(points, values)
    ranks = _ranks(sums)
    n_moved = np.unique(np.round(np.linspace(0, ranks.shape[1], n_steps + 1)).astype(np.int64))
    before, after = (points, filling) if kind == "deletion" else (filling, points)
    scores = np.zeros((len(points), len(n_moved)))
    done, total = 0, scores.size
    for samples, variants in in_batches(*scores.shape, slice_.batch_size):
        yield done, total
        is_moved = ranks[samples] < n_moved[variants][:, None]
        there = _mixed(before.take(samples), after.take(samples), is_moved, sums)
        scores[samples, variants] = score_of(slice_.scores(there, "probability"), target[samples])
        done += len(samples)
    scores[np.isnan(np.concatenate(_flat(sums), axis=1)).all(axis=1)] = np.nan
    note = told_of_equals(points, filling, "the fill")
    return Faithfulness(kind, n_moved / max(ranks.shape[1], 1), scores, target, note)


def _place_sums(points: Points, values: tuple[Array, ...]) -> list[Array]:
    """For each input `(sample, …)` float64, channels summed: axes of length 1, or missing."""
    if len(values) != len(points.arrays):
        raise ShapeError(
            f"there must be a map for each of {', '.join(points.names)}; got {len(values)}"
        )
    sums = []
    for index, (x, value) in enumerate(zip(points.arrays, values, strict=True)):
        places = divided_axes(points, index)
        others = tuple(axis for axis in range(1, x.ndim) if axis not in places)
        if value.ndim < x.ndim and value.shape[1:] == tuple(x.shape[axis] for axis in places):
            value = np.expand_dims(value, others)
        elif value.ndim < min(x.ndim, 2) or value.shape != x.shape[: value.ndim]:
            raise ShapeError(
                f"the map of {points.names[index]!r} must have the shape of the samples "
                f"{x.shape}, or that without channels; got {value.shape}"
            )
        elif value.ndim == x.ndim:
            value = value.sum(axis=others, keepdims=True, dtype=np.float64)
        sums.append(value.astype(np.float64))
    return sums


def _ranks(sums: list[Array]) -> Integers:
    """`(sample, place)` over all inputs: 0 for the place with the largest sum."""
    order = np.argsort(-np.concatenate(_flat(sums), axis=1), axis=1, kind="stable")
    return np.argsort(order, axis=1)


def _mixed(before: Points, after: Points, is_moved: Array, sums: list[Array]) -> Points:
    """Samples of which the places that are moved are as after, and the others as before."""
    ends = np.cumsum([each.shape[1] for each in _flat(sums)])
    arrays = []
    for one, other, like, mask in zip(
        before.arrays, after.arrays, sums, np.split(is_moved, ends[:-1], axis=1), strict=True
    ):
        shape = *like.shape[1:], *[1] * (one.ndim - like.ndim)
        arrays.append(np.where(mask.reshape(len(mask), *shape), other, one))
    return before.moved(arrays)


def _flat(sums: list[Array]) -> list[Array]:
    return [each.reshape(len(each), math.prod(each.shape[1:])) for each in sums]
