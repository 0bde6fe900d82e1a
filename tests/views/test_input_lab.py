import html
import re
import threading

import bqplot as bq
import numpy as np
import pytest
import shown
from bqplot.interacts import BrushSelector
from fakes import FakeProbe, messages, wiretap

from actwidgets.core.perturbation import UNDISTURBED, Perturbation
from actwidgets.session.session import Session
from actwidgets.views import input_lab
from actwidgets.views.feature_map_grid import FeatureMapGrid
from actwidgets.views.input_lab import SHIFTS, SLIDERS, InputLab, _title

FIELDS = ("brightness", "contrast", "noise", "blur", "rotation", "shift_down", "shift_right")
LABELS = dict([each[:2] for each in SLIDERS] + list(SHIFTS))
ONE = 1 / 29  # of the range: the class of the fake probe moves on by one


@pytest.fixture
def lab(session):
    return InputLab(session)


def _pixels(lab):
    """What the picture shows now, `(row, column, RGB)`."""
    return shown.picture(lab)[..., :3]


def _text(lab):
    """What is said of the prediction, without its tags."""
    return html.unescape(re.sub("<[^>]*>", " ", shown.markup(lab)))


def _sentence(lab):
    return shown.plain(re.search('<div class="aw-says">.*?</div>', shown.markup(lab))[0])


def _widths(lab):
    """The bars: what is said now and what was said before, in percent, by class."""
    return [
        [float(each) for each in re.findall(f"<{tag} style=.width:([0-9.]+)%", shown.markup(lab))]
        for tag in ("b", "i")
    ]


def _drag(lab, rows, columns, *, brushing=True):
    """What the browser sends while the mouse draws or moves the rectangle."""

    def edges(values):
        array = np.array(values, np.float64)
        return {"value": memoryview(array), "dtype": "float64", "shape": [2]}

    state = {"brushing": brushing, "selected_x": edges(columns), "selected_y": edges(rows)}
    shown.part(lab, BrushSelector).set_state(state)


# --- sliders -----------------------------------------------------------------------------


@pytest.mark.parametrize("field", [*FIELDS, "patch_value"])
def test_every_slider_sets_its_field_and_follows_it(lab, session, field):
    shown.choose(lab, LABELS[field], 0.25)
    assert session.perturbation == Perturbation(**{field: 0.25})
    session.perturbation = Perturbation(**{field: 0.5})
    assert shown.control(lab, LABELS[field]).value == 0.5
    session.perturbation = None
    assert shown.control(lab, LABELS[field]).value == getattr(UNDISTURBED, field)


def test_sliders_add_up(lab, session):
    shown.choose(lab, LABELS["noise"], 0.1)
    shown.choose(lab, LABELS["rotation"], -30)
    assert session.perturbation == Perturbation(noise=0.1, rotation=-30)


def test_the_shift_reaches_half_the_picture(lab):
    ends = [
        (shown.control(lab, LABELS[each]).min, shown.control(lab, LABELS[each]).max)
        for each in FIELDS[-2:]
    ]
    assert ends == [(-3, 3), (-4, 4)]


def test_a_tick_is_one_pass_and_one_message_per_mark_and_picture(lab, session, probe):
    session.sample = 3
    shown.choose(lab, LABELS["brightness"], ONE)  # the first one wakes the button
    wires, probe.calls[:] = wiretap(), []
    shown.choose(lab, LABELS["brightness"], 2 * ONE)
    assert probe.calls == [(("",), 1)]
    assert [name for name, _ in messages(wires)] == ["HTML", "Image"]
    for wire in wires.values():
        wire.sent.clear()
    session.select(layer="dense", unit=2, class_index=1)
    assert messages(wires) == []


