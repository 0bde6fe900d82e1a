"""What cannot be attributed is refused in one sentence; what is merely odd is not."""

import keras
import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from small_models import Called

import actwidgets as aw
from actwidgets.errors import DataError, LayerError, ModelError, ShapeError
from actwidgets.probe.layer_weights import effective_weight

pytestmark = pytest.mark.keras
layers = keras.layers
RNG = np.random.default_rng(22)


def _small():
    return keras.Sequential(
        [
            keras.Input((8, 24, 2)),
            layers.Conv2D(3, 3, activation="relu", name="conv"),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ],
        name="inner",
    )


X = RNG.normal(size=(5, 8, 24, 2)).astype(np.float32)


STEPS = {
    "rounded": lambda x: keras.ops.round(x),
    "cast": lambda x: tf.cast(tf.cast(x, tf.int32), tf.float32),
    "compared": lambda x: tf.cast(x > 0, tf.float32),
    "stopped": lambda x: keras.ops.stop_gradient(x),
    "constant": lambda x: tf.ones_like(x),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_score_that_no_gradient_reaches_is_refused(step):
    model = keras.Sequential([keras.Input((4,)), Called(STEPS[step]), layers.Dense(3)])
    with pytest.raises(ModelError, match="no gradient of the score reaches the input"):
        aw.attribute(model, np.ones((2, 4)), 0, "gradient")


@pytest.mark.parametrize("step", STEPS)
def test_neither_does_it_of_a_layer_before_such_a_step(step):
    model = keras.Sequential(
        [
            keras.Input((6, 4)),
            layers.Conv1D(3, 2, name="conv"),
            Called(STEPS[step], name="step"),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    x = RNG.normal(size=(2, 6, 4))
    with pytest.raises(LayerError, match="no gradient of the score reaches layer 'conv'"):
        aw.attribute(model, x, 0, layer="conv")
    assert aw.attribute(model, x, 0, layer="step").values.shape == (2, 6)
    assert aw.attribute(model, x, 0, "score_cam", layer="conv").values.shape == (2, 6)


def test_a_gradient_that_is_nowhere_a_number_is_refused():
    model = _small()
    model.layers[0].set_weights([np.full((3, 3, 2, 3), np.nan), np.zeros(3)])
    with pytest.raises(DataError, match="the gradient is not a number anywhere"):
        aw.attribute(model, X, 0, "gradient")
    x = X.copy()
    x[1] = np.nan
    found = aw.attribute(_small(), x, 0, "gradient_x_input")
    assert found.note == "The map holds values that are not numbers for 1 of 5 samples (1)."


@pytest.mark.parametrize(
    ("options", "kind", "told"),
    [
        ({"target": 3}, DataError, r"target 3 is outside the classes 0\.\.2"),
        ({"target": 1.0}, DataError, "class indices; got values of type float64"),
        ({"target": [0, 1]}, ShapeError, r"one for each of 5 samples; got shape \(2,\)"),
        ({"method": "gradcam"}, DataError, "no method 'gradcam'; there are gradient"),
        ({"size": 3}, DataError, "method 'grad_cam' has no option size; it has upsample"),
        ({"output": "logits"}, DataError, '"logit" or "probability"; got \'logits\''),
        ({"layer": "conv9"}, LayerError, "no layer 'conv9'"),
        ({"head": 1}, ModelError, "no output 1; this model has 1"),
        ({"x": X[0]}, ShapeError, r"samples of shape \(8, 24, 2\)"),
        ({"x": X.astype(str)}, DataError, "x must hold numbers"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(options, kind, told):
    x = options.pop("x", X) if "x" in options else X
    with pytest.raises(kind, match=told) as caught:
        aw.attribute(_small(), x, **options)
    assert "\n" not in str(caught.value)


def test_no_samples_give_no_maps():
    for method in ("gradient", "guided_backprop", "grad_cam", "score_cam", "lrp"):
        found = aw.attribute(_small(), X[:0], method=method)
        assert len(found.values) == 0
        assert found.values.shape[1:3] == (8, 24)


class _Branching(keras.Model):
    """Cannot be traced: it looks at the values it gets, and takes a batch of none for a fault."""

    def __init__(self):
        super().__init__()
        self.inner = _small()

    def call(self, x):
        assert len(x) > 0
        return self.inner(x if float(keras.ops.max(x)) > 0 else -x)


def test_a_model_that_cannot_be_traced_is_not_run_on_no_samples():
    model = _Branching()
    model(X)
    assert aw.attribute(model, X[:0], method="gradient").values.shape == (0, 8, 24, 2)


def test_a_model_of_numbers_that_are_only_counted_is_refused():
    model = keras.Sequential(
        [
            keras.Input((4,), dtype="int32"),
            Called(lambda x: tf.reduce_sum(x, axis=1, keepdims=True)),
        ]
    )
    with pytest.raises(ModelError, match="has no input that can be differentiated"):
        aw.attribute(model, np.ones((2, 4), np.int32), 0, "gradient")


def _of_tokens():
    return keras.Sequential(
        [
            keras.Input((6,), dtype="int32"),
            layers.Embedding(9, 4, name="tokens"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(3, name="last"),
        ]
    )


def test_what_a_layer_cannot_do_with_these_samples_is_told_in_one_sentence():
    with pytest.raises(ModelError) as caught:
        aw.attribute(_of_tokens(), np.full((2, 6), 99), 0, "gradient")
    told = str(caught.value)
    assert "cannot be run: indices[0,0] = 99 is not in [0, 9)" in told
    assert "\n" not in told
    assert "File" not in told


def test_no_samples_of_whole_numbers_or_text():
    found = aw.attribute(_of_tokens(), np.zeros((0, 6), np.int32), method="gradient")
    assert found.values.shape == (0, 6, 4)
    words = layers.TextVectorization(output_sequence_length=4, vocabulary=["red", "coat"])
    model = keras.Sequential(
        [
            keras.Input((), dtype="string"),
            words,
            layers.Embedding(9, 4),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    found = aw.attribute(model, np.zeros(0, dtype=str), method="gradient")
    assert found.values.shape == (0, 4, 4)


def test_whole_numbers_are_attributed_to_what_embeds_them():
    model = _of_tokens()
    x = RNG.integers(0, 9, (4, 6))
    found = aw.attribute(model, x, 1, "gradient_x_input")
    table, (kernel, bias) = (
        model.get_layer("tokens").get_weights()[0],
        model.layers[-1].get_weights(),
    )
    np.testing.assert_allclose(found.values, table[x] * kernel[:, 1] / 6, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(found.values.sum(axis=(1, 2)) + bias[1], found.scores, rtol=1e-4)
    assert aw.attribute(model, x, 1).values.shape == (4, 6)


def _quantized(mode):
    layers = [keras.layers.Dense(5, activation="relu", name="a"), keras.layers.Dense(3, name="b")]
    model = keras.Sequential([keras.Input((6,)), *layers])
    random = np.random.default_rng(0)
    for layer in layers:
        layer.kernel.assign(random.normal(size=layer.kernel.shape))
    before = [np.asarray(layer.kernel) for layer in layers]
    model.quantize(mode)
    return model, before, random.normal(size=(3, 6)).astype("float32")


def test_relevance_passes_through_float8_and_is_not_rounded_to_it():
    """Worked in numpy on the rounded numbers; TensorFlow has no gradient to eight bits."""
    model, kernels, x = _quantized("float8")
    rounded = [each.astype(ml_dtypes.float8_e4m3fn).astype("float32") for each in (x, *kernels)]
    x8, a, b = rounded
    hidden = np.maximum(x8 @ a, 0).astype(ml_dtypes.float8_e4m3fn).astype("float32")
    share = (hidden * b[:, 1] / (x8 @ a))[:, np.newaxis]
    wanted = (x8[:, :, np.newaxis] * a * share).sum(axis=2)
    found = aw.attribute(model, x, method="lrp", target=1)
    np.testing.assert_allclose(found.values, wanted, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(found.values.sum(axis=1), (hidden @ b)[:, 1], rtol=1e-3)
    assert abs(found.gap).max() < 1e-3


def test_relevance_through_inputs_rounded_to_whole_numbers_is_refused():
    """It would all go the way of the scale: to the largest input of each sample."""
    model, _, x = _quantized("int8")
    with pytest.raises(LayerError, match=r"layer 'a' \(Dense\): quantized to int8, it rounds"):
        aw.attribute(model, x, method="lrp", target=1)


def test_of_kernels_rounded_to_four_bits_it_is_that_of_the_rounded_kernels():
    model, _, x = _quantized("int4")
    a, b = (effective_weight(layer, "kernel") for layer in model.layers)
    hidden = np.maximum(x @ a, 0)
    share = (hidden * b[:, 1] / (x @ a))[:, np.newaxis]
    found = aw.attribute(model, x, method="lrp", target=1)
    wanted = (x[:, :, np.newaxis] * a * share).sum(axis=2)
    np.testing.assert_allclose(found.values, wanted, rtol=1e-3, atol=1e-5)
