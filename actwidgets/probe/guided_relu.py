"""Guided backpropagation: find the ReLUs of a graph and override their gradient.

PReLU, hard sigmoids, ReLUs with a slope and others are made of operations of the same name:
these are part of another activation, and left as they are.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import attr_value_pb2

from actwidgets.errors import ModelError
from actwidgets.probe.compiled import operations_behind
from actwidgets.probe.graph_ops import ELEMENTWISE, LayerNames
from actwidgets.probe.receptive_fields import CALLS

GUIDED = {
    "Relu": "ActwidgetsGuidedRelu",
    "Relu6": "ActwidgetsGuidedRelu6",
    "Maximum": "ActwidgetsGuidedMaximum",
}
_MARK = "_gradient_op_type"  # what TensorFlow looks for before it takes an operation's own
NAMED = 3  # layers that a note spells out
_OTHERS = {
    **{each: each for each in ("Elu", "Selu", "LeakyRelu", "Softplus", "Softsign", "Tanh")},
    **{"Erf": "GELU", "Erfc": "GELU", "Sigmoid": "sigmoid"},
}
_CALLS = ("While", "StatelessWhile", "If", "StatelessIf", *CALLS)


def guide(operations: Sequence[Any], names: LayerNames) -> None:
    """Override the gradient at every ReLU of a graph, before any gradient in it is asked for."""
    for operation in operations:
        if _is_like_relu(operation) and not _is_part_of_another(operation, names):
            guided = GUIDED[operation.type].encode()
            operation._set_attr(_MARK, attr_value_pb2.AttrValue(s=guided))


def require_relu(score: Any, points: Sequence[Any], names: LayerNames) -> str:
    """Refuse a model without a ReLU on the way, or with one that cannot be guided.

    Returns:
        A sentence on the activations that are not guided; "" where all are.
    """
    behind = operations_behind([score])
    on_the_way = behind & _in_front_of({point.op for point in points}, behind)
    if any(_holds_relu(operation) for operation in on_the_way):
        raise ModelError(
            "a ReLU inside a loop or a branch of this model cannot be guided: take another method"
        )
    plain = [each for each in on_the_way if _is_like_relu(each) and not _is_guided(each)]
    plain += [each for each in on_the_way if _is_thresholded(each)]
    others = {names(each) for each in plain}
    if not any(map(_is_guided, on_the_way)):
        others |= {_OTHERS[each.type] for each in on_the_way if each.type in _OTHERS}
        said = f" (but {', '.join(sorted(others))})" if others else ""
        raise ModelError(
            "guided methods change the gradient of ReLUs, and between the input and the score "
            f"there is none{said}: take another method"
        )
    others |= {names(each) for each in on_the_way if each.type in _OTHERS}
    if not others:
        return ""
    named = sorted(others)
    more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
    return (
        f"Only ReLUs are guided: the gradient is the plain one at {', '.join(named[:NAMED])}{more}."
    )


def _in_front_of(sources: set[Any], behind: set[Any]) -> set[Any]:
    """Operations among `behind` that depend on the sources."""
    found = set(sources)
    for operation in sorted(behind, key=lambda each: each._id):
        if any(each.op in found for each in operation.inputs):
            found.add(operation)
    return found


def _holds_relu(operation: Any) -> bool:
    """Whether an operation calls a function in which there is a ReLU."""
    if operation.type not in _CALLS:
        return False
    graph = operation.graph
    names = [
        operation.get_attr(each).name
        for each in ("body", "f", "then_branch", "else_branch")
        if each in operation.node_def.attr
    ]
    functions = {name: graph._get_function(name) for name in names}
    return any(
        node.op in ("Relu", "Relu6")
        for function in functions.values()
        if function is not None
        for node in function.cached_definition.node_def
    )


def _is_guided(operation: Any) -> bool:
    """Whether the gradient at an operation is the guided one."""
    return _MARK in operation.node_def.attr and operation.type in GUIDED


def _is_like_relu(operation: Any) -> bool:
    """Whether an operation is a ReLU by its values, `maximum(x, 0)` included."""
    if operation.type == "Maximum":
        return any(map(_is_zero, operation.inputs))
    return operation.type in GUIDED


def _is_thresholded(operation: Any) -> bool:
    """Whether an operation is a thresholded ReLU: `x * (x > t)`, or `where(x > t, x, …)`.

    `ReLU(threshold=…)` is made so. The gradient there is the plain one.
    """
    if operation.type in ("Select", "SelectV2"):
        chooser, values = operation.inputs[0], operation.inputs[1:]
        return any(_compares(chooser, each) for each in values)
    if operation.type != "Mul":
        return False
    one, other = operation.inputs
    return any(
        mask.op.type == "Cast" and _compares(mask.op.inputs[0], value)
        for mask, value in ((one, other), (other, one))
    )


def _compares(truth: Any, value: Any) -> bool:
    """Whether truth values tell where a value lies above a number, or below one."""
    if truth.op.type not in ("Greater", "GreaterEqual", "Less", "LessEqual"):
        return False
    compared = truth.op.inputs
    return any(each.ref() == value.ref() for each in compared) and any(map(_is_number, compared))


def _is_part_of_another(operation: Any, names: LayerNames) -> bool:
    """Whether a ReLU is a step of another elementwise function.

    It is where the layer's call goes two ways from the same numbers and joins them again
    (PReLU, hard SiLU), chooses, or shifts by a number what it cuts off on both sides.
    """
    if names.is_whole(operation):
        return False
    before = _chain_before(operation, names)
    root = _value_of(before[-1] if before else operation)
    if root is None:
        return True
    kinds = {each.type for each in before}
    after = list(_behind(operation, names))
    kinds_after = {each.type for each in after}
    is_capped = operation.type == "Relu6" or "Minimum" in kinds | kinds_after
    is_shifted = any(each.type in ("Add", "AddV2", "Sub") for each in before)
    if "SelectV2" in kinds or (is_capped and is_shifted):
        return True
    own = {operation, *after}
    others = [each for one in after for each in one.inputs if each.op not in own]
    return any(_reaches(each, root, names) for each in others)


def _chain_before(operation: Any, names: LayerNames) -> list[Any]:
    """Elementwise operations in front of one in the same call that read one value and constants."""
    scope, found, value = names.scope(operation), list[Any](), _value_of(operation)
    while value is not None and names.scope(value.op) == scope:
        before = value.op
        value = _value_of(before) if before.type in ELEMENTWISE else None
        if value is None or not _reads_single_numbers(before, value):
            break
        found.append(before)
    return found


def _value_of(operation: Any) -> Any:
    """The operand that is no single number; None where there are several."""
    values = [each for each in operation.inputs if not _is_number(each) and not each.dtype.is_bool]
    return values[0] if len(values) == 1 else None


def _reads_single_numbers(operation: Any, value: Any) -> bool:
    others = [each for each in operation.inputs if each.ref() != value.ref()]
    return all(_is_number(each) or each.dtype.is_bool for each in others)


def _is_number(tensor: Any) -> bool:
    return tf.get_static_value(tensor) is not None or not tensor.shape.rank


def _behind(operation: Any, names: LayerNames) -> Iterator[Any]:
    """Elementwise operations behind one in the same call."""
    scope, seen = names.scope(operation), {operation}
    waiting = [operation]
    while waiting:
        for output in waiting.pop().outputs:
            for each in output.consumers():
                same = each.type in ELEMENTWISE and names.scope(each) == scope
                if same and each not in seen:
                    seen.add(each)
                    waiting.append(each)
                    yield each


def _reaches(tensor: Any, root: Any, names: LayerNames) -> bool:
    """Whether a tensor follows elementwise from the root within the same call."""
    scope, waiting, seen = names.scope(tensor.op), [tensor], set[Any]()
    while waiting:
        latest = waiting.pop()
        if latest.ref() == root.ref():
            return True
        inside = names.scope(latest.op) == scope and latest.op.type in ELEMENTWISE
        if inside and latest.ref() not in seen:
            waiting += latest.op.inputs
        seen.add(latest.ref())
    return False


@tf.RegisterGradient(GUIDED["Relu"])
def _guided_relu(operation: Any, gradient: Any) -> Any:
    return tf.raw_ops.ReluGrad(gradients=tf.nn.relu(gradient), features=operation.outputs[0])


@tf.RegisterGradient(GUIDED["Relu6"])
def _guided_relu6(operation: Any, gradient: Any) -> Any:
    return tf.raw_ops.Relu6Grad(gradients=tf.nn.relu(gradient), features=operation.outputs[0])


@tf.RegisterGradient(GUIDED["Maximum"])
def _guided_maximum(operation: Any, gradient: Any) -> list[Any]:
    one, other = operation.inputs
    if _is_like_relu(operation):
        gradient = _kept(gradient, (gradient > 0) & (operation.outputs[0] > 0))
    return [
        _of_shape(_kept(gradient, one >= other), one),
        _of_shape(_kept(gradient, one < other), other),
    ]


def _kept(gradient: Any, where: Any) -> Any:
    return tf.where(where, gradient, tf.zeros_like(gradient))


def _of_shape(gradient: Any, tensor: Any) -> Any:
    """Sum over the axes along which a tensor was broadcast."""
    shape = tf.shape(tensor)
    axes, _ = tf.raw_ops.BroadcastGradientArgs(s0=shape, s1=tf.shape(gradient))
    return tf.reshape(tf.reduce_sum(gradient, axes), shape)


def _is_zero(tensor: Any) -> bool:
    value = tf.get_static_value(tensor)
    return value is not None and not value.any()
