import threading

import keras
import numpy as np
import pytest

from actwidgets.probe.call_trace import CallTraceError, trace_call

pytestmark = pytest.mark.keras


@pytest.fixture
def shared():
    """A layer called twice, and a sub-model with a layer inside."""
    inputs = keras.Input((3,))
    twice = keras.layers.Dense(3, name="twice")
    inner = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="inside")], name="sub")
    return keras.Model(inputs, keras.layers.Dense(1, name="last")(inner(twice(twice(inputs)))))


def test_calls_are_named_by_path_in_the_order_in_which_they_begin(shared):
    taps = trace_call(shared, [np.ones((2, 3), np.float32)]).taps
    assert [tap.name for tap in taps] == ["", "twice", "twice#1", "sub", "sub/inside", "last"]


def test_each_call_has_its_own_output(shared):
    x = np.array([[1.0, -2.0, 0.5]], np.float32)
    outputs = {tap.name: np.asarray(tap.output) for tap in trace_call(shared, [x]).taps}
    twice = shared.get_layer("twice")
    np.testing.assert_allclose(outputs["twice"], twice(x))
    np.testing.assert_allclose(outputs["twice#1"], twice(twice(x)))
    np.testing.assert_allclose(outputs["sub/inside"], outputs["sub"])


def test_a_layer_with_several_outputs_has_a_tap_for_each():
    inputs = keras.Input((4, 2))
    outputs = keras.layers.LSTM(3, return_state=True, name="lstm")(inputs)
    taps = trace_call(keras.Model(inputs, outputs), [np.zeros((1, 4, 2), np.float32)]).taps
    names = [tap.name for tap in taps]
    assert [name for name in names if name.startswith("lstm")][:3] == ["lstm", "lstm:1", "lstm:2"]


def test_nothing_is_left_behind_when_the_model_raises():
    class Raises(keras.layers.Layer):
        def call(self, x):
            raise FloatingPointError("no")

    model = keras.Sequential(
        [keras.layers.Dense(2, activity_regularizer="l2"), Raises(name="raises")]
    )
    model.layers[0].build((None, 3))
    original = keras.Layer.__call__
    with pytest.raises(CallTraceError, match=r"layer .raises. raised FloatingPointError: .*no"):
        trace_call(model, [np.ones((1, 3), np.float32)])
    assert keras.Layer.__call__ is original
    assert model.layers[0]._losses == []


def test_calls_on_another_thread_are_not_recorded(shared):
    x = np.ones((1, 3), np.float32)
    shared(x)

    class Elsewhere(keras.layers.Layer):
        def call(self, inputs):
            other = threading.Thread(target=shared, args=(x,))
            other.start()
            other.join()
            return inputs

    names = [
        tap.name for tap in trace_call(keras.Sequential([keras.Input((3,)), Elsewhere()]), [x]).taps
    ]
    assert len(names) == 2


def test_flags_that_a_call_sets_do_not_even_show_while_it_lasts():
    seen = []

    class Looks(keras.layers.Layer):
        def call(self, x):
            seen.append((self._called, model._called) if made else None)
            return x

    made = []
    inputs = keras.Input((3,))
    model = keras.Model(inputs, Looks()(inputs))
    before = [vars(layer)["_called"] for layer in (model.layers[-1], model)]
    made.append(model)
    trace_call(model, [np.ones((1, 3), np.float32)])
    assert list(seen[-1]) == before
    assert not model._called


def test_of_the_layers_not_asked_for_nothing_is_kept(shared):
    taps = trace_call(shared, [np.ones((2, 3), np.float32)], only=["twice#1"]).taps
    assert [tap.name for tap in taps] == ["twice#1"]
