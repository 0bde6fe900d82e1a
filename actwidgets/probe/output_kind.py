"""Output kind of a Keras model by its last function, its loss and its shape."""

import functools
import inspect
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from actwidgets.core.output_kind import (
    MARGIN,
    PLAIN,
    SIGMOID,
    SOFTMAX,
    OutputKind,
    kind_by_values,
    reconstructs,
    said_kind,
)
from actwidgets.errors import ModelError
from actwidgets.probe.call_trace import CallTraceError, trace_call
from actwidgets.probe.frameworks import step_gate_of
from actwidgets.probe.graph_ops import CONVOLUTIONS, DENSE
from actwidgets.probe.inputs import InputSpec, state_reset
from actwidgets.probe.layer_index import LayerIndex, Output
from actwidgets.probe.score_backends import operations_noted
from actwidgets.probe.score_outputs import last_link, made_by

log = logging.getLogger("actwidgets")
OF_NOISE = "6 samples of noise"
LINEAR, MIXED, BOUNDED, OTHER = "linear", "mixed", "bounded", "other"


@dataclass(frozen=True)
class _Ending:
    """Last function of a model, with its evidence.

    Attributes:
        function: "softmax", "sigmoid", "log_softmax", "tanh", …; "linear" for none; "mixed" for
            functions of several kinds side by side; "bounded" for something made of such
            functions; "other" for what is not known.
        words: The same as the rest of a sentence.
        axis: Of a softmax, counted from the end.
        values: What the model put out of some noise, where it was called for this.
    """

    function: str
    words: str
    axis: int = -1
    values: Any = None


def read_output_kind(
    model: Any,
    inputs: InputSpec,
    layer_index: LayerIndex,
    head: Output,
    output_is: str | None = None,
) -> OutputKind:
    """Read what one of a model's outputs means. Nothing about the model is changed.

    In this order: what the caller says, the function that the model ends in, the loss that it
    was compiled with, whether it has as many outputs as inputs, and where nothing tells, its
    values on six samples of noise, the same for every model. It is never read off the samples
    that somebody asks about.

    Args:
        model: A built Keras model.
        inputs: What it takes.
        layer_index: Its outputs.
        head: The output.
        output_is: What the caller says: "logit", "probability" or "value".

    Cost: little where the last layer of a Functional or Sequential model tells; else one eager
    call on six samples.
    """
    shape = head.shape[1:]
    names, index = layer_index.head_names, layer_index.head_index(head)
    known: dict[str, Any] = {"head": names[index], "heads": names} if len(names) > 1 else {}
    loss = _loss_of(model, index, names)
    ending = _of_layers(model, index)
    if ending is None:
        ending = _of_operations(model, inputs, head)
    if output_is is not None:
        link = ending.function if ending.function in (SOFTMAX, SIGMOID) else loss and loss[1]
        return replace(said_kind(output_is, shape, link or None), axis=ending.axis, **known)
    if head.dtype and not tf.as_dtype(head.dtype).is_floating:
        reason = f"it puts out {head.dtype}, which has no gradient and is no probability"
        return OutputKind("value", PLAIN, shape, reason, "graph", **known)
    spec_shapes = [tuple(spec.shape[1:]) for spec in inputs.specs if spec.dtype.is_floating]
    found = _decided(ending, loss, shape, reconstructs(shape, spec_shapes))
    return replace(found, axis=ending.axis if found.link == SOFTMAX else -1, **known)


