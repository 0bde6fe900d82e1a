"""Models whose samples may have several shapes, on every road: equal to an eager call."""

import logging

import keras
import numpy as np
import pytest
import tensorflow as tf

import actwidgets as aw
from actwidgets.core.ablation import Edit
from actwidgets.errors import ModelError
from actwidgets.probe import extractors
from actwidgets.probe.compiled import COARSE_TOLERANCE, TOLERANCE, disagreement
from actwidgets.probe.extractors import FeatureExtractor
from actwidgets.probe.keras_probe import KerasProbe

pytestmark = pytest.mark.keras
layers = keras.layers
SHAPES = [(1, 7), (3, 7), (40, 7), (7, 9), (2, 3), (40, 7)]  # samples, and steps of each


class Lengths(layers.Layer):
    """Acts otherwise where it is not told how many steps there are, and says nothing."""

    def call(self, x):
        return x * (2.0 if x.shape[1] else 3.0)


class Batches(layers.Layer):
    """The same where it is not told how many samples there are, as no trace tells."""

    def call(self, x):
        return x * (2.0 if x.shape[0] else 3.0)


class ManySamples(layers.Layer):
    """Fails, traced, from so many samples on."""

    def call(self, x):
        if x.shape[0] is None:
            with tf.control_dependencies([tf.debugging.assert_less(tf.shape(x)[0], 20)]):
                return tf.identity(x)
        return x


def _of(shape, *inner):
    last = layers.Dense(3, activation="softmax", name="last")
    return keras.Sequential([keras.Input(shape), *inner, last])


def _of_steps(layer):
    return _of((None, 4), layer, layers.GlobalAveragePooling1D(name="pool"))


def _dense():
    return layers.Dense(5, activation="relu")


MODELS = {
    "TimeDistributed": lambda: _of_steps(layers.TimeDistributed(_dense(), name="at")),
    "TimeDistributed of a model": lambda: _of_steps(
        layers.TimeDistributed(keras.Sequential([keras.Input((4,)), _dense()]), name="at")
    ),
    "CenterCrop": lambda: _of(
        (None, None, 1),
        layers.CenterCrop(3, 3, name="at"),
        layers.Conv2D(3, 2, name="conv"),
        layers.GlobalAveragePooling2D(name="pool"),
    ),
    "lengths": lambda: _of_steps(Lengths(name="at")),
    "batches": lambda: _of_steps(Batches(name="at")),
    "many samples": lambda: _of_steps(ManySamples(name="at")),
}


def _samples(model, n_samples, n_steps):
    shape = (n_steps, 4) if len(model.inputs[0].shape) == 3 else (n_steps + 2, n_steps + 1, 1)
    return np.random.default_rng(n_samples).normal(size=(n_samples, *shape)).astype(np.float32)


@pytest.mark.parametrize("name", MODELS)
def test_every_road_gives_what_an_eager_call_gives(name):
    model = MODELS[name]()
    probe, ahead = KerasProbe(model), KerasProbe(model, warm=True)
    close = {"rtol": 1e-5, "atol": 1e-6}
    for n_samples, n_steps in SHAPES:
        x = _samples(model, n_samples, n_steps)
        target = np.arange(n_samples) % 3
        maps, predicted = np.asarray(model.get_layer("at")(x)), np.asarray(model(x))
        flat = maps.reshape(n_samples, -1, maps.shape[-1])
        with tf.GradientTape() as tape:
            tensor = tf.constant(x)
            tape.watch(tensor)
            score = tf.gather(model(tensor), target, axis=1, batch_dims=1)
        gradient = tape.gradient(score, tensor)
        for _ in range(2):
            np.testing.assert_allclose(probe.outputs(["at"], x)["at"], maps, **close)
            np.testing.assert_allclose(ahead.outputs(["at"], x)["at"], maps, **close)
            np.testing.assert_allclose(probe.predictions(x), predicted, **close)
            summary = probe.summaries(["at"], x, above=0.1)["at"]
            np.testing.assert_allclose(summary.mean, flat.mean(axis=1), **close)
            np.testing.assert_array_equal(summary.n_above, (flat > 0.1).sum(axis=1))
            ahead.wait()
        n_units = maps.shape[-1]
        halved = probe.edited({"at": Edit(np.full(n_units, 0.5), np.zeros(n_units))})
        np.testing.assert_allclose(halved.outputs(["at"], x)["at"], maps / 2, **close)
        slice_ = probe.score_function("at", "probability")
        points = slice_.points(x)
        np.testing.assert_allclose(slice_.scores(points), predicted, **close)
        np.testing.assert_allclose(slice_.maps(points), maps, **close)
        np.testing.assert_allclose(slice_.gradients(points, target)[1][0], gradient, **close)
        np.testing.assert_allclose(slice_.map_gradients(points, target)[1], maps, **close)