def test_reset_is_one_step_and_takes_everything_back(lab, session):
    assert shown.control(lab, "Reset").disabled
    session.perturbation = Perturbation(0.1, 2, 0.2, 1, 45, 1, 2, (1, 1, 2, 2), 0.75, 4)
    seen = []
    session.observe(lambda change: seen.append(change.new), "selection")
    shown.press(lab, "Reset")
    assert len(seen) == 1
    assert session.perturbation == UNDISTURBED
    assert shown.part(lab, BrushSelector).selected_x is None
    assert [shown.control(lab, LABELS[field]).value for field in FIELDS] == [0, 1, 0, 0, 0, 0, 0]
    assert shown.control(lab, "Reset").disabled


def test_what_python_sets_is_shown_and_not_sent_back(lab, session):
    beyond = Perturbation(brightness=3, blur=9, shift_down=-50, patch=(-2, 5, 4, 30))
    seen = []
    session.observe(lambda change: seen.append(change.new.perturbation), "selection")
    wires = wiretap()
    session.perturbation = beyond
    assert seen == [beyond]
    assert session.perturbation == beyond
    assert (
        shown.control(lab, LABELS["brightness"]).value,
        shown.control(lab, LABELS["shift_down"]).value,
    ) == (3, -50)
    assert shown.part(lab, BrushSelector).selected.tolist() == [
        [5, 0],
        [8, 2],
    ]  # what lies on the picture
    sent = [name for name, _ in messages(wires)]
    assert sent.count("BrushSelector") == 1
    assert sent.count("FloatSlider") == 3
    assert sent.count("Image") == 1


# --- the patch ---------------------------------------------------------------------------


def test_the_patch_follows_the_mouse_in_whole_pixels(lab, session):
    _drag(lab, (1.2, 3.4), (2.1, 6.9))
    assert session.perturbation.patch == (1, 2, 2, 5)
    _drag(lab, (2.2, 4.4), (3.1, 7.9))
    assert session.perturbation.patch == (2, 3, 2, 5)
    gray = _pixels(lab)[2:4, 3:8]
    assert (abs(gray.astype(int) - 128) <= 1).all()
    assert "2×5 hidden, row 2, column 3" in shown.text(lab)


def test_a_move_is_one_message_per_mark_and_the_rectangle_is_left_to_the_mouse(lab, session):
    _drag(lab, (0, 2), (2, 4))
    wires = wiretap()
    seen = []
    session.observe(lambda change: seen.append(change.new), "selection")
    _drag(lab, (1.3, 3.3), (1.4, 3.4))
    sent = messages(wires)
    assert len(seen) == 1
    assert [name for name, _ in sent].count("Image") == 1
    assert [name for name, _ in sent].count("HTML") == 1  # where it lies; the class is the same
    assert shown.part(lab, BrushSelector).selected.tolist() == [[1.4, 1.3], [3.4, 3.3]]


def test_what_the_mouse_draws_on_is_measured_anew_as_the_lab_is_shown_again(
    lab, session, monkeypatch
):
    monkeypatch.setattr(input_lab, "MEASURED_AFTER_S", 0)
    brush, seen, measured = shown.part(lab, BrushSelector), [], threading.Event()

    def note_what_is_drawn_with(change):
        seen.append(change.new)
        if change.new is brush:
            measured.set()

    lab._picture.picture.figure.observe(note_what_is_drawn_with, "interaction")
    lab.watching = False
    assert not seen
    lab.watching = True
    assert measured.wait(60)
    assert seen == [None, brush], "the page makes it again"
    _drag(lab, (1.3, 3.3), (1.4, 3.4))
    lab._picture.measure()
    assert len(seen) == 2, "not under the mouse"
    assert not lab.error


def test_it_gets_its_whole_pixels_when_the_mouse_lets_go(lab, session):
    _drag(lab, (1.3, 3.3), (1.4, 3.4))
    wires = wiretap()
    shown.part(lab, BrushSelector).set_state({"brushing": False})
    assert shown.part(lab, BrushSelector).selected.tolist() == [[1, 1], [3, 3]]
    assert session.perturbation.patch == (1, 1, 2, 2)
    sent = messages(wires)
    assert [name for name, _ in sent] == ["BrushSelector"]
    _drag(lab, (2.6, 4.6), (1, 3), brushing=False)  # the last move and the end in one message
    assert session.perturbation.patch == (3, 1, 2, 2)
    assert shown.part(lab, BrushSelector).selected.tolist() == [[1, 3], [3, 5]]