def _decided(
    ending: _Ending,
    loss: tuple[str, str, str] | None,
    shape: tuple[int | None, ...],
    is_reconstruction: bool,
) -> OutputKind:
    size = (shape[-1] if shape else 1) or 0
    function, words = ending.function, ending.words
    if function == SOFTMAX:
        return OutputKind("probability", SOFTMAX, shape, words, "graph")
    if function == "log_softmax":
        return OutputKind("logit", SOFTMAX, shape, words, "graph")
    tells_of_classes = loss is not None and loss[:2] != ("value", PLAIN) and loss[1] != SIGMOID
    if is_reconstruction and not tells_of_classes:
        reason = "it has as many outputs as inputs, as an autoencoder has"
        ends_in = SIGMOID if function == SIGMOID else ""
        return OutputKind("value", PLAIN, shape, reason, "shape", ends_in=ends_in)
    if function == SIGMOID:
        return OutputKind("probability", SIGMOID, shape, words, "graph")
    if function == MIXED:
        return OutputKind("value", PLAIN, shape, words, "graph")
    is_value_loss = loss is not None and loss[0] == "value"
    if loss is not None and not is_value_loss:
        kind, link, reason = loss
        return OutputKind(
            kind, SIGMOID if size == 1 and link == SOFTMAX else link, shape, reason, "loss"
        )
    if function in (OTHER, BOUNDED) and ending.values is not None:
        found = kind_by_values(ending.values, OF_NOISE)
        if found.kind == "probability":
            return replace(found, shape=shape, reason=f"{words}; {found.reason}")
    if loss is not None:
        return OutputKind("value", PLAIN, shape, loss[2], "loss")
    if function in ("tanh", BOUNDED, "log_sigmoid"):
        return OutputKind("value", PLAIN, shape, words, "graph")
    if size == 1:
        return OutputKind("value", PLAIN, shape, f"one number; {words}, and no loss", "shape")
    reason = f"{words}, and it was compiled with no loss that tells otherwise"
    return OutputKind("logit", SOFTMAX, shape, reason, "shape")


# --- the last layer ----------------------------------------------------------------------

_FUNCTIONS = ("softmax", "log_softmax", "sigmoid", "log_sigmoid", "tanh", "linear")
_CARRIERS = ("Dense", "Conv1D", "Conv2D", "Conv3D", "EinsumDense", "Activation")
_HANDING_ON = ("Dropout", "Identity", "ActivityRegularization", "SpatialDropout1D")


def _of_layers(model: Any, index: int) -> _Ending | None:
    """Ending of a Functional or Sequential model by its layers; None where they do not tell."""
    if not isinstance(model, keras.Model):
        return None
    try:
        operation, tensor = _producer(model.outputs[index])
        for _ in range(100):
            if isinstance(operation, keras.Model):
                operation, tensor = _producer(operation.outputs[tensor])
                continue
            found = _of_layer(operation)
            if found is not None or not _hands_on(operation):
                return found
            operation, tensor = _producer(operation._inbound_nodes[0].input_tensors[0])
    except (AttributeError, TypeError, IndexError, KeyError):  # no such graph
        return None
    return None


def _producer(tensor: Any) -> tuple[Any, int]:
    history = tensor._keras_history
    return history.operation, history.tensor_index


def _hands_on(operation: Any) -> bool:
    """Whether a layer returns its input, called once."""
    if len(operation._inbound_nodes) != 1:
        return False
    kinds = tuple(getattr(keras.layers, name) for name in _HANDING_ON)
    is_linear = type(operation) is keras.layers.Activation
    return type(operation) in kinds or (is_linear and _name_of(operation.activation) == "linear")


def _of_layer(operation: Any) -> _Ending | None:
    name = operation.name
    if type(operation) is keras.layers.Softmax and operation.axis == -1:
        return _Ending(SOFTMAX, f"it ends in the softmax of layer {name!r}")
    kind = next((k for k in _CARRIERS if type(operation) is getattr(keras.layers, k)), None)
    function = None if kind is None else _name_of(operation.activation)
    if function is None or (function == "linear" and kind == "Activation"):
        return None
    if function == "linear":
        return _Ending(LINEAR, f"it ends in layer {name!r}, which has no activation")
    return _Ending(function, f"it ends in the {function} of layer {name!r}")


def _name_of(activation: Any) -> str | None:
    for name in _FUNCTIONS:
        if activation is getattr(keras.activations, name, None):
            return name
    return None


