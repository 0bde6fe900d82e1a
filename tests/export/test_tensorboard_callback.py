"""A model is trained, TensorBoard started on what was written, and everything read back."""

import io

import keras
import numpy as np
import pytest
from board_server import board_server
from event_files import in_folder
from PIL import Image

import actwidgets as aw
from actwidgets.errors import DataError, LayerError, ShapeError
from actwidgets.export.tensorboard_callback import TensorBoardActivations
from actwidgets.images.colormap import GAP, palette
from actwidgets.images.tile_grid import map_sheet

pytestmark = pytest.mark.keras
LAYERS = ["conv_1", "dense"]


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(0)
    return random.normal(size=(24, 12, 10, 1)).astype(np.float32), np.arange(24) % 3


def build():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((12, 10, 1)),
            keras.layers.Conv2D(6, 3, activation="relu", name="conv_1"),
            keras.layers.Dropout(0.5),
            keras.layers.Flatten(),
            keras.layers.Dense(5, activation="relu", name="dense"),
            keras.layers.Dense(3, activation="softmax", name="out"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture
def model():
    return build()


def fit(model, data, *callbacks, **options):
    options = {"epochs": 1, "batch_size": 8, "verbose": 0, "shuffle": False} | options
    return model.fit(*data, callbacks=list(callbacks), **options)


class Noting(keras.callbacks.Callback):
    """Keeps what the layers put out, by a road of its own."""

    def __init__(self, x):
        super().__init__()
        self.x, self.maps, self.kernels, self.began = x, {}, {}, False

    def note(self, epoch):
        tap = keras.Model(self.model.inputs, [self.model.get_layer(each).output for each in LAYERS])
        found = [np.asarray(each) for each in tap([self.x], training=False)]
        self.maps[epoch] = dict(zip(LAYERS, found, strict=True))
        self.kernels[epoch] = np.asarray(self.model.get_layer("conv_1").kernel).copy()

    def on_train_begin(self, logs=None):
        self.began = True
        self.note(0)

    def on_epoch_end(self, epoch, logs=None):
        self.note(epoch + 1)


def colors_of(sheet):
    """The pixels of a sheet as RGBA, from its codes."""
    pixels = np.zeros((*sheet.codes.shape, 4), np.uint8)
    seen = sheet.codes != GAP
    pixels[seen, :3], pixels[seen, 3] = palette("viridis")[sheet.codes[seen]], 255
    return pixels


def test_tensorboard_shows_what_the_layers_put_out(model, data, tmp_path):
    noting = Noting(data[0])
    callback = TensorBoardActivations(data, LAYERS, tmp_path / "logs", max_samples=3)
    history = fit(model, data, callback, noting, epochs=2, validation_data=data).history
    assert callback.error == ""
    run = callback.log_dir.name
    with board_server(tmp_path / "logs", tmp_path / "server.log") as server:
        tags = server.ask("images/tags")
        assert set(tags[run]) == {"maps/conv_1", "maps/dense"}
        assert "colors from" in tags[run]["maps/conv_1"]["description"]
        for layer in LAYERS:
            pictures = server.images(run, f"maps/{layer}")
            assert pictures.keys() == {0, 1, 2}
            for epoch, png in pictures.items():
                sheet = map_sheet(noting.maps[epoch][layer][:3])
                pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))
                shown = colors_of(sheet)
                assert pixels.shape == shown.shape
                close = np.abs(pixels.astype(int) - shown).max() <= 4  # a step of the scale
                assert close, (layer, epoch)
        for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
            told = server.scalars(run, f"metrics/{name}")
            assert list(told) == [1, 2]
            assert list(told.values()) == pytest.approx(history[name])
        spread = server.histograms(run, "weights/conv_1/kernel")
        assert spread.keys() == {0, 1, 2}
        for epoch, table in spread.items():
            table = np.array(table)
            assert table[:, 2].sum() == pytest.approx(noting.kernels[epoch].size)
            middle = (table[:, 0] + table[:, 1]) / 2
            mean = (middle * table[:, 2]).sum() / table[:, 2].sum()
            width = table[0, 1] - table[0, 0]
            assert mean == pytest.approx(noting.kernels[epoch].mean(), abs=width)
        for layer in LAYERS:
            table = np.array(server.histograms(run, f"activations/{layer}")[2])
            assert table[:, 2].sum() == pytest.approx(noting.maps[2][layer].size)


