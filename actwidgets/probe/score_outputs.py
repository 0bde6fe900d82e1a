"""Tensors of a score function: pre-softmax scores, gradients, maps, relevance."""

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from actwidgets.core.attribution.base import LrpRules
from actwidgets.core.layers import LayerInfo
from actwidgets.core.output_kind import SIGMOID, SOFTMAX, OutputKind
from actwidgets.errors import LayerError, ModelError
from actwidgets.probe.compiled import operations_behind
from actwidgets.probe.graph_ops import LayerNames, same_shape
from actwidgets.probe.guided_relu import require_relu
from actwidgets.probe.layer_index import LayerIndex, is_models_own
from actwidgets.probe.lrp import Relevance
from actwidgets.probe.receptive_fields import Fields, field_of, receptive_fields
from actwidgets.probe.score_backends import Build, Call

LOG_SOFTMAX, NO_LINK = "log_softmax", ""
_LINKS = {"Softmax": SOFTMAX, "LogSoftmax": LOG_SOFTMAX, "Sigmoid": SIGMOID}
_PASSING = ("Identity", "Cast", "CheckNumerics", "EnsureShape", "PreventGradient", "StopGradient")
_LAID_OTHERWISE = ("Reshape", "Transpose", "Squeeze", "ExpandDims")


def pre_softmax(output: Any) -> Any:
    """Logits in front of a graph's last softmax or sigmoid; the output itself where none is."""
    function, _ = _last_function(output, ())
    return output if function is None else function.inputs[0]


def last_link(output: Any, operations: Sequence[Any] = ()) -> tuple[str, int]:
    """Last softmax or sigmoid of an output and its axis, through mere reshapes.

    Args:
        output: A tensor of a graph, or an eager one.
        operations: By which an eager one was made.

    Returns:
        "softmax", "log_softmax", "sigmoid", or "" for none of them; and the axis of a softmax,
        counted from the end of the output. A softmax whose axis is merged with others is a
        "sigmoid": each value is a probability, and no axis of them sums to one.
    """
    function, behind = _last_function(output, operations)
    if function is None:
        return NO_LINK, -1
    link = _LINKS[function.type]
    axis: int | None = (function.inputs[0].shape.rank or 1) - 1
    for each in behind:
        axis = None if axis is None else _axis_behind(each, axis)
    if axis is None:
        return SIGMOID if link == SOFTMAX else link, -1
    return link, -1 if link == SIGMOID else axis - (output.shape.rank or 1)


def _last_function(output: Any, operations: Sequence[Any]) -> tuple[Any, list[Any]]:
    """Last softmax or sigmoid of an output, or None, and the reshapes behind it."""
    maker, behind = made_by(operations), list[Any]()
    operation = maker(output)
    while operation is not None and _hands_on(operation):
        behind.insert(0, operation)
        operation = maker(operation.inputs[0])
    is_one = operation is not None and operation.type in _LINKS
    return (operation, behind) if is_one else (None, [])


def _before(output: Any, operations: Sequence[Any]) -> Any:
    """Input of the last softmax or sigmoid, reshaped as the output is."""
    function, behind = _last_function(output, operations)
    if function is None:
        return output
    before = function.inputs[0]
    for each in behind:
        if each.type == "Transpose":
            before = tf.transpose(before, each.inputs[1])
        elif each.type in _LAID_OTHERWISE and not same_shape(each.inputs[0], each.outputs[0]):
            laid = tf.reshape(before, tf.shape(each.outputs[0]))
            before = tf.ensure_shape(laid, each.outputs[0].shape)
    return before


def class_scores(
    output: Any,
    as_probability: bool,
    operations: Sequence[Any] = (),
    kind: OutputKind | None = None,
) -> Any:
    """The score of every class, as a tensor of the same graph.

    Args:
        output: The model's output `(sample, …, class)` or `(sample,)`.
        as_probability: Whether probabilities are wanted, rather than what is before them.
        operations: By which an eager output was made.
        kind: What the output means; None for what its last function says.

    Returns:
        `(sample, target)`, at least float32. A single output tells two classes: the scores
        are -z and z, the probabilities 1-p and p. Positions beside the classes are summed
        over.

    Raises:
        ModelError: The output is no vector of numbers, or no probability.
    """
    if not output.dtype.is_floating:
        raise ModelError(
            f"the model puts out {output.dtype.name}: such a score has no gradient; attribute an "
            "output of floating-point values"
        )
    if as_probability and kind is not None:
        kind.require_probabilities()
    scores, is_probability = _scores(output, as_probability, operations, kind)
    if scores.shape.rank == 1:
        scores = scores[:, None]
    axis = -1 if kind is None else kind.axis
    if scores.shape.rank is None or scores.shape[axis] is None:
        raise ModelError("the model's output has no fixed number of classes")
    if axis != -1:
        scores = tf.experimental.numpy.moveaxis(scores, axis, -1)
    if scores.shape.rank > 2:
        scores = tf.reduce_sum(scores, axis=[*range(1, scores.shape.rank - 1)])
    if scores.shape[-1] == 1 and (
        last_link(output, operations)[0] == SIGMOID if kind is None else kind.kind != "value"
    ):
        scores = tf.concat([1 - scores if is_probability else -scores, scores], axis=1)
    return scores


