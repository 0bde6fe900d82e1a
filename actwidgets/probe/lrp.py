"""Layer-wise relevance propagation: a backward walk over a traced graph.

In all of them an input takes part of what arrives at an output in proportion to what it
contributed to it: its value times the weight. They differ in which contributions count.

The graph of such a layer is a loop, so it is unrolled here from the layer's own weights. Each
step follows Arras et al. 2017 (arXiv:1706.07206): what is added up is shared in proportion
(epsilon rule), and of a product with a gate the signal takes all. So what arrives at `h` of an
LSTM goes to its cell, what arrives at a cell to the one before and to its candidate, and what
arrives at a candidate to the input and the state before, through their weights.

A graph is alike however its model was written: nested, shared, subclassed, with activations
of their own or as arguments. Relevance is handed back operation by operation:

- Layers with weights follow `LrpRules`; a bias and a batch normalization are folded into them.
- Sums, means and biases share it among the summands in proportion (epsilon rule). A constant
  summand takes its share and keeps it.
- Maxima give it to the winner; what moves numbers moves it.
- Any function number by number (ReLU, sigmoid, GELU, …) hands it on unchanged, as is usual:
  all that one call of a layer does of this kind, with the constants at its beginning and end.
- Of a product with a gate (a sigmoid) or with the size of what is normalized, the other factor
  takes all; recurrent layers are gone through step by step.
- What multiplies two other things that both depend on the input, and all else, is refused.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from actwidgets.core.attribution.base import LrpRules
from actwidgets.errors import LayerError, ShapeError
from actwidgets.probe.frameworks import frameworks
from actwidgets.probe.graph_ops import (
    CHOICES,
    CONVOLUTIONS,
    COPIES,
    DENSE,
    PRODUCTS,
    SUMS,
    Flow,
    LayerNames,
    same_shape,
    transposed,
)
from actwidgets.probe.lrp_layers import (
    NORMALIZATIONS,
    WeightedLayer,
    is_affine,
    signal_place,
    weighted_layer,
)

ABOVE_ZERO = frozenset(("Abs", "Exp", "Relu", "Relu6", "Sigmoid", "Softplus", "Square"))
SAME_SIGN = COPIES | CHOICES | {"Add", "AddN", "AddV2", "AvgPool", "AvgPool3D", "Mean", "Sum"}


def shared(received: Any, total: Any, epsilon: float) -> Any:
    """Divide relevance by its denominator; 0 where that is 0."""
    if epsilon:
        away = tf.constant(epsilon, total.dtype)
        total += tf.where(total < 0, -away, away)
    return tf.math.divide_no_nan(received, total)


def handed_back(layer: WeightedLayer, received: Any, rules: LrpRules, flow: Flow) -> Any:
    """Propagate the relevance of a layer's outputs, in their shape, to its inputs.

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
        share = shared(received, layer.outputs, rules.epsilon)
        found = inputs * layer.transposed(share, layer.weights)
    else:
        signed = _Signed(layer, inputs, above_zero=_is_above_zero(inputs, flow))
        found = _BY_SIGN[rule](signed, received, rules, flow)
    return layer.handed_out(found)


class _Signed:
    """A layer's contributions by sign, biases included: 1 for an output, -1 against it."""

    def __init__(self, layer: WeightedLayer, inputs: Any, *, above_zero: bool) -> None:
        self.layer, self.inputs = layer, inputs
        up, down = tf.nn.relu(layer.weights), -tf.nn.relu(-layer.weights)
        self._weights = {1: (up, down), -1: (down, up)}  # of inputs above zero, and below
        self._above = inputs if above_zero else tf.nn.relu(inputs)
        self._below = None if above_zero else -tf.nn.relu(-inputs)
        shift = layer.shift
        if layer.shifts_before:
            added = layer.apply(layer.kernel_inputs - inputs, layer.weights)
            shift = added if shift is None else added + shift
        self._shift = shift

    def total(self, sign: int) -> Any:
        """The sum of the evidence for each output, or of that against it: at most 0."""
        of_above, of_below = self._weights[sign]
        total = self.layer.apply(self._above, of_above)
        if self._below is not None:
            total += self.layer.apply(self._below, of_below)
        if self._shift is None:
            return total
        return total + (tf.nn.relu(self._shift) if sign > 0 else -tf.nn.relu(-self._shift))

    def back(self, share: Any, sign: int) -> Any:
        """A share of each output for every contribution of a sign."""
        of_above, of_below = self._weights[sign]
        found = self._above * self.layer.transposed(share, of_above)
        if self._below is not None:
            found += self._below * self.layer.transposed(share, of_below)
        return found


