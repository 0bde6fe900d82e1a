"""Operations of a traced graph: kinds, flow of tensors, and the layers they belong to."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from actwidgets.probe.call_trace import LayerOutput
from actwidgets.probe.compiled import operations_behind
from actwidgets.probe.receptive_fields import CALLS, called_graph

OUTSIDE = 2  # parts of every name: the recorder's own call, and that of the model


class LayerNames:
    """Map an operation to the layer it belongs to, in words.

    Keras names operations after the calls they were made in, one inside the other, as taps
    are named; a second call has another number. That tells the innermost layer also where it
    puts out what another made, and also of a model's own operations between its layers.

    Args:
        taps: What layers put out, of a graph.

    Attributes:
        scopes: The calls of layers, each by the parts of the names of its operations, with
            its first output.
    """

    def __init__(self, taps: Sequence[LayerOutput]) -> None:
        self.scopes: dict[tuple[str, ...], LayerOutput] = {}
        self._taps = tuple(taps)
        self._of_operations: dict[Any, LayerOutput] = {}
        self._found: dict[Any, tuple[str, ...]] = {}
        for tap in taps:
            if not isinstance(tap.output, tf.Tensor) or not tap.name.partition(":")[0]:
                continue
            operation = tap.output.op
            if not _is_layer(tap.layer):  # it has no scope of its own
                self._of_operations.setdefault(operation, tap)
            layers = tap.name.partition(":")[0].split("/")
            parts = tuple(operation.name.split("/"))
            scope = parts[OUTSIDE : OUTSIDE + len(layers)]
            if len(scope) == len(layers) and all(map(_is_call_of, scope, layers)):
                self.scopes.setdefault(parts[: OUTSIDE + len(layers)], tap)
        self._outer = {
            scope[:length] for scope in self.scopes for length in range(OUTSIDE, len(scope))
        }

    def __call__(self, operation: Any) -> str:
        """The layer, by name and class."""
        scope = self.scope(operation)
        tap = self.scopes[scope] if scope else self._of_operations.get(operation)
        return "the model's own call" if tap is None else _described(tap)

    def scope(self, operation: Any) -> tuple[str, ...]:
        """The innermost call of a layer that made it; () for the model's own call."""
        if operation not in self._found:
            parts = tuple(operation.name.split("/"))
            lengths = range(len(parts), OUTSIDE, -1)
            scopes = (parts[:length] for length in lengths if parts[:length] in self.scopes)
            self._found[operation] = next(scopes, ())
        return self._found[operation]

    def is_whole(self, operation: Any) -> bool:
        """Whether it is a plain operation that a Functional model is made of."""
        return operation in self._of_operations

    def is_leaf(self, scope: tuple[str, ...]) -> bool:
        """Whether a call is that of a layer without layers inside it."""
        return bool(scope) and scope not in self._outer

    def outputs(self, scope: tuple[str, ...]) -> list[Any]:
        """What a call of a layer puts out, in its order."""
        name = self.scopes[scope].name.partition(":")[0]
        return [tap.output for tap in self._taps if tap.name.partition(":")[0] == name]


def _is_layer(part: Any) -> bool:
    return isinstance(part, keras.Layer) or not isinstance(part, keras.Operation)


def _described(tap: LayerOutput) -> str:
    return f"layer {tap.name.partition(':')[0]!r} ({type(tap.layer).__name__})"


def _is_call_of(part: str, layer: str) -> bool:
    """Whether part of a name is that of a call of a layer, such as `conv_1` of `conv`."""
    name = re.sub(r"#\d+$", "", layer)
    name = re.sub(r"[^A-Za-z0-9_.\\/>-]", "_", name)
    return re.fullmatch(re.escape(name) + r"(_\d+)*", part) is not None


# fmt: off
COPIES = frozenset((  # each number put out is one of those taken, or a constant
    "BatchToSpaceND", "BroadcastTo", "Cast", "ConcatV2", "DepthToSpace", "EnsureShape",
    "ExpandDims", "ExtractImagePatches", "GatherNd", "GatherV2", "Identity", "IdentityN",
    "MirrorPad", "Pack", "Pad", "PadV2", "PreventGradient", "ResizeNearestNeighbor", "Reshape",
    "ReverseV2", "Roll", "SelectV2", "Slice", "SpaceToBatchND", "SpaceToDepth", "Split",
    "SplitV", "Squeeze", "StopGradient", "StridedSlice", "Tile", "Transpose", "Unpack",
))
CHOICES = frozenset(("Max", "MaxPool", "MaxPool3D", "MaxPoolV2", "Maximum", "Min", "Minimum"))
SUMS = frozenset((
    "Add", "AddN", "AddV2", "AvgPool", "AvgPool3D", "BiasAdd", "Cumsum", "Mean", "ResizeBicubic",
    "ResizeBilinear", "Sub", "Sum",
))
CONVOLUTIONS = frozenset((
    "Conv2D", "Conv2DBackpropInput", "Conv3D", "Conv3DBackpropInputV2", "DepthwiseConv2dNative",
))
DENSE = frozenset(("BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum", "MatMul"))
PRODUCTS = frozenset(("Div", "DivNoNan", "Mul", "MulNoNan", "RealDiv"))
LINEAR = frozenset((  # number by number, of whatever depends on the input
    "Add", "AddN", "AddV2", "BiasAdd", "Cast", "Identity", "IdentityN", "Neg", "PreventGradient",
    "StopGradient", "Sub",
))
ELEMENTWISE = PRODUCTS | LINEAR | frozenset((
    "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "ClipByValue", "Cos",
    "Cosh", "Elu", "Erf", "Erfc", "Erfinv", "Exp", "Expm1", "Floor", "LeakyRelu", "Lgamma",
    "Log", "Log1p", "Maximum", "Minimum", "Pow", "Reciprocal", "Relu", "Relu6", "Rint", "Round",
    "Rsqrt", "SelectV2", "Selu", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign",
    "Sqrt", "Square", "SquaredDifference", "Tan", "Tanh", "Xlog1py", "Xlogy",
))
# fmt: on


