import numpy as np
import pytest
from fakes import FakeProbe, begin_when_waited_for
from recorded_training import N_MAPS, MemoryRecording

from actwidgets.core.ablation import Ablation
from actwidgets.core.embedding import Embedding
from actwidgets.core.perturbation import Perturbation
from actwidgets.errors import DataError, LayerError, ModelError, NotRecordedError, SelectionError
from actwidgets.probe.base import Probe
from actwidgets.recording.replay import RecordedProbe, RecordedSession
from actwidgets.session.session import Session


@pytest.fixture
def recording():
    return MemoryRecording()


@pytest.fixture
def session(recording):
    with_session = RecordedSession(recording)
    yield with_session
    with_session.close()


def test_a_recording_is_a_probe_of_a_plain_session(recording):
    probe = RecordedProbe(recording)
    assert isinstance(probe, Probe)
    session = Session(probe, recording.x[10:20], recording.labels[10:20], layer="dense")
    np.testing.assert_array_equal(session.maps([3]), recording.outputs[-1]["dense"][[13]])


def test_it_begins_at_the_last_snapshot(session, recording):
    assert (session.at, session.epoch, session.snapshot.step) == (3, 1.5, 30)
    assert RecordedSession(recording, 0).at == 0
    assert RecordedSession(recording, -3).at == 1


@pytest.mark.parametrize("at", [0, 2, -1])
def test_maps_predictions_and_kernels_are_those_of_the_moment(session, recording, at):
    session.at = at
    truth = recording.outputs[at]
    session.layer = "conv"
    np.testing.assert_array_equal(session.maps([0, 7]), truth["conv"][[0, 7]])
    assert session.maps([]).shape == (0, *truth["conv"].shape[1:])
    np.testing.assert_array_equal(session.kernels(), recording.kernels("conv", at))
    np.testing.assert_array_equal(session.predictions(), truth["output"])
    session.layer = "dense"
    np.testing.assert_array_equal(session.maps([59, 3]), truth["dense"][[59, 3]])


@pytest.mark.parametrize("at", [0, 2])
def test_profiles_are_the_stored_ones_and_follow_the_threshold(session, recording, at):
    session.at = at
    session.layer = "conv"
    found = session.profiles()
    stored = recording.profiles(at)
    assert found.complete
    assert found.layers == ("conv",)
    np.testing.assert_array_equal(found.mean["conv"], stored.mean["conv"])
    session.threshold = 2.5
    high = recording.outputs[at]["conv"].max(axis=(1, 2))
    rates = [(high[recording.labels == label] > 2.5).mean(axis=0) for label in range(3)]
    np.testing.assert_allclose(session.profiles().firing_rate["conv"], rates)


def test_boxes_and_top_samples_come_of_the_stored_peaks(session, recording):
    session.select(layer="conv", unit=3)
    high = recording.outputs[3]["conv"].max(axis=(1, 2))[:, 3]
    rows, values = session.top_samples(5)
    assert rows.tolist() == np.argsort(-high)[:5].tolist()
    np.testing.assert_array_equal(values, high[rows])
    np.testing.assert_array_equal(session.peak_values([59, 0]), high[[59, 0]])
    medians = [np.median(high[recording.labels == label]) for label in range(3)]
    np.testing.assert_allclose(session.unit_boxes().fives[:, 2], medians, rtol=1e-6)


def test_moving_tells_the_views_once(session):
    told = []
    session.observe(lambda change: told.append(change.name), names=["revision", "selection"])
    session.at = 1
    assert told == ["revision"]
    session.at = 1
    assert told == ["revision"]


def test_a_scrub_reads_a_snapshot_s_profiles_and_gathers_none(session, recording):
    session.layer = "conv"
    recording.calls.clear()
    session.at = 0
    session.profiles()
    session.profiles()
    assert [name for name, *_ in recording.calls] == ["profiles"]


@pytest.mark.parametrize("at", [4, -5])
def test_a_snapshot_that_is_not_there_is_refused(session, at):
    with pytest.raises(SelectionError, match=rf"snapshot {at} is outside 0\.\.3"):
        session.at = at
    assert session.at == 3
    assert session.context.probe.at == 3


def test_a_recording_without_snapshots_is_refused():
    with pytest.raises(DataError, match="holds no snapshot"):
        RecordedSession(MemoryRecording(0))


def test_a_live_recording_may_gain_and_lose_snapshots(session, recording):
    session.at = 1
    recording.snapshots = recording.snapshots[1:]  # the first was thinned out
    recording.outputs = recording.outputs[1:]
    session.refresh()
    assert (session.at, session.snapshot.index) == (0, 2)
    np.testing.assert_array_equal(session.predictions(), recording.outputs[0]["output"])
    recording.snapshots = recording.snapshots[1:]
    recording.outputs = recording.outputs[1:]
    session.refresh()
    assert (session.at, session.snapshot.index) == (0, 4)
    np.testing.assert_array_equal(session.predictions(), recording.outputs[0]["output"])


