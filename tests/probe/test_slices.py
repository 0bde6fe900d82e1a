"""Which road answers when, and what happens when the model is changed."""

import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

import actwidgets as aw
from actwidgets.errors import DataError, LayerError, ModelError, ShapeError
from actwidgets.probe import extractors
from actwidgets.probe.compiled import FEW_SAMPLES
from actwidgets.probe.extractors import FeatureExtractor
from actwidgets.probe.keras_probe import KerasProbe

pytestmark = pytest.mark.keras
X = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)


class Counting(keras.layers.Layer):
    """Says whether it was called eagerly or while it was traced."""

    def __init__(self, **options):
        super().__init__(**options)
        self.calls = []

    def call(self, x):
        self.calls.append("eager" if tf.executing_eagerly() else "traced")
        return x


@pytest.fixture
def model():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(4, name="first"),
            Counting(name="counts"),
            keras.layers.Dense(3, name="last"),
        ]
    )
    model.get_layer("counts").calls.clear()
    return model


def test_a_few_samples_are_answered_eagerly_and_the_slice_made_behind_takes_over(model):
    calls = model.get_layer("counts").calls
    read = FeatureExtractor(model, warm=True)
    assert calls == []
    first = read.outputs(["counts"], X[:2])[0]
    assert calls[0] == "eager"
    read.wait()
    assert calls[:3] == ["eager", "traced", "eager"]  # the last one to compare it with
    assert calls.count("traced") == 1
    before = list(calls)
    np.testing.assert_allclose(read.outputs(["counts"], X[:2])[0], first, rtol=1e-6)
    assert calls == before


def test_an_eager_call_stops_at_the_layer(model):
    FeatureExtractor(model).outputs(["first"], X[:2])
    assert model.get_layer("counts").calls == []


def test_many_samples_are_compiled_at_once(model):
    read = FeatureExtractor(model)
    read.outputs(["last"], X[: FEW_SAMPLES + 1])
    read.outputs(["last"], X[:1])
    assert model.get_layer("counts").calls == ["traced", "eager"]  # compared once, on a few


def test_a_page_of_samples_waits_for_no_trace_that_is_made_behind_the_scenes(model):
    read = FeatureExtractor(model, warm=True)
    whole = FeatureExtractor(model).outputs(["last"], X)[0]
    model.get_layer("counts").calls.clear()
    with read._tracing:
        first = read.outputs(["last"], X[:12])[0]
    np.testing.assert_allclose(first, whole[:12], rtol=1e-5)
    assert model.get_layer("counts").calls[0] == "eager"
    read.wait()
    assert "traced" in model.get_layer("counts").calls


def test_without_a_background_the_second_time_is_compiled(model):
    read = FeatureExtractor(model)
    for _ in range(3):
        read.outputs(["last"], X[:1])
    assert model.get_layer("counts").calls == ["eager", "traced", "eager"]


def test_neighbors_are_made_when_nobody_moves_anything(model):
    read = FeatureExtractor(model, warm=True)
    read.outputs(["counts"], X[:1])
    read.wait()
    assert {key for _shapes, key, _fold in read._functions} == {("counts",), ("last",), ("first",)}


def test_slices_are_kept_and_the_oldest_go(model, monkeypatch):
    monkeypatch.setattr(extractors, "MAX_FUNCTIONS", 2)
    read = FeatureExtractor(model)
    for name in ("first", "counts", "first", "last"):
        read.outputs([name], X)
    assert [key for _shapes, key, _fold in read._functions] == [("first",), ("last",)]


def test_after_close_nothing_is_made_ahead_and_answers_go_on(model):
    read = FeatureExtractor(model, warm=True)
    read.close()
    for _ in range(2):
        assert read.outputs(["last"], X[:1])[0].shape == (1, 3)
    read.wait()
    assert {key for _shapes, key, _fold in read._functions} == {("last",)}


class Branching(keras.Model):
    def __init__(self):
        super().__init__(name="branching")
        self.low, self.high = keras.layers.Dense(2, name="low"), keras.layers.Dense(2, name="high")

    def call(self, x):
        return self.high(x) if keras.ops.sum(x) > 0 else self.low(x)


def test_a_model_that_cannot_be_traced_goes_on_being_called_eagerly():
    model = Branching()
    x = np.ones((30, 3), np.float32)
    model(x), model(-x)
    found = aw.activations(model, x, "high")
    np.testing.assert_allclose(found["high"], model.high(x), rtol=1e-6)
    read = FeatureExtractor(model, x)
    with pytest.raises(LayerError, match="'high' is not called for these samples"):
        read.outputs(["high"], -x)


# --- a live model ------------------------------------------------------------------------


def _change_by_fit(model):
    model.compile("sgd", "mse")
    model.fit(X, np.ones((len(X), 3)), epochs=3, verbose=0)


