"""Layer-wise relevance propagation as a backward walk over the operations of a traced graph.

A graph is alike however its model was written: nested, shared, subclassed, with activations
of their own or as arguments. Relevance is handed back operation by operation:

- Layers with weights follow `LrpRules`; a bias and a batch normalisation are folded into them.
- Sums, means and biases share it among the summands in proportion (epsilon rule). A constant
  summand takes its share and keeps it.
- Maxima give it to the winner; what moves numbers moves it.
- Any function number by number (ReLU, sigmoid, GELU, …) hands it on unchanged, as is usual:
  all that one call of a layer does of this kind, with the constants at its beginning and end.
- Of a product with a gate (a sigmoid) or with the size of what is normalized, the other factor
  takes all; recurrent layers are gone through step by step.
- What multiplies two other things that both depend on the input, and all else, is refused.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from actwidgets.core.attributions.lrp_rules import LrpRules
from actwidgets.errors import LayerError
from actwidgets.probe.attributions.affine import NORMALISATIONS, is_affine
from actwidgets.probe.attributions.flow import Flow
from actwidgets.probe.attributions.gates import signal_place
from actwidgets.probe.attributions.layer_names import LayerNames
from actwidgets.probe.attributions.operations import (
    CHOICES,
    CONVOLUTIONS,
    COPIES,
    DENSE,
    PRODUCTS,
    SUMS,
    same_shape,
    transposed,
)
from actwidgets.probe.attributions.recurrent import RecurrentCall, recurrent_calls
from actwidgets.probe.attributions.relevance_rules import handed_back, shared
from actwidgets.probe.attributions.weighted_layer import weighted_layer

Parts = list[tuple[Any, Any]]  # tensors, each with what is handed to it


def relevance(
    outputs: tf.Tensor,
    start: tf.Tensor,
    inputs: Sequence[tf.Tensor],
    rules: LrpRules,
    names: LayerNames,
    weights: Sequence[tuple[Any, Any]] = (),
) -> list[tf.Tensor]:
    """Hand relevance back from outputs to inputs, in the graph that is built now.

    Args:
        outputs: Scores before a softmax, `(sample, class)`.
        start: What is handed back, in their shape: the score of the target, 0 elsewhere.
        inputs: Tensors of the same graph; what arrives at one is also handed on to those
            that it depends on.
        rules: Which rule, where.
        names: Of the layers that operations belong to.
        weights: Variables, each with the one that stands in for it.

    Returns:
        One tensor per input, in its shape; zeros where nothing arrives.

    Raises:
        LayerError: A layer through which it cannot be handed; says which.
        ShapeError: A box with another number of channels than the input.

    Cost: for the epsilon rule, about one forward and one backward pass.
    """
    return _Walk(outputs, inputs, rules, names, weights).run(start)


class _Walk:
    def __init__(
        self,
        outputs: Any,
        inputs: Sequence[Any],
        rules: LrpRules,
        names: LayerNames,
        weights: Sequence[tuple[Any, Any]],
    ) -> None:
        self._outputs, self._inputs, self._rules = outputs, inputs, rules
        self._names, self._weights = names, weights
        self._flow = Flow(outputs, inputs, names)
        self._has_boxed = False

    def run(self, start: Any) -> list[Any]:
        origin = self._flow.origin
        found = {origin(self._outputs).ref(): start}
        calls = recurrent_calls(self._flow, self._names)
        call_of = {operation: call for call in calls for operation in call.operations}
        for operation in reversed(self._flow.operations):
            if operation in call_of:
                if call_of[operation] not in calls:
                    continue
                calls.remove(call_of[operation])  # all of it at once, where its last is reached
                parts = self._through_steps(call_of[operation], found)
            else:
                received = {
                    output.value_index: found[output.ref()]
                    for output in operation.outputs
                    if output.ref() in found
                }
                if not received or not self._flow.operands(operation):
                    continue
                parts = self._handed_back(operation, received)
            for tensor, part in parts:
                before = found.get(origin(tensor).ref())
                found[origin(tensor).ref()] = part if before is None else before + part
        if self._rules.box is not None and not self._has_boxed:
            raise LayerError(
                "box is for layers with weights that read the input, and in this model none does "
                "so directly: leave it out"
            )
        return [
            found[each.ref()] if each.ref() in found else tf.zeros_like(each)
            for each in self._inputs
        ]

    def _handed_back(self, operation: Any, received: dict[int, Any]) -> Parts:
        flow, kind = self._flow, operation.type
        if [*received] == [0]:
            source = flow.activation_source(operation.outputs[0])
            if source is not None:
                return [(source, received[0])]
        layer = weighted_layer(operation, flow)
        if layer is not None:
            self._has_boxed |= flow.is_input(flow.origin(layer.inputs))
            return [(layer.inputs, handed_back(layer, received[0], self._rules, flow))]
        operands = flow.operands(operation)
        if kind in COPIES or (kind in CHOICES and not self._is_bound(operation)):
            return self._moved(operation, received)
        if kind in SUMS or (kind == "Einsum" and len(operation.inputs) == 1):
            return self._shared_out(operation, received[0])
        if is_affine(operation, flow):
            if kind in NORMALISATIONS or not same_shape(operands[0][1], operation.outputs[0]):
                return self._shared_out(operation, received[0])
            return [(operands[0][1], received[0])]
        if self._is_by_sample(operation):
            return [(operands[0][1], self._by_sample(operation, received[0]))]
        source = flow.elementwise_source(operation.outputs[0])
        if source is not None:
            return [(source, received[0])]
        place = signal_place(operation, flow)
        if place is not None:
            return self._to_signal(operation, dict(operands)[place], place, received[0])
        raise self._refusal(operation)

    def _through_steps(self, call: RecurrentCall, found: Mapping[Any, Any]) -> Parts:
        received = [found.get(tensor.ref()) for tensor, _ in call.outputs]
        if all(each is None for each in received):
            return []
        handed = call.handed_back(received, self._value, self._rules.epsilon)
        return [(call.sequence, handed)]

    def _value(self, variable: Any) -> Any:
        """A variable, or what stands in for it, as the graph holds it."""
        others = {id(one): other for one, other in self._weights}
        held = others.get(id(variable), getattr(variable, "value", variable))
        held = held if hasattr(held, "handle") else variable
        for outside, inside in self._outputs.graph.captures:
            if outside is held.handle:
                return tf.raw_ops.ReadVariableOp(resource=inside, dtype=held.dtype)
        return tf.convert_to_tensor(held)

    def _to_signal(self, operation: Any, signal: Any, place: int, received: Any) -> Parts:
        """All to one factor of a product; in proportion where that is used several times."""
        if same_shape(signal, operation.outputs[0]):
            return [(signal, received)]
        share = shared(received, operation.outputs[0], self._rules.epsilon)
        return [(signal, signal * transposed(operation, [place], {0: share})[0])]

    def _is_bound(self, operation: Any) -> bool:
        """Whether a maximum or minimum is taken with a constant: then it is an activation."""
        n_values = sum(each.dtype.is_floating for each in operation.inputs)
        return n_values == 2 and len(self._flow.operands(operation)) == 1

    def _moved(self, operation: Any, received: dict[int, Any]) -> Parts:
        places, tensors = zip(*self._flow.operands(operation), strict=True)
        return list(zip(tensors, transposed(operation, places, received), strict=True))

    def _shared_out(self, operation: Any, received: Any) -> Parts:
        share = shared(received, operation.outputs[0], self._rules.epsilon)
        return [(tensor, tensor * part) for tensor, part in self._moved(operation, {0: share})]

    def _is_by_sample(self, operation: Any) -> bool:
        """Whether it normalizes each sample by itself: tf_keras makes a channel of each."""
        places = [place for place, _ in self._flow.operands(operation)]
        return (
            operation.type in NORMALISATIONS and places == [0] and operation.inputs[0].shape[0] == 1
        )

    def _by_sample(self, operation: Any, received: Any) -> Any:
        """Through a normalization by the values it is given: their deviation is a constant."""
        values, scale = operation.inputs[0], operation.inputs[1]
        first = operation.get_attr("data_format").startswith(b"NC")
        axes = (0, 2, 3) if first else (0, 1, 2)
        scale = scale[:, None, None] if first else scale
        variance = tf.math.reduce_variance(values, axes, keepdims=True)
        scale *= tf.math.rsqrt(variance + operation.get_attr("epsilon"))
        share = scale * shared(received, operation.outputs[0], self._rules.epsilon)
        return values * (share - tf.reduce_mean(share, axes, keepdims=True))

    def _refusal(self, operation: Any) -> LayerError:
        kind = operation.type
        why = "for which there is no rule"
        if kind in PRODUCTS | DENSE | CONVOLUTIONS and len(self._flow.operands(operation)) > 1:
            why = "of two things that both depend on the input"
        return LayerError(
            f"relevance cannot be handed back through {self._names(operation)}: it holds a "
            f"{kind} {why}; take another method, such as integrated_gradients"
        )