def _by_gamma(signed: _Signed, received: Any, rules: LrpRules, flow: Flow) -> Any:
    """LRP-gamma, generalized to both signs (Andéol 2021; Montavon 2019 behind ReLUs)."""
    layer, outputs = signed.layer, signed.layer.outputs
    rising = outputs > 0
    agreeing = signed.total(1)
    only_rising = flow.readers_are(outputs, ("Relu", "Relu6"))
    if not only_rising:
        agreeing = tf.where(rising, agreeing, signed.total(-1))
    share = shared(received, outputs + rules.gamma * agreeing, rules.epsilon)
    nothing = tf.zeros_like(share)
    more = signed.back(tf.where(rising, share, nothing), 1)
    if not only_rising:
        more += signed.back(tf.where(rising, nothing, share), -1)
    return signed.inputs * layer.transposed(share, layer.weights) + rules.gamma * more


def _by_alpha_beta(signed: _Signed, received: Any, rules: LrpRules, _flow: Flow) -> Any:
    """LRP-alpha-beta: `alpha` to positive contributions, less `alpha - 1` to negative ones.

    Where there is no evidence against it, or none for it, the others get all: no part is lost.
    """
    up, down = signed.total(1), signed.total(-1)
    one = tf.ones_like(up)
    to_up = tf.where(down < 0, rules.alpha * one, one)
    to_down = tf.where(up > 0, (1 - rules.alpha) * one, one)
    found = signed.back(shared(received * to_up, up, rules.epsilon), 1)
    return found + signed.back(shared(received * to_down, down, rules.epsilon), -1)


_BY_SIGN = {"gamma": _by_gamma, "alpha_beta": _by_alpha_beta}


def _boxed(layer: WeightedLayer, received: Any, rules: LrpRules) -> Any:
    """Propagate relevance to inputs within a box by the z^B rule."""
    ends = [layer.carried_in(_filled(layer.inputs, end), shifted=True) for end in rules.box or ()]
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
    """Broadcast an end of the box to the inputs."""
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


Weights = Callable[[Any], Any]  # a variable as a tensor of the graph
KINDS = ("SimpleRNN", "GRU", "LSTM")


@dataclass(frozen=True, eq=False)
class RecurrentCall:
    """One call of a recurrent layer.

    Attributes:
        layer: The layer.
        sequence: What it is given, `(sample, step, channel)`.
        mask: `(sample, step)` which steps count; None for all.
        outputs: Tensors that others read of it, each with what it is: "sequence", "output" of
            the last step, or a state after it, "last" or "cell".
        operations: Those between the input and the output that it is made of.
    """

    layer: Any
    sequence: Any
    mask: Any
    outputs: tuple[tuple[Any, str], ...]
    operations: frozenset[Any]

    def handed_back(self, received: Sequence[Any], weights: Weights, epsilon: float) -> Any:
        """What is handed back to the sequence of what each of `outputs` received, or None.

        `weights` gives the value of a variable. Cost: two loops over the steps.
        """
        cell = _CELLS[_kind(self.layer)](self.layer, weights, self.sequence.dtype, epsilon)
        values, mask = self.sequence, self.mask
        if self.layer.go_backwards:
            values = tf.reverse(values, [1])
            mask = None if mask is None else tf.reverse(mask, [1])
        nothing = tf.zeros_like(values[:, 0, :1]) * tf.zeros((1, self.layer.units), values.dtype)
        arrived = {"sequence": None, "last": nothing, "cell": nothing}
        for (_, kind), each in zip(self.outputs, received, strict=True):
            if each is None:
                continue
            at_steps = kind in ("sequence", "output")
            if at_steps and mask is not None and getattr(self.layer, "zero_output_for_mask", False):
                # Nothing arrives at steps for which 0 is put out.
                counts = mask[..., None] if kind == "sequence" else mask[:, -1:]
                each = tf.where(counts, each, tf.zeros_like(each))
            kind = "last" if kind == "output" else kind
            before = arrived[kind]
            arrived[kind] = each if before is None else before + each
        if arrived["sequence"] is None:
            n_steps = tf.ones_like(values[:, :, :1])
            arrived["sequence"] = n_steps * tf.zeros((1, 1, self.layer.units), values.dtype)
        found = _run(cell, values, mask, nothing, arrived)
        return tf.reverse(found, [1]) if self.layer.go_backwards else found


def recurrent_calls(flow: Flow, names: LayerNames) -> list[RecurrentCall]:
    """Find the calls of recurrent layers that relevance can be propagated through."""
    found = []
    for scope, tap in names.scopes.items():
        if _kind(tap.layer) and names.is_leaf(scope):
            call = _call(scope, tap.layer, flow, names)
            if call is not None:
                flow.close(tensor for tensor, _ in call.outputs)
                found.append(call)
    return found


def _kind(layer: Any) -> str:
    """Kind of a recurrent layer, by its cell; "" for unknown cells."""
    for framework in frameworks():
        for kind in KINDS:
            cell = getattr(framework.layers, f"{kind}Cell")
            if isinstance(layer, getattr(framework.layers, kind)):
                return kind if type(layer.cell) is cell else ""
    return ""


