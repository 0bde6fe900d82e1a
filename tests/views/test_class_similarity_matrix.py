import bqplot as bq
import ipywidgets as w
import numpy as np
import pytest
import shown
from fakes import FakeProbe, SlowProbe, hold_back, messages, report, wiretap

from actwidgets.images.colormap import NAN_COLOR
from actwidgets.session.session import Session
from actwidgets.session.tasks import Progress
from actwidgets.views.class_ranking import ClassRanking
from actwidgets.views.class_similarity_matrix import ClassSimilarityMatrix
from actwidgets.views.matrix import ClassCells, ExemplarSheet

BY_FIRING = {"statistic": "firing_rate", "metric": "mean_abs_diff"}


@pytest.fixture
def view(session):
    session.layer = "dense"
    return ClassSimilarityMatrix(session, **BY_FIRING)


def test_the_matrix_is_the_sessions(session, view):
    session.threshold = 20.0
    wanted = session.profiles().similarity("dense").astype(np.float32)
    assert wanted[0, 1] > 0
    np.testing.assert_array_equal(view.matrix.color, wanted)
    assert view.matrix.scales["color"].max == pytest.approx(np.nanmax(wanted))


def test_statistic_and_metric_are_live(session, view):
    view.statistic, view.metric = "mean", "euclidean"
    wanted = session.profiles().similarity("dense", "mean", "euclidean")
    np.testing.assert_allclose(view.matrix.color, wanted.astype(np.float32))
    assert shown.control(view, "threshold").disabled


def test_a_threshold_tick_sends_the_matrix_and_reads_nothing(session, probe, view):
    session.profiles()
    wires, probe.calls[:] = wiretap(), []
    shown.choose(view, "threshold", 33.0)
    assert session.threshold == 33.0
    assert probe.calls == []
    assert [item for item in messages(wires) if item[0] != "FloatSlider"] == [
        ("ColorScale", ["max"]),
        ("GridHeatMap", ["color"]),
    ]


def test_the_thresholds_ends_follow_the_layer_and_move_no_threshold(session, view):
    assert (shown.control(view, "threshold").min, shown.control(view, "threshold").max) == (
        0.0,
        29.0 * 5,
    )
    session.select(layer="conv", threshold=500.0)
    session.layer = "dense"
    assert session.threshold == 500.0
    assert shown.control(view, "threshold").max == 500.0


def test_figures_have_as_many_decimals_as_tell_them_apart(session, view):
    session.threshold = 20.0
    assert 0.01 < np.nanmax(view.matrix.color) < 0.1
    assert view.matrix.display_format == ".3f"
    view.statistic, view.metric = "mean", "euclidean"
    assert np.nanmax(view.matrix.color) < 10
    assert view.matrix.display_format == ".1f"


@pytest.mark.parametrize(
    ("width_px", "wanted"), [(560, ".4f"), (452, ".3f"), (300, ".0f"), (200, None)]
)
def test_figures_have_as_many_decimals_as_have_room_in_a_cell(width_px, wanted):
    cells = ClassCells([f"class {each}" for each in range(10)], width_px, print, print)
    highest = 3.0 if wanted == ".0f" else 0.0046
    cells.show(np.full((10, 10), highest), np.arange(10), None)
    assert cells.matrix.display_format == wanted


def test_a_click_chooses_the_class_of_the_row(session, view):
    shown.click(view, 1, 0)
    assert session.class_index == 1


def test_below_follow_the_classes_nearest_first_with_real_samples(session, view):
    session.select(class_index=1, threshold=20.0)
    matrix = session.profiles().similarity("dense")
    assert shown.part(view, ExemplarSheet).order.tolist() == [
        [1, 0]
    ]  # itself, then shirt; a bag has no samples
    texts = shown.words(view)
    assert texts[:4] == ["coat", "0.000", "shirt", f"{matrix[1, 0]:.3f}"]
    shown.click(view, 0, 1, 1)
    assert session.class_index == 0


