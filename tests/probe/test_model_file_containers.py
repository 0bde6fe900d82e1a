"""Model files by what is in them: folders, archives, wrong names, weights alone, labels."""

import json
import re
import shutil
import zipfile

import h5py
import keras
import numpy as np
import pytest

import actwidgets as aw
from actwidgets.errors import ModelError
from actwidgets.probe.model_file import read_labels

tf_keras = pytest.importorskip("tf_keras")
k2 = tf_keras.layers
pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("ignore:You are saving")]
RNG = np.random.default_rng(2)
X = RNG.normal(size=(4, 3)).astype(np.float32)


def _save(model, path, **options):
    model.save(path, **options)
    return path


def _of(framework, *extra):
    """Dense layers of one kind and one shape, which only their numbers tell apart."""
    layers = framework.layers
    model = framework.Sequential(
        [layers.InputLayer((3,)), *(layers.Dense(3, activation="tanh") for _ in range(3)), *extra]
    )
    model.set_weights([RNG.uniform(-1, 1, each.shape) for each in model.get_weights()])
    return model


def _same(loaded, model):
    np.testing.assert_allclose(np.asarray(loaded(X)), np.asarray(model(X)), atol=1e-6)


# --- content, not name -------------------------------------------------------------------


@pytest.mark.parametrize("framework", [keras, tf_keras], ids=["keras 3", "keras 2"])
@pytest.mark.parametrize("by_keras_2", [False, True])
@pytest.mark.parametrize(
    ("suffix", "name"),
    [(".h5", "model.keras"), (".keras", "model.h5"), (".keras", "model.hdf5"), (".h5", "model")],
)
def test_a_file_is_read_by_its_content_whatever_it_is_called(
    suffix, name, framework, by_keras_2, tmp_path
):
    extra = [k2.ThresholdedReLU(0.1)] if framework is tf_keras and by_keras_2 else []
    model = _of(framework, *extra)
    shutil.move(_save(model, tmp_path / f"saved{suffix}"), tmp_path / name)
    _same(aw.load_model(tmp_path / name), model)


@pytest.mark.parametrize("framework", [keras, tf_keras], ids=["keras 3", "keras 2"])
@pytest.mark.parametrize("by_keras_2", [False, True])
def test_an_unzipped_keras_file_is_a_model(framework, by_keras_2, tmp_path):
    extra = [k2.ThresholdedReLU(0.1)] if framework is tf_keras and by_keras_2 else []
    model = _of(framework, *extra)
    with zipfile.ZipFile(_save(model, tmp_path / "saved.keras")) as archive:
        archive.extractall(tmp_path / "unzipped")
    _same(aw.load_model(tmp_path / "unzipped"), model)
    (tmp_path / "unzipped" / "model.weights.h5").unlink()
    with pytest.raises(ModelError, match=r"unzipped .keras file without its model.weights.h5"):
        aw.load_model(tmp_path / "unzipped")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "pointer of Git LFS"),
        (b"<!DOCTYPE html>\n<html>", "a web page, not a model"),
        (b"\x1c\0\0\0TFL3\0", "a TensorFlow Lite model"),
        (b'{"class_name": "Sequential"}', "JSON, which may describe a model but holds no weights"),
    ],
)
def test_what_is_no_model_is_told_by_what_it_is(content, told, tmp_path):
    (tmp_path / "model.h5").write_bytes(content)
    with pytest.raises(ModelError, match=rf"model.h5 is .*{told}"):
        aw.load_model(tmp_path / "model.h5")


def test_a_member_of_an_archive_is_never_written_where_it_says(tmp_path):
    below = tmp_path / "below" / "below"
    below.mkdir(parents=True)
    with zipfile.ZipFile(below / "odd.zip", "w") as archive:
        archive.write(_save(_of(keras), tmp_path / "saved.h5"), "../../escaped.h5")
    assert aw.load_model(below / "odd.zip").built
    assert not list(tmp_path.rglob("escaped.h5"))


