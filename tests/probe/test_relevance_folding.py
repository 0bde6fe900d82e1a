"""A normalization counts as part of the layer that it directly follows or precedes."""

import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from relevance_models import RAMP, FusedNormalization, conv
from relevance_truth import by_each_rule, chain, handed_back, samples, with_weights

pytestmark = [pytest.mark.keras, pytest.mark.usefixtures("in_double_precision")]


def _assert_alike(one, other, x, rtol=1e-6, atol=1e-9):
    """By every rule both hand back the same."""
    both = by_each_rule(one, x), by_each_rule(other, x)
    for rule, found in both[0].items():
        wanted = both[1][rule]
        np.testing.assert_allclose(found.scores, wanted.scores, rtol=max(rtol, 1e-7))
        np.testing.assert_allclose(
            found.relevance[0], wanted.relevance[0], rtol=rtol, atol=atol, err_msg=rule
        )


def _folded_behind(norm, kernel, bias, *, axis=-1):
    scale = (norm.gamma / np.sqrt(norm.moving_variance + norm.epsilon)).numpy()
    shape = [1] * kernel.ndim
    shape[axis] = -1
    return kernel * scale.reshape(shape), (bias - norm.moving_mean) * scale + norm.beta


WEIGHTED = {
    "convolution": (lambda: layers.Conv2D(5, 3, strides=2), -1),
    "dilated": (lambda: layers.Conv2D(5, 3, dilation_rate=2), -1),
    "depthwise": (lambda: layers.DepthwiseConv2D(3), -2),
    "transposed": (lambda: layers.Conv2DTranspose(5, 3), -2),
    "dense": (lambda: layers.Dense(5), -1),
}


@pytest.mark.parametrize(("make", "axis"), WEIGHTED.values(), ids=WEIGHTED)
def test_a_normalization_is_folded_into_the_layer_in_front_of_it(make, axis):
    parted = chain(make(), layers.BatchNormalization(), layers.ReLU())
    with_weights(parted, shifted=True)
    norm = parted.layers[1]
    norm.gamma.assign(norm.gamma * np.resize([1, -1], norm.gamma.shape))
    whole = chain(make(), layers.ReLU())
    kernel, bias = _folded_behind(norm, *parted.layers[0].get_weights(), axis=axis)
    whole.layers[0].set_weights([kernel, bias])
    whole.layers[-1].set_weights(parted.layers[-1].get_weights())
    _assert_alike(parted, whole, samples(8, 24, 3))


def test_a_normalization_between_two_layers_is_folded_into_the_first():
    parted = chain(layers.Dense(5), layers.BatchNormalization(), layers.Dense(4), shape=(6,))
    norm = with_weights(parted, shifted=True).layers[1]
    norm.gamma.assign(norm.gamma * [1, -1, 1, -1, 1])
    whole = chain(layers.Dense(5), layers.Dense(4), shape=(6,))
    others = [each for layer in parted.layers[2:] for each in layer.get_weights()]
    whole.set_weights([*_folded_behind(norm, *parted.layers[0].get_weights()), *others])
    _assert_alike(parted, whole, samples(6))


def test_a_normalization_behind_a_relu_is_folded_into_the_layer_behind_it():
    parted = chain(conv(), layers.BatchNormalization(), conv(strides=2))
    with_weights(parted, shifted=True)
    first, norm, second, last = [each for each in parted.layers if each.weights]
    norm.gamma.assign(norm.gamma * [1, -1, 1, -1])
    scale = (norm.gamma / np.sqrt(norm.moving_variance + norm.epsilon)).numpy()
    shift = (norm.beta - norm.moving_mean * scale).numpy()
    kernel, bias = second.get_weights()
    whole = chain(conv(), conv(strides=2))
    whole.layers[0].set_weights(first.get_weights())
    added = np.einsum("abcd,c->d", kernel, shift)
    whole.layers[1].set_weights([kernel * scale[:, None], bias + added])
    whole.layers[-1].set_weights(last.get_weights())
    _assert_alike(parted, whole, samples(8, 24, 3))


@pytest.mark.parametrize("front", [True, False], ids=["in front", "behind"])
def test_a_fused_normalization_is_folded_like_one_of_several_operations(front):
    def normalized(norm):
        if front:
            return chain(conv(), norm, conv())
        return chain(conv(activation=None), norm, layers.ReLU())

    fused, plain = normalized(FusedNormalization()), normalized(layers.BatchNormalization())
    with_weights(plain, shifted=True)
    for one, other in zip(fused.weights, plain.weights, strict=True):
        one.assign(other)
    _assert_alike(fused, plain, samples(8, 24, 3), rtol=0.01, atol=1e-4)


def test_a_fused_normalization_without_a_layer_to_fold_it_into_takes_part_in_the_sum():
    model = chain(conv(), FusedNormalization(), layers.MaxPooling2D(), conv())
    found = handed_back(with_weights(model, shifted=True), samples(8, 24, 3))
    largest = np.abs(found.gradient_x_input[0]).max()
    assert np.abs(found.relevance[0] - found.gradient_x_input[0]).max() < 1e-3 * largest


SCALED = {
    "from a constant": (lambda x: 3 - x, -1, 3),
    "negated": (lambda x: -x, -1, 0),
    "divided": (lambda x: x / RAMP[:5] + 0.5, 1 / RAMP[:5], 0.5),
    "less a constant": (lambda x: (x - 0.5) * RAMP[2:7], RAMP[2:7], -0.5 * RAMP[2:7]),
}


@pytest.mark.parametrize(("function", "scale", "shift"), SCALED.values(), ids=SCALED)
def test_a_scale_written_by_hand_is_folded_too(function, scale, shift):
    parted = chain(layers.Dense(5), layers.Lambda(function), layers.ReLU(), shape=(6,))
    kernel, bias, *others = with_weights(parted, shifted=True).get_weights()
    whole = chain(layers.Dense(5), layers.ReLU(), shape=(6,))
    whole.set_weights([kernel * scale, bias * scale + shift, *others])
    _assert_alike(parted, whole, samples(6))


@pytest.mark.parametrize("function", [lambda x: 3 - x, lambda x: x / RAMP[:5] + 0.5])
def test_a_scale_in_front_of_a_layer_is_folded_into_it(function):
    parted = chain(layers.ReLU(), layers.Lambda(function), layers.Dense(4), shape=(5,))
    kernel, bias, *others = with_weights(parted, shifted=True).get_weights()
    shift = function(np.zeros((1, 5)))
    scale = function(np.ones((1, 5))) - shift
    whole = chain(layers.ReLU(), layers.Dense(4), shape=(5,))
    whole.set_weights([kernel * scale.T, bias + (shift @ kernel)[0], *others])
    _assert_alike(parted, whole, samples(5))


def test_a_bias_along_the_second_axis_is_not_taken_for_one_of_the_last():
    def biased(x):
        return tf.nn.bias_add(x, RAMP[:3], data_format="NCHW")

    def added(x):
        return x + RAMP[:3, None, None]

    first, second = (
        chain(layers.Dense(3), layers.Lambda(function), shape=(3, 2, 2))
        for function in (biased, added)
    )
    second.set_weights(with_weights(first).get_weights())
    _assert_alike(first, second, samples(3, 2, 2), rtol=1e-7, atol=0)
