import dataclasses

import bqplot as bq
import ipywidgets as w
import numpy as np
import pytest
import shown
from fakes import FakeProbe, messages, wiretap
from recorded_training import MemoryRecording

import actwidgets as aw
from actwidgets.app import explore
from actwidgets.recording.replay import RecordedSession
from actwidgets.session.session import Session
from actwidgets.views.comparison import Comparison
from actwidgets.views.epoch_slider import EpochSlider, MetricCurve


@pytest.fixture
def session():
    made = RecordedSession(MemoryRecording(), layer="conv")
    yield made
    made.close()


@pytest.fixture
def view(session):
    made = EpochSlider(session)
    yield made
    made.close()


def test_it_tells_the_epoch_and_the_metrics_of_the_snapshot(session, view):
    assert "epoch 1.5" in shown.text(view)
    assert "loss 0.25" in shown.text(view)
    assert "&lt;i&gt;acc&lt;/i&gt; 0.3" in shown.markup(view)
    assert "snapshot 4 of 4" in shown.text(view)
    session.at = 0
    assert "epoch 0 <span>before training · snapshot 1 of 4" in shown.markup(view)


def test_snapshots_that_cannot_be_read_are_told(session, view):
    assert "read" not in shown.text(view)
    session.recording.refused = {"snapshot-000001.npz": "it is cut off"}
    session.refresh()
    assert "snapshot 4 of 4 · 1 cannot be read" in shown.text(view)


def test_the_validation_is_told_behind_what_it_is_of(session, view):
    metrics = {"loss": 1.5, "val_loss": 2.25, "val_<b>": 1.0}
    last = dataclasses.replace(session.recording.snapshots[-1], metrics=metrics)
    session.recording.snapshots = (*session.recording.snapshots[:-1], last)
    session.refresh()
    told = "loss 1.5 (val 2.25) · val_&lt;b&gt; 1 · snapshot 4 of 4"
    assert f"<span>{told}</span>" in shown.markup(view)


@pytest.mark.parametrize("kind", [w.IntSlider, w.Play])
def test_what_somebody_moves_moves_the_session_and_all_else(session, view, kind):
    shown.choose(view, kind, 1)
    assert (
        session.at == shown.control(view, "epoch").value == shown.control(view, w.Play).value == 1
    )
    assert shown.part(view, MetricCurve).mark.x.tolist() == [1, 1]
    session.at = 2
    assert shown.control(view, "epoch").value == shown.control(view, w.Play).value == 2


def test_one_move_sends_one_message_to_each_widget(session, view):
    grid = aw.FeatureMapGrid(session)
    wires = wiretap()
    shown.choose(view, "epoch", 0)
    sent = messages(wires)
    names = [name for name, _ in sent]
    assert names.count("Play") == 1
    assert names.count("Lines") == 1  # the mark; the line stays as it is
    assert names.count("IntSlider") <= 1
    assert names.count("Image") == 1  # the maps; the inputs are the same pixels
    grid.close()


def test_one_tick_repaints_once(session, view, monkeypatch):
    drawn = []
    render = EpochSlider._render
    monkeypatch.setattr(EpochSlider, "_render", lambda *given: drawn.append(render(*given)))
    shown.choose(view, w.Play, 2)
    assert len(drawn) == 1


def test_options_reach_the_player(session, view):
    view.loop, view.interval_ms = True, 100
    assert (shown.control(view, w.Play).repeat, shown.control(view, w.Play).interval) == (True, 100)
    view.playing = True
    assert shown.control(view, w.Play).playing
    with pytest.raises(TypeError, match="no option speed"):
        EpochSlider(session, speed=2)


def test_the_curve_is_of_the_loss_or_of_what_there_is(session, view):
    assert "loss" in shown.text(view)
    assert shown.part(view, MetricCurve).line.x.tolist() == [1, 2, 3]  # the first has none
    assert shown.part(view, MetricCurve).line.y.tolist() == pytest.approx([1 / 2, 1 / 3, 1 / 4])
    view.metric = "<i>acc</i>"
    assert shown.part(view, MetricCurve).line.y[-1] == pytest.approx(0.3)
    view.metric = "of nothing"
    assert "loss" in shown.text(view)