def test_the_mouse_over_a_cell_tells_both_classes(session, view):
    shown.hover(view, 0, 2)
    assert "shirt – bag: no activity or no samples" in shown.text(view)


def test_what_is_missing_is_said(view):
    assert "30 samples; no samples of bag" in shown.text(view)


def test_a_partial_picture_says_so_and_is_completed(probe):
    x = np.zeros((1000, 6, 8, 1), np.float32)
    x[:, 0, 0, 0] = np.arange(1000)
    session = Session(probe, x, np.arange(1000) % 3)
    release = hold_back(session)
    view = ClassSimilarityMatrix(session, **BY_FIRING)
    assert "64 of 1,000 samples so far" in shown.text(view)
    release()
    session.refresh()
    session.wait()
    assert "1,000 samples" in shown.text(view)
    np.testing.assert_array_equal(
        view.matrix.color, session.profiles().similarity("conv").astype(np.float32)
    )


def test_what_has_to_be_compiled_first_is_read_in_the_background(data, monkeypatch):
    monkeypatch.setattr(SlowProbe, "summarizes_at_once", lambda probe, layers: False)
    session = Session(SlowProbe(), *data)
    view = ClassSimilarityMatrix(session, **BY_FIRING)
    assert "0 of 30 samples so far" in shown.text(view)
    assert session.model.calls == []
    session.model.go.set()
    session.wait()
    assert "0 of 30" not in shown.text(view)
    assert view.matrix.color.shape == (3, 3)


@pytest.mark.expects_error
def test_a_pass_that_fails_half_way_is_told_and_the_picture_stays(probe):
    x = np.arange(1000, dtype=np.float32).reshape(-1, 1, 1, 1) % 3 + np.zeros((1, 6, 8, 1))
    session = Session(probe, x.astype(np.float32), np.arange(1000) % 3)
    release = hold_back(session)
    view = ClassSimilarityMatrix(session)
    probe.fails_on = ("conv",)
    release()
    session.wait()
    assert "could not read all samples: FloatingPointError" in view.error
    assert shown.is_shown(view, bq.Figure)


def test_at_first_the_mean_activation_is_compared(session):
    session.layer = "conv"
    view = ClassSimilarityMatrix(session)
    wanted = session.profiles().similarity("conv", "mean", "euclidean")
    np.testing.assert_array_equal(view.matrix.color, wanted.astype(np.float32))
    assert not shown.is_shown(view, "threshold")  # it would change nothing
    view.statistic = "firing_rate"
    assert shown.is_shown(view, "threshold")


def test_classes_that_are_all_alike_are_not_drawn_and_means_are_offered(session):
    session.select(layer="conv", threshold=-1.0, class_index=1)  # every map fires somewhere
    for kind in (ClassSimilarityMatrix, ClassRanking):
        view = kind(session, **BY_FIRING)
        assert not shown.is_shown(view, bq.Figure)
        assert (
            "nothing to compare: all classes are the same by firing rate, which counts the "
            "samples on which any position of a map is above -1; 30 samples" in shown.text(view)
        )
        assert shown.is_shown(view, "Use mean activation")
        shown.press(view, "Use mean activation")
        assert view.statistic == "mean"
        assert shown.is_shown(view, bq.Figure)
        assert not shown.is_shown(view, "Use mean activation")


def test_where_one_class_has_samples_there_is_nothing_to_compare(data):
    session = Session(FakeProbe(), data[0], np.zeros(30, int), layer="dense")
    for kind in (ClassSimilarityMatrix, ClassRanking):
        view = kind(session)
        assert "nothing to compare: 1 of 3 classes have samples" in shown.text(view)
        assert not shown.is_shown(view, "Use mean activation")


def test_an_empty_output_is_nothing_to_compare(session, view):
    session.layer = "empty"
    assert view.error == ""
    assert "nothing to show for empty: its output is empty" in shown.text(view)
    session.layer = "dense"
    assert shown.is_shown(view, bq.Figure)


