"""Gradients against differences, over every road a model may take, and what is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from precision import double_precision

import actwidgets as aw
from actwidgets.core.interventions.edits import Edit
from actwidgets.errors import DataError, LayerError, ModelError, ShapeError
from actwidgets.probe.attributions import score_trace
from actwidgets.probe.keras_probe import KerasProbe

pytestmark = pytest.mark.keras
layers = keras.layers
RNG = np.random.default_rng(21)


@pytest.fixture
def double():
    with double_precision():
        yield


def _smooth():
    """Nested, with two outputs, without a kink; images of 8 rows and 24 columns."""
    inner = keras.Sequential(
        [
            keras.Input((8, 24, 2)),
            layers.Conv2D(3, 3, activation="tanh", name="conv"),
            layers.AveragePooling2D(2, name="pool"),
        ],
        name="inner",
    )
    inputs = keras.Input((8, 24, 2))
    flat = layers.Flatten()(layers.LayerNormalization(name="norm")(inner(inputs)))
    hidden = layers.Dense(7, activation="gelu", name="hidden")(flat)
    return keras.Model(
        inputs,
        {
            "kind": layers.Dense(4, activation="softmax", name="kind")(hidden),
            "size": layers.Dense(1, activation="sigmoid", name="size")(hidden),
        },
    )


@pytest.mark.parametrize(("head", "target"), [("kind", 2), ("size", 1), ("size", 0)])
@pytest.mark.parametrize("output", ["logit", "probability"])
def test_gradients_are_central_differences_in_double_precision(double, head, target, output):
    keras.utils.set_random_seed(1)
    model = _smooth()
    x = RNG.normal(size=(2, 8, 24, 2))
    slice_ = KerasProbe(model, head=head).model_slice(output=output)
    points = slice_.points(x)
    assert points.arrays[0].dtype == np.float64
    scores, (found,) = slice_.gradients(points, np.full(2, target))
    step = 1e-5
    for place in [(0, 0, 0), (3, 20, 1), (7, 23, 0), (4, 11, 1)]:
        sides = []
        for sign in (1, -1):
            moved = x.copy()
            moved[(slice(None), *place)] += sign * step
            sides.append(slice_.scores(points.moved([moved]))[:, target])
        wanted = (sides[0] - sides[1]) / (2 * step)
        np.testing.assert_allclose(found[(slice(None), *place)], wanted, rtol=1e-6, atol=1e-10)
    np.testing.assert_allclose(scores, slice_.scores(points)[:, target])


@pytest.mark.parametrize("layer", ["inner/conv", "inner/pool", "norm", "hidden"])
def test_gradients_at_maps_are_central_differences(double, layer):
    model = _smooth()
    x = RNG.normal(size=(2, 8, 24, 2))
    probe = KerasProbe(model, head="kind")
    slice_ = probe.model_slice(layer)
    _, maps, gradients = slice_.map_gradients(slice_.points(x), np.array([3, 0]))
    n_units, step = maps.shape[-1], 1e-4
    for unit in range(n_units):
        sides = []
        for sign in (1, -1):
            edit = Edit(np.ones(n_units), sign * step * np.eye(n_units)[unit])
            altered = probe.edited({layer: edit}).model_slice()
            sides.append(altered.scores(altered.points(x))[[0, 1], [3, 0]])
        wanted = (sides[0] - sides[1]) / (2 * step)
        found = gradients[..., unit].reshape(2, -1).sum(axis=1)
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-8)


def _small():
    return keras.Sequential(
        [
            keras.Input((8, 24, 2)),
            layers.Conv2D(3, 3, activation="relu", name="conv"),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ],
        name="inner",
    )


X = RNG.normal(size=(5, 8, 24, 2)).astype(np.float32)


@pytest.mark.parametrize("method", ["gradient", "guided_backprop", "grad_cam", "score_cam"])
def test_the_public_road_gives_the_same(method, monkeypatch):
    model = _small()
    wanted = aw.attribute(model, X, 1, method).values

    def changed(*_):
        raise AttributeError("TensorFlow's inside has changed")

    monkeypatch.setattr(score_trace, "head_on_graph", changed)
    np.testing.assert_allclose(
        aw.attribute(model, X, 1, method).values, wanted, rtol=1e-4, atol=1e-6
    )


class Branching(keras.Model):
    """The convolution of the small model, behind a branch in Python."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def call(self, x):
        return self.inner(x) if keras.ops.max(x) < 1e6 else 0 * self.inner(x)


@pytest.mark.parametrize("method", ["gradient", "gradient_x_input", "grad_cam", "score_cam"])
def test_a_model_that_cannot_be_traced_gives_the_same(method):
    inner = _small()
    model = Branching(inner)
    model(X)
    found = aw.attribute(model, X, 1, method)
    wanted = aw.attribute(inner, X, 1, method)
    np.testing.assert_allclose(found.values, wanted.values, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.scores, wanted.scores, rtol=1e-5)
    assert (found.layer, wanted.layer) in (("inner/conv", "conv"), ("", ""))


