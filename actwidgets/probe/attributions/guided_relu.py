"""What becomes of the gradient at a ReLU that is guided."""

from typing import Any

import tensorflow as tf

GUIDED = {
    "Relu": "ActwidgetsGuidedRelu",
    "Relu6": "ActwidgetsGuidedRelu6",
    "Maximum": "ActwidgetsGuidedMaximum",
}


def is_relu(operation: Any) -> bool:
    """Whether an operation of a graph is a ReLU; `maximum(x, 0)` is one."""
    if operation.type == "Maximum":
        return any(map(_is_zero, operation.inputs))
    return operation.type in GUIDED


@tf.RegisterGradient(GUIDED["Relu"])
def _guided_relu(operation: Any, gradient: Any) -> Any:
    return tf.raw_ops.ReluGrad(gradients=tf.nn.relu(gradient), features=operation.outputs[0])


@tf.RegisterGradient(GUIDED["Relu6"])
def _guided_relu6(operation: Any, gradient: Any) -> Any:
    return tf.raw_ops.Relu6Grad(gradients=tf.nn.relu(gradient), features=operation.outputs[0])


@tf.RegisterGradient(GUIDED["Maximum"])
def _guided_maximum(operation: Any, gradient: Any) -> list[Any]:
    one, other = operation.inputs
    if is_relu(operation):
        gradient = _kept(gradient, (gradient > 0) & (operation.outputs[0] > 0))
    return [
        _of_shape(_kept(gradient, one >= other), one),
        _of_shape(_kept(gradient, one < other), other),
    ]


def _kept(gradient: Any, where: Any) -> Any:
    return tf.where(where, gradient, tf.zeros_like(gradient))


def _of_shape(gradient: Any, tensor: Any) -> Any:
    """Added up along the axes along which a tensor was repeated."""
    shape = tf.shape(tensor)
    axes, _ = tf.raw_ops.BroadcastGradientArgs(s0=shape, s1=tf.shape(gradient))
    return tf.reshape(tf.reduce_sum(gradient, axes), shape)


def _is_zero(tensor: Any) -> bool:
    value = tf.get_static_value(tensor)
    return value is not None and not value.any()