def again(operation: Any, replaced: Mapping[int, Any]) -> list[Any]:
    """What an operation of this graph puts out with some operands, by place, replaced."""
    operands = [replaced.get(place, each) for place, each in enumerate(operation.inputs)]
    if (
        operation.type in ("Conv2D", "Conv3D")
        and _n_groups(operands[0], operands[1], operation) > 1
    ):
        return [_by_group(operands[0], operands[1], operation)]
    attributes = operation.node_def.attr
    repeated = tf.compat.v1.get_default_graph().create_op(
        operation.type,
        operands,
        [each.dtype for each in operation.outputs],
        # Those with an underscore are notes, such as which gradient to take in place of its own.
        attrs={name: attributes[name] for name in attributes if not name.startswith("_")},
        op_def=operation.op_def,
    )
    return list(repeated.outputs)


def transposed(operation: Any, places: Sequence[int], received: Mapping[int, Any]) -> list[Any]:
    """Transpose of an operation taken as linear: what it hands back to operands, by place.

    `received` is what arrived, by the place of the output.
    """
    if operation.type == "Cast":
        # TensorFlow has no gradient to eight bits, and a share must not be rounded to them.
        kind = operation.inputs[0].dtype
        return [received[0] if kind.size == 1 else tf.cast(received[0], kind)]
    # On a copy of its own: a search for the way back would go through the whole graph.
    sources = [tf.identity(operation.inputs[place]) for place in places]
    outputs = again(operation, dict(zip(places, sources, strict=True)))
    return tf.gradients(
        [outputs[place] for place in received],
        sources,
        grad_ys=list(received.values()),
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )


def _n_groups(values: Any, kernel: Any, operation: Any) -> int:
    """Number of groups of a convolution."""
    axis = _channel_axis(operation)
    n_channels, n_read = values.shape[axis], kernel.shape[-2]
    return n_channels // n_read if n_channels and n_read else 1


def _by_group(values: Any, kernel: Any, operation: Any) -> Any:
    """Run a grouped convolution group by group: TensorFlow has no gradient of it on CPU."""
    n_groups, axis = _n_groups(values, kernel, operation), _channel_axis(operation)
    strides, dilations = operation.get_attr("strides"), operation.get_attr("dilations")
    plain = operation.type == "Conv2D" and axis == 3 and len({*strides[1:3]}) == 1
    padding = operation.get_attr("padding")
    if plain and kernel.shape[2] == 1 and {*dilations} == {1} and padding != b"EXPLICIT":
        height, width, _, n_outputs = kernel.shape
        shape = height, width, n_groups, n_outputs // n_groups
        return tf.nn.depthwise_conv2d(values, tf.reshape(kernel, shape), strides, padding.decode())
    parts = zip(tf.split(values, n_groups, axis), tf.split(kernel, n_groups, -1), strict=True)
    return tf.concat([again(operation, dict(enumerate(each)))[0] for each in parts], axis)


def _channel_axis(operation: Any) -> int:
    first = operation.get_attr("data_format").startswith(b"NC")
    return 1 if first else len(operation.get_attr("strides")) - 1


def same_shape(one: Any, other: Any) -> bool:
    """Whether two tensors have the same shape, as far as it is known."""
    if one.shape.rank is None or one.shape.rank != other.shape.rank:
        return False
    return one.shape.as_list() == other.shape.as_list()


OF_SHAPES = ("Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike")  # tell nothing of values
VARIABLES = ("Placeholder", "ReadVariableOp", "ResourceGather", "VarHandleOp")


class Flow:
    """Operations between inputs and an output: those that depend on the one and lead to the other.

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
            # What does not depend on the input must be single numbers that are not learned.
            free = [each for each in map(self.origin, operation.inputs) if self._is_free(each)]
            if not weights and not all(map(self._is_plain, free)):
                break
            del waiting[latest.ref()]
            waiting |= {each.ref(): each for _, each in operands}
            is_bent = is_bent or not self._is_linear(operation, operands)
            if len(waiting) == 1 and is_bent:
                (only,) = waiting.values()
                source = only if same_shape(only, tensor) else source
        return source

    def _is_free(self, tensor: Any) -> bool:
        return tensor.ref() not in self.carried and tensor.ref() not in self._jumping

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
    """Inline the function that an operation calls.

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
    """Copy a called function's operations into the graph."""
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
