"""Models that take a fixed number of samples at a time, with any number of samples."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import actwidgets as aw
from actwidgets.core.ablation import Edit
from actwidgets.probe.inputs import fixed_batch, input_spec_of
from actwidgets.probe.keras_probe import KerasProbe

pytestmark = pytest.mark.keras
layers = keras.layers
N, SIZE = 10, 4
X = np.random.default_rng(0).normal(size=(N, 5, 2)).astype(np.float32)
Y = np.arange(N) % 3


class Rows(layers.Layer):
    """Needs to know how many samples there are."""

    def call(self, x):
        return keras.ops.reshape(x, (SIZE, 10))


class Offsets(layers.Layer):
    """Gives other values for more samples, without an error."""

    def call(self, x):
        return x * (1.0 if x.shape[0] == SIZE else 2.0)


def _of(*inner):
    last = layers.Dense(3, activation="softmax", name="last")
    return keras.Sequential([keras.Input(batch_shape=(SIZE, 5, 2)), *inner, last])


def _keras_2():
    import tf_keras

    first = tf_keras.layers.Input(batch_shape=(SIZE, 5, 2))
    last = tf_keras.layers.Dense(3, activation="softmax", name="last")
    return tf_keras.Sequential([first, tf_keras.layers.LSTM(4, stateful=True, name="rnn"), last])


MODELS = {
    "stateful": lambda: _of(
        layers.LSTM(3, stateful=True, return_sequences=True, name="inner"),
        layers.GRU(4, stateful=True, name="rnn"),
    ),
    "reshaped": lambda: _of(Rows(name="rnn")),
    "silent": lambda: _of(Offsets(name="rnn"), layers.Flatten()),
    "keras 2": _keras_2,
    "bidirectional": lambda: _of(layers.Bidirectional(layers.GRU(3, stateful=True), name="rnn")),
}


def _places(model):
    found = []
    for layer in model.layers:
        for each in (
            layer,
            getattr(layer, "forward_layer", 0),
            getattr(layer, "backward_layer", 0),
        ):
            if isinstance(getattr(each, "states", None), list):
                found += tf.nest.flatten(each.states)
    return found


def _states(model):
    return [np.asarray(state) for state in _places(model)]


def _by_hand(model, x, *, names=("rnn", "last")):
    """What layers put out, four samples at a time, each time after a reset of the state."""
    before, found = _states(model), {name: [] for name in names}
    filled = np.concatenate([x, np.repeat(x[-1:], -len(x) % SIZE, axis=0)])
    for start in range(0, len(filled), SIZE):
        values = tf.constant(filled[start : start + SIZE])
        for layer in model.layers:
            if getattr(layer, "stateful", False) and hasattr(layer, "reset_states"):
                layer.reset_states()
            values = layer(values)
            if layer.name in found:
                found[layer.name].append(np.asarray(values))
    for place, kept in zip(_places(model), before, strict=True):
        place.assign(kept)
    return {name: np.concatenate(values)[: len(x)] for name, values in found.items()}


@pytest.fixture(params=MODELS)
def model(request):
    """With a state as after some batches of longer sequences, which every test leaves as it is."""
    model = MODELS[request.param]()
    for place in _places(model):
        place.assign(np.random.default_rng(7).normal(size=place.shape))
    before = _states(model)
    yield model
    for kept, state in zip(before, _states(model), strict=True):
        np.testing.assert_array_equal(kept, state)


@pytest.mark.parametrize("n_samples", [1, 3, 4, 5, 9])
def test_any_number_of_samples_is_read_from_a_state_of_zeros(model, n_samples):
    x = X[:n_samples]
    wanted = _by_hand(model, x)
    probe = KerasProbe(model, warm=True)
    for _ in range(2):  # eagerly, then compiled
        np.testing.assert_allclose(probe.outputs(["rnn"], x)["rnn"], wanted["rnn"], atol=1e-6)
        np.testing.assert_allclose(probe.predictions(x), wanted["last"], atol=1e-6)
        probe.wait()
    np.testing.assert_allclose(aw.predict(model, x), wanted["last"], atol=1e-6)
    found = aw.activations(model, x, ["rnn"], batch_size=3)["rnn"]
    np.testing.assert_allclose(found, wanted["rnn"], atol=1e-6)
    flat = wanted["rnn"].reshape(n_samples, -1, wanted["rnn"].shape[-1])
    summary = probe.summaries(["rnn"], x)["rnn"]
    np.testing.assert_allclose(summary.max, flat.max(axis=1), atol=1e-6)
    np.testing.assert_allclose(summary.mean, flat.mean(axis=1), atol=1e-6)


def test_gradients_edits_and_profiles_are_of_each_sample_alone(model):
    n_units = KerasProbe(model).activations(["rnn"], X[:1])["rnn"].shape[-1]
    edits = {"rnn": Edit(np.zeros(n_units), np.zeros(n_units))}
    edited = KerasProbe(model).edited(edits)
    nothing = np.asarray(tf.nn.softmax(model.layers[-1].bias))
    np.testing.assert_allclose(edited.predictions(X[:5]), np.tile(nothing, (5, 1)), atol=1e-6)
    found = aw.attribute(model, X[:5], 1, "gradient", output="probability").values
    step = 1e-2 * np.random.default_rng(1).normal(size=X[:5].shape).astype(np.float32)
    up, down = (_by_hand(model, X[:5] + sign * step)["last"][:, 1] for sign in (1, -1))
    np.testing.assert_allclose((found * step).sum(axis=(1, 2)), (up - down) / 2, atol=2e-5)
    profiles = aw.class_profiles(model, X, Y, ["last"], threshold=0.3, batch_size=3)
    fires = _by_hand(model, X)["last"] > 0.3
    wanted = np.stack([fires[index == Y].mean(axis=0) for index in range(3)])
    np.testing.assert_allclose(profiles.firing_rate["last"], wanted)
    for method in ("integrated_gradients", "occlusion", "smooth_grad"):
        assert aw.attribute(model, X[:3], 1, method).values.shape == X[:3].shape


def test_the_workbench_opens_on_it(model):
    # By hand before the workbench is there, whose background calls the model too.
    wanted, whole = _by_hand(model, X[[0, 4, 7]])["rnn"], _by_hand(model, X)["last"]
    app = aw.explore(model, X, Y)
    assert app.error == ""
    session = app.session
    session.select(layer="rnn", samples=(0, 4, 7))
    np.testing.assert_allclose(session.maps(), wanted, atol=1e-6)
    np.testing.assert_allclose(session.predictions(), whole, atol=1e-6)
    np.testing.assert_allclose(session.predictions([4, 1]), whole[[4, 1]], atol=1e-6)
    assert app.error == ""
    app.close()
    session.context.probe.wait()  # a call under way puts the states back when it is left


def test_what_is_asked_beside_a_sample_changes_nothing_about_it(model):
    whole = _by_hand(model, X)["last"]
    for size in (2, 4, 300):
        np.testing.assert_allclose(aw.predict(model, X, batch_size=size), whole, atol=1e-6)
    np.testing.assert_allclose(aw.predict(model, X[[4, 1]]), whole[[4, 1]], atol=1e-6)
    found = aw.attribute(model, X[:6], 1, "gradient")
    np.testing.assert_allclose(
        aw.attribute(model, X[[4, 1]], 1, "gradient").values, found.values[[4, 1]], atol=1e-6
    )
    deletion = aw.faithfulness(model, X[:6], found)
    np.testing.assert_allclose(deletion.scores[:, 0], whole[:6, 1], atol=1e-6)


def test_copies_of_a_sample_meet_the_state_that_it_meets_itself(model):
    whole = _by_hand(model, X)["last"]
    nothing = _by_hand(model, np.zeros_like(X))["last"]
    found = aw.attribute(model, X[:6], 1, "integrated_gradients", output="probability", steps=128)
    difference = whole[:6, 1] - nothing[:6, 1]
    np.testing.assert_allclose(found.values.sum(axis=(1, 2)), difference, atol=2e-3)
    found = aw.attribute(model, np.zeros_like(X[:6]), 1, "occlusion", fill=0.0)
    np.testing.assert_allclose(found.values, 0, atol=1e-6)


def test_a_number_that_a_model_was_built_with_by_the_way_is_not_insisted_on():
    by_a_call = keras.Sequential([layers.Dense(3, name="rnn")])
    by_a_call(X[:1])
    declared = keras.Sequential([keras.Input((5, 2), batch_size=SIZE), layers.Dense(3)])
    for model in (by_a_call, declared):
        assert input_spec_of(model).batch_size
        assert fixed_batch(model, input_spec_of(model)) is None
        np.testing.assert_allclose(aw.predict(model, X), model(X), atol=1e-6)
