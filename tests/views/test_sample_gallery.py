import threading

import bqplot as bq
import numpy as np
import pytest
import shown
from fakes import FakeProbe, keep_moving, messages, wiretap
from PIL import ImageFont

from actwidgets.core.ablation import Ablation
from actwidgets.session.session import Session
from actwidgets.views.controls import RIGHT, WRONG
from actwidgets.views.sample_gallery import SampleGallery


def _words(gallery):
    words = shown.part(gallery, bq.Label)
    return list(zip(words.text.tolist(), words.colors, strict=True))


def test_right_and_wrong_differ_by_sign_words_and_color(session):
    # sample 1 is predicted 1, a coat, and is one; sample 2 is predicted 2, a bag, but is a shirt
    words = _words(SampleGallery(session))
    assert words[2:4] == [("✓ coat", RIGHT), ("", RIGHT)]
    assert words[4:6] == [("✗ bag", WRONG), ("is shirt", WRONG)]


def _frames(gallery):
    """Each frame that is drawn: first and last pixel row and column, and how thick it is."""
    found = []
    if not shown.parts(gallery, bq.Lines):
        return found
    lines = shown.part(gallery, bq.Lines)
    for x, y in zip(np.atleast_2d(lines.x), np.atleast_2d(lines.y), strict=True):
        inner, outer = (np.r_[y[part], x[part]] for part in (slice(0, 6), slice(6, 12)))
        thick = lines.stroke_width + (inner - outer).max()
        beyond = lines.stroke_width / 2
        assert (inner[[0, 6]] == inner[[5, 11]]).all(), "closed"
        found.append(
            (y.min() - beyond, y.max() + beyond, x.min() - beyond, x.max() + beyond, thick)
        )
    return found


def test_chosen_samples_are_framed_a_pixel_off_and_the_current_one_is_bold(session):
    session.select(sample=5, samples=(5, 2))
    gallery = SampleGallery(session, only_chosen=False)
    # Thumbnails are 60 px wide, one every 70 px from 5 px on, and 94 px below each other.
    assert _frames(gallery) == [
        (5 - 3, 65 + 3, 145 - 3, 205 + 3, 2),
        (99 - 4, 159 + 4, 75 - 4, 135 + 4, 3),
    ]
    gallery.page = 1
    assert _frames(gallery) == []
    session.select(sample=12, samples=(12,))
    assert _frames(gallery) == [(1, 69, 1, 69, 3)]


def test_a_large_page_of_chosen_samples_is_framed_to_its_last(data):
    x, y = (np.concatenate([each] * 10)[:300] for each in data)
    session = Session(FakeProbe(), x, y)
    gallery = SampleGallery(session, columns=20, rows=15)
    session.select(sample=299, samples=tuple(range(300)))
    assert not gallery.error
    assert [thick for *_, thick in _frames(gallery)] == [2] * 299 + [3]


def test_another_sample_of_the_page_moves_the_frame_and_sends_no_picture(session):
    gallery = SampleGallery(session)
    wires = wiretap()
    session.sample = 4
    assert not gallery.error
    sent = [kind for kind, _ in messages(wires) if kind != "IntSlider"]
    assert sent == ["Lines"]


def test_a_click_chooses_one_sample(session):
    gallery = SampleGallery(session)
    shown.click(gallery, 1, 2)
    assert (session.sample, session.samples) == (6, (6,))


def test_with_several_a_click_adds_and_takes_away(session):
    gallery = SampleGallery(session, several=True)
    shown.click(gallery, 0, 3)
    shown.click(gallery, 1, 0)
    assert session.samples == (0, 3, 4)
    shown.click(gallery, 0, 3)
    assert session.samples == (0, 4)
    shown.click(gallery, 0, 0)
    shown.click(gallery, 1, 0)
    assert session.samples == (4,), "the last one stays"


def test_a_click_beside_the_samples_changes_nothing(session):
    gallery = SampleGallery(session, page=2)  # samples 24 to 29
    before = session.selection
    shown.click(gallery, 2, 3)
    assert session.selection == before


def test_filters_by_class_and_outcome(session):
    gallery = SampleGallery(session)
    gallery.class_filter = 1
    assert "1–12 of 15" in shown.text(gallery)
    gallery.outcome = "wrong"
    # odd samples are coats; those that are predicted a coat leave 1 when divided by 3
    wrong = [row for row in range(1, 30, 2) if row % 3 != 1]
    assert shown.samples(gallery) == wrong
    gallery.class_filter = -1
    gallery.outcome = "right"
    right = [row for row in range(30) if row % 3 == row % 2]
    assert shown.samples(gallery) == right


def test_a_new_filter_begins_at_the_first_page(session):
    gallery = SampleGallery(session, page=2)
    gallery.outcome = "right"
    assert "1–10 of 10" in shown.text(gallery)