@pytest.mark.parametrize("name", MODELS)
def test_public_functions_and_the_session_do_too(name):
    model = MODELS[name]()
    for n_samples, n_steps in SHAPES[2:4]:
        x = _samples(model, n_samples, n_steps)
        maps, predicted = np.asarray(model.get_layer("at")(x)), np.asarray(model(x))
        close = {"rtol": 1e-5, "atol": 1e-6}
        found = aw.activations(model, x, ["at", "last"], batch_size=16)
        np.testing.assert_allclose(found["at"], maps, **close)
        np.testing.assert_allclose(aw.predict(model, x, batch_size=16), predicted, **close)
        y = np.arange(n_samples) % 3
        profiles = aw.class_profiles(model, x, y, ["at"], threshold=0.1)
        fires = (maps.reshape(n_samples, -1, maps.shape[-1]) > 0.1).any(axis=1)
        wanted = np.stack([fires[index == y].mean(axis=0) for index in range(3)])
        np.testing.assert_allclose(profiles.firing_rate["at"], wanted)
        session = aw.Session(model, x, y, layer="at", samples=range(n_samples))
        for _ in range(2):
            np.testing.assert_allclose(session.maps(), maps, **close)
            np.testing.assert_allclose(session.predictions(), predicted, **close)
            session.context.probe.wait()
            session.refresh()
        session.close()


def test_a_layer_that_is_traced_wrongly_is_named_once_and_others_stay_compiled(caplog):
    model = _of_steps(Batches(name="at"))
    read = FeatureExtractor(model)
    x = _samples(model, 9, 7)
    with caplog.at_level(logging.WARNING, "actwidgets"):
        for _ in range(3):
            read.outputs(["at"], x)
    (record,) = caplog.records
    assert "layer 'at', compiled, does not give what an eager call" in record.getMessage()
    assert "off by 0.5 of its size" in record.getMessage()
    assert not read._functions


def test_what_needs_the_traced_graph_is_refused_where_that_is_wrong():
    model = MODELS["batches"]()
    x = _samples(model, 5, 7)
    with pytest.raises(ModelError, match="traced, gives other scores than an eager call"):
        aw.attribute(model, x, 0, "lrp")
    assert np.isfinite(aw.attribute(model, x, 0, "gradient_x_input").values).all()


def test_data_of_ever_other_lengths_are_not_traced_for_each(monkeypatch):
    monkeypatch.setattr(extractors, "MAX_SHAPES", 2)
    monkeypatch.setattr(extractors, "UNUSED_FOR", 8)
    model = MODELS["TimeDistributed"]()
    read = FeatureExtractor(model)
    for n_steps in (3, 4, 5, 6, 5, 4):
        x = _samples(model, 6, n_steps)
        found = read.outputs(["at"], x)[0]
        np.testing.assert_allclose(found, model.get_layer("at")(x), atol=1e-6)
    assert [shapes[0][0] for shapes in read._traces if shapes] == [3, 4]
    for _ in range(8):  # the same length again and again takes the place of an old one
        read.outputs(["at"], _samples(model, 6, 9))
    kept = [shapes[0][0] for shapes in read._traces if shapes]
    assert len(kept) == 2
    assert 9 in kept


# --- what counts as a difference ------------------------------------------------------------


def _compare(eager, compiled, x=None, tolerance=TOLERANCE):
    x = tf.constant(np.linspace(0.1, 0.9, 8, dtype=np.float32) if x is None else x)
    return disagreement(
        [np.asarray(compiled(x))], [x], lambda t: [np.asarray(eager(t[0]))], tolerance
    )


def test_rounding_is_no_difference_and_a_tenth_of_a_percent_is():
    assert _compare(lambda x: x, lambda x: x * (1 + 1e-6)) is None
    place, share = _compare(lambda x: x, lambda x: x * 1.01)
    assert (place, round(share, 4)) == (0, 0.01)
    assert _compare(lambda x: x, lambda x: x * 1.01, tolerance=COARSE_TOLERANCE) is None


def test_a_net_that_amplifies_every_rounding_is_right_on_both_roads():
    def chaotic(x):
        for _ in range(60):
            x = 3.99 * x * (1 - x)  # the logistic map
        return x

    assert _compare(chaotic, lambda x: chaotic(x * (1 + 1e-7))) is None


def test_layers_with_random_numbers_of_their_own_differ_from_call_to_call():
    generator = np.random.default_rng(0)

    def noisy(x):
        return x + generator.normal(size=x.shape)

    assert _compare(noisy, noisy) is None


def test_a_value_that_is_no_number_must_be_none_on_both_roads():
    x = np.array([1.0, np.nan, np.inf, -np.inf], np.float32)
    assert _compare(lambda x: x, lambda x: x, x) is None
    assert _compare(lambda x: x, lambda x: tf.where(tf.math.is_nan(x), 0.0, x), x) is not None
    assert _compare(lambda x: x, lambda x: tf.where(tf.math.is_inf(x), np.nan, x), x) is not None
    assert _compare(lambda x: x, lambda x: tf.where(tf.math.is_inf(x), -x, x), x) is not None
    assert _compare(lambda x: x, lambda x: x[:2], x) is not None
    assert _compare(lambda x: 0 * x[:1], lambda x: x[:1], x) is not None


def test_what_two_eager_calls_tell_apart_is_no_difference_and_hides_no_other():
    x, calls = tf.constant([1.0, 2.0]), []

    def look(tensors):
        calls.append(None)
        values = np.asarray(tensors[0])
        return [values, values + len(calls) % 2]  # every second call is another

    assert disagreement([np.array([1.0, 2.0]), np.array([1.0, 2.0])], [x], look, TOLERANCE) is None
    calls.clear()
    found = disagreement([np.array([1.1, 2.2]), np.array([1.0, 2.0])], [x], look, TOLERANCE)
    assert found[0] == 0
