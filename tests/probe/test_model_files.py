"""Files of Keras 2 and 3: what is read is compared with what Keras 2 itself says of it."""

import json
import shutil
import sys
import zipfile

import h5py
import keras
import numpy as np
import pytest
from real_data import require_data, require_model

import actwidgets as aw
from actwidgets.errors import ModelError

tf_keras = pytest.importorskip("tf_keras")
k2 = tf_keras.layers
pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("ignore:You are saving")]
RNG = np.random.default_rng(0)


def _functional(inputs, outputs):
    return tf_keras.Model(inputs, outputs)


def _skip():
    inputs = tf_keras.Input((6, 9, 2))
    left = k2.Conv2D(3, 3, padding="same")(inputs)
    left = k2.BatchNormalization()(left)
    total = k2.Add()([left, k2.Conv2D(3, 1)(inputs)])
    return _functional(inputs, k2.Dense(4)(k2.GlobalAveragePooling2D()(k2.ReLU(6.0)(total))))


def _several():
    one, two = tf_keras.Input((5, 4, 1)), tf_keras.Input((3,))
    joined = k2.Concatenate()([k2.Flatten()(one), two])
    return _functional([one, two], [k2.Dense(2, name="a")(joined), k2.Dense(3, name="b")(joined)])


def _shared():
    inputs = tf_keras.Input((4,))
    shared = k2.Dense(4, activation="tanh", name="shared")
    return _functional(inputs, k2.Dense(2)(shared(shared(inputs))))


def _nested():
    backbone = tf_keras.applications.MobileNetV2(
        weights=None, include_top=False, input_shape=(32, 32, 3), alpha=0.35
    )
    return tf_keras.Sequential([backbone, k2.GlobalAveragePooling2D(), k2.Dense(3)])


def _sequential(*layers, shape):
    model = tf_keras.Sequential(layers)
    model.build((None, *shape))
    model(np.zeros((1, *shape), np.float32))
    return model


MODELS = {
    "conv first": lambda: tf_keras.Sequential(
        [k2.Conv2D(3, 3, activation="relu", input_shape=(6, 9, 2)), k2.Flatten(), k2.Dense(2)]
    ),
    "dense first": lambda: tf_keras.Sequential([k2.Dense(5, input_shape=(7,)), k2.Dense(2)]),
    "many layers": lambda: _sequential(
        k2.ZeroPadding2D(2),
        k2.SeparableConv2D(4, 3),
        k2.BatchNormalization(),
        k2.LeakyReLU(alpha=0.07),
        k2.DepthwiseConv2D(3, depth_multiplier=2),
        k2.PReLU(shared_axes=[1, 2]),
        k2.UpSampling2D((2, 3), interpolation="bilinear"),
        k2.Conv2DTranspose(3, 3, strides=2),
        k2.AveragePooling2D(2),
        k2.ELU(0.4),
        k2.SpatialDropout2D(0.2),
        k2.Cropping2D(1),
        k2.LayerNormalization(),
        k2.GlobalMaxPooling2D(),
        k2.GaussianNoise(1.0),
        k2.RepeatVector(3),
        k2.Permute((2, 1)),
        k2.Reshape((1, -1)),
        k2.Flatten(),
        k2.Dense(3, activation="softmax", kernel_regularizer="l2"),
        shape=(8, 11, 2),
    ),
    "hard sigmoid": lambda: _sequential(
        k2.LSTM(4, recurrent_activation="hard_sigmoid", return_sequences=True),
        k2.GRU(3, recurrent_activation="hard_sigmoid", reset_after=False),
        k2.Dense(2, activation="hard_sigmoid"),
        k2.Activation("hard_sigmoid"),
        shape=(9, 5),
    ),
    "recurrent": lambda: _sequential(
        k2.Bidirectional(k2.LSTM(4, return_sequences=True)),
        k2.TimeDistributed(k2.Dense(3)),
        k2.Bidirectional(k2.GRU(3), merge_mode="sum"),
        shape=(9, 5),
    ),
    "words": lambda: tf_keras.Sequential(
        [
            k2.Embedding(20, 4, input_length=6, mask_zero=True),
            k2.Conv1D(3, 2, padding="causal"),
            k2.SimpleRNN(3),
        ]
    ),
    "skip connections": _skip,
    "inputs and outputs": _several,
    "shared layer": _shared,
    "nested backbone": _nested,
    "gelu and swish": lambda: _sequential(
        k2.Dense(6, activation="gelu"), k2.Dense(4, activation="swish"), shape=(5,)
    ),
    "unknown to Keras 3": lambda: _sequential(k2.ThresholdedReLU(0.4), k2.Dense(2), shape=(5,)),
    "softmax over another axis": lambda: _sequential(k2.Softmax(axis=1), shape=(5, 3)),
}
NEEDS_KERAS_2 = {"unknown to Keras 3"}


