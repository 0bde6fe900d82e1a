"""Layers for relevance propagation: weighted layers with folded scales, affine steps, gates.

The signal takes all of the relevance of a product with a gate (Arras 2017, "signal-take-all")
and of one with the size of what is normalized, which counts as a constant (Ali 2022, LN-rule;
Achtibat 2024). Gates are sigmoids and hard sigmoids, scaled or taken from 1, as in squeeze and
excitation, gated linear units and highways.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import tensorflow as tf

from actwidgets.probe.graph_ops import (
    CONVOLUTIONS,
    COPIES,
    DENSE,
    PRODUCTS,
    Flow,
    again,
    same_shape,
    transposed,
)

ADDITIONS = frozenset(("Add", "AddV2", "BiasAdd", "Sub"))
SCALINGS = frozenset(("Div", "DivNoNan", "Mul", "Neg", "RealDiv"))
NORMALIZATIONS = frozenset(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"))
AFFINE = ADDITIONS | SCALINGS | NORMALIZATIONS


def is_affine(operation: Any, flow: Flow) -> bool:
    """Whether an operation is affine in the one tensor that depends on the input."""
    places = [place for place, _ in flow.operands(operation)]
    if operation.type not in AFFINE or len(places) != 1:
        return False
    if operation.type in NORMALIZATIONS:
        return places == [0] and not operation.get_attr("is_training")
    return places == [0] or "Div" not in operation.type


def without_shift(operation: Any, place: int, values: Any) -> Any:
    """Apply an affine operation to values in place of an operand, without its constant."""
    if operation.type in NORMALIZATIONS:
        beta, mean = operation.inputs[2:4]
        return again(operation, {0: values, 2: tf.zeros_like(beta), 3: tf.zeros_like(mean)})[0]
    if operation.type in ADDITIONS:
        return -values if operation.type == "Sub" and place == 1 else values
    return again(operation, {place: values})[0]


class ChannelAffine:
    """Affine map by channel of the last axis, `scale * values + shift`, composed step by step.

    Both are `(channel,)` or `(1,)`; None is a scale of 1, and a shift of 0.
    """

    def __init__(self, dtype: Any) -> None:
        self._dtype = dtype
        self.scale: Any = None
        self.shift: Any = None

    def then(self, operation: Any, place: int) -> bool:
        """Add what an affine operation does to operand `place`; False where it cannot be said."""
        constants = _per_channel(operation, place)
        if constants is None:
            return False
        constants = tf.cast(constants, self._dtype)
        if operation.type == "Neg":
            self._scale(tf.constant([-1], self._dtype))
        elif operation.type in NORMALIZATIONS:
            _, gamma, beta, mean, variance = operation.inputs
            scale = gamma * tf.math.rsqrt(variance + operation.get_attr("epsilon"))
            self._scale(tf.cast(scale, self._dtype))
            self._shift(tf.cast(beta - mean * scale, self._dtype))
        elif operation.type == "Mul":
            self._scale(constants)
        elif operation.type in SCALINGS:
            ones = tf.ones_like(constants)
            none = operation.type == "DivNoNan"
            self._scale(tf.math.divide_no_nan(ones, constants) if none else ones / constants)
        elif operation.type == "Sub" and place == 1:
            self._scale(-tf.ones_like(constants))
            self._shift(constants)
        else:
            self._shift(-constants if operation.type == "Sub" else constants)
        return True

    def _scale(self, factor: Any) -> None:
        self.scale = factor if self.scale is None else self.scale * factor
        self.shift = None if self.shift is None else self.shift * factor

    def _shift(self, amount: Any) -> None:
        self.shift = amount if self.shift is None else self.shift + amount


def _per_channel(operation: Any, place: int) -> Any:
    """The constant operand as `(channel,)` or `(1,)`; None where it is something else.

    What needs no constant, or has one of its own kind, gives the operand itself.
    """
    values = operation.inputs[place]
    if operation.type == "Neg":
        return values
    if _channels_first(operation, values.shape):
        return None
    if operation.type in NORMALIZATIONS:
        return values
    constant = operation.inputs[1 - place]
    sizes: Sequence[Any] = constant.shape.as_list() if constant.shape.rank is not None else [None]
    if len(sizes) > values.shape.rank or any(size != 1 for size in sizes[:-1]):
        return None
    if sizes and (sizes[-1] is None or sizes[-1] not in (1, values.shape[-1])):
        return None
    return tf.reshape(constant, [-1])


def _channels_first(operation: Any, shape: Any) -> bool:
    said = "data_format" in operation.node_def.attr and shape.rank > 2
    return said and operation.get_attr("data_format").startswith(b"NC")


MOVING = COPIES - {"ConcatV2", "MirrorPad", "Pack", "Pad", "PadV2", "SelectV2"}
BOUNDS = ("Maximum", "Minimum")


def signal_place(operation: Any, flow: Flow) -> int | None:
    """Operand of a product that takes all relevance, beside a gate; None for another product."""
    operands = dict(flow.operands(operation))
    if operation.type not in PRODUCTS or len(operands) != 2:
        return None
    sizes = {place for place, each in operands.items() if _is_size(each, flow)}
    if "Div" in operation.type:
        return 0 if sizes == {1} else None
    for others in (sizes, {place for place, each in operands.items() if _is_gate(each, flow)}):
        if len(others) == 1:
            return 1 - others.pop()
    return None


def _is_gate(tensor: Any, flow: Flow) -> bool:
    """Whether a tensor is a gate: a sigmoid or hard sigmoid, scaled or shifted by constants."""
    while not flow.is_input(tensor):
        operation, operands = tensor.op, flow.operands(tensor.op)
        if operation.type == "Sigmoid":
            return True
        if len(operands) != 1:
            return False
        if operation.type == "Relu6":  # of what is not shifted, it is an activation like others
            return operands[0][1].op.type in ADDITIONS
        if _is_bound_on_both_sides(operation, flow):
            return True
        is_scaled = is_affine(operation, flow) and operation.inputs[0].dtype.is_floating
        if operation.type not in MOVING and not is_scaled:
            return False
        tensor = operands[0][1]
    return False


def _is_bound_on_both_sides(operation: Any, flow: Flow) -> bool:
    """Whether an operation and the one before it clip to an interval."""
    (_, tensor), *others = flow.operands(operation)
    if operation.type not in BOUNDS or others or flow.is_input(tensor):
        return False
    before = tensor.op
    kinds = {operation.type, before.type}
    low = [_bound(each, flow) for each in (operation, before) if each.type != "Minimum"]
    return kinds in ({*BOUNDS}, {"Minimum", "Relu"}) and low == [0]


def _bound(operation: Any, flow: Flow) -> float | None:
    """The lower bound of an operation, where it is a single number."""
    if operation.type == "Relu":
        return 0.0
    for each in operation.inputs:
        value = tf.get_static_value(each) if flow.origin(each).ref() not in flow.carried else None
        if value is not None and value.size == 1:
            return float(value.reshape(-1)[0])
    return None


def _is_size(tensor: Any, flow: Flow) -> bool:
    """Whether a tensor is a norm or standard deviation, or one over it, scaled or shifted."""
    while not flow.is_input(tensor):
        operation, operands = tensor.op, flow.operands(tensor.op)
        if not operands:
            return False
        kind, before = operation.type, operands[0][1]
        if kind in ("Sqrt", "Rsqrt"):
            return _is_mean_square(before, flow)
        if kind == "Pow":
            return operands[0][0] == 0 and _is_mean_square(before, flow)
        if kind == "EuclideanNorm":
            return True
        if kind in ("Max", "Mean", "Sum"):
            return not flow.is_input(before) and before.op.type == "Abs"
        is_bound = kind in BOUNDS or kind == "Reciprocal" or kind in PRODUCTS
        is_scaled = is_bound or is_affine(operation, flow) or kind in MOVING
        if len(operands) != 1 or not is_scaled:
            return False
        tensor = before
    return False


def _is_mean_square(tensor: Any, flow: Flow) -> bool:
    """Whether a tensor is a sum or mean of squares, such as a variance, scaled or shifted."""
    while not flow.is_input(tensor):
        operation, operands = tensor.op, flow.operands(tensor.op)
        kind = operation.type
        if not operands:
            return False
        before = operands[0][1]
        if kind in ("Mean", "Sum"):
            return not flow.is_input(before) and _is_square(before.op, flow)
        if kind == "Sub" and len(operands) == 2:  # the mean of squares less the squared mean
            return _is_mean_square(before, flow) and _is_square(operands[1][1].op, flow)
        is_scaled = (
            kind in ("DivNoNan", "Maximum", "Relu") or is_affine(operation, flow) or kind in MOVING
        )
        if len(operands) != 1 or not is_scaled:
            return False
        tensor = before
    return False


def _is_square(operation: Any, flow: Flow) -> bool:
    if operation.type == "Mul":
        operands = [each for _, each in flow.operands(operation)]
        if len(operands) == 1:  # weighted
            return not flow.is_input(operands[0]) and _is_square(operands[0].op, flow)
        return operands[0].ref() == operands[1].ref()
    return operation.type in ("Square", "SquaredDifference", "Pow")


KEEPING_CHANNELS = ("BatchToSpaceND", "Cast", "ExpandDims", "Identity", "Reshape", "Squeeze")
BEFORE = COPIES - {  # of one operand, and adding nothing
    *("ConcatV2", "IdentityN", "Pack", "PadV2", "SelectV2", "Split", "SplitV", "Unpack"),
}


@dataclass(frozen=True)
class Step:
    """One operation of a chain, and the operand that the chain goes through."""

    operation: Any
    place: int


@dataclass(frozen=True)
class WeightedLayer:
    """`outputs = weights · inputs + shift`, with what directly precedes and follows folded in.

    Attributes:
        kernel: The convolution or the product of matrices.
        weights: Its kernel, times the scale of every channel put out.
        shift: What is added per channel, or None.
        after: Operations behind the kernel that move numbers and change none.
        before: Operations in front of it that scale, shift and move, in the order of the run.
        outputs: The tensor at the end.
    """

    kernel: Step
    weights: Any
    shift: Any
    after: tuple[Step, ...]
    before: tuple[Step, ...]
    outputs: Any

    @property
    def is_convolution(self) -> bool:
        """Whether it is a convolution rather than dense."""
        return self.kernel.operation.type in CONVOLUTIONS

    @property
    def inputs(self) -> Any:
        """The tensor at the start: relevance is handed to it."""
        first = self.before[0] if self.before else self.kernel
        return first.operation.inputs[first.place]

    @property
    def kernel_inputs(self) -> Any:
        """What the kernel is multiplied with."""
        return self.kernel.operation.inputs[self.kernel.place]

    @property
    def shifts_before(self) -> bool:
        """Whether something is added in front of the kernel."""
        return any(step.operation.type in ADDITIONS | NORMALIZATIONS for step in self.before)

    def apply(self, values: Any, weights: Any) -> Any:
        """`weights · values`, without any shift."""
        step = self.kernel
        found = again(step.operation, {step.place: values, 1 if step.place != 1 else 0: weights})[0]
        for step in self.after:
            found = again(step.operation, {step.place: found})[0]
        return found

    def transposed(self, received: Any, weights: Any) -> Any:
        """What `weights` hand back to the kernel's inputs. Cost: one backward step."""
        source = tf.identity(self.kernel_inputs)
        return tf.gradients(self.apply(source, weights), source, grad_ys=received)[0]

    def carried_in(self, values: Any, *, shifted: bool) -> Any:
        """What the kernel would be given of `inputs`, with what is added on the way or not."""
        for step in self.before:
            operation, place = step.operation, step.place
            if operation.type in AFFINE and not shifted:
                values = without_shift(operation, place, values)
            else:
                values = again(operation, {place: values})[0]
        return values

    def handed_out(self, received: Any) -> Any:
        """Relevance of the kernel's inputs as relevance of `inputs`: a shift takes none."""
        for step in reversed(self.before):
            if step.operation.type not in AFFINE:
                received = transposed(step.operation, [step.place], {0: received})[0]
        return received


