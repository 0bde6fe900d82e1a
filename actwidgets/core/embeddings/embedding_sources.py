"""What is read of samples before they are laid out as points: of their input, or of a layer."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from actwidgets.core.arrays import Array, Integers
from actwidgets.core.embeddings.embedding import even_rows, two_features
from actwidgets.core.embeddings.embedding_pass import Read
from actwidgets.core.embeddings.input_features import coarsening, input_features, namer
from actwidgets.core.embeddings.layout import Layout
from actwidgets.core.layer_info import LayerInfo
from actwidgets.errors import DataError

LayerFeatures = Callable[[tuple[str, ...], Any, str], Mapping[str, Array]]
_LOOKED_AT = 200  # samples that tell which two pixels vary most


@dataclass(frozen=True)
class Source:
    """Where the features of an embedding come from.

    Attributes:
        read: From rows to `(sample, feature)` float32.
        layout: How they become points, now that they are known.
        note: What is to be said of them, or "".
    """

    read: Read
    layout: Layout
    note: str = ""


def missing_of_input(one: Array) -> str:
    """Why inputs like this one, `(1, …)`, cannot be laid out; "" where they can."""
    if one.dtype.kind not in "fiub":
        return "its samples are not numbers"
    return "" if one.size else "its samples are empty"


def of_input(
    images: Callable[[Any], Array],
    rows: Integers,
    layout: Layout,
    budget_bytes: int,
    names: Sequence[str] = (),
) -> Source:
    """The input of samples, flattened; coarser where it would go beyond the budget.

    Args:
        images: From rows to `(sample, …)`.
        rows: All that will be read.
        layout: What is asked for.
        budget_bytes: What all features may take.
        names: Of the numbers of the input, where they have any.

    Raises:
        DataError: A pair of numbers that the input does not have.
    """
    shape = images([0]).shape[1:]
    if layout.method == "features":
        pair = layout.features or _varying(images, rows, budget_bytes)
        _check(pair, math.prod(shape), "the numbers of the input")
        picked = replace(layout, features=pair, names=namer(shape, names), picked=True)
        return Source(lambda some: input_features(images(some))[:, pair], picked)
    step = coarsening(shape, len(rows), budget_bytes)
    note = ""
    if step > 1:
        note = f"means of {step}×{step} pixels" if len(shape) > 1 else f"1 of {step} numbers"
    return Source(lambda some: input_features(images(some), step), layout, note)


def of_layer(
    info: LayerInfo,
    features: LayerFeatures,
    rows: Integers,
    layout: Layout,
    budget_bytes: int,
) -> Source:
    """What a layer makes of samples: its map at all positions, or the mean over them.

    Args:
        info: The layer.
        features: From layers, rows and "flat" or "mean" to each layer's `(sample, feature)`.
        rows: All that will be read.
        layout: What is asked for.
        budget_bytes: What all features may take: beyond it the mean is taken.

    Raises:
        DataError: A pair of units that the layer does not have.
    """
    shape = info.output_shape[1:]
    has_maps = len(shape) > 1
    if layout.method == "features":
        flat = not has_maps
        if layout.features and info.n_units:
            _check(layout.features, info.n_units, f"the units of {info.name}")
        layout = replace(layout, names=lambda unit: f"unit {unit}")
    else:
        sizes = [size for size in shape if size is not None]
        flat = len(sizes) == len(shape) and 4 * len(rows) * math.prod(sizes) <= budget_bytes

    def read(some: Integers) -> Array:
        found = features((info.name,), some, "flat" if flat else "mean")[info.name]
        return found.reshape(len(some), -1).astype(np.float32)

    how = "every position of its maps" if flat else "means of its maps"
    return Source(read, layout, how if has_maps else "")


def _varying(images: Callable[[Any], Array], rows: Integers, budget_bytes: int) -> tuple[int, int]:
    """Two numbers of the input that vary, told by some of the samples."""
    n_bytes = max(1, images([0]).size * 8)
    count = max(2, min(_LOOKED_AT, budget_bytes // n_bytes))
    return two_features(input_features(images(rows[even_rows(len(rows), count)])))


def _check(pair: tuple[int, int], count: int, what: str) -> None:
    if not all(0 <= each < count for each in pair):
        raise DataError(f"features {pair} are not both in 0..{count - 1}, {what}")
