"""What the axes of inputs are is told by the layers that take them, not by their lengths."""

import keras
import numpy as np
import pytest
import shown

import actwidgets as aw
from actwidgets.core.attribution.occlusion import patches_of
from actwidgets.errors import DataError, ShapeError
from actwidgets.probe.base import Probe
from actwidgets.probe.keras_probe import KerasProbe
from actwidgets.views.attribution_panels import AttributionTiles

pytestmark = pytest.mark.keras
layers = keras.layers
IN_TIME, IMAGE = ("time", "feature"), ("row", "column", "channel")

CASES = {
    "conv1d": ((50, 25), [lambda: layers.Conv1D(2, 3)], IN_TIME),
    "lstm": ((25, 50), [lambda: layers.LSTM(2)], IN_TIME),
    "bidirectional": ((7, 7), [lambda: layers.Bidirectional(layers.GRU(2))], IN_TIME),
    "behind_layers_that_keep_the_shape": (
        (50, 25),
        [
            *(layers.Masking, layers.BatchNormalization, layers.LayerNormalization),
            *(lambda: layers.Dropout(0.1), lambda: layers.LSTM(2)),
        ],
        IN_TIME,
    ),
    "time_distributed": ((6, 9), [lambda: layers.TimeDistributed(layers.Dense(2))], IN_TIME),
    "pooled_along": ((8, 6), [lambda: layers.MaxPooling1D(2)], IN_TIME),
    "frames": (
        (3, 6, 6, 3),
        [lambda: layers.TimeDistributed(layers.Conv2D(2, 3))],
        ("time", *IMAGE),
    ),
    "image": ((40, 5, 3), [lambda: layers.Conv2D(2, 3)], IMAGE),
    "image_without_channels": (
        (40, 5),
        [lambda: layers.Reshape((40, 5, 1)), lambda: layers.Conv2D(2, 3)],
        ("row", "column"),
    ),
    "transposed": (
        (25, 50),
        [lambda: layers.Permute((2, 1)), lambda: layers.Conv1D(2, 3)],
        ("feature", "time"),
    ),
    "one_row": (
        (30, 1, 40),
        [lambda: layers.Reshape((30, 40)), lambda: layers.LSTM(2)],
        ("time", "channel", "feature"),
    ),
    "flattened": ((50, 25), [], None),  # no layer tells
}


@pytest.mark.parametrize("case", CASES)
def test_axes_are_what_the_first_layers_take_them_for(case):
    shape, made, wanted = CASES[case]
    model = keras.Sequential(
        [keras.Input(shape), *(make() for make in made), layers.Flatten(), layers.Dense(2)]
    )
    assert [*KerasProbe(model).input_axes().values()] == ([] if wanted is None else [wanted])


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.conv, self.classes = layers.Conv1D(2, 3), layers.Dense(2)

    def call(self, x):
        return self.classes(keras.ops.mean(self.conv(x / 255), axis=1))


def test_axes_of_a_subclassed_model_are_found_where_it_is_called():
    model, x = Subclassed(), np.ones((2, 12, 10), np.float32)
    model(x)
    assert [*KerasProbe(model, x).input_axes().values()] == [IN_TIME]


def _linear_in_time(shape=(12, 10)):
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input(shape),
            layers.Conv1D(3, 1, use_bias=False, name="conv"),
            layers.Flatten(),
            layers.Dense(2, use_bias=False),
        ]
    )


def test_patches_over_a_sequence_hide_whole_steps():
    """A pointwise convolution and a dense layer: linear, with weights that are known."""
    model, x = _linear_in_time(), np.random.default_rng(0).normal(size=(2, 12, 10))
    kernel, dense = (np.asarray(each) for each in model.get_weights())
    weights = np.einsum("fu,tu->tf", kernel[0], dense[:, 1].reshape(12, 3))
    found = aw.attribute(model, x, 1, "occlusion", patch=1, fill=0).values
    lost = (weights * x).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(found, np.broadcast_to(lost, x.shape), atol=1e-4)
    square = aw.attribute(model, x, 1, "occlusion", patch=1, fill=0, axes=("row", "column")).values
    np.testing.assert_allclose(square, weights * x, atol=1e-4)
    points = KerasProbe(model).score_function().points(x)
    assert patches_of(points, 0)[0] == (slice(0, 3),)


@pytest.mark.parametrize(
    ("axes", "kind", "told"),
    [
        (("time",), ShapeError, "are 1, and a sample of input .* has 2"),
        (("time", "time"), DataError, "each at most once"),
        (("steps", "feature"), DataError, "axes must be names of time, depth"),
        ({"left": ("time", "feature")}, DataError, "axes of left: this model's inputs are"),
    ],
)
def test_axes_that_cannot_be_are_refused(axes, kind, told):
    x = np.ones((2, 12, 10))
    with pytest.raises(kind, match=told):
        aw.attribute(_linear_in_time(), x, 1, "occlusion", axes=axes)
    with pytest.raises(kind, match=told):
        aw.Session(_linear_in_time(), x, axes=axes)


