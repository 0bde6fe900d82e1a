"""The randomization check on Keras models: random stand-ins, and weights that stay as they are."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from model_zoo import CASES, build
from real_data import require_data, require_model
from test_model_on_loan import _state

import actwidgets as aw
from actwidgets.core.attribution.evaluation import randomization_steps
from actwidgets.core.attribution.registry import METHODS
from actwidgets.errors import DataError, ModelError
from actwidgets.probe.attribute import randomization_check
from actwidgets.probe.extractors import FeatureExtractor
from actwidgets.probe.keras_probe import KerasProbe
from actwidgets.probe.randomized import RandomizedKerasScores, RandomizedModel

pytestmark = pytest.mark.keras
layers = keras.layers
X = np.random.default_rng(0).normal(size=(6, 10, 10, 1)).astype(np.float32)


def _model(**options):
    keras.utils.set_random_seed(4)
    return keras.Sequential(
        [
            keras.Input((10, 10, 1)),
            layers.Conv2D(6, 3, name="conv", **options),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(),
            layers.Conv2D(6, 3, activation="relu", name="conv_2"),
            layers.Flatten(),
            layers.Dense(4, activation="softmax", name="classes"),
        ]
    )


def _randomized(model, seed=0, x=X):
    slices = FeatureExtractor(model, x)
    return RandomizedModel(model, slices.inputs, slices.layer_index, seed=seed)


def test_gradients_change_and_stage_0_is_the_model_itself():
    found = randomization_check(_model(), X)
    assert found.stages == ("", "classes", "conv_2", "conv")
    np.testing.assert_array_equal(found.similarity[0], 1)
    assert found.similarity[-1].mean() < 0.6
    assert not found.insensitive


def test_guided_maps_of_a_trained_network_hardly_change_and_gradients_do():
    model = aw.load_model(require_model("CIFAR-10_CNN5.h5"))
    with np.load(require_data("cifar10") / "cifar10.npz") as arrays:
        x = arrays["x_test"][:10].astype(np.float32) / 255
    guided = randomization_check(
        model, x, method="guided_smooth_grad", n_layers=2, n_samples=5, sigma=0.05
    )
    assert guided.insensitive
    assert "random weights in layer 'dense_1' the map hardly changes" in guided.sentence
    plain = randomization_check(model, x, n_layers=2)
    assert not plain.insensitive
    assert (plain.similarity[1:].mean(axis=1) < guided.similarity[1:].mean(axis=1) - 0.2).all()


def test_the_class_asked_about_is_that_of_the_model():
    model = _model()
    found = randomization_check(model, X)
    np.testing.assert_array_equal(found.target, aw.predict(model, X).argmax(axis=1))
    asked = randomization_check(model, X, 2, n_layers=1)
    np.testing.assert_array_equal(asked.target, 2)


def test_one_seed_is_one_result_and_another_another():
    first, again, other = (randomization_check(_model(), X, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.similarity, again.similarity)
    assert not (first.similarity[1:] == other.similarity[1:]).all()
    with pytest.raises(DataError, match="seed must be a whole number of at least 0; got -1"):
        randomization_check(_model(), X, seed=-1)


def test_weights_are_drawn_anew_from_the_layers_own_initializer():
    model = _model(kernel_initializer=keras.initializers.RandomUniform(7, 8, seed=5))
    randomized = _randomized(model)
    randomized.randomize("", "conv")
    drawn = _stand_in(randomized, model.get_layer("conv").kernel)
    assert ((drawn >= 7) & (drawn <= 8)).all()
    assert not (drawn == model.get_layer("conv").kernel.numpy()).any()
    other = _randomized(model, seed=1)
    other.randomize("", "conv")
    assert not (_stand_in(other, model.get_layer("conv").kernel) == drawn).any()


def test_what_lies_above_stays_random_and_what_lies_below_as_it_was():
    model = _model()
    randomized = _randomized(model)
    slice_ = RandomizedKerasScores(randomized, "", kind=KerasProbe(model).output_kind)
    slice_.randomize("classes")
    slice_.randomize("conv_2")
    changed = {
        weight.path.partition("/")[2]
        for weight, other in randomized._pairs
        if (weight.numpy() != other.numpy()).any()
    }
    assert changed == {"classes/kernel", "conv_2/kernel"}  # biases are 0, and drawn as 0
    slice_.reset()
    for weight, other in randomized._pairs:
        np.testing.assert_array_equal(weight.numpy(), other.numpy())


def test_a_normalization_goes_along_with_the_layer_below_it():
    model = _model()
    model.get_layer("norm").set_weights([np.arange(6.0)] * 4)
    randomized = _randomized(model)
    norm = model.get_layer("norm")
    assert "norm" not in randomized.weights_by_layer("")
    randomized.randomize("", "conv")
    assert (_stand_in(randomized, norm.gamma) == 1).all()
    assert (_stand_in(randomized, norm.moving_mean) == 0).all()


class Plain(layers.Layer):
    """Weights without an initializer of the layer's, and a matrix that begins as zeros."""

    def build(self, shape):
        self.table = self.add_weight(shape=(shape[-1], 5), initializer="normal", name="table")
        self.empty = self.add_weight(shape=(5, 3), name="empty")
        self.empty_initializer = keras.initializers.Zeros()

    def call(self, x):
        return x @ self.table @ self.empty


