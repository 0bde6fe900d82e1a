"""Colors that mean the same at all epochs of a recording."""

import numpy as np
import pytest
import shown
from fakes import messages, wiretap
from trained import TrainedProbe, images, train

from actwidgets.core import files
from actwidgets.recording import recording as common_scales
from actwidgets.recording.recorder import Recorder
from actwidgets.session.session import Session
from actwidgets.views.class_similarity_matrix import ClassSimilarityMatrix
from actwidgets.views.confusion_matrix import ConfusionMatrix


class TurningProbe(TrainedProbe):
    """Takes the more samples for the first class the longer it is trained."""

    def predictions(self, x):
        found = super().predictions(x)
        taken = np.asarray(x)[:, 0, 0, 0] < 20 * (self.scale - 1) - 2
        return np.where(taken[:, None], np.eye(3, dtype=np.float32)[0], found)


@pytest.fixture
def recording(tmp_path):
    probe = TurningProbe()
    session = Session(probe, *images(), class_names=("shirt", "coat", "bag"))
    with_recorder = Recorder(session, tmp_path / "run", every=("batches", 1))
    train(with_recorder, probe, epochs=2, steps=3)
    probe.scale = 1.2  # so that the largest numbers are neither the first nor the last
    with_recorder.snapshot()
    assert not with_recorder.error
    yield with_recorder.recording
    with_recorder.close()


def matrices(recording, layer, statistic, metric):
    places = range(len(recording.snapshots))
    return [recording.profiles(at).similarity(layer, statistic, metric) for at in places]


@pytest.mark.parametrize("layer", ["conv", "dense"])
@pytest.mark.parametrize("metric", ["mean_abs_diff", "euclidean"])
def test_colors_of_distances_reach_as_far_at_all_epochs(recording, layer, metric):
    session = recording.session(0)
    session.layer = layer
    view = ClassSimilarityMatrix(session, statistic="mean", metric=metric)
    wanted = np.nanmax(matrices(recording, layer, "mean", metric))
    assert wanted > 1.1 * np.nanmax(matrices(recording, layer, "mean", metric)[0])
    assert session.distance_scale("mean", metric) == pytest.approx(wanted)
    for session.at in range(len(recording.snapshots)):
        assert view.matrix.scales["color"].max == pytest.approx(wanted)
        assert f"colors from 0 to {wanted:.3g}, at all epochs" in shown.text(view)
    assert not view.error


def test_what_is_not_known_at_once_is_told_to_be_of_this_epoch(recording):
    session = recording.session(1, threshold=0.5)
    view = ClassSimilarityMatrix(session, statistic="firing_rate", metric="mean_abs_diff")
    assert session.distance_scale() is None
    own = np.nanmax(session.similarity())
    assert view.matrix.scales["color"].max == pytest.approx(own)
    assert f"colors from 0 to {own:.3g}, the largest of this epoch" in shown.text(view)
    session.threshold = 0.0
    assert "at all epochs" in shown.text(view)


def test_distances_that_end_at_one_are_colored_up_to_one(recording, monkeypatch):
    monkeypatch.setattr(common_scales, "PAIRS_UP_TO", 0)
    session = recording.session(0)
    assert session.distance_scale("firing_rate", "jensen_shannon") == 1
    assert session.distance_scale("mean", "euclidean") is None  # of too many classes and units


def test_colors_of_a_confusion_matrix_reach_as_far_at_all_epochs(recording):
    session = recording.session(0)
    view = ConfusionMatrix(session)
    counts = []
    for session.at in range(len(recording.snapshots)):
        counts.append(session.confusion().counts)
    is_right = np.eye(3, dtype=bool)
    right = max(each[is_right].max() for each in counts)
    wrong = max(each[~is_right].max() for each in counts)
    assert counts[0][~is_right].max() < wrong
    assert session.confusion_scale() == (right, wrong)
    for session.at, each in enumerate(counts):
        shades = np.asarray(view.matrix.color)[:3, :3]
        np.testing.assert_allclose(shades[is_right], -each[is_right] / right)
        np.testing.assert_allclose(shades[~is_right], each[~is_right] / wrong, rtol=1e-6)
    assert "colors mean the same at all epochs" in shown.text(view)


def test_each_snapshot_is_read_once_and_only_some_of_many(recording, monkeypatch):
    read = []
    opened = files.open_npz

    def note(path, *args, **options):
        read.append(path.name)
        return opened(path, *args, **options)

    monkeypatch.setattr("actwidgets.core.files.open_npz", note)
    monkeypatch.setattr(common_scales, "MOMENTS", 3)
    scales = common_scales.CommonScales(recording)
    scales.distance("conv", "mean", "euclidean")
    count = len(recording.snapshots)
    wanted = [recording.snapshots[at].file for at in (0, count // 2, count - 1)]
    assert read == wanted
    scales.distance("conv", "mean", "euclidean")
    assert read == wanted


def test_a_snapshot_that_is_gone_is_left_out(recording):
    wanted = common_scales.CommonScales(recording).distance("conv", "mean", "euclidean")
    (recording.path / recording.snapshots[2].file).unlink()
    scales = common_scales.CommonScales(recording)
    assert scales.distance("conv", "mean", "euclidean") == wanted


def test_a_move_to_another_epoch_sends_no_more_than_the_cells(recording):
    session = recording.session(0)
    ClassSimilarityMatrix(session, statistic="mean")
    wires = wiretap()
    session.at = 1
    sent = [name for name, _ in messages(wires)]
    assert sent.count("GridHeatMap") == 1
    assert "ColorScale" not in sent
