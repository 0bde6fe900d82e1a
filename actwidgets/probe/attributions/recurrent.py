"""Relevance through recurrent layers: SimpleRNN, GRU and LSTM, step by step from the last one.

The graph of such a layer is a loop, so it is unrolled here from the layer's own weights. Each
step follows Arras et al. 2017 (arXiv:1706.07206): what is added up is shared in proportion
(epsilon rule), and of a product with a gate the signal takes all. So what arrives at `h` of an
LSTM goes to its cell, what arrives at a cell to the one before and to its candidate, and what
arrives at a candidate to the input and the state before, through their weights.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from actwidgets.probe.attributions.flow import Flow
from actwidgets.probe.attributions.layer_names import LayerNames
from actwidgets.probe.attributions.relevance_rules import shared
from actwidgets.probe.frameworks import frameworks

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
        """What is handed back to the sequence.

        Args:
            received: Of each of `outputs`; None where nothing arrived.
            weights: Gives the value of a variable.
            epsilon: Added to denominators.

        Cost: two loops over the steps.
        """
        cell = _CELLS[_kind(self.layer)](self.layer, weights, self.sequence.dtype, epsilon)
        values, mask = self.sequence, self.mask
        if self.layer.go_backwards:
            values = tf.reverse(values, [1])
            mask = None if mask is None else tf.reverse(mask, [1])
        nothing = tf.zeros_like(values[:, 0, :1]) * tf.zeros((1, self.layer.units), values.dtype)
        arrived = {"sequence": None, "last": nothing, "cell": nothing}
        for (_, kind), each in zip(self.outputs, received, strict=True):
            if each is not None:
                if kind in ("sequence", "output"):
                    each, kind = self._of_steps_that_count(each, kind, mask)
                before = arrived[kind]
                arrived[kind] = each if before is None else before + each
        if arrived["sequence"] is None:
            n_steps = tf.ones_like(values[:, :, :1])
            arrived["sequence"] = n_steps * tf.zeros((1, 1, self.layer.units), values.dtype)
        found = _run(cell, values, mask, nothing, arrived)
        return tf.reverse(found, [1]) if self.layer.go_backwards else found

    def _of_steps_that_count(self, received: Any, kind: str, mask: Any) -> tuple[Any, str]:
        """What arrives at the steps, or the last one: nothing where 0 is put out for a mask."""
        if mask is not None and getattr(self.layer, "zero_output_for_mask", False):
            counts = mask[..., None] if kind == "sequence" else mask[:, -1:]
            received = tf.where(counts, received, tf.zeros_like(received))
        return received, "last" if kind == "output" else kind


def recurrent_calls(flow: Flow, names: LayerNames) -> list[RecurrentCall]:
    """The calls of recurrent layers that relevance can be handed through."""
    found = []
    for scope, tap in names.scopes.items():
        if _kind(tap.layer) and names.is_leaf(scope):
            call = _call(scope, tap.layer, flow, names)
            if call is not None:
                flow.close(tensor for tensor, _ in call.outputs)
                found.append(call)
    return found


def _kind(layer: Any) -> str:
    """Which kind a recurrent layer is; "" for those whose cell is of another kind."""
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
    """Truth values from elsewhere that a call of a layer reads."""
    found = {
        each.ref(): each
        for operation in flow.behind
        if names.scope(operation) == scope
        for each in operation.inputs
        if each.dtype.is_bool and each.shape.rank == 2 and names.scope(each.op) != scope
    }
    return list(found.values())


def _begins_elsewhere(scope: Any, flow: Flow, names: LayerNames) -> bool:
    """Whether its first state is given to it; zeros it makes itself."""
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
    """Forward through all steps, then back; `(sample, step, channel)`."""
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
