"""How steep the loss of a model is in the weights of each layer."""

import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from actwidgets.core.training.norm import norm
from actwidgets.probe.frameworks import call_untouched

log = logging.getLogger("actwidgets")


def gradient_norms(
    model: Any, layers: Mapping[str, Any], arguments: Sequence[Any], labels: np.ndarray
) -> dict[str, float]:
    """The norm of the gradient of the loss, by layer; nothing about the model is changed.

    The loss is the one that the model was compiled with, as a mean over the samples, and the
    penalties on its weights. Dropout is off, moving averages stand; what layers add to the
    loss by their outputs is left out.

    Args:
        model: A built Keras model.
        layers: By name.
        arguments: What the model is called with: one batch of tensors.
        labels: `(sample,)` class indices; one-hot where the loss takes that.

    Returns:
        By name of the layer, over all its trainable weights; NaN where it has none. Empty
        where the model is not compiled, has several outputs, or class labels do not go with
        its loss.

    Cost: a pass forth and back, not compiled.
    """
    loss = _loss(model)
    if loss is None:
        return {}
    for targets in (_one_hot, _as_indices) if not _is_sparse(loss) else (_as_indices,):
        try:
            gradients = _gradients(model, loss, arguments, labels, targets)
        except Exception as failure:
            log.info("no gradient of the loss of %s: %s", model.name, failure, exc_info=True)
        else:
            return {name: _norm(layer, gradients) for name, layer in layers.items()}
    return {}


def _loss(model: Any) -> Any:
    """The function of targets and outputs that the model is compiled with; None for none."""
    given = getattr(model, "loss", None)
    if isinstance(given, Mapping):
        given = [*given.values()]
    if isinstance(given, list | tuple):
        given = given[0] if len(given) == 1 else None
    if not given or len(getattr(model, "outputs", None) or [None]) != 1:
        return None
    framework = keras if isinstance(model, keras.Model) else sys.modules["tf_keras"]
    try:
        return framework.losses.get(given)
    except ValueError:
        return None


def _is_sparse(loss: Any) -> bool:
    return "sparse" in getattr(loss, "__name__", type(loss).__name__).lower()


def _as_indices(labels: np.ndarray, outputs: tf.Tensor) -> tf.Tensor:
    return tf.constant(labels)


def _one_hot(labels: np.ndarray, outputs: tf.Tensor) -> tf.Tensor:
    """As many columns as the output has; the index itself where there is one."""
    if outputs.shape[-1] == 1:
        return tf.cast(labels[:, None], outputs.dtype)
    return tf.one_hot(labels, outputs.shape[-1], dtype=outputs.dtype)


def _gradients(
    model: Any, loss: Any, arguments: Sequence[Any], labels: np.ndarray, targets: Any
) -> dict[int, tf.Tensor]:
    """By the identity of the variable."""
    variables = list(model.trainable_variables)

    def call() -> tf.Tensor:
        outputs = tf.nest.flatten(model(*arguments, training=False))[0]
        penalties = [
            variable.regularizer(variable)
            for variable in variables
            if getattr(variable, "regularizer", None) is not None
        ]
        mean = tf.reduce_mean(loss(targets(labels, outputs), outputs))
        return tf.add_n([mean, *(tf.cast(each, mean.dtype) for each in penalties)])

    with tf.GradientTape() as tape:
        value = call_untouched(model, call)
    tensors = [each if isinstance(each, tf.Variable) else each.value for each in variables]
    found = tape.gradient(value, tensors)
    return {id(each): found[at] for at, each in enumerate(variables) if found[at] is not None}


def _norm(layer: Any, gradients: Mapping[int, tf.Tensor]) -> float:
    found = [gradients[id(each)] for each in layer.trainable_variables if id(each) in gradients]
    return norm({str(at): np.asarray(tf.convert_to_tensor(each)) for at, each in enumerate(found)})
