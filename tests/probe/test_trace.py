import keras
import numpy as np
import pytest
import tensorflow as tf

from actwidgets.errors import LayerError
from actwidgets.probe import compiled
from actwidgets.probe.call_trace import CallTraceError
from actwidgets.probe.compiled import Trace
from actwidgets.probe.inputs import input_spec_of

pytestmark = pytest.mark.keras


@pytest.fixture
def model():
    """Weights set by hand: the first layer doubles, the second adds one, relu, the third sums."""
    model = keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Dense(2, name="double"),
            keras.layers.Dense(2, activation="relu", name="plus"),
            keras.layers.Dense(1, name="sum"),
        ]
    )
    model.set_weights(
        [2 * np.eye(2), np.zeros(2), np.eye(2), np.ones(2), np.ones((2, 1)), np.zeros(1)],
    )
    return model


def _traced(model):
    return Trace(model, input_spec_of(model))


def _run(head, *inputs):
    return [np.asarray(output) for output in head(*(tf.constant(x, tf.float32) for x in inputs))]


@pytest.mark.parametrize("road", ["graph", "trace"])
def test_a_head_gives_the_layers_asked_for_by_both_roads(model, road, monkeypatch):
    if road == "trace":

        def broken(whole, outputs):
            raise AttributeError("TensorFlow has changed")

        monkeypatch.setattr(compiled, "function_on_graph", broken)
    head = _traced(model).function(("plus", "double"))
    plus, double = _run(head, [[1.0, -3.0], [0.0, 0.0]])
    assert double.tolist() == [[2, -6], [0, 0]]
    assert plus.tolist() == [[3, 0], [1, 1]]


def test_a_head_does_not_run_what_lies_behind_its_layer():
    ran = []

    @tf.py_function(Tout=tf.float32)
    def spy(x):
        ran.append(1)
        return x

    class Spy(keras.layers.Layer):
        def call(self, x):
            return tf.ensure_shape(spy(x), x.shape)

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, name="first"), Spy()])
    taken = _traced(model)
    _run(taken.function(("first",)), [[1.0, 2.0]])
    assert ran == []
    _run(taken.function(("",)), [[1.0, 2.0]])
    assert ran == [1]


def test_a_model_is_traced_once_whatever_is_asked_of_it(model):
    calls = []

    class Counts(keras.layers.Layer):
        def call(self, x):
            calls.append(1)
            return x

    counted = keras.Sequential([keras.Input((2,)), Counts(name="counts"), model])
    calls.clear()
    taken = _traced(counted)
    for name in taken.layer_index.outputs:
        _run(taken.function((name,)), [[1.0, 2.0]])
    assert calls == [1]


def test_heads_see_new_weights(model):
    head = _traced(model).function(("double",))
    model.get_layer("double").kernel.assign(3 * np.eye(2))
    assert _run(head, [[1.0, 1.0]])[0].tolist() == [[3, 3]]


def test_layers_are_listed_with_shape_units_and_parameters(model):
    infos = _traced(model).layer_index.layers
    assert [(i.name, i.kind, i.output_shape, i.n_units, i.n_params) for i in infos] == [
        ("double", "Dense", (None, 2), 2, 6),
        ("plus", "Dense", (None, 2), 2, 6),
        ("sum", "Dense", (None, 1), 1, 3),
    ]


def test_any_batch_size_goes_even_where_the_model_was_built_by_a_batch_of_one():
    model = keras.Sequential([keras.layers.Dense(2, name="dense")])
    model(np.ones((1, 3), np.float32))
    head = _traced(model).function(("dense",))
    assert _run(head, np.ones((5, 3)))[0].shape == (5, 2)


def test_an_unknown_layer_is_answered_with_those_there_are(model):
    with pytest.raises(LayerError, match="no layer 'conv'; this model has double, plus, sum"):
        _traced(model).function(("conv",))


def test_a_model_that_fails_when_it_is_run_says_why():
    class Raises(keras.layers.Layer):
        def call(self, x):
            if x.shape[0] is None:  # as soon as it is traced for batches of any size
                raise FloatingPointError("too bad")
            return x

    model = keras.Sequential([keras.layers.Dense(2), Raises(name="raises")], name="odd")
    model(np.ones((1, 3), np.float32))
    with pytest.raises(CallTraceError, match=r"layer 'raises' raised FloatingPointError: too bad"):
        _traced(model)


def test_the_public_road_equals_the_private_one(model):
    taken = _traced(model)
    x = np.random.default_rng(0).normal(size=(4, 2))
    for name in taken.layer_index.outputs:
        if name:
            fast = _run(taken.function((name,)), x)[0]
            slow = _run(taken._function_by_tracing((name,)), x)[0]
            np.testing.assert_array_equal(fast, slow)


def test_a_head_is_handed_only_the_variables_that_it_reads(model):
    taken = _traced(model)
    assert len(taken.function(("double",)).captured_inputs) == 2
    assert len(taken.function(("sum", "plus")).captured_inputs) == 6
