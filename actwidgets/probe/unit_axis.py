"""Along which axis of a layer's output its units lie."""

from typing import Any

import tensorflow as tf

LAST = -1
_FIRST = 1  # behind the samples
_ATTENTION = ("MultiHeadAttention", "GroupQueryAttention", "GroupedQueryAttention")


class UnitAxes:
    """Follows `channels_first` through the layers of one call, tensor by tensor.

    The axis is the last one unless a layer says `data_format="channels_first"`; layers that
    say nothing and keep the shape (activations, normalisation, sums) hand on what they got.
    """

    def __init__(self) -> None:
        self._first: dict[int, Any] = {}  # by id; holding the tensor keeps its id its own

    def note(self, layer: Any, arguments: Any, output: Any) -> None:
        """Take notice of one call."""
        outputs = [t for t in tf.nest.flatten(output) if _rank(t) >= 3]
        if not outputs:
            return
        said = getattr(layer, "data_format", None)
        if said is None and not self._first:
            return
        if said is not None:
            if said == "channels_first":
                self._first |= {id(tensor): tensor for tensor in outputs}
            return
        if type(layer).__name__ in ("Permute", "Transpose", "Reshape"):
            return
        given = [t for t in tf.nest.flatten(arguments) if id(t) in self._first]
        for tensor in outputs:
            if any(_same_positions(tensor, other) for other in given):
                self._first[id(tensor)] = tensor

    def of(self, tensor: Any, layer: Any, index: int) -> int:
        """The axis for one tensor: the `index`-th that a layer put out."""
        if id(tensor) in self._first:
            return _FIRST
        if index == 1 and _rank(tensor) == 4 and type(layer).__name__ in _ATTENTION:
            return _FIRST  # scores: (sample, head, query, key)
        return LAST


def _rank(tensor: Any) -> int:
    shape = getattr(tensor, "shape", ())
    rank = getattr(shape, "rank", -1)
    return len(shape) if rank == -1 else rank or 0


def _same_positions(tensor: Any, other: Any) -> bool:
    return len(tensor.shape) == len(other.shape) and tensor.shape[2:] == other.shape[2:]