def _samples(model, name):
    def one(tensor):
        shape = (4, *(6 if axis is None else axis for axis in tensor.shape[1:]))
        if name == "words":
            tokens = RNG.integers(0, 20, shape).astype(np.float32)
            tokens[1:, -2:] = 0  # masked
            return tokens
        return RNG.normal(size=shape).astype(np.float32) * 3

    found = [one(tensor) for tensor in model.inputs]
    return found[0] if len(found) == 1 else found


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize("name", MODELS)
def test_a_file_of_keras_2_is_read_right(name, suffix, tmp_path):
    model = MODELS[name]()
    # Weights that are no defaults, moving averages included.
    model.set_weights([RNG.uniform(0.1, 1.0, w.shape) for w in model.get_weights()])
    x = _samples(model, name)
    wanted = model.predict(x, verbose=0)
    path = tmp_path / f"model{suffix}"
    model.save(path)
    loaded = aw.load_model(path)
    assert isinstance(loaded, tf_keras.Model if name in NEEDS_KERAS_2 else keras.Model)
    found = loaded.predict(x, verbose=0)
    for one, other in zip(_listed(found), _listed(wanted), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(aw.predict(loaded, x), _listed(wanted)[0], rtol=1e-4, atol=1e-5)


def _listed(output):
    return output if isinstance(output, list) else [output]


def _edit(path, change):
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        file.attrs["model_config"] = json.dumps(change(config))


@pytest.fixture
def saved(tmp_path):
    """A small Keras 2 file, the model in it, and samples."""
    model = tf_keras.Sequential([k2.Dense(4, activation="tanh", input_shape=(3,)), k2.Dense(2)])
    path = tmp_path / "model.h5"
    model.save(path)
    return path, model, RNG.normal(size=(5, 3)).astype(np.float32)


def test_a_configuration_that_is_a_bare_list_is_read(saved):
    path, model, x = saved
    _edit(path, lambda config: {**config, "config": config["config"]["layers"]})
    loaded = aw.load_model(path)
    assert isinstance(loaded, keras.Sequential)
    np.testing.assert_allclose(aw.predict(loaded, x), model.predict(x, verbose=0), atol=1e-6)


def test_an_old_gru_without_reset_after_has_none(tmp_path):
    model = tf_keras.Sequential([k2.GRU(4, reset_after=False, input_shape=(6, 3))])
    path, x = tmp_path / "gru.h5", RNG.normal(size=(2, 6, 3)).astype(np.float32)
    model.save(path)

    def forget(config):
        for layer in config["config"]["layers"]:
            layer["config"].pop("reset_after", None)
        return config

    _edit(path, forget)
    np.testing.assert_allclose(aw.predict(aw.load_model(path), x), model(x), atol=1e-6)


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_a_file_of_keras_3_is_read(suffix, tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, activation="hard_sigmoid")])
    model.save(tmp_path / f"model{suffix}")
    x = RNG.normal(size=(5, 3)).astype(np.float32)
    loaded = aw.load_model(str(tmp_path / f"model{suffix}"))
    np.testing.assert_allclose(aw.predict(loaded, x), model(x), atol=1e-6)
    assert not loaded.compiled


def test_a_weight_that_did_not_arrive_is_noticed(saved, monkeypatch):
    path, model, x = saved
    monkeypatch.setattr("actwidgets.probe.load_model.place_weights", lambda model, path: None)
    loaded = aw.load_model(path)
    assert isinstance(loaded, tf_keras.Model)
    np.testing.assert_allclose(aw.predict(loaded, x), model.predict(x, verbose=0), atol=1e-6)


