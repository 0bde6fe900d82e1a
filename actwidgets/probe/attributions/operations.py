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
ELEMENTWISE = PRODUCTS | frozenset((
    "Abs", "Add", "AddN", "AddV2", "BiasAdd", "Ceil", "Elu", "Erf", "Erfc", "Exp", "Expm1",
    "Floor", "Identity", "IdentityN", "LeakyRelu", "Log", "Log1p", "Maximum", "Minimum", "Neg",
    "Pow", "Reciprocal", "Relu", "Relu6", "Rsqrt", "SelectV2", "Selu", "Sigmoid", "Sign",
    "Softplus", "Softsign", "Sqrt", "Square", "SquaredDifference", "Sub", "Tanh",
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


def same_shape(one: Any, other: Any) -> bool:
    """Whether two tensors have as many numbers along every axis, as far as that is known."""
    if one.shape.rank is None or one.shape.rank != other.shape.rank:
        return False
    return one.shape.as_list() == other.shape.as_list()
