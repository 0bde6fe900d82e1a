"""Models of every kind are recorded as they are, and left as they were."""

from dataclasses import astuple, replace

import keras
import numpy as np
import pytest
from model_zoo import CASES, N_CLASSES, N_SAMPLES, build
from test_model_on_loan import _build, _state

import actwidgets as aw
from actwidgets.core import batches
from actwidgets.recording.recorder import Recorder
from actwidgets.recording.replay import open_recording

pytestmark = pytest.mark.keras


@pytest.mark.parametrize("kind", CASES)
def test_models_of_every_kind_are_recorded(kind, tmp_path):
    case = build(kind)
    head = case.options.get("head")
    before = _state(case.model)
    labels = np.arange(N_SAMPLES) % N_CLASSES
    recorder = Recorder(case.model, tmp_path, case.x, labels, batch_size=4, head=head)
    info = recorder.snapshot()
    assert recorder.error == ""
    recorder.close()
    after = _state(case.model)
    assert after.pop("attributes").items() ^ before.pop("attributes").items() == set()
    assert after == before
    recording = open_recording(tmp_path)
    (read,) = recording.snapshots
    assert read == replace(info, numbers=read.numbers)
    for layer, numbers in info.numbers.items():  # NaN where there is no such number
        np.testing.assert_array_equal(astuple(read.numbers[layer]), astuple(numbers))
    names = [layer.name for layer in recording.layers]
    outputs = aw.activations(case.model, case.x, names)
    for layer in names:
        found, error = recording.activations(layer), recording.activation_error(layer)
        axis = next(each.unit_axis for each in recording.layers if each.name == layer)
        wanted = np.moveaxis(outputs[layer], axis, -1)[: len(found)] if axis > 0 else outputs[layer]
        assert found.shape[1:] == wanted.shape[1:]
        assert (abs(found - wanted[: len(found)]) <= error + 1e-4).all()
    predicted = aw.predict(case.model, case.x, head=head)
    if recording.manifest.n_classes:
        np.testing.assert_allclose(recording.predictions(), predicted, atol=1e-5)
    for one, other in zip(batches.parts(recording.x), batches.parts(case.x), strict=True):
        np.testing.assert_array_equal(one, np.asarray(other))


@pytest.mark.parametrize("compiled", [False, True], ids=["bare", "trained"])
def test_the_model_is_on_loan(compiled, tmp_path):
    model, x, y = _build(compiled), np.ones((12, 6, 6, 1), np.float32), np.arange(12) % 2
    before = _state(model)
    recorder = Recorder(model, tmp_path, x, y)
    assert recorder.callback is recorder.callback
    recorder.snapshot({"loss": 1})
    assert recorder.error == ""
    gradients = recorder.recording.weight_numbers("classes").gradient_norm
    assert np.isfinite(gradients).all() == compiled
    assert _state(model) == before


def test_a_recorded_sequence_is_drawn_as_that_of_the_model_and_inputs_keep_their_names(tmp_path):
    layers = keras.layers
    one, other = keras.Input((9, 7), name="one"), keras.Input((6, 6), name="other")
    picture = layers.Conv2D(2, 3)(layers.Reshape((6, 6, 1))(other))
    read = [layers.LSTM(2, name="lstm")(one), layers.Flatten()(picture)]
    model = keras.Model([one, other], layers.Dense(2)(layers.Concatenate()(read)))
    x = [np.random.default_rng(0).random((4, 9, 7)), np.zeros((4, 6, 6))]
    Recorder(model, tmp_path, x, np.arange(4) % 2).snapshot()
    recording = open_recording(tmp_path)
    assert recording.manifest.input_axes == {"one": ("time", "feature"), "other": ("row", "column")}
    live, recorded = aw.Session(model, x, np.arange(4) % 2), recording.session()
    assert recorded.picture_inputs == live.picture_inputs == ("other",)
    np.testing.assert_array_equal(recorded.pictures([1]), live.pictures([1]))
