"""What a trace has in it for good: whatever of it is set otherwise must be seen."""

from dataclasses import dataclass

import keras
import numpy as np
import pytest
import tensorflow as tf

import actwidgets as aw
from actwidgets.probe.extractors import FeatureExtractor
from actwidgets.probe.fingerprint import fingerprint, same_structure, structure

pytestmark = pytest.mark.keras
layers = keras.layers
X = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
SHIFT = 1.0


class Held(layers.Layer):
    """Adds what it holds in some place."""

    common = 1.0

    def __init__(self, held=None, **options):
        super().__init__(**options)
        self.held = held
        self._hidden = held

    def call(self, x):
        return x + self.amount()


@dataclass
class Config:
    amount: float


class Nested(Held):
    def amount(self):
        return self.held["config"].amount


class Plain(Held):
    def amount(self):
        return self.held


class Hidden(Held):
    def amount(self):
        return self._hidden


class OfTheClass(Held):
    def amount(self):
        return self.common


class Global(Held):
    def amount(self):
        return SHIFT


class First(Held):
    def amount(self):
        return self.held[0]


def _with(layer, **options):
    model = keras.Sequential([keras.Input((4,)), layer, layers.Dense(3, name="last")], **options)
    model.build((None, 4))
    return model


def _closure():
    amount = 1.0

    def shift(x):
        return x + amount

    def change():
        nonlocal amount
        amount = 3.0

    return layers.Lambda(shift, name="at"), change


def _default():
    def shift(x, amount=1.0):
        return x + amount

    return layers.Lambda(shift, name="at"), lambda: setattr(shift, "__defaults__", (3.0,))


def _adapted():
    layer = layers.Normalization(name="at")
    layer.adapt(X)
    return layer, lambda: layer.adapt(5 * X + 2)


def _bins():
    layer = layers.Discretization(num_bins=3, output_mode="int", name="bins")
    layer.adapt(X)
    inner = keras.Sequential([keras.Input((4,)), layer, layers.Rescaling(1.0)], name="at")
    return inner, lambda: layer.adapt(X[:5] + 1)


def _set(layer, name, value):
    return layer, lambda: setattr(layer, name, value)


def _written():
    amount = np.ones(4, np.float32)
    return Plain(amount, name="at"), lambda: amount.__setitem__(0, 3.0)


def _class_attribute():
    class OfThisClass(OfTheClass):
        common = 1.0

    return OfThisClass(name="at"), lambda: setattr(OfThisClass, "common", 3.0)


def _global():
    return Global(name="at"), lambda: globals().update(SHIFT=3.0)


def _in_an_object():
    config = Config(1.0)
    return Nested({"config": config}, name="at"), lambda: setattr(config, "amount", 3.0)


def _in_a_list():
    layer = First([1.0, 2.0], name="at")
    return layer, lambda: layer.held.__setitem__(0, 3.0)