def test_one_class_is_nothing_to_compare(data):
    class Single(FakeProbe):
        n_classes = 0

    session = Session(Single(), data[0], np.zeros(30, int), class_names=("only",))
    view = ClassSimilarityMatrix(session, **BY_FIRING)
    assert view.error == ""
    assert "two classes or more" in shown.text(view)


def test_names_that_are_cut_short_still_differ(data):
    names = ("a very long class name 1", "a very long class name 2", "c")
    view = ClassSimilarityMatrix(Session(FakeProbe(), *data, class_names=names), **BY_FIRING)
    assert len(set(view.matrix.row)) == 3


def test_hostile_class_names_stay_text(data):
    names = ("<img src=x onerror=alert(1)>", "b", "c")
    session = Session(FakeProbe(), *data, class_names=names, class_index=0)
    view = ClassSimilarityMatrix(session, **BY_FIRING)
    assert "<img" not in shown.markup(view)
    assert "<img" not in shown.markup(view)


def test_clustered_the_tree_stands_beside_and_cells_keep_their_values(session, view):
    session.threshold = 20.0
    view.order = "clustered"
    tree = session.profiles().clustering("dense")
    matrix = session.profiles().similarity("dense").astype(np.float32)
    np.testing.assert_array_equal(view.matrix.color, matrix[np.ix_(tree.order, tree.order)])
    wanted = [session.class_names[index] for index in tree.order]
    assert list(view.matrix.row) == wanted
    assert view.matrix.scales["row"].domain == wanted[::-1]
    assert shown.part(view, bq.Lines).y.shape == (
        2,
        4,
    )  # one join, twice: bqplot drops axes of length 1
    shown.click(view, 2, 0)
    assert session.class_index == tree.order[2]
    view.order = "class"
    assert not shown.parts(view, bq.Lines)
    np.testing.assert_array_equal(view.matrix.color, matrix)


def test_nearest_first_begins_with_the_chosen_class(session, view):
    session.select(threshold=20.0, class_index=1)
    view.order = "nearest first"
    assert list(view.matrix.row) == ["coat", "shirt", "bag"]


def test_histograms_are_compared_whatever_the_threshold(session, view):
    for metric in ("jensen_shannon", "overlap"):
        view.metric = metric
        wanted = session.profiles().similarity("dense", metric=metric)
        np.testing.assert_allclose(view.matrix.color, wanted.astype(np.float32))
        assert shown.control(view, "threshold").disabled


def test_a_pass_can_be_cancelled_and_resumed(probe):
    x = np.zeros((1000, 6, 8, 1), np.float32)
    x[:, 0, 0, 0] = np.arange(1000)
    session = Session(probe, x, np.arange(1000) % 3)
    release = hold_back(session)
    view = ClassSimilarityMatrix(session, **BY_FIRING)
    report(session, Progress("profiles", ("conv",), 128, 1000, seconds=2.0))
    assert "128 of 1,000 samples, 64 a second, 14 s left" in shown.text(view)
    assert shown.part(view, w.FloatProgress).value == pytest.approx(0.128)
    shown.press(view, "Cancel")
    assert session.reading.cancelled
    assert shown.is_shown(view, "Resume")
    assert "64 of 1,000 samples so far" in shown.text(view)
    release()
    shown.press(view, "Resume")
    session.wait()
    assert not shown.is_shown(view, w.FloatProgress)
    assert "1,000 samples" in shown.text(view)


