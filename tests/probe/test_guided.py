"""Guided backpropagation, against a net that is worked out by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import Called

import actwidgets as aw
from actwidgets.errors import ModelError

pytestmark = pytest.mark.keras
layers = keras.layers
RNG = np.random.default_rng(3)
X = 3 * RNG.normal(size=(5, 4)).astype(np.float32)
FIRST, SECOND, LAST = (
    RNG.normal(size=size).astype(np.float32) for size in ((4, 7), (7, 6), (6, 3))
)
TARGET = np.array([0, 1, 2, 1, 0])


def by_hand(top=np.inf, guided=True):
    """The gradient of a net of three matrices with a ReLU behind the first and the second."""

    def handed_back(gradient, before):
        passes = (before > 0) & (before < top)
        return gradient * (passes & (gradient > 0) if guided else passes)

    before_first = X @ FIRST
    before_second = np.clip(before_first, 0, top) @ SECOND
    gradient = handed_back(LAST.T[TARGET], before_second) @ SECOND.T
    return handed_back(gradient, before_first) @ FIRST.T


def _matrix(values, name, **options):
    return layers.Dense(values.shape[1], use_bias=False, name=name, **options)


def _net(make_relu, **options):
    inputs = keras.Input((4,))
    hidden = make_relu()(_matrix(FIRST, "first", **options)(inputs))
    hidden = make_relu()(_matrix(SECOND, "second", **options)(hidden))
    return keras.Model(inputs, _matrix(LAST, "last")(hidden))


class Subclassed(keras.Model):
    def __init__(self, relu):
        super().__init__()
        self.first, self.second = _matrix(FIRST, "first"), _matrix(SECOND, "second")
        self.last, self.relu = _matrix(LAST, "last"), relu

    def call(self, x):
        return self.last(self.relu(self.second(self.relu(self.first(x)))))


def _subclassed(relu):
    model = Subclassed(relu)
    model(X)
    return model


def _nested():
    inner = keras.Sequential(
        [keras.Input((7,)), layers.ReLU(), _matrix(SECOND, "second", activation="relu")]
    )
    return keras.Sequential([keras.Input((4,)), _matrix(FIRST, "first"), inner, _matrix(LAST, "l")])


def _shared():
    relu = layers.ReLU()
    return _net(lambda: relu)


def _keras_2():
    import tf_keras

    kl = tf_keras.layers
    return tf_keras.Sequential(
        [
            kl.Input((4,)),
            kl.Dense(7, use_bias=False, activation="relu"),
            kl.Dense(6, use_bias=False),
            kl.ReLU(),
            kl.Dense(3, use_bias=False),
        ]
    )


FORMS = {
    "argument": lambda: keras.Sequential(
        [
            keras.Input((4,)),
            _matrix(FIRST, "first", activation="relu"),
            _matrix(SECOND, "second", activation=keras.activations.relu),
            _matrix(LAST, "last", activation="softmax"),
        ]
    ),
    "ReLU": lambda: _net(layers.ReLU),
    "Activation": lambda: _net(lambda: layers.Activation("relu")),
    "Activation of tf.nn.relu": lambda: _net(lambda: layers.Activation(tf.nn.relu)),
    "operation": lambda: _net(lambda: keras.ops.relu),
    "maximum": lambda: _net(lambda: Called(lambda x: keras.ops.maximum(x, 0.0))),
    "maximum the other way round": lambda: _net(lambda: Called(lambda x: tf.maximum(0.0, x))),
    "Lambda": lambda: _net(lambda: layers.Lambda(tf.nn.relu)),
    "tf.function": lambda: _net(lambda: Called(tf.function(lambda x: tf.nn.relu(x)))),
    "subclassed, ops.relu": lambda: _subclassed(keras.ops.relu),
    "subclassed, tf.nn.relu": lambda: _subclassed(tf.nn.relu),
    "nested": _nested,
    "shared": _shared,
    "keras 2": _keras_2,
}


@pytest.mark.parametrize("form", FORMS)
def test_guided_backprop_is_that_of_the_hand_written_net(form):
    model = FORMS[form]()
    model.set_weights([FIRST, SECOND, LAST])
    found = aw.attribute(model, X, TARGET, "guided_backprop").values
    np.testing.assert_allclose(found, by_hand(), rtol=1e-5, atol=1e-5)
    plain = aw.attribute(model, X, TARGET, "gradient").values
    np.testing.assert_allclose(plain, by_hand(guided=False), rtol=1e-5, atol=1e-5)
    assert not np.allclose(plain, found)


@pytest.mark.parametrize(
    ("make", "top"),
    [
        (lambda: layers.ReLU(6.0), 6),
        (lambda: Called(tf.nn.relu6), 6),
        (lambda: layers.ReLU(max_value=2.5), 2.5),
    ],
)
def test_at_a_capped_relu_only_what_lies_between_passes(make, top):
    model = _net(make)
    model.set_weights([FIRST, SECOND, LAST])
    found = aw.attribute(model, X, TARGET, "guided_backprop")
    assert (np.clip(X @ FIRST, 0, None) > top).any()
    np.testing.assert_allclose(found.values, by_hand(top=top), rtol=1e-5, atol=1e-5)
    assert found.note == ""


def _slope_of_negatives(x):
    return keras.ops.relu(x) - 0.1 * keras.ops.relu(-x)


NO_RELUS = {
    "PReLU": layers.PReLU,
    "hard sigmoid": lambda: layers.Activation("hard_sigmoid"),
    "hard SiLU": lambda: layers.Activation("hard_silu"),
    "CELU": lambda: layers.Activation("celu"),
    "all settings": lambda: layers.ReLU(max_value=6, negative_slope=0.1, threshold=0.5),
    "a slope": lambda: layers.ReLU(negative_slope=0.1),
    "a threshold and a cap": lambda: layers.ReLU(max_value=6, threshold=0.5),
    "LeakyReLU": layers.LeakyReLU,
    "a threshold": lambda: layers.ReLU(threshold=0.5),
    "a threshold by where": lambda: Called(lambda x: tf.where(x >= 0.5, x, 0.0)),
    "sparse sigmoid": lambda: layers.Activation("sparse_sigmoid"),
    "a capped ReLU, shifted": lambda: Called(lambda x: tf.nn.relu6(x + 3) / 6),
    "by hand": lambda: Called(_slope_of_negatives),
}


@pytest.mark.parametrize("form", NO_RELUS)
def test_a_relu_inside_another_activation_is_none(form):
    model = _net(NO_RELUS[form])
    with pytest.raises(ModelError, match="there is none"):
        aw.attribute(model, X, 0, "guided_backprop")


@pytest.mark.parametrize(
    "form",
    ["PReLU", "hard SiLU", "all settings", "LeakyReLU", "a threshold", "a threshold by where"],
)
@pytest.mark.parametrize("method", ["guided_backprop", "guided_smooth_grad", "guided_grad_cam"])
def test_beside_a_relu_another_activation_keeps_its_gradient_and_is_named(form, method):
    inputs = keras.Input((4, 1))
    hidden = layers.Conv1D(3, 2, activation="relu", name="first")(inputs)
    other = NO_RELUS[form]()
    other.name = "other"
    hidden = other(layers.Conv1D(3, 2, name="second")(hidden))
    outputs = layers.Dense(3, name="last")(layers.Flatten()(hidden))
    model = keras.Model(inputs, outputs)
    options = {"layer": "first"} if method == "guided_grad_cam" else {}
    found = aw.attribute(model, X[..., None], 0, method, **options)
    assert "Only ReLUs are guided: the gradient is the plain one at layer 'other' (" in found.note
    if method != "guided_backprop":
        return
    x = tf.constant(X[..., None])
    with tf.GradientTape() as tape:
        first = model.get_layer("first")(x)
        tape.watch(first)
        score = model.get_layer("last")(
            tf.reshape(other(model.get_layer("second")(first)), (5, -1))
        )[:, 0]
    kept = tf.nn.relu(tape.gradient(score, first)) * tf.cast(first > 0, tf.float32)
    kernel = model.get_layer("first").kernel
    wanted = tf.nn.conv1d_transpose(kept, kernel, x.shape, 1, "VALID")
    np.testing.assert_allclose(found.values, wanted, rtol=1e-4, atol=1e-6)


def test_a_threshold_alone_is_named_as_what_is_no_relu():
    model = keras.Sequential([_matrix(FIRST, "first"), layers.ReLU(threshold=0.5, name="thr")])
    model.build((None, 4))
    with pytest.raises(ModelError, match=r"there is none \(but layer 'thr' \(ReLU\)\)"):
        aw.attribute(model, X, 0, "guided_backprop")


def test_a_maximum_of_two_tensors_is_not_guided():
    inputs = keras.Input((4,))
    one = _matrix(FIRST, "one")(inputs)
    other = layers.Dense(1, use_bias=False, name="other")(inputs)
    largest = keras.ops.maximum(layers.ReLU()(one), other)
    model = keras.Model(inputs, layers.Dense(3, use_bias=False, name="last")(largest))
    single, last = RNG.normal(size=(4, 1)), RNG.normal(size=(7, 3))
    for name, values in (("one", FIRST), ("other", single), ("last", last)):
        model.get_layer(name).set_weights([values])
    found = aw.attribute(model, X, 0, "guided_backprop").values
    a, b = np.maximum(X @ FIRST, 0), X @ single
    to_one, to_other = last[:, 0] * (a >= b), last[:, 0] * (a < b)
    wanted = (np.maximum(to_one, 0) * (a > 0)) @ FIRST.T
    wanted = wanted + to_other.sum(1, keepdims=True) @ single.T
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def _small(*inside):
    return keras.Sequential([keras.Input((6, 4)), *inside, layers.Dense(3, activation="softmax")])


@pytest.mark.parametrize(
    ("inside", "told"),
    [
        ([layers.Dense(5, activation="gelu"), layers.Flatten()], r"there is none \(but GELU\)"),
        ([layers.Dense(5, activation="tanh"), layers.Flatten()], r"there is none \(but Tanh\)"),
        ([layers.Dense(5), layers.Flatten()], "there is none: take another method"),
        ([layers.LSTM(5)], "there is none"),
        ([layers.LSTM(5, activation="relu")], "a ReLU inside a loop or a branch"),
        (
            [layers.LSTM(5, activation="relu"), layers.Dense(4, activation="relu")],
            "a ReLU inside a loop or a branch",
        ),
        (
            [
                Called(lambda x: tf.cond(tf.reduce_sum(x) > 0, lambda: tf.nn.relu(x), lambda: x)),
                layers.Flatten(),
            ],
            "a ReLU inside a loop or a branch",
        ),
    ],
    ids=["gelu", "tanh", "linear", "lstm", "lstm relu", "lstm relu and relu", "branch"],
)
@pytest.mark.parametrize("method", ["guided_backprop", "guided_grad_cam"])
def test_a_model_without_a_relu_to_guide_is_refused(method, inside, told):
    model = _small(layers.Conv1D(4, 1, name="conv"), *inside)
    with pytest.raises(ModelError, match=told):
        aw.attribute(model, np.ones((2, 6, 4)), 0, method, layer="conv")


def test_a_relu_beside_the_way_to_the_score_is_none():
    inputs = keras.Input((4,))
    other = layers.Dense(3, activation="relu")(inputs)
    model = keras.Model(inputs, [layers.Dense(3, name="asked")(inputs), other])
    with pytest.raises(ModelError, match="there is none"):
        aw.attribute(model, X, 0, "guided_backprop")
    assert aw.attribute(model, X, 0, "guided_backprop", head=1).values.any()


def test_what_is_guided_hardly_depends_on_the_class():
    def likeness(method):
        one, other = (aw.attribute(model, X, each, method).values.ravel() for each in (0, 1))
        return np.corrcoef(np.abs(one), np.abs(other))[0, 1]

    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(200, activation="relu"),
            layers.Dense(200, activation="relu"),
            layers.Dense(2),
        ]
    )
    keras.utils.set_random_seed(0)
    model.set_weights([RNG.normal(size=each.shape) for each in model.get_weights()])
    assert likeness("guided_backprop") > 0.9
    assert likeness("gradient") < likeness("guided_backprop")
