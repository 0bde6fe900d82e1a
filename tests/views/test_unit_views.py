"""The views of one unit: box plot, top samples, unusual units."""

import io

import bqplot as bq
import ipywidgets as w
import numpy as np
import pytest
import shown
from fakes import FakeProbe, hold_back, messages, open_widgets, report, wiretap
from PIL import Image

from actwidgets.core.layers import AxisField, ReceptiveField
from actwidgets.images.colormap import FRAME_COLOR
from actwidgets.session.session import Session
from actwidgets.session.tasks import Progress
from actwidgets.views.top_samples import TopSamples
from actwidgets.views.unit_box_plot import UnitBoxPlot
from actwidgets.views.unit_table import UnitTable

NAMES = ("<b>shirt", "coat", "bag")


class _Probe(FakeProbe):
    """Its dense layer has a dead unit, a always active one and one for coats; its maps a corner."""

    def activations(self, layers, x):
        first = np.asarray(x)[:, 0, 0, 0]
        dense = np.zeros((len(x), 5), np.float32)
        dense[:, 1] = 1 + first
        dense[:, 2] = first % 2 * (first + 1)
        dense[:, 3] = np.where(first == 0, np.nan, first)
        maps = np.zeros((len(x), 4, 6, 20), np.float32)
        maps[:, 3, 5] = first[:, None]
        return {"conv": maps, "dense": dense}

    def receptive_field(self, layer):
        axes = (AxisField(1, 3, 1, 0), AxisField(2, 3, 1, 0))
        return ReceptiveField(axes) if layer == "conv" else None


@pytest.fixture
def session(data):
    return Session(_Probe(), *data, class_names=NAMES, layer="dense", unit=1)


# --- box plot ----------------------------------------------------------------------------


def test_boxes_are_numpys_quartiles_and_empty_classes_have_none(session):
    view = UnitBoxPlot(session)
    values = np.arange(1.0, 31)
    assert list(view.boxes.x) == list(NAMES[:2])
    for index in range(2):
        mine = values[index::2]
        wanted = [mine.min(), *np.percentile(mine, [25, 50, 75]), mine.max()]
        np.testing.assert_allclose(view.boxes.y[index], wanted)
    assert view.boxes.scales["y"].min < 1
    assert view.boxes.scales["y"].max > 30
    assert "30 samples" in shown.text(view)


def test_the_table_tells_the_range_of_each_class_escaped(session):
    table = shown.markup(UnitBoxPlot(session))
    assert "<th>&lt;b&gt;shirt</th><td>15</td><td>1</td><td>8</td><td>15</td><td>22</td>" in table
    assert "<td><b>30</b></td>" in table  # the largest of all
    assert "<th>bag</th><td>0</td><td>–</td>" in table


def test_outliers_are_drawn_and_counted(data):
    x, y = data
    x[0, 0, 0, 0] = 500.0
    view = UnitBoxPlot(Session(_Probe(), x, y, class_names=NAMES, layer="dense", unit=1))
    assert list(view.outliers.y) == [501.0]
    assert "; 1 beyond the whiskers" in shown.text(view)
    view.session.unit = 0
    assert list(view.outliers.y) == []


def test_another_unit_is_a_message_for_each_mark(session):
    UnitBoxPlot(session)
    wires = wiretap()
    session.unit = 2
    kinds = [name for name, _ in messages(wires)]
    assert sorted(set(kinds)) == ["Boxplot", "HTML", "LinearScale"]
    assert kinds.count("Boxplot") == 1
    assert kinds.count("LinearScale") == 1


def test_a_click_on_a_box_chooses_the_class(session):
    view = UnitBoxPlot(session)
    view.boxes.selected = [1]
    assert session.class_index == 1
    assert '<tr class="aw-chosen"><th>coat' in shown.markup(view)


def test_nan_is_left_out_of_the_boxes(session):
    session.unit = 3
    view = UnitBoxPlot(session)
    assert "29 samples" in shown.text(view)
    assert view.boxes.y[0][0] == 2  # sample 0 is a shirt without a value


