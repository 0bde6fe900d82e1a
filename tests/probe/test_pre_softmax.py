"""The scores before the softmax, however it is written."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import Called

import actwidgets as aw
from actwidgets.errors import ModelError
from actwidgets.probe.keras_probe import KerasProbe

pytestmark = pytest.mark.keras
layers = keras.layers
RNG = np.random.default_rng(8)
X = RNG.normal(size=(4, 5)).astype(np.float32)
KERNEL, BIAS = RNG.normal(size=(5, 3)).astype(np.float32), RNG.normal(size=3).astype(np.float32)
LOGITS = X @ KERNEL + BIAS
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)


class Branching(keras.Model):
    """Cannot be traced, and calls a function at the end."""

    def __init__(self, last):
        super().__init__()
        self.dense, self.last = layers.Dense(3), last

    def call(self, x):
        return self.last(self.dense(x)) if keras.ops.max(x) < 1e6 else self.dense(x)


def _with(*last):
    return keras.Sequential([keras.Input((5,)), layers.Dense(3), *last])


def _branching(last):
    model = Branching(last)
    model(X)
    return model


def _functional_with(function):
    inputs = keras.Input((5,))
    return keras.Model(inputs, function(layers.Dense(3)(inputs)))


ENDS = {
    "argument": lambda: keras.Sequential(
        [keras.Input((5,)), layers.Dense(3, activation="softmax")]
    ),
    "Softmax": lambda: _with(layers.Softmax()),
    "Activation": lambda: _with(layers.Activation("softmax")),
    "keras.ops": lambda: _functional_with(keras.ops.softmax),
    "tf.nn": lambda: _with(Called(tf.nn.softmax)),
    "flattened behind": lambda: _with(layers.Softmax(), layers.Flatten()),
    "reshaped behind": lambda: _with(layers.Softmax(), layers.Reshape((3,))),
    "dropout behind": lambda: _with(layers.Softmax(), layers.Dropout(0.5)),
    "nested": lambda: _with(keras.Sequential([keras.Input((3,)), layers.Softmax()])),
    "from logits": _with,
    "branching, Softmax": lambda: _branching(layers.Softmax()),
    "branching, keras.ops": lambda: _branching(keras.ops.softmax),
    "branching, tf.nn": lambda: _branching(tf.nn.softmax),
    "branching, from logits": lambda: _branching(lambda x: x),
}


@pytest.mark.parametrize("end", ENDS)
def test_logits_and_probabilities_are_the_same_however_the_softmax_is_written(end):
    model = ENDS[end]()
    model.set_weights([KERNEL, BIAS])
    target = np.array([0, 1, 2, 1])
    found = aw.attribute(model, X, target, "gradient")
    np.testing.assert_allclose(found.scores, LOGITS[range(4), target], rtol=1e-5)
    np.testing.assert_allclose(found.values, KERNEL.T[target], rtol=1e-5)
    found = aw.attribute(model, X, target, "gradient", output="probability")
    chosen = PROBABILITIES[range(4), target]
    np.testing.assert_allclose(found.scores, chosen, rtol=1e-5)
    wanted = chosen[:, None] * (KERNEL.T[target] - PROBABILITIES @ KERNEL.T)
    np.testing.assert_allclose(found.values, wanted, rtol=1e-4, atol=1e-6)
    assert found.output == "probability"


@pytest.mark.parametrize("end", ["tf.nn", "branching, keras.ops"])
def test_of_logarithms_the_logits_and_the_probabilities_are_found(end):
    log_softmax = Called(tf.nn.log_softmax)
    model = _with(log_softmax) if end == "tf.nn" else _branching(log_softmax)
    model.set_weights([KERNEL, BIAS])
    slice_ = KerasProbe(model, X).score_function()
    points = slice_.points(X)
    np.testing.assert_allclose(slice_.scores(points), LOGITS, rtol=1e-5)
    np.testing.assert_allclose(slice_.scores(points, "probability"), PROBABILITIES, rtol=1e-5)


def test_a_softmax_of_half_precision_is_found_behind_its_cast():
    model = _with(layers.Softmax(dtype="mixed_float16"), layers.Activation("linear"))
    model.set_weights([KERNEL, BIAS])
    found = aw.attribute(model, X, 1, "gradient")
    assert found.scores.dtype == np.float64
    np.testing.assert_allclose(found.values, np.tile(KERNEL[:, 1], (4, 1)), rtol=2e-3)


SIGMOIDS = {
    "argument": lambda: keras.Sequential(
        [keras.Input((5,)), layers.Dense(1, activation="sigmoid")]
    ),
    "Activation": lambda: keras.Sequential(
        [keras.Input((5,)), layers.Dense(1), layers.Activation("sigmoid")]
    ),
}


@pytest.mark.parametrize("end", SIGMOIDS)
def test_a_single_sigmoid_tells_two_opposite_classes(end):
    model = SIGMOIDS[end]()
    model.set_weights([KERNEL[:, :1], BIAS[:1]])
    no, yes = (aw.attribute(model, X, each, "gradient") for each in (0, 1))
    np.testing.assert_allclose(yes.values, np.tile(KERNEL[:, 0], (4, 1)), rtol=1e-5)
    np.testing.assert_array_equal(no.values, -yes.values)
    np.testing.assert_array_equal(no.scores, -yes.scores)
    given = aw.attribute(model, X, method="gradient")
    np.testing.assert_array_equal(given.target, LOGITS[:, 0] > 0)
    slice_ = KerasProbe(model).score_function(output="probability")
    assert slice_.n_targets == 2
    table = slice_.scores(slice_.points(X))
    np.testing.assert_allclose(table[:, 1], 1 / (1 + np.exp(-LOGITS[:, 0])), rtol=1e-5)
    np.testing.assert_allclose(table.sum(axis=1), 1)


def test_several_sigmoids_are_a_class_each():
    model = keras.Sequential([keras.Input((5,)), layers.Dense(3, activation="sigmoid")])
    model.set_weights([KERNEL, BIAS])
    slice_ = KerasProbe(model).score_function()
    points = slice_.points(X)
    np.testing.assert_allclose(slice_.scores(points), LOGITS, rtol=1e-5)
    wanted = 1 / (1 + np.exp(-LOGITS))
    np.testing.assert_allclose(slice_.scores(points, "probability"), wanted, rtol=1e-5)


def test_scores_of_places_are_added_up():
    model = keras.Sequential([keras.Input((6, 5)), layers.Dense(3, activation="softmax")])
    model.set_weights([KERNEL, BIAS])
    x = RNG.normal(size=(2, 6, 5)).astype(np.float32)
    slice_ = KerasProbe(model).score_function()
    found = slice_.scores(slice_.points(x))
    np.testing.assert_allclose(found, (x @ KERNEL + BIAS).sum(axis=1), rtol=1e-4)


def test_one_number_is_no_probability():
    model = keras.Sequential([keras.Input((5,)), layers.Dense(1)])
    assert aw.attribute(model, X, 0, "gradient").values.shape == (4, 5)
    with pytest.raises(ModelError, match="without a sigmoid, which is none: ask for the logit"):
        aw.attribute(model, X, 0, "gradient", output="probability")


def test_an_output_of_whole_numbers_is_refused():
    inputs = keras.Input((5,))
    model = keras.Model(inputs, keras.ops.argmax(layers.Dense(3)(inputs), axis=-1))
    with pytest.raises(ModelError, match="puts out int32: such a score has no gradient"):
        aw.attribute(model, X, 0, "gradient")
