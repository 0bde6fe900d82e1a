"""Layer-wise relevance propagation as a backward walk over the operations of a traced graph.

A graph is alike however its model was written: nested, shared, subclassed, with activations
of their own or as arguments. Relevance is handed back operation by operation:

- Layers with weights follow `LrpRules`; a bias and a batch normalisation are folded into them.
- Sums, means and biases share it among the summands in proportion (epsilon rule). A constant
  summand takes its share and keeps it.
- Maxima give it to the winner; what moves numbers moves it.
- Any function number by number (ReLU, sigmoid, GELU, …) hands it on unchanged, as is usual.
- What multiplies two things that both depend on the input, and all else, is refused.
"""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from actwidgets.core.attributions.lrp_rules import LrpRules
from actwidgets.errors import LayerError
from actwidgets.probe.attributions.affine import NORMALISATIONS, is_affine
from actwidgets.probe.attributions.flow import Flow
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
from actwidgets.probe.attributions.relevance_rules import handed_back, shared
from actwidgets.probe.attributions.weighted_layer import weighted_layer

Parts = list[tuple[Any, Any]]  # tensors, each with what is handed to it


def relevance(
    outputs: tf.Tensor,
    start: tf.Tensor,
    inputs: Sequence[tf.Tensor],
    rules: LrpRules,
    layer_of: Callable[[Any], str],
) -> list[tf.Tensor]:
    """Hand relevance back from outputs to inputs, in the graph that is built now.

    Args:
        outputs: Scores before a softmax, `(sample, class)`.
        start: What is handed back, in their shape: the score of the target, 0 elsewhere.
        inputs: Tensors of the same graph; what arrives at one is also handed on to those
            that it depends on.
        rules: Which rule, where.
        layer_of: Says in words which layer an operation belongs to, as `layer_names` does.

    Returns:
        One tensor per input, in its shape; zeros where nothing arrives.

    Raises:
        LayerError: A layer through which it cannot be handed; says which.
        ShapeError: A box with another number of channels than the input.

    Cost: for the epsilon rule, about one forward and one backward pass.
    """
    return _Walk(outputs, inputs, rules, layer_of).run(start)


class _Walk:
    def __init__(
        self, outputs: Any, inputs: Sequence[Any], rules: LrpRules, layer_of: Callable[[Any], str]
    ) -> None:
        self._outputs, self._inputs, self._rules = outputs, inputs, rules
        self._layer_of = layer_of
        self._flow = Flow(outputs, inputs)
        self._has_boxed = False

    def run(self, start: Any) -> list[Any]:
        found = {self._outputs.ref(): start}
        for operation in reversed(self._flow.operations):
            received = {
                output.value_index: found[output.ref()]
                for output in operation.outputs
                if output.ref() in found
            }
            if not received or not self._flow.operands(operation):
                continue
            for tensor, part in self._handed_back(operation, received):
                before = found.get(tensor.ref())
                found[tensor.ref()] = part if before is None else before + part
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
        layer = weighted_layer(operation, flow)
        if layer is not None:
            self._has_boxed |= flow.is_input(layer.inputs)
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
        source = flow.elementwise_source(operation.outputs[0])
        if source is not None:
            return [(source, received[0])]
        raise self._refusal(operation)

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

    def _refusal(self, operation: Any) -> LayerError:
        kind = operation.type
        why = "for which there is no rule"
        if kind in PRODUCTS | DENSE | CONVOLUTIONS and len(self._flow.operands(operation)) > 1:
            why = "of two things that both depend on the input"
        return LayerError(
            f"relevance cannot be handed back through {self._layer_of(operation)}: it holds a "
            f"{kind} {why}; take another method, such as integrated_gradients"
        )