def _change_by_file(model, folder):
    other = keras.models.clone_model(model)
    path = folder / "w.weights.h5"
    other.set_weights([weight + 1 for weight in model.get_weights()])
    other.save_weights(path)
    model.load_weights(path)


CHANGES = {
    "fit": lambda model, folder: _change_by_fit(model),
    "set_weights": lambda model, _: model.set_weights([w + 1 for w in model.get_weights()]),
    "assign": lambda model, _: model.layers[0].kernel.assign(np.ones((4, 4))),
    "load_weights": _change_by_file,
    "activation": lambda model, _: setattr(model.layers[0], "activation", tf.nn.relu),
    "layer exchanged": lambda model, _: (
        model.pop(),
        model.add(keras.layers.Dense(5, name="wider")),
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_after_refresh_the_session_shows_the_model_as_it_is_now(change, tmp_path):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(4, name="first"),
            keras.layers.Dense(3, name="last"),
        ]
    )
    session = aw.Session(model, X, layer="last", unit=2, samples=(0, 1, 2))
    before = session.maps()
    session.context.probe.wait()
    CHANGES[change](model, tmp_path)
    session.refresh()
    wanted = model(X[:3])
    assert before.shape != wanted.shape or not np.allclose(before, wanted)
    session.layer = session.layers[-1].name
    for _ in range(2):
        np.testing.assert_allclose(session.maps(), wanted, atol=1e-6)
        session.context.probe.wait()
        session.refresh()
    np.testing.assert_allclose(session.predictions([0, 1, 2]), wanted, atol=1e-6)


def test_a_sample_looked_at_again_is_shown_with_the_weights_of_now(model, monkeypatch):
    monkeypatch.setattr("actwidgets.session.results.LOOK_EVERY_S", 0.0)
    session = aw.Session(model, X, layer="last")
    before, predicted = session.maps(), session.predictions([0])
    model.set_weights([weight + 1 for weight in model.get_weights()])
    for _ in range(2):
        np.testing.assert_allclose(session.maps(), model(X[:1]), atol=1e-6)
        np.testing.assert_allclose(session.predictions([0]), model(X[:1]), atol=1e-6)
    assert not np.allclose(before, session.maps())
    assert not np.allclose(predicted, session.predictions([0]))


def test_another_model_takes_over_and_the_old_slices_are_released(model):
    session = aw.Session(model, X, layer="counts", unit=3)
    session.maps()
    session.context.probe.wait()
    trace = weakref.ref(session.context.probe._extractor._traces[()].trace)
    probe = weakref.ref(session.context.probe)
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="only")])
    session.model = other
    assert (session.layer, session.unit) == ("only", 0)
    np.testing.assert_allclose(session.maps(), other(X[:1]), atol=1e-6)
    gc.collect()
    assert (probe(), trace()) == (None, None)


def test_a_class_in_focus_that_the_next_model_does_not_have_is_let_go(model):
    session = aw.Session(model, X, class_index=2)
    session.model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="two")])
    assert (session.class_index, session.class_names) == (None, ("0", "1"))


def test_a_model_that_is_refused_leaves_the_one_there_was(model):
    session = aw.Session(model, X, layer="last")
    with pytest.raises(ModelError, match="not built"):
        session.model = keras.Sequential([keras.layers.Dense(2)])
    assert session.model is model
    np.testing.assert_allclose(session.maps(), model(X[:1]), atol=1e-6)


def test_training_mode_is_a_choice_and_gives_the_same_values_each_time():
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dropout(0.5, seed=1, name="drop"), keras.layers.Dense(2)]
    )
    np.testing.assert_array_equal(aw.activations(model, X, "drop")["drop"], X)
    dropped = aw.activations(model, X, "drop", training=True)["drop"]
    assert 0.2 < (dropped == 0).mean() < 0.8
    np.testing.assert_array_equal(aw.activations(model, X, "drop", training=True)["drop"], dropped)
    session = aw.Session(model, X, layer="drop", samples=range(8), training=True)
    assert (session.maps() == 0).any()


# --- what is refused ---------------------------------------------------------------------


def _text_output():
    words = keras.layers.TextVectorization(output_mode="int", output_sequence_length=3)
    words.adapt(["a b"])
    inverse = keras.layers.StringLookup(vocabulary=["a", "b"], invert=True, name="back")
    inputs = keras.Input((), dtype="string")
    return keras.Model(inputs, inverse(words(inputs)))


class Foreign:
    """A model of another framework."""


