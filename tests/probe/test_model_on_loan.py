"""The user's model before and after every public call."""

import threading
import time
from contextlib import suppress
from itertools import product

import keras
import numpy as np
import pytest
import tensorflow as tf
from model_zoo import CASES, N_CLASSES, N_SAMPLES

import actwidgets as aw
from actwidgets.core import batches
from actwidgets.core.ablation import Edit
from actwidgets.errors import LayerError, ModelError
from actwidgets.probe.keras_probe import KerasProbe

pytestmark = pytest.mark.keras
_COMPILED = type(tf.function(lambda: None))
X = np.random.default_rng(0).normal(size=(12, 6, 6, 1)).astype(np.float32)
Y = np.arange(12) % 2


def _build(compiled):
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((6, 6, 1)),
            layers.Conv2D(3, 3, activation="relu", activity_regularizer="l2", name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.Flatten(name="flatten"),
            layers.Dropout(0.5, seed=3, name="drop"),
            layers.Dense(2, activation="softmax", name="classes"),
        ]
    )
    model.get_layer("norm").trainable = False
    if compiled:
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(X, Y, verbose=0)
    return model


def _state(model):
    """All that a caller could notice: attributes, weights, losses, what is trainable."""
    layers = list(model._flatten_layers())
    return {
        "attributes": {
            (layer.name, name): id(value) for layer in layers for name, value in vars(layer).items()
        },
        "losses": [[id(loss) for loss in layer._losses] for layer in layers],
        "trainable": [layer.trainable for layer in layers],
        "nodes": [len(layer._inbound_nodes) for layer in layers],
        "call": [(getattr(layer.call, "__func__", None), type(layer).__call__) for layer in layers],
        "weights": [weight.tobytes() for weight in model.get_weights()],
        "variables": [np.asarray(variable).tobytes() for variable in model.variables],
        "compiled": (getattr(model, "compiled", None), id(getattr(model, "optimizer", None))),
        "classes": (keras.Layer.__call__, keras.Operation.__call__, _COMPILED.__call__),
    }


def _refused(model):
    with pytest.raises(ValueError, match="conv9"):
        aw.activations(model, X, layers=["conv9"])


def _looked_at(session):
    session.maps()
    session.context.probe.wait()  # what is done in the background leaves nothing either
    session.predictions()


def _edited(model, x=X, layers=("conv", "norm", "drop")):
    """Eagerly and compiled; one after the other and all at once."""
    probe = KerasProbe(model, x)
    n_units = {info.name: info.n_units for info in probe.layers}
    edits = {name: Edit(np.zeros(n_units[name]), np.ones(n_units[name])) for name in layers}
    for chosen in ([*edits][:1], [*edits]):
        found = probe.edited({name: edits[name] for name in chosen})
        found.predictions(batches.take(x, np.arange(2)))
        found.predictions(x), found.activations([chosen[0]], x)


def _closed(app):
    """A trace under way on its own thread wraps `__call__` until it gives up, which takes a moment.

    The wrapper does nothing on other threads, but `_state` compares classes.
    """
    app.close()
    app.session.context.probe.wait()


OUTPUTS = ("logit", "probability")
ATTRIBUTIONS = ("gradient", "guided_backprop", "grad_cam", "guided_grad_cam", "score_cam")
ASKED = tuple(product(ATTRIBUTIONS, OUTPUTS))


def _attributed(model, x=X, asked=ASKED, **options):
    """By every road; what does not apply is refused, and leaves nothing behind either."""
    for method, output in asked:
        with suppress(ModelError, LayerError):
            aw.attribute(model, x, 0, method, output=output, **options)
    slice_ = KerasProbe(model, x, head=options.get("head"), training=True).score_function()
    slice_.gradients(slice_.points(x), np.zeros(len(slice_.points(x)), np.int64))


CALLS = {
    "layers": lambda model: aw.layers(model),
    "activations": lambda model: aw.activations(model, X),
    "predict": lambda model: aw.predict(model, X),
    "class_profiles": lambda model: aw.class_profiles(model, X, Y),
    "Session": lambda model: _looked_at(aw.Session(model, X, Y)),
    "kernels": lambda model: aw.kernels(model, "conv"),
    "layer_similarity": lambda model: aw.layer_similarity(model, X, model),
    "explore": lambda model: _closed(aw.explore(model, X, Y)),
    "edited": _edited,
    "attribute": _attributed,
    "a wrong layer": lambda model: _refused(model),
}


