"""Gradients against differences, over every road a model may take."""

import keras
import numpy as np
import pytest
from model_zoo import require_channels_first
from small_models import double_precision

import actwidgets as aw
from actwidgets.core.ablation import Edit
from actwidgets.errors import ModelError
from actwidgets.probe import score_backends
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
    slice_ = KerasProbe(model, head=head).score_function(output=output)
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
    slice_ = probe.score_function(layer)
    _, maps, gradients = slice_.map_gradients(slice_.points(x), np.array([3, 0]))
    n_units, step = maps.shape[-1], 1e-4
    for unit in range(n_units):
        sides = []
        for sign in (1, -1):
            edit = Edit(np.ones(n_units), sign * step * np.eye(n_units)[unit])
            altered = probe.edited({layer: edit}).score_function()
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

    monkeypatch.setattr(score_backends, "function_on_graph", changed)
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


def test_of_such_a_model_channels_may_come_first():
    require_channels_first()
    inner = keras.Sequential(
        [
            keras.Input((2, 8, 24)),
            layers.Conv2D(3, 3, activation="relu", data_format="channels_first", name="conv"),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    model, x = Branching(inner), np.moveaxis(X, -1, 1)
    model(x)
    found = aw.attribute(model, x, 1)
    np.testing.assert_allclose(found.values, aw.attribute(inner, x, 1).values, rtol=1e-4, atol=1e-6)


def test_a_model_that_cannot_be_traced_is_told_so_where_it_matters():
    model = Branching(_small())
    model(X)
    with pytest.raises(ModelError, match="a guided gradient needs the graph of the model, which"):
        aw.attribute(model, X, 1, "guided_backprop")
    probe = KerasProbe(model, X)
    altered = probe.edited({"inner/conv": Edit(np.zeros(3), np.zeros(3))}).score_function()
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
    slice_ = KerasProbe(model, training=True).score_function()
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
    slice_ = probe.score_function()
    points, target = slice_.points(X), np.zeros(5, np.int64)
    before = slice_.gradients(points, target)[1][0]
    model.set_weights([2 * each for each in model.get_weights()])
    np.testing.assert_allclose(slice_.gradients(points, target)[1][0], 4 * before, rtol=1e-4)