Foreign.__module__ = "torch.nn"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (lambda: keras.Sequential([keras.layers.Dense(2)]), "not built.*call it once"),
        (lambda: Branching(), "'branching' is not built.*call it once"),
        (lambda: keras.Sequential(), "not built|no layers"),
        (lambda: keras.Model(i := keras.Input((2,)), i), "no layer"),
        (lambda: "model.keras", r"the path 'model.keras': read it with actwidgets.load_model"),
        (lambda: np.sum, "expected a keras.Model; got .* of numpy|got _?ArrayFunction"),
        (lambda: len, "expected a keras.Model; got builtin_function_or_method"),
        (lambda: Foreign(), "got Foreign of torch"),
        (lambda: Branching, "the class Branching: make an instance"),
        (lambda: keras.layers.Dense(3), "got Dense of keras"),
        (lambda: None, "got NoneType"),
    ],
)
def test_what_is_no_model_is_told_in_a_sentence(given, words):
    for use in (aw.layers, lambda model: aw.predict(model, X), lambda model: aw.explore(model, X)):
        with pytest.raises(ModelError, match=words):
            use(given())


class Looking(keras.Model):
    """Takes whole numbers, and says so nowhere."""

    def __init__(self):
        super().__init__(name="looking")
        self.table = self.add_weight(shape=(10, 4))
        self.last = keras.layers.Dense(3, name="last")

    def call(self, x):
        return self.last(tf.reduce_mean(tf.gather(self.table, x), axis=1))


def test_a_model_that_does_not_tell_what_it_takes_asks_for_samples():
    model, x = Looking(), np.arange(20).reshape(4, 5) % 10
    model(x)
    with pytest.raises(ModelError, match=r"'looking' cannot be run.*give it a few samples with x="):
        aw.layers(model)
    assert [info.name for info in aw.layers(model, x)] == ["last"]
    np.testing.assert_allclose(aw.predict(model, x), model(x), atol=1e-6)


def test_a_model_built_for_a_batch_of_one_size_is_read_at_that_size():
    model = keras.Sequential(
        [keras.Input(batch_shape=(4, 5, 2)), keras.layers.LSTM(3, stateful=True, name="lstm")]
    )
    x = np.random.default_rng(0).normal(size=(8, 5, 2)).astype(np.float32)
    assert [info.name for info in aw.layers(model)] == ["lstm"]
    states = [np.asarray(state) for state in model.get_layer("lstm").states]
    found = aw.activations(model, x, batch_size=4)["lstm"]
    assert found.shape == (8, 3)
    np.testing.assert_array_equal(aw.activations(model, x[:4], batch_size=4)["lstm"], found[:4])
    for before, after in zip(states, model.get_layer("lstm").states, strict=True):
        np.testing.assert_array_equal(before, after)


def test_another_backend_is_told(monkeypatch):
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(ModelError, match=r"Keras runs on jax here.*KERAS_BACKEND=tensorflow"):
        aw.layers(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]))


def test_an_output_that_is_text_has_no_units():
    model = _text_output()
    assert "back" not in [info.name for info in aw.layers(model)]
    with pytest.raises(LayerError, match="'back' cannot be shown: it puts out text, not numbers"):
        aw.activations(model, np.array(["a b", "b"]), "back")
    with pytest.raises(LayerError, match="text"):
        aw.predict(model, np.array(["a b", "b"]))
    with pytest.raises(DataError, match="must hold text; got values of type float32"):
        aw.activations(model, X)


def test_an_output_that_does_not_exist_is_answered_with_those_there_are():
    inputs = keras.Input((4,))
    outputs = {"kind": keras.layers.Dense(3)(inputs), "age": keras.layers.Dense(1)(inputs)}
    model = keras.Model(inputs, outputs)
    for head in ("size", 2, -1, True):
        with pytest.raises(ModelError, match=rf"no output {head!r}; this model has 2 \("):
            aw.predict(model, X, head=head)
    assert aw.predict(model, X, head="age").shape == (40, 1)
    assert aw.predict(model, X, head=1).shape == (40, 3)  # by key: age, kind


def test_keys_that_do_not_match_are_told():
    inputs = {"image": keras.Input((4,), name="image"), "facts": keras.Input((2,), name="facts")}
    model = keras.Model(inputs, keras.layers.Concatenate()([*inputs.values()]))
    with pytest.raises(ShapeError, match="inputs are facts, image; x has image, fact"):
        aw.predict(model, {"image": X, "fact": X[:, :2]})


def test_a_session_says_which_layer_raised_and_goes_on():
    class Odd(keras.layers.Layer):
        def call(self, x):
            return tf.debugging.check_numerics(x, "too odd")

    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(2, name="first"), Odd(name="odd")]
    )
    x = X.copy()
    x[1] = np.nan
    probe = KerasProbe(model)
    for _ in range(2):  # eagerly, then compiled
        with pytest.raises(ModelError, match=r"cannot be run: layer 'odd' raised .*too odd"):
            probe.predictions(x[:2])
    assert probe.activations(["first"], x[:2])["first"].shape == (2, 2)
