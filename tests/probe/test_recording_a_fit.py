"""A real `fit`, recorded, beside what the model says itself at each moment."""

import keras
import numpy as np
import pytest

import actwidgets as aw
from actwidgets.errors import ShapeError
from actwidgets.recording.recorder import Recorder
from actwidgets.recording.replay import open_recording
from actwidgets.recording.snapshot import GRADIENT_SAMPLES
from actwidgets.session.session import Session

pytestmark = pytest.mark.keras
LAYERS = ("conv", "norm", "drop", "classes")


@pytest.fixture
def data():
    random = np.random.default_rng(0)
    return random.normal(size=(40, 6, 6, 1)).astype(np.float32), np.arange(40) % 3


@pytest.fixture
def model():
    keras.utils.set_random_seed(1)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(4, 3, activation="relu", kernel_regularizer="l2", name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.Flatten(name="flatten"),
            layers.Dropout(0.5, seed=2, name="drop"),
            layers.Dense(3, activation="softmax", name="classes"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class Copying(keras.callbacks.Callback):
    """Keeps the weights as they were at each moment that is recorded."""

    def __init__(self):
        super().__init__()
        self.weights = []

    def on_train_begin(self, logs=None):
        self.weights.append(self.model.get_weights())

    def on_epoch_end(self, epoch, logs=None):
        self.weights.append(self.model.get_weights())


def fit(model, data, *callbacks, epochs=2, **options):
    return model.fit(
        *data, batch_size=16, epochs=epochs, verbose=0, callbacks=[*callbacks], **options
    )


def test_what_is_recorded_is_what_the_model_said_then(model, data, tmp_path):
    x, y = data
    recorder, copying = Recorder(model, tmp_path, x, y, n_maps=5, batch_size=16), Copying()
    history = fit(model, data, recorder.callback, copying, validation_data=data)
    assert recorder.error == ""
    recording = open_recording(tmp_path)
    assert [info.epoch for info in recording.snapshots] == [0, 1, 2]
    assert [info.step for info in recording.snapshots] == [0, 3, 6]
    np.testing.assert_array_equal(recording.x, x)
    for name, values in history.history.items():
        np.testing.assert_allclose(recording.history.by_epoch[name][1], values, rtol=1e-6)
        assert recording.snapshots[-1].metrics[name] == pytest.approx(values[-1])
    for at, weights in enumerate(copying.weights):
        model.set_weights(weights)
        np.testing.assert_allclose(recording.predictions(at), aw.predict(model, x), atol=1e-6)
        outputs = aw.activations(model, x)
        profiles = aw.class_profiles(model, x, y)
        for layer in LAYERS:
            stored, error = recording.activations(layer, at), recording.activation_error(layer, at)
            assert (abs(stored - outputs[layer][:5]) <= error + 1e-5).all()
            np.testing.assert_allclose(
                recording.profiles(at).mean[layer], profiles.mean[layer], atol=1e-5
            )
            np.testing.assert_array_equal(
                recording.profiles(at).firing_rate[layer], profiles.firing_rate[layer]
            )
            counted = recording.activation_histogram(layer, at)
            assert counted.n_values == outputs[layer].size
            assert counted.mean == pytest.approx(float(outputs[layer].mean()), abs=1e-5)
        kernel = model.get_layer("conv").kernel.numpy()
        counted = recording.weight_histograms("conv", at)["kernel"]
        assert counted.std == pytest.approx(float(kernel.std()), rel=1e-5)
        assert abs(recording.kernels("conv", at) - kernel).max() <= np.ptp(kernel) / 250


def test_updates_are_those_of_the_last_step_of_the_epoch(model, data, tmp_path):
    steps = []

    class EachStep(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            steps.append([self.model.get_layer("classes").get_weights()])

        def on_train_batch_end(self, batch, logs=None):
            steps[-1].append(self.model.get_layer("classes").get_weights())

    recorder = Recorder(model, tmp_path, *data)
    fit(model, data, recorder.callback, EachStep())
    found = recorder.recording.weight_numbers("classes").update_ratio

    def norm(weights):
        return np.sqrt(sum((each.astype(float) ** 2).sum() for each in weights))

    def ratio(step):
        before, after = steps[step]
        added = [one - other for one, other in zip(after, before, strict=True)]
        return norm(added) / norm(before)

    np.testing.assert_allclose(found[1:], [ratio(2), ratio(5)], rtol=1e-5)
    assert np.isnan(found[0])


def test_gradients_are_those_of_the_loss_with_dropout_off(model, data, tmp_path):
    x, y = data
    recorder = Recorder(model, tmp_path, x, y)
    recorder.snapshot()
    assert len(x) > GRADIENT_SAMPLES
    x, y = x[:GRADIENT_SAMPLES], y[:GRADIENT_SAMPLES]
    off = aw.predict(model, x) - np.eye(3)[y]
    kernel, bias = aw.activations(model, x)["drop"].T @ off / len(x), off.mean(axis=0)
    wanted = np.sqrt(np.square(kernel).sum() + np.square(bias).sum())
    found = recorder.recording.weight_numbers("classes").gradient_norm
    np.testing.assert_allclose(found, [wanted], rtol=1e-4)
    assert np.isnan(recorder.recording.weight_numbers("drop").gradient_norm[0])


def test_the_gradient_of_rows_that_are_looked_up_is_summed_over_the_times(tmp_path):
    keras.utils.set_random_seed(2)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((7,), dtype="int32"),
            layers.Embedding(5, 4, name="rows"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(3, activation="softmax", name="classes"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    x, y = np.random.default_rng(0).integers(0, 5, (30, 7)), np.arange(30) % 3
    recorder = Recorder(model, tmp_path, x, y)
    recorder.snapshot()
    off = (aw.predict(model, x) - np.eye(3)[y]) / len(x)
    share = (x[:, :, None] == np.arange(5)).mean(axis=1)  # of each row in a sample
    wanted = np.linalg.norm(share.T @ off @ model.get_layer("classes").kernel.numpy().T)
    found = recorder.recording.weight_numbers("rows").gradient_norm
    np.testing.assert_allclose(found, [wanted], rtol=1e-4)


def test_penalties_on_weights_are_part_of_the_loss(model, data, tmp_path):
    bare = keras.models.clone_model(model)
    bare.get_layer("conv").kernel.regularizer = None
    bare.set_weights(model.get_weights())
    bare.compile("adam", "sparse_categorical_crossentropy")
    found = []
    for each in (model, bare):
        recorder = Recorder(each, tmp_path / str(len(found)), *data, layers=["conv"])
        recorder.snapshot()
        found.append(recorder.recording.weight_numbers("conv").gradient_norm[0])
    assert found[0] != pytest.approx(found[1], rel=1e-3)


@pytest.mark.parametrize(
    "loss",
    [
        "categorical_crossentropy",
        keras.losses.CategoricalCrossentropy(),
        keras.losses.SparseCategoricalCrossentropy(),
        lambda y, p: keras.losses.sparse_categorical_crossentropy(y, p),
    ],
    ids=["name", "one-hot", "sparse", "function"],
)
def test_gradients_are_alike_however_the_loss_takes_its_labels(model, data, loss, tmp_path):
    found = []
    for each in ("sparse_categorical_crossentropy", loss):
        model.compile("adam", each)
        recorder = Recorder(model, tmp_path / str(len(found)), *data, layers=["conv"])
        recorder.snapshot()
        found.append(recorder.recording.weight_numbers("conv").gradient_norm[0])
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_a_model_that_is_not_compiled_has_no_gradients(data, tmp_path):
    model = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Flatten(name="flat")])
    recorder = Recorder(model, tmp_path, data[0])
    assert recorder.snapshot() is not None
    assert np.isnan(recorder.recording.weight_numbers("flat").gradient_norm[0])
    with pytest.raises(ValueError, match="no labels"):
        recorder.recording.profiles()


def test_epochs_are_counted_on_over_calls_of_fit(model, data, tmp_path):
    recorder = Recorder(model, tmp_path, *data)
    fit(model, data, recorder.callback)
    fit(model, data, recorder.callback)
    fit(model, data, recorder.callback, epochs=5, initial_epoch=4)
    assert [info.epoch for info in recorder.recording.snapshots] == [0, 1, 2, 3, 4, 5]
    assert [info.step for info in recorder.recording.snapshots] == [0, 3, 6, 9, 12, 15]
    np.testing.assert_array_equal(recorder.recording.history.by_epoch["loss"][0], [1, 2, 3, 4, 5])
    np.testing.assert_array_equal(recorder.recording.history.by_step["loss"][0], range(1, 16))


def test_batches_are_an_interval_too_and_the_end_is_taken(model, data, tmp_path):
    recorder = Recorder(model, tmp_path, *data, every=("batches", 2), layers=["conv"])
    fit(model, data, recorder.callback, epochs=3)
    assert [info.step for info in recorder.recording.snapshots] == [0, 2, 4, 6, 8, 9]
    epochs = [info.epoch for info in recorder.recording.snapshots]
    np.testing.assert_allclose(epochs, np.array([0, 2, 4, 6, 8, 9]) / 3)
    assert np.isfinite(recorder.recording.weight_numbers("conv").update_ratio[1:-1]).all()


def test_a_snapshot_at_the_end_of_an_epoch_knows_the_validation_too(model, data, tmp_path):
    recorder = Recorder(model, tmp_path, *data, every=("batches", 1), layers=["conv"])
    history = fit(model, data, recorder.callback, validation_data=data).history
    snapshots = recorder.recording.snapshots
    assert [info.step for info in snapshots] == list(range(7))
    assert [info.metrics.get("val_loss") for info in snapshots[3::3]] == history["val_loss"]
    assert "val_loss" not in snapshots[2].metrics


def test_an_interrupted_run_is_gone_on_with(model, data, tmp_path):
    class Interrupting(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 1:
                raise KeyboardInterrupt

    recorder = Recorder(model, tmp_path, *data, every=("batches", 1))
    with pytest.raises(KeyboardInterrupt):
        fit(model, data, recorder.callback, Interrupting())
    assert len(open_recording(tmp_path).snapshots) == 3
    fit(model, data, recorder.callback, epochs=1)
    assert recorder.recording.snapshots[-1].epoch == 2
    assert recorder.recording.snapshots[-1].step == 5


def test_a_session_gives_its_samples(model, data, tmp_path):
    session = Session(model, *data, class_names=("a", "b", "<c>"))
    recorder = Recorder(session, tmp_path, max_samples=20)
    fit(model, data, recorder.callback, epochs=1)
    assert recorder.recording.class_names == ("a", "b", "<c>")
    assert recorder.recording.n_samples == 20
    assert len(recorder.recording.snapshots) == 2
    session.close()


def test_a_training_goes_as_if_it_were_not_recorded(model, data, tmp_path):
    weights = model.get_weights()
    after = []
    for recorded in (False, True):
        keras.utils.set_random_seed(3)
        copy = keras.models.clone_model(model)
        copy.set_weights(weights)
        copy.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        callbacks = [Recorder(copy, tmp_path, *data).callback] if recorded else []
        history = fit(copy, data, *callbacks, shuffle=False)
        after.append([*copy.get_weights(), history.history["loss"]])
    for one, other in zip(*after, strict=True):
        np.testing.assert_array_equal(one, other)


def test_layers_that_are_exchanged_meanwhile_end_no_run(data, tmp_path):
    model = keras.Sequential([keras.Input((6, 6, 1)), keras.layers.Flatten(name="flat")])
    recorder = Recorder(model, tmp_path, data[0])
    model.add(keras.layers.Dense(2, name="late"))
    assert recorder.snapshot() is None
    assert "other layers" in recorder.error


def test_a_snapshot_asked_for_amid_a_fit_is_of_that_moment(model, data, tmp_path):
    recorder = Recorder(model, tmp_path, *data)

    class Asking(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 0:
                recorder.snapshot(logs)

    fit(model, data, recorder.callback, Asking())
    epochs = [info.epoch for info in recorder.recording.snapshots]
    np.testing.assert_allclose(epochs, [0, 1 / 3, 1, 4 / 3, 2])


def test_samples_that_the_model_cannot_take_are_refused_before_a_folder_is_made(model, tmp_path):
    with pytest.raises(ShapeError, match=r"shape \(6, 6, 1\)"):
        Recorder(model, tmp_path / "run", np.zeros((4, 5, 5, 1), np.float32))
    assert list(tmp_path.iterdir()) == []
