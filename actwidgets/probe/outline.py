"""The layers of a Functional model, read off its graph without running or tracing it."""

from collections.abc import Iterator
from typing import Any

import keras

from actwidgets.probe.catalogue import PHASE, Catalogue, Output, describe
from actwidgets.probe.frameworks import is_recurrent
from actwidgets.probe.graph_calls import CallNames, calls_of, is_layer
from actwidgets.probe.input_flow import InputFlow
from actwidgets.probe.recorder import element_name
from actwidgets.probe.unit_axis import UnitAxes


class _OpaqueError(Exception):
    """Some of it shows only when the model is called."""


def outline(model: Any) -> Catalogue | None:
    """What `record` would find, at a hundredth of the cost of a trace.

    Returns:
        None where only a call would show it: subclassed models, layers with layers inside,
        inner graphs that were made for other sizes than they are called with.
    """
    try:
        graph = _graph_of(model)
        if any(tensor.shape[0] is not None for tensor in graph.inputs):
            raise _OpaqueError  # built by a call: shapes hold for that size of batch only
        axes = UnitAxes()
        flow = InputFlow(keras.tree.flatten(graph._inputs_struct))
        outputs = [*_walk(model, graph, (), axes, CallNames(), flow)]
        outputs = [*_tensors_of("", model, graph.outputs, axes), *outputs]
        return Catalogue(outputs, graph._outputs_struct, graph.output_names, flow.done())
    except (_OpaqueError, AttributeError, KeyError):  # or Keras' inside has changed
        return None


def _graph_of(model: Any) -> Any:
    if not isinstance(model, keras.Model):
        raise _OpaqueError
    graph = getattr(model, "_functional", model)
    # A subclass may do anything in its `call`.
    if type(graph).call is not keras.src.models.functional.Functional.call:
        raise _OpaqueError
    return graph


def _walk(
    model: Any,
    graph: Any,
    path: tuple[str, ...],
    axes: UnitAxes,
    names: CallNames,
    flow: InputFlow,
) -> Iterator[Output]:
    for operation, node in calls_of(graph).made:
        if model is not graph and not is_layer(operation):
            continue  # a Sequential is made of layers; the rest computes masks
        here = (*path, names.name(path, operation))
        outputs = keras.tree.flatten(node.outputs)
        inside: list[Output] = []
        axes.note(operation, (node.arguments.args, node.arguments.kwargs), outputs)
        flow.note("/".join(here), operation, node.input_tensors, outputs)
        if isinstance(operation, keras.Model):
            inner = _graph_of(operation)
            if [each.shape for each in inner.outputs] != [each.shape for each in outputs]:
                raise _OpaqueError
            axes.hand_on(node.input_tensors, inner.inputs)
            flow.alias(inner.inputs, node.input_tensors)
            inside = [*_walk(operation, inner, here, axes, names, flow)]
            axes.hand_on(inner.outputs, outputs)
        elif getattr(operation, "_layers", None) and not is_recurrent(operation):
            raise _OpaqueError
        yield from _tensors_of("/".join(here), operation, outputs, axes)
        yield from inside


def _tensors_of(name: str, layer: Any, tensors: Any, axes: UnitAxes) -> Iterator[Output]:
    for index, tensor in enumerate(tensors):
        axis, part = axes.of(tensor), element_name(name, index)
        if not str(tensor.dtype).startswith("complex"):
            yield describe(part, layer, tensor, axis, sample_axis=(None,))
            continue
        real = keras.KerasTensor(tensor.shape, "float64" if "128" in tensor.dtype else "float32")
        for each in (part, f"{part}{PHASE}"):
            yield describe(each, layer, real, axis, sample_axis=(None,))
