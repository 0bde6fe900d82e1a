"""What is known of layers without running them: names, shapes, order, receptive fields."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actwidgets.errors import DataError


@dataclass(frozen=True)
class LayerInfo:
    """Name, kind, shape, units and parameters of a layer's output.

    Attributes:
        name: The layer's name in this package: `conv`, `backbone/conv`, `shared#1`, `lstm:1`,
            `stft:phase`.
        kind: Name of the layer's class, e.g. `Conv2D`; `Lambda (magnitude)` and `Lambda (phase)`
            of a layer that puts out complex numbers.
        output_shape: As Keras has it: batch axis first and `None`; other axes are `None`
            where they vary.
        n_units: Length of the axis along which the units lie; 1 for a scalar per sample.
        n_params: Weights of the layer, trainable or not, those of its sub-layers included.
        unit_axis: That axis: -1 for the last, else counted from the samples: 1 for
            `channels_first` and for the heads of attention scores, 2 behind an axis of time.
    """

    name: str
    kind: str
    output_shape: tuple[int | None, ...]
    n_units: int
    n_params: int
    unit_axis: int = -1

    @cached_property
    def shape_text(self) -> str:
        """The shape of one sample's output, e.g. `26×26×32`; `?` for an axis that varies."""
        axes = self.output_shape[1:]
        return "×".join("?" if axis is None else str(axis) for axis in axes) or "scalar"

    @property
    def n_params_text(self) -> str:
        """The number of parameters in five letters or fewer: `864`, `410k`, `2.26M`, `–`."""
        if self.n_params < 10_000:
            return f"{self.n_params:,}" if self.n_params else "–"
        digits = f"{self.n_params:.2e}"
        power = int(digits[5:])
        figure = float(digits[:4]) * 10 ** (power % 3)
        return f"{figure:.{2 - power % 3}f}{'kMGTP'[power // 3 - 1]}"


SMALL_MODEL = 40  # layers; up to that a tree is shown with everything open


@dataclass(frozen=True)
class Row:
    """A row of the layer tree.

    Attributes:
        layer: The layer it stands for.
        label: Its name inside the container it lies in: `conv1` for `backbone/conv1`.
        depth: How many containers it lies in.
        is_container: Whether layers lie in it.
        is_open: Whether any of those is on show.
    """

    layer: LayerInfo
    label: str
    depth: int
    is_container: bool
    is_open: bool


class LayerTree:
    """The layers of a model, nested as their names are.

    A layer lies in the innermost container whose call has not ended when its own begins, so
    the tree, read from the top, is always the model's order. A further output (`sub:1`) of a
    container lies in that container. Where a container is not itself a layer of the list, as
    when it puts out no tensor, its layers stay one level up and keep its name in their label.

    Args:
        layers: All layers, in the order in which their calls begin.
    """

    def __init__(self, layers: Sequence[LayerInfo]) -> None:
        self.layers = tuple(layers)
        self._containers_of = _containers_of([layer.name for layer in self.layers])
        holding = {within[-1] for within in self._containers_of.values() if within}
        self.containers = tuple(layer.name for layer in self.layers if layer.name in holding)

    @property
    def depth(self) -> int:
        """Containers around the innermost layer; 0 for a flat model."""
        return max(map(len, self._containers_of.values()), default=0)

    def containers_of(self, name: str) -> tuple[str, ...]:
        """The containers that a layer lies in, the outermost first; none if it is unknown."""
        return self._containers_of.get(name, ())

    def nearest_container(self, name: str) -> str | None:
        """The layer itself if it is a container, else the one it lies in, if there is one."""
        if name in self.containers:
            return name
        return next(reversed(self.containers_of(name)), None)

    def nearest_shown(self, name: str, opened: Collection[str]) -> str:
        """The layer itself, or what is on show in its stead: the closed container it is in."""
        closed = (outer for outer in self.containers_of(name) if outer not in opened)
        return next(closed, name)

    def known(self, names: Collection[str]) -> tuple[str, ...]:
        """Those of `names` that are containers of this model, in its order."""
        return tuple(name for name in self.containers if name in names)

    def opened_at_first(self) -> tuple[str, ...]:
        """The containers to begin with: all of them in a small model, none in a large one."""
        return self.containers if len(self.layers) <= SMALL_MODEL else ()

    def opened_after(self, before: "LayerTree", opened: Collection[str]) -> tuple[str, ...]:
        """What is open when this tree takes the place of another one.

        Containers that both have stay as they were; the others are as `opened_at_first`.
        """
        first = self.opened_at_first()
        return tuple(
            name
            for name in self.containers
            if name in (opened if name in before.containers else first)
        )

    def matching(self, words: Collection[str]) -> tuple[LayerInfo, ...]:
        """The layers whose name or kind holds each of `words`, in lower or upper case."""
        lowered = [word.lower() for word in words]
        return tuple(
            layer
            for layer in self.layers
            if all(word in f"{layer.name} {layer.kind}".lower() for word in lowered)
        )

    def rows(self, opened: Collection[str], words: Collection[str] = ()) -> tuple[Row, ...]:
        """The lines on show, in the model's order.

        Args:
            opened: Names of the containers whose layers are on show.
            words: If there are any, the layers that hold all of them are on show instead, and
                the containers these lie in, whatever is open.
        """
        if words:
            shown = {layer.name for layer in self.matching(words)}
            shown |= {outer for name in shown for outer in self._containers_of[name]}
        else:
            shown = {
                name
                for name, within in self._containers_of.items()
                if all(outer in opened for outer in within)
            }
        unfolded = {self._containers_of[name][-1] for name in shown if self._containers_of[name]}
        return tuple(
            Row(
                layer,
                self._label(layer.name),
                len(self._containers_of[layer.name]),
                layer.name in self.containers,
                layer.name in unfolded,
            )
            for layer in self.layers
            if layer.name in shown
        )

    def _label(self, name: str) -> str:
        for outer in reversed(self._containers_of[name]):  # `net/sub:1` lies in `net/sub`
            if name.startswith(f"{outer}/"):
                return name.removeprefix(f"{outer}/") or name
        return name