def weighted_layer(operation: Any, flow: Flow) -> WeightedLayer | None:
    """Find the weighted layer that ends at an operation, or None.

    A bias and a batch normalization behind the kernel, or a batch normalization in front of
    it, belong to it unless what lies between is one of the inputs asked about. What others
    read of that, and hand back to it, goes its own way from there.
    """
    behind = _chain_to_kernel(operation, flow)
    if behind is None:
        return None
    kernel, *following = behind
    whole = ChannelAffine(operation.outputs[0].dtype)
    for step in following:
        if step.operation.type in AFFINE and not whole.then(step.operation, step.place):
            return None
    weights = kernel.operation.inputs[1 if kernel.place != 1 else 0]
    if whole.scale is not None:
        weights = _scaled(kernel, weights, tf.cast(whole.scale, weights.dtype))
        if weights is None:
            return None
    after = tuple(step for step in following if step.operation.type not in AFFINE)
    layer = WeightedLayer(kernel, weights, whole.shift, after, (), operation.outputs[0])
    return replace(layer, before=_chain_before(layer.kernel_inputs, flow))


def _chain_to_kernel(operation: Any, flow: Flow) -> list[Step] | None:
    """The steps from a kernel to an operation, both included; None where there is no kernel."""
    found: list[Step] = []
    while True:
        operands = flow.operands(operation)
        if len(operands) != 1:
            return None
        place, values = operands[0]
        found.append(Step(operation, place))
        if operation.type in CONVOLUTIONS | DENSE:
            return found[::-1] if _has_two_factors(found[-1]) else None
        if not (is_affine(operation, flow) or _keeps_channels(operation, values)):
            return None
        if flow.is_edge(values):
            return None
        operation = values.op


