"""The view of what units tell of the class."""

import functools

import numpy as np
import pytest
from fakes import messages, open_widgets, wiretap
from planted import CARRIES, N_UNITS, PlantedProbe, planted_samples

from actwidgets.core.layers import LayerInfo
from actwidgets.errors import DataError
from actwidgets.session import importance
from actwidgets.session.importance import ImportancePass
from actwidgets.session.session import Session
from actwidgets.views.unit_importance import OLD, UnitImportance

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
    content = {"event": "element_click", "data": {"index": row}}
    view._bars.bands._handle_custom_msgs(None, content)


def _visible(widget):
    return widget.layout.display != "none"


def test_nothing_is_measured_before_the_button_is_pressed(session, probe):
    view = UnitImportance(session)
    assert "not measured yet for &lt;units&gt;" in view._note.value
    assert _visible(view._button)
    assert view._picture.layout.height == "0px"
    assert probe.log == []
    view._button.click()
    session.importance.wait()
    assert not _visible(view._button)
    assert view._picture.layout.height is None
    assert OLD not in view._picture._dom_classes


def test_the_rows_are_the_units_in_order_with_their_figures(session):
    view = _measured(UnitImportance(session, by="ablation"))
    table = session.importance.known()
    assert list(view._bars.names.text) == [str(u) for u in table.order("ablation")]
    assert view._bars.names.text[0] == str(CARRIES)
    ends = view._bars.bars[2].y
    assert ends[0] == ends.max()
    assert view._bars.figures.text[2 * N_UNITS] == "50.0"
    assert "6 units, by ablation effect; 300 samples." in view._note.value
    assert "Ablation effect ▾" in view._bars.header.value


def test_another_order_is_the_same_numbers_elsewhere(session):
    view = _measured(UnitImportance(session))
    view.by = "unit"
    assert list(view._bars.names.text) == ["0", "1", "2", "3", "4", "5"]
    view.by = "mutual_information"
    order = session.importance.known().order("mutual_information")
    assert list(view._bars.names.text) == [str(u) for u in order]


def test_the_chosen_unit_stands_out_and_a_click_chooses(session):
    view = _measured(UnitImportance(session, by="unit"))
    assert [bool(each) for each in view._bars.bands.opacities] == [True] + [False] * 5
    _click(view, 3)
    assert session.unit == 3
    assert np.flatnonzero(view._bars.bands.opacities).tolist() == [3]
    assert len(set(view._bars.bars[0].colors)) == 2


def test_cost_and_caveats_are_told(session):
    text = _measured(UnitImportance(session))._account.value
    for part in ("25 trees", "Strobl 2007", "looked at alone", "cannot make good"):
        assert part in text
    assert "6 units on 300 samples" in text
    assert "accuracy 100.0% with all units" in text
    assert "one sample is 0.33 points" in text


def test_another_class_is_not_measured_and_the_last_picture_fades(session, probe):
    view = _measured(UnitImportance(session))
    n_runs, before = len(probe.log), list(view._bars.names.text)
    session.class_index = 0
    assert "not measured yet for &lt;units&gt;, &lt;b&gt;shirt against the rest" in view._note.value
    assert OLD in view._picture._dom_classes
    assert _visible(view._button)
    assert list(view._bars.names.text) == before
    assert len(probe.log) == n_runs
    _click(view, before.index("3"))  # of a picture that is not of this
    assert session.unit == 0
    session.class_index = None
    assert OLD not in view._picture._dom_classes


def test_names_are_escaped_wherever_they_are_html(session):
    view = _measured(UnitImportance(session))
    session.class_index = 0
    _measured(view)
    assert "recall" in view._account.value
    for widget in (view._title, view._note, view._account, view._bars.header, view._progress.words):
        assert "<b>shirt" not in widget.value
        assert "<units>" not in widget.value


def test_partial_results_are_drawn_as_they_arrive(session):
    view = UnitImportance(session, by="ablation")
    session.importance.get(partial=True)
    session.importance.cancel()
    session.importance.wait()
    current = next(iter(session.importance._passes.values()))
    while not current.table().known("forest"):
        current.step()
    session.importance.set_trait("reading", None)
    view._repaint()
    assert "by random forest" in view._note.value  # until the ablation is known
    assert "not yet" in view._account.value
    assert set(view._bars.figures.text[N_UNITS:]) == {""}
    while not current.complete:
        current.step()
    view._repaint()
    assert "by ablation effect" in view._note.value


def test_the_line_tells_how_far_it_is_and_cancels_and_resumes(session):
    view = UnitImportance(session)
    session.importance.get(partial=True)
    assert _visible(view._progress) or session.importance.known().complete
    session.importance.cancel()
    session.importance.wait()
    if session.importance.known().complete:
        pytest.skip("it was faster than the test")
    assert "cancelled" in view._progress.words.value
    assert view._progress.button.description == "Resume"
    assert not _visible(view._button)
    view._progress.button.click()
    session.importance.wait()
    assert not _visible(view._progress)
    assert session.importance.known().complete


def test_new_weights_ask_for_a_new_measurement(session):
    view = _measured(UnitImportance(session))
    session.refresh()
    assert "not measured yet" in view._note.value
    assert _visible(view._button)


@pytest.mark.expects_error
def test_a_failure_is_told_in_the_view_and_it_can_be_tried_again(session, probe):
    def fail(layers, x):
        raise FloatingPointError("no <finite> value")

    view = UnitImportance(session)
    probe.activations = fail
    view._button.click()
    session.importance.wait()
    assert view.error == "could not measure the units: FloatingPointError: no <finite> value"
    assert "&lt;finite&gt;" in view._banner.value
    assert _visible(view._button)
    del probe.activations
    _measured(view)
    assert view.error == ""
    assert session.importance.known().complete


def test_without_labels_there_is_nothing_to_show(probe):
    view = UnitImportance(Session(probe, planted_samples()[0]))
    assert "nothing to show for &lt;units&gt;: this needs labels" in view._note.value
    assert not _visible(view._button)
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
    assert list(view._bars.names.text) == [str(u) for u in order[:30]]
    assert "30 of 40 units" in view._note.value
    session.unit = int(order[34])
    assert list(view._bars.names.text) == [str(u) for u in [*order[:29], order[34]]]
    assert "the last row is the chosen one, number 35" in view._note.value
    assert set(view._bars.figures.text[60:]) == {"–"}  # no ablation of this model
    assert "not known" in view._account.value


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
    session.importance.get(partial=True)
    session.importance.wait()
    assert view._picture.layout.height == "0px"
    view.watching = True
    assert view._picture.layout.height is None


def test_closing_gives_everything_back(session):
    before = set(open_widgets())
    view = _measured(UnitImportance(session))
    view.close()
    assert set(open_widgets()) <= before
    watching = session.importance._trait_notifiers["reading"]["change"]
    assert view._on_reading not in watching
    session.importance.get()
    view.close()
