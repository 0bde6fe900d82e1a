"""Input flow: which inputs each layer sees, and what the axes of an input are."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import tensorflow as tf

from actwidgets.images.inputs import Axes
from actwidgets.probe.frameworks import is_recurrent

_PLACES: dict[int, Axes] = {
    1: ("time",),
    2: ("row", "column"),
    3: ("depth", "row", "column"),
}
_ATTENTION = ("Attention", "AdditiveAttention", "GroupedQueryAttention", "MultiHeadAttention")
_OF_IMAGES = re.compile(r"^(Random|Resizing|CenterCrop|CutMix|MixUp|AugMix|AutoContrast|Solari)")
_UNTOLD = ("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D")


class InputFlow:
    """Follow the inputs of a model through the calls of its layers, tensor by tensor.

    What an axis is, is decided by the first layer that tells places from channels, such as a
    convolution or a recurrent one, whatever the lengths are.

    Args:
        inputs: The model's inputs, eager, of a graph, or symbolic.
    """

    def __init__(self, inputs: Sequence[Any]) -> None:
        self._held: list[Any] = []  # an id is its own while the tensor lives
        self._seen: dict[int, frozenset[int]] = {}
        self._maps: dict[int, tuple[int, tuple[int | None, ...]]] = {}
        self._n_inputs = len(inputs)
        self._ranks = [_rank(each) for each in inputs]
        self._shapes = [_lengths(each) for each in inputs]
        self._strong: dict[int, Axes] = {}
        self._weak: dict[int, Axes] = {}
        self._by_layer: dict[str, frozenset[int]] = {}
        for place, each in enumerate(inputs):
            self._hold(each)
            self._seen[id(each)] = frozenset((place,))
            self._maps[id(each)] = place, tuple(range(max(self._ranks[place], 0)))

    @property
    def axes(self) -> tuple[Axes | None, ...]:
        """By input: what its axes are behind that of samples; None where no layer tells."""
        return tuple(
            self._strong.get(place, self._weak.get(place)) for place in range(self._n_inputs)
        )

    def inputs_of(self, layer: str) -> frozenset[int] | None:
        """The places of the inputs that a layer sees; None where that is not known."""
        if self._n_inputs == 1:
            return frozenset((0,))
        return self._by_layer.get(layer)

    def alias(self, inner: Iterable[Any], outer: Iterable[Any]) -> None:
        """Take what stands for tensors inside a nested model for the tensors themselves."""
        for one, other in zip(inner, outer, strict=False):
            self._hold(one)
            self._forget(one)
            if id(other) in self._seen:
                self._seen[id(one)] = self._seen[id(other)]
            if id(other) in self._maps:
                self._maps[id(one)] = self._maps[id(other)]

    def done(self) -> "InputFlow":
        """This, with the tensors let go: nothing more is noted."""
        self._held, self._seen, self._maps = [], {}, {}
        return self

    def note(self, name: str, layer: Any, given: Any, outputs: Any) -> None:
        """Take notice of one call of a layer.

        Args:
            name: Of the call.
            layer: What is called.
            given: Its arguments.
            outputs: What it puts out.
        """
        taken = [each for each in tf.nest.flatten(given) if hasattr(each, "shape")]
        made = [each for each in tf.nest.flatten(outputs) if hasattr(each, "shape")]
        known = [each for each in taken if id(each) in self._seen]
        if known and len(known) == len([each for each in taken if _rank(each) > 0]):
            sees = frozenset[int]().union(*(self._seen[id(each)] for each in known))
            self._by_layer[name.partition(":")[0]] = sees
            for each in made:
                self._hold(each)
                self._seen[id(each)] = sees
        for each in taken:
            mapped = self._map_of(each)
            if mapped is not None:
                self._read(layer, each, *mapped)
                self._hand_on(layer, each, *mapped, made)

    def _map_of(self, tensor: Any) -> tuple[int, tuple[int | None, ...]] | None:
        """Which axis of an input each axis of a tensor is."""
        if id(tensor) in self._maps:
            return self._maps[id(tensor)]
        if id(tensor) in self._seen or _rank(tensor) < 2:
            return None
        alike = [place for place, each in enumerate(self._shapes) if each == _lengths(tensor)]
        # Between layers a model may do something to its input that is no layer, such as x / 255.
        if len(alike) == 1 and alike[0] not in self._strong:
            return alike[0], tuple(range(_rank(tensor)))
        return None

    def _read(self, layer: Any, tensor: Any, place: int, mapped: tuple[int | None, ...]) -> None:
        roles = roles_for(layer, _rank(tensor))
        if roles is None:
            return
        found: dict[int, str] = {}
        for role, axis in zip(roles, mapped[1:], strict=True):
            if axis is not None:
                found[axis] = role
        lengths = self._shapes[place]
        axes = []
        for axis in range(1, self._ranks[place]):
            if axis not in found and lengths[axis] != 1:
                return  # another axis went into one of these
            axes.append(found.get(axis, "channel" if "channel" not in roles else "feature"))
        if len({*axes}) == len(axes):
            kept = self._weak if _is_weak(layer) else self._strong
            kept.setdefault(place, tuple(axes))

    def _hand_on(
        self,
        layer: Any,
        tensor: Any,
        place: int,
        mapped: tuple[int | None, ...],
        made: Sequence[Any],
    ) -> None:
        if not made or id(made[0]) in self._maps or type(layer).__name__ == "Flatten":
            return
        output = made[0]
        before, after = _lengths(tensor), _lengths(output)
        order = _order(layer, len(before))
        if order is not None:
            new: tuple[int | None, ...] = tuple(mapped[axis] for axis in order)
        elif roles_for(layer, _rank(tensor)) is None and before == after:
            new = mapped
        elif _without_ones(before) == _without_ones(after) and _reshapes(layer):
            rest = iter([m for m, n in zip(mapped[1:], before[1:], strict=True) if n != 1])
            new = (0, *(None if length == 1 else next(rest) for length in after[1:]))
        else:
            return
        self._hold(output)
        self._maps[id(output)] = place, new

    def _hold(self, tensor: Any) -> None:
        self._held.append(tensor)

    def _forget(self, tensor: Any) -> None:
        self._seen.pop(id(tensor), None)
        self._maps.pop(id(tensor), None)


def roles_for(layer: Any, rank: int) -> Axes | None:
    """Roles of the input axes of a layer, samples left out; None for no role.

    Args:
        layer: The layer.
        rank: How many axes its input has.
    """
    kinds = [each.__name__ for each in type(layer).__mro__]
    kind = kinds[0]
    if kind in _UNTOLD:
        return None
    if kind == "TimeDistributed":
        inner = _of_inner(layer.layer, rank - 1)
        return None if inner is None else ("time", *inner)
    if "Bidirectional" in kinds:
        return roles_for(layer.forward_layer, rank)
    numbers = [int(found[1]) for each in kinds if (found := re.search(r"([123])D", each))]
    in_time = any(each.startswith("ConvLSTM") for each in kinds)
    if numbers:
        places = _PLACES[numbers[0]]
        roles = (*places, "feature" if places == ("time",) and not in_time else "channel")
        if getattr(layer, "data_format", None) == "channels_first":
            roles = (roles[-1], *roles[:-1])
        roles = _in_time(roles) if in_time else roles
        return roles if len(roles) == rank - 1 else None
    if is_recurrent(layer) or any(each in _ATTENTION for each in kinds):
        return ("time", "feature") if rank == 3 else None
    if _OF_IMAGES.match(kind) and rank == 4:
        first = getattr(layer, "data_format", None) == "channels_first"
        return ("channel", "row", "column") if first else ("row", "column", "channel")
    if kind == "Embedding":
        return ("time",) if rank == 2 else None
    if kind in ("Dense", "EinsumDense"):
        return {2: ("feature",), 3: ("time", "feature"), 4: ("row", "column", "channel")}.get(rank)
    return None


def _in_time(roles: Axes) -> Axes:
    """Axis roles of a recurrent convolution; one along a line has no rows."""
    inner = tuple("column" if each == "time" else each for each in roles)
    return ("time", *inner)


def _of_inner(layer: Any, rank: int) -> Axes | None:
    """Axis roles of one step of a layer that is called at every step."""
    roles = roles_for(layer, rank)
    if roles is None and rank == 2:
        return ("feature",)
    if roles is None and rank == 4:
        return ("row", "column", "channel")
    return None if roles is not None and "time" in roles else roles


def _is_weak(layer: Any) -> bool:
    """Whether a layer's axis roles are a guess that any other layer overrides."""
    return type(layer).__name__ in ("Dense", "EinsumDense")


def _reshapes(layer: Any) -> bool:
    return type(layer).__name__ in ("Reshape", "ExpandDims", "Squeeze", "GetItem")


def _order(layer: Any, rank: int) -> tuple[int, ...] | None:
    """Permutation of axes from a layer's input to its output, where it changes them."""
    kind = type(layer).__name__
    if kind == "Permute":
        return (0, *layer.dims)
    axes = getattr(layer, "axes", None)
    if kind == "Transpose":
        return tuple(axes) if axes is not None else tuple(reversed(range(rank)))
    return None


def _rank(tensor: Any) -> int:
    shape = tensor.shape
    rank = getattr(shape, "rank", -1)
    return len(shape) if rank == -1 else rank or 0


def _lengths(tensor: Any) -> tuple[int | None, ...]:
    """Lengths of the axes; that of samples as None, since it may be open or not."""
    return (None, *tuple(tensor.shape)[1:]) if _rank(tensor) else ()


def _without_ones(lengths: Sequence[int | None]) -> list[int | None]:
    return [each for each in lengths if each != 1]
