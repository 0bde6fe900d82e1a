"""Which tensors of a graph lie between some inputs and an output, and who reads them."""

from collections.abc import Iterable, Sequence
from typing import Any

import tensorflow as tf

from actwidgets.probe.attributions.layer_names import LayerNames
from actwidgets.probe.attributions.operations import ELEMENTWISE, LINEAR, PRODUCTS, same_shape
from actwidgets.probe.receptive_fields import CALLS, called_graph
from actwidgets.probe.trace import operations_behind

OF_SHAPES = ("Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike")  # tell nothing of values
VARIABLES = ("Placeholder", "ReadVariableOp", "ResourceGather", "VarHandleOp")


class Flow:
    """What depends on the inputs, of all that an output depends on.

    Integers and truth values do not: they change by jumps, so a mask is a constant. A call of
    a function, as a convolution in groups is traced, is replaced by the operations inside.

    Args:
        outputs: The tensor at the end, of the graph that is built now.
        inputs: Tensors of the same graph.
        names: Of the layers that its operations belong to.

    Attributes:
        carried: Those tensors, by reference.
        operations: Those that depend on an input, in the order in which they are run.
        behind: All that the output depends on, those inside of calls included.
    """

    def __init__(self, outputs: Any, inputs: Sequence[Any], names: LayerNames) -> None:
        self._inputs = {each.ref() for each in inputs}
        self._names = names
        self._closed = set[Any]()
        self._inside: dict[Any, Any] = {}  # by output of a call: what the function puts out
        self._outside: dict[Any, list[Any]] = {}
        self.carried, self._jumping = set(self._inputs), set[Any]()
        self.operations: list[Any] = []
        self.behind: list[Any] = []
        behind = operations_behind([outputs])
        for operation in [each for each in outputs.graph.get_operations() if each in behind]:
            self._visit(operation)
        self._end = self.origin(outputs).ref()
        self._order = {operation: place for place, operation in enumerate(self.operations)}
        self._sources: dict[Any, Any] = {}

    def _visit(self, operation: Any) -> None:
        if operation.type in CALLS and self.operands(operation):
            inlined = _inlined(operation)
            if inlined is not None:
                for each in inlined[0]:
                    self._visit(each)
                for output, inner in zip(operation.outputs, inlined[1], strict=True):
                    self._inside[output.ref()] = self.origin(inner)
                    self._outside.setdefault(self.origin(inner).ref(), []).append(output)
                return
        if self.operands(operation):
            told = [each for each in operation.outputs if _tells_values(operation, each)]
            self.carried |= {each.ref() for each in told}
        if operation.type not in OF_SHAPES:
            sources = {self.origin(each).ref() for each in operation.inputs}
            if sources & (self.carried | self._jumping):
                self._jumping |= {each.ref() for each in operation.outputs}
        self.behind.append(operation)
        if any(output.ref() in self.carried for output in operation.outputs):
            self.operations.append(operation)

    def origin(self, tensor: Any) -> Any:
        """The tensor inside of a call that this one is; itself where it is put out by none."""
        if self.is_input(tensor):
            return tensor
        return self._inside.get(tensor.ref(), tensor)

    def is_input(self, tensor: Any) -> bool:
        """Whether it is one of the inputs."""
        return tensor.ref() in self._inputs

    def close(self, tensors: Iterable[Any]) -> None:
        """Have what is looked for behind these tensors end at them, as at the inputs."""
        self._closed |= {each.ref() for each in tensors}

    def is_edge(self, tensor: Any) -> bool:
        """Whether it is one of the inputs, or closed."""
        return self.is_input(tensor) or tensor.ref() in self._closed

    def is_end(self, tensor: Any) -> bool:
        """Whether it is the output that all is about."""
        return tensor.ref() == self._end

    def operands(self, operation: Any) -> list[tuple[int, Any]]:
        """The operands that depend on an input, with their places."""
        operands = enumerate(map(self.origin, operation.inputs))
        return [(place, each) for place, each in operands if each.ref() in self.carried]

    def readers(self, tensor: Any) -> list[Any]:
        """The operations between the inputs and the output that read it."""
        same = (tensor, *self._outside.get(tensor.ref(), ()))
        return [each for one in same for each in one.consumers() if each in self._order]

    def readers_are(self, tensor: Any, kinds: Sequence[str]) -> bool:
        """Whether everything that reads it is of these kinds, and something does."""
        readers = self.readers(tensor)
        return bool(readers) and all(each.type in kinds for each in readers)

    def elementwise_source(self, tensor: Any) -> Any:
        """The nearest tensor of which this one is a function number by number, or None."""
        waiting = {tensor.ref(): tensor}
        while len(waiting) > 1 or tensor.ref() in waiting:
            latest = self._latest(waiting)
            inside = tensor is latest or not self.is_edge(latest)
            if not inside or latest.op.type not in ELEMENTWISE:
                return None
            del waiting[latest.ref()]
            waiting |= {each.ref(): each for _, each in self.operands(latest.op)}
        (source,) = waiting.values()
        return source if same_shape(source, tensor) else None

    def activation_source(self, tensor: Any) -> Any:
        """The tensor of which an activation that ends in this one is a function, or None.

        An activation is what one call of a layer does number by number, from end to end, if
        that is not linear: with what it adds and multiplies at its beginning and its end. In
        a layer with weights of another kind it ends at them: only single numbers belong to it.
        """
        if tensor.ref() not in self._sources:
            scope = self._names.scope(tensor.op)
            source = None
            if self._names.is_leaf(scope):
                source = self._activation_in(scope, tensor, weights=True)
                is_whole = source is not None and (
                    self.is_input(source) or self._names.scope(source.op) != scope
                )
                source = source if is_whole else None
            if source is None:
                source = self._activation_in(scope, tensor, weights=False)
            self._sources[tensor.ref()] = source
        return self._sources[tensor.ref()]

    def _activation_in(self, scope: Any, tensor: Any, *, weights: bool) -> Any:
        """The farthest source in a call of a layer; None if there is none, or all is linear."""
        waiting, source, is_bent = {tensor.ref(): tensor}, None, False
        while waiting:
            latest = self._latest(waiting)
            operation = latest.op
            if latest is not tensor and self.is_edge(latest):
                break
            if operation.type not in ELEMENTWISE or self._names.scope(operation) != scope:
                break
            operands = self.operands(operation)
            if not weights and not self._has_plain_constants(operation):
                break
            del waiting[latest.ref()]
            waiting |= {each.ref(): each for _, each in operands}
            is_bent = is_bent or not self._is_linear(operation, operands)
            if len(waiting) == 1 and is_bent:
                (only,) = waiting.values()
                source = only if same_shape(only, tensor) else source
        return source

    def _has_plain_constants(self, operation: Any) -> bool:
        """Whether what does not depend on the input is single numbers that are not learnt."""
        others = [
            each
            for each in map(self.origin, operation.inputs)
            if each.ref() not in self.carried and each.ref() not in self._jumping
        ]
        return all(map(self._is_plain, others))

    def _is_plain(self, tensor: Any) -> bool:
        if tensor.op.type in ("OnesLike", "ZerosLike"):
            return True
        if tensor.op.type in ("BroadcastTo", "Fill"):
            return self._is_plain(tensor.op.inputs[0 if tensor.op.type == "BroadcastTo" else 1])
        alone = tensor.shape.num_elements() == 1
        return alone and all(each.type not in VARIABLES for each in operations_behind([tensor]))

    def _is_linear(self, operation: Any, operands: Sequence[tuple[int, Any]]) -> bool:
        if operation.type in LINEAR:
            return True
        inputs = {self.origin(each).ref() for each in operation.inputs}
        chosen = bool((inputs - self.carried) & self._jumping)
        if operation.type in PRODUCTS:
            divided = "Div" in operation.type and operands[0][0] != 0
            return len(operands) == 1 and not chosen and not divided
        return operation.type == "SelectV2" and not chosen

    def _latest(self, tensors: Any) -> Any:
        return max(tensors.values(), key=lambda each: self._order.get(each.op, -1))