def test_other_weights_are_shuffled():
    model = keras.Sequential([keras.Input((4,)), Plain(name="plain")])
    x = np.ones((2, 4), np.float32)
    randomized = _randomized(model, x=x)
    randomized.randomize("", "plain")
    plain = model.get_layer("plain")
    for weight in (plain.table, plain.empty):
        found = _stand_in(randomized, weight)
        np.testing.assert_array_equal(np.sort(found, axis=None), np.sort(weight.numpy(), axis=None))
        assert (found != weight.numpy()).any()


def _stand_in(randomized, weight):
    return next(other for each, other in randomized._pairs if each is weight).numpy()


def test_one_trace_serves_all_stages(monkeypatch):
    traces = []
    original = RandomizedModel._traced
    monkeypatch.setattr(
        RandomizedModel, "_traced", lambda self, **k: traces.append(k) or original(self, **k)
    )
    randomization_check(_model(), X)
    assert len(traces) == 1


def test_layers_on_the_way_to_another_output_are_left_out():
    inputs = keras.Input((4,))
    hidden = layers.Dense(5, "relu", name="hidden")(inputs)
    model = keras.Model(
        inputs, [layers.Dense(3, name="one")(hidden), layers.Dense(2, name="other")(hidden)]
    )
    x = np.random.default_rng(0).normal(size=(3, 4))
    assert randomization_check(model, x, head="one").stages == ("", "one", "hidden")
    assert randomization_check(model, x, head="other").stages == ("", "other", "hidden")


def test_the_steps_tell_how_far_they_are():
    probe = KerasProbe(_model(), X)
    slice_, randomized = probe.score_function(), probe.randomized_score_function()
    steps = randomization_steps(
        slice_, randomized, slice_.points(X), METHODS["gradient"], n_layers=2
    )
    assert list(steps) == [(0, 4), (1, 4), (2, 4), (3, 4)]


def test_weights_that_change_between_two_checks_are_taken_as_they_are_then():
    model = _model()
    randomized = _randomized(model)
    model.get_layer("classes").set_weights([np.ones((216, 4)), np.ones(4)])
    randomized.reset()
    assert (_stand_in(randomized, model.get_layer("classes").kernel) == 1).all()


def test_a_model_of_keras_2_is_refused_in_a_sentence():
    case = build("keras_2_functional")
    with pytest.raises(ModelError, match=r"is one of Keras 2, .* needs a model of Keras 3"):
        randomization_check(case.model, case.x, 0)


MATRIX = np.random.default_rng(1).normal(size=(4, 5)).astype(np.float32)


class Held(layers.Layer):
    """Weights that Keras is not told of."""

    def __init__(self, **options):
        super().__init__(**options)
        self.inside = tf.Module()
        self.inside.matrix = tf.Variable(MATRIX)

    def call(self, x):
        return x @ self.inside.matrix


def _saved(folder):
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(5)])
    inner.export(folder, verbose=False)
    return layers.TFSMLayer(str(folder), call_endpoint="serve", name="stiff")


def _frozen():
    function = tf.function(lambda x: x @ tf.constant(MATRIX))
    made = function.get_concrete_function(tf.TensorSpec((None, 4)))
    return layers.Lambda(lambda x: made(x), name="stiff")


def _of_a_variable():
    matrix = tf.Variable(MATRIX)
    return layers.Lambda(lambda x: x @ matrix, name="stiff")


STIFF = {
    "a SavedModel": _saved,
    "a variable in a module": lambda _: Held(name="stiff"),
    "a variable of a function": lambda _: _of_a_variable(),
    "a constant": lambda _: layers.Lambda(lambda x: x @ MATRIX, name="stiff"),
    "a constant in a call": lambda _: _frozen(),
}


@pytest.mark.parametrize("make", STIFF.values(), ids=STIFF)
def test_weights_that_cannot_be_exchanged_are_named(make, tmp_path):
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    stiff = make(tmp_path / "saved")
    alone = keras.Sequential([keras.Input((4,)), stiff])
    with pytest.raises(ModelError, match=r"the weights of layer 'stiff' \(\w+\) cannot be"):
        randomization_check(alone, x, 0)
    below = keras.Sequential([keras.Input((4,)), stiff, layers.Dense(3, name="last")])
    above = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="last"), stiff])
    for model in (below, above):
        found = randomization_check(model, x, 0)
        assert found.stages == ("", "last")
        assert found.reached.all()
        assert "The weights of layer 'stiff'" in found.sentence


def test_a_model_of_layers_alone_has_none_that_stay():
    assert randomization_check(_model(), X, n_layers=1).fixed == ()


UNTRACEABLE = "subclassed_with_control_flow"


@pytest.mark.parametrize(
    "kind", [each for each in CASES if each != UNTRACEABLE and not each.startswith("keras_2")]
)
def test_models_of_every_kind_are_left_as_they_were(kind):
    case = build(kind)
    before = _state(case.model)
    head = case.options.get("head")
    found = randomization_check(case.model, case.x, 0, head=head, n_layers=3)
    np.testing.assert_array_equal(found.similarity[0], 1)
    assert set(found.stages[1:]) <= {info.name for info in aw.layers(case.model, case.x)}
    after = _state(case.model)
    assert after.pop("attributes").items() ^ before.pop("attributes").items() == set()
    assert after == before