def test_without_keras_2_the_message_says_what_to_install(tmp_path, monkeypatch):
    model = MODELS["unknown to Keras 3"]()
    model.save(tmp_path / "model.h5")
    monkeypatch.setitem(sys.modules, "tf_keras", None)
    with pytest.raises(ModelError, match=r"class ThresholdedReLU\): pip install tf_keras"):
        aw.load_model(tmp_path / "model.h5")


# --- what a file must not do -------------------------------------------------------------

RAN = []


def _loud(x):
    RAN.append(1)
    return 2 * x


@pytest.mark.parametrize("framework", [keras, tf_keras], ids=["keras 3", "keras 2"])
@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize("nested", [False, True])
def test_code_in_a_file_is_not_run_unless_the_caller_says_so(framework, suffix, nested, tmp_path):
    layer = framework.layers.Lambda(lambda x: 2 * x, output_shape=(3,), name="twice")
    inner = [framework.layers.Dense(3), layer]
    layers = [framework.Sequential(inner)] if nested else inner
    model = framework.Sequential([framework.layers.InputLayer((3,)), *layers])
    path, x = tmp_path / f"model{suffix}", np.ones((2, 3), np.float32)
    wanted = np.asarray(model(x))
    model.save(path)
    with pytest.raises(ModelError, match=r"holds Python code .*safe_mode=False if you trust"):
        aw.load_model(path)
    loaded = aw.load_model(path, safe_mode=False)
    np.testing.assert_allclose(np.asarray(loaded(x)), wanted, atol=1e-6)


def _triple(x):
    return 3 * x


@keras.saving.register_keras_serializable("of_this_test")
def quadruple(x):
    return 4 * x


def _with_lambda(framework, function, path):
    layers = framework.layers
    model = framework.Sequential(
        [layers.InputLayer((3,)), layers.Lambda(function, output_shape=(3,), name="times")]
    )
    model.save(path)
    return path


def _value(model):
    return float(np.asarray(model(np.ones((1, 3), np.float32)))[0, 0])


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_a_lambda_whose_function_is_only_named_is_read_safely(suffix, tmp_path):
    path = tmp_path / f"registered{suffix}"
    assert _value(aw.load_model(_with_lambda(keras, quadruple, path))) == 4
    path = tmp_path / f"built_in{suffix}"
    assert _value(aw.load_model(_with_lambda(keras, keras.activations.relu, path))) == 1
    path = _with_lambda(keras, _triple, tmp_path / f"named{suffix}")
    with pytest.raises(ModelError, match=r"needs the function _triple, .*{'_triple': _triple}$"):
        aw.load_model(path)
    assert _value(aw.load_model(path, custom_objects={"_triple": _triple})) == 3


@pytest.mark.parametrize("framework", [keras, tf_keras], ids=["keras 3", "keras 2"])
@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize("key", ["times", "Lambda"])
def test_the_function_of_a_lambda_is_given_in_place_of_code(key, framework, suffix, tmp_path):
    path = _with_lambda(framework, lambda x: _loud(x), tmp_path / f"code{suffix}")
    RAN.clear()
    with pytest.raises(ModelError, match=r"custom_objects={'times': function}, or safe_mode=False"):
        aw.load_model(path)
    loaded = aw.load_model(path, custom_objects={key: _triple})
    assert (_value(loaded), RAN) == (3, [])
    assert isinstance(loaded, keras.Model)


@pytest.mark.parametrize("framework", [keras, tf_keras], ids=["keras 3", "keras 2"])
@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_a_class_given_as_lambda_stands_in_for_it_unless_it_would_run_code(
    framework, suffix, tmp_path
):
    class Own(framework.layers.Layer):
        @classmethod
        def from_config(cls, config):
            return cls(name=config["name"])

        def call(self, x):
            return 7 * x

    path = _with_lambda(framework, lambda x: _loud(x), tmp_path / f"code{suffix}")
    RAN.clear()
    assert _value(aw.load_model(path, custom_objects={"Lambda": Own})) == 7
    derived = type("Derived", (framework.layers.Lambda,), {})
    for kind in (framework.layers.Lambda, derived):
        with pytest.raises(ModelError, match=r"'times'\), which the class given as 'Lambda' would"):
            aw.load_model(path, custom_objects={"Lambda": kind})
    assert RAN == []


