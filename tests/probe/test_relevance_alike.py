"""Relevance does not depend on how a model is written."""

import keras
import numpy as np
import pytest
from keras import layers
from precision import double_precision
from relevance_models import shape_of
from relevance_truth import ALL_RULES, HandedBack, chain, samples, with_weights

pytestmark = pytest.mark.keras


@pytest.fixture(autouse=True, scope="module")
def _in_double_precision():
    with double_precision():
        yield


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
    for rules in ALL_RULES.values():
        found, wanted = HandedBack(known, samples(6), rules), HandedBack(hidden, samples(6), rules)
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


@pytest.mark.parametrize("rules", ALL_RULES.values(), ids=ALL_RULES)
@pytest.mark.parametrize("make", [_as_layer, _as_named_layer, _as_bound, _as_choice])
def test_a_relu_is_one_however_it_is_written(make, rules):
    first = with_weights(_as_argument(), shifted=True)
    other = make()
    other.set_weights(first.get_weights())
    x = samples(8, 24, 3)
    np.testing.assert_allclose(
        HandedBack(other, x, rules).relevance[0],
        HandedBack(first, x, rules).relevance[0],
        rtol=1e-7,
        atol=1e-12,
    )


@pytest.mark.parametrize(
    "activation",
    [
        *("gelu", "silu", "mish", "hard_silu", "elu", "selu", "tanh", "softplus", "sigmoid"),
        *("relu6", lambda x: keras.ops.clip(x, -0.1, 0.1), lambda x: 1 / x),
    ],
)
def test_an_activation_hands_on_what_it_is_handed(activation):
    model = chain(
        layers.Dense(6, name="before"), layers.Activation(activation, name="behind"), shape=(4,)
    )
    x = samples(*shape_of(with_weights(model)))
    before, behind = (
        HandedBack(model, x, ALL_RULES["epsilon"], at=[name]) for name in ("before", "behind")
    )
    np.testing.assert_allclose(before.relevance[0], behind.relevance[0])
    whole = HandedBack(model, x, ALL_RULES["epsilon"])
    np.testing.assert_allclose(whole.totals, whole.scores)


def test_an_input_that_the_score_does_not_depend_on_gets_nothing():
    first, second = keras.Input((3,)), keras.Input((4,))
    outputs = [layers.Dense(3)(first), layers.Dense(2)(layers.Concatenate()([first, second]))]
    model = with_weights(keras.Model([first, second], outputs))
    x = [samples(3), samples(4, seed=3)]
    found = HandedBack(model, x, ALL_RULES["epsilon"])
    assert np.abs(found.relevance[0]).max() > 1e-3
    assert found.relevance[1].shape == (4, 4)
    assert not found.relevance[1].any()
    both = HandedBack(model, x, ALL_RULES["epsilon"], output=":1")
    assert np.abs(both.relevance[1]).max() > 1e-3
    np.testing.assert_allclose(both.totals, both.scores)
