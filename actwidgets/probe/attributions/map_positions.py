"""Over which inputs the maps of layers lie, and which layer is the last that has some."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from actwidgets.core.layer_info import LayerInfo
from actwidgets.probe.attributions.pre_softmax import pre_softmax
from actwidgets.probe.attributions.score_call import Call
from actwidgets.probe.catalogue import Catalogue, is_models_own
from actwidgets.probe.receptive_fields import Fields, field_of, receptive_fields
from actwidgets.probe.trace import operations_behind

MOST_STRETCHED = 8  # times more along one axis than along another is no map of the same thing
Axes = Mapping[str, tuple[int, ...]]


class MapPositions:
    """Tells along which axes of the inputs the positions of a layer run.

    They are read off the operations between: a map that is transposed on its way still lies
    over the right axes, and an input that the layer does not see has none. Behind what is not
    known to keep positions apart, the first layer with as many of them decides, and where
    nothing is known the number of axes; not for a map of quite another form than the input,
    nor inside an attention, whose axes are tokens and heads.

    Args:
        call: The model as it was traced, or called eagerly: then only the axes are counted.
        names: Of what is differentiated, as in `Points.names`.
        catalogue: The model's layers.
    """

    def __init__(self, call: Call, names: Sequence[str], catalogue: Catalogue) -> None:
        self._call, self._names, self._catalogue = call, tuple(names), catalogue
        self._looking = threading.RLock()
        self._fields: list[Mapping[Any, Fields]] | None = None
        self._last: dict[str, str] = {}

    def axes(self, layer: str) -> Axes:
        """By name of input: the axes of its array along which the layer's positions run."""
        info = self._catalogue.info(layer)
        with self._looking:
            found = {name: self._over(place, info) for place, name in enumerate(self._names)}
        return {name: axes for name, axes in found.items() if axes}

    def last(self, head: str) -> str:
        """The last layer on the way to an output whose maps lie over an input, or "".

        Its maps have more than one position; those of poolings, which only coarsen what is
        before them, do not count.
        """
        with self._looking:
            if head not in self._last:
                self._last[head] = self._found_last(head)
            return self._last[head]

    def _found_last(self, head: str) -> str:
        candidates = [
            info
            for info in self._catalogue.layers
            if not is_models_own(info.name)
            and "Pooling" not in info.kind
            and has_places(info)
            and any(info.output_shape[axis] != 1 for axis in position_axes(info))
        ]
        if self._is_traced:
            score = pre_softmax(self._call.taps[head])
            behind = operations_behind([score]) - {score.op}
            places = {
                info.name: self._call.taps[info.name].op._id
                for info in candidates
                if self._call.taps[info.name].op in behind
            }
            candidates = [info for info in candidates if info.name in places]
            candidates.sort(key=lambda info: places[info.name])
        return next((info.name for info in reversed(candidates) if self.axes(info.name)), "")

    def _over(self, place: int, info: LayerInfo) -> tuple[int, ...]:
        point, n_positions = self._call.points[place], len(position_axes(info))
        if not has_places(info):
            return ()
        if self._is_traced:
            fields = self._fields_of(place)
            if self._call.taps[info.name].ref() not in fields:
                return ()  # the layer does not see this input
            known = self._known(fields, info)
            if known:
                return known
        if self._is_inside_attention(info):
            return ()
        axes = self._counted(place, info)
        if self._is_traced:
            alike = (each for each in self._catalogue.layers if _n_positions(each) == n_positions)
            axes = next(filter(None, (self._known(fields, each) for each in alike)), axes)
        lengths = [info.output_shape[axis] for axis in position_axes(info)]
        return axes if _is_alike(lengths, [point.shape[axis] for axis in axes]) else ()

    def _known(self, fields: Mapping[Any, Fields], info: LayerInfo) -> tuple[int, ...]:
        """The axes along which a layer's positions are known to run; () where they are not."""
        tensor = self._call.taps.get(info.name)
        seen = fields.get(tensor.ref(), {}) if hasattr(tensor, "ref") else {}
        field = field_of(seen, len(info.output_shape), info.unit_axis)
        axes = () if field is None else tuple(each.axis for each in field.axes)
        return axes if len({*axes}) == len(axes) else ()

    def _counted(self, place: int, info: LayerInfo) -> tuple[int, ...]:
        """The axes that they run along if it goes by their number; () where that differs."""
        rank, n_positions = self._call.points[place].shape.rank, _n_positions(info)
        if rank == n_positions + 2:  # units lie where the input has its channels
            return tuple(axis for axis in range(1, rank) if axis != info.unit_axis % rank)
        if rank == n_positions + 1 and self._gains_channels(place):
            return tuple(range(1, rank))
        return ()

    def _is_inside_attention(self, info: LayerInfo) -> bool:
        outer = self._catalogue.outputs.get(info.name.rpartition("/")[0])
        return outer is not None and "Attention" in type(outer.layer).__name__

    def _gains_channels(self, place: int) -> bool:
        """Whether an input without an axis for channels is given one by the model."""
        point = self._call.points[place]
        size = list(point.shape[1:])
        fields = self._fields_of(place) if self._is_traced else None
        return any(
            output.shape.rank == len(size) + 2
            and size in (list(output.shape[1:-1]), list(output.shape[2:]))
            for operation in self._call.operations
            for output in operation.outputs
            if fields is None or output.ref() in fields
        )

    def _fields_of(self, place: int) -> Mapping[Any, Fields]:
        if self._fields is None:
            graph = self._call.target.graph
            self._fields = [receptive_fields(graph, point) for point in self._call.points]
        return self._fields[place]

    @property
    def _is_traced(self) -> bool:
        return not hasattr(self._call.target, "numpy")


def position_axes(info: LayerInfo) -> tuple[int, ...]:
    """The axes of a layer's output that run over positions: all but samples and units."""
    n_axes = len(info.output_shape)
    return tuple(axis for axis in range(1, n_axes) if axis != info.unit_axis % n_axes)


def has_places(info: LayerInfo) -> bool:
    """Whether a layer has positions, and its maps are not empty."""
    lengths = [info.output_shape[axis] for axis in position_axes(info)]
    return bool(lengths) and 0 not in lengths


def _is_alike(lengths: Sequence[int | None], others: Sequence[int | None]) -> bool:
    """Whether one box is about as long for its width as the other."""
    scales = [one / other for one, other in zip(lengths, others, strict=False) if one and other]
    return not scales or max(scales) <= MOST_STRETCHED * min(scales)


def _n_positions(info: LayerInfo) -> int:
    return len(position_axes(info))