def test_a_class_given_as_lambda_lets_no_other_code_through(tmp_path):
    class Own(keras.layers.Layer):
        @classmethod
        def from_config(cls, config):
            return cls(name=config["name"])

        def call(self, x):
            return x

    path = _with_lambda(keras, lambda x: x, tmp_path / "code.h5")

    def add(config):
        code = config["config"]["layers"][-1]["config"]["function"]
        dense = {"class_name": "Dense", "config": {"name": "d", "units": 3, "activation": code}}
        config["config"]["layers"].append(dense)
        return config

    _edit(path, add)
    with pytest.raises(ModelError, match=r"holds Python code \(of a function\), which is not run"):
        aw.load_model(path, custom_objects={"Lambda": Own})


def test_code_for_the_shape_of_a_lambda_is_code_too(tmp_path):
    layer = keras.layers.Lambda(quadruple, output_shape=lambda shape: shape, name="times")
    model = keras.Sequential([keras.layers.InputLayer((3,)), layer])
    model.save(tmp_path / "shape.keras")
    with pytest.raises(ModelError, match="holds Python code"):
        aw.load_model(tmp_path / "shape.keras")


@pytest.mark.parametrize(
    "stranger",
    [
        {"module": "os", "class_name": "function", "config": "system", "registered_name": None},
        {"module": "builtins", "class_name": "function", "config": "eval"},
        {"module": "subprocess", "class_name": "Popen", "config": {"args": "true"}},
    ],
)
@pytest.mark.parametrize("version", ["2.15.0", "3.15.1"])
def test_a_file_may_not_name_what_is_not_kerass(stranger, version, saved, tmp_path):
    path = saved[0]

    def poison(config):
        config["config"]["layers"][-1]["config"]["activation"] = stranger
        return config

    _edit(path, poison)
    with h5py.File(path, "r+") as file:
        file.attrs["keras_version"] = version
    with pytest.raises(ModelError, match=r"which is not part of Keras: import .*custom_objects="):
        aw.load_model(path)


class Halve(keras.layers.Layer):
    def call(self, x):
        return x / 2


class OldHalve(tf_keras.layers.Layer):
    def call(self, x):
        return x / 2


@pytest.mark.parametrize(
    ("framework", "layer"), [(keras, Halve), (tf_keras, OldHalve)], ids=["keras 3", "keras 2"]
)
@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_a_class_of_ones_own_is_asked_for_by_name(framework, layer, suffix, tmp_path):
    model = framework.Sequential([framework.layers.InputLayer((3,)), layer()])
    path, name = tmp_path / f"model{suffix}", layer.__name__
    model.save(path)
    with pytest.raises(ModelError, match=rf"{name}.*custom_objects={{'{name}'"):
        aw.load_model(path)
    loaded = aw.load_model(path, custom_objects={name: layer})
    assert aw.predict(loaded, np.ones((1, 3), np.float32)).tolist() == [[0.5, 0.5, 0.5]]


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_the_missing_class_is_named_and_no_other(suffix, tmp_path):
    inputs = keras.Input((3,))
    inner = keras.Model(
        inputs, keras.layers.Dense(3)(inputs)
    )  # holds __keras_tensor__, DTypePolicy
    halved = keras.Model(inputs, Halve()(inner(inputs)))
    for name, model in (("nested", keras.Sequential([keras.Input((3,)), inner])), ("own", halved)):
        model.save(tmp_path / f"{name}{suffix}")
    assert aw.load_model(tmp_path / f"nested{suffix}").built
    with pytest.raises(ModelError, match="the class Halve") as caught:
        aw.load_model(tmp_path / f"own{suffix}")
    assert "keras_tensor" not in str(caught.value)
    assert "Policy" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_a_class_for_another_keras_is_told_to_be_one(suffix, tmp_path):
    of_3 = keras.Sequential([keras.layers.InputLayer((3,)), Halve()])
    of_2 = tf_keras.Sequential([k2.InputLayer((3,)), k2.ThresholdedReLU(0.1), OldHalve()])
    of_3.save(tmp_path / f"3{suffix}")
    of_2.save(tmp_path / f"2{suffix}")
    told = r"has to be read by Keras 3, and the class Halve .* derives from keras.layers.Layer"
    with pytest.raises(ModelError, match=told):
        aw.load_model(tmp_path / f"3{suffix}", custom_objects={"Halve": OldHalve})
    told = r"by Keras 2 \(tf_keras\) \(a layer of class ThresholdedReLU\), and the class OldHalve"
    with pytest.raises(ModelError, match=told):
        aw.load_model(tmp_path / f"2{suffix}", custom_objects={"OldHalve": Halve})


