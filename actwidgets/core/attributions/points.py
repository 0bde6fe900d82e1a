"""Where a model is differentiated: the arrays, and what only goes along with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike

from actwidgets.core.arrays import Array
from actwidgets.core.input_axes import Axes, axes_of_input, require_inputs


@dataclass(frozen=True)
class Points:
    """Samples as an attribution sees them.

    Attributes:
        arrays: One per input that is differentiated, `(sample, …)` floating: the input, or
            where that holds integers or text what its embedding makes of it.
        names: Of these inputs, in the same order; of an embedding that of its input, or the
            layer's where the model has one input, or that one several embeddings.
        others: `(sample, …)` each: what the model takes besides, and stays as it is.
        n_inputs: How many inputs the model has; as many as there are arrays by default.
        left_out: The inputs of which nothing is differentiated, by name with their place in
            `others`.
        axes: What the axes of arrays are behind that of samples, by name, where it is known.
    """

    arrays: tuple[Array, ...]
    names: tuple[str, ...]
    others: tuple[Array, ...] = ()
    n_inputs: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    axes: Mapping[str, Axes] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many samples there are."""
        return len(self.arrays[0])

    def moved(self, arrays: Sequence[Array]) -> "Points":
        """The same samples elsewhere: `arrays` in the place of those differentiated."""
        return replace(self, arrays=tuple(arrays))

    def with_axes(self, given: Mapping[str, Axes]) -> "Points":
        """The same with axes that a caller names, as from `checked_axes`.

        Raises:
            DataError: Of an input that is not there.
            ShapeError: Of another number of axes than it has.
        """
        if not given:
            return self
        require_inputs(given, self.names)
        alone = len(self.names) == 1
        said = {
            name: axes_of_input(given, name, array.shape[1:], alone=alone)
            for name, array in zip(self.names, self.arrays, strict=True)
            if name in given or (alone and "" in given)
        }
        return replace(self, axes={**self.axes, **said})

    @property
    def by_name(self) -> bool:
        """Whether values go by the name of their input: whether there is more than one."""
        return max(len(self.arrays), self.n_inputs) > 1

    def without(self, name: str) -> "Points":
        """The same samples with one of the inputs left out holding nothing."""
        place = self.left_out[name]
        others = list(self.others)
        others[place] = np.broadcast_to(_blank(others[place]), others[place].shape)
        return replace(self, others=tuple(others))

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
