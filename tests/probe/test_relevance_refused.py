"""What relevance cannot be handed back through is refused, and named."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from relevance_models import RAMP
from relevance_truth import chain, handed_back, samples

from actwidgets.errors import LayerError

pytestmark = [pytest.mark.keras, pytest.mark.usefixtures("in_double_precision")]


def _multiplied_in_a_block():
    inputs = keras.Input((4,), name="given")
    gate = layers.Dense(4, activation="tanh")(inputs)
    block = keras.Model(inputs, layers.Multiply(name="gate")([inputs, gate]), name="block")
    return keras.Sequential([keras.Input((4,)), layers.Dense(4), block, layers.Dense(3)])


def _attentive():
    inputs = keras.Input((5, 4))
    x = layers.MultiHeadAttention(2, 3, name="attention")(inputs, inputs)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


class _Product(keras.Model):
    def __init__(self):
        super().__init__()
        self.one, self.other = layers.Dense(3, name="one"), layers.Dense(3, name="other")

    def call(self, x):
        return self.one(x) * self.other(x)


def _multiplied():
    model = _Product()
    model(np.zeros((1, 4)))
    return model


class _SharedOut(keras.Model):
    def __init__(self):
        super().__init__()
        self.nothing, self.last = layers.Dropout(0.5, name="nothing"), layers.Dense(3)

    def call(self, x):
        return self.last(self.nothing(tf.nn.softmax(x)))


def _shared_out():
    model = _SharedOut()
    model(np.zeros((1, 4)))
    return model


def _operated():
    inputs = keras.Input((4,))
    x = keras.ops.softmax(layers.Dense(4)(inputs))
    return keras.Model(inputs, layers.Dense(3)(x))


class _InTraining(layers.Layer):
    def call(self, x):
        ones = tf.ones(x.shape[-1:])
        return tf.compat.v1.nn.fused_batch_norm(tf.cast(x, tf.float32), ones, ones)[0]


IMAGE = tf.ones((1, 8, 24, 1), tf.float64)
REFUSED = {
    "a loop": (
        lambda: chain(
            layers.RNN([layers.LSTMCell(3), layers.GRUCell(2)], name="memory"),
            layers.Dropout(0.1),
            shape=(5, 4),
        ),
        (5, 4),
        r"layer 'memory' \(RNN\).*TensorListStack",
    ),
    "attention": (
        _attentive,
        (5, 4),
        r"layer 'attention' \(MultiHeadAttention\).*of two things that both depend on the input",
    ),
    "a softmax on the way": (
        lambda: chain(layers.Dense(4, activation="softmax", name="shares"), shape=(4,)),
        (4,),
        r"layer 'shares' \(Dense\).*Softmax for which there is no rule",
    ),
    "a sparse softmax on the way": (
        lambda: chain(layers.Dense(4, activation="sparsemax", name="shares"), shape=(4,)),
        (4,),
        r"layer 'shares' \(Dense\).*for which there is no rule",
    ),
    "a plain operation": (_operated, (4,), r"layer 'softmax\w*' \(Softmax\)"),
    "a normalization by batch": (
        lambda: chain(layers.Conv2D(4, 3), _InTraining(name="norm")),
        (8, 24, 3),
        r"layer 'norm' \(_InTraining\).*FusedBatchNorm",
    ),
    "bounds of another shape": (
        lambda: chain(
            layers.Dense(1),
            layers.Lambda(lambda x: tf.maximum(x, RAMP[:3]), name="bounds"),
            shape=(4,),
        ),
        (4,),
        r"layer 'bounds' \(Lambda\).*Maximum for which",
    ),
    "kernels made of the input": (
        lambda: chain(
            layers.Lambda(lambda x: tf.nn.conv2d(IMAGE, x[0, ..., None], 1, "VALID"), name="odd"),
            shape=(3, 3, 1),
        ),
        (3, 3, 1),
        r"layer 'odd' \(Lambda\).*Conv2D",
    ),
    "transposed kernels made of the input": (
        lambda: chain(
            layers.Lambda(
                lambda x: tf.nn.conv2d_transpose(
                    IMAGE, x[0, ..., None], (1, 10, 26, 1), 1, "VALID"
                ),
                name="odd",
            ),
            shape=(3, 3, 1),
        ),
        (3, 3, 1),
        r"layer 'odd' \(Lambda\).*Conv2DBackpropInput",
    ),
    "an operation of its own, handed on by a layer": (
        _shared_out,
        (4,),
        r"the model's own call: it holds a Softmax",
    ),
    "a factor that is no gate": (
        _multiplied_in_a_block,
        (4,),
        r"layer 'block/gate' \(Multiply\).*Mul of two things that both depend on the input; take",
    ),
    "a product": (_multiplied, (4,), r"the model's own call: it holds a Mul of two things"),
}


@pytest.mark.parametrize(("make", "shape", "words"), REFUSED.values(), ids=REFUSED)
def test_what_it_cannot_be_handed_through_is_named(make, shape, words):
    with pytest.raises(LayerError, match=words):
        handed_back(make(), samples(*shape))