@keras.saving.register_keras_serializable("of_this_test")
class Registered(Halve):
    pass


def _own_loss(y, predicted):
    return keras.ops.mean(keras.ops.abs(y - predicted))


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_what_keras_knows_already_is_not_asked_for_nor_is_the_loss(suffix, tmp_path):
    model = keras.Sequential([keras.Input((3,)), Registered()])
    model.compile("sgd", _own_loss)
    model.save(tmp_path / f"model{suffix}")
    loaded = aw.load_model(tmp_path / f"model{suffix}")
    assert aw.predict(loaded, np.ones((1, 3), np.float32)).tolist() == [[0.5, 0.5, 0.5]]


def test_what_is_no_model_is_told_in_a_sentence(saved, tmp_path):
    path, model, _ = saved
    with pytest.raises(FileNotFoundError, match="there is no file"):
        aw.load_model(tmp_path / "none.h5")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="is a folder with nothing in it: give one with"):
        aw.load_model(tmp_path / "empty")
    (tmp_path / "noise.h5").write_bytes(b"not a file of any kind")
    with pytest.raises(ModelError, match=r"no whole .keras or .h5 file"):
        aw.load_model(tmp_path / "noise.h5")
    cut = tmp_path / "cut.h5"
    cut.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ModelError, match="no whole"):
        aw.load_model(cut)
    model.save_weights(tmp_path / "weights.h5")
    with pytest.raises(ModelError, match="holds weights without a model"):
        aw.load_model(tmp_path / "weights.h5")
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        archive.writestr("readme.txt", "no model")
    with pytest.raises(ModelError, match="no whole"):
        aw.load_model(tmp_path / "other.keras")
    renamed = tmp_path / "renamed.data"
    shutil.copy(path, renamed)
    assert aw.layers(aw.load_model(renamed))[0].kind == "Dense"


# --- models that other people published --------------------------------------------------

PUBLISHED = {
    "CIFAR-10_CNN5.h5": ("cifar10", 0.775, lambda x: x),
    "MNIST_LeNet60.h5": ("mnist", 0.994, lambda x: np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)))),
    "MNIST_dense128.h5": ("mnist", 0.977, lambda x: x[..., 0]),
    "tensorspace_mnist.h5": ("mnist", 0.986, lambda x: x[..., 0]),
    "mlperf_tiny_resnet.h5": ("cifar10", 0.881, lambda x: 255 * x),
}


@pytest.mark.parametrize("file_name", PUBLISHED)
def test_published_models_are_as_good_as_they_were(file_name):
    name, accuracy, prepared = PUBLISHED[file_name]
    path = require_model(file_name)
    data = aw.load_dataset(name, path=require_data(name))
    model, x, y = aw.load_model(path), prepared(data.x_test[:1000]), data.y_test[:1000]
    assert isinstance(model, keras.Model)
    predictions = aw.predict(model, x)
    assert round(float((predictions.argmax(1) == y).mean()), 3) == accuracy
    of_keras_2 = tf_keras.models.load_model(path, compile=False).predict(x[:200], verbose=0)
    np.testing.assert_allclose(predictions[:200], of_keras_2, atol=1e-5)
    if name == "cifar10" and accuracy == 0.775:
        found = predictions[[0, 2, 3, 4, 6, 17]].argmax(1)
        words = [data.class_names[index] for index in found]
        assert words == ["cat", "ship", "airplane", "frog", "cat", "horse"]
