"""Where a model is differentiated: the arrays, and what only goes along with them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core.arrays import Array


@dataclass(frozen=True)
class Points:
    """Samples as an attribution sees them.

    Attributes:
        arrays: One per input that is differentiated, `(sample, …)` floating: the input, or
            where that holds integers or text what its embedding makes of it.
        names: Of these inputs, in the same order; the layer's name for an embedding.
        others: `(sample, …)` each: what the model takes besides, and stays as it is.
    """

    arrays: tuple[Array, ...]
    names: tuple[str, ...]
    others: tuple[Array, ...] = ()

    def __len__(self) -> int:
        """How many samples there are."""
        return len(self.arrays[0])

    def moved(self, arrays: Sequence[Array]) -> "Points":
        """The same samples elsewhere: `arrays` in the place of those differentiated."""
        return replace(self, arrays=tuple(arrays))

    def take(self, rows: ArrayLike) -> "Points":
        """Some of the samples, in that order; the same one may come several times."""
        rows = np.asarray(rows)
        return replace(
            self,
            arrays=tuple(each[rows] for each in self.arrays),
            others=tuple(each[rows] for each in self.others),
        )

    def blank(self) -> "Points":
        """One sample of the same kind that holds nothing: zeros, and empty text."""
        return replace(
            self,
            arrays=tuple(map(_blank, self.arrays)),
            others=tuple(map(_blank, self.others)),
        )


def _blank(array: Array) -> Array:
    is_text = array.dtype.kind in "OSU"
    return np.full((1, *array.shape[1:]), "" if is_text else 0, array.dtype)