def _scores(
    output: Any, as_probability: bool, operations: Sequence[Any], kind: OutputKind | None
) -> tuple[Any, bool]:
    """Scores in the shape of the output, and whether they are probabilities."""
    link, _ = last_link(output, operations)
    is_probability = link in (SOFTMAX, SIGMOID) if kind is None else kind.kind == "probability"
    if not as_probability:
        has_logits = link == LOG_SOFTMAX or (is_probability and link != NO_LINK)
        if kind is not None and kind.kind == "value":
            has_logits = False
        logits = _before(output, operations) if has_logits else output
        return _single(logits), is_probability and not has_logits
    values = _single(output)
    if is_probability:
        return values, True
    if link == LOG_SOFTMAX:
        return tf.exp(values), True
    if kind is not None and kind.link == SIGMOID:
        return tf.sigmoid(values), True
    return tf.nn.softmax(values, axis=-1 if kind is None else kind.axis), True


def _single(values: Any) -> Any:
    return tf.cast(values, tf.float32) if values.dtype.size < 4 else values


def _hands_on(operation: Any) -> bool:
    """Whether an operation only reshapes or transposes its values."""
    kinds = (*_PASSING, *_LAID_OTHERWISE)
    return operation.type in kinds and operation.inputs[0].dtype.is_floating


def _axis_behind(operation: Any, axis: int) -> int | None:
    """Position of an axis after a reshape or transpose; None where it is merged or not known."""
    given, found = operation.inputs[0].shape, operation.outputs[0].shape
    if operation.type == "Transpose":
        order = tf.get_static_value(operation.inputs[1])
        return None if order is None else int([*order].index(axis))
    if operation.type not in _LAID_OTHERWISE:
        return axis
    if given.rank is None or found.rank is None:
        return None
    after = _length(given[axis + 1 :])
    places = [
        place
        for place in range(1, found.rank)
        if found[place] == given[axis] and _length(found[place + 1 :]) == after
    ]
    return places[-1] if places and after is not None and given[axis] is not None else None


def _length(shape: Any) -> int | None:
    axes = list(shape)
    return None if None in axes else math.prod(axes)


def made_by(operations: Sequence[Any]) -> Callable[[Any], Any]:
    """Lookup from a tensor to the operation that made it; None where it is not known."""
    by_output = {id(output): each for each in operations for output in each.outputs}
    return lambda tensor: by_output.get(id(tensor)) if hasattr(tensor, "numpy") else tensor.op


MOST_STRETCHED = 8  # times more along one axis than along another is no map of the same thing
Axes = Mapping[str, tuple[int, ...]]


