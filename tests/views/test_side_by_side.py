"""Two columns beside one another, on a page that is not wide."""

import bqplot as bq
import numpy as np
import pytest
import shown
from fakes import FakeProbe
from recorded_training import MemoryRecording

import actwidgets as aw
from actwidgets.export.figure import figure_of
from actwidgets.recording.replay import RecordedSession
from actwidgets.session.session import Session
from actwidgets.views.comparison import PAGES, Comparison
from actwidgets.views.matrix import CELL_PX, ExemplarSheet

ROOM_PX = 982  # of a cell's output in a JupyterLab of 1,150 pixels
CLASSES = tuple(f"a class {place}" for place in range(10))


@pytest.fixture
def comparison():
    x = np.random.default_rng(0).uniform(0, 1, (40, 6, 8, 1)).astype(np.float32)
    probes = [TenClasses() for _ in range(2)]
    names = ("before", "after")
    return Comparison(
        {
            name: Session(probe, x, np.arange(40) % 10, class_names=CLASSES)
            for name, probe in zip(names, probes, strict=True)
        }
    )


def width_px(comparison):
    return figure_of(comparison, page_px=ROOM_PX).get_figwidth() * 96


class TenClasses(FakeProbe):
    """A model of as many classes as many data sets have."""

    n_classes = 10

    def predictions(self, x):
        return np.full((len(x), 10), 0.1, np.float32)


@pytest.mark.parametrize("page", [name for name in PAGES if name != "attributions"])
def test_columns_stay_beside_one_another(comparison, page):
    for session in comparison.sessions.values():
        session.class_index = 0
    comparison.pages.turn_to(page)
    assert 900 < width_px(comparison) <= ROOM_PX + 20  # of edges
    assert not comparison.error


def test_sliders_of_recordings_stay_beside_one_another():
    recording = MemoryRecording()
    sessions = {"before": RecordedSession(recording, 0), "after": RecordedSession(recording)}
    comparison = Comparison(sessions)
    comparison.pages.turn_to("units")
    assert 900 < width_px(comparison) <= ROOM_PX + 20


@pytest.mark.parametrize(("width_px", "n_classes"), [(720, 10), (452, 10), (330, 6)])
def test_a_table_of_probabilities_is_no_wider_than_asked_for(comparison, width_px, n_classes):
    view = aw.PredictionTable(comparison.sessions["before"], width_px=width_px)
    assert int(shown.part(view, bq.Figure).layout.width.removesuffix("px")) <= width_px
    assert len(shown.edges(view)[1]) - 2 - (width_px == 720) == n_classes
    texts = shown.words(view)
    assert ("loss" in texts) == (width_px == 720)
    assert ("too narrow for confidence, margin and loss" in shown.text(view)) == (width_px < 720)
    shown.hover(view, 1, 1)
    assert "a class 0: 0.1" in shown.text(view)
    assert not view.error


def test_as_many_classes_are_ranked_as_have_room(comparison):
    session = comparison.sessions["before"]
    session.class_index = 3
    view = aw.ClassSimilarityMatrix(session, width_px=450)
    assert shown.part(view, ExemplarSheet).order.shape == (1, 450 // CELL_PX)
    assert "8 of 10 classes" in shown.text(view)
    assert shown.part(aw.ClassSimilarityMatrix(session), ExemplarSheet).order.shape == (1, 10)
