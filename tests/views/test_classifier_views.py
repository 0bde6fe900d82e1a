"""Views of predictions: confusion matrix, table, counts; and selection_bar over all of it."""

from html import unescape

import bqplot as bq
import numpy as np
import pytest
import shown
import traitlets as t
from fakes import FakeProbe, look_again, messages, open_widgets, wiretap

from actwidgets.core.ablation import Ablation
from actwidgets.core.output_kind import OutputKind
from actwidgets.core.perturbation import Perturbation
from actwidgets.errors import DataError, SelectionError
from actwidgets.images.colormap import TOP, palette
from actwidgets.session.session import Session
from actwidgets.views.charts import class_ticks, tick_count
from actwidgets.views.class_counts import ClassCounts
from actwidgets.views.confusion_matrix import ConfusionCells, ConfusionMatrix
from actwidgets.views.controls import share_text
from actwidgets.views.prediction_table import PredictionTable
from actwidgets.views.sample_gallery import SampleGallery
from actwidgets.views.selection_bar import SelectionBar
from actwidgets.views.unit_ablation import UnitAblation
from actwidgets.views.unit_box_plot import UnitBoxPlot

NAMES = ("<b>shirt", "coat", "bag")


class Sigmoid(FakeProbe):
    n_classes = 1

    def predictions(self, x):
        return np.asarray(x)[:, 0, 0, :1] / 40


class Many(FakeProbe):
    n_classes = 1000

    def predictions(self, x):
        return np.eye(1000, dtype=np.float32)[np.asarray(x)[:, 0, 0, 0].astype(int) * 7 % 1000]


@pytest.fixture
def session(probe, data):
    return Session(probe, *data, class_names=NAMES)


def _predicted(view):
    """The classes that a table says are predicted, line by line."""
    said = shown.part(view, bq.Label)
    return [
        text.removeprefix("✓ ").split(" ✗ ")[-1]
        for text, x in zip(said.text, said.x, strict=True)
        if x == 108
    ]


def _figures(view):
    marks = shown.part(view, bq.Label)
    places = zip(marks.y, marks.x, strict=True)
    return dict(zip(places, marks.text, strict=True))


# --- confusion matrix --------------------------------------------------------------------


def test_cells_hold_the_counts_and_the_sides_recall_and_precision(session):
    view = ConfusionMatrix(session)
    figures = _figures(view)
    assert figures["<b>shirt", "<b>shirt"] == "5"
    assert figures["coat", "bag"] == "5"
    assert figures["<b>shirt", "recall"] == ".33"
    assert figures["bag", "recall"] == "–"
    assert figures["precision", "coat"] == ".50"
    assert "30 samples, accuracy 0.3333" in shown.text(view)
    view.normalized = "row"
    figures = _figures(view)
    assert figures["coat", "bag"] == ".33"


def test_a_single_sample_is_a_count_of_one_and_a_share_of_one(data):
    view = ConfusionMatrix(Session(FakeProbe(), data[0][:1], data[1][:1], class_names=NAMES))
    assert _figures(view)["<b>shirt", "<b>shirt"] == "1"
    view.normalized = "all"
    assert _figures(view)["<b>shirt", "<b>shirt"] == "1.00"


def test_a_click_on_a_cell_a_row_or_a_column_chooses_its_samples(session):
    view = ConfusionMatrix(session)
    shown.click(view, 0, 1)
    assert session.samples == (4, 10, 16, 22, 28)
    assert session.class_index == 0
    shown.click(view, 1, 3)
    assert session.samples == tuple(range(1, 30, 2))
    shown.click(view, 3, 2)
    assert session.samples == tuple(range(2, 30, 3))
    assert session.class_index == 2
    shown.click(view, 2, 0)  # nothing there
    assert session.samples == tuple(range(2, 30, 3))
    assert "0 samples of bag predicted as &lt;b&gt;shirt" in shown.markup(view)


def _line(view):
    return [
        [float(x), float(y)]
        for line in shown.parts(view, bq.Lines)
        for x, y in zip(line.x, line.y, strict=True)
    ]


