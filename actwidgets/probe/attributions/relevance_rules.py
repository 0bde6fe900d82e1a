"""The rules by which a layer with weights hands relevance back: epsilon, gamma, alpha-beta, z^B.

In all of them an input takes part of what arrives at an output in proportion to what it
contributed to it: its value times the weight. They differ in which contributions count.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from actwidgets.core.attributions.lrp_rules import LrpRules
from actwidgets.errors import ShapeError
from actwidgets.probe.attributions.flow import Flow
from actwidgets.probe.attributions.operations import CHOICES, COPIES
from actwidgets.probe.attributions.weighted_layer import WeightedLayer

ABOVE_ZERO = frozenset(("Abs", "Exp", "Relu", "Relu6", "Sigmoid", "Softplus", "Square"))
SAME_SIGN = COPIES | CHOICES | {"Add", "AddN", "AddV2", "AvgPool", "AvgPool3D", "Mean", "Sum"}


def shared(received: Any, total: Any, epsilon: float) -> Any:
    """What arrived, by unit of what it is shared by; nothing where that is 0."""
    if epsilon:
        away = tf.constant(epsilon, total.dtype)
        total += tf.where(total < 0, -away, away)
    return tf.math.divide_no_nan(received, total)


def handed_back(layer: WeightedLayer, received: Any, rules: LrpRules, flow: Flow) -> Any:
    """Relevance of a layer's outputs as relevance of its inputs.

    Args:
        layer: The layer.
        received: In the shape of `layer.outputs`.
        rules: Which rule, where.
        flow: What lies around the layer.

    Returns:
        In the shape of `layer.inputs`.

    Cost: one backward step for epsilon; for gamma, between ReLUs, one forward step more; two
    and up to four of both for the others.
    """
    rule = rules.rule
    if rule == "composite":
        rule = "gamma" if layer.is_convolution else "epsilon"
    if rules.box is not None and flow.is_input(layer.inputs):
        return layer.handed_out(_boxed(layer, received, rules))
    inputs = layer.kernel_inputs
    if layer.shifts_before:
        inputs = layer.carried_in(layer.inputs, shifted=False)
    if rule == "epsilon":
        found = _by_epsilon(layer, inputs, received, rules)
    else:
        signed = _Signed(layer, inputs, above_zero=_is_above_zero(inputs, flow))
        found = _BY_SIGN[rule](signed, received, rules, flow)
    return layer.handed_out(found)


def _by_epsilon(layer: WeightedLayer, inputs: Any, received: Any, rules: LrpRules) -> Any:
    share = shared(received, layer.outputs, rules.epsilon)
    return inputs * layer.transposed(share, layer.weights)


class _Signed:
    """A layer's contributions parted by their sign, biases included."""

    def __init__(self, layer: WeightedLayer, inputs: Any, *, above_zero: bool) -> None:
        self.layer, self.inputs = layer, inputs
        self._up, self._down = tf.nn.relu(layer.weights), -tf.nn.relu(-layer.weights)
        self._above = inputs if above_zero else tf.nn.relu(inputs)
        self._below = None if above_zero else -tf.nn.relu(-inputs)
        shift = layer.shift
        if layer.shifts_before:
            added = layer.apply(layer.kernel_inputs - inputs, layer.weights)
            shift = added if shift is None else added + shift
        self._shift = shift

    def for_it(self) -> Any:
        """The sum of what speaks for each output."""
        return self._sum(self._up, self._down, tf.nn.relu)

    def against_it(self) -> Any:
        """The sum of what speaks against each output; at most 0."""
        return self._sum(self._down, self._up, lambda shift: -tf.nn.relu(-shift))

    def to_those_for(self, share: Any) -> Any:
        """A share of each output for every contribution that speaks for it."""
        return self._back(share, self._up, self._down)

    def to_those_against(self, share: Any) -> Any:
        """A share of each output for every contribution that speaks against it."""
        return self._back(share, self._down, self._up)

    def to_all(self, share: Any) -> Any:
        """A share of each output for every contribution."""
        return self.inputs * self.layer.transposed(share, self.layer.weights)

    def _sum(self, weights: Any, of_negative: Any, part: Any) -> Any:
        total = self.layer.apply(self._above, weights)
        if self._below is not None:
            total += self.layer.apply(self._below, of_negative)
        return total if self._shift is None else total + part(self._shift)

    def _back(self, share: Any, weights: Any, of_negative: Any) -> Any:
        found = self._above * self.layer.transposed(share, weights)
        if self._below is not None:
            found += self._below * self.layer.transposed(share, of_negative)
        return found