def test_layers_that_do_not_exist_are_refused_before_anything_happens(model, data, tmp_path):
    before = [np.asarray(each).copy() for each in model.weights]
    noting = Noting(data[0])
    callback = TensorBoardActivations(data, ["conv_1", "conv_9"], tmp_path / "logs")
    with pytest.raises(LayerError, match="no layer 'conv_9'; this model has conv_1, dropout"):
        fit(model, data, noting, callback)
    assert not noting.began
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)
    assert not (tmp_path / "logs").exists()
    with pytest.raises(LayerError, match="conv_9"):
        TensorBoardActivations(data, "conv_9", tmp_path / "logs", model=model)


def test_samples_of_another_shape_are_refused(model, data, tmp_path):
    x, y = data
    callback = TensorBoardActivations((x[:, :5], y), "conv_1", tmp_path / "logs")
    with pytest.raises(ShapeError, match=r"shape \(12, 10, 1\); got samples of shape"):
        fit(model, data, callback)
    with pytest.raises(ShapeError, match="12, 10, 1"):
        TensorBoardActivations((x[:, :5], y), "conv_1", tmp_path / "logs", model=model)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"layers_name": []}, "layers_name is empty"),
        ({"layers_name": 5}, "layers_name must be a name or a list of names; got 5"),
        ({"max_samples": 0}, "max_samples must be a whole number of at least 1; got 0"),
        ({"max_samples": "8"}, "max_samples must be .*; got '8'"),
        ({"output_dir": 5}, "output_dir must be text or a Path; got 5"),
        ({"every": "fortnight"}, "fortnight"),
        ({"normalize": "per pixel"}, "no normalization 'per pixel'"),
        ({"validation_data": (np.zeros((0, 12, 10, 1)), None)}, "no samples"),
    ],
)
def test_arguments_that_cannot_be_right_are_refused(data, tmp_path, wrong, told):
    right = {"validation_data": data, "layers_name": "conv_1", "output_dir": tmp_path / "logs"}
    with pytest.raises(DataError, match=told):
        TensorBoardActivations(**(right | wrong))


def test_a_folder_that_cannot_be_is_refused(data, tmp_path):
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(DataError, match=r"notes' is a file"):
        TensorBoardActivations(data, "conv_1", tmp_path / "notes" / "logs")


@pytest.mark.parametrize("form", ["pair", "no labels", "x alone", "a list of inputs", "a data set"])
def test_forms_of_validation_data(model, data, tmp_path, form):
    import tensorflow as tf

    x, y = data
    given = {
        "pair": (x, y),
        "no labels": (x, None),
        "x alone": x,
        "a list of inputs": ([x], y),
        "a data set": tf.data.Dataset.from_tensor_slices((x, y)).batch(4),
    }[form]
    callback = TensorBoardActivations(given, "dense", tmp_path, model=model)
    fit(model, data, callback)
    assert callback.error == ""
    assert in_folder(tmp_path)["activations/dense"][1][:, 2].sum() == 24 * 5


def test_the_model_is_left_as_it_was(data, tmp_path):
    plain, watched = build(), build()
    fit(plain, data, epochs=2)
    before = set(vars(watched)), watched.optimizer.__class__, list(watched.layers)
    fit(watched, data, TensorBoardActivations(data, LAYERS, tmp_path), epochs=2)
    for one, other in zip(plain.weights, watched.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    fresh = set(vars(watched)) - set(vars(plain))
    assert not fresh
    assert before[1:] == (watched.optimizer.__class__, list(watched.layers))


def test_a_failure_does_not_end_the_training(model, data, tmp_path):
    callback = TensorBoardActivations(data, "conv_1", tmp_path / "logs")
    (tmp_path / "logs").write_text("in the way")
    history = fit(model, data, callback, epochs=2)
    assert len(history.history["loss"]) == 2
    assert "could not write to TensorBoard's log: cannot write to" in callback.error


def test_it_may_watch_another_model_next(model, data, tmp_path):
    callback = TensorBoardActivations(data, "conv_1", tmp_path)
    fit(model, data, callback)
    other = build()
    other.get_layer("conv_1").kernel.assign(np.full((3, 3, 1, 6), 0.25))
    fit(other, data, callback, epochs=1)
    assert callback.error == ""
    found = in_folder(tmp_path)["maps/conv_1"]
    assert found.keys() == {0, 1, 2}
    expected = map_sheet(aw.activations(other, data[0][:8], ["conv_1"])["conv_1"])
    assert found[2] == expected.png()
