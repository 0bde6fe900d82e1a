"""The view of what units tell of the class."""

import functools
import gc
import weakref

import bqplot as bq
import ipywidgets as w
import numpy as np
import pytest
import shown
from fakes import messages, open_widgets, wiretap
from planted import CARRIES, N_UNITS, PlantedProbe, planted_samples

from actwidgets.core.layers import LayerInfo
from actwidgets.errors import DataError
from actwidgets.session import importance
from actwidgets.session.importance import ImportancePass
from actwidgets.session.session import Session
from actwidgets.views.unit_importance import UnitImportance

NAMES = ("<b>shirt", "coat")


@pytest.fixture(autouse=True)
def _few_trees(monkeypatch):
    monkeypatch.setattr(importance, "ImportancePass", functools.partial(ImportancePass, n_trees=25))


@pytest.fixture
def probe():
    return PlantedProbe()


@pytest.fixture
def session(probe):
    return Session(probe, *planted_samples(), class_names=NAMES)


def _measured(view):
    view.measure()
    view.session.importance.wait()
    return view


def _click(view, row):
    shown.send(shown.part(view, bq.Bars), "element_click", {"data": {"index": row}})


def _units(view):
    return list(shown.part(view, bq.Label).text)


def _figures(view):
    return shown.part(view, bq.Label, 1).text


def test_nothing_is_measured_before_the_button_is_pressed(session, probe):
    view = UnitImportance(session)
    assert "not measured yet for &lt;units&gt;" in shown.markup(view)
    assert shown.is_shown(view, "Measure")
    assert not shown.is_shown(view, bq.Figure)
    assert probe.log == []
    shown.press(view, "Measure")
    session.importance.wait()
    assert not shown.is_shown(view, "Measure")
    assert shown.is_shown(view, bq.Figure)
    assert not shown.is_faded(view)


def test_the_rows_are_the_units_in_order_with_their_figures(session):
    view = _measured(UnitImportance(session, by="ablation"))
    table = session.importance.known()
    assert _units(view) == [str(u) for u in table.order("ablation")]
    assert _units(view)[0] == str(CARRIES)
    ends = shown.part(view, bq.Bars, 3).y
    assert ends[0] == ends.max()
    assert _figures(view)[2 * N_UNITS] == "50.0"
    assert "6 units, by ablation effect; 300 samples." in shown.text(view)
    assert "Ablation effect ▾" in shown.text(view)


def test_another_order_is_the_same_numbers_elsewhere(session):
    view = _measured(UnitImportance(session))
    view.by = "unit"
    assert _units(view) == ["0", "1", "2", "3", "4", "5"]
    view.by = "mutual_information"
    order = session.importance.known().order("mutual_information")
    assert _units(view) == [str(u) for u in order]


def test_the_chosen_unit_stands_out_and_a_click_chooses(session):
    view = _measured(UnitImportance(session, by="unit"))
    assert [bool(each) for each in shown.part(view, bq.Bars).opacities] == [True] + [False] * 5
    _click(view, 3)
    assert session.unit == 3
    assert np.flatnonzero(shown.part(view, bq.Bars).opacities).tolist() == [3]
    assert len(set(shown.part(view, bq.Bars, 1).colors)) == 2


def test_cost_and_caveats_are_told(session):
    text = shown.text(_measured(UnitImportance(session)))
    for part in ("25 trees", "Strobl 2007", "looked at alone", "cannot make good"):
        assert part in text
    assert "6 units on 300 samples" in text
    assert "accuracy 100.0% with all units" in text
    assert "one sample is 0.33 points" in text


def test_another_class_is_not_measured_and_the_last_picture_fades(session, probe):
    view = _measured(UnitImportance(session))
    n_runs, before = len(probe.log), _units(view)
    session.class_index = 0
    assert "not measured yet for &lt;units&gt;, &lt;b&gt;shirt against the rest" in shown.markup(
        view
    )
    assert shown.is_faded(view)
    assert shown.is_shown(view, "Measure")
    assert _units(view) == before
    assert len(probe.log) == n_runs
    _click(view, before.index("3"))  # of a picture that is not of this
    assert session.unit == 0
    session.class_index = None
    assert not shown.is_faded(view)


def test_names_are_escaped_wherever_they_are_html(session):
    view = _measured(UnitImportance(session))
    session.class_index = 0
    _measured(view)
    assert "recall" in shown.text(view)
    assert "<b>shirt" not in shown.markup(view)
    assert "<units>" not in shown.markup(view)