def _has_two_factors(kernel: Step) -> bool:
    """Whether the kernel is one constant, and the values are not its weights."""
    operation, place = kernel.operation, kernel.place
    if operation.type in ("Conv2DBackpropInput", "Conv3DBackpropInputV2"):
        return place == 2
    if operation.type in CONVOLUTIONS:
        return place == 0
    return len(operation.inputs) == 2


def _keeps_channels(operation: Any, values: Any) -> bool:
    if operation.type not in KEEPING_CHANNELS:
        return False
    before, after = values.shape, operation.outputs[0].shape
    return bool(before.rank and after.rank and before[-1] and before[-1] == after[-1])


def _scaled(kernel: Step, weights: Any, scale: Any) -> Any:
    """Fold an output scale `(channel,)` into weights; None where that is not known."""
    operation, kind = kernel.operation, kernel.operation.type
    if "data_format" in operation.node_def.attr:
        if operation.get_attr("data_format").startswith(b"NC"):
            return None
        if kind == "DepthwiseConv2dNative":
            alike = scale.shape[0] == 1
            return weights * (scale if alike else tf.reshape(scale, weights.shape[2:]))
        return weights * (scale[:, None] if "Backprop" in kind else scale)
    if kind == "Einsum" or kernel.place != 0:
        return None
    attribute = "transpose_b" if kind == "MatMul" else "adj_y"
    return weights * (scale[:, None] if operation.get_attr(attribute) else scale)


def _chain_before(values: Any, flow: Flow) -> tuple[Step, ...]:
    """Steps in front of a kernel that scale, shift or move, as far back as they go.

    None of them where they lead to another kernel: then they are folded into that one.
    """
    found: list[Step] = []
    values = flow.origin(values)
    while not flow.is_edge(values):
        operation = values.op
        operands = flow.operands(operation)
        if operation.type in CONVOLUTIONS | DENSE:
            return ()
        if len(operands) != 1 or flow.activation_source(values) is not None:
            break
        place, values = operands[0]
        alike = is_affine(operation, flow) and same_shape(values, operation.outputs[0])
        if operation.type not in BEFORE and not alike:
            break
        found.append(Step(operation, place))
    return tuple(reversed(found))
