"""The calls that the graph of a Functional model is made of: in which order, by which names."""

import heapq
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras


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


_calls_of_graphs: "weakref.WeakKeyDictionary[Any, tuple[Any, GraphCalls]]"
_calls_of_graphs = weakref.WeakKeyDictionary()


def calls_of(graph: Any) -> GraphCalls:
    """The calls that a Functional model of Keras 3 or 2 is made of, its inputs left out.

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
    keys, before = (
        {},
        {id(call.node): {id(each) for each in call.node.parent_nodes} for call in run},
    )
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


class CallNames:
    """Gives every call below a model a name of its own, such as `shared` and `shared#1`."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._counts: dict[tuple[str, ...], int] = {}

    def name(self, path: Sequence[str], layer: Any) -> str:
        """The part of a name that stands for the next call of a layer in this place.

        Args:
            path: Parts of the name of the call that it is called in.
            layer: What is called.
        """
        key = (*path, layer.name)
        while True:  # a layer may itself be called `shared#1`
            count = self._counts.get(key, 0)
            self._counts[key] = count + 1
            part = f"{layer.name}#{count}" if count else layer.name
            name = "/".join((*path, part))
            if name not in self._taken:
                self._taken.add(name)
                return part


class GraphRun:
    """The names of the calls that one run through a graph will make.

    Args:
        calls: Of the graph.
        name: Gives a call of a layer its name; asked in the order in which calls were made.
        is_part: Whether a call of this layer is named at all.
    """

    def __init__(
        self, calls: GraphCalls, name: Callable[[Any], str], is_part: Callable[[Any], bool]
    ) -> None:
        names = {id(call.node): name(call.layer) for call in calls.made if is_part(call.layer)}
        self._waiting: dict[int, deque[str]] = {}
        for call in calls.run:
            if id(call.node) in names:
                waiting = self._waiting.setdefault(id(call.layer), deque())
                waiting.append(names[id(call.node)])

    def next(self, layer: Any) -> str | None:
        """The name of the call that a layer makes next; None where the graph has no such."""
        waiting = self._waiting.get(id(layer))
        return waiting.popleft() if waiting else None


def is_layer(part: Any) -> bool:
    """Whether it is a layer rather than a plain operation of a Keras 3 model."""
    return isinstance(part, keras.Layer) or not isinstance(part, keras.Operation)
