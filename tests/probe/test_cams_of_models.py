"""Class activation maps of live models: their values, and where they lie."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from model_zoo import require_channels_first

import actwidgets as aw
from actwidgets.core.attribution.cam import upsampled
from actwidgets.errors import LayerError

pytestmark = pytest.mark.keras
layers = keras.layers
RNG = np.random.default_rng(11)
X = RNG.normal(size=(3, 8, 24, 2)).astype(np.float32)
CAMS = ("grad_cam", "grad_cam_plus_plus", "score_cam")


@pytest.mark.parametrize("size", [(16, 48), (17, 5), (4, 6), (1, 1), (9, 24)])
def test_maps_are_brought_to_a_size_as_tensorflow_does(size):
    maps = RNG.random((2, 7, 9, 3)).astype(np.float32)
    wanted = tf.image.resize(maps, size, "bilinear").numpy()
    np.testing.assert_allclose(upsampled(maps, size), wanted, rtol=1e-4, atol=1e-6)


@pytest.fixture(scope="module")
def pooled():
    """A convolution, its mean over positions, and a dense layer."""
    keras.utils.set_random_seed(2)
    return keras.Sequential(
        [
            keras.Input((8, 24, 2)),
            layers.Conv2D(5, 3, activation="relu", name="conv"),
            layers.GlobalAveragePooling2D(name="pool"),
            layers.Dense(3, activation="softmax", name="classes"),
        ]
    )


def _weights(model, target):
    return model.get_layer("classes").get_weights()[0].T[target]


def test_on_a_pooled_net_grad_cam_is_cam_over_the_number_of_positions(pooled):
    target = [0, 1, 2]
    maps = aw.activations(pooled, X, "conv")["conv"]
    cam = np.einsum("nrck,nk->nrc", maps, _weights(pooled, target)) / (6 * 22)
    found = aw.attribute(pooled, X, target)
    wanted = tf.image.resize(np.maximum(cam, 0)[..., None], (8, 24)).numpy()[..., 0]
    np.testing.assert_allclose(found.values, wanted, rtol=1e-3, atol=1e-7)
    assert (found.layer, found.method) == ("conv", "grad_cam")
    assert found.values.any(axis=(1, 2)).all()


def test_on_a_pooled_net_grad_cam_plus_plus_has_a_closed_form(pooled):
    target = [2, 0, 1]
    maps, chosen = aw.activations(pooled, X, "conv")["conv"], _weights(pooled, target)
    weights = np.maximum(chosen, 0) / (2 + chosen * maps.mean(axis=(1, 2)))
    wanted = np.maximum(np.einsum("nrck,nk->nrc", maps, weights), 0)
    found = aw.attribute(pooled, X, target, "grad_cam_plus_plus", upsample=False)
    np.testing.assert_allclose(found.values, wanted, rtol=1e-4, atol=1e-6)


def test_score_cam_by_hand(pooled):
    maps = aw.activations(pooled, X, "conv")["conv"]
    blank = aw.predict(pooled, np.zeros_like(X))[:, 1]
    wanted = np.zeros(maps.shape[:3])
    for unit in range(5):
        mask = tf.image.resize(maps[..., unit : unit + 1], (8, 24)).numpy()
        low, high = (each(mask, axis=(1, 2, 3), keepdims=True) for each in (np.min, np.max))
        seen = aw.predict(pooled, X * (mask - low) / (high - low))[:, 1]
        wanted += (seen - blank)[:, None, None] * maps[..., unit]
    found = aw.attribute(pooled, X, 1, "score_cam", upsample=False)
    np.testing.assert_allclose(found.values, np.maximum(wanted, 0), rtol=1e-3, atol=1e-6)


def test_score_cam_is_the_same_in_batches_of_any_size(pooled):
    whole = aw.attribute(pooled, X, 1, "score_cam").values
    for budget in (1, 200_000):
        found = aw.attribute(pooled, X, 1, "score_cam", memory_budget_bytes=budget).values
        np.testing.assert_allclose(found, whole, rtol=1e-4, atol=1e-6)


def test_guided_grad_cam_is_the_product(pooled):
    guided = aw.attribute(pooled, X, 1, "guided_backprop").values
    cam = aw.attribute(pooled, X, 1, "grad_cam").values
    found = aw.attribute(pooled, X, 1, "guided_grad_cam").values
    np.testing.assert_allclose(found, guided * cam[..., None], rtol=1e-5)


# --- where they lie ----------------------------------------------------------------------


def _channels_last_and_first():
    keras.utils.set_random_seed(4)
    last = keras.Sequential(
        [
            keras.Input((8, 24, 2)),
            layers.Conv2D(4, 3, activation="relu", name="conv"),
            layers.MaxPooling2D(name="pool"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3),
        ]
    )
    options = {"data_format": "channels_first"}
    first = keras.Sequential(
        [
            keras.Input((2, 8, 24)),
            layers.Conv2D(4, 3, activation="relu", name="conv", **options),
            layers.MaxPooling2D(name="pool", **options),
            layers.GlobalAveragePooling2D(**options),
            layers.Dense(3),
        ]
    )
    first.set_weights(last.get_weights())
    return last, first


@pytest.mark.parametrize("method", CAMS)
def test_channels_first_gives_the_same_maps(method):
    require_channels_first()
    last, first = _channels_last_and_first()
    for layer in ("conv", "pool"):
        wanted = aw.attribute(last, X, 1, method, layer).values
        found = aw.attribute(first, np.moveaxis(X, -1, 1), 1, method, layer).values
        assert found.shape == (3, 8, 24)
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-6)
    guided = aw.attribute(first, np.moveaxis(X, -1, 1), 1, "guided_grad_cam", "conv").values
    wanted = aw.attribute(last, X, 1, "guided_grad_cam", "conv").values
    np.testing.assert_allclose(np.moveaxis(guided, 1, -1), wanted, rtol=1e-3, atol=1e-6)


def _ended(inputs, maps):
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(maps)))


def test_images_without_channels_are_given_a_map():
    inputs = keras.Input((8, 24))
    conv = layers.Conv2D(3, 3, activation="relu", name="conv")
    model = _ended(inputs, conv(layers.Reshape((8, 24, 1))(inputs)))
    found = aw.attribute(model, X[..., 0], 0)
    assert (found.layer, found.values.shape) == ("conv", (3, 8, 24))
    product = aw.attribute(model, X[..., 0], 0, "guided_grad_cam").values
    guided = aw.attribute(model, X[..., 0], 0, "guided_backprop").values
    np.testing.assert_allclose(product, guided * found.values, rtol=1e-5)


def test_a_map_that_was_turned_lies_as_the_input_does():
    def model(kernel_size, is_turned):
        inputs = keras.Input((8, 24, 2))
        given = layers.Permute((2, 1, 3))(inputs) if is_turned else inputs
        return _ended(inputs, layers.Conv2D(3, kernel_size, activation="relu")(given))

    straight, turned = model((3, 5), False), model((5, 3), True)
    kernel, *rest = straight.get_weights()
    turned.set_weights([kernel.swapaxes(0, 1), *rest])
    for method in (*CAMS, "guided_grad_cam"):
        wanted = aw.attribute(straight, X, 1, method).values
        found = aw.attribute(turned, X, 1, method).values
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-6)


def test_a_layer_behind_squeeze_and_excitation_is_laid_as_the_first_convolution_is():
    inputs = keras.Input((8, 24, 2))
    maps = layers.Conv2D(3, 3, activation="relu", name="conv")(inputs)
    share = layers.GlobalAveragePooling2D(keepdims=True)(maps)
    scaled = layers.Multiply(name="scaled")([maps, layers.Dense(3, activation="sigmoid")(share)])
    model = _ended(inputs, layers.Conv2D(3, 3, name="last")(scaled))
    found = aw.attribute(model, X, 0)
    assert (found.layer, found.values.shape) == ("last", (3, 8, 24))


def test_of_a_model_that_scores_every_place_the_layer_before_the_last_is_taken():
    inputs = keras.Input((8, 24, 2))
    maps = layers.Conv2D(3, 3, padding="same", name="before")(inputs)
    for activation in (None, "softmax"):
        model = keras.Model(inputs, layers.Conv2D(4, 1, activation=activation, name="each")(maps))
        assert aw.attribute(model, X, 0).layer == "before"
    with pytest.raises(LayerError, match="no gradient of the score reaches layer 'each'"):
        aw.attribute(model, X, 0, layer="each")
    assert aw.attribute(model, X, 0, layer="each", output="probability").values.shape == (3, 8, 24)


def test_an_input_that_the_layer_does_not_see_has_no_map():
    one, two = keras.Input((8, 24, 2), name="one"), keras.Input((8, 24, 2), name="two")
    conv = layers.Conv2D(3, 3, name="conv")
    left, right = conv(one), conv(two)
    both = layers.Conv2D(3, 1, name="both")(layers.Concatenate()([left, right]))
    model = _ended([one, two], both)
    x = [X, X[::-1].copy()]
    keys = {
        layer: [*aw.attribute(model, x, 0, layer=layer).values]
        for layer in ("conv", "conv#1", "both")
    }
    assert keys == {"conv": ["one"], "conv#1": ["two"], "both": ["one", "two"]}
    assert aw.attribute(model, x, 0, upsample=False).values.shape == (3, 6, 22)


def test_tokens_of_an_image_have_a_map_only_as_they_are():
    inputs = keras.Input((8, 24, 2))
    patches = layers.Conv2D(6, 4, 4, name="patches")(inputs)
    row = layers.Reshape((12, 6), name="row")(patches)
    mixed = layers.MultiHeadAttention(2, 3, name="mixed")(row, row)
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(mixed)))
    with pytest.raises(LayerError, match=r"'mixed' lie over no input.*ask for upsample=False"):
        aw.attribute(model, X, 0, layer="mixed")
    assert aw.attribute(model, X, 0, layer="mixed", upsample=False).values.shape == (3, 12)
    assert aw.attribute(model, X, 0).layer == "patches"


def test_tokens_and_heads_of_an_attention_are_no_rows_and_columns():
    inputs = keras.Input((8, 8, 2))
    row = layers.Reshape((16, 6))(layers.Conv2D(6, 2, 2, name="patches")(inputs))
    mixed = layers.MultiHeadAttention(4, 3, name="mixed")(row, row)
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(mixed)))
    x = RNG.normal(size=(2, 8, 8, 2))
    with pytest.raises(LayerError, match="'mixed/value' lie over no input"):
        aw.attribute(model, x, 0, layer="mixed/value")
    assert aw.attribute(model, x, 0).layer == "patches"


def test_a_map_of_quite_another_form_than_the_input_does_not_lie_over_it():
    inputs = keras.Input((8, 24, 2))
    patches = layers.Conv2D(6, 4, 4, name="patches")(inputs)
    cut = layers.Reshape((24, 1, 3), name="cut")(patches)
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(cut)))
    with pytest.raises(LayerError, match="'cut' lie over no input"):
        aw.attribute(model, X, 0, layer="cut")


def test_an_image_that_is_cut_anew_is_not_the_one_that_was_given():
    inputs = keras.Input((8, 24))
    maps = layers.Conv2D(3, 3, name="conv")(layers.Reshape((12, 16, 1))(inputs))
    with pytest.raises(LayerError, match="'conv' lie over no input"):
        aw.attribute(_ended(inputs, maps), X[..., 0], 0, layer="conv")


def test_volumes_and_sequences():
    video = keras.Input((4, 8, 24, 2))
    maps = layers.TimeDistributed(layers.Conv2D(3, 3, activation="relu"), name="each")(video)
    flat = layers.TimeDistributed(layers.Flatten())(maps)
    model = keras.Model(video, layers.Dense(3)(layers.LSTM(4)(flat)))
    x = RNG.normal(size=(2, 4, 8, 24, 2))
    assert aw.attribute(model, x, 0).values.shape == (2, 4, 8, 24)


# --- what cannot be ----------------------------------------------------------------------


@pytest.mark.parametrize("method", [*CAMS, "guided_grad_cam"])
def test_a_layer_without_positions_is_refused(pooled, method):
    told = r"layer 'classes' has no spatial axes: it puts out \(3\); name one such as 'conv'"
    with pytest.raises(LayerError, match=told):
        aw.attribute(pooled, X, 0, method, "classes")


def test_an_unknown_layer_is_refused(pooled):
    with pytest.raises(LayerError, match="no layer 'conv9'; this model has conv, pool, classes"):
        aw.attribute(pooled, X, 0, layer="conv9")


def test_a_model_without_maps_is_refused():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    with pytest.raises(LayerError, match="no layer of this model has spatial axes"):
        aw.attribute(model, np.ones((2, 4)))


def test_a_layer_of_another_output_is_refused():
    inputs = keras.Input((8, 24, 2))
    maps = layers.Conv2D(3, 3, name="shared")(inputs)
    other = layers.Conv2D(3, 3, name="other")(maps)
    pool = layers.GlobalAveragePooling2D()
    model = keras.Model(inputs, [layers.Dense(3)(pool(maps)), layers.Dense(2)(pool(other))])
    with pytest.raises(LayerError, match="no gradient of the score reaches layer 'other'"):
        aw.attribute(model, X, 0, layer="other")
    assert aw.attribute(model, X, 0).layer == "shared"
    assert aw.attribute(model, X, 0, head=1).layer == "other"


def test_maps_without_a_place_are_refused():
    model = keras.Sequential(
        [
            keras.Input((8, 24, 2)),
            layers.Conv2D(3, 3, name="conv"),
            layers.Lambda(lambda x: x[:, :0], name="empty"),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    told = r"'empty' has no places in its maps: it puts out \(0, 22, 3\)"
    with pytest.raises(LayerError, match=told):
        aw.attribute(model, X, 0, layer="empty")
