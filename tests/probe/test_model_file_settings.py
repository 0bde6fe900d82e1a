"""What a reader drops in silence: each setting of each layer, beside the model that was saved."""

import keras
import numpy as np
import pytest

import actwidgets as aw
from actwidgets.errors import ModelError
from actwidgets.probe.load_weights import unlike_settings

tf_keras = pytest.importorskip("tf_keras")
pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("ignore:You are saving")]
RNG = np.random.default_rng(3)
IMAGE, SERIES, VOLUME = (6, 8, 4), (6, 4), (5, 6, 7, 2)


def _save(model, path):
    model.save(path)
    return path


def _cases(k):
    """Layers of a framework with settings that are no defaults, and what they take."""
    for axis in (1, [1], [1, 2], [-1, -2], (1, 2)):
        yield IMAGE, k.Softmax(axis=axis)
        yield IMAGE, k.UnitNormalization(axis=axis)
        for options in ({}, {"center": False, "scale": False}, {"epsilon": 0.3}):
            yield IMAGE, k.LayerNormalization(axis=axis, **options)
    for axis in (1, -1):
        yield IMAGE, k.BatchNormalization(axis=axis, epsilon=0.2, scale=False)
        yield IMAGE, k.GroupNormalization(groups=2, axis=axis, epsilon=0.1)
    yield IMAGE, k.ReLU(max_value=1.0, negative_slope=0.2, threshold=0.1)
    yield IMAGE, k.PReLU(shared_axes=[1, 2])
    yield IMAGE, k.Rescaling(0.5, offset=-1)
    yield IMAGE, k.Rescaling([1.0, 2.0, 3.0, 4.0], offset=[0.0, 1.0, 2.0, 3.0])
    for options in (
        {"dilation_rate": 2},
        {"groups": 2},
        {"padding": "same", "strides": (1, 2)},
        {"use_bias": False, "activation": "swish"},
    ):
        yield IMAGE, k.Conv2D(4, 2, **options)
    yield SERIES, k.Conv1D(3, 2, padding="causal", dilation_rate=2)
    yield SERIES, k.SeparableConv1D(4, 2, depth_multiplier=2)
    yield IMAGE, k.DepthwiseConv2D(2, depth_multiplier=2, padding="same")
    yield IMAGE, k.Conv2DTranspose(3, 3, strides=2, output_padding=1)
    yield IMAGE, k.MaxPooling2D((2, 3), strides=(1, 2), padding="same")
    yield VOLUME, k.AveragePooling3D(2, strides=1)
    yield IMAGE, k.GlobalMaxPooling2D(keepdims=True)
    yield IMAGE, k.GlobalAveragePooling2D(data_format="channels_first")
    yield IMAGE, k.ZeroPadding2D(((1, 2), (0, 3)))
    yield IMAGE, k.Cropping2D(((1, 2), (0, 3)))
    yield IMAGE, k.UpSampling2D((2, 3), interpolation="bilinear")
    yield IMAGE, k.Permute((3, 1, 2))
    yield IMAGE, k.Flatten(data_format="channels_first")
    yield IMAGE, k.Resizing(9, 5, interpolation="nearest", crop_to_aspect_ratio=True)
    yield SERIES, k.LSTM(3, go_backwards=True, return_sequences=True, unit_forget_bias=False)
    yield SERIES, k.GRU(3, reset_after=False, activation="relu")
    yield SERIES, k.Bidirectional(k.SimpleRNN(3, use_bias=False), merge_mode="ave")
    yield SERIES, k.RNN([k.GRUCell(3), k.SimpleRNNCell(2)], return_sequences=True)
    yield (4, 6, 6, 2), k.ConvLSTM2D(2, 2, padding="same", strides=2)
    yield (3, *IMAGE), k.TimeDistributed(k.Softmax(axis=[1, 2]))
    yield SERIES, k.EinsumDense("abc,cd->abd", output_shape=(None, 5), bias_axes="d")


