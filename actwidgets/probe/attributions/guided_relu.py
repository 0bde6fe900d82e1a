"""What becomes of the gradient at a ReLU that is guided."""

from typing import Any

import tensorflow as tf

GUIDED = {"Relu": "ActwidgetsGuidedRelu", "Relu6": "ActwidgetsGuidedRelu6"}


@tf.RegisterGradient(GUIDED["Relu"])
def _guided_relu(operation: Any, gradient: Any) -> Any:
    return tf.where((operation.outputs[0] > 0) & (gradient > 0), gradient, tf.zeros_like(gradient))


@tf.RegisterGradient(GUIDED["Relu6"])
def _guided_relu6(operation: Any, gradient: Any) -> Any:
    output = operation.outputs[0]
    return tf.where((output > 0) & (output < 6) & (gradient > 0), gradient, tf.zeros_like(gradient))
