"""Receptive fields from the operations of a traced model.

Every tensor of the graph is given the fields of those of its axes along which a position sees
less than the whole input. What an operation does to them is known for the operations that
convolutions, poolings and what stands between them are made of; behind any other a position
is taken to see everything. So a field may be told too large, never too small.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import tensorflow as tf

from actwidgets.core.layers import AxisField, ReceptiveField

Fields = Mapping[int, AxisField]  # by axis of the tensor

# fmt: off
ELEMENTWISE = frozenset((
    "Abs", "Add", "AddN", "AddV2", "BiasAdd", "Cast", "Div", "DivNoNan", "Elu", "Equal", "Erf",
    "Exp", "Expm1", "Greater", "GreaterEqual", "Identity", "LeakyRelu", "Less", "LessEqual",
    "Log", "Log1p", "LogicalAnd", "LogicalNot", "LogicalOr", "Maximum", "Minimum", "Mul", "Neg",
    "Pow", "PreventGradient", "RealDiv", "Reciprocal", "Relu", "Relu6", "Round", "Rsqrt",
    "Select", "SelectV2", "Selu", "Sigmoid", "Sign", "Softplus", "Softsign", "Sqrt", "Square",
    "SquaredDifference", "StopGradient", "Sub", "Tanh", "ZerosLike",
))
# fmt: on
REDUCTIONS = ("All", "Any", "Max", "Mean", "Min", "Prod", "Sum")
OF_SHAPES = ("Shape", "ShapeN", "Size", "Rank")  # tell nothing of values
CALLS = ("PartitionedCall", "StatefulPartitionedCall")  # of a function with a graph of its own
NO_FIELDS: Fields = {}


def receptive_fields(graph: Any, image: Any) -> dict[Any, Fields]:
    """The fields of every tensor that depends on `image`, by its reference.

    Args:
        graph: The traced graph.
        image: The placeholder of the input.

    Cost: one walk over the operations.
    """
    rank = image.shape.rank
    found: dict[Any, Fields] = {image.ref(): {axis: AxisField(axis) for axis in range(1, rank)}}
    _spread(graph.get_operations(), found)
    return found


def called_graph(call: Any) -> Any:
    """The graph of the function that an operation calls; None where that is not known.

    A convolution in groups is such a call on CPU, as is what is compiled by XLA.
    """
    try:
        return call.graph._get_function(call.get_attr("f").name).graph
    except (AttributeError, ValueError):  # TensorFlow's inside has changed
        return None


def _spread(operations: Iterable[Any], found: dict[Any, Fields]) -> None:
    """Propagate fields backward from what operations put out to their inputs."""
    for operation in operations:
        inputs = [(each, found[each.ref()]) for each in operation.inputs if each.ref() in found]
        if not inputs or operation.type in OF_SHAPES:
            continue
        inner = called_graph(operation) if operation.type in CALLS else None
        if inner is not None:
            pairs = zip(inner.inputs, operation.inputs, strict=True)
            inside = {one.ref(): found[other.ref()] for one, other in pairs if other.ref() in found}
            _spread(inner.get_operations(), inside)
            of_outputs = [inside.get(each.ref()) for each in inner.outputs]
        else:
            fields = _behind(operation, inputs)
            of_outputs = [fields] * len(operation.outputs)
        # A gradient through a call has its function put out more, behind what it did.
        for output, each in zip(operation.outputs, of_outputs, strict=False):
            if each is not None:
                found[output.ref()] = each if output.shape.rank is not None else NO_FIELDS


def field_of(fields: Fields, n_axes: int, unit_axis: int) -> ReceptiveField | None:
    """The field of a layer's positions, or None where they see everything.

    Args:
        fields: Of the layer's tensor.
        n_axes: How many axes its output has.
        unit_axis: Which of them runs over units.
    """
    positions = [axis for axis in range(1, n_axes) if axis != unit_axis % n_axes]
    if not positions or any(axis not in fields for axis in positions):
        return None
    return ReceptiveField(tuple(fields[axis] for axis in positions))


def _behind(operation: Any, inputs: list[tuple[Any, Fields]]) -> Fields:
    try:
        if operation.type in ELEMENTWISE:
            shape = operation.outputs[0].shape
            return _union(_broadcast(tensor, fields, shape) for tensor, fields in inputs)
        rule = _RULES.get(operation.type)
        return NO_FIELDS if rule is None else rule(operation, inputs)
    except (ValueError, TypeError, KeyError, IndexError):  # something not known before it is run
        return NO_FIELDS


def _broadcast(tensor: Any, fields: Fields, shape: Any) -> Fields:
    """The fields of a tensor that is broadcast to a shape; none along an axis it is stretched."""
    shift = shape.rank - tensor.shape.rank
    return {
        axis + shift: each
        for axis, each in fields.items()
        if tensor.shape[axis] != 1 or shape[axis + shift] == 1
    }


def _union(parts: Iterable[Fields]) -> Fields:
    first, *others = parts
    merged = dict(first)
    for other in others:
        both = {axis: merged[axis].union(other[axis]) for axis in merged if axis in other}
        merged = {axis: each for axis, each in both.items() if each is not None}
    return merged


def _window(operation: Any, inputs: list[tuple[Any, Fields]]) -> Fields:
    """A convolution or a pooling."""
    (tensor, fields), *others = inputs
    if others:  # kernels that depend on the input
        return NO_FIELDS
    rank = tensor.shape.rank
    first = operation.get_attr("data_format").startswith(b"NC")
    spatial = range(2, rank) if first else range(1, rank - 1)
    strides = operation.get_attr("strides")
    if operation.type.startswith(("MaxPool", "AvgPool")):
        sizes, dilations = operation.get_attr("ksize"), [1] * rank
        if any(sizes[axis] != 1 for axis in range(rank) if axis not in spatial):
            return NO_FIELDS
        kept = {axis: each for axis, each in fields.items() if axis not in spatial}
    else:
        kernel = operation.inputs[1].shape
        sizes = dict(zip(spatial, kernel[: len(spatial)], strict=True))
        dilations, kept = operation.get_attr("dilations"), {}
    padding = operation.get_attr("padding").decode()
    explicit = operation.get_attr("explicit_paddings") if padding == "EXPLICIT" else None
    for axis in spatial:
        if axis not in fields:
            continue
        kernel_size, stride, dilation = int(sizes[axis]), strides[axis], dilations[axis]
        before = 0
        if padding == "SAME":
            before = _same_padding(tensor.shape[axis], (kernel_size - 1) * dilation + 1, stride)
        elif explicit is not None:
            before = explicit[2 * axis]
        kept[axis] = fields[axis].through(kernel_size, stride, before, dilation)
    return kept


def _same_padding(length: int | None, reach: int, stride: int) -> int:
    """Padding before the first place, as TensorFlow splits it."""
    if length is None and stride > 1:
        raise ValueError("the padding hangs on the length, which is not known")
    beyond = 0 if length is None else length % stride
    return max(reach - (beyond or stride), 0) // 2


def _normalized(operation: Any, inputs: list[tuple[Any, Fields]]) -> Fields:
    by_batch = operation.get_attr("is_training") or len(inputs) > 1
    return NO_FIELDS if by_batch else inputs[0][1]


def _padded(operation: Any, inputs: list[tuple[Any, Fields]]) -> Fields:
    paddings = _known(operation.inputs[1])
    return {
        axis: each.through(1, before=int(paddings[axis][0])) for axis, each in inputs[0][1].items()
    }


def _into_blocks(operation: Any, inputs: list[tuple[Any, Fields]]) -> Fields:
    """SpaceToBatch: how TensorFlow dilates some convolutions."""
    changed = dict(inputs[0][1])
    blocks, paddings = _known(operation.inputs[1]), _known(operation.inputs[2])
    for axis, (block, padding) in enumerate(zip(blocks, paddings, strict=True), start=1):
        if axis in changed:
            changed[axis] = changed[axis].through(1, int(block), before=int(padding[0]))
    return changed


def _out_of_blocks(operation: Any, inputs: list[tuple[Any, Fields]]) -> Fields:
    """BatchToSpace behind a convolution without strides of its own."""
    changed = dict(inputs[0][1])
    blocks, crops = _known(operation.inputs[1]), _known(operation.inputs[2])
    for axis, (block, crop) in enumerate(zip(blocks, crops, strict=True), start=1):
        if axis in changed:
            field = changed[axis]
            stride = field.stride // int(block)
            start = field.start + int(crop[0]) * stride
            changed[axis] = AxisField(field.axis, field.size, stride, start)
    return changed


def _concatenated(operation: Any, inputs: list[tuple[Any, Fields]]) -> Fields:
    rank = operation.outputs[0].shape.rank
    axis = int(_known(operation.inputs[-1])) % rank
    merged = _union(fields for _, fields in inputs)
    return {place: each for place, each in merged.items() if place != axis}


def _transposed(operation: Any, inputs: list[tuple[Any, Fields]]) -> Fields:
    order = [int(axis) for axis in _known(operation.inputs[1])]
    return {place: inputs[0][1][axis] for place, axis in enumerate(order) if axis in inputs[0][1]}


def _expanded(operation: Any, inputs: list[tuple[Any, Fields]]) -> Fields:
    new = int(_known(operation.inputs[1])) % operation.outputs[0].shape.rank
    return {axis + (axis >= new): each for axis, each in inputs[0][1].items()}


def _squeezed(operation: Any, inputs: list[tuple[Any, Fields]]) -> Fields:
    tensor, fields = inputs[0]
    gone = {axis % tensor.shape.rank for axis in operation.get_attr("squeeze_dims")}
    if not gone:
        raise ValueError("which axes have length 1 is not known")
    return _without(fields, gone)


def _reduced(operation: Any, inputs: list[tuple[Any, Fields]]) -> Fields:
    tensor, fields = inputs[0]
    axes = _known(operation.inputs[1]).reshape(-1)
    gone = {int(axis) % tensor.shape.rank for axis in axes}
    if operation.get_attr("keep_dims"):
        return {axis: each for axis, each in fields.items() if axis not in gone}
    return _without(fields, gone)


def _softmax(_operation: Any, inputs: list[tuple[Any, Fields]]) -> Fields:
    tensor, fields = inputs[0]
    return {axis: each for axis, each in fields.items() if axis != tensor.shape.rank - 1}


def _without(fields: Fields, gone: set[int]) -> Fields:
    """Fields of what is left when axes are dropped."""
    return {
        axis - sum(each < axis for each in gone): field
        for axis, field in fields.items()
        if axis not in gone
    }


def _known(tensor: Any) -> Any:
    value = tf.get_static_value(tensor)
    if value is None:
        raise ValueError("not known before it is run")
    return value


_RULES: dict[str, Callable[[Any, list[tuple[Any, Fields]]], Fields]] = {
    **dict.fromkeys(
        (
            "Conv2D",
            "Conv3D",
            "DepthwiseConv2dNative",
            "MaxPool",
            "MaxPool3D",
            "AvgPool",
            "AvgPool3D",
        ),
        _window,
    ),
    **dict.fromkeys(("Pad", "PadV2"), _padded),
    **dict.fromkeys(REDUCTIONS, _reduced),
    "FusedBatchNormV3": _normalized,
    "SpaceToBatchND": _into_blocks,
    "BatchToSpaceND": _out_of_blocks,
    "ConcatV2": _concatenated,
    "Transpose": _transposed,
    "ExpandDims": _expanded,
    "Squeeze": _squeezed,
    "Softmax": _softmax,
}
