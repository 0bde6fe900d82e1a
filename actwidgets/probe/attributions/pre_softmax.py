"""The scores of the classes, read off a model whether or not it ends in a softmax."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from actwidgets.errors import ModelError

SOFTMAX, SIGMOID, PLAIN = "softmax", "sigmoid", "plain"
_LINKS = {"Softmax": SOFTMAX, "LogSoftmax": SOFTMAX, "Sigmoid": SIGMOID}
_PASSING = ("Identity", "Cast", "CheckNumerics", "EnsureShape", "PreventGradient", "StopGradient")


def pre_softmax(output: Any, operations: Sequence[Any] = ()) -> tuple[Any, str]:
    """What a model's output is made of by its last function, and which function that is.

    Args:
        output: A tensor of a graph, or an eager one.
        operations: By which an eager one was made.

    Returns:
        The tensor before a softmax or a sigmoid, and its kind; the output itself and `PLAIN`
        where there is neither.
    """
    operation = _last_function(output, _maker(operations))
    link = _LINKS.get(operation.type) if operation else None
    return (operation.inputs[0], link) if operation and link else (output, PLAIN)


def class_scores(output: Any, as_probability: bool, operations: Sequence[Any] = ()) -> Any:
    """The score of every class, as a tensor of the same graph.

    Args:
        output: The model's output `(sample, …, class)` or `(sample,)`.
        as_probability: Whether probabilities are wanted, rather than what is before them.
        operations: By which an eager output was made.

    Returns:
        `(sample, target)`, at least float32. A single sigmoid tells two classes: the scores
        are -z and z, the probabilities 1-p and p. Positions between the axes are summed over.

    Raises:
        ModelError: The output is no vector of numbers, or no probability.
    """
    before, link = pre_softmax(output, operations)
    scores = before if not as_probability else output
    if not scores.dtype.is_floating:
        raise ModelError(
            f"the model puts out {scores.dtype.name}: such a score has no gradient; attribute an "
            "output of floating-point values"
        )
    if scores.dtype.size < 4:
        scores = tf.cast(scores, tf.float32)
    if scores.shape.rank == 1:
        scores = scores[:, None]
    n_outputs = scores.shape[-1]
    if scores.shape.rank is None or n_outputs is None:
        raise ModelError("the model's output has no fixed number of classes")
    if as_probability and link == PLAIN:
        if n_outputs == 1:
            raise ModelError(
                "this needs a probability, and the model puts out one number without a sigmoid, "
                "which is none: ask for the logit, by a method other than Score-CAM"
            )
        scores = tf.nn.softmax(scores)
    last = _last_function(output, _maker(operations))
    if as_probability and last is not None and last.type == "LogSoftmax":
        scores = tf.exp(scores)
    if scores.shape.rank > 2:
        scores = tf.reduce_sum(scores, axis=[*range(1, scores.shape.rank - 1)])
    if link == SIGMOID and n_outputs == 1:
        other = 1 - scores if as_probability else -scores
        scores = tf.concat([other, scores], axis=1)
    return scores


def _last_function(output: Any, made_by: Callable[[Any], Any]) -> Any:
    """The operation behind those that only hand values on; None where it is not known."""
    operation = made_by(output)
    while operation is not None and _hands_on(operation):
        operation = made_by(operation.inputs[0])
    return operation


def _hands_on(operation: Any) -> bool:
    if operation.type == "Reshape":  # of a vector to itself, as by a layer that flattens it
        given, found = operation.inputs[0].shape, operation.outputs[0].shape
        return given.rank == found.rank == 2 and given[-1] == found[-1]
    return operation.type in _PASSING and operation.inputs[0].dtype.is_floating


def _maker(operations: Sequence[Any]) -> Callable[[Any], Any]:
    """Tells which operation made a tensor; None for an eager one that none is known to have."""
    by_output = {id(output): each for each in operations for output in each.outputs}
    return lambda tensor: by_output.get(id(tensor)) if hasattr(tensor, "numpy") else tensor.op
