import numpy as np
import pytest
import shown
from fakes import FakeProbe, messages, wiretap

from actwidgets.session.session import Session
from actwidgets.views.class_ranking import ClassRanking
from actwidgets.views.matrix import ExemplarSheet

BY_FIRING = {"statistic": "firing_rate", "metric": "mean_abs_diff"}


@pytest.fixture
def view(session):
    session.select(layer="dense", threshold=20.0)
    return ClassRanking(session, **BY_FIRING)


def _click(view, row, column):
    shown.click(view, row, column)


def test_each_row_is_a_class_and_then_the_nearest(session, view):
    profiles = session.profiles()
    wanted = profiles.ranking("dense")[:2, :2]  # nobody has a bag
    np.testing.assert_array_equal(shown.part(view, ExemplarSheet).order, wanted)
    assert "1 of 3 classes have no samples and are left out" in shown.text(view)
    matrix = profiles.similarity("dense")
    texts = shown.words(view)
    assert texts[:4] == ["shirt", "0.000", "coat", f"{matrix[0, 1]:.3f}"]
    assert "30 samples" in shown.text(view)


def test_a_click_chooses_the_class_of_the_picture(session, view):
    _click(view, 1, 1)
    assert session.class_index == 0


def test_statistic_and_metric_are_live(session, view):
    view.statistic, view.metric = "mean", "euclidean"
    wanted = session.profiles().ranking("dense", "mean", "euclidean")
    np.testing.assert_array_equal(shown.part(view, ExemplarSheet).order, wanted[:2, :2])


def test_pictures_are_sent_only_where_the_order_changes(session, view):
    wires = wiretap()
    session.threshold = 21.0
    assert {name for name, _ in messages(wires)} <= {"Label", "HTML"}


def test_classes_beyond_a_page_are_turned_to(data):
    class Many(FakeProbe):
        n_classes = 25

    session = Session(Many(), data[0], np.arange(30) % 25, layer="dense")
    view = ClassRanking(session, **BY_FIRING)
    assert shown.part(view, ExemplarSheet).order.shape == (10, 10)
    assert "10 of 25 classes, 1–10, the 10 nearest to each" in shown.text(view)
    shown.press(view, "next page")
    shown.press(view, "next page")
    np.testing.assert_array_equal(shown.part(view, ExemplarSheet).order[:, 0], np.arange(20, 25))


@pytest.mark.expects_error
def test_histograms_of_very_many_classes_are_not_compared_while_somebody_waits(data):
    class Many(FakeProbe):
        n_classes = 101

    view = ClassRanking(Session(Many(), *data, layer="dense"), metric="overlap")
    assert "overlap of more than 100 classes takes minutes" in view.error


def test_choosing_a_class_draws_nothing_anew(session, view):
    wires = wiretap()
    session.class_index = 1
    assert messages(wires) == []