def test_the_chosen_cell_is_outlined_and_told_as_true_and_predicted(session):
    view, chips, gallery = ConfusionMatrix(session), SelectionBar(session), SampleGallery(session)
    chip = chips.buttons["samples"]
    assert _line(view) == []
    shown.click(view, 0, 1)
    assert session.confusion_cell == (0, 1)
    assert _line(view) == [[1, 0], [2, 0], [2, 1], [1, 1], [1, 0]]
    assert chip.description == "true <b>shirt → predicted coat (5)  ×"
    shown.click(view, 1, 3)
    assert _line(view)[0::2] == [[0, 1], [4, 2], [0, 1]]
    assert chip.description == "true coat (15)  ×"
    shown.click(view, 3, 2)
    assert chip.description == "predicted bag (10)  ×"
    session.sample = 0  # one of its samples makes room
    assert (_line(view), session.confusion_cell) == ([], None)
    session.select(samples=(4, 10, 16, 22, 28), confusion_cell=(0, 1))
    assert _line(view)
    session.select(samples=(4, 10))
    assert (_line(view), session.confusion_cell) == ([], None)
    assert chip.description == "2 samples of <b>shirt predicted as coat  ×"
    assert (view.error, chips.error, gallery.error) == ("", "", "")


def test_a_cell_with_one_sample_is_a_choice_like_any_other(data):
    probe = FakeProbe()
    session = Session(probe, data[0][:9], data[1][:9], class_names=NAMES)
    view, chips = ConfusionMatrix(session), SelectionBar(session)
    gallery, table = SampleGallery(session, columns=2, rows=1), PredictionTable(session)
    assert session.confusion().samples(0, 2) == (2, 8)
    assert session.confusion().samples(0, 1) == (4,)
    shown.click(view, 0, 1)
    assert (session.samples, session.class_index) == ((4,), 0)
    assert chips.buttons["samples"].description == "true <b>shirt → predicted coat (1)  ×"
    assert shown.samples(gallery) == shown.samples(table) == [4]
    assert "1 selected of 9" in shown.text(gallery)
    chips.buttons["samples"].click()
    assert (session.samples, session.confusion_cell) == ((4,), None)
    assert chips.buttons["samples"].layout.display == "none"
    assert "of 9" in shown.text(gallery)
    assert "9 samples" in shown.text(table)
    assert _line(view) == []
    assert gallery.page == 2  # where it is among all


def test_of_a_cell_whose_samples_are_predicted_otherwise_now_the_chip_says_so(session, probe):
    view, chips = ConfusionMatrix(session), SelectionBar(session)
    shown.click(view, 0, 1)
    before = probe.predictions
    probe.predictions = lambda x: np.roll(before(x), 1, axis=1)
    session.refresh()
    assert chips.buttons["samples"].description == "5 samples of <b>shirt predicted as bag  ×"
    assert _line(view) == []


@pytest.mark.parametrize("cell", [3, "ab", (1,), (0, 3), (0.5, 1)])
def test_a_cell_that_does_not_exist_is_refused(session, cell):
    before = session.selection
    with pytest.raises(SelectionError):
        session.select(samples=(1, 2), confusion_cell=cell)
    assert session.selection == before


def test_the_worst_pairs_are_listed_and_choose_theirs(session):
    view = ConfusionMatrix(session)
    assert [" ".join(line.split()) for line in view.pairs.options[:2]] == [
        "5 33.3% <b>shirt → coat",
        "5 33.3% <b>shirt → bag",
    ]
    view.pairs.set_state({"index": 1})
    assert session.samples == (2, 8, 14, 20, 26)
    session.samples = (0,)
    view.pairs.set_state({"index": 1})
    assert session.samples == (2, 8, 14, 20, 26), "the same pair once more"


def test_to_list_the_pairs_chooses_none(session):
    before = session.selection
    view = ConfusionMatrix(session)
    assert (session.selection, view.pairs.index) == (before, None)


