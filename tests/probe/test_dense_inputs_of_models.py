"""Dense weights as pictures of what real models flatten."""

import keras
import numpy as np
import pytest
from real_data import require_model

import actwidgets as aw
from actwidgets.images.kernels import dense_input_shape, kernel_colors, kernel_pictures

pytestmark = pytest.mark.keras
layers = keras.layers


@pytest.fixture(autouse=True)
def _seeded():
    keras.utils.set_random_seed(0)


def _shape(model, name, picture_shape=()):
    n_inputs = aw.kernels(model, name).shape[-2]
    return dense_input_shape(aw.layers(model), name, n_inputs, picture_shape)


@pytest.mark.parametrize(
    ("size", "layer", "shape"),
    [
        ((7, 9, 2), layers.Conv2D(3, 2), (6, 8, 3)),
        ((12, 2), layers.Conv1D(4, 3), (1, 10, 4)),
        ((4, 5, 6, 1), layers.Conv3D(2, 2), (3, 4, 5, 2)),
    ],
)
def test_a_dense_unit_is_the_sum_of_its_pictures_times_the_maps(size, layer, shape):
    model = keras.Sequential(
        [keras.Input(size), layer, layers.Flatten(), layers.Dropout(0.5), layers.Dense(5, name="d")]
    )
    assert _shape(model, "d") == shape
    pictures = kernel_pictures(aw.kernels(model, "d"), input_shape=shape)
    x = np.random.default_rng(0).random((3, *size), np.float32)
    found = aw.activations(model, x, [layer.name, "d"])
    maps = found[layer.name].reshape(3, *shape)
    maps = maps.reshape(3, -1, shape[-1])
    weights = pictures.reshape(shape[-1], -1, 5)
    np.testing.assert_allclose(
        np.einsum("spc,cpu->su", maps, weights), found["d"], rtol=1e-4, atol=1e-5
    )


def test_a_sub_model_may_hold_the_map_the_flattening_or_the_dense_layer():
    body = keras.Sequential(
        [keras.Input((8, 8, 1)), layers.Conv2D(3, 3), layers.Flatten()], name="body"
    )
    head = keras.Sequential([keras.Input((108,)), layers.Dense(4, name="d")], name="head")
    model = keras.Sequential([keras.Input((8, 8, 1)), body, head])
    assert _shape(model, "head/d", (8, 8)) == (6, 6, 3)


def test_inputs_that_could_be_either_of_two_are_left_alone():
    image, facts = keras.Input((8, 8, 1)), keras.Input((64,))
    known = layers.Dense(4, name="d")(facts)
    joined = layers.Concatenate()([layers.Flatten()(image), known])
    model = keras.Model([image, facts], layers.Dense(3)(joined))
    assert _shape(model, "d", (8, 8)) is None


def test_a_skip_around_a_map_does_not_matter_where_all_have_one_shape():
    x = keras.Input((8, 8, 3))
    maps = layers.Conv2D(3, 3, padding="same")(x)
    model = keras.Model(x, layers.Dense(2, name="d")(layers.Flatten()(layers.Add()([x, maps]))))
    assert _shape(model, "d", (8, 8)) == (8, 8, 3)


def test_published_models_show_what_they_flatten():
    mnist = aw.load_model(require_model("MNIST_dense128.h5"))
    assert _shape(mnist, "dense_0", (28, 28)) == (28, 28, 1)
    assert _shape(mnist, "dense_1", (28, 28)) is None
    cifar = aw.load_model(require_model("CIFAR-10_CNN5.h5"))
    assert _shape(cifar, "dense_0", (32, 32)) == (4, 4, 64)
    assert _shape(cifar, "dense_1", (32, 32)) is None
    first = kernel_pictures(aw.kernels(cifar, "conv_0"), "RGB")
    weights = np.asarray(cifar.get_layer("conv_0").kernel)
    reach = np.abs(weights).max()
    wanted = (weights / reach + 1) * 127.5  # (row, column, color, unit)
    found = np.moveaxis(kernel_colors(first), -1, 2)
    assert found.shape == (3, 3, 3, 32)
    np.testing.assert_allclose(found, wanted, atol=0.501)
