"""Relevance is kept from layer to layer, and LRP-0 is the gradient times the input."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from real_data import require_data, require_model
from relevance_models import MODELS, conv, shape_of
from relevance_truth import (
    ALL_RULES,
    LRP_0,
    at_places,
    by_each_rule,
    chain,
    handed_back,
    samples,
    with_weights,
)

import actwidgets as aw
from actwidgets.core.attribution.base import LrpRules
from actwidgets.errors import LayerError

pytestmark = [pytest.mark.keras, pytest.mark.usefixtures("in_double_precision")]


@pytest.fixture(params=MODELS)
def model(request):
    keras.utils.set_random_seed(1)
    return MODELS[request.param]()


@pytest.fixture(scope="module", params=MODELS)
def shifted(request):
    """What a model with biases hands back by rules that add nothing of their own, of one trace."""
    keras.utils.set_random_seed(1)
    model = with_weights(MODELS[request.param](), shifted=True)
    rules = LrpRules("gamma", gamma=0.0, epsilon=0.01), LrpRules("epsilon", epsilon=0.01)
    return by_each_rule(model, samples(*shape_of(model)), dict(enumerate((LRP_0, *rules))))


def test_lrp_0_is_the_gradient_times_the_input(shifted):
    found = shifted[0]
    np.testing.assert_allclose(found.relevance[0], found.gradient_x_input[0], rtol=1e-7, atol=1e-10)
    assert np.abs(found.relevance[0]).max() > 1e-3


def test_nothing_is_lost_where_nothing_is_added(model):
    x = samples(*shape_of(with_weights(model)))
    for rule, found in by_each_rule(model, x).items():
        np.testing.assert_allclose(found.totals, found.scores, rtol=1e-6, err_msg=rule)


@pytest.mark.parametrize("name", ["residual", "nested", "separable", "normalized in front"])
def test_the_relevance_of_every_layer_sums_to_the_score(name):
    model = with_weights(MODELS[name]())
    x = samples(*shape_of(model))
    names = [each.name for each in model.layers if not isinstance(each, layers.InputLayer)]
    if name == "residual":  # others are in one of two branches, and get a part
        names = ["first", "added", "rectified", "joined", "pooled"]
    found = at_places(model, x, places=[names, *([name] for name in names)])
    for rule, (together, *alone) in found.items():
        for layer, one, total in zip(names, alone, together.totals_at, strict=True):
            for each in (one.totals, total):
                np.testing.assert_allclose(each, together.scores, rtol=1e-6, err_msg=rule + layer)


def test_gamma_0_is_the_epsilon_rule(shifted):
    _, gamma, epsilon = shifted.values()
    np.testing.assert_allclose(gamma.relevance[0], epsilon.relevance[0], rtol=1e-7, atol=1e-12)


def test_what_is_missing_is_what_the_biases_took():
    model = with_weights(
        chain(conv(activation=None), layers.BatchNormalization(), layers.ReLU(), conv()),
        shifted=True,
    )
    x = samples(8, 24, 3)
    found = handed_back(model, x, LRP_0)
    taken = []
    for sample in range(len(x)):
        with tf.GradientTape() as tape:
            score = tf.reduce_max(model(x[sample : sample + 1]))
        slopes = tape.gradient(score, model.trainable_variables)
        shifts = {
            variable.path: slope
            for variable, slope in zip(model.trainable_variables, slopes, strict=True)
        }
        norm = model.layers[1]
        scale = norm.gamma / tf.sqrt(norm.moving_variance + norm.epsilon)
        amount = tf.reduce_sum(shifts[norm.beta.path] * (norm.beta - norm.moving_mean * scale))
        for layer in model.layers:
            if getattr(layer, "bias", None) is not None:
                amount += tf.reduce_sum(shifts[layer.bias.path] * layer.bias)
        taken.append(float(amount))
    assert np.abs(taken).min() > 1e-3
    np.testing.assert_allclose(found.scores - found.totals, taken, rtol=1e-6)


def test_a_maximum_over_a_volume_goes_to_the_winner():
    model = keras.Sequential(
        [
            keras.Input((2, 2, 2, 1), dtype="float32"),
            layers.MaxPooling3D(dtype="float32"),
            layers.Reshape((1,), dtype="float32"),
        ]
    )
    x = np.zeros((1, 2, 2, 2, 1), np.float32)
    x[0, 1, 0, 1] = 3
    np.testing.assert_array_equal(handed_back(model, x).relevance[0], x)


def test_a_model_of_keras_2_is_handed_through_alike():
    keras_2 = pytest.importorskip("tf_keras")
    kinds = keras_2.layers
    model = keras_2.Sequential(
        [
            kinds.Input((8, 24, 3)),
            kinds.Conv2D(4, 3),
            kinds.BatchNormalization(),
            kinds.ReLU(),
            kinds.MaxPooling2D(),
            kinds.Flatten(),
            kinds.Dense(3),
        ]
    )
    x = samples(8, 24, 3).astype(np.float32)
    for rule, found in by_each_rule(model, x).items():
        np.testing.assert_allclose(found.totals, found.scores, rtol=1e-3, err_msg=rule)
    found = handed_back(model, x)
    np.testing.assert_allclose(found.relevance[0], found.gradient_x_input[0], rtol=1e-3, atol=1e-6)
    ends = [kinds.Softmax(name="shares"), kinds.Dense(2)]
    refused = keras_2.Sequential([kinds.Input((8, 24, 3)), model, *ends])
    with pytest.raises(LayerError, match=r"layer 'shares' \(Softmax\)"):
        handed_back(refused, x)


@pytest.mark.parametrize(
    ("file", "brightest"), [("CIFAR-10_CNN5.h5", 1.0), ("mlperf_tiny_resnet.h5", 255.0)]
)
def test_published_models_lose_nothing_but_to_their_biases(file, brightest):
    """With the biases taken out, all of the score arrives at the image."""
    model = aw.load_model(require_model(file))
    with np.load(require_data("cifar10") / "cifar10.npz") as data:
        x = data["x_test"][:8].astype(np.float32) * (brightest / 255)
    found = handed_back(model, x)
    largest = np.abs(found.gradient_x_input[0]).max()
    np.testing.assert_allclose(
        found.relevance[0], found.gradient_x_input[0], rtol=1e-3, atol=1e-5 * largest
    )
    for variable in model.weights:
        if variable.name in ("bias", "beta", "moving_mean"):
            variable.assign(np.zeros(variable.shape))
    for box in (None, (0, brightest)):
        rules = {name: replace(each, epsilon=1e-9, box=box) for name, each in ALL_RULES.items()}
        for rule, found in by_each_rule(model, x, rules).items():
            np.testing.assert_allclose(found.totals, found.scores, rtol=2e-3, err_msg=rule)