def _by_gamma(signed: _Signed, received: Any, rules: LrpRules, flow: Flow) -> Any:
    """What agrees in sign with an output counts more (Andéol 2021; Montavon 2019 behind ReLUs)."""
    outputs = signed.layer.outputs
    rising = outputs > 0
    agreeing = signed.for_it()
    only_rising = flow.readers_are(outputs, ("Relu", "Relu6"))
    if not only_rising:
        agreeing = tf.where(rising, agreeing, signed.against_it())
    share = shared(received, outputs + rules.gamma * agreeing, rules.epsilon)
    nothing = tf.zeros_like(share)
    more = signed.to_those_for(tf.where(rising, share, nothing))
    if not only_rising:
        more += signed.to_those_against(tf.where(rising, nothing, share))
    return signed.to_all(share) + rules.gamma * more


def _by_alpha_beta(signed: _Signed, received: Any, rules: LrpRules, _flow: Flow) -> Any:
    """`alpha` of it to what speaks for an output, less `alpha - 1` to what speaks against it.

    Where nothing speaks against it, or nothing for it, the others get all: no part is lost.
    """
    up, down = signed.for_it(), signed.against_it()
    one = tf.ones_like(up)
    to_up = tf.where(down < 0, rules.alpha * one, one)
    to_down = tf.where(up > 0, (1 - rules.alpha) * one, one)
    found = signed.to_those_for(shared(received * to_up, up, rules.epsilon))
    return found + signed.to_those_against(shared(received * to_down, down, rules.epsilon))


_BY_SIGN = {"gamma": _by_gamma, "alpha_beta": _by_alpha_beta}


def _boxed(layer: WeightedLayer, received: Any, rules: LrpRules) -> Any:
    """How far each value is from the end of the box that speaks least for the output (z^B)."""
    ends = [layer.carried_in(_filled(layer.inputs, end), shifted=True) for end in rules.box]
    low, high = tf.minimum(*ends), tf.maximum(*ends)
    up, down = tf.nn.relu(layer.weights), -tf.nn.relu(-layer.weights)
    values = layer.kernel_inputs
    total = layer.apply(values, layer.weights) - layer.apply(low, up) - layer.apply(high, down)
    share = shared(received, total, rules.epsilon)
    return (
        values * layer.transposed(share, layer.weights)
        - low * layer.transposed(share, up)
        - high * layer.transposed(share, down)
    )


def _filled(inputs: Any, end: Any) -> Any:
    """An end of the box in the shape of the inputs."""
    values = np.asarray(end)
    if values.ndim and len(values) not in (1, inputs.shape[-1]):
        raise ShapeError(
            f"box has {len(values)} values, one for each channel; "
            f"the input {tuple(inputs.shape)[1:]} has {inputs.shape[-1]}"
        )
    return tf.zeros_like(inputs) + tf.constant(values, inputs.dtype)


def _is_above_zero(tensor: Any, flow: Flow) -> bool:
    """Whether a tensor is known to hold no negative number."""
    tensor = flow.origin(tensor)
    operation = tensor.op
    if operation.type in ABOVE_ZERO:
        return True
    if operation.type not in SAME_SIGN or flow.is_input(tensor):
        return False
    operands = [each for each in operation.inputs if not each.dtype.is_integer]
    known = operands and all(flow.origin(each).ref() in flow.carried for each in operands)
    return bool(known) and all(_is_above_zero(each, flow) for each in operands)