def test_a_model_that_cannot_be_traced_is_told_so_where_it_matters():
    model = Branching(_small())
    model(X)
    with pytest.raises(ModelError, match="a guided gradient needs the graph of the model, which"):
        aw.attribute(model, X, 1, "guided_backprop")
    probe = KerasProbe(model, X)
    altered = probe.edited({"inner/conv": Edit(np.zeros(3), np.zeros(3))}).model_slice()
    assert not altered.gradients(altered.points(X), np.zeros(5, np.int64))[1][0].any()


class BranchingTokens(keras.Model):
    def __init__(self):
        super().__init__()
        self.tokens = layers.Embedding(9, 4, name="tokens")
        self.last = layers.Dense(3, activation="softmax", name="last")

    def call(self, x):
        found = keras.ops.mean(self.tokens(x), axis=1)
        return self.last(found) if keras.ops.max(x) < 100 else found


def test_tokens_of_a_model_that_cannot_be_traced_are_differentiated_where_they_are_embedded():
    model = BranchingTokens()
    x = RNG.integers(0, 9, (4, 6)).astype(np.int32)
    model(x)
    found = aw.attribute(model, x, [0, 1, 2, 0], "gradient")
    kernel = model.last.get_weights()[0]
    wanted = np.broadcast_to(kernel.T[[0, 1, 2, 0]][:, None] / 6, (4, 6, 4))
    np.testing.assert_allclose(found.values, wanted, rtol=1e-5)


# --- sizes of batches --------------------------------------------------------------------


