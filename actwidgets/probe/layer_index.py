"""Index of a model's layer outputs: which can be shown, and why the others cannot."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import keras
import tensorflow as tf

from actwidgets.core.layers import LayerInfo
from actwidgets.errors import LayerError, ModelError
from actwidgets.probe.call_trace import PHASE, CallNames, element_name
from actwidgets.probe.frameworks import calls_of, is_layer, is_recurrent
from actwidgets.probe.input_flow import InputFlow
from actwidgets.probe.layer_weights import count_weights
from actwidgets.probe.unit_axis import UnitAxes


@dataclass(frozen=True)
class Output:
    """One output of one call of one layer, without its values.

    Attributes:
        name: As in a `LayerOutput`; the model's own outputs are `""`, `":1"`, …
        layer: The layer.
        shape: Batch axis first.
        unit_axis: The axis along which the units lie.
        refused: Why it cannot be shown, as the rest of a sentence; empty where it can.
        dtype: Of its values; empty where it cannot be shown.
    """

    name: str
    layer: Any
    shape: tuple[int | None, ...]
    unit_axis: int
    refused: str = ""
    dtype: str = ""


class LayerIndex:
    """Index of a model's layer outputs by name.

    Args:
        outputs: In the order in which the calls begin.
        structure: The model's output as it returns it, whatever stands for the tensors.
        output_names: Names of the model's outputs, where it has some.
        flow: How the model's inputs go through its layers; None where that is not known.

    Attributes:
        flow: As given.
    """

    def __init__(
        self,
        outputs: Sequence[Output],
        structure: Any,
        output_names: Sequence[str] = (),
        flow: InputFlow | None = None,
    ) -> None:
        self.flow = flow
        self.outputs = {output.name: output for output in outputs}
        self.layers: tuple[LayerInfo, ...] = tuple(
            self._info(output)
            for output in outputs
            if not (is_models_own(output.name) or output.refused)
        )
        self._heads = [
            output
            for output in outputs
            if is_models_own(output.name) and self.complex_part(output.name) != "phase"
        ]
        self._head_names = [tuple(output_names), _keys(structure)]

    def require(self, name: str) -> Output:
        """The output of that name.

        Raises:
            LayerError: There is none, or it cannot be shown.
        """
        output = self.outputs.get(name)
        if output is None:
            known = ", ".join(info.name for info in self.layers)
            raise LayerError(f"no layer {name!r}; this model has {known}")
        if output.refused:
            raise LayerError(f"layer {name!r} cannot be shown: it {output.refused}")
        return output

    def info(self, name: str) -> LayerInfo:
        """What is told of a layer.

        Raises: as `require`.
        """
        return self._info(self.require(name))

    def complex_part(self, name: str) -> str:
        """Which part of complex numbers an output holds: "magnitude", "phase", or "" of others."""
        if f"{name}{PHASE}" in self.outputs:
            return "magnitude"
        base = name.removesuffix(PHASE)
        return "phase" if base != name and base in self.outputs else ""

    def _info(self, output: Output) -> LayerInfo:
        part = self.complex_part(output.name)
        return LayerInfo(
            name=output.name,
            kind=type(output.layer).__name__ + (f" ({part})" if part else ""),
            output_shape=output.shape,
            n_units=int(output.shape[output.unit_axis] or 0) if len(output.shape) > 1 else 1,
            n_params=count_weights(output.layer),
            unit_axis=output.unit_axis,
        )

    @property
    def head_names(self) -> tuple[str, ...]:
        """Names of the model's outputs, in its order; their places where they have none."""
        n_heads = len(self._heads)
        for names in reversed(self._head_names):  # the keys of a dict say more than its layers
            if len(names) == n_heads:
                return tuple(map(str, names))
        return tuple(map(str, range(n_heads)))

    def head_index(self, head: Output) -> int:
        """The place of an output among those of the model."""
        return next(place for place, each in enumerate(self._heads) if each is head)

    def head(self, head: str | int | None) -> Output:
        """One of the model's outputs, by name or index; the first by default.

        Raises:
            ModelError: There is no such output.
        """
        if head is None:
            return self._heads[0]
        if isinstance(head, Integral) and not isinstance(head, bool):  # numpy's as well
            if 0 <= head < len(self._heads):
                return self._heads[int(head)]
        else:
            for names in self._head_names:
                if head in names:
                    return self._heads[names.index(head)]
        known = next((", ".join(names) for names in self._head_names if names), "no names")
        raise ModelError(
            f"no output {head!r}; this model has {len(self._heads)} ({known}), counted from 0"
        )


def describe(
    name: str, layer: Any, tensor: Any, unit_axis: int, *, sample_axis: Collection[int | None]
) -> Output:
    """Describe one output tensor of a layer.

    Args:
        name: Of the output.
        layer: That put it out.
        tensor: Eager, of a graph, or symbolic.
        unit_axis: The axis along which the units lie.
        sample_axis: The lengths that its first axis may have if it runs over samples.
    """
    if isinstance(tensor, tf.RaggedTensor | tf.SparseTensor | tf.IndexedSlices):
        kind = type(tensor).__name__.removesuffix("Tensor").lower()
        return Output(name, layer, (), unit_axis, f"puts out a {kind} tensor")
    rank_known = getattr(tensor.shape, "rank", 0) is not None
    if not rank_known:
        return Output(name, layer, (), unit_axis, "puts out a tensor of unknown shape")
    shape = tuple(tensor.shape)
    refused = ""
    if _dtype_name(tensor) == "string":
        refused = "puts out text, not numbers"
    elif not shape or shape[0] not in sample_axis:
        refused = f"puts out {shape}, which has no sample axis"
    return Output(name, layer, (None, *shape[1:]), unit_axis, refused, _dtype_name(tensor))


def is_models_own(name: str) -> bool:
    """Whether this is an output of the whole model, such as `""` and `":1"`."""
    return not name.partition(":")[0]


def _keys(structure: Any) -> tuple[str, ...]:
    """The keys of a dict of outputs, in the order in which it is flattened."""
    return tuple(sorted(map(str, structure))) if isinstance(structure, Mapping) else ()


def _dtype_name(tensor: Any) -> str:
    return str(getattr(tensor.dtype, "name", tensor.dtype))


class _OpaqueError(Exception):
    """Raised where part of a graph shows only when the model is called."""


def functional_layers(model: Any) -> LayerIndex | None:
    """List the layers of a Functional model without a trace, at a hundredth of its cost.

    Returns:
        None where only a call would show it: subclassed models, layers with layers inside,
        inner graphs that were made for other sizes than they are called with.
    """
    try:
        graph = _functional_graph(model)
        if any(tensor.shape[0] is not None for tensor in graph.inputs):
            raise _OpaqueError  # built by a call: shapes hold for that size of batch only
        axes = UnitAxes()
        flow = InputFlow(keras.tree.flatten(graph._inputs_struct))
        outputs = [*_walk(model, graph, (), axes, CallNames(), flow)]
        outputs = [*_tensors_of("", model, graph.outputs, axes), *outputs]
        return LayerIndex(outputs, graph._outputs_struct, graph.output_names, flow.done())
    except (_OpaqueError, AttributeError, KeyError):  # or Keras' inside has changed
        return None


def _functional_graph(model: Any) -> Any:
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
            inner = _functional_graph(operation)
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