def test_after_a_cancel_the_picture_is_the_last_complete_one(probe):
    x = np.zeros((1000, 6, 8, 1), np.float32)
    x[:, 0, 0, 0] = np.arange(1000)
    session = Session(probe, x, np.arange(1000) % 3, layer="dense")
    view = ClassSimilarityMatrix(session, **BY_FIRING)
    session.wait()
    before = session.profiles().similarity("dense").astype(np.float32)
    hold_back(session)
    probe.activations = lambda layers, x: {
        name: values * 2 for name, values in FakeProbe().activations(layers, x).items()
    }
    session.refresh()
    assert "64 of 1,000 samples so far" in shown.text(view)
    session.cancel()
    np.testing.assert_array_equal(view.matrix.color, before)
    assert "1,000 samples, read before; the new pass was cancelled" in shown.text(view)


class _Many(FakeProbe):
    n_classes = 200


@pytest.fixture
def many():
    x = np.zeros((400, 6, 8, 1), np.float32)
    x[:, 0, 0, 0] = np.arange(400)
    names = [f"<i>{index}" for index in range(200)]
    return Session(_Many(), x, np.arange(400) % 200, class_names=names, layer="dense")


def test_many_classes_are_pixels_and_a_window_of_cells(many):
    view = ClassSimilarityMatrix(many, statistic="mean", metric="euclidean")
    many.wait()
    assert np.asarray(view.matrix.color).shape == (24, 24)
    assert shown.part(view, bq.GridHeatMap).color.size < 2000
    many.class_index = 150
    assert "139–162" in shown.text(view)
    assert "<i>150" in list(view.matrix.row)
    shown.control(view, w.Combobox).value = "<i>7"
    assert many.class_index == 7
    shown.click(view, 39, 3)  # five classes share a block: it is enlarged, and none is chosen
    assert (many.class_index, "177–200" in shown.text(view)) == (7, True)
    many.threshold = 0.5
    assert "177–200" in shown.text(view)
    matrix = many.profiles().similarity("dense", "mean", "euclidean")
    seen = [int(name[3:]) for name in view.matrix.row]
    np.testing.assert_allclose(view.matrix.color, matrix[np.ix_(seen, seen)].astype(np.float32))
    first = shown.control(view, w.Select).options[0]
    nearest = np.min(matrix + np.diag(np.full(200, np.inf)))
    assert float(first.split()[0]) == pytest.approx(nearest, abs=1e-4)


def test_of_a_thousand_classes_those_without_samples_are_left_out(data):
    class Thousand(FakeProbe):
        n_classes = 1000

    labels = np.arange(30) * 33  # one sample of each of thirty classes
    session = Session(Thousand(), data[0], labels, layer="dense", class_index=66)
    view = ClassSimilarityMatrix(session)
    assert "30 samples; 30 of 1,000 classes have samples" in shown.text(view)
    assert not np.isnan(view.matrix.color).any()
    seen = [int(name) for name in view.matrix.row]
    assert set(seen) <= set(labels.tolist())
    colors = shown.picture(view)[..., :3].reshape(-1, 3)
    assert len(np.unique(colors, axis=0)) > 2
    assert not (colors == NAN_COLOR).all(axis=1).any()
    assert set(shown.part(view, ExemplarSheet).order.ravel().tolist()) <= set(labels.tolist())
    assert "10 of 30 classes" in shown.text(view)
    session.class_index = 5
    assert "5 has no samples or no activity here" in shown.text(view)
    ranked = ClassRanking(session)
    assert shown.part(ranked, ExemplarSheet).order[:, 0].tolist() == labels[:10].tolist()
    assert "nan" not in " ".join(shown.words(ranked))
    assert "970 of 1,000 classes have no samples and are left out" in shown.text(ranked)
    shown.press(ranked, "next page")
    shown.press(ranked, "next page")
    shown.press(ranked, "next page")
    assert (
        shown.part(ranked, ExemplarSheet).order[:, 0].tolist() == labels[20:].tolist()
    )  # three pages, no more


@pytest.mark.expects_error
def test_histograms_of_very_many_classes_are_left_to_the_session(many):
    view = ClassSimilarityMatrix(many, metric="jensen_shannon")
    assert "takes minutes: call session.profiles().similarity" in view.error