def test_what_is_right_and_what_is_wrong_are_shaded_apart(session):
    view = ConfusionMatrix(session)
    # 15 shirts and 15 coats, a third of each taken for shirts, coats and bags
    shades = np.array(view.matrix.color)
    np.testing.assert_array_equal(shades[:3, :3], [[-1, 1, 1], [1, -1, 1], [0, 0, 0]])
    assert not shades[3].any()
    assert not shades[:, 3].any()


def test_names_of_classes_that_are_those_of_the_sides_are_told_apart(data):
    view = ConfusionMatrix(Session(FakeProbe(), *data, class_names=("recall", "precision", "c")))
    assert list(view.matrix.column) == ["recall", "precision", "c", "recall of all"]
    assert list(view.matrix.row) == ["recall", "precision", "c", "precision of all"]


def test_of_many_classes_the_report_has_those_that_are_recognized_worst(data):
    x = np.repeat(data[0], 2, axis=0)
    labels = np.arange(60) // 2 * 7 % 1000  # as they are predicted, 30 of 1,000 classes
    labels[[58, 59, 12]] = 500, 501, 502
    names = tuple(f"class {index}" for index in range(1000))
    view = ConfusionMatrix(Session(Many(), x, labels, class_names=names))
    rows = [row[:3] for row in shown.table(view) if row[0].startswith("class ")]
    assert rows[:4] == [
        ["class 500", "–", "0.000"],
        ["class 501", "–", "0.000"],
        ["class 502", "–", "0.000"],
        ["class 42", "0.500", "1.000"],
    ]
    assert len(rows) == 30  # of the 32 that have samples


def test_the_report_is_escaped_and_marks_the_class(session):
    view = ConfusionMatrix(session)
    session.class_index = 1
    assert "<th>&lt;b&gt;shirt</th><td>0.500</td><td>0.333</td>" in shown.markup(view)
    assert '<tr class="aw-chosen"><th>coat</th>' in shown.markup(view)
    assert "<th>bag</th><td>0.000</td><td>–</td><td>0.000</td><td>0</td>" in shown.markup(view)


def test_another_unit_or_sample_does_not_touch_it_and_ablations_are_one_message_a_mark(data):
    class Editable(FakeProbe):
        def edited(self, edits):
            other = FakeProbe()
            other.predictions = lambda x: np.eye(3, dtype=np.float32)[[2] * len(x)]
            return other

    session = Session(Editable(), *data, class_names=NAMES)
    ConfusionMatrix(session), SelectionBar(session)
    wires = wiretap()
    session.select(sample=4)
    assert messages(wires) == []
    session.ablations = Ablation("dense", (0,))
    kinds = [name for name, _ in messages(wires)]  # the row of chips is told that there are some
    assert (kinds.count("GridHeatMap"), kinds.count("Label"), kinds.count("HBox")) == (1, 1, 1)


def test_of_a_thousand_classes_some_are_shown(data):
    x, _ = data
    session = Session(Many(), x, np.arange(30))
    view = ConfusionMatrix(session)
    assert len(view.matrix.row) == 24 + 1  # and the precision
    assert "24 of 1,000 classes" in shown.text(view)
    assert "30 of 1,000 classes, lowest F1 first" in shown.text(view)
    shown.choose(view, "find a class", "no such class")
    assert (session.class_index, view.error) == (None, "")
    assert list(view.matrix.row[:2]) == ["7", "14"]  # wrong twice
    shown.choose(view, "find a class", "203")  # 29 is taken for it
    assert session.class_index == 203
    assert view.matrix.scales["row"].domain == list(view.matrix.row)[::-1]
    assert view.matrix.scales["column"].domain == list(view.matrix.column)
    assert list(view.matrix.row[:2]) == ["203", "29"]
    shown.part(view, ConfusionCells).outline((203, 29))
    assert _line(view)
    for cell in ((203, 999), (999, None), (None, 999)):  # not on show
        shown.part(view, ConfusionCells).outline(cell)
        assert _line(view) == []


def test_a_single_sigmoid_has_two_classes(data):
    view = ConfusionMatrix(Session(Sigmoid(), *data, class_names=("no", "yes")))
    assert "accuracy" in shown.text(view)
    assert view.session.confusion().counts.sum() == 30
    table = PredictionTable(view.session, scope="all")
    assert shown.words(table)[:2] == ["no", "yes"]
    assert ".88" in shown.words(table)