def _call(scope: Any, layer: Any, flow: Flow, names: LayerNames) -> RecurrentCall | None:
    inside = [each for each in flow.operations if names.scope(each) == scope]
    own = set(inside)
    given = {
        each.ref(): each
        for operation in inside
        for _, each in flow.operands(operation)
        if each.op not in own or flow.is_input(each)
    }
    made = [output for each in inside for output in each.outputs]
    read = [each for each in made if {*flow.readers(each)} - own or flow.is_end(each)]
    whole = names.outputs(scope)
    places = {flow.origin(each).ref(): place for place, each in enumerate(whole)}
    kinds = ["sequence" if layer.return_sequences else "output", "last", "cell"]
    if len(given) != 1 or any(each.ref() not in places for each in read):
        return None
    (sequence,) = given.values()
    outputs = tuple((each, kinds[places[each.ref()]]) for each in read)
    plain = sequence.shape.rank == 3 and not getattr(layer, "time_major", False)
    masks = _masks(scope, flow, names)
    if not plain or layer.stateful or len(masks) > 1 or _begins_elsewhere(scope, flow, names):
        return None
    return RecurrentCall(layer, sequence, next(iter(masks), None), outputs, frozenset(own))


def _masks(scope: Any, flow: Flow, names: LayerNames) -> list[Any]:
    """Boolean masks from elsewhere that a call of a layer reads."""
    found = {
        each.ref(): each
        for operation in flow.behind
        if names.scope(operation) == scope
        for each in operation.inputs
        if each.dtype.is_bool and each.shape.rank == 2 and names.scope(each.op) != scope
    }
    return list(found.values())


def _begins_elsewhere(scope: Any, flow: Flow, names: LayerNames) -> bool:
    """Whether a layer is given its initial state, rather than zeros of its own."""
    loops = [
        each for each in flow.operations if names.scope(each) == scope and "While" in each.type
    ]
    return not loops or any(
        each.dtype.is_floating
        and each.shape.rank == 2
        and each.shape[0] is None
        and names.scope(each.op) != scope
        for loop in loops
        for each in loop.inputs
    )


def _run(cell: Any, values: Any, mask: Any, nothing: Any, arrived: Any) -> Any:
    """Run forward through all steps, then relevance backward; `(sample, step, channel)`."""
    steps = tf.transpose(values, (1, 0, 2))
    if mask is None:
        counts = tf.ones_like(steps[..., :1], tf.bool)
    else:
        counts = tf.transpose(mask)[..., None]

    def forward(before: Any, step: Any) -> Any:
        states = before[: cell.n_states]
        told = cell.step(step[0], *states)
        after = [
            tf.where(step[1], one, other)
            for one, other in zip(told[: cell.n_states], states, strict=True)
        ]
        return (*after, *states, *told[cell.n_states :])

    begin = [nothing] * (2 * cell.n_states + cell.n_kept)
    kept = tf.scan(forward, (steps, counts), tuple(begin))[cell.n_states :]

    def back(after: Any, step: Any) -> Any:
        x, counts, received, *kept = step
        arrived = [after[0] + received, *after[1 : cell.n_states]]
        *states, to_input = cell.back(x, arrived, *kept)
        states = [tf.where(counts, one, other) for one, other in zip(states, arrived, strict=True)]
        return (*states, tf.where(counts, to_input, tf.zeros_like(to_input)))

    received = tf.transpose(arrived["sequence"], (1, 0, 2))
    ends = [arrived["last"], arrived["cell"]][: cell.n_states]
    ends.append(tf.zeros_like(steps[0]))
    found = tf.scan(back, (steps, counts, received, *kept), tuple(ends), reverse=True)[-1]
    return tf.transpose(found, (1, 0, 2))


class _Cell:
    """A cell in the graph: its weights, each `(input or state, gate, unit)` flat, and a step."""

    n_states, n_kept = 1, 1

    def __init__(self, layer: Any, weights: Weights, dtype: Any, epsilon: float) -> None:
        cell = layer.cell
        self._n, self._epsilon = layer.units, epsilon
        self._kernel = tf.cast(weights(cell.kernel), dtype)
        self._recurrent = tf.cast(weights(cell.recurrent_kernel), dtype)
        self._bias = tf.cast(weights(cell.bias), dtype) if layer.use_bias else None
        self._activation = cell.activation
        self._gate: Any = getattr(cell, "recurrent_activation", None)

    def _summed(self, x: Any, state: Any) -> Any:
        total = x @ self._kernel + state @ self._recurrent
        return total if self._bias is None else total + self._bias

    def _shared(self, received: Any, total: Any) -> Any:
        return shared(received, total, self._epsilon)

    def _of(self, weights: Any, gate: int) -> Any:
        return weights[..., gate * self._n : (gate + 1) * self._n]


