"""Keras 3 or Keras 2: the framework of a model, its graph, errors, state and step gate."""

import functools
import heapq
import re
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import keras
import tensorflow as tf

from actwidgets.errors import ModelError
from actwidgets.training.step_gate import StepGate


def frameworks() -> list[Any]:
    """Modules whose models can be read; Keras 2 is looked up, never imported."""
    keras_2 = sys.modules.get("tf_keras")
    return [keras] if keras_2 is None else [keras, keras_2]


def graph_runners() -> list[tuple[type, str]]:
    """Methods that run the graph of a Functional model, with their class."""
    keras_2 = sys.modules.get("tf_keras.src.engine.functional")
    found = [(keras.Function, "_run_through_graph")]
    found += [] if keras_2 is None else [(keras_2.Functional, "_run_internal_graph")]
    return [(owner, method) for owner, method in found if method in vars(owner)]


def require_model(model: Any) -> None:
    """Refuse what is not a built model with layers.

    Raises:
        ModelError: Another kind of object, a model that is not built, or one without layers.
    """
    if keras.config.backend() != "tensorflow":
        raise ModelError(
            f"Keras runs on {keras.config.backend()} here, and this package on TensorFlow: "
            "set KERAS_BACKEND=tensorflow before keras is imported"
        )
    framework = next((each for each in frameworks() if isinstance(model, each.Model)), None)
    if framework is None:
        raise ModelError(f"expected a keras.Model; got {_described(model)}")
    if not model.built:
        raise ModelError(
            f"model {model.name!r} is not built, so its layers have no shapes yet; "
            "call it once on some data, or give it an Input"
        )
    inside = model._flatten_layers(include_self=False)
    if all(isinstance(layer, framework.layers.InputLayer) for layer in inside):
        raise ModelError(f"model {model.name!r} has no layers")


def failure_message(failure: Exception) -> str:
    """One-line message of a Keras or TensorFlow error, with its remedy where it is known.

    Left out is where in Python a layer or an operation was made, and what it was called with.
    """
    text = failure.message if isinstance(failure, tf.errors.OpError) else str(failure)
    text = re.sub(r"\x1b\[\d+m", "", text).partition("Arguments received by")[0]
    text = re.sub(r"Exception encountered when calling .*?\.call\(\)\.", "", text)
    text = re.sub(r"\{\{function_node .*?\}\}|\[Op:\w+\](?: name: *\S*)?", "", text)
    lines = [line.strip() for line in text.partition("[[{{")[0].splitlines() if line.strip()]
    words = " ".join([line for line in lines if not line.startswith(_PLACES)] or lines[:1])
    mend = _mend_of_channels_first() if _ONLY_CHANNELS_LAST.search(words) else ""
    return f"{words.rstrip('. ')}; {mend}" if mend else words


_PLACES = ("File ", "Detected at node", "Graph execution error", "<stack traces unavailable>")
_ONLY_CHANNELS_LAST = re.compile(r"only support.*\bNHWC\b")


def _mend_of_channels_first() -> str:
    """Remedy for a `channels_first` model that TensorFlow has refused to run."""
    if runs_channels_first():
        return (
            "on this processor TensorFlow computes channels_first layers in float32 and bfloat16 "
            "alone: use one of them, or channels_last"
        )
    return (
        "set TF_ENABLE_ONEDNN_OPTS=1 in the environment before TensorFlow is imported: its own "
        "kernels for the CPU take channels_last alone, those of oneDNN take channels_first too"
    )


@functools.cache
def runs_channels_first() -> bool:
    """Whether TensorFlow runs a float32 `channels_first` convolution here; tries a small one.

    On a CPU it does so with the kernels of oneDNN only, which some processors have switched on
    by default and others do not.
    """
    try:
        tf.nn.conv2d(tf.zeros((1, 1, 2, 2)), tf.zeros((1, 1, 1, 1)), 1, "VALID", "NCHW")
    except tf.errors.OpError:
        return False
    return True


def is_layer(part: Any) -> bool:
    """Whether it is a layer rather than a plain operation of a Keras 3 model."""
    return isinstance(part, keras.Layer) or not isinstance(part, keras.Operation)


def is_recurrent(layer: Any) -> bool:
    """Whether a layer runs a cell in a loop: layers inside have no output of their own."""
    return isinstance(layer, tuple(framework.layers.RNN for framework in frameworks()))


def states_of(model: Any) -> list[Any]:
    """State variables of recurrent layers, kept from call to call."""
    return [
        each
        for layer in model._flatten_layers()
        if getattr(layer, "stateful", False) and is_recurrent(layer)
        for each in tf.nest.flatten(layer.states)
        if each is not None
    ]


def call_untouched(
    model: Any, function: Callable[[], Any], weights: Sequence[tuple[Any, Any]] = ()
) -> Any:
    """Call a model with losses, seeds and moving averages restored afterwards.

    Args:
        model: A built Keras model.
        function: Calls it.
        weights: Variables of a Keras 3 model, each with the tensor that stands in for it.

    The call is made from inside a layer of our own: the outermost layer of a call clears the
    losses of all below it, and a training that is under way may want them.

    The state of stateful layers is zero at its begin, as `reset_state` leaves it; while a model
    of Keras 2 is traced, the variables are read when the graph runs.
    """
    if isinstance(model, keras.Model):
        zeros = [(state, tf.zeros(state.shape, state.dtype)) for state in states_of(model)]
        framework, scope = keras, keras.StatelessScope(state_mapping=[*weights, *zeros])
    else:
        framework, scope = sys.modules["tf_keras"], _state_kept(model)
    with scope:
        return _caller_class(framework)(function)(tf.constant(0.0))