@pytest.mark.parametrize("kind", [ConfusionMatrix, UnitAblation])
def test_predictions_that_are_nan_are_counted_aloud(kind, data):
    class Diverged(FakeProbe):
        def predictions(self, x):
            found = super().predictions(x)
            found[np.asarray(x)[:, 0, 0, 0] > 20, 2] = np.nan
            return found

    view = kind(Session(Diverged(), *data, class_names=NAMES))
    assert "30 samples" in shown.text(view)
    assert "9 with NaN for an output: their class means nothing" in shown.text(view)
    assert view.session.confusion().n_nan == 9
    assert "–" in shown.words(PredictionTable(view.session, page=1))
    assert "NaN" not in shown.text(kind(Session(FakeProbe(), *data, class_names=NAMES)))


class Score(Sigmoid):
    """One logit, and right on every sample, though none is above a half."""

    output_kind = OutputKind("value", "", (1,), "one number, and no loss", "shape")

    def predictions(self, x):
        return np.where(np.asarray(x)[:, 0, 0, :1] % 2 == 1, 0.3, -3.0)


def test_a_single_logit_tells_two_classes_by_its_sign_and_the_views_say_so(data):
    session = Session(Score(), *data, class_names=("no", "yes"))
    assert (session.output.kind, session.output.threshold) == ("logit", 0)
    assert session.confusion().accuracy == 1.0
    assert ConfusionMatrix(session).error == PredictionTable(session).error == ""
    assert shown.words(SampleGallery(session))[:3] == ["✓ no", "", "✓ yes"]


def test_what_the_caller_says_of_an_output_comes_first(data):
    session = Session(Score(), *data, output_is="probability")
    assert session.output.kind == "probability"
    assert session.confusion().accuracy == 0.5
    with pytest.raises(DataError, match='output_is must be "logit", "probability" or "value"'):
        Session(Score(), *data, output_is="score")


def test_where_no_classes_are_predicted_there_is_no_matrix(data):
    view = ConfusionMatrix(Session(Score(), data[0]))
    assert "nothing to show: the model's output is held for values" in unescape(shown.markup(view))
    assert view.error == ""


def test_without_labels_the_table_works_and_the_matrix_says_why_not(data):
    session = Session(FakeProbe(), data[0], class_names=NAMES)
    assert "nothing to show: this needs labels" in shown.text(ConfusionMatrix(session))
    table = PredictionTable(session)
    assert "→ coat" in shown.words(table)
    assert "loss" not in shown.control(table, "sort").options


# --- table of probabilities --------------------------------------------------------------


def test_the_table_is_of_the_chosen_samples_where_there_are_several(session):
    view = PredictionTable(session)
    assert "30 samples" in shown.text(view)
    session.samples = (4, 5, 9)
    assert shown.samples(view) == [4, 5, 9]
    words = shown.words(view)
    assert "▸ 4" in words
    assert "coat ✗ bag" in words
    assert words.count("1.00") == 3
    view.scope = "all"
    assert "30 samples" in shown.text(view)


def test_sorted_by_loss_the_worst_come_first_and_a_click_chooses(session):
    view = PredictionTable(session, sort="loss", lines=5, page=1)
    wrong = [row for row in range(30) if row % 2 != row % 3]
    assert shown.samples(view) == wrong[5:10]
    shown.click(view, 2, 0)
    assert session.samples == (wrong[6],)
    view.sort = "row"
    assert view.page == 0
    shown.click(view, 0, 0)  # the head
    assert session.sample == wrong[6]


def test_another_scope_begins_at_the_first_page(session):
    view = PredictionTable(session, lines=5, page=3)
    session.samples = range(12)
    view.scope = "all"
    assert (view.page, "1–5 of 30" in shown.text(view)) == (0, True)


