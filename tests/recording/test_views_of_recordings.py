"""Every view over a recorded training, and the numbers it shows, beside the model of the time."""

import io
import subprocess
import sys
from types import SimpleNamespace

import ipywidgets as w
import numpy as np
import pytest
import shown
from PIL import Image

import actwidgets as aw
from actwidgets.errors import NotRecordedError
from actwidgets.recording.replay import open_recording
from actwidgets.session.session import Session
from actwidgets.views.base import View

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.keras

N_SAMPLES, N_MAPS = 90, 8
WITHOUT = {  # what the live model alone can tell, and the words it is told in
    aw.UnitAblation: "units cannot be altered",
    aw.InputLab: "nor samples perturbed",
    aw.AttributionMap: "an attribution has to be asked of it",
}
VIEWS = [
    *(aw.LayerPicker, aw.SampleGallery, aw.FeatureMapGrid, aw.ClassSimilarityMatrix),
    *(aw.ClassRanking, aw.ClassSeparation, aw.UnitBoxPlot, aw.TopSamples, aw.UnitTable),
    *(aw.LayerSimilarity, aw.KernelGrid, aw.ConfusionMatrix, aw.PredictionTable),
    *(aw.ClassCounts, aw.EmbeddingScatter, aw.UnitImportance, aw.SelectionBar, *WITHOUT),
]


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    """A recording of a digits model, the model, and its weights at each snapshot."""
    from actwidgets.recording.recorder import Recorder

    digits = aw.load_dataset("digits")
    x, y = digits.x_train[:300], digits.y_train[:300]
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(6, 3, activation="relu", name="conv"),
            keras.layers.Flatten(name="flatten"),
            keras.layers.Dense(12, activation="tanh", name="dense"),
            keras.layers.Dense(10, activation="softmax", name="output"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    path = tmp_path_factory.mktemp("recorded") / "run"
    names = [f"<{digit}>" for digit in range(10)]
    recorder = Recorder(model, path, x[:N_SAMPLES], y[:N_SAMPLES], class_names=names, n_maps=N_MAPS)
    weights = [model.get_weights()]
    keep = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: weights.append(model.get_weights())
    )
    model.fit(x, y, epochs=2, batch_size=32, verbose=0, callbacks=[recorder.callback, keep])
    recorder.close()
    assert recorder.error == ""
    return SimpleNamespace(
        recording=open_recording(path),
        model=model,
        weights=weights,
        x=x[:N_SAMPLES],
        y=y[:N_SAMPLES],
        path=path,
    )


@pytest.fixture
def session(training):
    found = training.recording.session(layer="conv", class_index=0)
    yield found
    found.close()


@pytest.fixture
def live(training):
    """A session over the model as it was at a moment."""
    made = []

    def at(position):
        training.model.set_weights(training.weights[position])
        made.append(Session(training.model, training.x, training.y, layer="conv"))
        return made[-1]

    yield at
    for each in made:
        each.close()


def test_there_is_a_snapshot_of_every_epoch_and_of_before(training):
    assert [each.epoch for each in training.recording.snapshots] == [0, 1, 2]


@pytest.mark.parametrize("at", [0, 2])
@pytest.mark.parametrize("layer", ["conv", "dense", "output"])
def test_maps_are_those_of_the_model_within_the_stated_error(session, live, at, layer):
    session.at = at
    model = live(at)
    session.layer = model.layer = layer
    rows = range(N_MAPS)
    recording = session.recording
    if layer == "conv":
        error = recording.activation_error(layer, at)
    else:
        error = recording.summary_error(layer, at)["max"]
    off = np.abs(session.maps(rows) - model.maps(rows))
    assert (off <= error + 1e-5).all()
    assert off.max() > 0  # stored, and not asked of a model


@pytest.mark.parametrize("at", [0, 2])
def test_predictions_and_profiles_are_those_of_the_model(session, live, at):
    session.at = at
    model = live(at)
    np.testing.assert_allclose(session.predictions(), model.predictions(), atol=1e-5)
    np.testing.assert_array_equal(session.confusion().counts, model.confusion().counts)
    for every_layer in (False, True):
        found, truth = (each.profiles(every_layer=every_layer) for each in (session, model))
        for name in found.layers:
            np.testing.assert_allclose(found.mean[name], truth.mean[name], atol=1e-5)
            np.testing.assert_allclose(found.firing_rate[name], truth.firing_rate[name], atol=0.05)
    np.testing.assert_allclose(session.similarity(), model.similarity(), atol=1e-2)


