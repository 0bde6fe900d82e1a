"""What the output of a model means, however the model is written."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import Called

import actwidgets as aw
from actwidgets.core.output_kind import OutputKind
from actwidgets.errors import DataError, ModelError, ShapeError
from actwidgets.probe.keras_probe import KerasProbe

pytestmark = pytest.mark.keras
layers, losses, ops = keras.layers, keras.losses, keras.ops


class Subclassed(keras.Model):
    """Has no graph of layers."""

    def __init__(self, last):
        super().__init__()
        self.dense, self.last = layers.Dense(3), last

    def call(self, x):
        return self.last(self.dense(x))


def _dense(n_units, activation=None, loss=None, **options):
    model = keras.Sequential(
        [keras.Input((5,)), layers.Dense(n_units, activation=activation, **options)]
    )
    if loss is not None:
        model.compile(loss=loss)
    return model


def _functional(function, shape=(5,)):
    inputs = keras.Input(shape)
    return keras.Model(inputs, function(inputs))


def _subclassed(last):
    model = Subclassed(last)
    model(np.zeros((2, 5), np.float32))
    return model


def _softmax(inputs, n_units=3):
    return layers.Dense(n_units, activation="softmax")(inputs)


def _shares(z):
    e = ops.exp(z - ops.max(z, -1, keepdims=True))
    return e / ops.sum(e, -1, keepdims=True)


def _both(p):
    return ops.concatenate([1 - p, p], -1)


FROM_LOGITS = {"from_logits": True}
SOFTMAX, SIGMOID, VALUE = ("probability", "softmax"), ("probability", "sigmoid"), ("value", "")
LOGITS = ("logit", "softmax")
KINDS = {
    # the last function
    "softmax": (lambda: _dense(3, "softmax"), *SOFTMAX),
    "softmax, whatever the loss says": (
        lambda: _dense(3, "softmax", losses.SparseCategoricalCrossentropy(**FROM_LOGITS)),
        *SOFTMAX,
    ),
    "a function of TensorFlow": (lambda: _dense(3, tf.nn.softmax), *SOFTMAX),
    "temperature": (
        lambda: _functional(lambda x: layers.Softmax()(layers.Dense(3)(x) / 2.0)),
        *SOFTMAX,
    ),
    "bfloat16": (lambda: _dense(300, "softmax", dtype="bfloat16"), *SOFTMAX),
    "log_softmax": (lambda: _dense(3, "log_softmax"), *LOGITS),
    "nested": (lambda: keras.Sequential([_dense(3, "softmax"), layers.Dropout(0.5)]), *SOFTMAX),
    "subclassed": (lambda: _subclassed(ops.softmax), *SOFTMAX),
    "subclassed, logits": (lambda: _subclassed(lambda z: z), *LOGITS),
    "one sigmoid": (lambda: _dense(1, "sigmoid"), *SIGMOID),
    "several sigmoids": (lambda: _dense(3, "sigmoid"), *SIGMOID),
    "sigmoids of classes that exclude each other": (
        lambda: _dense(3, "sigmoid", "categorical_crossentropy"),
        *SIGMOID,
    ),
    "ordinal": (lambda: _dense(4, "sigmoid", "binary_crossentropy"), *SIGMOID),
    "an axis in the middle, flattened": (
        lambda: _functional(lambda x: layers.Flatten()(layers.Softmax(axis=1)(x)), (4, 1)),
        *SOFTMAX,
    ),
    # probabilities that are made otherwise
    "mean of softmaxes": (
        lambda: _functional(lambda x: layers.Average()([_softmax(x), _softmax(x)])),
        *SOFTMAX,
    ),
    "clipped": (lambda: _functional(lambda x: ops.clip(_softmax(x), 1e-3, 1)), *SOFTMAX),
    "two softmaxes side by side": (
        lambda: _functional(lambda x: ops.concatenate([_softmax(x), _softmax(x, 4)], -1)),
        *SIGMOID,
    ),
    "a sigmoid and its rest": (
        lambda: _functional(lambda x: _both(layers.Dense(1, activation="sigmoid")(x))),
        *SOFTMAX,
    ),
    "pooled softmaxes": (
        lambda: _functional(lambda x: layers.GlobalAveragePooling1D()(_softmax(x)), (7, 5)),
        *SOFTMAX,
    ),
    "exp / sum": (lambda: _functional(lambda x: Called(_shares)(layers.Dense(3)(x))), *SOFTMAX),
    "subclassed, exp / sum": (lambda: _subclassed(_shares), *SOFTMAX),
    "hard_sigmoid": (lambda: _dense(3, "hard_sigmoid"), *SIGMOID),
    # the loss
    "one logit": (lambda: _dense(1, None, losses.BinaryCrossentropy(**FROM_LOGITS)), "logit",
                  "sigmoid"),
    "binary focal": (lambda: _dense(1, None, losses.BinaryFocalCrossentropy(**FROM_LOGITS)),
                     "logit", "sigmoid"),
    "several labels": (lambda: _dense(3, None, losses.BinaryCrossentropy(**FROM_LOGITS)), "logit",
                       "sigmoid"),
    "logits": (lambda: _dense(3, None, losses.CategoricalCrossentropy(**FROM_LOGITS)), *LOGITS),
    "hinge": (lambda: _dense(1, "tanh", "hinge"), "logit", "margin"),
    "categorical hinge": (lambda: _dense(3, None, "categorical_hinge"), "logit", "margin"),
    "regression": (lambda: _dense(1, None, "mse"), *VALUE),
    "regression of several": (lambda: _dense(3, None, losses.Huber()), *VALUE),
    # nothing but the shape
    "several numbers": (lambda: _dense(3), *LOGITS),
    "ensemble of logits": (
        lambda: _functional(lambda x: layers.Average()([layers.Dense(3)(x), layers.Dense(3)(x)])),
        *LOGITS,
    ),
    "one number": (lambda: _dense(1), *VALUE),
    "autoencoder": (lambda: _functional(lambda x: layers.Dense(640)(layers.Dense(4)(x)), (640,)),
                    *VALUE),
    "autoencoder of sigmoids": (lambda: _functional(layers.Dense(64, activation="sigmoid"), (64,)),
                                *VALUE),
    "as many classes as features": (
        lambda: _functional(layers.Dense(64, activation="softmax"), (64,)),
        *SOFTMAX,
    ),
    # neither
    "tanh": (lambda: _dense(3, "tanh"), *VALUE),
    "a bounded value": (
        lambda: _functional(lambda x: 10 * layers.Dense(1, activation="sigmoid")(x)),
        *VALUE,
    ),
    "mixture": (
        lambda: _functional(lambda x: ops.concatenate([_softmax(x), layers.Dense(3)(x)], -1)),
        *VALUE,
    ),
    "class indices": (lambda: _functional(lambda x: ops.argmax(_softmax(x), -1)), *VALUE),
    "decisions": (lambda: _functional(lambda x: layers.Dense(3)(x) > 0), *VALUE),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_what_an_output_means_is_read_off_the_model(name):
    make, kind, link = KINDS[name]
    model = make()
    before = [weight.numpy() for weight in model.weights]
    found = KerasProbe(model, np.zeros((2, 5), np.float32)).output_kind
    assert (found.kind, found.link) == (kind, link), found.reason
    assert found.reason
    assert found.axis == -1
    for weight, was in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, was)


def test_the_axis_of_a_softmax_in_the_middle_is_told():
    model = _functional(lambda x: layers.Softmax(axis=1)(layers.Dense(6)(x)), (4, 6))
    found = KerasProbe(model).output_kind
    assert (found.kind, found.axis, found.n_outputs) == ("probability", -2, 4)


def test_what_the_caller_says_comes_before_all_that_the_model_tells():
    for said in ("logit", "probability", "value"):
        found = KerasProbe(_dense(3, "softmax", "mse"), output_is=said).output_kind
        assert (found.kind, found.decided_by) == (said, "caller")
    with pytest.raises(DataError, match="or None to have it read off the model; got 'Logit'"):
        KerasProbe(_dense(3), output_is="Logit")


def test_several_sigmoids_that_are_said_to_be_probabilities_stay_each_its_own():
    found = KerasProbe(_dense(3, "sigmoid"), output_is="probability").output_kind
    assert (found.link, found.is_multi_label) == ("sigmoid", True)


def test_of_two_heads_each_has_a_kind_of_its_own():
    inputs = keras.Input((5,))
    outputs = {"digit": _softmax(inputs, 10), "age": layers.Dense(1)(inputs)}
    model = keras.Model(inputs, outputs)
    model.compile(loss={"digit": "sparse_categorical_crossentropy", "age": "mse"})
    digit, age = (KerasProbe(model, head=head).output_kind for head in ("digit", "age"))
    assert (digit.kind, digit.head, digit.heads) == ("probability", "digit", ("age", "digit"))
    assert (age.kind, age.decided_by) == ("value", "loss")
    assert "output 'age' of age, digit" in age.words
    x = np.zeros((20, 5), np.float32)
    with pytest.raises(DataError, match=r"output 'age' of age, digit puts out values.*'digit'"):
        aw.Session(model, x, np.arange(20) % 10)
    assert aw.Session(model, x, np.arange(20) % 10, head="digit").confusion().counts.sum() == 20
    with pytest.raises(DataError, match=r"there are 10 classes.*output 'digit' of age, digit"):
        aw.Session(model, x, np.arange(20), head="digit")


def test_labels_of_another_output_are_told_which_outputs_there_are():
    inputs = keras.Input((5,))
    model = keras.Model(inputs, {"digit": _softmax(inputs, 10), "age": layers.Dense(1)(inputs)})
    x = np.zeros((20, 5), np.float32)
    with pytest.raises(DataError, match=r"several outputs \(age, digit\): choose .* head="):
        aw.class_profiles(model, x, np.arange(20) % 10)
    assert aw.class_profiles(model, x, np.arange(20) % 10, head="digit").counts.sum() == 20


def test_one_logit_for_two_classes_as_tutorials_end_in():
    """Logits of issue 15, all of class 1: accuracy 1.0, where the threshold of a half gives .25."""
    model = _functional(lambda x: layers.Dense(1, use_bias=False)(x), (1,))
    model.set_weights([np.ones((1, 1))])
    model.compile(loss=losses.BinaryCrossentropy(from_logits=True))
    x = np.array([[0.4], [0.3], [0.15], [0.6]], np.float32)
    session = aw.Session(model, x, [1, 1, 1, 1], class_names=("cat", "dog"))
    assert session.confusion().accuracy == 1.0
    np.testing.assert_allclose(session.scores([0]).confidence, 1 / (1 + np.exp(-0.4)), rtol=1e-6)
    for target, sign in ((0, -1), (1, 1)):
        found = aw.attribute(model, x, target, "gradient")
        np.testing.assert_allclose(found.scores, sign * x[:, 0], rtol=1e-6)
        np.testing.assert_allclose(found.values, np.full((4, 1), sign), rtol=1e-6)
    chances = 1 / (1 + np.exp(-x.astype(float)))
    found = aw.attribute(model, x, 1, "gradient", output="probability")
    np.testing.assert_allclose(found.values, chances * (1 - chances), rtol=1e-5)
    plain = keras.models.clone_model(model)  # neither compiled nor trained
    plain.set_weights(model.get_weights())
    named = aw.Session(keras.Model(plain.inputs, plain.outputs), x, [1, 1, 1, 1])
    assert (named.output.kind, named.output.decided_by) == ("logit", "labels")
    assert named.confusion().accuracy == 1.0


def test_what_is_said_of_a_sample_does_not_depend_on_the_others():
    """Logits in 0..1 that sum to one were taken for probabilities, alone only."""
    model = _functional(lambda x: layers.Dense(2, use_bias=False)(x), (2,))
    model.set_weights([np.eye(2)])
    x = np.array([[0.9, 0.1], [4.0, -3.0], [0.2, 0.8]], np.float32)
    session = aw.Session(model, x, [0, 0, 1])
    wanted = 1 / (1 + np.exp(-0.8))
    for rows in ([0], [0, 2], [0, 1, 2]):
        assert session.scores(rows).confidence[0] == pytest.approx(wanted)


X = np.random.default_rng(1).normal(size=(3, 5)).astype(np.float32)
KERNEL = np.random.default_rng(2).normal(size=(5, 3)).astype(np.float32)


def _ensemble(z):
    return layers.Average()([layers.Softmax()(z), layers.Softmax()(z)])


HEADS = {
    "average of one softmax with itself": _ensemble,
    "clipped": lambda z: ops.clip(layers.Softmax()(z), 0, 1),
    "exp / sum": lambda z: Called(_shares)(z),
    "flattened": lambda z: layers.Flatten()(layers.Softmax(axis=1)(layers.Reshape((3, 1))(z))),
    "pooled": lambda z: layers.GlobalAveragePooling1D()(
        layers.Softmax()(layers.Reshape((1, 3))(z))
    ),
}


@pytest.mark.parametrize("name", HEADS)
def test_no_second_softmax_is_laid_on_a_probability(name):
    model = _functional(lambda x: HEADS[name](layers.Dense(3, use_bias=False)(x)))
    model.set_weights([KERNEL])
    wanted = np.exp(X @ KERNEL)
    wanted /= wanted.sum(axis=1, keepdims=True)
    target = wanted.argmax(axis=1)
    found = aw.attribute(model, X, method="gradient_x_input", output="probability")
    np.testing.assert_array_equal(found.target, target)
    np.testing.assert_allclose(found.scores, wanted[range(3), target], rtol=1e-5)
    curve = aw.faithfulness(model, X, found, steps=4)
    np.testing.assert_allclose(curve.scores[:, 0], wanted[range(3), target], rtol=1e-5)


def test_sparsemax_is_a_probability():
    """[2, 1.5, 0] has the sparsemax [.75, .25, 0] (Martins & Astudillo 2016, equation 7)."""

    def sparsemax(z):
        ordered = tf.sort(z, direction="DESCENDING", axis=-1)
        sums = tf.cumsum(ordered, axis=-1)
        n_kept = tf.reduce_sum(tf.cast(1 + ordered * [1.0, 2, 3] > sums, tf.int32), -1)
        sum_kept = tf.gather(sums, n_kept - 1, batch_dims=1)
        threshold = (sum_kept - 1) / tf.cast(n_kept, tf.float32)
        return tf.maximum(z - threshold[:, None], 0)

    model = _functional(Called(sparsemax), (3,))
    x = np.array([[2.0, 1.5, 0.0]], np.float32)
    assert KerasProbe(model).output_kind.kind == "probability"
    found = aw.attribute(model, x, 0, "gradient", output="probability")
    np.testing.assert_allclose(found.scores, [0.75])


def test_equal_outputs_have_equal_score_cam_maps():
    rng = np.random.default_rng(3)
    inputs = keras.Input((6, 6, 1))
    maps = layers.Conv2D(4, 3, activation="relu", name="maps")(inputs)
    pooled = layers.GlobalAveragePooling2D()(maps)
    scores = layers.Dense(3)(pooled)
    plain = keras.Model(inputs, layers.Softmax()(scores))
    plain.set_weights([rng.normal(size=weight.shape) * 3 for weight in plain.weights])
    average = keras.Model(inputs, _ensemble(scores))
    x = rng.normal(size=(2, 6, 6, 1)).astype(np.float32)
    np.testing.assert_allclose(plain(x), average(x), rtol=1e-6)
    one, other = (
        aw.attribute(model, x, method="score_cam", layer="maps") for model in (plain, average)
    )
    assert np.abs(one.values).max() > 1e-3
    np.testing.assert_allclose(one.values, other.values, atol=1e-6)


def test_scores_of_classes_along_a_middle_axis_are_summed_over_the_positions():
    model = _functional(lambda x: layers.Softmax(axis=1)(x), (3, 4))
    x = np.random.default_rng(4).normal(size=(2, 3, 4)).astype(np.float32)
    slice_ = KerasProbe(model).score_function()
    assert slice_.n_targets == 3
    points = slice_.points(x)
    np.testing.assert_allclose(slice_.scores(points), x.sum(axis=2), rtol=1e-4, atol=1e-6)
    wanted = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    found = slice_.scores(points, "probability")
    np.testing.assert_allclose(found, wanted.sum(axis=2), rtol=1e-5)


def test_labels_that_do_not_exclude_each_other_are_scored_each_on_its_own():
    model = _dense(3, None, losses.BinaryCrossentropy(from_logits=True))
    model.set_weights([KERNEL, np.zeros(3)])
    slice_ = KerasProbe(model).score_function()
    found = slice_.scores(slice_.points(X), "probability")
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-(X @ KERNEL))), rtol=1e-5)


def test_values_have_no_probability_and_the_reason_is_told():
    model = _dense(3, None, "mse")
    with pytest.raises(ModelError, match=r"values, no classes.*mean_squared_error.*output_is="):
        aw.attribute(model, X, 0, "gradient", output="probability")
    said = aw.attribute(model, X, 0, "gradient", output="probability", output_is="logit")
    logits = model(X).numpy()
    np.testing.assert_allclose(
        said.scores, (np.exp(logits) / np.exp(logits).sum(1, keepdims=True))[:, 0], rtol=1e-5
    )


def test_a_model_that_another_program_saved_is_asked_for_its_values(tmp_path):
    """A TFSMLayer has one operation, a call; its output is a softmax all the same."""
    saved = _dense(3, "softmax")
    saved.set_weights([KERNEL, np.zeros(3)])
    saved.export(tmp_path / "saved", verbose=False)
    layer = layers.TFSMLayer(str(tmp_path / "saved"), call_endpoint="serve")
    model = _functional(layer)
    found = KerasProbe(model).output_kind
    assert (found.kind, found.link, found.decided_by) == (*SOFTMAX, "values")
    wanted = saved(X).numpy()
    scores = aw.attribute(model, X, method="gradient_x_input", output="probability").scores
    np.testing.assert_allclose(scores, wanted.max(axis=1), rtol=1e-6)


def test_models_of_keras_2_are_read_too():
    keras_2 = pytest.importorskip("tf_keras")

    def dense(n_units, activation=None, loss=None):
        model = keras_2.Sequential(
            [keras_2.Input((5,)), keras_2.layers.Dense(n_units, activation=activation)]
        )
        if loss is not None:
            model.compile(loss=loss)
        return KerasProbe(model).output_kind

    assert (dense(3, "softmax").kind, dense(3, "softmax").link) == SOFTMAX
    one = dense(1, None, keras_2.losses.BinaryCrossentropy(from_logits=True))
    assert (one.kind, one.n_classes, one.decided_by) == ("logit", 2, "loss")
    assert dense(2, None, "mse").kind == "value"


class Clipped(keras.Model):
    """Is called eagerly, and has a state that a call would move on."""

    def __init__(self):
        super().__init__()
        self.dense, self.norm = layers.Dense(3), layers.BatchNormalization()

    def call(self, x, training=False):
        z = self.norm(self.dense(x), training=training)
        return _shares(z) if float(ops.max(x)) < 1e9 else z


def test_a_call_on_noise_leaves_the_model_as_it_was():
    model = Clipped()
    model(X)
    model.weights[2].assign(np.full(3, 2.0))
    before = [weight.numpy() for weight in model.weights]
    found = KerasProbe(model, X).output_kind
    assert (found.kind, found.decided_by) == ("probability", "values")
    for weight, was in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, was)
    recurrent = keras.Sequential(
        [
            keras.Input(batch_shape=(4, 7, 5)),
            layers.LSTM(3, stateful=True),
            Called(_shares),
        ]
    )
    assert KerasProbe(recurrent).output_kind.kind == "probability"
    for state in recurrent.layers[0].states:
        np.testing.assert_array_equal(state, np.zeros((4, 3)))


def test_tokens_and_text_are_read_without_samples():
    words = layers.TextVectorization(output_sequence_length=4)
    words.adapt(["a b c d"])
    for first, shape, dtype in (
        (layers.Embedding(9, 4), (20,), "float32"),
        (layers.Embedding(9, 4), (20,), "int32"),
        (lambda x: layers.Embedding(9, 4)(words(x)), (1,), "string"),
    ):
        inputs = keras.Input(shape, dtype=dtype)
        hidden = layers.GlobalAveragePooling1D()(first(inputs))
        model = keras.Model(inputs, ops.clip(_softmax(hidden), 0, 1))
        assert KerasProbe(model).output_kind.kind == "probability"


def test_a_recording_keeps_what_the_output_means(tmp_path):
    model = _dense(1, None, losses.BinaryCrossentropy(from_logits=True))
    logits = model(X).numpy()[:, 0]
    aw.Recorder(model, tmp_path / "run", X, (logits > 0).astype(int)).snapshot({})
    recording = aw.open_recording(tmp_path / "run")
    session = recording.session()
    assert session.output == KerasProbe(model).output_kind
    assert session.confusion().accuracy == 1.0
    np.testing.assert_allclose(
        session.scores([0]).values[0, 1], 1 / (1 + np.exp(-float(logits[0]))), rtol=1e-5
    )
    said = aw.Recorder(model, tmp_path / "said", X, output_is="value")
    said.snapshot({})
    assert not aw.open_recording(tmp_path / "said").session().predicts_classes
    manifest = tmp_path / "run" / "manifest.json"  # as written before that was kept
    told = json.loads(manifest.read_text())
    del told["output"]
    manifest.write_text(json.dumps(told))
    old = aw.open_recording(tmp_path / "run")
    assert old.session().output.decided_by in ("values", "labels")


def test_a_kind_survives_a_file():
    kind = OutputKind("logit", "sigmoid", (1,), "so", "loss", head="a", heads=("a", "b"))
    assert OutputKind.from_dict(kind.to_dict()) == kind
    with pytest.raises(TypeError, match="no kind of output"):
        OutputKind.from_dict({**kind.to_dict(), "link": "tanh"})


def test_the_targets_of_an_autoencoder_of_pictures_are_taken_for_such():
    inputs = keras.Input((6, 8, 1))
    model = keras.Model(inputs, keras.layers.Conv2D(1, 3, padding="same")(inputs))
    x = np.random.default_rng(2).integers(0, 256, (5, 6, 8, 1)).astype(np.uint8)
    for options in ({}, {"output_is": "value"}):
        session = aw.Session(model, x, x, **options)
        assert session.output.kind == "value"
        assert session.labels is None
        view = aw.PredictionTable(session)
        assert view.error == ""
        session.close()
    told = "not one value per class (it has as many outputs as inputs, as an autoencoder has)"
    assert told in aw.Session(model, x, x).missing_for_predictions()
    with pytest.raises(ShapeError, match="x has 5 samples and y has 4 targets"):
        aw.Session(model, x, x[:4])


def _two_outputs():
    inputs = keras.Input((4,))
    outputs = {
        "digit": keras.layers.Dense(3, activation="softmax", name="digit")(inputs),
        "age": keras.layers.Dense(1, name="age")(inputs),
    }
    return keras.Model(inputs, outputs)


@pytest.mark.parametrize("as_dict", [True, False])
def test_y_may_be_given_for_each_output_as_to_fit(as_dict):
    model, x = _two_outputs(), np.zeros((6, 4), np.float32)
    classes, ages = np.arange(6) % 3, np.linspace(20, 60, 6)
    heads = aw.Session(model, x, head="digit").output.heads
    given = {"digit": classes, "age": ages}
    y = given if as_dict else [given[name] for name in heads]
    session = aw.Session(model, x, y, head="digit")
    assert session.labels.tolist() == classes.tolist()
    session = aw.Session(model, x, y, head="age")
    np.testing.assert_allclose(session.targets[:, 0], ages, rtol=1e-6)
    assert aw.Session(model, x, y).output.head == heads[0]  # the first by default, its own y


def test_a_dict_without_the_output_that_is_asked_about_says_which_there_are():
    model, x = _two_outputs(), np.zeros((6, 4), np.float32)
    told = "y is a dict with age; asked about is output 'digit' of age, digit"
    with pytest.raises(DataError, match=told):
        aw.Session(model, x, {"age": np.zeros(6)}, head="digit")


def test_a_regression_to_the_unit_interval_may_end_in_a_sigmoid():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, activation="sigmoid")])
    model.compile(loss="mse")
    x, y = np.zeros((6, 4), np.float32), np.linspace(0.1, 0.7, 6)
    session = aw.Session(model, x, y)
    assert session.output.kind == "value"
    np.testing.assert_allclose(session.targets[:, 0], y, rtol=1e-6)
    assert aw.Session(model, x, np.arange(6) % 2).output.kind == "probability"


def test_as_many_labels_as_features_are_labels_where_names_or_labels_say_so():
    random = np.random.default_rng(4)
    x, y = random.normal(size=(7, 16)).astype(np.float32), random.integers(0, 2, (7, 16))
    names = [f"label {index}" for index in range(16)]
    model = keras.Sequential([keras.Input((16,)), layers.Dense(16, activation="sigmoid")])
    model.compile(loss="binary_crossentropy")
    assert aw.Session(model, x).output.kind == "value"
    for session in (aw.Session(model, x, y), aw.Session(model, x, y, class_names=names)):
        assert (session.output.kind, session.output.link) == ("probability", "sigmoid")
        wanted = (np.asarray(model(x)) > 0.5) == y
        assert session.confusion().accuracy == pytest.approx(wanted.all(axis=1).mean())
    bits = (x > 0).astype(np.float32)
    assert aw.Session(model, bits, bits).output.kind == "value"  # an autoencoder after all
    plain = keras.Sequential([keras.Input((16,)), layers.Dense(16)])
    assert aw.Session(plain, x, class_names=names).output.kind == "logit"
