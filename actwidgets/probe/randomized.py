"""Model with random weights by layer for the sanity check; the user's model keeps its own."""

import re
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from actwidgets.core.output_kind import OutputKind
from actwidgets.errors import ModelError
from actwidgets.probe.compiled import operations_behind
from actwidgets.probe.graph_ops import CONVOLUTIONS, DENSE, VARIABLES, LayerNames
from actwidgets.probe.inputs import InputSpec
from actwidgets.probe.layer_index import LayerIndex, is_models_own
from actwidgets.probe.receptive_fields import CALLS, called_graph
from actwidgets.probe.scores import KerasScoreFunction, ScoreModel


class RandomizedModel(ScoreModel):
    """A score model traced over stand-ins of its weights; one trace serves all their values.

    Args:
        model: A built model of Keras 3; nothing about it is changed.
        inputs: What it takes.
        layer_index: Its layers.
        seed: Of the random weights.
        **options: As of a `ScoreModel`.

    Raises:
        ModelError: A model of Keras 2; one that cannot be traced or differentiated.
    """

    def __init__(
        self,
        model: Any,
        inputs: InputSpec,
        layer_index: LayerIndex,
        *,
        seed: int = 0,
        **options: Any,
    ) -> None:
        if not isinstance(model, keras.Model):
            raise ModelError(
                f"model {model.name!r} is one of Keras 2, whose weights cannot be exchanged "
                "without changing it: the randomization check needs a model of Keras 3"
            )
        self._seed = seed
        self._pairs = [
            (each, tf.Variable(tf.convert_to_tensor(each.value), trainable=False))
            for each in model.weights
        ]
        super().__init__(model, inputs, layer_index, weights=self._pairs, **options)

    def reset(self) -> None:
        """Give the stand-ins the values that the weights have now."""
        for weight, stand_in in self._pairs:
            stand_in.assign(tf.convert_to_tensor(weight.value))

    def weights_by_layer(self, head: str) -> dict[str, list[tuple[Any, Any]]]:
        """The layers with a matrix of weights that an output depends on, the last call first.

        Returns:
            By name of layer `(layer that holds it, weight)`. A weight belongs to the innermost
            and last of the calls that use it. Layers that hold vectors alone, such as
            normalizations, go along with the next layer below them: those of the lowest with
            the last one above. Weights whose stand-ins the output does not read are left out.
        """
        call = self._plain.call
        needed = operations_behind([call.taps[head]])
        exchanged = self._exchanged(call.taps[head].graph, needed)
        embedded = {each.name for each in self._embedded}
        found: dict[str, list[tuple[Any, Any]]] = {}
        waiting: list[tuple[Any, Any]] = []
        owned = set[int]()
        used = {
            re.sub(r":\d+$", "", name)  # of the output `lstm:1` the call, `lstm`
            for name, tap in call.taps.items()
            if name not in embedded and getattr(tap, "op", None) in needed
        }
        for output in reversed(self.layer_index.outputs.values()):
            name = output.name
            if is_models_own(name) or name not in used:
                continue
            weights = getattr(output.layer, "weights", ())
            own = [each for each in weights if id(each) in exchanged - owned]
            owned |= set(map(id, own))
            waiting += [(output.layer, each) for each in own]
            if any(len(each.shape) > 1 for each in own):
                found[name], waiting = waiting, []
        if found and waiting:
            found[next(reversed(found))] += waiting
        return found

    def _exchanged(self, graph: Any, needed: set[Any]) -> set[int]:
        """The weights in whose place their stand-ins are read, by identity."""
        by_handle = {id(stand_in.handle): id(weight) for weight, stand_in in self._pairs}
        return {
            by_handle[id(outside)]
            for outside, inside in graph.captures
            if id(outside) in by_handle and needed.intersection(inside.consumers())
        }

    def fixed_layers(self, head: str) -> tuple[str, ...]:
        """The layers with matrices of weights that stay as they are, in words.

        They are variables that Keras does not read for the layer, such as those of a
        SavedModel or of a function, or constants of a graph.
        """
        call = self._plain.call
        graph, needed = call.taps[head].graph, operations_behind([call.taps[head]])
        names = LayerNames(call.recorded)
        stand_ins = {id(stand_in.handle) for _, stand_in in self._pairs}
        found = [
            reader
            for outside, inside in graph.captures
            if id(outside) not in stand_ins and _is_matrix(outside)
            for reader in inside.consumers()
        ]
        found += [each for each in needed if each.type in CALLS and _holds_kernel(each)]
        found += [each for each in needed if _is_constant_kernel(each)]
        ordered = sorted((each for each in found if each in needed), key=lambda each: each._id)
        return tuple(dict.fromkeys(map(names, reversed(ordered))))

    def randomize(self, head: str, layer: str) -> None:
        """Give the stand-ins of a layer's weights random values.

        They are drawn from the layer's own initializers. Where it has none, or one that gives
        a matrix the same value everywhere, the values of the weight are shuffled.
        """
        by_layer, stand_ins = self.weights_by_layer(head), {id(w): s for w, s in self._pairs}
        place = list(by_layer).index(layer)
        for index, (owner, weight) in enumerate(by_layer[layer]):
            seed = int(np.random.SeedSequence((self._seed, place, index)).generate_state(1)[0] >> 1)
            stand_ins[id(weight)].assign(_random_values(owner, weight, seed))


