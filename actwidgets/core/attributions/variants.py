"""Many variants of each sample, folded into batches, and summed again by sample."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from actwidgets.core.arrays import Array, Integers


def in_batches(
    n_samples: int, n_variants: int, batch_size: int
) -> Iterator[tuple[Integers, Integers]]:
    """Which sample and which variant of it each place of each batch holds.

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
