"""Operations of a traced graph: what kinds there are, carried out again, and transposed."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

# fmt: off
COPIES = frozenset((  # each number put out is one of those taken, or a constant
    "BatchToSpaceND", "BroadcastTo", "Cast", "ConcatV2", "DepthToSpace", "EnsureShape",
    "ExpandDims", "ExtractImagePatches", "GatherNd", "GatherV2", "Identity", "IdentityN",
    "MirrorPad", "Pack", "Pad", "PadV2", "PreventGradient", "ResizeNearestNeighbor", "Reshape",
    "ReverseV2", "Roll", "SelectV2", "Slice", "SpaceToBatchND", "SpaceToDepth", "Split",
    "SplitV", "Squeeze", "StopGradient", "StridedSlice", "Tile", "Transpose", "Unpack",
))
CHOICES = frozenset(("Max", "MaxPool", "MaxPool3D", "MaxPoolV2", "Maximum", "Min", "Minimum"))
SUMS = frozenset((
    "Add", "AddN", "AddV2", "AvgPool", "AvgPool3D", "BiasAdd", "Cumsum", "Mean", "ResizeBicubic",
    "ResizeBilinear", "Sub", "Sum",
))
CONVOLUTIONS = frozenset((
    "Conv2D", "Conv2DBackpropInput", "Conv3D", "Conv3DBackpropInputV2", "DepthwiseConv2dNative",
))
DENSE = frozenset(("BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum", "MatMul"))
PRODUCTS = frozenset(("Div", "DivNoNan", "Mul", "MulNoNan", "RealDiv"))
LINEAR = frozenset((  # number by number, of whatever depends on the input
    "Add", "AddN", "AddV2", "BiasAdd", "Cast", "Identity", "IdentityN", "Neg", "PreventGradient",
    "StopGradient", "Sub",
))
ELEMENTWISE = PRODUCTS | LINEAR | frozenset((
    "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "ClipByValue", "Cos",
    "Cosh", "Elu", "Erf", "Erfc", "Erfinv", "Exp", "Expm1", "Floor", "LeakyRelu", "Lgamma",
    "Log", "Log1p", "Maximum", "Minimum", "Pow", "Reciprocal", "Relu", "Relu6", "Rint", "Round",
    "Rsqrt", "SelectV2", "Selu", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign",
    "Sqrt", "Square", "SquaredDifference", "Tan", "Tanh", "Xlog1py", "Xlogy",
))
# fmt: on


def again(operation: Any, replaced: Mapping[int, Any]) -> list[Any]:
    """Carry out an operation once more, with some of its operands replaced.

    Args:
        operation: Of the graph that is built now.
        replaced: By the place of the operand.

    Returns:
        What it puts out. What nobody reads of that is not computed.
    """
    operands = [replaced.get(place, each) for place, each in enumerate(operation.inputs)]
    if (
        operation.type in ("Conv2D", "Conv3D")
        and _n_groups(operands[0], operands[1], operation) > 1
    ):
        return [_by_group(operands[0], operands[1], operation)]
    attributes = operation.node_def.attr
    repeated = tf.compat.v1.get_default_graph().create_op(
        operation.type,
        operands,
        [each.dtype for each in operation.outputs],
        # Those with an underscore are notes, such as which gradient to take in place of its own.
        attrs={name: attributes[name] for name in attributes if not name.startswith("_")},
        op_def=operation.op_def,
    )
    return list(repeated.outputs)


def transposed(operation: Any, places: Sequence[int], received: Mapping[int, Any]) -> list[Any]:
    """What an operation, taken as linear, hands back to its operands.

    Args:
        operation: Of the graph that is built now.
        places: Of the operands asked about.
        received: What arrived, by the place of the output.

    Returns:
        One tensor per place, in the shape of the operand.
    """
    if operation.type == "Cast":
        # TensorFlow has no gradient to eight bits, and a share must not be rounded to them.
        kind = operation.inputs[0].dtype
        return [received[0] if kind.size == 1 else tf.cast(received[0], kind)]
    # On a copy of its own: a search for the way back would go through the whole graph.
    sources = [tf.identity(operation.inputs[place]) for place in places]
    outputs = again(operation, dict(zip(places, sources, strict=True)))
    return tf.gradients(
        [outputs[place] for place in received],
        sources,
        grad_ys=list(received.values()),
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )


def _n_groups(values: Any, kernel: Any, operation: Any) -> int:
    """Into how many groups of channels a convolution parts what it is given."""
    axis = _channel_axis(operation)
    n_channels, n_read = values.shape[axis], kernel.shape[-2]
    return n_channels // n_read if n_channels and n_read else 1


def _by_group(values: Any, kernel: Any, operation: Any) -> Any:
    """A grouped convolution as one of each group: TensorFlow has no gradient of it on CPU."""
    n_groups, axis = _n_groups(values, kernel, operation), _channel_axis(operation)
    strides, dilations = operation.get_attr("strides"), operation.get_attr("dilations")
    plain = operation.type == "Conv2D" and axis == 3 and len({*strides[1:3]}) == 1
    padding = operation.get_attr("padding")
    if plain and kernel.shape[2] == 1 and {*dilations} == {1} and padding != b"EXPLICIT":
        height, width, _, n_outputs = kernel.shape
        shape = height, width, n_groups, n_outputs // n_groups
        return tf.nn.depthwise_conv2d(values, tf.reshape(kernel, shape), strides, padding.decode())
    parts = zip(tf.split(values, n_groups, axis), tf.split(kernel, n_groups, -1), strict=True)
    return tf.concat([again(operation, dict(enumerate(each)))[0] for each in parts], axis)


def _channel_axis(operation: Any) -> int:
    first = operation.get_attr("data_format").startswith(b"NC")
    return 1 if first else len(operation.get_attr("strides")) - 1


def same_shape(one: Any, other: Any) -> bool:
    """Whether two tensors have as many numbers along every axis, as far as that is known."""
    if one.shape.rank is None or one.shape.rank != other.shape.rank:
        return False
    return one.shape.as_list() == other.shape.as_list()