def test_in_an_archive_of_several_models_that_of_teachable_machine_is_meant(tmp_path):
    model = _of(keras)
    others = _save(_of(keras), tmp_path / "other.h5"), _save(model, tmp_path / "keras_model.h5")
    with zipfile.ZipFile(tmp_path / "it.zip", "w") as archive:
        for place in (0, 1, 0):
            archive.write(others[place], f"{len(archive.namelist())}/{others[place].name}")
    _same(aw.load_model(tmp_path / "it.zip"), model)


# --- numbers of old ----------------------------------------------------------------------


def _numbered_as_of_old(path, folder):
    """A `.keras` file under the names that Keras 2.12 and 2.13 gave weights: 0, 2, 4, …"""
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    target = folder / "old.weights.h5"

    def copy(old, new):
        for name, item in old.items():
            if not isinstance(item, h5py.Group):
                old.copy(item, new, name)
            elif name != "layers":
                copy(item, new.create_group(name))
            else:
                into = new.create_group("_layer_checkpoint_dependencies")
                for inner in item:
                    found = re.fullmatch(r"(.+?)_(\d+)", inner)
                    other = f"{found[1]}_{2 * int(found[2])}" if found else inner
                    copy(item[inner], into.create_group(other))

    with h5py.File(folder / "model.weights.h5") as old, h5py.File(target, "w") as new:
        copy(old, new)
    config = json.loads((folder / "config.json").read_text())
    if config["class_name"] == "Functional":
        config["module"] = "keras.engine.functional"  # where it was in 2.12
    with zipfile.ZipFile(folder / "old.keras", "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "2.12.0"}))
        archive.writestr("config.json", json.dumps(config))
        archive.write(target, "model.weights.h5")
    return folder / "old.keras"


def _old_sequential():
    return _of(tf_keras)


def _old_by_keras_2():
    return _of(tf_keras, k2.ThresholdedReLU(0.1))


def _old_nested():
    inner = [tf_keras.Sequential([k2.InputLayer((3,)), k2.Dense(3), k2.Dense(3)]) for _ in range(2)]
    return _of(tf_keras, *inner)


def _old_functional():
    inputs = tf_keras.Input((3,))
    shared, other = k2.Dense(3), k2.Dense(3)
    return tf_keras.Model(inputs, k2.Dense(3)(other(shared(shared(inputs)))))


@pytest.mark.parametrize("make", [_old_sequential, _old_by_keras_2, _old_nested, _old_functional])
def test_weights_numbered_as_in_keras_2_12_go_to_their_layers(make, tmp_path):
    model = make()
    model.set_weights([RNG.uniform(-1, 1, each.shape) for each in model.get_weights()])
    path = _numbered_as_of_old(_save(model, tmp_path / "saved.keras"), tmp_path)
    _same(aw.load_model(path), model)


def test_a_compiled_model_of_keras_2_needs_no_keras_2(tmp_path):
    model = _of(tf_keras)
    model.compile("adam", "mse")
    model.fit(X, X, verbose=0)
    loaded = aw.load_model(_save(model, tmp_path / "trained.keras"))
    assert isinstance(loaded, keras.Model)
    _same(loaded, model)


# --- models within models ----------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize("frozen", [False, True])
def test_models_within_models_of_keras_2_are_read_by_keras_3(suffix, frozen, tmp_path):
    inputs, inner_inputs = tf_keras.Input((3,)), tf_keras.Input((3,))
    inner = tf_keras.Sequential([k2.InputLayer((3,)), k2.Dense(3), k2.BatchNormalization()])
    other = tf_keras.Model(inner_inputs, k2.BatchNormalization()(k2.Dense(3)(inner_inputs)))
    late = tf_keras.Sequential([k2.Dense(3)])
    outputs = k2.Add()([inner(inputs), late(other(inner(other(inputs))))])
    model = tf_keras.Model(inputs, outputs)
    model.set_weights([RNG.uniform(0.1, 1, each.shape) for each in model.get_weights()])
    inner.trainable = not frozen  # which changes the order of weights in a file
    loaded = aw.load_model(_save(model, tmp_path / f"nested{suffix}"))
    assert isinstance(loaded, keras.Model)
    _same(loaded, model)


# --- weights alone -----------------------------------------------------------------------


def _weights_files(model, folder):
    model.save_weights(folder / "one.weights.h5")
    yield folder / "one.weights.h5"
    if isinstance(model, keras.Model):
        model.save_weights(folder / "parts.weights.json", max_shard_size=1)
        yield folder / "parts.weights.json"
        with (
            h5py.File(_save(model, folder / "whole.h5")) as whole,
            h5py.File(folder / "legacy.h5", "w") as alone,
        ):
            for name in whole["model_weights"]:
                whole.copy(f"model_weights/{name}", alone)
            for name, value in whole["model_weights"].attrs.items():
                alone.attrs[name] = value
        yield folder / "legacy.h5"
    else:
        model.save_weights(folder / "legacy.h5")
        yield folder / "legacy.h5"


@pytest.mark.parametrize("of", [keras, tf_keras], ids=["from 3", "from 2"])
@pytest.mark.parametrize("into", [keras, tf_keras], ids=["into 3", "into 2"])
def test_weights_alone_go_into_a_copy_of_the_model_that_is_given(of, into, tmp_path):
    saved, given = _of(of), _of(into)
    given.compile("sgd", "mae")
    before, optimizer = given.get_weights(), given.optimizer
    for path in _weights_files(saved, tmp_path):
        if into is tf_keras and of is keras and path.name.endswith(".json"):
            continue  # which Keras 2 does not know
        with pytest.raises(ModelError, match=r"weights without a model: .*load_model\(path, model"):
            aw.load_model(path)
        loaded = aw.load_model(path, model=given)
        _same(loaded, saved)
        assert isinstance(loaded, into.Sequential)
        assert not getattr(loaded, "compiled", getattr(loaded, "_is_compiled", None))
    assert given.optimizer is optimizer
    for one, other in zip(given.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_weights_of_another_model_are_refused_and_nothing_changes(tmp_path):
    given = keras.Sequential([keras.Input((3,)), keras.layers.Dense(5), keras.layers.Dense(2)])
    before = given.get_weights()
    for path in _weights_files(_of(keras), tmp_path):
        with pytest.raises(ModelError, match=rf"weights in {path.name} do not fit model"):
            aw.load_model(path, model=given)
    for one, other in zip(given.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_class_of_ones_own_is_told_to_load_weights_itself(tmp_path):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(3)

        def call(self, x):
            return self.dense(x)

    own = Own()
    own(X)
    own.save_weights(tmp_path / "own.weights.h5")
    with pytest.raises(ModelError, match=r"of the class Own, which cannot be copied"):
        aw.load_model(tmp_path / "own.weights.h5", model=own)


# --- SavedModel --------------------------------------------------------------------------


@pytest.mark.parametrize("by_keras_2", [False, True])
def test_a_saved_model_of_keras_2_is_built_again_with_all_its_layers(by_keras_2, tmp_path):
    model = _of(tf_keras, *([k2.ThresholdedReLU(0.1)] if by_keras_2 else []))
    _save(model, tmp_path / "saved", save_format="tf")
    loaded = aw.load_model(tmp_path / "saved")
    _same(loaded, model)
    assert isinstance(loaded, tf_keras.Model if by_keras_2 else keras.Model)
    assert [each.name for each in aw.layers(loaded)] == [each.name for each in model.layers]


def test_the_graph_of_a_saved_model_is_run_only_where_it_is_trusted(tmp_path):
    model = _of(keras)
    model.export(tmp_path / "exported", verbose=False)
    with pytest.raises(ModelError, match=r"graph is a program, .*safe_mode=False if you trust"):
        aw.load_model(tmp_path / "exported")
    loaded = aw.load_model(tmp_path / "exported", safe_mode=False)
    np.testing.assert_allclose(aw.predict(loaded, X), np.asarray(model(X)), atol=1e-6)


# --- Teachable Machine -------------------------------------------------------------------


def teachable_machine(folder, labels="0 Class 1\n1 Class 2\n2 Übrige\n"):
    """An export as Teachable Machine makes it: models in models, saved by Keras 2.4."""
    inputs = tf_keras.Input((16, 16, 3), name="input_1")
    x = k2.ZeroPadding2D(((0, 1), (0, 1)), name="Conv1_pad")(inputs)
    x = k2.Conv2D(4, 3, strides=2, padding="valid", use_bias=False, name="Conv1")(x)
    x = k2.BatchNormalization(epsilon=1e-3, name="bn_Conv1")(x)
    x = k2.ReLU(6.0, name="Conv1_relu")(x)
    y = k2.DepthwiseConv2D(3, padding="same", use_bias=False, name="expanded_depthwise")(x)
    y = k2.BatchNormalization(epsilon=1e-3, name="expanded_bn")(y)
    y = k2.Add(name="expanded_add")([x, y])
    backbone = tf_keras.Model(inputs, y, name="model1")
    features = tf_keras.Sequential(
        [backbone, k2.GlobalAveragePooling2D(name="pooled")], name="sequential_1"
    )
    head = tf_keras.Sequential(
        [
            k2.Dense(5, activation="relu", input_shape=(4,), name="dense_Dense1"),
            k2.Dense(3, activation="softmax", use_bias=False, name="dense_Dense2"),
        ],
        name="sequential_3",
    )
    model = tf_keras.Sequential([features, head], name="sequential_4")
    model.build((None, 16, 16, 3))
    model.set_weights([RNG.uniform(0.1, 1, each.shape) for each in model.get_weights()])
    folder.mkdir()
    path = _save(model, folder / "keras_model.h5")

    def of_its_time(part):
        if isinstance(part, dict):
            if part.get("class_name") == "DepthwiseConv2D":
                part["config"]["groups"] = 1  # which Keras 2 wrote then, and refuses since
            for each in part.values():
                of_its_time(each)
        elif isinstance(part, list):
            for each in part:
                of_its_time(each)

    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        of_its_time(config)
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = "2.4.0"
    (folder / "labels.txt").write_text(labels, "utf-8")
    return model


@pytest.mark.parametrize("how", ["folder", "file", "zip"])
def test_an_export_of_teachable_machine_is_read_with_its_class_names(how, tmp_path):
    folder = tmp_path / "converted_keras"
    model = teachable_machine(folder)
    path = {"folder": folder, "file": folder / "keras_model.h5", "zip": tmp_path / "it.zip"}[how]
    if how == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for each in folder.iterdir():
                archive.write(each, each.name)
    loaded = aw.load_model(path)
    assert isinstance(loaded, keras.Model)  # needs no tf_keras
    x = RNG.uniform(-1, 1, (4, 16, 16, 3)).astype(np.float32)
    np.testing.assert_allclose(aw.predict(loaded, x), np.asarray(model(x)), atol=1e-5)
    names = ("Class 1", "Class 2", "Übrige")
    assert aw.class_names_of(loaded) == names
    assert not {name for name in vars(loaded) if "class_names" in name or "label" in name}
    session = aw.Session(loaded, x)
    assert tuple(session.class_names) == names
    assert tuple(aw.Session(loaded, x, class_names=["a", "b", "c"]).class_names) == ("a", "b", "c")
    assert "sequential_1/model1/expanded_depthwise" in [each.name for each in aw.layers(loaded)]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("0 Class 1\n1 Class 2\n", ("Class 1", "Class 2")),
        ("1 b\n0 a\n", ("a", "b")),
        ("cat\r\ndog\r\n\r\n", ("cat", "dog")),
        ("0 Hand\n1\n", ("0 Hand", "1")),
        ("2 wheels\n4 wheels\n", ("2 wheels", "4 wheels")),
        ("\ufeff0: Überraschung\n1: Hund", ("Überraschung", "Hund")),
        ("", ()),
    ],
)
def test_lines_of_a_labels_file_become_class_names(text, names):
    assert read_labels(text.encode()) == names


def test_labels_that_do_not_go_with_the_output_are_left_alone(tmp_path):
    (tmp_path / "labels.txt").write_text("one\ntwo\n")
    loaded = aw.load_model(_save(_of(keras), tmp_path / "model.keras"))
    assert aw.class_names_of(loaded) is None
    assert aw.class_names_of("no model") is None