class MapPositions:
    """Match the position axes of layers with axes of the inputs.

    They are read off the operations between: a map that is transposed on its way still lies
    over the right axes, and an input that the layer does not see has none. Behind what is not
    known to keep positions apart, the first layer with as many of them decides, and where
    nothing is known the number of axes; not for a map of quite another form than the input,
    nor inside an attention, whose axes are tokens and heads.

    Args:
        call: The model as it was traced, or called eagerly: then only the axes are counted.
        names: Of what is differentiated, as in `Points.names`.
        layer_index: The model's layers.
    """

    def __init__(self, call: Call, names: Sequence[str], layer_index: LayerIndex) -> None:
        self._call, self._names, self._layer_index = call, tuple(names), layer_index
        self._looking = threading.RLock()
        self._fields: list[Mapping[Any, Fields]] | None = None
        self._last: dict[str, str] = {}

    def axes(self, layer: str) -> Axes:
        """By name of input: the axes of its array along which the layer's positions run."""
        info = self._layer_index.info(layer)
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
                self._last[head] = self._last_on_the_way(head)
            return self._last[head]

    def _last_on_the_way(self, head: str) -> str:
        candidates = [
            info
            for info in self._layer_index.layers
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
            alike = (
                each for each in self._layer_index.layers if len(position_axes(each)) == n_positions
            )
            axes = next(filter(None, (self._known(fields, each) for each in alike)), axes)
        lengths = [info.output_shape[axis] for axis in position_axes(info)]
        return axes if _is_alike(lengths, [point.shape[axis] for axis in axes]) else ()

    def _known(self, fields: Mapping[Any, Fields], info: LayerInfo) -> tuple[int, ...]:
        """The axes along which a layer's positions are known to run; () where they are not."""
        tensor = self._call.taps.get(info.name)
        seen = fields.get(tensor.ref(), {}) if tensor is not None and hasattr(tensor, "ref") else {}
        field = field_of(seen, len(info.output_shape), info.unit_axis)
        axes = () if field is None else tuple(each.axis for each in field.axes)
        return axes if len({*axes}) == len(axes) else ()

    def _counted(self, place: int, info: LayerInfo) -> tuple[int, ...]:
        """The axes that they run along if it goes by their number; () where that differs."""
        rank, n_positions = self._call.points[place].shape.rank, len(position_axes(info))
        if rank == n_positions + 2:  # units lie where the input has its channels
            return tuple(axis for axis in range(1, rank) if axis != info.unit_axis % rank)
        if rank == n_positions + 1 and self._gains_channels(place):
            return tuple(range(1, rank))
        return ()

    def _is_inside_attention(self, info: LayerInfo) -> bool:
        outer = self._layer_index.outputs.get(info.name.rpartition("/")[0])
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
    """Whether two boxes have about the same aspect ratio."""
    scales = [one / other for one, other in zip(lengths, others, strict=False) if one and other]
    return not scales or max(scales) <= MOST_STRETCHED * min(scales)


def scores(head: str, as_probability: bool, kind: OutputKind) -> Build:
    """Build the score of every class, `(sample, target)`."""
    return lambda call: [_table(call, head, as_probability, kind)]


def score(head: str, as_probability: bool, kind: OutputKind, layer: str = "") -> Build:
    """Build the score of each sample's target, and a layer's output where one is named."""

    def build(call: Call) -> list[Any]:
        found = [_score(call, head, as_probability, kind)]
        return [*found, _required(call, layer)] if layer else found

    return build


def gradients(head: str, as_probability: bool, kind: OutputKind, guided: bool) -> Build:
    """Build the score of each sample's target, then its gradient at each of the points.

    Raises:
        ModelError: There is no gradient; there is no ReLU to guide.
    """

    def build(call: Call) -> list[Any]:
        score = _score(call, head, as_probability, kind)
        if guided:
            call.notes["guided", head] = require_relu(score, call.points, LayerNames(call.recorded))
        found = _gradients(call, score, call.points)
        if all(each is None for each in found):
            raise ModelError(
                "no gradient of the score reaches the input: the model rounds, compares or picks "
                "on the way, or its score does not depend on the input; occlusion needs none"
            )
        return [
            score,
            *(
                tf.zeros_like(point) if each is None else tf.convert_to_tensor(each)
                for point, each in zip(call.points, found, strict=True)
            ),
        ]

    return build


def maps(layer: str) -> Build:
    """Build a layer's output."""
    return lambda call: [_required(call, layer)]


def map_gradients(head: str, as_probability: bool, kind: OutputKind, layer: str) -> Build:
    """Build the score of each sample's target, a layer's maps, and the gradient at them.

    Raises:
        LayerError: The score does not depend on the layer.
    """

    def build(call: Call) -> list[Any]:
        score = _score(call, head, as_probability, kind)
        maps = _required(call, layer)
        found = _gradients(call, score, [maps])[0]
        if found is None:
            raise LayerError(
                f"no gradient of the score reaches layer {layer!r}: it lies behind the score, on "
                "the way to another output, or before something that is rounded or picked"
            )
        return [score, maps, tf.convert_to_tensor(found)]

    return build


def relevance(head: str, kind: OutputKind, rules: LrpRules) -> Build:
    """Build the score of each sample's target, then the relevance of each of the points.

    Raises:
        LayerError: A layer through which it cannot be handed.
    """

    def build(call: Call) -> list[Any]:
        table = _table(call, head, False, kind)
        start = table * tf.one_hot(call.target, table.shape[-1], dtype=table.dtype)
        propagation = Relevance(table, call.points, rules, LayerNames(call.recorded), call.weights)
        return [tf.reduce_sum(start, axis=1), *propagation.of(start)]

    return build


def _table(call: Call, head: str, as_probability: bool, kind: OutputKind) -> Any:
    return class_scores(_required(call, head), as_probability, call.operations, kind)


def _score(call: Call, head: str, as_probability: bool, kind: OutputKind) -> Any:
    return tf.gather(_table(call, head, as_probability, kind), call.target, axis=1, batch_dims=1)


def _required(call: Call, layer: str) -> Any:
    """A layer's output, required: another branch of the model may be taken for other samples."""
    if layer not in call.taps:
        raise LayerError(f"layer {layer!r} is not called for these samples")
    return call.taps[layer]


def _gradients(call: Call, score: Any, at: Sequence[Any]) -> list[Any]:
    try:
        return call.gradients(score, at)
    except LookupError as failure:
        words = " ".join(str(failure).split())
        raise ModelError(f"the score cannot be differentiated: {words}") from failure
