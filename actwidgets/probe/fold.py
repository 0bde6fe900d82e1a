"""Fold the positions of maps inside the compiled function, before anything is handed out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from actwidgets.core.arrays import Array
from actwidgets.core.profiles.sample_summary import SampleSummary


@dataclass(frozen=True)
class Fold:
    """From the outputs of layers to a few numbers per sample and unit.

    A forward pass over maps then hands over kilobytes instead of megabytes. Two folds that
    are equal stand for the same compiled function.

    Attributes:
        axes: For each layer, how many axes its output has, and which of them runs over units.
        above: Count the positions above this; None counts none.
        low: Whether the smallest values are wanted.
    """

    axes: tuple[tuple[int, int], ...]
    above: float | None = None
    low: bool = True

    def __call__(self, outputs: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """The folded tensors of all layers behind one another, for `read`."""
        return [
            tensor
            for output, axes in zip(outputs, self.axes, strict=True)
            for tensor in self._folded(tf.cast(output, tf.float32), _positions(*axes))
        ]

    def read(self, tensors: Sequence[tf.Tensor]) -> list[SampleSummary | None]:
        """What the folded tensors say of each layer.

        None where a value is NaN or infinite, or there are no positions to take a mean of:
        what becomes of that is for `core.profiles.sample_summary` to say, which needs the layer's
        whole output.
        """
        values = iter([tensor.numpy() for tensor in tensors])
        return [self._summary(values, _positions(*axes)) for axes in self.axes]

    def comparable(self, tensors: Sequence[tf.Tensor]) -> list[Array]:
        """The values of each layer among the folded tensors, but for the counts.

        Whether a value lies above a threshold may change with its last digit. NaN where `read`
        says nothing.
        """
        return [
            np.full(1, np.nan, np.float32)
            if each is None
            else np.stack([v for v in (each.high, each.mean, each.low) if v is not None])
            for each in self.read(tensors)
        ]

    def _folded(self, output: tf.Tensor, positions: Sequence[int]) -> Iterator[tf.Tensor]:
        if not positions:
            yield output if output.shape.rank > 1 else output[:, None]
            return
        yield tf.reduce_mean(output, positions)
        yield tf.reduce_max(output, positions)
        yield tf.reduce_prod([tf.shape(output)[axis] for axis in positions])
        if self.low:
            yield tf.reduce_min(output, positions)
        if self.above is not None:
            yield tf.reduce_sum(tf.cast(output > self.above, tf.float32), positions)

    def _summary(
        self, values: Iterator[np.ndarray], positions: Sequence[int]
    ) -> SampleSummary | None:
        mean = high = low = next(values)
        n_positions, n_above = 1, None
        if positions:
            high, n_positions = next(values), int(next(values))
            low = next(values) if self.low else None
        if self.above is not None:
            n_above = next(values) if positions else mean > np.float32(self.above)
        if not np.isfinite(mean).all():
            return None
        n_above = None if n_above is None else n_above.astype(np.int64)
        return SampleSummary(high, mean, low, n_above, None, n_positions)


def _positions(n_axes: int, unit_axis: int) -> list[int]:
    """The axes that are neither samples nor units."""
    return [axis for axis in range(1, n_axes) if axis != unit_axis % n_axes]