def test_only_the_chosen_begin_at_the_first_page(session):
    gallery = SampleGallery(session, page=2)
    session.select(samples=range(30), sample=29)
    gallery.page = 0
    gallery.only_chosen = False
    gallery.page = 2
    gallery.only_chosen = True
    assert (gallery.page, "1–12 of 30" in shown.text(gallery)) == (0, True)


class _Editable(FakeProbe):
    def edited(self, edits):
        other = type(self)()
        other.predictions = lambda x: np.eye(3, dtype=np.float32)[[1] * len(x)]
        return other


def test_who_is_right_is_told_anew_with_units_ablated(data):
    session = Session(_Editable(), *data)
    gallery = SampleGallery(session, outcome="right")
    session.ablations = Ablation("dense", (0,))
    assert shown.samples(gallery) == list(range(1, 24, 2))  # of the first page


def test_captions_are_those_of_the_model_that_is_asked_now(data, monkeypatch):
    session = Session(_Editable(), *data)
    gallery = SampleGallery(session)
    before = _words(gallery)
    session.ablations = Ablation("dense", (0,))
    ablated = _words(gallery)
    assert ablated[:2] == [("✗ 1", WRONG), ("is 0", WRONG)]
    assert ablated != before
    session.ablations = ()
    assert _words(gallery) == before
    monkeypatch.setattr(session.model, "predictions", _Editable().edited({}).predictions)
    session.refresh()
    assert _words(gallery) == ablated


def test_a_filter_that_nothing_passes_shows_no_samples(session):
    gallery = SampleGallery(session, class_filter=2)
    assert "none" in shown.text(gallery)
    assert gallery.error == ""
    shown.click(gallery, 0, 0)


def test_the_gallery_turns_to_a_sample_chosen_elsewhere(session):
    gallery = SampleGallery(session)
    session.sample = 29
    assert gallery.page == 2
    assert shown.control(gallery, "sample").value == 29


def test_it_turns_to_the_focus_among_those_that_are_chosen_now(session):
    gallery = SampleGallery(session)
    session.samples = range(30)
    session.select(samples=(29, *range(13)), sample=29)
    assert gallery.only_chosen
    assert "1–12 of 14" in shown.text(gallery)
    session.select(samples=(3, 4), sample=4)
    assert "1–2 of 2" in shown.text(gallery)


def test_what_is_counted_follows_where_the_samples_on_the_page_are_the_same(session):
    gallery = SampleGallery(session)
    session.samples = range(12)
    assert "1–12 of 12" in shown.text(gallery)
    gallery.only_chosen = False
    assert "1–12 of 30" in shown.text(gallery)
    assert shown.is_shown(gallery, "next page")
    assert "30</span>" in shown.markup(gallery)


def test_filters_and_the_choice_work_together_and_may_leave_none(session):
    gallery = SampleGallery(session)
    session.samples = (4, 5, 6, 9)
    gallery.class_filter = 1
    assert shown.samples(gallery) == [5, 9]
    gallery.outcome = "right"
    assert shown.samples(gallery) == []
    assert "none" in shown.text(gallery)
    assert "0 selected of 30" in shown.text(gallery)
    session.samples = (7, 8)
    assert shown.samples(gallery) == [7]
    session.samples = (8,)
    assert (gallery.only_chosen, gallery.class_filter) == (False, 1)
    assert gallery.error == ""


def test_while_it_does_not_watch_nothing_is_painted(session):
    gallery = SampleGallery(session)
    gallery.watching = False
    before = _words(gallery)
    session.sample = 29
    session.samples = (20, 21)
    assert (gallery.page, gallery.only_chosen, _words(gallery)) == (0, False, before)
    gallery.watching = True
    assert shown.samples(gallery) == [20, 21]


def test_captions_stand_below_their_pictures_in_other_columns_too(data):
    gallery = SampleGallery(Session(FakeProbe(), data[0][:5], data[1][:5]))
    gallery.columns = 3
    width = shown.part(gallery, bq.GridHeatMap).column[-1] / 3
    assert shown.part(gallery, bq.Label).x[::2].tolist() == [
        width * each for each in (0.5, 1.5, 2.5, 0.5, 1.5)
    ]


def test_a_page_is_one_forward_pass(session, probe):
    SampleGallery(session)
    assert probe.calls == [(("",), 12)]
    probe.calls.clear()
    SampleGallery(session)
    assert probe.calls == []


def test_while_the_slider_moves_the_thumbnails_wait(session, probe, monkeypatch):
    gallery = SampleGallery(session)
    rest = keep_moving(gallery, monkeypatch)
    probe.calls.clear()
    shown.choose(gallery, "sample", 29)
    assert (session.sample, gallery.page) == (29, 0)
    assert probe.calls == [], "no prediction is made on the path of a tick"
    shown.choose(gallery, "sample", 28)
    rest()
    assert gallery.page == 2