CHANGES = {
    "Normalization.adapt": _adapted,
    "Discretization.adapt": _bins,
    "negative_slope": lambda: _set(layers.LeakyReLU(name="at"), "negative_slope", 0.9),
    "an activation": lambda: _set(layers.Dense(4, name="at"), "activation", keras.ops.tanh),
    "a dtype policy": lambda: _set(layers.Dense(4, name="at"), "dtype_policy", "bfloat16"),
    "scale of Rescaling": lambda: _set(layers.Rescaling(2.0, name="at"), "scale", 3.0),
    "a python number": lambda: _set(Plain(1.0, name="at"), "held", 3.0),
    "a private number": lambda: _set(Hidden(1.0, name="at"), "_hidden", 3.0),
    "a tensor": lambda: _set(Plain(tf.constant(1.0), name="at"), "held", tf.constant(3.0)),
    "an array exchanged": lambda: _set(Plain(np.ones(4, "f"), name="at"), "held", np.zeros(4, "f")),
    "an array written into": _written,
    "an attribute of the class": _class_attribute,
    "a global": _global,
    "an object in a dict": _in_an_object,
    "an element of a list": _in_a_list,
    "what a Lambda closes over": _closure,
    "a default of a Lambda": _default,
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("says_so", [True, False], ids=["refresh", "by itself"])
def test_what_a_layer_is_set_to_is_seen_after_a_trace(change, says_so, monkeypatch):
    monkeypatch.setitem(globals(), "SHIFT", 1.0)
    monkeypatch.setattr("actwidgets.session.results.LOOK_EVERY_S", 0.0)
    layer, set_otherwise = CHANGES[change]()
    model = _with(layer)
    session = aw.Session(model, X, layer="at", samples=range(12))
    for _ in range(2):  # eagerly, then compiled
        before = session.maps().copy()
        session.context.probe.wait()
        session.refresh()
    predicted = session.predictions().copy()
    may_be_differentiated = change != "Discretization.adapt"
    if may_be_differentiated:
        assert np.isfinite(aw.attribute(model, X, 0, "gradient").values).all()
    set_otherwise()
    if says_so:
        session.refresh()
    else:
        session.maps(), session.predictions()
    wanted = np.asarray(layer(X), np.float32)
    assert not np.allclose(before, wanted)
    for _ in range(2):
        np.testing.assert_allclose(session.maps(), wanted, atol=1e-5)
        session.context.probe.wait()
    assert not np.allclose(predicted, model(X))
    np.testing.assert_allclose(session.predictions(), model(X), atol=1e-4)
    session.close()
    if may_be_differentiated:
        with tf.GradientTape() as tape:
            x = tf.constant(X)
            tape.watch(x)
            score = model(x)[:, 0]
        found = aw.attribute(model, X, 0, "gradient").values
        np.testing.assert_allclose(found, tape.gradient(score, x), atol=1e-5)


def test_after_refresh_the_scores_attributed_are_those_of_the_statistics_of_now():
    layer, set_otherwise = _adapted()
    model = _with(layer)
    session = aw.Session(model, X, layer="at")
    before = session.attributions("gradient_x_input", target=0, rows=[0]).values
    set_otherwise()
    session.refresh()
    found = session.attributions("gradient_x_input", target=0, rows=[0]).values
    weights = model.get_layer("last").kernel.numpy()[:, 0]
    wanted = X[:1] * weights / (5 * X).std(axis=0)
    np.testing.assert_allclose(found, wanted, rtol=1e-3)
    assert not np.allclose(before, found)


def _texts():
    layer = layers.TextVectorization(output_mode="multi_hot", name="at")
    layer.adapt(["red coat", "blue shirt"])
    return layer, np.array(["red", "blue", "shirt"]), lambda: layer.adapt(["green blue bag red"])


def _words():
    layer = layers.StringLookup(vocabulary=["a", "b"], output_mode="one_hot", name="at")
    return layer, np.array(["a", "b", "c"]), lambda: layer.set_vocabulary(["b", "a"])


def _numbers():
    layer = layers.IntegerLookup(vocabulary=[3, 4], output_mode="one_hot", name="at")
    return layer, np.array([3, 4, 5]), lambda: layer.set_vocabulary([4, 3])


@pytest.mark.parametrize("make", [_texts, _words, _numbers])
def test_tables_of_words_are_those_of_now(make):
    layer, x, set_otherwise = make()
    inputs = keras.Input((), dtype="string" if x.dtype.kind == "U" else "int64")
    model = keras.Model(inputs, layers.Dense(2, name="last")(layer(inputs)))
    session = aw.Session(model, x, layer="at", samples=range(3))
    before = session.maps()
    session.context.probe.wait()
    set_otherwise()
    if layer(x).shape[-1] != before.shape[-1]:  # more words: the next layer does not take them
        model = keras.Model(inputs, layers.Dense(2, name="last")(layer(inputs)))
        session.model = model
    session.refresh()
    for _ in range(2):
        np.testing.assert_allclose(session.maps(), layer(x))
        session.context.probe.wait()
    assert before.shape != session.maps().shape or not np.allclose(before, session.maps())
    np.testing.assert_allclose(session.predictions(), model(x), atol=1e-6)


def test_what_is_frozen_acts_otherwise_in_training():
    layer = layers.BatchNormalization(name="at")
    model = _with(layer)
    session = aw.Session(model, X, layer="at", samples=range(12), training=True)
    before = session.maps()
    session.context.probe.wait()
    np.testing.assert_allclose(before.mean(axis=0), 0, atol=1e-6)
    layer.trainable = False
    session.refresh()
    np.testing.assert_allclose(session.maps(), X / np.sqrt(1.001), atol=1e-6)
    plain = aw.Session(model, X, layer="at")
    layer.trainable = True
    assert not plain.context.probe.is_stale()  # it acts no otherwise


def test_a_subclassed_model_holds_settings_too():
    class Scaled(keras.Model):
        def __init__(self):
            super().__init__()
            self.scale, self.last = 2.0, layers.Dense(3, name="last")

        def call(self, x):
            return self.last(self.scale * x)

    model = Scaled()
    model(X)
    session = aw.Session(model, X, layer="last", samples=range(12))
    session.maps(), session.context.probe.wait()
    model.scale = -1.0
    session.refresh()
    np.testing.assert_allclose(session.maps(), model.last(-X), atol=1e-6)
    np.testing.assert_allclose(aw.predict(model, X), model.last(-X), atol=1e-6)


class Noting(layers.Layer):
    """Keeps what it was called with last, and how often."""

    def __init__(self, **options):
        super().__init__(**options)
        self.shapes, self.last_input = [], None

    def call(self, x):
        self.shapes.append(tuple(x.shape))
        self.last_input = x
        return x


def test_what_a_call_notes_by_the_way_is_no_setting():
    model = _with(Noting(name="at"))
    slices = FeatureExtractor(model)
    slices.outputs(["last"], X)
    model(X)
    assert not slices.is_stale()


def test_training_and_calling_a_model_changes_none_of_its_settings():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(4, activation="relu", kernel_regularizer="l2"),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Dense(1),
        ]
    )
    before, number = structure(model), fingerprint(model)[0]
    model.compile("adam", "mse")
    model.fit(X, np.ones(12), verbose=0)
    model.evaluate(X, np.ones(12), verbose=0)
    model.predict(X, verbose=0)
    model(X, training=True)
    model.set_weights(model.get_weights())
    assert same_structure(before, structure(model))
    assert fingerprint(model)[0] == number
    model.layers[2].rate = 0.2
    assert not same_structure(before, structure(model))
    assert fingerprint(model)[0] == number + 1