def test_partial_results_are_drawn_as_they_arrive(session):
    view = UnitImportance(session, by="ablation")
    session.importance.request()
    session.importance.cancel()
    session.importance.wait()
    current = next(iter(session.importance._tasks.values()))
    while not current.table().known("forest"):
        current.step()
    session.importance.set_trait("reading", None)
    view.by = "unit"
    view.by = "ablation"
    assert "by random forest" in shown.text(view)  # until the ablation is known
    assert "not yet" in shown.text(view)
    assert set(_figures(view)[N_UNITS:]) == {""}
    while not current.complete:
        current.step()
    view.by = "unit"
    view.by = "ablation"
    assert "by ablation effect" in shown.text(view)


def test_the_line_tells_how_far_it_is_and_cancels_and_resumes(session):
    view = UnitImportance(session)
    session.importance.request()
    assert shown.is_shown(view, w.FloatProgress) or session.importance.known().complete
    session.importance.cancel()
    session.importance.wait()
    if session.importance.known().complete:
        pytest.skip("it was faster than the test")
    assert "cancelled" in shown.text(view)
    assert shown.is_shown(view, "Resume")
    assert not shown.is_shown(view, "Measure")
    shown.press(view, "Resume")
    session.importance.wait()
    assert not shown.is_shown(view, w.FloatProgress)
    assert session.importance.known().complete


def test_new_weights_ask_for_a_new_measurement(session):
    view = _measured(UnitImportance(session))
    session.refresh()
    assert "not measured yet" in shown.text(view)
    assert shown.is_shown(view, "Measure")


@pytest.mark.expects_error
def test_a_failure_is_told_in_the_view_and_it_can_be_tried_again(session, probe):
    def fail(layers, x):
        raise FloatingPointError("no <finite> value")

    view = UnitImportance(session)
    probe.activations = fail
    shown.press(view, "Measure")
    session.importance.wait()
    assert view.error == "could not measure the units: FloatingPointError: no <finite> value"
    assert "&lt;finite&gt;" in shown.markup(view)
    assert shown.is_shown(view, "Measure")
    del probe.activations
    _measured(view)
    assert view.error == ""
    assert session.importance.known().complete


def test_without_labels_there_is_nothing_to_show(probe):
    view = UnitImportance(Session(probe, planted_samples()[0]))
    assert "nothing to show for &lt;units&gt;: this needs labels" in shown.markup(view)
    assert not shown.is_shown(view, "Measure")
    assert view.error == ""
    with pytest.raises(DataError, match="this needs labels"):
        view.measure()


class _Wide(PlantedProbe):
    layers = (LayerInfo("wide", "Dense", (None, 40), 40, 0),)
    n_classes = 0

    def check(self, x):
        pass

    def activations(self, layers, x):
        return {"wide": np.asarray(x, np.float32)}


def test_of_many_units_30_are_shown_and_the_chosen_one_with_them():
    labels = np.arange(100) % 2
    x = np.random.default_rng(0).normal(size=(100, 40))
    session = Session(_Wide(), x, labels, class_names=NAMES)
    view = UnitImportance(session)
    _measured(view)
    order = session.importance.known().order()
    assert _units(view) == [str(u) for u in order[:30]]
    assert "30 of 40 units" in shown.text(view)
    session.unit = int(order[34])
    assert _units(view) == [str(u) for u in [*order[:29], order[34]]]
    assert "the last row is the selected unit, rank 35" in shown.text(view)
    assert set(_figures(view)[60:]) == {"–"}  # no ablation of this model
    assert "not known" in shown.text(view)


def test_another_unit_is_a_message_for_each_mark(session):
    view = _measured(UnitImportance(session, by="unit"))
    wires = wiretap()
    session.unit = 2
    kinds = [name for name, _ in messages(wires)]
    assert kinds.count("Bars") <= 4
    assert kinds.count("Label") <= 2
    assert set(kinds) <= {"Bars", "Label", "HTML"}
    assert view.error == ""


def test_a_hidden_view_paints_what_it_missed(session):
    view = UnitImportance(session)
    view.watching = False
    session.importance.request()
    session.importance.wait()
    assert not shown.is_shown(view, bq.Figure)
    view.watching = True
    assert shown.is_shown(view, bq.Figure)


def test_closing_gives_everything_back(session):
    before = set(open_widgets())
    view = _measured(UnitImportance(session))
    view.close()
    assert set(open_widgets()) <= before
    session.importance()
    view.close()
    gone = weakref.ref(view)
    del view
    gc.collect()
    assert gone() is None  # nothing that it observed holds it
