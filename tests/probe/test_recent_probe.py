import keras
import numpy as np
import pytest

import actwidgets as aw
from actwidgets.probe import attribute

pytestmark = pytest.mark.keras
X = np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32)


def _model():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(2)])


@pytest.fixture
def traces(monkeypatch):
    made = []
    original = attribute.KerasProbe

    def counted(*args, **options):
        made.append(args)
        return original(*args, **options)

    monkeypatch.setattr(attribute, "KerasProbe", counted)
    monkeypatch.setattr(attribute, "_kept", None)
    monkeypatch.setattr(attribute, "KEPT_S", 300.0)  # a slow machine may need half a minute
    return made


def test_a_model_asked_about_again_is_not_read_again(traces):
    model = _model()
    first = aw.attribute(model, X, method="gradient")
    aw.faithfulness(model, X, first)
    aw.attribute(model, X[:1], 1, method="lrp")
    assert len(traces) == 1
    aw.attribute(_model(), X, method="gradient")
    aw.attribute(model, X, method="gradient")
    assert len(traces) == 3


def test_weights_are_those_of_now(traces):
    model = _model()
    aw.attribute(model, X, 0, method="gradient")
    model.layers[-1].kernel.assign(np.zeros((3, 2)))
    assert not aw.attribute(model, X, 0, method="gradient").values.any()
    assert len(traces) == 1


def test_a_layer_that_was_set_otherwise_is_read_anew(traces):
    model = _model()
    before = aw.attribute(model, X, 0, method="gradient").values
    model.layers[0].activation = keras.activations.relu
    after = aw.attribute(model, X, 0, method="gradient").values
    assert len(traces) == 2
    assert not np.array_equal(before, after)


def test_after_a_while_it_is_let_go(traces, monkeypatch):
    monkeypatch.setattr(attribute, "_releasing", None)  # one of an earlier call waits longer
    monkeypatch.setattr(attribute, "KEPT_S", 0.5)
    aw.attribute(_model(), X, method="gradient")
    releasing = attribute._releasing
    if releasing is not None:  # not over yet
        releasing.join()
    assert attribute._kept is None


def test_a_guided_trace_is_made_once(traces, monkeypatch):
    from actwidgets.probe import scores

    made = []
    original = scores.TracedBackend

    def counted(*args, **options):
        made.append(options.get("guided", False))
        return original(*args, **options)

    monkeypatch.setattr(scores, "TracedBackend", counted)
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, "relu"), keras.layers.Dense(2)]
    )
    for _ in range(3):
        aw.attribute(model, X, 0, method="guided_backprop")
    assert sum(made) == 1