@pytest.mark.parametrize("at", [0, 2])
def test_boxes_top_samples_and_kernels_are_those_of_the_model(session, live, at):
    session.at = at
    model = live(at)
    session.unit = model.unit = 2
    model.profiles()  # of which boxes are drawn
    error = session.recording.summary_error("conv", at)["max"][2] + 1e-5
    boxes, truth = session.unit_boxes(), model.unit_boxes()
    assert (np.abs(boxes.fives - truth.fives) <= error).all()
    assert np.abs(session.top_samples(5)[1] - model.top_samples(5)[1]).max() <= error
    span = np.ptp(model.kernels())
    assert np.abs(session.kernels() - model.kernels()).max() <= span / 250


def test_layers_are_as_alike_as_those_of_the_model(session, live):
    session.at = 0
    found, truth = session.layer_similarity()[0], live(0).layer_similarity()[0]
    assert found.layers == truth.layers
    np.testing.assert_allclose(found.values, truth.values, atol=0.02)


@pytest.mark.parametrize("kind", VIEWS)
def test_a_view_shows_what_is_stored_or_says_in_a_sentence_why_not(session, kind, caplog):
    view = kind(session)
    for at, sample in ((0, 0), (2, 0), (2, N_SAMPLES - 1), (1, N_SAMPLES - 1), (1, 3)):
        session.at = at
        session.sample = sample
        session.embeddings.wait()
        session.attributions.wait()
        assert view.error == ""
        told = "".join(each.value for each in _texts(view))
        if kind in WITHOUT:
            assert WITHOUT[kind] in told
        elif kind is aw.FeatureMapGrid and sample >= N_MAPS:
            assert f"maps were kept of samples 0 to 7; sample {sample} has none" in told
        else:
            assert "holds values, not the model" not in told
            assert "nothing to show" not in told
    assert not caplog.records
    view.close()


@pytest.mark.parametrize("kind", [each for each in VIEWS if each not in WITHOUT])
def test_one_move_is_one_picture(session, kind, monkeypatch):
    if kind is aw.EmbeddingScatter:
        session.embeddings("input")  # which loads scikit-learn
    view = kind(session)
    session.embeddings.wait()
    drawn = []
    render = type(view)._render
    monkeypatch.setattr(type(view), "_render", lambda *given: drawn.append(render(*given)))
    session.at = 0
    session.embeddings.wait()
    assert len(drawn) == 1
    view.close()


def test_of_a_view_that_lacks_all_only_the_reason_is_painted(session):
    view = aw.UnitAblation(session)
    assert not shown.parts(view, w.Button)
    painted = Image.open(io.BytesIO(view.png()))
    assert painted.height < 80
    view.close()


def test_what_a_view_lacks_comes_back_where_it_is_kept(session):
    view = aw.FeatureMapGrid(session)
    session.sample = N_SAMPLES - 1
    assert shown.pictures(view) == []
    session.sample = 1
    assert shown.pictures(view)
    assert "nothing to show" not in shown.text(view)
    view.close()


def test_importance_is_measured_but_for_what_needs_the_model(session):
    session.layer = "dense"
    table = session.importance()
    assert table.known("forest")
    assert any("units cannot be altered" in each for each in table.notes)


def test_a_perturbed_sample_is_unknown(session, training):
    with pytest.raises(NotRecordedError, match="only the samples that were recorded"):
        session.context.probe.predictions(training.x[:1] * 0.5)


def test_every_view_is_named_here():
    public = {getattr(aw, name) for name in aw.__all__}
    views = {each for each in public if isinstance(each, type) and issubclass(each, View)}
    of_training = {"EpochSlider", "WeightHistogram", "TrainingMonitor"}
    assert {each.__name__ for each in views - set(VIEWS)} <= of_training


def test_looking_at_a_recording_loads_no_tensorflow(training):
    code = f"""
import sys
import actwidgets as aw
from actwidgets.recording.replay import open_recording
app = aw.explore(open_recording({str(training.path)!r}))
for title in app.pages.titles:
    app.pages.turn_to(title)
    app.session.at = 0
    app.session.at = 2
assert not app.error, app.error
print({{"tensorflow", "keras"}} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stdout + done.stderr


def _texts(widget):
    found = [widget] if hasattr(widget, "value") and isinstance(widget.value, str) else []
    for child in getattr(widget, "children", ()):
        found += _texts(child)
    return found
