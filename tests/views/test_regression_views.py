"""Views of a model that predicts values: what needs no classes works, the rest says so."""

import html

import bqplot as bq
import ipywidgets as w
import numpy as np
import pytest
import shown
from fakes import FakeProbe, messages, open_widgets, wiretap

from actwidgets.app import explore
from actwidgets.core.output_kind import OutputKind
from actwidgets.errors import DataError, ShapeError
from actwidgets.session.session import Session
from actwidgets.views.attribution_map import AttributionMap
from actwidgets.views.charts import output_note
from actwidgets.views.class_similarity_matrix import ClassSimilarityMatrix
from actwidgets.views.confusion_matrix import ConfusionMatrix
from actwidgets.views.input_lab import InputLab
from actwidgets.views.prediction_table import PredictionTable
from actwidgets.views.sample_gallery import SampleGallery
from actwidgets.views.top_samples import TopSamples
from actwidgets.views.unit_ablation import UnitAblation
from actwidgets.views.unit_box_plot import UnitBoxPlot
from actwidgets.views.unit_table import UnitTable


class Regression(FakeProbe):
    """Puts out a tenth of the first pixel, which is the row of the sample."""

    n_classes = 1
    output_kind = OutputKind("value", "", (1,), "it was compiled with <b>mse</b>", "loss")

    def predictions(self, x):
        return np.asarray(x)[:, 0, 0, :1] / 10


class Several(Regression):
    n_classes = 6
    output_kind = OutputKind("value", "", (6,), "it was compiled with mse", "loss")

    def predictions(self, x):
        return np.asarray(x)[:, 0, 0, :1] * np.arange(6)


@pytest.fixture
def x():
    found = np.zeros((30, 6, 8, 1), np.float32)
    found[:, 0, 0, 0] = np.arange(30)
    return found


@pytest.fixture
def session(x):
    return Session(Regression(), x, np.arange(30) / 10 + 0.25)


def _lines(view):
    """Of the samples, and before them the heads of the columns."""
    head, *lines = [line.split() for line in shown.lines(view)]
    assert head[:2] == ["sample", "predicted"]
    return lines


def test_float_y_holds_the_targets_of_a_regression(session):
    assert session.labels is None
    assert session.class_names == ()
    np.testing.assert_allclose(session.targets[:, 0], np.arange(30) / 10 + 0.25, rtol=1e-6)
    scores = session.value_scores([3, 5])
    np.testing.assert_allclose(scores.residuals, [[-0.25], [-0.25]], rtol=1e-5)
    with pytest.raises(ShapeError, match="x has 30 samples and y has 29 targets"):
        Session(Regression(), np.zeros((30, 6, 8, 1)), np.zeros(29))
    with pytest.raises(ShapeError, match=r"a target for each of 6 outputs; got shape \(30, 2\)"):
        Session(Several(), np.zeros((30, 6, 8, 1)), np.zeros((30, 2)) + 0.5)


def test_whole_targets_are_targets_too(x):
    assert Session(Regression(), x, np.arange(30)).targets[29, 0] == 29


def test_whole_labels_beside_several_values_name_classes_of_samples(x):
    session = Session(Several(), x, np.arange(30) % 3)
    assert session.class_names == ("0", "1", "2")
    assert session.targets is None
    assert not session.predicts_classes
    assert session.profiles().counts.tolist() == [10, 10, 10]


def test_the_table_has_predicted_value_target_and_residual(session):
    view = PredictionTable(session)
    assert view.error == ""
    assert _lines(view)[4] == ["4", "0.4", "0.65", "-0.25"]
    assert "mean absolute error 0.25, root mean square 0.25" in shown.text(view)
    assert "output: one value, no classes" in shown.text(view)
    assert "&lt;b&gt;mse" in shown.markup(view)
    assert not shown.parts(view, bq.Figure)
    view.sort = "error"
    view.lines = 3
    assert len(_lines(view)) == 3
    shown.take(view, w.Select, 3)
    chosen = int(_lines(view)[2][0])
    assert session.sample == chosen
    shown.take(view, w.Select, 0)  # no sample
    assert (session.sample, shown.control(view, w.Select).index) == (chosen, 3)


def test_without_targets_the_table_has_what_is_predicted(x):
    view = PredictionTable(Session(Regression(), x))
    assert _lines(view)[29 - 10] == ["19", "1.9"]
    assert "error" not in shown.control(view, "sort").options


def test_without_targets_an_order_by_error_is_refused(x):
    scores = Session(Regression(), x).value_scores([1, 2])
    with pytest.raises(DataError, match="there are no targets"):
        scores.order("error")


def test_of_many_outputs_some_have_a_column_and_it_says_so(x):
    view = PredictionTable(Session(Several(), x, np.zeros((30, 6)) + 0.5))
    assert len(_lines(view)[0]) == 6  # sample, four outputs, mean |residual|
    assert "4 of 6 outputs" in shown.text(view)
    assert _lines(view)[1][1:5] == ["0", "1", "2", "3"]
    assert float(_lines(view)[1][5]) == pytest.approx(13 / 6, abs=1e-3)  # .5 .5 1.5 … 4.5