def test_the_patch_is_taken_away_by_its_button_or_a_click_beside_it(lab, session):
    for take_away in (
        shown.control(lab, "Remove patch").click,
        lambda: shown.part(lab, BrushSelector).set_state({"selected_x": None, "selected_y": None}),
    ):
        session.perturbation = Perturbation(noise=0.1, patch=(1, 1, 2, 2))
        assert not shown.control(lab, "Remove patch").disabled
        take_away()
        assert session.perturbation == Perturbation(noise=0.1)
        assert shown.part(lab, BrushSelector).selected_x is None
        assert shown.control(lab, "Remove patch").disabled


def test_while_the_mouse_draws_anew_the_patch_stays_until_there_is_another(lab, session):
    session.perturbation = Perturbation(patch=(1, 1, 2, 2))
    shown.part(lab, BrushSelector).set_state(
        {"brushing": True, "selected_x": None, "selected_y": None}
    )
    assert session.perturbation.patch == (1, 1, 2, 2)
    _drag(lab, (0, 1), (0, 1))
    assert session.perturbation.patch == (0, 0, 1, 1)


def test_a_tall_picture_is_not_laid_on_its_side_and_a_sequence_is_none():
    x = np.zeros((3, 30, 4), np.float32)
    x[:, 0, 0] = 1

    class Sequences(FakeProbe):
        def check(self, x):
            pass

        def predictions(self, x):
            return np.ones((len(x), 3), np.float32) / 3

    session = Session(Sequences(), x)
    lab = InputLab(session)
    _drag(lab, (10, 22), (1, 3), brushing=False)
    assert session.perturbation.patch == (10, 1, 12, 2)
    assert shown.part(lab, BrushSelector).selected.tolist() == [[1, 10], [3, 22]]
    assert session.pictures([0]).shape == (1, 30, 4, 3)
    in_time = Session(Sequences(), x, axes=("time", "feature"))
    assert "the samples are no images" in shown.text(InputLab(in_time))
    assert in_time.pictures([0])[0, ..., 0].argmax() == 0
    assert in_time.pictures([0]).shape[2] == 30  # time runs to the right


# --- the picture -------------------------------------------------------------------------


def test_the_picture_is_that_of_the_sample_in_focus_as_it_is_perturbed(session):
    session.select(samples=(2, 28, 14), sample=28)
    lab = InputLab(session)
    assert _pixels(lab)[0, 0].tolist() == [246] * 3  # 28 of 29
    assert "sample 28, 1 of 3 visible · 6×8 pixels" in shown.text(lab)
    session.perturbation = Perturbation(shift_down=1, brightness=-0.5)
    assert _pixels(lab)[1, 0].tolist() == [119] * 3
    session.sample = 2
    assert "sample 2, 1 of 3" in shown.text(lab)
    assert _pixels(lab).max() == 0


def test_its_proportions_are_those_of_the_input(lab):
    layout = shown.part(lab, bq.Figure).layout
    assert (layout.height, layout.width) == ("180px", "240px")


def test_the_maps_beside_it_follow(lab, session):
    session.sample = 3
    grid = FeatureMapGrid(session)
    assert "from 3 to 60" in shown.text(grid)
    shown.choose(lab, LABELS["contrast"], 0)
    assert "from 14.5 to 290" in shown.text(grid)


# --- what is said ------------------------------------------------------------------------


def test_the_prediction_moves_in_bars_and_in_a_sentence(lab, session):
    session.sample = 3
    assert _sentence(lab) == "shirt 1.00"
    assert _widths(lab) == [[100, 0, 0], [100, 0, 0]]
    session.perturbation = Perturbation(brightness=ONE)
    assert _sentence(lab) == "shirt 1.00 → coat 1.00"
    assert _widths(lab) == [[0, 100, 0], [100, 0, 0]]
    session.perturbation = Perturbation(brightness=2 * ONE)
    assert _sentence(lab) == "shirt 1.00 → bag 1.00"


