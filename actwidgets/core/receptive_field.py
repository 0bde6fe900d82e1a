"""Which part of the input one position of a layer's map sees."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class AxisField:
    """What a position sees along one axis of the input.

    Position p sees `size` places from `start + p * stride` on; they may lie outside the input
    where it was padded.

    Attributes:
        axis: Which axis of the input, the batch axis being 0.
        size: Places seen.
        stride: Places from one position to the next.
        start: The first place that position 0 sees.
    """

    axis: int
    size: int = 1
    stride: int = 1
    start: int = 0

    def through(
        self, kernel: int, stride: int = 1, before: int = 0, dilation: int = 1
    ) -> "AxisField":
        """The field behind a convolution or a pooling along this axis.

        Args:
            kernel: Its size.
            stride: Its stride.
            before: Padding before the first place.
            dilation: Distance between the places that it reads.

        Reference: Araujo, Norris and Sim 2019, "Computing receptive fields of convolutional
        neural networks".
        """
        return AxisField(
            self.axis,
            size=self.size + (kernel - 1) * dilation * self.stride,
            stride=self.stride * stride,
            start=self.start - before * self.stride,
        )

    def union(self, other: "AxisField") -> "AxisField | None":
        """What is seen where both are added; None where they do not run in step."""
        if (self.axis, self.stride) != (other.axis, other.stride):
            return None
        start = min(self.start, other.start)
        end = max(self.start + self.size, other.start + other.size)
        return AxisField(self.axis, end - start, self.stride, start)


@dataclass(frozen=True)
class ReceptiveField:
    """The part of the input that a position of a map sees: a box along some of the axes.

    Attributes:
        axes: The axes of the layer's output that have positions, each with its field.
    """

    axes: tuple[AxisField, ...]

    @property
    def size(self) -> tuple[int, ...]:
        """Places seen along each axis, padding included."""
        return tuple(each.size for each in self.axes)

    def box(self, position: Sequence[int], shape: Sequence[int]) -> tuple[tuple[int, int], ...]:
        """First place and the one behind the last, along each axis of an input of this shape.

        Args:
            position: Of the map, one index per axis.
            shape: Lengths of the input's axes behind the batch axis.
        """
        found = []
        for place, each in zip(position, self.axes, strict=True):
            start = each.start + place * each.stride
            length = shape[each.axis - 1]
            found.append((min(max(start, 0), length), min(max(start + each.size, 0), length)))
        return tuple(found)