def test_one_choice_sends_no_message_twice(session):
    PredictionTable(session)
    wires = wiretap()
    session.sample = 7
    sent = messages(wires)
    assert len(sent) == len({(kind, tuple(traits)) for kind, traits in sent})
    assert any(kind == "Select" for kind, _ in sent)


@pytest.mark.parametrize("y", [None, np.arange(30) / 7])
def test_views_of_units_need_no_labels(x, y):
    session = Session(Regression(), x, y, layer="dense", unit=2)
    top = TopSamples(session, columns=4, rows=1)
    session.wait()
    assert top.error == ""
    assert shown.samples(top) == [29, 28, 27, 26]  # the value of unit 2 is thrice the row
    assert shown.words(top)[1::2] == ["87", "84", "81", "78"]
    found = UnitTable(session)
    assert "needs" not in shown.text(found)
    assert found.error == ""
    with pytest.raises(DataError, match="class profiles need labels; this session was given"):
        session.profiles()
    assert session.profiles.units().counts.tolist() == [30]


def test_views_of_classes_say_that_there_are_none(session):
    told = html.unescape(shown.markup(UnitBoxPlot(session)))
    assert "this needs class labels, and y holds the targets of a regression" in told
    assert "holds the targets" in shown.text(ClassSimilarityMatrix(session))
    assert "held for values, not classes" in shown.text(ConfusionMatrix(session))


def test_a_map_is_asked_about_the_output_and_no_class_is_offered(session, x):
    view = AttributionMap(session)
    assert [words for words, _ in shown.control(view, "target").options] == ["the output"]
    assert "Attribution" in shown.text(view)
    assert shown.control(AttributionMap(Session(Several(), x)), "target").options[1] == (
        "output 0",
        0,
    )


class Hinge(FakeProbe):
    """The margin of the second class is the row less 12."""

    n_classes = 1
    output_kind = OutputKind("logit", "margin", (1,), "it was compiled with hinge", "loss")

    def predictions(self, x):
        return np.asarray(x)[:, 0, 0, :1] - 12

    def edited(self, edits):
        return self


def test_scores_without_a_probability_are_never_told_as_one(x):
    session = Session(Hinge(), x, np.arange(30) > 12, class_names=("no", "yes"), layer="dense")
    assert session.confusion().accuracy == 1.0
    table = PredictionTable(session)
    words = shown.words(table)
    assert "–" in words  # for a confidence
    assert "0.00" not in words
    lab = InputLab(session)
    assert "no</div>" in shown.markup(lab).replace("</span>", "")
    ablation = UnitAblation(session)
    assert "nan" not in shown.text(ablation)
    gallery = SampleGallery(session)
    shown.hover(gallery, 0, 0)
    assert "predicted no, is no" in shown.text(gallery)
    assert [view.error for view in (table, lab, ablation, gallery)] == [""] * 4


def test_where_no_layer_has_maps_the_first_method_needs_none(x):
    class Flat(Regression):
        layers = (FakeProbe.layers[1],)

    view = AttributionMap(Session(Flat(), x))
    assert view.method == "gradient_x_input"
    assert "grad_cam" not in view.methods
    assert AttributionMap(Session(Flat(), x), method="lrp").method == "lrp"


def test_the_workbench_opens_on_a_regression_with_its_targets(x):
    before = open_widgets()
    app = explore(Regression(), x, np.arange(30) / 10)
    for page in ("layers", "predictions", "units", "attributions", "interventions"):
        app.pages.turn_to(page)
    app.session.wait()
    assert {name: view.error for name, view in app.views.items() if view.error} == {}
    assert app.session.class_index is None
    app.close()
    assert open_widgets() == before


def test_which_of_several_outputs_is_told_without_saying_output_twice():
    output = OutputKind(
        "logit", "softmax", (10,), "why", "loss", head="digit", heads=("age", "digit")
    )
    told = html.unescape(output_note(output))
    assert ">output 'digit' of age, digit: " in told
    assert "output: output" not in told


def test_one_sample_is_told_in_the_singular(x):
    assert "1 sample<" in shown.markup(PredictionTable(Session(Regression(), x[:1])))


def test_a_map_of_a_value_offers_no_score_of_a_class_and_speaks_of_the_output(session):
    view = AttributionMap(session)
    assert not shown.is_shown(view, "score")
    view.output = "probability"  # set in Python: the way back stays
    assert shown.is_shown(view, "score")


def test_controls_go_where_a_view_has_nothing_to_show_and_come_back(x):
    empty = ConfusionMatrix(Session(Regression(), x))
    assert not shown.is_shown(empty, w.Dropdown)
    full = ConfusionMatrix(Session(Hinge(), x, np.arange(30) > 12))
    assert shown.is_shown(full, w.Dropdown)
    ablation = UnitAblation(Session(Regression(), x))  # units are turned off there all the same
    assert shown.is_shown(ablation, "this unit only")