def test_the_true_class_is_marked_and_wrong_differs_from_right(lab, session):
    session.select(sample=4)  # is a shirt, and said to be a coat
    rows = re.findall("<tr.*?</tr>", shown.markup(lab))
    assert ["aw-true" in row for row in rows] == [True, False, False]
    wrong = shown.markup(lab)
    session.perturbation = Perturbation(brightness=2 * ONE)  # now said to be a shirt
    assert _sentence(lab) == "coat 1.00 → shirt 1.00"
    assert ("#d9534f" in wrong, "#2e9e5b" in wrong) == (True, False)
    assert "background:#2e9e5b" in shown.markup(lab)


def test_before_means_without_the_perturbation_and_with_the_ablations(data):
    class Ablated(FakeProbe):
        def edited(self, edits):
            found = FakeProbe()
            found.predictions = lambda x: FakeProbe().predictions(x)[:, [2, 0, 1]]
            return found

    from actwidgets.core.ablation import Ablation

    session = Session(Ablated(), *data, class_names=("shirt", "coat", "bag"), sample=3)
    lab = InputLab(session)
    assert _sentence(lab) == "shirt 1.00"
    session.ablations = (Ablation("conv", (1,)),)
    assert _sentence(lab) == "coat 1.00"
    session.perturbation = Perturbation(brightness=ONE)
    assert _sentence(lab) == "coat 1.00 → bag 1.00"


def test_names_are_escaped(data):
    session = Session(FakeProbe(), *data, class_names=("<i>shirt", '"coat', "bag"))
    lab = InputLab(session)
    assert "&lt;i&gt;shirt 1.00" in shown.markup(lab)
    assert "<i>shirt" not in shown.markup(lab)
    assert 'title="&quot;coat"' in shown.markup(lab)


def test_without_labels_no_class_is_true(data):
    lab = InputLab(Session(FakeProbe(), data[0]))
    assert "aw-true" not in shown.markup(lab)
    assert _sentence(lab) == "0 1.00"
    assert "color:#d9534f" not in shown.markup(lab)


# --- other models and samples ------------------------------------------------------------


class Other(FakeProbe):
    """Puts out what it is told to, from the first pixel."""

    def __init__(self, n_classes, answer):
        super().__init__()
        self.n_classes, self.answer = n_classes, answer

    def predictions(self, x):
        return np.stack([self.answer(first) for first in np.asarray(x)[:, 0, 0, 0]])


def test_of_a_regression_the_value_before_and_now(data):
    probe = Other(1, lambda first: np.array([10 * first], np.float32))
    for labels in (None, data[1]):  # with labels a value outside 0..1 tells that it is one
        session = Session(probe, data[0], labels, sample=3, samples=(1, 3))
        lab = InputLab(session)
        assert _sentence(lab) == "30"
        session.perturbation = Perturbation(brightness=ONE)
        assert _sentence(lab) == "30 → 40"
        assert "<table" not in shown.markup(lab)
        assert lab.error == ""
        session.close()


def test_of_a_single_sigmoid_both_classes(data):
    probe = Other(1, lambda first: np.array([first / 29], np.float32))
    session = Session(probe, *data, class_names=("off", "on"), sample=0)
    lab = InputLab(session)
    session.perturbation = Perturbation(brightness=0.75)
    assert _sentence(lab) == "off 1.00 → on 0.75"
    assert _widths(lab) == [[25, 75], [100, 0]]


def test_without_classes_it_says_why_and_the_rest_goes_on(data):
    session = Session(Other(0, lambda first: np.zeros((4, 4))), data[0], sample=20)
    lab = InputLab(session)
    assert "no predictions: the model's output is not one value per class" in _text(lab)
    session.perturbation = Perturbation(brightness=0.1)
    assert _pixels(lab)[0, 0, 0] == 201
    assert lab.error == ""


