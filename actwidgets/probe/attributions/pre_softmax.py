"""The scores of the classes, read off a model whether or not it ends in a softmax."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from actwidgets.core.predictions.output_kind import SIGMOID, SOFTMAX, OutputKind
from actwidgets.errors import ModelError
from actwidgets.probe.attributions.operations import same_shape

LOG_SOFTMAX, NO_LINK = "log_softmax", ""
_LINKS = {"Softmax": SOFTMAX, "LogSoftmax": LOG_SOFTMAX, "Sigmoid": SIGMOID}
_PASSING = ("Identity", "Cast", "CheckNumerics", "EnsureShape", "PreventGradient", "StopGradient")
_LAID_OTHERWISE = ("Reshape", "Transpose", "Squeeze", "ExpandDims")


def pre_softmax(output: Any, operations: Sequence[Any] = ()) -> Any:
    """What a model's output is made of by its last softmax or sigmoid; itself where none is.

    Args:
        output: A tensor of a graph, or an eager one.
        operations: By which an eager one was made.
    """
    function, _ = _last_function(output, operations)
    return output if function is None else function.inputs[0]


def last_link(output: Any, operations: Sequence[Any] = ()) -> tuple[str, int]:
    """Which function a model's output is made by, whatever only lays values otherwise behind it.

    Args:
        output: A tensor of a graph, or an eager one.
        operations: By which an eager one was made.

    Returns:
        "softmax", "log_softmax", "sigmoid", or "" for none of them; and the axis of a softmax,
        counted from the end of the output. A softmax whose axis is merged with others is a
        "sigmoid": each value is a probability, and no axis of them sums to one.
    """
    function, behind = _last_function(output, operations)
    if function is None:
        return NO_LINK, -1
    link = _LINKS[function.type]
    axis: int | None = (function.inputs[0].shape.rank or 1) - 1
    for each in behind:
        axis = None if axis is None else _axis_behind(each, axis)
    if axis is None:
        return SIGMOID if link == SOFTMAX else link, -1
    return link, -1 if link == SIGMOID else axis - (output.shape.rank or 1)


def _last_function(output: Any, operations: Sequence[Any]) -> tuple[Any, list[Any]]:
    """The softmax or sigmoid that an output is made by, or None, and what is done behind it."""
    maker, behind = made_by(operations), list[Any]()
    operation = maker(output)
    while operation is not None and _hands_on(operation):
        behind.insert(0, operation)
        operation = maker(operation.inputs[0])
    is_one = operation is not None and operation.type in _LINKS
    return (operation, behind) if is_one else (None, [])


def _before(output: Any, operations: Sequence[Any]) -> Any:
    """What stands before the last softmax or sigmoid, laid as the output is."""
    function, behind = _last_function(output, operations)
    if function is None:
        return output
    before = function.inputs[0]
    for each in behind:
        if each.type == "Transpose":
            before = tf.transpose(before, each.inputs[1])
        elif each.type in _LAID_OTHERWISE and not same_shape(*each.inputs[:1], each.outputs[0]):
            laid = tf.reshape(before, tf.shape(each.outputs[0]))
            before = tf.ensure_shape(laid, each.outputs[0].shape)
    return before


def class_scores(
    output: Any,
    as_probability: bool,
    operations: Sequence[Any] = (),
    kind: OutputKind | None = None,
) -> Any:
    """The score of every class, as a tensor of the same graph.

    Args:
        output: The model's output `(sample, …, class)` or `(sample,)`.
        as_probability: Whether probabilities are wanted, rather than what is before them.
        operations: By which an eager output was made.
        kind: What the output means; None for logits, and what is found before a softmax or a
            sigmoid.

    Returns:
        `(sample, target)`, at least float32. A single output tells two classes: the scores
        are -z and z, the probabilities 1-p and p. Positions beside the classes are summed
        over.

    Raises:
        ModelError: The output is no vector of numbers, or no probability.
    """
    if not output.dtype.is_floating:
        raise ModelError(
            f"the model puts out {output.dtype.name}: such a score has no gradient; attribute an "
            "output of floating-point values"
        )
    if as_probability and kind is not None:
        kind.require_probabilities()
    scores, is_probability = _scores(output, as_probability, operations, kind)
    if scores.shape.rank == 1:
        scores = scores[:, None]
    axis = -1 if kind is None else kind.axis
    if scores.shape.rank is None or scores.shape[axis] is None:
        raise ModelError("the model's output has no fixed number of classes")
    if axis != -1:
        scores = tf.experimental.numpy.moveaxis(scores, axis, -1)
    if scores.shape.rank > 2:
        scores = tf.reduce_sum(scores, axis=[*range(1, scores.shape.rank - 1)])
    if scores.shape[-1] == 1 and _tells_two_classes(output, operations, kind):
        scores = tf.concat([1 - scores if is_probability else -scores, scores], axis=1)
    return scores


def _scores(
    output: Any, as_probability: bool, operations: Sequence[Any], kind: OutputKind | None
) -> tuple[Any, bool]:
    """Scores in the shape of the output, and whether they are probabilities."""
    link, _ = last_link(output, operations)
    is_probability = link in (SOFTMAX, SIGMOID) if kind is None else kind.kind == "probability"
    if not as_probability:
        has_logits = link == LOG_SOFTMAX or (is_probability and link != NO_LINK)
        if kind is not None and kind.kind == "value":
            has_logits = False
        return _single(
            _before(output, operations) if has_logits else output
        ), is_probability and not has_logits
    values = _single(output)
    if is_probability:
        return values, True
    if link == LOG_SOFTMAX:
        return tf.exp(values), True
    if kind is not None and kind.link == SIGMOID:
        return tf.sigmoid(values), True
    return tf.nn.softmax(values, axis=-1 if kind is None else kind.axis), True


def _tells_two_classes(output: Any, operations: Sequence[Any], kind: OutputKind | None) -> bool:
    if kind is not None:
        return kind.kind != "value"
    return last_link(output, operations)[0] == SIGMOID


def _single(values: Any) -> Any:
    return tf.cast(values, tf.float32) if values.dtype.size < 4 else values


def _hands_on(operation: Any) -> bool:
    """Whether an operation puts out the values that it takes, laid otherwise at most."""
    kinds = (*_PASSING, *_LAID_OTHERWISE)
    return operation.type in kinds and operation.inputs[0].dtype.is_floating


def _axis_behind(operation: Any, axis: int) -> int | None:
    """Where an axis lies once values are laid otherwise; None where it is merged or not known."""
    given, found = operation.inputs[0].shape, operation.outputs[0].shape
    if operation.type == "Transpose":
        order = tf.get_static_value(operation.inputs[1])
        return None if order is None else int([*order].index(axis))
    if operation.type not in _LAID_OTHERWISE:
        return axis
    if given.rank is None or found.rank is None:
        return None
    after = _length(given[axis + 1 :])
    places = [
        place
        for place in range(1, found.rank)
        if found[place] == given[axis] and _length(found[place + 1 :]) == after
    ]
    return places[-1] if places and after is not None and given[axis] is not None else None


def _length(shape: Any) -> int | None:
    axes = list(shape)
    return None if None in axes else math.prod(axes)


def made_by(operations: Sequence[Any]) -> Callable[[Any], Any]:
    """Tells which operation made a tensor; None for an eager one that none is known to have."""
    by_output = {id(output): each for each in operations for output in each.outputs}
    return lambda tensor: by_output.get(id(tensor)) if hasattr(tensor, "numpy") else tensor.op
