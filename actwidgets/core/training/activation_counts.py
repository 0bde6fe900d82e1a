"""Histograms of what layers put out, over as many samples as are worth it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from actwidgets.core.arrays import Array, Integers
from actwidgets.core.training.histogram import Histogram, histogram

VALUES = 2**20  # of a layer's output that are enough
FEWEST, MOST = 8, 256  # samples of which it is counted
BATCH, BATCH_VALUES = 64, 2**24  # samples at a time, and values of all layers

Read = Callable[[Sequence[str], Integers], Mapping[str, Array]]


@dataclass(frozen=True)
class Counted:
    """The histogram of what a layer put out, and of how many samples it is."""

    histogram: Histogram
    n_samples: int


def count_activations(read: Read, layers: Sequence[str], rows: Integers) -> dict[str, Counted]:
    """Run layers on samples, each until a million of its values or more came together.

    Args:
        read: Gives the outputs of layers, `(sample, …, unit)`, on some rows in ascending order.
        layers: Their names.
        rows: `(sample,)`: which samples may be run, in the order in which they are taken; at
            least 8 and at most 256 of them are.

    Returns:
        By layer, counted at all positions.

    Cost: forward passes, the longer ones only for layers that put out little.
    """
    wanted = dict.fromkeys(layers, min(FEWEST, len(rows)))
    sizes: dict[str, int] = {}
    found: dict[str, Histogram] = {}
    start, batch = 0, FEWEST
    while due := [each for each in layers if wanted[each] > start]:
        stop = min(start + batch, *(wanted[each] for each in due))
        for each, values in read(due, np.sort(rows[start:stop])).items():
            counted = histogram(values)
            if start:
                found[each] = found[each].merged(counted)
                continue
            found[each], sizes[each] = counted, values[0].size
            enough = -(-VALUES // values[0].size) if values.size else 0
            wanted[each] = min(max(enough, FEWEST), MOST, len(rows))
        start = stop
        at_once = sum(sizes[each] for each in layers if wanted[each] > start)
        batch = min(max(BATCH_VALUES // max(at_once, 1), 1), BATCH)
    return {each: Counted(found[each], wanted[each]) for each in layers}