@pytest.mark.parametrize("compiled", [False, True], ids=["bare", "trained"])
@pytest.mark.parametrize("name", CALLS)
def test_a_call_leaves_the_model_as_it_was(name, compiled):
    model = _build(compiled)
    before = _state(model)
    CALLS[name](model)
    assert _state(model) == before


@pytest.mark.parametrize("kind", CASES)
def test_models_of_every_kind_are_left_as_they_were(kind):
    case = CASES[kind]()
    y = np.arange(N_SAMPLES) % N_CLASSES
    before = _state(case.model)
    aw.layers(case.model, case.x)
    aw.activations(case.model, case.x, batch_size=4)
    aw.activations(case.model, case.x, [*case.wanted], training=True)
    aw.predict(case.model, case.x, head=case.options.get("head"))
    aw.class_profiles(case.model, case.x, y, batch_size=4, head=case.options.get("head"))
    _edited(case.model, case.x, case.wanted)
    asked = zip(("gradient", "guided_grad_cam"), OUTPUTS, strict=True)  # tracing takes long
    _attributed(case.model, case.x, asked, head=case.options.get("head"))
    app = aw.explore(case.model, case.x, y, **case.options)
    app.session.context.probe.wait()
    app.session.layer = app.session.layers[-1].name
    assert app.error == ""
    _closed(app)
    after = _state(case.model)
    assert after.pop("attributes").items() ^ before.pop("attributes").items() == set()
    assert after == before


def test_losses_of_a_training_under_way_are_not_cleared():
    model = _build(compiled=False)
    model(X, training=True)
    (loss,) = model.losses
    aw.predict(model, X)
    assert model.losses == [loss]


def test_a_layer_that_raises_leaves_nothing_behind():
    class Raises(keras.layers.Layer):
        def call(self, x):
            if not made:
                return x
            raise FloatingPointError("no <b>")

    inputs = keras.Input((3,))
    hidden = keras.layers.Dense(2, activity_regularizer="l2", name="hidden")(inputs)
    made = []
    model = keras.Model(inputs, Raises(name="odd")(hidden))
    made.append(model)
    before = _state(model)
    x = np.ones((2, 3), np.float32)
    with pytest.raises(ModelError, match="layer 'odd' raised FloatingPointError: no <b>"):
        aw.predict(model, x)
    assert aw.activations(model, x, "hidden")["hidden"].shape == (2, 2)
    assert _state(model) == before


def test_a_model_goes_on_training_and_the_session_shows_it_after_refresh():
    model = _build(compiled=True)
    session = aw.Session(model, X, Y, layer="classes")
    before = session.maps()
    model.fit(X, Y, verbose=0)
    session.refresh()
    after = session.maps()
    assert not np.array_equal(before, after)
    np.testing.assert_allclose(after, model.predict(X[:1], verbose=0), atol=1e-6)


def test_a_training_under_way_goes_as_if_nobody_looked():
    x = np.random.default_rng(0).normal(size=(256, 8, 8, 1)).astype(np.float32)
    y = np.arange(256) % 3

    def trained(watched):
        keras.utils.set_random_seed(5)
        layers = keras.layers
        model = keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                layers.RandomFlip(seed=1),
                layers.Conv2D(8, 3, activity_regularizer="l2", name="conv"),
                layers.BatchNormalization(),
                layers.Flatten(),
                layers.Dropout(0.5, seed=2),
                layers.Dense(3, activation="softmax", name="classes"),
            ]
        )
        model.compile("adam", "sparse_categorical_crossentropy")
        over, looks = threading.Event(), []

        def look():
            session = aw.Session(model, x, y, layer="conv")
            while not over.is_set():
                layer = ("conv", "classes")[len(looks) % 2]
                session.select(layer=layer, sample=len(looks) % 256)
                looks.append(session.maps().shape)
                aw.activations(model, x[:2], "classes", training=True)
                session.refresh()
            session.close()

        def wait_for_a_look(epoch, _logs):
            while watcher.is_alive() and len(looks) <= epoch:
                time.sleep(0.01)

        watcher = threading.Thread(target=look)
        if watched:
            watcher.start()
        each_epoch = keras.callbacks.LambdaCallback(on_epoch_end=wait_for_a_look)
        model.fit(x, y, epochs=3, shuffle=False, verbose=0, callbacks=[each_epoch])
        over.set()
        if watched:
            watcher.join()
            assert len(looks) > 2
        return model.get_weights()

    for alone, watched in zip(trained(False), trained(True), strict=True):
        np.testing.assert_array_equal(watched, alone)