def _containers_of(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The containers around each name, the outermost first."""
    paths = {name[:index] for name in names for index, sign in enumerate(name) if sign == "/"}
    containers: dict[str, tuple[str, ...]] = {}
    running: list[str] = []
    for name in names:
        while running and not (
            name.startswith(f"{running[-1]}/")
            or (running[-1] in paths and name.startswith(f"{running[-1]}:"))
        ):
            running.pop()
        containers[name] = tuple(running)
        running.append(name)
    return containers


@dataclass(frozen=True)
class AxisField:
    """Receptive field along one axis of the input.

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
    """Receptive field of a map's positions: a box along some axes of the input.

    Attributes:
        axes: The axes of the layer's output that have positions, each with its field.
    """

    axes: tuple[AxisField, ...]

    @property
    def size(self) -> tuple[int, ...]:
        """Places seen along each axis, padding included."""
        return tuple(axis.size for axis in self.axes)

    def box(self, position: Sequence[int], shape: Sequence[int]) -> tuple[tuple[int, int], ...]:
        """First place and the one behind the last, along each axis of an input of this shape.

        Args:
            position: Of the map, one index per axis.
            shape: Lengths of the input's axes behind the batch axis.
        """
        bounds = []
        for index, axis in zip(position, self.axes, strict=True):
            start = axis.start + index * axis.stride
            length = shape[axis.axis - 1]
            bounds.append((min(max(start, 0), length), min(max(start + axis.size, 0), length)))
        return tuple(bounds)


_ALL_BUT_UNITS = (0, 1, 2)
ORDERS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "index": lambda maps: -np.arange(maps.shape[-1]),
    "mean": lambda maps: maps.mean(axis=_ALL_BUT_UNITS),
    "peak": lambda maps: maps.max(axis=_ALL_BUT_UNITS),
}


def unit_order(maps: NDArray[Any], order: str) -> NDArray[np.intp]:
    """The units from first to last.

    Args:
        maps: `(sample, row, column, unit)`.
        order: `"index"`; or `"mean"` or `"peak"` over everything in `maps`, largest first.

    Returns:
        `(unit,)`: unit indices. By value, units with a NaN come last; ties go to the lower
        index, as do maps without positions.

    Raises:
        DataError: No such order.
    """
    if order not in ORDERS:
        raise DataError(f"no order {order!r}; there are {', '.join(ORDERS)}")
    if order == "index" or not maps.size:
        return np.arange(maps.shape[-1])
    with np.errstate(invalid="ignore"):  # infinities of both signs have no mean
        scores = ORDERS[order](maps).astype(np.float64)
    return np.argsort(-scores, kind="stable")  # numpy puts NaN last