class _SimpleCell(_Cell):
    def step(self, x: Any, state: Any) -> Any:
        total = self._summed(x, state)
        return self._activation(total), total

    def back(self, x: Any, arrived: Any, state: Any, total: Any) -> Any:
        share = self._shared(arrived[0], total)
        to_state = state * tf.matmul(share, self._recurrent, transpose_b=True)
        return to_state, x * tf.matmul(share, self._kernel, transpose_b=True)


class _LstmCell(_Cell):
    n_states, n_kept = 2, 4

    def step(self, x: Any, state: Any, cell: Any) -> Any:
        in_, forget, candidate, out = tf.split(self._summed(x, state), 4, axis=-1)
        kept = self._gate(forget) * cell
        new = self._gate(in_) * self._activation(candidate)
        after = kept + new
        return self._gate(out) * self._activation(after), after, candidate, kept, new, after

    def back(self, x: Any, arrived: Any, *kept: Any) -> Any:
        state, _, candidate, old, new, after = kept
        share = self._shared(arrived[0] + arrived[1], after)
        in_sum = self._shared(new * share, candidate)
        weights, recurrent = self._of(self._kernel, 2), self._of(self._recurrent, 2)
        to_state = state * tf.matmul(in_sum, recurrent, transpose_b=True)
        return to_state, old * share, x * tf.matmul(in_sum, weights, transpose_b=True)


class _GruCell(_Cell):
    n_kept = 5

    def __init__(self, layer: Any, weights: Weights, dtype: Any, epsilon: float) -> None:
        super().__init__(layer, weights, dtype, epsilon)
        self._resets_after = layer.reset_after
        bias = self._bias
        self._bias, self._inner_bias = bias, None
        if bias is not None and self._resets_after:
            self._bias, self._inner_bias = bias[0], bias[1]

    def step(self, x: Any, state: Any) -> Any:
        given = x @ self._kernel
        given = given if self._bias is None else given + self._bias
        update, reset, candidate = tf.split(given, 3, axis=-1)
        own = state @ self._recurrent
        own = own if self._inner_bias is None else own + self._inner_bias
        update = self._gate(update + self._of(own, 0))
        reset = self._gate(reset + self._of(own, 1))
        if self._resets_after:
            candidate += reset * self._of(own, 2)
        else:
            candidate += (reset * state) @ self._of(self._recurrent, 2)
        kept, new = update * state, (1 - update) * self._activation(candidate)
        return kept + new, candidate, kept, new, kept + new, reset

    def back(self, x: Any, arrived: Any, *kept: Any) -> Any:
        state, candidate, old, new, after, reset = kept
        share = self._shared(arrived[0], after)
        in_sum = self._shared(new * share, candidate)
        weights, recurrent = self._of(self._kernel, 2), self._of(self._recurrent, 2)
        if self._resets_after:
            to_state = state * tf.matmul(in_sum * reset, recurrent, transpose_b=True)
        else:
            to_state = state * reset * tf.matmul(in_sum, recurrent, transpose_b=True)
        return old * share + to_state, x * tf.matmul(in_sum, weights, transpose_b=True)


_CELLS = {"SimpleRNN": _SimpleCell, "GRU": _GruCell, "LSTM": _LstmCell}


Parts = list[tuple[Any, Any]]  # tensors, each with what is handed to it


class Relevance:
    """Propagate relevance from outputs to inputs, in the graph under construction.

    Args:
        outputs: Scores before a softmax, `(sample, class)`.
        inputs: Tensors of the same graph; what arrives at one is also handed on to those
            that it depends on.
        rules: Which rule, where.
        names: Of the layers that operations belong to.
        weights: Variables, each with the one that stands in for it.
    """

    def __init__(
        self,
        outputs: Any,
        inputs: Sequence[Any],
        rules: LrpRules,
        names: LayerNames,
        weights: Sequence[tuple[Any, Any]] = (),
    ) -> None:
        self._outputs, self._inputs, self._rules = outputs, inputs, rules
        self._names, self._weights = names, weights
        self._flow = Flow(outputs, inputs, names)
        self._has_boxed = False

    def of(self, start: Any) -> list[Any]:
        """Hand back `start`, in the shape of the outputs: the score of the target, 0 elsewhere.

        Returns:
            One tensor per input, in its shape; zeros where nothing arrives.

        Raises:
            LayerError: A layer through which it cannot be handed; says which.
            ShapeError: A box with another number of channels than the input.

        Cost: for the epsilon rule, about one forward and one backward pass.
        """
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
            if kind in NORMALIZATIONS or not same_shape(operands[0][1], operation.outputs[0]):
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
            operation.type in NORMALIZATIONS and places == [0] and operation.inputs[0].shape[0] == 1
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