# --- the last operations -----------------------------------------------------------------

_ARITHMETIC = frozenset((
    "Add", "AddN", "AddV2", "Cumsum", "Div", "GatherV2", "Maximum", "Mean", "Minimum", "Mul",
    "Neg", "Pack", "ConcatV2", "RealDiv", "Slice", "StridedSlice", "Sub", "Sum", "ClipByValue",
    "Reshape", "Transpose", "Squeeze", "ExpandDims", "Identity", "Cast", "StopGradient",
    "EnsureShape", "PreventGradient", "Split", "SplitV", "Unpack", "Tile", "GatherNd", "AvgPool",
    "AvgPool3D", "MaxPool", "MaxPool3D", "Max", "Min", "Pad", "PadV2", "SelectV2",
))  # fmt: skip
_ENDS = {"Softmax": SOFTMAX, "Sigmoid": SIGMOID, "Tanh": "tanh"}
_ENDS |= dict.fromkeys(CONVOLUTIONS | DENSE | {"BiasAdd"}, LINEAR)


def _of_operations(model: Any, inputs: InputSpec, head: Output) -> _Ending:
    """Ending of a model by the operations of a call on noise."""
    state = state_reset(model)
    for tensors in (_noise(inputs), inputs.blank(inputs.batch_size or 2)):
        try:
            with step_gate_of(model).read_lock(), state, operations_noted() as operations:
                recording = trace_call(model, inputs.arguments(tensors))
            output = next(tap.output for tap in recording.taps if tap.name == head.name)
            values = np.asarray(tf.cast(output, tf.float32))
        except (CallTraceError, ModelError, StopIteration, tf.errors.OpError, TypeError) as failure:
            log.info("%s was not called to see how it ends: %s", model.name, failure)
            continue
        link, axis = last_link(output, operations)
        if link in (SOFTMAX, SIGMOID, "log_softmax"):
            return _Ending(link, f"it ends in a {link}", axis, values)
        function, words = _function_of(output, made_by(operations))
        return _Ending(function, words, -1, values)
    return _Ending(OTHER, "what it ends in is not known")


def _noise(inputs: InputSpec) -> list[Any]:
    """Samples of noise in 0..1, about zero, and in 0..255: two of each."""
    random, n_samples = np.random.default_rng(0), inputs.batch_size or 6
    found = []
    for blank in inputs.blank(n_samples):
        if blank.dtype == tf.string:
            found.append(blank)
        elif not blank.dtype.is_floating:
            drawn = random.integers(0, 2, blank.shape)
            found.append(tf.cast(drawn, blank.dtype))
        else:
            drawn = random.uniform(size=blank.shape)
            drawn[2::6] = random.normal(size=drawn[2::6].shape)
            drawn[3::6] = random.normal(size=drawn[3::6].shape)
            drawn[4::6] *= 255
            drawn[5::6] *= 255
            found.append(tf.cast(drawn, blank.dtype))
    return found


def _function_of(output: Any, maker: Any) -> tuple[str, str]:
    """Function computed by the last operations, and the same in words."""
    last = maker(output)
    if last is None:
        return OTHER, "what it ends in is not known"
    kinds = set(_ends(output, maker))
    names = ", ".join(sorted(kinds))
    if kinds == {LINEAR}:
        return LINEAR, "it ends in weighted sums, without an activation"
    if kinds and kinds <= {SOFTMAX, SIGMOID, "tanh"}:
        if last.type == "Tanh":
            return "tanh", "it ends in a tanh"
        return BOUNDED, f"it ends in {last.type} of {names}"
    if LINEAR in kinds and kinds & {SOFTMAX, SIGMOID}:
        joins = _joins(output, maker)
        if joins:
            return MIXED, f"it puts outputs of different kinds side by side: {names}"
    name = "a function that is called" if last.type.startswith("__") else last.type
    return OTHER, f"it ends in {name}"