def test_of_very_many_samples_the_first_are_sorted_and_that_is_told(session, monkeypatch):
    monkeypatch.setattr("actwidgets.views.prediction_table.OF_ALL", 30)
    view = PredictionTable(session, lines=4)
    assert "1–4 of 10" in shown.text(view)
    assert "the first 10 of 30 samples" in shown.text(view)


def test_a_click_among_the_chosen_moves_the_focus_and_keeps_the_choice(session):
    session.samples = (4, 5, 9)
    view = PredictionTable(session)
    shown.click(view, 3, 2)
    assert (session.sample, session.samples) == (9, (4, 5, 9))
    shown.hover(view, 1, 2)
    assert "sample 4, coat: 1" in shown.text(view)


def test_the_table_follows_a_perturbation(session):
    session.samples = (4, 5)
    view = PredictionTable(session)
    session.perturbation = Perturbation(brightness=-1)
    assert _predicted(view) == ["<b>shirt"] * 2


def test_the_table_of_all_samples_is_not_of_other_weights(data):
    class Trained(FakeProbe):
        weights = 0

        def fingerprint(self):
            return self.weights

        def predictions(self, x):
            return np.roll(super().predictions(x), self.weights, axis=1)

    view = PredictionTable(Session(Trained(), *data, class_names=NAMES))
    Trained.weights = 1
    look_again(view.session)
    view.page = 1
    assert _predicted(view) == [NAMES[(row + 1) % 3] for row in range(20, 30)]


def test_outputs_that_are_no_probabilities_are_shown_as_they_are_and_told(data):
    class Logits(FakeProbe):
        def predictions(self, x):
            return super().predictions(x) * 12 - 4

    view = PredictionTable(Session(Logits(), *data, class_names=NAMES, samples=(1, 2)))
    assert "the outputs are no probabilities" in shown.text(view)
    assert shown.words(view).count("8.0") == 2


