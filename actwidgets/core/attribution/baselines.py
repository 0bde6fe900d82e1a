"""Baselines and fills, position axes, and batches of perturbed samples."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actwidgets.core.arrays import Array, Integers
from actwidgets.core.attribution.base import Inputs, number
from actwidgets.errors import DataError, ShapeError
from actwidgets.images.inputs import CHANNELS, default_axes


def position_axes(points: Inputs, index: int) -> tuple[int, ...]:
    """The position axes of an array, in their order.

    They are what the model's layers, or the caller, take them for, and never guessed by their
    lengths. Where nobody tells, an array `(sample, row, column)` is an image without channels,
    and the last of other axes is one of channels; so it is of what an embedding makes.

    Args:
        index: Which of their arrays.

    Returns:
        `(1,)` for `(sample, feature)`: each of them is a place.
    """
    n_axes = points.arrays[index].ndim - 1
    axes = position_axes_of_inputs(points, index)
    positions = tuple(at for at, axis in enumerate(axes, start=1) if axis not in CHANNELS)
    return positions or tuple(range(1, max(n_axes, 2)))


def position_axes_of_inputs(points: Inputs, index: int) -> tuple[str, ...]:
    """The names of the axes of an array; () where they have none."""
    n_axes, name = points.arrays[index].ndim - 1, points.names[index]
    axes = points.axes.get(name)
    if axes is not None and len(axes) == n_axes:
        return tuple(axes)
    if n_axes == 2 and points.others:
        return ("time", "feature")  # of token ids
    return default_axes(points.arrays[index].shape[1:])


def has_no_positions(points: Inputs, index: int) -> bool:
    """Whether an array holds features `(sample, feature)`, which are no places of one thing."""
    return position_axes_of_inputs(points, index) == ("feature",)


def divided_axes(points: Inputs, index: int) -> tuple[int, ...]:
    """The axes that occlusion divides: those of positions.

    All of them where there is but one place: then its channels are what there is to tell apart.
    """
    shape, places = points.arrays[index].shape, position_axes(points, index)
    is_one_place = all(shape[axis] == 1 for axis in places)
    if is_one_place and any(side > 1 for side in shape[1:]):
        return tuple(range(1, len(shape)))
    return places


def perturbed_batches(
    n_samples: int, n_variants: int, batch_size: int
) -> Iterator[tuple[Integers, Integers]]:
    """Indices of sample and variant for batches of perturbed samples.

    Yields:
        `(place,)` sample and `(place,)` variant, sample by sample; no batch is longer than
        `batch_size`.
    """
    total = n_samples * n_variants
    for start in range(0, total, batch_size):
        yield np.divmod(np.arange(start, min(start + batch_size, total)), n_variants)


def add_by_sample(totals: Array, values: Array, samples: Integers) -> None:
    """Add the values of a batch of variants to the totals of their samples, in place.

    Args:
        totals: `(sample, …)`, written to.
        values: `(place, …)`.
        samples: `(place,)`, ascending.
    """
    starts: NDArray[np.intp] = np.flatnonzero(np.diff(samples, prepend=-1))
    totals[samples[starts]] += np.add.reduceat(values, starts, axis=0)


Places = tuple[int, ...]  # the axes that run over places; none of features
BLUR_SHARE = 1 / 8  # of each side: the standard deviation


def baseline_inputs(points: Inputs, fill: Any, *, name: str) -> Inputs:
    """Baselines or fills: uninformative values in the shape of each array.

    Args:
        fill: None for zeros; a number; "mean": of each channel of each sample, over its
            places; "blur": the sample behind a Gaussian blur whose standard deviation is an
            eighth of each side; "auto": the mean where it hides something: zeros for features
            `(sample, feature)`, which have no units in common, and for a channel that has one
            place or one value all over, whose mean is itself; "auto blur": likewise; an array
            of one sample, or `(sample, …)`. Where there are several inputs the same for all,
            or a list or dict with one of these per input.
        name: What the caller calls it; used in messages.

    Returns:
        Arrays of the dtype of the samples; read-only where they repeat one value or sample.

    Raises:
        DataError: Something else, values that are not finite, other names of inputs.
        ShapeError: An array of another shape, or another number of arrays.
    """
    each = _by_input(points, fill, name)
    return points.moved([_baseline(points, i, one, name) for i, one in enumerate(each)])


def _by_input(points: Inputs, fill: Any, name: str) -> list[Any]:
    n_inputs, known = len(points.arrays), ", ".join(points.names)
    if isinstance(fill, Mapping):
        if set(fill) != set(points.names):
            given = ", ".join(map(str, fill))
            raise DataError(f"{name} must have one entry for each of {known}; got {given}")
        return [fill[each] for each in points.names]
    if n_inputs == 1:
        is_one_array = isinstance(fill, list | tuple) and len(fill) == 1
        return [fill[0]] if is_one_array and np.ndim(fill[0]) else [fill]
    if isinstance(fill, list | tuple):
        if len(fill) != n_inputs:
            raise ShapeError(f"{name} must have one entry for each of {known}; got {len(fill)}")
        return list(fill)
    if fill is not None and not isinstance(fill, str) and np.ndim(fill):
        raise ShapeError(
            f"this model has {n_inputs} inputs: {name} must be a list or dict with one array for "
            f"each of {known}; got one array of shape {np.shape(fill)}"
        )
    return [fill] * n_inputs


def _baseline(points: Inputs, index: int, fill: Any, name: str) -> Array:
    array = points.arrays[index]
    if isinstance(fill, str):
        if fill not in _MADE_OF_SAMPLES:
            words = " or ".join(f'"{word}"' for word in ("mean", "blur"))
            raise DataError(f"{name} must be a number, {words} or an array; got {fill!r}")
        places = () if has_no_positions(points, index) else position_axes(points, index)
        return _MADE_OF_SAMPLES[fill](array, places)
    if np.ndim(fill) == 0:
        value = 0.0 if fill is None else number(name, fill)
        return np.broadcast_to(np.asarray(value, array.dtype), array.shape)
    given = np.asarray(fill)
    if given.dtype.kind not in "biuf" or not np.isfinite(given).all():
        raise DataError(f"{name} must hold finite numbers only")
    if given.shape not in (array.shape, array.shape[1:], (1, *array.shape[1:])):
        raise ShapeError(
            f"{name} must have the shape of a sample {array.shape[1:]} or of all {array.shape}; "
            f"got {given.shape}"
        )
    return np.broadcast_to(given.astype(array.dtype, copy=False), array.shape)


def _means(array: Array, places: Places) -> Array:
    means = array.mean(axis=places or 1, keepdims=True, dtype=np.float64)
    return np.broadcast_to(means.astype(array.dtype), array.shape)


def _blurred(array: Array, places: Places) -> Array:
    from scipy.ndimage import gaussian_filter  # late: a session does without

    sigmas = [
        side * BLUR_SHARE if axis in (places or (1,)) else 0.0
        for axis, side in enumerate(array.shape)
    ]
    blurred = gaussian_filter(array.astype(np.float64), sigmas, mode="nearest")
    result: Array = blurred.astype(array.dtype)
    return result


def _means_that_hide(array: Array, places: Places) -> Array:
    """The means of channels; zeros where these would be the values that they are to hide."""
    return _zero_where_flat(array, places, _means)


def _blurred_that_hides(array: Array, places: Places) -> Array:
    """The samples behind a blur; zeros where it would leave the values that it is to hide."""
    return _zero_where_flat(array, places, _blurred)


def _zero_where_flat(
    array: Array, places: Places, made_of: Callable[[Array, Places], Array]
) -> Array:
    zero = np.zeros((), array.dtype)
    if not places:
        return np.broadcast_to(zero, array.shape)
    first = array[
        tuple(slice(0, 1) if axis in places else slice(None) for axis in range(array.ndim))
    ]
    is_flat = (array == first).all(axis=places, keepdims=True)
    return np.where(is_flat, zero, made_of(array, places))


def note_of_equals(points: Inputs, reference: Inputs, what: str) -> str:
    """A sentence on inputs that are hidden behind themselves; "" where there are none.

    Args:
        reference: What is put in their place.
        what: What the reference is, such as "the fill".
    """
    if not len(points):
        return ""
    sentences = []
    for x, other, name in zip(points.arrays, reference.arrays, points.names, strict=True):
        if not x.size:
            continue
        axes = tuple(range(1, x.ndim))
        is_same = (x == other).all(axis=axes) & (x != 0).any(axis=axes)
        if is_same.any():
            sentences.append(
                f"For {is_same.sum()} of {len(points)} samples {what} is all of input {name!r} "
                "itself: its values are 0 because nothing was changed."
            )
    return " ".join(sentences)


_MADE_OF_SAMPLES = {
    "mean": _means,
    "blur": _blurred,
    "auto": _means_that_hide,
    "auto blur": _blurred_that_hides,
}