def _joins(output: Any, maker: Any) -> bool:
    """Whether the output is a concatenation, rather than a product or a sum of its parts."""
    for _ in range(50):
        operation = maker(output)
        if operation is None:
            return False
        if operation.type in ("ConcatV2", "Pack"):
            return True
        if operation.type not in ("Reshape", "Transpose", "Identity", "Cast", "Squeeze"):
            return False
        output = operation.inputs[0]
    return False


def _ends(output: Any, maker: Any) -> Iterator[str]:
    """Functions that an output is made of by plain arithmetic; constants are left out."""
    waiting, seen = [output], set[int]()
    while waiting and len(seen) < 1000:
        tensor = waiting.pop()
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        operation = maker(tensor)
        if operation is None or not tensor.dtype.is_floating:
            continue  # a constant, a weight, a shape
        kind = operation.type
        if kind in _ENDS:
            yield _ENDS[kind]
        elif kind in _ARITHMETIC:
            waiting += list(operation.inputs)
        elif kind not in ("ReadVariableOp", "Const", "Fill", "ZerosLike", "OnesLike"):
            yield OTHER


# --- the loss ----------------------------------------------------------------------------

_CATEGORICAL = (
    "categoricalcrossentropy",
    "categoricalfocalcrossentropy",
    "categoricalgeneralizedcrossentropy",
    "kldivergence",
    "kullbackleiblerdivergence",
)
_BINARY = ("binarycrossentropy", "binaryfocalcrossentropy")
_MARGINS = ("hinge", "squaredhinge", "categoricalhinge")
_VALUES = (
    "meansquarederror", "meanabsoluteerror", "meanabsolutepercentageerror",
    "meansquaredlogarithmicerror", "logcosh", "huber", "poisson", "cosinesimilarity",
    "mse", "mae", "mape", "msle",
)  # fmt: skip


def _loss_of(model: Any, index: int, names: Sequence[str]) -> tuple[str, str, str] | None:
    """Kind, link and words by the loss that an output was compiled with; None if it is not told."""
    given = getattr(model, "loss", None)
    if isinstance(given, Mapping):
        given = given.get(names[index]) if index < len(names) else None
    elif isinstance(given, list | tuple):
        given = given[index] if index < len(given) else None
    if isinstance(given, list | tuple) and len(given) == 1:
        given = given[0]
    if not given:
        return None
    loss = _looked_up(model, given)
    name = getattr(loss, "__name__", None) or type(loss).__name__
    plain = name.replace("_", "").lower().removeprefix("sparse")
    from_logits = _from_logits(loss, given)
    reason = f"it was compiled with {name}" + ("(from_logits=True)" if from_logits else "")
    if plain in _CATEGORICAL:
        return "logit" if from_logits else "probability", SOFTMAX, reason
    if plain in _BINARY:
        return "logit" if from_logits else "probability", SIGMOID, reason
    if plain in _MARGINS:
        return "logit", MARGIN, reason
    return ("value", PLAIN, reason) if plain in _VALUES else None


def _looked_up(model: Any, given: Any) -> Any:
    """Look up a loss by name."""
    if not isinstance(given, str):
        return given.func if isinstance(given, functools.partial) else given
    framework = keras if isinstance(model, keras.Model) else sys.modules["tf_keras"]
    try:
        return framework.losses.get(given)
    except (ValueError, TypeError):
        return given


def _from_logits(loss: Any, given: Any) -> bool:
    if isinstance(given, functools.partial):
        return bool(given.keywords.get("from_logits", False))
    for kept in (vars(loss) if hasattr(loss, "__dict__") else {}, getattr(loss, "_fn_kwargs", {})):
        if "from_logits" in kept:
            return bool(kept["from_logits"])
    if inspect.isfunction(loss) or not hasattr(loss, "get_config"):
        return False
    try:
        return bool(loss.get_config().get("from_logits", False))
    except (NotImplementedError, TypeError, AttributeError):
        return False