class RandomizedKerasScores(KerasScoreFunction):
    """Score function of a model whose layers can be given random weights.

    Args: as of a `KerasScoreFunction`.
    """

    def __init__(
        self,
        model: RandomizedModel,
        head: str,
        layer: str | None = None,
        output: str = "logit",
        *,
        kind: OutputKind,
    ) -> None:
        super().__init__(model, head, layer, output, kind=kind)
        self._randomized = model
        self.stages = tuple(model.weights_by_layer(head))
        self.fixed = model.fixed_layers(head)

    def reset(self) -> None:
        """Give all layers the weights that the model has."""
        self._randomized.reset()

    def randomize(self, layer: str) -> None:
        """Give a layer random weights; layers randomized before keep theirs."""
        self._randomized.randomize(self._head, layer)


def _is_matrix(captured: Any) -> bool:
    """Whether a captured tensor is a variable with two axes or more."""
    if captured.dtype != tf.resource:
        return False
    try:
        (told,) = captured._handle_data.shape_and_type
    except (AttributeError, TypeError, ValueError):  # a table, or something else
        return False
    rank = tf.TensorShape(told.shape).rank
    return tf.as_dtype(told.dtype).is_floating and (rank is None or rank > 1)


def _is_constant_kernel(operation: Any) -> bool:
    """Whether an operation multiplies what it is given by a matrix that is a constant."""
    if operation.type not in CONVOLUTIONS | DENSE:
        return False
    kernels = [each for each in operation.inputs if each.dtype.is_floating and each.shape.rank]
    return any(
        all(part.type != "Placeholder" or _is_captured_array(part) for part in behind)
        and not any(part.type in VARIABLES and part.type != "Placeholder" for part in behind)
        for behind in map(operations_behind, ([each] for each in kernels))
    )


def _is_captured_array(placeholder: Any) -> bool:
    """Whether a placeholder of a graph stands for an array from outside."""
    inside = placeholder.outputs[0]
    captures = getattr(placeholder.graph, "captures", ())
    return inside.dtype != tf.resource and any(each is inside for _, each in captures)


def _holds_kernel(call: Any) -> bool:
    """Whether there is a constant matrix in a function that is called."""
    inner = called_graph(call)
    if inner is None:
        return False
    return any(
        _is_constant_kernel(each) or (each.type in CALLS and _holds_kernel(each))
        for each in inner.get_operations()
    )


def _random_values(owner: Any, weight: Any, seed: int) -> Any:
    values = tf.convert_to_tensor(weight.value)
    drawn = None
    if values.dtype.is_floating:
        drawn = _drawn(getattr(owner, f"{weight.name}_initializer", None), values, seed)
    if drawn is not None and (values.shape.rank < 2 or np.ptp(drawn) > 0):
        return drawn
    shuffled = np.random.default_rng(seed).permutation(values.numpy().ravel())
    return shuffled.reshape(values.shape)


def _drawn(initializer: Any, values: Any, seed: int) -> Any:
    """Draw from an initializer with another seed; None where it cannot be given one."""
    if not isinstance(initializer, keras.initializers.Initializer):
        return None
    config = initializer.get_config()
    if "seed" in config:  # its own would give again what training began with
        initializer = type(initializer).from_config({**config, "seed": seed})
    elif not isinstance(initializer, _WITHOUT_CHANCE):
        return None
    return np.asarray(initializer(tuple(values.shape), dtype=values.dtype.name))


_WITHOUT_CHANCE = tuple(
    getattr(keras.initializers, name) for name in ("Zeros", "Ones", "Constant", "Identity")
)
