"""Relevance does not depend on how a model is written."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from relevance_truth import (
    ALL_RULES,
    at_places,
    by_each_rule,
    chain,
    handed_back,
    samples,
    with_weights,
)

pytestmark = [pytest.mark.keras, pytest.mark.usefixtures("in_double_precision")]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: keras.ops.relu(x),
        lambda x: keras.ops.pad(keras.ops.relu(x), ((0, 0), (1, 1)), constant_values=-1.0),
        lambda x: keras.ops.concatenate([keras.ops.relu(x), -keras.ops.relu(x)], axis=1),
        lambda x: keras.ops.maximum(x, -1.0),
    ],
)
def test_what_is_known_of_signs_changes_nothing(function):
    known = chain(layers.Lambda(function), layers.Dense(4), layers.ReLU(), shape=(6,))
    hidden = chain(
        layers.Lambda(lambda x: keras.ops.minimum(function(x), 1e9)),
        layers.Dense(4),
        layers.ReLU(),
        shape=(6,),
    )
    hidden.set_weights(with_weights(known).get_weights())
    both = by_each_rule(known, samples(6)), by_each_rule(hidden, samples(6))
    for found, wanted in zip(*(each.values() for each in both), strict=True):
        np.testing.assert_allclose(found.relevance[0], wanted.relevance[0])


def _as_argument():
    return chain(layers.Conv2D(4, 3, activation="relu"))


def _as_layer():
    return chain(layers.Conv2D(4, 3), layers.ReLU())


def _as_named_layer():
    return chain(layers.Conv2D(4, 3), layers.Activation("relu"))


def _as_bound():
    return chain(layers.Conv2D(4, 3), layers.Lambda(lambda x: keras.ops.maximum(0.0, x)))


def _as_choice():
    return chain(layers.Conv2D(4, 3), layers.Lambda(lambda x: keras.ops.where(x > 0, x, 0.0)))


@pytest.mark.parametrize("make", [_as_layer, _as_named_layer, _as_bound, _as_choice])
def test_a_relu_is_one_however_it_is_written(make):
    first = with_weights(_as_argument(), shifted=True)
    other = make()
    other.set_weights(first.get_weights())
    x = samples(8, 24, 3)
    both = by_each_rule(other, x), by_each_rule(first, x)
    for found, wanted in zip(*(each.values() for each in both), strict=True):
        np.testing.assert_allclose(found.relevance[0], wanted.relevance[0], rtol=1e-7, atol=1e-12)


OTHERS = ("glu", "log_softmax", "softmax", "sparsemax", "threshold")  # not by number, or more
BY_NUMBER = [
    name
    for name, each in vars(keras.activations).items()
    if callable(each) and name not in ("deserialize", "get", "serialize", *OTHERS)
]
BY_HAND = {
    "clipped": lambda x: keras.ops.clip(x, -0.1, 0.1),
    "reciprocal": lambda x: 1 / x,
    "threshold": lambda x: keras.activations.threshold(x, 0.3, 0.7),
    "shifted at its beginning": lambda x: tf.nn.relu6(x + 3) / 6,
    "shifted at its end": lambda x: tf.tanh(x) + 1,
    "of constants at both": lambda x: 1 / (1 + tf.exp(-x)),
    "with a root": lambda x: (x + tf.sqrt(x * x + 4)) / 2,
}
LAYERS = {
    "PReLU": lambda: layers.PReLU(),
    "LeakyReLU": lambda: layers.LeakyReLU(),
    "ELU": lambda: layers.ELU(),
    "ReLU": lambda: layers.ReLU(max_value=2.0, negative_slope=0.1, threshold=0.2),
    "thresholded": lambda: layers.ReLU(threshold=0.5),
}
ACTIVATIONS = {each: each for each in BY_NUMBER} | BY_HAND


@pytest.mark.parametrize("activation", ACTIVATIONS.values(), ids=ACTIVATIONS)
def test_an_activation_hands_on_what_it_is_handed(activation):
    as_layer = chain(
        layers.Dense(6, name="before"), layers.Activation(activation, name="behind"), shape=(4,)
    )
    as_argument = chain(
        layers.Dense(6, activation=activation, use_bias=False), layers.Dense(5), shape=(4,)
    )
    x = samples(4)
    with_weights(as_layer)
    rules = {"epsilon": ALL_RULES["epsilon"]}
    found = at_places(as_layer, x, rules, places=[["before"], ["behind"], None])
    before, behind, whole_layer = found["epsilon"]
    np.testing.assert_allclose(before.relevance[0], behind.relevance[0])
    for whole in (whole_layer, handed_back(with_weights(as_argument), x, rules["epsilon"])):
        np.testing.assert_allclose(whole.totals, whole.scores, rtol=1e-6)


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_a_layer_that_is_an_activation_hands_on_what_it_is_handed(make):
    model = with_weights(chain(layers.Dense(6), make(), layers.Dense(5), shape=(4,)))
    for found in by_each_rule(model, samples(4)).values():
        np.testing.assert_allclose(found.totals, found.scores, rtol=1e-6)


def test_a_hard_sigmoid_by_hand():
    model = keras.Sequential(
        [keras.Input((3,)), layers.Dense(1, use_bias=False, activation="hard_sigmoid")]
    )
    model.set_weights([np.array([[1.0], [-0.4], [0.2]])])  # 0.8 in all: 0.8 / 6 + 0.5
    found = handed_back(model, np.ones((1, 3)))
    np.testing.assert_allclose(found.scores, [0.8 / 6 + 0.5])
    np.testing.assert_allclose(found.relevance[0], [[0.7916667, -0.3166667, 0.1583333]], atol=1e-6)


def test_a_bias_of_the_models_own_is_not_part_of_an_activation():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.first, self.last = layers.Dense(6, use_bias=False), layers.Dense(3)

        def build(self, shape):
            self.shift = self.add_weight(shape=(6,), name="bias")

        def call(self, x):
            return self.last(tf.nn.relu(self.first(x) + self.shift))

    model = Own()
    model(np.zeros((1, 4)))
    model.shift.assign(np.linspace(-1, 1, 6))
    found = handed_back(model, samples(4))
    np.testing.assert_allclose(found.relevance[0], found.gradient_x_input[0], atol=1e-10)


def test_an_input_that_the_score_does_not_depend_on_gets_nothing():
    first, second = keras.Input((3,)), keras.Input((4,))
    outputs = [layers.Dense(3)(first), layers.Dense(2)(layers.Concatenate()([first, second]))]
    model = with_weights(keras.Model([first, second], outputs))
    x = [samples(3), samples(4, seed=3)]
    found = handed_back(model, x, ALL_RULES["epsilon"])
    assert np.abs(found.relevance[0]).max() > 1e-3
    assert found.relevance[1].shape == (4, 4)
    assert not found.relevance[1].any()
    both = handed_back(model, x, ALL_RULES["epsilon"], output=":1")
    assert np.abs(both.relevance[1]).max() > 1e-3
    np.testing.assert_allclose(both.totals, both.scores)
