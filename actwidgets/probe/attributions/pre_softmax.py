"""The scores of the classes, read off a traced model whether or not it ends in a softmax."""

from typing import Any

import tensorflow as tf

from actwidgets.errors import ModelError

SOFTMAX, SIGMOID, PLAIN = "softmax", "sigmoid", "plain"
_LINKS = {"Softmax": SOFTMAX, "LogSoftmax": SOFTMAX, "Sigmoid": SIGMOID}
_PASSING = ("Identity", "Cast", "CheckNumerics", "EnsureShape", "PreventGradient", "StopGradient")


def pre_softmax(output: Any) -> tuple[Any, str]:
    """What a model's output is made of by its last function, and which function that is.

    Args:
        output: A tensor of a graph, or an eager one that Keras made.

    Returns:
        The tensor before a softmax or a sigmoid, and its kind; the output itself and `PLAIN`
        where there is neither.
    """
    if hasattr(output, "numpy"):  # an eager call leaves no graph; Keras notes the logits
        return _noted_logits(output)
    tensor = output
    while tensor.op.type in _PASSING and tensor.op.inputs[0].dtype.is_floating:
        tensor = tensor.op.inputs[0]
    link = _LINKS.get(tensor.op.type)
    return (tensor.op.inputs[0], link) if link else (output, PLAIN)


def class_scores(output: Any, as_probability: bool) -> Any:
    """The score of every class, as a tensor of the same graph.

    Args:
        output: The model's output `(sample, …, class)` or `(sample,)`.
        as_probability: Whether probabilities are wanted, rather than what is before them.

    Returns:
        `(sample, target)`, at least float32. A single sigmoid tells two classes: the scores
        are -z and z, the probabilities 1-p and p. Positions between the axes are summed over.

    Raises:
        ModelError: The output is no vector of numbers, or no probability.
    """
    before, link = pre_softmax(output)
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
                "the model puts out one number without a sigmoid, which is no probability: ask "
                "for output='logit'"
            )
        scores = tf.nn.softmax(scores)
    if as_probability and _is_logarithm(output):
        scores = tf.exp(scores)
    if scores.shape.rank > 2:
        scores = tf.reduce_sum(scores, axis=[*range(1, scores.shape.rank - 1)])
    if link == SIGMOID and n_outputs == 1:
        other = 1 - scores if as_probability else -scores
        scores = tf.concat([other, scores], axis=1)
    return scores


def _is_logarithm(output: Any) -> bool:
    tensor = output
    while not hasattr(tensor, "numpy") and tensor.op.type in _PASSING:
        tensor = tensor.op.inputs[0]
    return not hasattr(tensor, "numpy") and tensor.op.type == "LogSoftmax"


def _noted_logits(output: Any) -> tuple[Any, str]:
    logits = getattr(output, "_keras_logits", None)
    if logits is None:
        return output, PLAIN
    total = tf.reduce_sum(tf.nn.softmax(logits) - output)
    return logits, SOFTMAX if abs(float(total)) < 1e-3 and output.shape[-1] > 1 else SIGMOID