@functools.cache
def _caller_class(framework: Any) -> Any:
    class Caller(framework.layers.Layer):
        def __init__(self, function: Callable[[], Any]) -> None:
            super().__init__(name="caller", dtype="float32")
            self._function = function

        def call(self, _: Any) -> Any:
            return self._function()

    return Caller


@contextmanager
def _state_kept(model: Any) -> Iterator[None]:
    """Restore losses, state and training-mode updates of Keras 2, which has no stateless scope."""
    lists = [
        values
        for layer in model._flatten_layers()
        for values in (getattr(layer, "_losses", []), getattr(layer, "_eager_losses", []))
    ]
    before = [list(values) for values in lists]
    is_eager = tf.executing_eagerly()
    states = states_of(model) if is_eager else []  # these are no weights
    variables = [*model.non_trainable_weights, *states] if is_eager else []
    averages = [variable.numpy() for variable in variables]
    try:
        for state in states:
            state.assign(tf.zeros_like(state))
        yield
    finally:
        for values, kept in zip(lists, before, strict=True):
            values[:] = kept
        for variable, kept in zip(variables, averages, strict=True):
            if variable.numpy().tobytes() != kept.tobytes():
                variable.assign(kept)


def _described(thing: Any) -> str:
    if isinstance(thing, str) or hasattr(thing, "__fspath__"):
        return f"the path {str(thing)!r}: read it with actwidgets.load_model"
    kind = type(thing)
    package = kind.__module__.partition(".")[0]
    if isinstance(thing, type):
        return f"the class {thing.__name__}: make an instance of it"
    if package in ("builtins", "numpy"):
        return kind.__name__
    return f"{kind.__name__} of {package}"


_step_gates: WeakKeyDictionary[Any, StepGate] = WeakKeyDictionary()
_finding = threading.Lock()


def step_gate_of(model: Any) -> StepGate:
    """The step gate of a model, one for all its probes; nothing about the model is changed."""
    with _finding:
        found = _step_gates.get(model)
        if found is None:
            found = _step_gates[model] = StepGate()
        return found


class GraphCall(NamedTuple):
    """One call of one layer, as a Functional model holds it.

    Attributes:
        layer: The layer, or the plain operation of a Keras 3 model.
        node: What Keras keeps of the call.
    """

    layer: Any
    node: Any


class GraphCalls(NamedTuple):
    """The calls of one graph.

    Attributes:
        made: In the order of `model.layers`; those of one layer as they were made, and none
            before what it takes its input from.
        run: As Keras runs them: by depth, where the second call may come first.
    """

    made: tuple[GraphCall, ...]
    run: tuple[GraphCall, ...]


_calls_of_graphs: WeakKeyDictionary[Any, tuple[Any, GraphCalls]] = WeakKeyDictionary()


def calls_of(graph: Any) -> GraphCalls:
    """List the calls of a Functional model of Keras 3 or 2, input layers left out.

    Args:
        graph: The model; of a Sequential, the Functional one inside.

    Raises:
        AttributeError: Not such a graph, or Keras' inside has changed.

    Cost: a sort of its nodes the first time.
    """
    by_depth = graph._nodes_by_depth
    known = _calls_of_graphs.get(graph)
    if known is None or known[0] is not by_depth:  # Keras 2 makes a Sequential's anew
        known = _calls_of_graphs[graph] = by_depth, _calls(graph, by_depth)
    return known[1]


def _calls(graph: Any, by_depth: Any) -> GraphCalls:
    run = tuple(
        GraphCall(layer, node)
        for depth in sorted(by_depth, reverse=True)
        for node in by_depth[depth]
        if (layer := _layer_of(node)) is not None and not node.is_input
    )
    layers = getattr(graph, "_operations", None) or graph.layers
    places = {id(layer): place for place, layer in enumerate(layers)}
    return GraphCalls(_as_made(run, places), run)


def _layer_of(node: Any) -> Any:
    return node.operation if hasattr(node, "operation") else node.layer


def _as_made(run: Sequence[GraphCall], places: dict[int, int]) -> tuple[GraphCall, ...]:
    """Sort calls by the place of their layer, each behind its inputs and its layer's call before.

    A layer's list of nodes is the one thing that tells in which order it was called; there is
    no such list of a whole model.
    """
    keys = {}
    before = {id(call.node): {id(each) for each in call.node.parent_nodes} for call in run}
    by_layer: dict[int, list[GraphCall]] = {}
    for call in run:
        by_layer.setdefault(id(call.layer), []).append(call)
    for calls in by_layer.values():
        numbers = {id(node): number for number, node in enumerate(calls[0].layer._inbound_nodes)}
        calls.sort(key=lambda call: numbers[id(call.node)])
        for number, call in enumerate(calls):
            keys[id(call.node)] = places[id(call.layer)], number
            if number:
                before[id(call.node)].add(id(calls[number - 1].node))
    nodes = {id(call.node): call for call in run}
    behind: dict[int, list[int]] = {}
    for node, earlier in before.items():
        earlier.intersection_update(nodes)  # an input is there before any call
        for each in earlier:
            behind.setdefault(each, []).append(node)
    ready = [(keys[node], node) for node, earlier in before.items() if not earlier]
    heapq.heapify(ready)
    made = []
    while ready:
        _, node = heapq.heappop(ready)
        made.append(nodes[node])
        for each in behind.get(node, ()):
            before[each].discard(node)
            if not before[each]:
                heapq.heappush(ready, (keys[each], each))
    if len(made) < len(run):
        raise AttributeError("calls that wait for each other")
    return tuple(made)