def test_a_masked_class_leaves_the_colors_of_the_others(data):
    class Masked(FakeProbe):
        def predictions(self, x):
            wide = np.tile(np.array([1.0, -np.inf, 3.0], np.float32), (len(x), 1))
            return np.where(np.asarray(x)[:, 0, 0, :1] > 1, -np.inf, wide)

    view = PredictionTable(Session(Masked(), *data, class_names=NAMES), lines=3)
    colors = palette("likelihood")
    for line, shares in enumerate([[0, 0, 1], [0, 0, 1], [0, 0, 0]]):
        for class_index, share in enumerate(shares):
            pixels = shown.tile(view, 1 + line, 1 + class_index)
            middle = pixels[pixels.shape[0] // 2, pixels.shape[1] // 2]
            assert (middle == colors[share * TOP]).all()
    assert "-inf" in shown.words(view)


def test_of_a_thousand_classes_the_table_shows_those_that_hold_most(data):
    view = PredictionTable(Session(Many(), data[0], samples=(1, 2)))
    assert {"7", "14"} <= set(shown.words(view)[:12])
    assert "12 of 1,000 classes" in shown.text(view)


# --- counts, selection_bar, and what follows a choice --------------------------------------


def test_each_split_has_its_bars_and_a_click_chooses_the_class(session):
    view = ClassCounts(session, {"train": [0, 0, 2], "test": np.eye(3)[[1]]})
    assert view.bars.y.tolist() == [[2, 0, 1], [0, 1, 0]]
    assert view.bars.labels == ["train", "test"]
    assert "train 3; test 1" in shown.text(view)
    view.bars.selected = [2]
    assert session.class_index == 2
    assert "bag: 1 and 0" in shown.text(view)
    assert "15 of" not in shown.text(ClassCounts(session))
    with pytest.raises(DataError, match="y holds 3"):
        ClassCounts(session, {"train": [3]})


def test_of_very_many_classes_the_largest_have_bars(data):
    labels = np.repeat(np.arange(100, 1000, 10), 2)  # 90 classes of two, and two of three
    labels = np.concatenate([labels, [3, 3, 3, 990]])
    session = Session(Many(), np.zeros((len(labels), 6, 8, 1), np.float32), labels)
    view = ClassCounts(session)
    assert len(view.bars.x) == 40
    assert [*view.bars.x[:2], view.bars.x[-1]] == ["3", "100", "990"]
    assert "909 of 1,000 classes without samples; the 40 largest classes" in shown.text(view)
    view.bars.set_state({"selected": [0]})
    assert session.class_index == 3


def test_a_second_click_on_a_bar_or_box_chooses_its_class_again(session):
    counts, boxes = ClassCounts(session), UnitBoxPlot(session)
    for mark in (counts.bars, boxes.boxes):
        mark.set_state({"selected": [1]})
        assert session.class_index == 1
        session.class_index = 0
        mark.set_state({"selected": [1]})
        assert session.class_index == 1
        session.class_index = None


def test_selection_bar_tell_what_is_selected_and_take_it_back(session):
    view = SelectionBar(session)
    assert "conv · unit 0" in shown.text(view)
    assert view.clear.layout.display == "none"
    session.select(samples=(4, 10), class_index=1, perturbation=Perturbation(noise=0.1), unit=3)
    assert view.buttons["samples"].description == "2 samples of <b>shirt predicted as coat  ×"
    assert view.buttons["perturbation"].layout.display is None
    view.buttons["class_index"].click()
    assert session.class_index is None
    assert view.buttons["class_index"].layout.display == "none"
    session.sample = 10
    view.clear.click()
    assert (session.samples, session.perturbation.noise) == ((10,), 0.0)
    assert session.unit == 3


def test_selection_bar_take_back_what_the_model_cannot_do(session):
    view = SelectionBar(session)
    session.select(samples=(4, 10), ablations=Ablation("dense", (0,)))  # which it cannot
    assert view.buttons["samples"].description == "2 samples of <b>shirt  ×"
    view.buttons["ablations"].click()
    assert session.ablations == ()
    assert view.buttons["samples"].description == "2 samples of <b>shirt predicted as coat  ×"
    assert view.error == ""


def test_of_very_many_samples_no_predictions_are_asked_for(probe):
    n_samples = 300
    session = Session(probe, np.zeros((n_samples, 6, 8, 1), np.float32), [0] * n_samples)
    view = SelectionBar(session)
    session.samples = range(257)
    assert probe.calls == []
    assert view.buttons["samples"].description == "257 samples of 0  ×"
    session.samples = range(256)
    assert view.buttons["samples"].description == "256 samples of 0 predicted as 0  ×"


def test_the_gallery_shows_what_others_choose_and_all_again_when_it_is_one(session):
    view = SampleGallery(session)
    session.samples = (20, 4, 9)
    assert view.only_chosen
    assert shown.samples(view) == [20, 4, 9]
    assert "3 selected of 30" in shown.text(view)
    shown.click(view, 0, 1)
    assert (session.sample, session.samples) == (4, (20, 4, 9))
    view.outcome = "wrong"
    assert shown.samples(view) == [20, 4, 9]
    session.samples = (5,)
    assert not view.only_chosen
    view.outcome = "all"
    view.set_trait("several", True)
    shown.click(view, 0, 0)
    assert not view.only_chosen  # chosen here: there is nothing new to show


def test_the_captions_of_the_gallery_follow_ablations(data):
    class Editable(FakeProbe):
        def edited(self, edits):
            other = type(self)()
            other.predictions = lambda x: np.eye(3, dtype=np.float32)[[2] * len(x)]
            return other

    session = Session(Editable(), *data, class_names=NAMES)
    view = SampleGallery(session)
    session.ablations = (Ablation("dense", (0,)),)
    assert shown.words(view)[:2] == ["✗ bag", "is <b>shirt"]


def test_the_chosen_samples_are_dots_over_the_boxes(session):
    session.layer = "dense"
    view = UnitBoxPlot(session)
    assert len(view.chosen.x) == 0
    session.samples = (4, 9)
    assert list(view.chosen.x) == ["<b>shirt", "coat"]
    assert list(view.chosen.y) == [4, 9]
    assert "dots: 2 selected samples" in shown.text(view)
    session.samples = (4,)
    assert len(view.chosen.x) == 0


def test_at_most_a_hundred_samples_are_dots_and_those_of_classes_on_show(data):
    labels = np.arange(400) % 40
    x = np.zeros((400, 6, 8, 1), np.float32)
    x[:, 0, 0, 0] = labels  # so that class 39 has the highest median, and 0..9 are not shown
    session = Session(Many(), x, labels, layer="dense")
    view = UnitBoxPlot(session)
    session.samples = (5, 9, 10, 30)
    assert list(view.chosen.x) == ["10", "30"]
    session.samples = range(200)
    assert "dots: the first 100 of 200 selected samples" in shown.text(view)
    assert len(view.chosen.x) == 70  # 30 of the first 100 are of classes that have no box


def test_class_counts_of_a_model_without_classes_say_that_there_is_nothing_to_count(data):
    class NoClasses(FakeProbe):
        n_classes = 0

    session = Session(NoClasses(), data[0])
    for splits in (None, {"train": [0, 1, 2]}):
        view = ClassCounts(session, splits)
        assert (
            "nothing to count: the model&#x27;s output is not one value per class"
            in shown.markup(view)
        )
        assert not view.error
        view.close()


def test_class_counts_and_confusion_say_that_names_in_y_are_in_alphabetical_order(data):
    y = np.array(["pear", "apple", "fig"])[np.arange(len(data[0])) % 3]
    session = Session(FakeProbe(), data[0], y)
    counts, matrix = ClassCounts(session), ConfusionMatrix(session)
    assert counts.bars.x.tolist() == ["apple", "fig", "pear"]
    assert "classes are the names in y, in alphabetical order" in shown.text(counts)
    assert "classes are the names in y, in alphabetical order" in shown.text(matrix)
    named = Session(FakeProbe(), data[0], y, class_names=("pear", "apple", "fig"))
    assert "order" not in shown.text(ClassCounts(named))
    assert named.labels.tolist() == (np.arange(len(data[0])) % 3).tolist()


# --- very many classes -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "room_px", "turned", "written"),
    [
        (list("0123456789"), 40, 0, 10),
        (["ankle boot"] * 10, 40, -40, 10),
        ([str(number) for number in range(24)], 16, -90, 24),
        ([f"{number:03}" for number in range(30)], 16.4, -90, 30),
        (["bullfrog"] * 60, 7, -90, 31),
    ],
)
def test_names_at_an_axis_do_not_lie_upon_one_another(names, room_px, turned, written):
    assert class_ticks(names, room_px).get("tick_rotate", 0) == turned
    count = tick_count(len(names), room_px, names)
    assert count == written
    step = 1 if count == len(names) else len(names) // (count - 1)  # as bqplot counts
    across_px = 7 * max(map(len, names)) if not turned else 11 / (1 if turned == -90 else 0.643)
    assert step * room_px >= min(across_px, 17.2)