@pytest.mark.parametrize("method", ["gradient", "guided_backprop", "grad_cam"])
def test_one_sample_at_a_time_gives_the_same(method):
    model = _small()
    whole = aw.attribute(model, X, 1, method)
    single = aw.attribute(model, X, 1, method, memory_budget_bytes=1)
    np.testing.assert_allclose(single.values, whole.values, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(single.scores, whole.scores, rtol=1e-5)


def _recurrent(**options):
    return keras.Sequential(
        [
            keras.Input(**options),
            layers.LSTM(5, return_sequences=True, stateful="batch_shape" in options, name="one"),
            layers.LSTM(4, stateful="batch_shape" in options),
            layers.Dense(3, activation="softmax"),
        ]
    )


@pytest.mark.parametrize("n_samples", [1, 4, 6])
@pytest.mark.parametrize("method", ["gradient", "grad_cam", "score_cam"])
def test_a_model_that_insists_on_its_size_of_batch_is_given_it(method, n_samples):
    stateful, free = _recurrent(batch_shape=(4, 7, 2)), _recurrent(shape=(7, 2))
    free.set_weights(stateful.get_weights())
    x = RNG.normal(size=(n_samples, 7, 2)).astype(np.float32)
    found, wanted = (aw.attribute(each, x, 1, method) for each in (stateful, free))
    np.testing.assert_allclose(found.values, wanted.values, rtol=1e-4, atol=1e-7)
    states = [each for layer in stateful.layers[:2] for each in layer.states]
    assert not any(np.asarray(each).any() for each in states)


def test_tokens_of_such_a_model():
    model = keras.Sequential(
        [
            keras.Input(batch_shape=(4, 6), dtype="int32"),
            layers.Embedding(9, 3),
            layers.LSTM(4, stateful=True),
            layers.Dense(3),
        ]
    )
    found = aw.attribute(model, RNG.integers(0, 9, (5, 6)), 1, "gradient")
    assert found.values.shape == (5, 6, 3)
    assert found.values.any(axis=(1, 2)).all()


# --- layers that are odd -----------------------------------------------------------------


def test_in_training_what_dropout_switches_off_has_no_gradient():
    model = keras.Sequential([keras.Input((40,)), layers.Dropout(0.5), layers.Dense(2)])
    slice_ = KerasProbe(model, training=True).model_slice()
    x = np.ones((3, 40), np.float32)
    _, (found,) = slice_.gradients(slice_.points(x), np.zeros(3, np.int64))
    shares = found / model.layers[-1].get_weights()[0][:, 0]
    kept = np.isclose(shares, 2, rtol=1e-4)
    assert np.logical_or(kept, shares == 0).all()
    assert 0.2 < kept.mean() < 0.8


def test_of_a_quantized_layer_the_gradient_is_that_of_its_kernels():
    model = keras.Sequential([keras.Input((8,)), layers.Dense(6, name="dense")])
    wanted = model.get_layer("dense").get_weights()[0]
    model.quantize("int8")
    found = aw.attribute(model, RNG.normal(size=(3, 8)), 2, "gradient").values
    np.testing.assert_allclose(found, np.tile(wanted[:, 2], (3, 1)), atol=0.01)
    kernels = aw.kernels(model, "dense")[0, 0]
    np.testing.assert_allclose(found, np.tile(kernels[:, 2], (3, 1)), rtol=1e-4)


def test_weights_are_read_live():
    model = _small()
    probe = KerasProbe(model)
    slice_ = probe.model_slice()
    points, target = slice_.points(X), np.zeros(5, np.int64)
    before = slice_.gradients(points, target)[1][0]
    model.set_weights([2 * each for each in model.get_weights()])
    np.testing.assert_allclose(slice_.gradients(points, target)[1][0], 4 * before, rtol=1e-4)


class Called(layers.Layer):
    """Calls a function."""

    def __init__(self, function, **options):
        super().__init__(**options)
        self.function = function

    def call(self, x):
        return self.function(x)


STEPS = {
    "rounded": lambda x: keras.ops.round(x),
    "cast": lambda x: tf.cast(tf.cast(x, tf.int32), tf.float32),
    "compared": lambda x: tf.cast(x > 0, tf.float32),
    "stopped": lambda x: keras.ops.stop_gradient(x),
    "constant": lambda x: tf.ones_like(x),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_score_that_no_gradient_reaches_is_refused(step):
    model = keras.Sequential([keras.Input((4,)), Called(STEPS[step]), layers.Dense(3)])
    with pytest.raises(ModelError, match="no gradient of the score reaches the input"):
        aw.attribute(model, np.ones((2, 4)), 0, "gradient")


@pytest.mark.parametrize("step", STEPS)
def test_neither_does_it_of_a_layer_before_such_a_step(step):
    model = keras.Sequential(
        [
            keras.Input((6, 4)),
            layers.Conv1D(3, 2, name="conv"),
            Called(STEPS[step], name="step"),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    x = RNG.normal(size=(2, 6, 4))
    with pytest.raises(LayerError, match="no gradient of the score reaches layer 'conv'"):
        aw.attribute(model, x, 0, layer="conv")
    assert aw.attribute(model, x, 0, layer="step").values.shape == (2, 6)
    assert aw.attribute(model, x, 0, "score_cam", layer="conv").values.shape == (2, 6)


def test_a_gradient_that_is_nowhere_a_number_is_refused():
    model = _small()
    model.layers[0].set_weights([np.full((3, 3, 2, 3), np.nan), np.zeros(3)])
    with pytest.raises(DataError, match="the gradient is not a number anywhere"):
        aw.attribute(model, X, 0, "gradient")
    x = X.copy()
    x[1] = np.nan
    found = aw.attribute(_small(), x, 0, "gradient_x_input")
    assert found.note == "The map holds values that are not numbers for 1 of 5 samples (1)."


@pytest.mark.parametrize(
    ("options", "kind", "told"),
    [
        ({"target": 3}, DataError, r"target 3 is outside the classes 0\.\.2"),
        ({"target": 1.0}, DataError, "class indices; got values of type float64"),
        ({"target": [0, 1]}, ShapeError, r"one for each of 5 samples; got shape \(2,\)"),
        ({"method": "gradcam"}, DataError, "no method 'gradcam'; there are gradient"),
        ({"size": 3}, DataError, "method 'grad_cam' has no option size; it has upsample"),
        ({"output": "logits"}, DataError, '"logit" or "probability"; got \'logits\''),
        ({"layer": "conv9"}, LayerError, "no layer 'conv9'"),
        ({"head": 1}, ModelError, "no output 1; this model has 1"),
        ({"x": X[0]}, ShapeError, r"samples of shape \(8, 24, 2\)"),
        ({"x": X.astype(str)}, DataError, "x must hold numbers"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(options, kind, told):
    x = options.pop("x", X) if "x" in options else X
    with pytest.raises(kind, match=told) as caught:
        aw.attribute(_small(), x, **options)
    assert "\n" not in str(caught.value)


def test_no_samples_give_no_maps():
    for method in ("gradient", "guided_backprop", "grad_cam", "score_cam"):
        found = aw.attribute(_small(), X[:0], method=method)
        assert len(found.values) == 0
        assert found.values.shape[1:3] == (8, 24)


def test_a_model_of_numbers_that_are_only_counted_is_refused():
    model = keras.Sequential(
        [
            keras.Input((4,), dtype="int32"),
            Called(lambda x: tf.reduce_sum(x, axis=1, keepdims=True)),
        ]
    )
    with pytest.raises(ModelError, match="has no input that can be differentiated"):
        aw.attribute(model, np.ones((2, 4), np.int32), 0, "gradient")


def test_whole_numbers_are_attributed_to_what_embeds_them():
    model = keras.Sequential(
        [
            keras.Input((6,), dtype="int32"),
            layers.Embedding(9, 4, name="tokens"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(3, name="last"),
        ]
    )
    x = RNG.integers(0, 9, (4, 6))
    found = aw.attribute(model, x, 1, "gradient_x_input")
    table, (kernel, bias) = (
        model.get_layer("tokens").get_weights()[0],
        model.layers[-1].get_weights(),
    )
    np.testing.assert_allclose(found.values, table[x] * kernel[:, 1] / 6, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(found.values.sum(axis=(1, 2)) + bias[1], found.scores, rtol=1e-4)
    assert aw.attribute(model, x, 1).values.shape == (4, 6)
