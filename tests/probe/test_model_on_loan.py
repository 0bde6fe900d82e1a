"""The user's model before and after every public call."""

import keras
import numpy as np
import pytest

import actwidgets as aw

pytestmark = pytest.mark.keras
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
        "attributes": [
            {name: id(value) for name, value in vars(layer).items()} for layer in layers
        ],
        "losses": [len(layer._losses) for layer in layers],
        "trainable": [layer.trainable for layer in layers],
        "nodes": [len(layer._inbound_nodes) for layer in layers],
        "call": [layer.call.__func__ for layer in layers],
        "weights": [weight.tobytes() for weight in model.get_weights()],
        "variables": [np.asarray(variable).tobytes() for variable in model.variables],
        "compiled": (model.compiled, getattr(model, "optimizer", None)),
        "class": keras.Layer.__call__,
    }


def _refused(model):
    with pytest.raises(ValueError, match="conv9"):
        aw.activations(model, X, layers=["conv9"])


CALLS = {
    "layers": lambda model: aw.layers(model),
    "activations": lambda model: aw.activations(model, X),
    "predict": lambda model: aw.predict(model, X),
    "class_profiles": lambda model: aw.class_profiles(model, X, Y),
    "Session": lambda model: aw.Session(model, X, Y).maps(),
    "explore": lambda model: aw.explore(model, X, Y).close(),
    "a wrong layer": lambda model: _refused(model),
}


@pytest.mark.parametrize("compiled", [False, True], ids=["bare", "trained"])
@pytest.mark.parametrize("name", CALLS)
def test_a_call_leaves_the_model_as_it_was(name, compiled):
    model = _build(compiled)
    before = _state(model)
    CALLS[name](model)
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