def test_a_small_probability_is_told_in_figures_that_tell_something():
    found = [share_text(share) for share in (0.0, 0.00123, 0.05, 0.0949, 0.5, 0.999)]
    assert found == ["0.00", "0.0012", "0.05", "0.095", "0.50", "1.00"]


def test_of_a_thousand_classes_that_are_about_as_probable_the_cells_say_so(data):
    class Even(Many):
        def predictions(self, x):
            found = np.full((len(x), 1000), 0.001, np.float32)
            found[:, 700] = 0.004
            return found

    view = PredictionTable(Session(Even(), *data), width_px=678)
    texts = shown.words(view)
    assert "700" in texts
    assert ".004" in texts
    assert "loss" in texts
    assert shown.part(view, bq.Figure).layout.width == f"{168 + 12 * 30 + 144}px"


def test_an_order_of_values_is_refused_where_there_are_classes_and_nothing_changes(session):
    view, n_open = PredictionTable(session, sort="margin"), len(open_widgets())
    with pytest.raises(t.TraitError, match="no order 'error' here; there are row, confidence"):
        view.sort = "error"
    assert (view.sort, view.error) == ("margin", "")
    with pytest.raises(t.TraitError, match="no order 'target' here"):
        PredictionTable(session, sort="target")
    assert len(open_widgets()) == n_open
