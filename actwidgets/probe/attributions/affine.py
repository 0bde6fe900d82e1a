"""Operations that scale and shift each channel by constants: biases and normalisations."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from actwidgets.probe.attributions.flow import Flow
from actwidgets.probe.attributions.operations import again

ADDITIONS = frozenset(("Add", "AddV2", "BiasAdd", "Sub"))
SCALINGS = frozenset(("Div", "DivNoNan", "Mul", "Neg", "RealDiv"))
NORMALISATIONS = frozenset(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"))
AFFINE = ADDITIONS | SCALINGS | NORMALISATIONS


def is_affine(operation: Any, flow: Flow) -> bool:
    """Whether it multiplies and adds constants to the one tensor that depends on the input."""
    places = [place for place, _ in flow.operands(operation)]
    if operation.type not in AFFINE or len(places) != 1:
        return False
    if operation.type in NORMALISATIONS:
        return places == [0] and not operation.get_attr("is_training")
    return places == [0] or "Div" not in operation.type


def normalisation(operation: Any) -> tuple[Any, Any]:
    """Scale and shift of a batch normalisation that is not training, `(channel,)` each."""
    _, gamma, beta, mean, variance = operation.inputs
    scale = gamma * tf.math.rsqrt(variance + operation.get_attr("epsilon"))
    return scale, beta - mean * scale


def without_shift(operation: Any, place: int, values: Any) -> Any:
    """What an affine operation makes of some values, but for the constant it adds.

    Args:
        operation: For which `is_affine` is true.
        place: Of the operand in whose place the values are.
        values: In the shape of that operand.
    """
    if operation.type in NORMALISATIONS:
        beta, mean = operation.inputs[2:4]
        return again(operation, {0: values, 2: tf.zeros_like(beta), 3: tf.zeros_like(mean)})[0]
    if operation.type in ADDITIONS:
        return -values if operation.type == "Sub" and place == 1 else values
    return again(operation, {place: values})[0]


class ChannelAffine:
    """`scale * values + shift` per channel of the last axis, put together step by step.

    Args:
        dtype: Of both.

    Attributes:
        scale: `(channel,)`, `(1,)`, or None for 1.
        shift: `(channel,)`, `(1,)`, or None for 0.
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
        elif operation.type in NORMALISATIONS:
            scale, shift = normalisation(operation)
            self._scale(tf.cast(scale, self._dtype))
            self._shift(tf.cast(shift, self._dtype))
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
    if operation.type in NORMALISATIONS:
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