def _tells_values(operation: Any, output: Any) -> bool:
    by_jumps = output.dtype.is_integer or output.dtype.is_bool
    return not by_jumps and operation.type not in OF_SHAPES


def _inlined(call: Any) -> tuple[list[Any], list[Any]] | None:
    """The operations of the function that is called, made once more beside the call.

    Returns:
        They, and the tensors in the place of what the call puts out; None where TensorFlow
        does not say what the function is made of.
    """
    graph, made = call.graph, list[Any]()
    try:
        with graph.as_default(), graph.name_scope(f"{call.name}/"), tf.control_dependencies(None):
            return made, _copied(call, call.inputs, graph, made)
    except (AttributeError, KeyError, TypeError, ValueError):  # TensorFlow's inside has changed
        return None


def _copied(call: Any, inputs: Sequence[Any], graph: Any, made: list[Any]) -> list[Any]:
    """What a call puts out, by operations of a graph that are added to those made."""
    inner = called_graph(call)
    known = dict(zip([each.ref() for each in inner.inputs], inputs, strict=True))
    for operation in inner.get_operations():
        if all(each.ref() in known for each in operation.outputs):
            continue
        given = [known[each.ref()] for each in operation.inputs]
        if operation.type in CALLS and called_graph(operation) is not None:
            outputs = _copied(operation, given, graph, made)
        else:
            attributes = operation.node_def.attr
            copied = graph.create_op(
                operation.type,
                given,
                [each.dtype for each in operation.outputs],
                name=operation.name,
                attrs={key: attributes[key] for key in attributes if not key.startswith("_")},
                op_def=operation.op_def,
            )
            made.append(copied)
            outputs = copied.outputs
        pairs = zip(operation.outputs, outputs, strict=True)
        known |= {one.ref(): other for one, other in pairs}
    # A gradient through a call has its function put out more, behind what it did.
    return [known[each.ref()] for each in inner.outputs[: len(call.outputs)]]
