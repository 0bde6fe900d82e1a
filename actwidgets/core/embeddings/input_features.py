"""What samples are as plain vectors: their pixels, fewer of them where there are too many."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from actwidgets.core.arrays import Array
from actwidgets.core.pictures.images import is_image


def coarsening(shape: tuple[int, ...], n_samples: int, budget_bytes: int) -> int:
    """The smallest step at which all samples fit a budget as float32.

    Args:
        shape: Of one sample.
        n_samples: How many are kept.
        budget_bytes: What they may take.

    Returns:
        1 where they fit as they are; else the side of the blocks of pixels to average, or, of
        samples that are no images, of how many numbers one is kept.
    """
    step = 1
    while _n_features(shape, step) > 1 and n_samples * 4 * _n_features(shape, step) > budget_bytes:
        step += 1
    return step


def input_features(samples: Array, step: int = 1) -> Array:
    """Samples as vectors.

    Args:
        samples: `(sample, …)`, any real dtype. Not modified.
        step: From `coarsening`. Rows and columns beyond a whole number of blocks are left out.

    Returns:
        `(sample, feature)` float32.
    """
    values = samples.astype(np.float32)
    if step > 1 and is_image(samples.shape):
        rows, columns = (max(1, side // step) for side in samples.shape[1:3])
        high, wide = min(step, samples.shape[1]), min(step, samples.shape[2])
        cut = values[:, : rows * high, : columns * wide]
        blocks = cut.reshape(len(cut), rows, high, columns, wide, -1)
        return blocks.mean(axis=(2, 4)).reshape(len(cut), -1)
    return values.reshape(len(values), -1)[:, ::step]


def namer(shape: tuple[int, ...], names: Sequence[str] = ()) -> Callable[[int], str]:
    """What the numbers of an input are called: pixels by row and column.

    Args:
        shape: Of one sample.
        names: One per number, where they have any.
    """

    def name(index: int) -> str:
        if len(names) == math.prod(shape):
            return names[index]
        if not is_image((None, *shape)):
            return f"number {index}"
        row, column, *channel = (int(each) for each in np.unravel_index(index, shape))
        told = f"pixel {index} (row {row}, column {column}"
        return f"{told}, channel {channel[0]})" if channel and shape[-1] > 1 else f"{told})"

    return name


def _n_features(shape: tuple[int, ...], step: int) -> int:
    if step > 1 and is_image((None, *shape)):
        rows, columns = (max(1, side // step) for side in shape[:2])
        return rows * columns * math.prod(shape[2:])
    return -(-math.prod(shape) // step)