def test_a_sequence_is_drawn_with_time_to_the_right_whatever_its_proportions():
    for shape in ((12, 10), (10, 12), (50, 3)):
        x = np.zeros((2, *shape), np.float32)
        x[0, -1, 0] = 1  # the last step of the first feature
        session = aw.Session(_linear_in_time(shape), x)
        picture = session.pictures([0])[0, ..., 0]
        assert picture.shape[1] == shape[0]
        assert np.argwhere(picture)[:, 1].tolist() == [shape[0] - 1] * picture.any(axis=1).sum()
        assert picture[0, -1] == 255
        assert session.picture_shape == ()
        session.close()


# --- several image inputs ----------------------------------------------------------------


def _pair():
    keras.utils.set_random_seed(2)
    tower = keras.Sequential(
        [keras.Input((6, 6, 1)), layers.Conv2D(2, 3, name="conv"), layers.GlobalMaxPooling2D()],
        name="enc",
    )
    left, right = keras.Input((6, 6, 1), name="left"), keras.Input((6, 6, 1), name="right")
    both = layers.Concatenate(name="both")([tower(left), tower(right)])
    return keras.Model([left, right], layers.Dense(2, activation="softmax")(both))


PAIR = {
    "left": np.zeros((3, 6, 6, 1), np.float32),
    "right": np.random.default_rng(3).random((3, 6, 6, 1)).astype(np.float32),
}


def test_layers_are_known_by_the_inputs_that_they_see():
    probe = KerasProbe(_pair())
    assert probe.inputs_of("enc/conv") == ("left",)
    assert probe.inputs_of("enc#1/conv") == ("right",)
    assert probe.inputs_of("both") == ("left", "right")


@pytest.fixture
def pair():
    session = aw.Session(_pair(), PAIR, np.array([0, 1, 0]), layer="enc#1/conv")
    yield session
    session.close()


def test_all_image_inputs_are_drawn_and_each_layer_beside_its_own(pair):
    assert pair.picture_inputs == ("left", "right")
    both, right = pair.pictures([1]), pair.pictures([1], name="right")
    assert both.shape == (1, 6, 6 + 1 + 6, 3)
    assert not both[0, :, :6].any()
    np.testing.assert_array_equal(both[:, :, 7:], right)
    assert pair.picture_inputs_of("enc/conv") == ("left",)
    assert pair.picture_inputs_of() == ("right",)
    grid = aw.FeatureMapGrid(pair)
    assert "at the left: right" in shown.text(grid)
    gallery = aw.SampleGallery(pair)
    assert {"left", "right"} <= set(shown.words(gallery))


def test_each_map_lies_over_its_own_input(pair):
    view = aw.AttributionMap(pair, method="grad_cam", at_chosen_layer=True)
    pair.attributions.wait()
    (tile,) = shown.part(view, AttributionTiles).tiles
    assert tile.input == "right"
    assert "There is no map of left" in shown.text(view)
    view.method = "gradient"
    pair.attributions.wait()
    assert [tile.input for tile in shown.part(view, AttributionTiles).tiles] == ["left", "right"]
    found = pair.attributions("gradient").values
    for tile in shown.part(view, AttributionTiles).tiles:
        np.testing.assert_array_equal(tile.values, found[tile.input])
    assert view.error == ""


def test_a_channels_first_image_is_drawn_and_perturbed_by_its_rows_and_columns():
    class Fake(Probe):
        layers, n_classes = KerasProbe(_linear_in_time()).layers, 0

        def activations(self, names, x):
            return {}

        def predictions(self, x):
            return np.zeros((len(x), 2))

        def check(self, x):
            pass

    x = np.random.default_rng(4).random((2, 3, 5, 4)).astype(np.float32)
    session = aw.Session(Fake(), x, axes=("channel", "row", "column"))
    assert session.picture_shape == (5, 4)
    moved = aw.Perturbation(shift_down=1)
    found = session.context.samples.perturbed([0], moved)
    wanted = x[:1][:, :, [0, 0, 1, 2, 3]]
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    last = np.moveaxis(x[:1], 1, -1)
    other = aw.Session(Fake(), np.moveaxis(x, 1, -1), axes=("row", "column", "channel"))
    np.testing.assert_array_equal(session.pictures([0]), other.pictures([0]))
    assert last.shape == session.context.samples.images([0]).shape