def test_the_debounced_page_is_turned_by_itself_but_not_of_a_closed_gallery(session, monkeypatch):
    monkeypatch.setattr("actwidgets.views.sample_gallery.DEBOUNCE_S", 0.01)
    gallery, turned = SampleGallery(session), threading.Event()
    gallery.observe(lambda _: turned.set(), names="page")
    shown.choose(gallery, "sample", 29)
    assert turned.wait(60)
    assert gallery.page == 2
    monkeypatch.setattr("actwidgets.views.sample_gallery.DEBOUNCE_S", 1e6)
    shown.choose(gallery, "sample", 0)
    gallery.close()
    assert not session.context.queue._calls


def test_a_gallery_goes_on_where_its_session_is_closed_amid_a_drag(session, monkeypatch):
    monkeypatch.setattr("actwidgets.views.sample_gallery.DEBOUNCE_S", 1e6)
    gallery = SampleGallery(session)
    shown.choose(gallery, "sample", 29)
    session.close()  # it goes on working, and has nothing done in the background
    session.sample = 12
    assert gallery.page == 1


def test_turning_pages(session):
    gallery = SampleGallery(session)
    assert _ways(gallery) == [False, True]
    shown.press(gallery, "next page")
    assert "13–24 of 30" in shown.text(gallery)
    assert _words(gallery)[0][0].endswith("shirt")
    assert _ways(gallery) == [True, True]
    shown.press(gallery, "next page")
    assert _ways(gallery) == [True, False]
    gallery.rows = 30
    assert not shown.is_shown(gallery, "next page")


def _ways(gallery):
    """Whether there is a page before this one, and one after it."""
    names = "previous page", "next page"
    return [not shown.control(gallery, name).disabled for name in names]


def test_the_mouse_over_a_sample_tells_what_it_is(session):
    gallery = SampleGallery(session)
    shown.hover(gallery, 0, 2)
    assert "sample 2, predicted bag (1.00), is shirt" in shown.text(gallery)


def test_without_labels_only_predictions_are_told(probe, data):
    gallery = SampleGallery(Session(probe, data[0]))
    assert _words(gallery)[2][0] == "→ 1"
    assert not shown.is_shown(gallery, "class")


class _OneOutput(FakeProbe):
    n_classes = 1

    def predictions(self, x):
        return super().predictions(x)[:, 1:2]


def test_one_output_tells_two_classes_apart(data):
    gallery = SampleGallery(Session(_OneOutput(), *data, class_names=("shirt", "coat")))
    assert [text for text, _ in _words(gallery)[:8:2]] == [
        "✓ shirt",
        "✓ coat",
        "✓ shirt",
        "✗ shirt",
    ]


def test_the_mouse_tells_how_probable_the_class_is_that_is_predicted(data):
    gallery = SampleGallery(Session(_OneOutput(), *data, class_names=("shirt", "coat")))
    shown.hover(gallery, 0, 0)
    assert "predicted shirt (1.00), is shirt" in shown.text(gallery)  # of an output of 0


def test_of_a_regression_no_class_is_told(data):
    gallery = SampleGallery(Session(_OneOutput(), data[0], output_is="value"))
    assert gallery.error == ""
    assert _words(gallery)[0][0] == ""


@pytest.mark.parametrize("name", ["<img src=x onerror=alert(1)>", "a & b"])
def test_hostile_class_names_stay_text(data, name):
    gallery = SampleGallery(Session(FakeProbe(), *data, class_names=(name, "b", "c")))
    shown.hover(gallery, 0, 0)
    assert name not in shown.markup(gallery)
    assert "&lt;img" in shown.markup(gallery) or "&amp;" in shown.markup(gallery)


@pytest.mark.parametrize(
    "name",
    ["Thumbs down", "even, by three", "WWWWWWWWWW", "ankle boot", "T-shirt/top", "大きな数字です"],
)
def test_captions_stay_within_their_column_and_keep_the_sign(data, name):
    font = ImageFont.load_default(10)  # Aileron, about as wide as what browsers have
    session = Session(FakeProbe(), *data, class_names=(name, f"not {name}", f"un{name}"))
    gallery = SampleGallery(session)
    width_px = np.diff(shown.part(gallery, bq.GridHeatMap).column)[0]
    for words, _ in _words(gallery):
        assert words[:1] in ("", "✓", "✗") or words.startswith("is ")
        plain = words.removeprefix("✓ ").removeprefix("✗ ")
        signs_px = 12 if plain != words else 0  # of DejaVu Sans: 8.4 and a space
        if plain.isascii() or "…" in plain:
            assert signs_px + font.getlength(plain) <= width_px
    if name in ("ankle boot", "T-shirt/top"):
        assert f"✓ {name}" in shown.words(gallery), "what fits is not cut"