@pytest.mark.parametrize("count", [1, 300])
def test_one_snapshot_or_hundreds(count):
    session = RecordedSession(MemoryRecording(count))
    view = EpochSlider(session)
    assert view.error == ""
    assert shown.control(view, "epoch").max == count - 1
    assert (
        shown.control(view, "epoch").disabled
        == shown.control(view, w.Play).disabled
        == (count == 1)
    )
    assert (not shown.is_shown(view, bq.Figure)) == (count == 1)
    view.close()
    session.close()


def test_more_snapshots_make_the_slider_longer_and_fewer_shorter(session, view):
    recording = session.recording
    longer = MemoryRecording(6)
    recording.snapshots, recording.outputs = longer.snapshots, longer.outputs
    session.refresh()
    assert (shown.control(view, "epoch").max, session.at) == (5, 3)
    recording.snapshots, recording.outputs = longer.snapshots[:2], longer.outputs[:2]
    session.refresh()
    assert (shown.control(view, "epoch").max, shown.control(view, "epoch").value, session.at) == (
        1,
        1,
        1,
    )


def test_a_live_session_is_refused():
    session = Session(FakeProbe(), MemoryRecording().x)
    with pytest.raises(TypeError, match=r"recording\.session\(\) gives; got Session"):
        EpochSlider(session)
    session.close()


def test_the_workbench_has_the_slider_on_top(session):
    app = explore(session)
    assert app.session is session
    assert app.children[0].children[0] is app.views["EpochSlider"]
    shown.choose(app.views["EpochSlider"], "epoch", 0)
    assert session.at == 0
    assert app.error == ""
    app.close()


def test_sessions_side_by_side_each_with_its_moment():
    recording = MemoryRecording()
    before, after = (RecordedSession(recording, at, layer="conv") for at in (0, -1))
    app = explore({"before": before, "<after>": after})
    assert isinstance(app, Comparison)
    sliders = [app.views[f"{name}: EpochSlider"] for name in app.sessions]
    assert [shown.control(each, "epoch").value for each in sliders] == [0, 3]
    shown.choose(sliders[0], "epoch", 1)
    assert (before.at, after.at) == (1, 3)
    before.unit = 4
    assert after.unit == 4
    _, showing = app.children[1].children
    assert showing.layout.flex.endswith("976px")  # with less room they go below what chooses
    app.pages.turn_to("layer by layer")
    between = app.views["before and <after>: LayerSimilarity"]
    before = shown.words(between)
    shown.choose(sliders[1], "epoch", 0)  # of the columns alone
    assert shown.words(between) != before
    assert app.error == ""
    app.close()


def test_samples_for_a_session_are_refused(session):
    with pytest.raises(TypeError, match="a session has its own x"):
        explore(session, session.recording.x)


def test_a_session_given_stays_open_where_the_comparison_fails(session):
    with pytest.raises(aw.ActwidgetsError):
        explore({"one": session})
    session.at = 0
    assert session.profiles().complete


# --- metric curve -------------------------------------------------------------------------


@pytest.fixture
def curve():
    made = MetricCurve(400)
    yield made
    made.close()


def axis_of(curve):
    _, figure = curve.children
    return figure.axes[0]


def test_its_axis_tells_round_numbers_that_enclose_the_values(curve):
    curve.show("accuracy", [np.nan, 0.13, 0.45, 0.57])
    np.testing.assert_allclose(axis_of(curve).tick_values, [0, 0.2, 0.4, 0.6])
    assert (axis_of(curve).scale.min, axis_of(curve).scale.max) == pytest.approx((-0.036, 0.636))
    curve.show("loss", [2.31, 1.62, 1.21])
    np.testing.assert_allclose(axis_of(curve).tick_values, [1, 1.5, 2, 2.5])


def test_it_tells_what_it_is_escaped(curve):
    curve.show("<i>loss</i>", [2.0, 1.0])
    name, _ = curve.children
    assert "&lt;i&gt;loss&lt;/i&gt;" in name.value


@pytest.mark.parametrize("values", [[np.nan, np.nan], [0.0, 0.0], [np.inf, 1.0]])
def test_it_takes_what_is_no_curve(curve, values):
    curve.show("loss", values)
    assert axis_of(curve).scale.min < axis_of(curve).scale.max