def test_numbers_stay_those_of_the_moment_where_others_were_lost_unannounced(session, recording):
    session.select(layer="dense", unit=2)
    session.at = 1
    before = session.profiles()
    recording.snapshots, recording.outputs = recording.snapshots[1:], recording.outputs[1:]
    wanted = recording.outputs[0]["dense"]
    np.testing.assert_allclose(session.peak_values([0, 5]), wanted[[0, 5], 2], rtol=1e-6)
    np.testing.assert_allclose(session.top_samples(1)[1], wanted[:, 2].max(), rtol=1e-6)
    np.testing.assert_array_equal(session.profiles().mean["dense"], before.mean["dense"])


def test_maps_that_were_not_kept_are_refused_by_name(session):
    session.layer = "conv"
    with pytest.raises(NotRecordedError, match=f"samples 0 to {N_MAPS - 1}; sample 57 has none"):
        session.maps([1, 57])


@pytest.mark.parametrize(
    "choice",
    [{"ablations": Ablation("conv", (1,))}, {"perturbation": Perturbation(brightness=0.5)}],
)
def test_what_only_the_model_could_tell_cannot_be_chosen(session, choice):
    before = session.selection
    with pytest.raises(SelectionError, match="units cannot be altered, nor samples perturbed"):
        session.select(**choice)
    assert session.selection == before
    with pytest.raises(ModelError, match="over a recording cannot be set; got FakeProbe"):
        session.model = FakeProbe()
    assert isinstance(session.model, RecordedProbe)


def test_gradients_edits_and_unknown_layers_are_refused_in_a_sentence(recording):
    probe = RecordedProbe(recording)
    with pytest.raises(NotRecordedError, match="holds values, not the model"):
        probe.score_function(None, "logit", memory_budget_bytes=1)
    with pytest.raises(NotRecordedError, match="cannot run with units altered"):
        probe.edited({"conv": object()})
    assert probe.edited({}) is probe
    with pytest.raises(LayerError, match=r"no layer 'flatten'.*it holds conv, dense, output"):
        probe.activations(["flatten"], recording.x)
    with pytest.raises(NotRecordedError, match="shares of positions"):
        probe.summaries(["conv"], recording.x, above=1.0)


def test_without_labels_profiles_say_so():
    session = RecordedSession(MemoryRecording(labeled=False))
    with pytest.raises(DataError, match="this recording has none"):
        session.profiles()
    assert "made without labels" in session.profiles.missing_for_units()


# --- samples as points -------------------------------------------------------------------


def test_components_are_those_of_the_last_snapshot_for_all(session):
    pictures = []
    for at in (3, 0, 3):
        session.at = at
        pictures.append(session.embeddings("dense"))
    last, first, again = pictures
    assert again is last  # kept, though the session moved meanwhile
    assert first.plane == last.plane
    assert "at epoch 1.5, the last" in first.note
    assert not np.array_equal(first.points, last.points)
    values = session.recording.outputs[0]["dense"]
    centered = values - session.recording.outputs[3]["dense"].mean(axis=0)
    spread = np.linalg.norm(centered, axis=1)
    assert (np.linalg.norm(first.points, axis=1) <= spread + 1e-4).all()


def test_points_of_maps_are_those_of_their_means(session):
    found = session.embeddings("conv")
    assert "means of its maps" in found.note
    assert len(found.points) == session.n_samples


def test_the_input_is_laid_out_once(session):
    before = session.embeddings("input")
    session.at = 0
    assert session.embeddings("input") is before


def test_the_input_is_laid_out_in_the_background_and_a_layer_at_once(session, monkeypatch):
    begin_when_waited_for(session.embeddings, monkeypatch)
    assert session.embeddings.request("dense") is not None
    assert session.embeddings.request("input") is None
    session.embeddings.wait()
    assert session.embeddings.request("input") is not None


@pytest.mark.slow
def test_t_sne_begins_at_the_nearest_moment_that_was_laid_out(session):
    session.at = 2
    before = session.embeddings("dense", method="tsne", perplexity=5.0)
    session.at = 3
    found = session.embeddings("dense", method="tsne", perplexity=5.0)
    assert "begun at" not in before.note
    assert "begun at the points of epoch 1" in found.note
    assert isinstance(found, Embedding)
    fresh = RecordedSession(session.recording)
    alone = fresh.embeddings("dense", method="tsne", perplexity=5.0)
    assert _turned(found, before) > _turned(alone, before)


def _turned(one, other):
    """How far two pictures agree as they lie, without being turned."""
    first, second = (each.points - each.points.mean(axis=0) for each in (one, other))
    return (first * second).sum() / np.sqrt((first**2).sum() * (second**2).sum())
