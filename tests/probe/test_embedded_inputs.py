"""Inputs are judged by what the model does with them, not by the dtype they are declared with."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import actwidgets as aw

pytestmark = pytest.mark.keras
layers = keras.layers
RNG = np.random.default_rng(15)
IDS = RNG.integers(0, 30, (3, 8))


def _text(dtype, *, mask=False):
    keras.utils.set_random_seed(4)
    ids = keras.Input((8,), dtype=dtype)
    embedded = layers.Embedding(30, 5, mask_zero=mask, name="words")(ids)
    if mask:
        read = layers.LSTM(4, name="lstm")(embedded)
    else:
        conv = layers.Conv1D(4, 3, activation="relu", name="conv")
        read = layers.GlobalMaxPooling1D()(conv(embedded))
    return keras.Model(ids, layers.Dense(3, activation="softmax", name="classes")(read))


@pytest.mark.parametrize("method", [each.name for each in aw.attribution_methods()])
def test_token_ids_in_a_floating_point_input_are_attributed_as_whole_ones(method):
    options = {"n_samples": 3} if "smooth" in method else {}
    found = aw.attribute(_text("float32"), IDS.astype(np.float32), [0, 1, 2], method, **options)
    whole = aw.attribute(_text("int32"), IDS, [0, 1, 2], method, **options)
    assert found.values.shape[:2] == (3, 8)
    assert np.abs(found.values).max() > 0
    np.testing.assert_array_equal(found.values, whole.values)
    assert found.note == whole.note


def test_the_gradient_of_masked_floating_point_ids_is_that_at_their_embedding():
    model, x = _text("float32", mask=True), IDS.astype(np.float32)
    x[0, 5:] = 0
    layer = model.get_layer
    embedded = tf.constant(layer("words")(x))
    with tf.GradientTape() as tape:
        tape.watch(embedded)
        read = layer("lstm")(embedded, mask=tf.constant(x != 0))
        score = tf.reduce_sum(tf.math.log(layer("classes")(read)[:, 2]))
    found = aw.attribute(model, x, 2, "gradient").values
    other = aw.attribute(model, x, 0, "gradient").values
    with tf.GradientTape() as second:
        second.watch(embedded)
        read = layer("lstm")(embedded, mask=tf.constant(x != 0))
        less = tf.reduce_sum(tf.math.log(layer("classes")(read)[:, 0]))
    wanted = tape.gradient(score, embedded) - second.gradient(less, embedded)
    np.testing.assert_allclose(found - other, wanted, atol=1e-6)


def _through(*parts, shape=(1,), **options):
    keras.utils.set_random_seed(5)
    inputs = keras.Input(shape, **options)
    read = inputs
    for part in parts:
        read = part(read)
    return keras.Model(inputs, layers.Dense(2, name="classes")(layers.Flatten()(read)))


LOOKED_UP = {
    "one_hot": lambda: _through(layers.CategoryEncoding(4, output_mode="one_hot", name="at")),
    "multi_hot": lambda: _through(layers.CategoryEncoding(4, output_mode="multi_hot", name="at")),
    "bucket_embedded": lambda: _through(
        layers.Discretization(bin_boundaries=[0.5, 1.5, 2.5]), layers.Embedding(4, 3, name="at")
    ),
    "bucket_one_hot": lambda: _through(
        layers.Discretization(bin_boundaries=[0.5, 1.5], output_mode="one_hot", name="at")
    ),
    "hashed": lambda: _through(layers.Hashing(4), layers.Embedding(4, 3, name="at"), dtype="int64"),
}


@pytest.mark.parametrize("kind", LOOKED_UP)
def test_what_is_looked_up_is_attributed_where_it_becomes_numbers(kind):
    model, x = LOOKED_UP[kind](), np.array([[0], [2], [3]])
    values = np.asarray(keras.Model(model.inputs, model.get_layer("at").output)(x))
    weights = np.asarray(model.get_layer("classes").kernel)[:, 1].reshape(values.shape[1:])
    for method in ("gradient_x_input", "integrated_gradients", "occlusion", "lrp"):
        options = {"fill": 0, "patch": [1] * weights.ndim} if method == "occlusion" else {}
        found = aw.attribute(model, x, 1, method, **options)
        np.testing.assert_allclose(found.values, values * weights, atol=1e-5, err_msg=method)


def test_an_input_that_is_embedded_and_also_used_as_a_number_is_seen_at_both():
    keras.utils.set_random_seed(6)
    rating = keras.Input((1,), name="rating")
    embedded = layers.Flatten()(layers.Embedding(5, 3, name="bucket")(rating))
    model = keras.Model(
        rating, layers.Dense(1, name="sum")(layers.Concatenate()([embedded, rating]))
    )
    x = np.array([[2.0], [4.0]])
    found = aw.attribute(model, x, 0, "gradient_x_input", output="logit").values
    kernel = np.asarray(model.get_layer("sum").kernel)[:, 0]
    rows = np.asarray(model.get_layer("bucket").embeddings)[[2, 4]]
    assert list(found) == ["rating", "bucket"]
    np.testing.assert_allclose(found["rating"], x * kernel[3], rtol=1e-6)
    np.testing.assert_allclose(found["bucket"][:, 0], rows * kernel[:3], rtol=1e-5)


def test_a_mask_made_of_a_number_is_no_second_use_of_it():
    values = keras.Input((4,))
    mask = keras.ops.cast(keras.ops.not_equal(values, 0), "float32")
    model = keras.Model(values, layers.Dense(2)(values * mask))
    found = aw.attribute(model, RNG.normal(size=(2, 4)), 0, "gradient")
    assert found.values.shape == (2, 4)


FEATURES = {
    "age": np.array([[1.5], [-2.0]], np.float32),
    "city": np.array([["a"], ["b"]]),
    "rooms": np.array([[3], [4]]),
}


def _inputs():
    return {
        "age": keras.Input((1,), name="age"),
        "city": keras.Input((1,), name="city", dtype="string"),
        "rooms": keras.Input((1,), name="rooms", dtype="int32"),
    }


def test_values_of_text_whole_numbers_and_others_go_by_the_names_of_the_inputs():
    keras.utils.set_random_seed(7)
    given = _inputs()
    ids = layers.StringLookup(vocabulary=["a", "b"])(given["city"])
    city = layers.Flatten()(layers.Embedding(3, 2, name="towns")(ids))
    rooms = layers.CategoryEncoding(6, output_mode="one_hot", name="size")(given["rooms"])
    read = layers.Dense(1, name="sum")(layers.Concatenate()([given["age"], city, rooms]))
    found = aw.attribute(keras.Model(given, read), FEATURES, 0, "integrated_gradients")
    assert set(found.values) == {"age", "city", "rooms"}
    total = sum(each.reshape(2, -1).sum(axis=1) for each in found.values.values())
    np.testing.assert_allclose(total, found.scores - found.path.scores[:, 0], atol=1e-5)
    assert not found.left_out
    assert "leave out" not in found.note


class Inside(keras.Model):
    """Looks text up by itself: no layer puts out what it makes of it."""

    def __init__(self):
        super().__init__()
        self.lookup = layers.StringLookup(vocabulary=["a", "b"])

    def call(self, x):
        city = tf.gather(tf.constant([0.0, 2.5, 4.0]), self.lookup(x["city"])[:, 0])[:, None]
        return 2 * x["age"] + city + 5 * tf.cast(x["rooms"], tf.float32)


@pytest.mark.parametrize("method", ["gradient_x_input", "integrated_gradients", "occlusion"])
def test_what_cannot_be_attributed_is_named_with_what_it_does_to_the_score(method):
    model = Inside()
    model({name: tf.constant(each) for name, each in FEATURES.items()})
    found = aw.attribute(model, FEATURES, 0, method)
    np.testing.assert_allclose(found.values["age"], 2 * FEATURES["age"], rtol=1e-5)
    assert list(found.values) == ["age"]
    np.testing.assert_allclose(found.left_out["city"], [2.5, 4.0], rtol=1e-6)
    np.testing.assert_allclose(found.left_out["rooms"], [15.0, 20.0], rtol=1e-6)
    assert "leave out city (2.5 to 4), rooms (15 to 20)" in found.note
