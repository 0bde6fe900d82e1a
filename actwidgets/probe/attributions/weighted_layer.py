"""A layer with weights as a traced graph has it: an operation, and what is folded into it."""

from dataclasses import dataclass, replace
from typing import Any

import tensorflow as tf

from actwidgets.probe.attributions.affine import (
    ADDITIONS,
    AFFINE,
    NORMALISATIONS,
    ChannelAffine,
    is_affine,
    without_shift,
)
from actwidgets.probe.attributions.flow import Flow
from actwidgets.probe.attributions.operations import (
    CONVOLUTIONS,
    COPIES,
    DENSE,
    again,
    same_shape,
    transposed,
)

KEEPING_CHANNELS = ("BatchToSpaceND", "Cast", "ExpandDims", "Identity", "Reshape", "Squeeze")
BEFORE = COPIES - {  # of one operand, and adding nothing
    *("ConcatV2", "IdentityN", "Pack", "PadV2", "SelectV2", "Split", "SplitV", "Unpack"),
}


@dataclass(frozen=True)
class Step:
    """One operation of a chain, and the place of the operand that the chain goes through."""

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
        return any(step.operation.type in ADDITIONS | NORMALISATIONS for step in self.before)

    def apply(self, values: Any, weights: Any) -> Any:
        """`weights · values`, without any shift.

        Args:
            values: In the shape of `kernel_inputs`.
            weights: In the shape of `weights`.
        """
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
        """What the kernel would be given where `inputs` held these values.

        Args:
            values: In the shape of `inputs`.
            shifted: Whether to add what is added on the way.
        """
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
    """The layer with weights that ends at an operation, or None.

    A bias and a batch normalisation behind the kernel, or a batch normalisation in front of
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
    """Weights times a scale `(channel,)` of what is put out; None where that is not known."""
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
    """The steps in front of a kernel that scale, shift or move, as far back as they go.

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