def test_of_a_thousand_classes_the_ten_most_probable_and_the_true_one(data):
    def answer(first):
        values = np.full(1000, 1e-5, np.float32)
        start = 10 * round(first)
        values[start : start + 4] = 0.2
        return values

    labels = np.full(30, 999)
    session = Session(Other(1000, answer), data[0], labels, sample=3)
    lab = InputLab(session)
    session.perturbation = Perturbation(brightness=ONE)
    assert _sentence(lab) == "30 0.20 → 40 0.20"
    names = re.findall("<th[^>]*>([^<]*)", shown.markup(lab))
    assert len(names) == 10
    assert {*names} >= {"30", "33", "40", "43", "999"}
    assert "10 of 1,000 classes" in _text(lab)


def test_a_prediction_that_is_not_a_number_is_said_to_be_none(data):
    probe = Other(3, lambda first: np.full(3, np.nan if first > 3.5 else 1 / 3, np.float32))
    session = Session(probe, *data, sample=3)
    lab = InputLab(session)
    session.perturbation = Perturbation(brightness=ONE)
    assert _sentence(lab) == "0 0.33 → not a number"
    assert _widths(lab)[0] == [0, 0, 0]


@pytest.mark.parametrize("x", [np.zeros((4, 7)), np.array(["red coat", "bag", "c", "d"])])
def test_samples_that_are_no_images_are_nothing_to_show(x):
    class Vectors(FakeProbe):
        def check(self, x):
            pass

    session = Session(Vectors(), x)
    lab = InputLab(session)
    assert "nothing to show: the samples are no images" in shown.text(lab)
    assert not shown.is_shown(lab, bq.Figure)
    session.perturbation = Perturbation(brightness=0.3)
    assert lab.error == ""


def test_vectors_that_are_pictures_are_perturbed_too():
    class Vectors(FakeProbe):
        def check(self, x):
            pass

        def predictions(self, x):
            assert x.shape[1:] == (64,)
            return np.eye(3, dtype=np.float32)[(x[:, 0] > 0.5).astype(int)]

    session = Session(Vectors(), np.eye(4, 64, 1), class_names=("dark", "light", "none"))
    lab = InputLab(session)
    _drag(lab, (0, 2), (0, 3), brushing=False)
    session.perturbation = Perturbation(patch=session.perturbation.patch, patch_value=1)
    assert _sentence(lab) == "dark 1.00 → light 1.00"
    assert (_pixels(lab) == 255).all(axis=2).sum() == 6


def test_of_several_inputs_the_image_is_perturbed(data):
    class Two(FakeProbe):
        def check(self, x):
            pass

        def activations(self, layers, x):
            return super().activations(layers, x["image"])

        def predictions(self, x):
            assert x["number"].max() == 5
            return super().predictions(x["image"])

    x = {"number": np.full((30, 2), 5.0), "image": data[0]}
    session = Session(Two(), x, sample=3)
    lab = InputLab(session)
    session.perturbation = Perturbation(brightness=ONE)
    assert _sentence(lab) == "0 1.00 → 1 1.00"


@pytest.mark.expects_error
def test_a_model_that_fails_leaves_the_last_picture(lab, session, probe):
    session.sample = 9
    before = shown.text(lab)
    probe.predictions = None
    shown.choose(lab, LABELS["noise"], 0.2)
    assert lab.error.startswith("could not draw")
    assert before in shown.text(lab)
    assert session.perturbation.noise == 0.2


def test_a_small_probability_does_not_break_over_two_lines(lab):
    # the last cell of a bar's row: "1.1e-08" is 50 px wide in 12 px letters
    (rule,) = re.findall(r"\.aw-bars td:last-child {(.*?)}", input_lab.BARS_SHEET, re.DOTALL)
    assert "white-space: nowrap" in rule
    assert int(re.search(r"width: (\d+)px", rule)[1]) > 50


def test_an_input_named_like_a_direction_stands_in_quotes():
    session = Session(FakeProbe(), np.zeros((3, 6, 8, 1), np.float32))
    title = html.unescape(_title(session.selection, (8, 8), "left"))
    assert "8×8 pixels of input 'left' alone" in title