def _pairs(k):
    """Layers that take a list of two."""
    yield SERIES, k.Concatenate(axis=1)
    yield (4, 4), k.Dot(axes=(2, 1), normalize=True)
    yield SERIES, k.Attention(use_scale=True, score_mode="dot")
    yield SERIES, k.Attention(score_mode="concat")


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize("framework", [tf_keras, keras], ids=["keras 2", "keras 3"])
def test_every_layer_puts_out_what_the_saved_one_did(framework, suffix, tmp_path):
    n_keras_3 = 0
    for n_inputs, cases in ((1, _cases), (2, _pairs)):
        for shape, layer in cases(framework.layers):  # a file for each: none hides another
            inputs = [framework.Input(shape) for _ in range(n_inputs)]
            model = framework.Model(inputs, layer(inputs if n_inputs > 1 else inputs[0]))
            model.set_weights([RNG.uniform(0.2, 1, each.shape) for each in model.get_weights()])
            x = [RNG.normal(size=(2, *shape)).astype(np.float32) for _ in inputs]
            loaded = aw.load_model(_save(model, tmp_path / f"{layer.name}{suffix}"))
            n_keras_3 += isinstance(loaded, keras.Model)
            settings = str(layer.get_config())
            np.testing.assert_allclose(loaded(x), model(x), atol=1e-5, rtol=1e-4, err_msg=settings)
    assert n_keras_3 > 25  # most are rewritten, not only handed to Keras 2


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize("framework", [tf_keras, keras], ids=["keras 2", "keras 3"])
@pytest.mark.parametrize("kind", ["Softmax", "LayerNormalization", "UnitNormalization"])
def test_several_axes_are_not_read_as_the_last_one(kind, framework, suffix, tmp_path):
    more = {"center": False, "scale": False} if kind == "LayerNormalization" else {}
    layer = getattr(framework.layers, kind)(axis=[1, 2], **more)
    model = framework.Sequential([framework.layers.InputLayer((4, 5, 3)), layer])
    x = RNG.normal(size=(2, 4, 5, 3)).astype(np.float32)
    if kind == "Softmax":
        wanted = np.exp(x) / np.exp(x).sum(axis=(1, 2), keepdims=True)
    elif kind == "LayerNormalization":
        centered = x - x.mean(axis=(1, 2), keepdims=True)
        wanted = centered / np.sqrt(x.var(axis=(1, 2), keepdims=True) + 1e-3)
    else:
        wanted = x / np.sqrt((x**2).sum(axis=(1, 2), keepdims=True))
    loaded = aw.load_model(_save(model, tmp_path / f"axes{suffix}"))
    assert isinstance(loaded, keras.Model) or kind == "UnitNormalization"  # Keras 3 can be right
    np.testing.assert_allclose(aw.predict(loaded, x), wanted, atol=1e-5)


def test_a_setting_that_no_reader_keeps_is_refused_by_name(tmp_path, monkeypatch):
    model = keras.Sequential([keras.Input((4, 5)), keras.layers.Softmax(axis=1, name="shares")])
    path = _save(model, tmp_path / "one.h5")
    original = keras.layers.Softmax.__init__
    monkeypatch.setattr(
        keras.layers.Softmax, "__init__", lambda self, axis=-1, **more: original(self, **more)
    )
    with pytest.raises(ModelError, match=r"axis of layer 'shares' is 1 in the file and -1 in what"):
        aw.load_model(path)


def test_settings_written_otherwise_are_the_same():
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2), name="x"),
            keras.layers.Conv2D(3, 3, strides=2, activation="swish", name="c"),
            keras.layers.LayerNormalization(axis=[-1, 1], name="n"),
        ]
    )
    layers = [
        {"class_name": "InputLayer", "config": {"name": "x"}},
        {
            "class_name": "Conv2D",
            "config": {"name": "c", "kernel_size": [3, 3], "strides": 2, "activation": "silu",
                       "dtype": {"class_name": "Policy", "config": {"name": "float32"}}},
        },
        {"class_name": "LayerNormalization", "config": {"name": "n", "axis": [1, -1]}},
    ]  # fmt: skip
    config = {"class_name": "Sequential", "config": {"name": "m", "layers": layers}}
    assert unlike_settings(config, model) == []
    layers[1]["config"]["strides"] = [2, 1]
    (found,) = unlike_settings(config, model)
    assert found.startswith("strides of layer 'c' is [2, 1] in the file and [2, 2] in what was")


def test_what_keras_3_cannot_run_here_comes_back_as_a_model_of_keras_2(tmp_path, monkeypatch):
    model = tf_keras.Sequential(
        [
            tf_keras.layers.InputLayer((6, 6, 2)),
            tf_keras.layers.Conv2DTranspose(3, 3, dilation_rate=2),
        ]
    )
    path = _save(model, tmp_path / "dilated.h5")
    x = RNG.normal(size=(2, 6, 6, 2)).astype(np.float32)
    found = aw.load_model(path)  # which framework's depends on the processor
    np.testing.assert_allclose(aw.predict(found, x), model(x), atol=1e-5)

    def not_here(self, inputs):
        raise NotImplementedError("not on this processor")

    monkeypatch.setattr(keras.layers.Conv2DTranspose, "call", not_here)
    found = aw.load_model(path)
    assert isinstance(found, tf_keras.Model)
    np.testing.assert_allclose(aw.predict(found, x), model(x), atol=1e-5)


def test_a_run_on_blank_samples_leaves_a_stateful_layer_as_it_was(tmp_path):
    model = tf_keras.Sequential(
        [tf_keras.layers.LSTM(3, stateful=True, batch_input_shape=(2, 4, 3))]
    )
    loaded = aw.load_model(_save(model, tmp_path / "stateful.h5"))
    assert all(not np.asarray(state).any() for state in getattr(loaded.layers[0], "states", []))


@pytest.mark.parametrize(("built", "is_same"), [((2, 2), True), ((2, 3), False), ((3, 2), False)])
def test_of_two_numbers_in_place_of_one_both_must_be_it(built, is_same):
    layer = keras.layers.Conv2D(3, 3, strides=built, padding="same", name="c")
    model = keras.Sequential([keras.Input((6, 6, 2)), layer])
    said = {"class_name": "Conv2D", "config": {"name": "c", "strides": 2}}
    found = unlike_settings({"class_name": "Sequential", "config": {"layers": [said]}}, model)
    assert (found == []) == is_same