def test_of_very_many_classes_those_with_the_highest_medians(data):
    class Many(_Probe):
        n_classes = 45

    x = np.zeros((90, 6, 8, 1), np.float32)
    x[:, 0, 0, 0] = np.arange(90)
    session = Session(Many(), x, np.arange(90) // 2, layer="dense", unit=1)
    session.profiles()
    view = UnitBoxPlot(session)
    assert view.boxes.x[0] == "44"
    assert len(view.boxes.x) == 30
    assert view.boxes.scales["x"].domain == list(view.boxes.x)
    assert "the 30 classes with the highest medians" in shown.text(view)


def test_infinite_values_move_no_box_out_of_sight_and_are_told(data):
    class Infinite(_Probe):
        def activations(self, layers, x):
            found = super().activations(layers, x)
            first = np.asarray(x)[:, 0, 0, 0]
            found["dense"][first == 5, 2] = np.inf
            found["dense"][first % 2 == 0, 1] = np.inf
            return found

    session = Session(Infinite(), *data, class_names=NAMES, layer="dense", unit=2)
    view = UnitBoxPlot(session)
    assert list(view.boxes.x) == list(NAMES[:2])
    assert view.boxes.scales["y"].max > view.boxes.y.max()
    assert list(view.outliers.y) == []
    assert "; 0 of 1 beyond the whiskers" in shown.text(view)
    session.unit = 1  # every shirt is infinite
    assert list(view.boxes.x) == ["coat"]
    assert "no box for 1 class with infinite quartiles" in shown.text(view)


# --- top samples -------------------------------------------------------------------------


def test_the_samples_with_the_largest_values_come_first(session):
    view = TopSamples(session)
    assert shown.samples(view) == list(range(29, 13, -1))
    assert shown.words(view)[:4] == ["coat", "30", "<b>shirt", "29"]


def test_a_click_chooses_the_sample(session):
    view = TopSamples(session)
    shown.click(view, 1, 0)
    assert session.sample == 21
    shown.hover(view, 0, 0)
    assert "sample 29, coat: 30" in shown.text(view)


def test_what_the_unit_sees_is_framed(session):
    view = TopSamples(session)
    assert "framed" not in shown.text(view)
    session.select(layer="conv", unit=0)
    assert "framed: receptive field of the peak, 3×3 pixels" in shown.text(view)
    picture = shown.picture(view)[..., :3]
    framed = (picture[:70, 70:140] == FRAME_COLOR).all(axis=2)  # the second: not in focus
    rows, columns = np.nonzero(framed)
    # Pictures are 6x8, enlarged seven times, in the middle of 60x60 with a margin of 5: the
    # pixels of rows 3 to 5 and columns 5 to 7, which the line of two pixels goes around.
    top, left = 5 + 9 + 3 * 7, 5 + 2 + 5 * 7
    assert (rows.min(), rows.max()) == (top - 2, top + 21 + 1)
    assert (columns.min(), columns.max()) == (left - 2, left + 21 + 1)
    assert not framed[top : top + 21, left : left + 21].any(), "what it points at is hidden"
    assert framed.sum() == 25**2 - 21**2
    whole = np.asarray(Image.open(io.BytesIO(view.png(scale=2))).convert("RGB"))
    assert (whole == FRAME_COLOR).all(axis=2).sum() >= 15 * 4 * (25**2 - 21**2)


def test_a_unit_that_does_the_same_on_all_says_so(session):
    session.unit = 0
    assert "same value on all of these samples" in shown.text(TopSamples(session))


# --- unusual units ----------------------------------------------------------------


def test_each_finding_has_its_evidence_and_chooses_its_unit(session):
    view = UnitTable(session)
    lines = [line.replace("\u00a0", " ").strip() for line in shown.control(view, w.Select).options]
    assert lines == [
        "0  dead: above 0 on none of 30 samples; it fires on <10.00%",
        "4  dead: above 0 on none of 30 samples; it fires on <10.00%",
        "1  always active: above 0 on all of 30 samples; it fires on >90.00%",
        "2  selective for coat: index 1.00 on 30 samples",
    ]
    assert "2 dead, 1 always active, 1 selective of 5 units; 30 samples" in shown.text(view)
    assert shown.control(view, w.Select).index == 2
    shown.control(view, w.Select).index = 3
    assert session.unit == 2
    session.unit = 3  # not among them
    assert shown.control(view, w.Select).index is None


def test_a_unit_with_two_findings_may_be_chosen_by_either(data):
    class Both(_Probe):
        def activations(self, layers, x):
            found = super().activations(layers, x)
            found["dense"][:, 2] = np.where(np.asarray(x)[:, 0, 0, 0] % 2, 10, 0.1)
            return found

    session = Session(Both(), *data, class_names=NAMES, layer="dense")
    view = UnitTable(session)
    last = len(shown.control(view, w.Select).options) - 1
    shown.control(view, w.Select).index = last
    assert (session.unit, shown.control(view, w.Select).index) == (2, last)
    shown.control(view, w.Select).index = last - 1
    assert (session.unit, shown.control(view, w.Select).index) == (2, last - 1)
    session.unit = 1
    session.unit = 2
    assert shown.control(view, w.Select).index == last - 1  # the first of the two


def test_no_more_than_200_lines(data):
    class Silent(_Probe):
        def activations(self, layers, x):
            return {**super().activations(layers, x), "dense": np.zeros((len(x), 300), np.float32)}

    session = Session(Silent(), *data, class_names=NAMES)
    session.layer = "dense"
    view = UnitTable(session)
    assert len(shown.control(view, w.Select).options) == 200
    assert "300 dead, 0 always active, 0 selective of 300 units, the first 200" in shown.text(view)


def test_the_threshold_decides_what_is_dead(session):
    view = UnitTable(session)
    session.threshold = 100.0
    assert "5 dead, 0 always active, 0 selective" in shown.text(view)


@pytest.mark.parametrize("kind", [UnitBoxPlot, TopSamples, UnitTable])
def test_only_what_tells_classes_apart_needs_labels_and_all_need_an_output(kind, data):
    view = kind(Session(_Probe(), data[0]))
    assert view.error == ""
    assert ("this needs labels" in shown.text(view)) == (kind is UnitBoxPlot)
    empty = kind(Session(_Probe(), *data, layer="empty"))
    assert empty.error == ""
    assert "its output is empty" in shown.text(empty)


@pytest.mark.parametrize("kind", [UnitBoxPlot, TopSamples, UnitTable])
def test_a_partial_picture_says_so_and_is_completed(kind):
    x = np.zeros((1000, 6, 8, 1), np.float32)
    x[:, 0, 0, 0] = np.arange(1000)
    session = Session(_Probe(), x, np.arange(1000) % 3, class_names=NAMES, layer="dense", unit=1)
    release = hold_back(session)  # as if the rest took its time
    view = kind(session)
    assert "64 of 1,000 samples so far" in shown.text(view)
    report(session, Progress("profiles", ("dense",), 128, 1000, seconds=2.0))
    assert shown.is_shown(view, w.FloatProgress)
    release()
    session.refresh()
    session.wait()
    assert "1,000 samples" in shown.text(view)
    assert "so far" not in shown.text(view)
    assert not shown.is_shown(view, w.FloatProgress)


@pytest.mark.parametrize("kind", [UnitBoxPlot, TopSamples, UnitTable])
def test_closing_gives_every_widget_back_and_stops_watching(kind, session):
    before = set(open_widgets())
    view = kind(session)
    session.select(layer="conv", unit=3)
    view.close(), view.close()
    assert set(open_widgets()) == before
    session.layer = "dense"
    report(session, Progress("profiles", ("dense",), 30, 30, seconds=1.0))
    assert view.error == ""


def test_boxes_of_which_nothing_is_read_yet_have_ends_and_places_on_the_page(session, monkeypatch):
    """Of an empty box plot on a scale without ends bqplot makes NaN, and keeps it."""
    monkeypatch.setattr(session.profiles, "begin", lambda **_: False)
    view = UnitBoxPlot(session)
    (boxes,) = shown.parts(view, bq.Boxplot, hidden=True)
    assert (boxes.scales["y"].min, boxes.scales["y"].max) == (0, 1)
    assert len(boxes.x) == len(boxes.y) == len(session.class_names)
    assert not shown.is_shown(view, boxes)
