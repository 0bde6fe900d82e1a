import numpy as np
import pytest

from actwidgets.core.pictures.lettering import alphabet
from actwidgets.core.pictures.lettering.letters import Hand, cut, mask_of, width_of

HAND = Hand(24)
OURS = "·×→←–—\u2212▬■▸▾●•✓✗≥≤²³Σ…é ö ü ñ š ± °"  # what views write, and letters of names


@pytest.fixture
def alone(monkeypatch):
    """No other font on the machine."""
    monkeypatch.setattr(alphabet, "_elsewhere", lambda size: None)
    alphabet._is_elsewhere.cache_clear(), alphabet._spelled.cache_clear()
    mask_of.cache_clear(), width_of.cache_clear()
    yield
    alphabet._is_elsewhere.cache_clear(), alphabet._spelled.cache_clear()
    mask_of.cache_clear(), width_of.cache_clear()


@pytest.mark.parametrize("letter", sorted(set(OURS) - {" "}))
def test_no_sign_that_views_write_comes_out_as_a_box_or_as_nothing(letter, alone):
    mask = np.asarray(mask_of(letter, HAND))
    assert mask.max() > 100
    assert width_of(letter, HAND) > 2
    box = np.asarray(mask_of("\U000f0000", HAND))
    assert mask.shape != box.shape or not np.array_equal(mask, box)
    assert alphabet._spelled(letter) != "?"


def test_signs_that_differ_look_different(alone):
    shown = {np.asarray(mask_of(f"{each} ", HAND)).tobytes() for each in "×→–▬■✓✗≥≤²³Σ"}
    assert len(shown) == 12


def test_every_kind_of_space_is_one(alone):
    assert alphabet._spelled("a\u00a0b\tc\u2009d") == "a b c d"
    assert width_of("a\u00a0b", HAND) == width_of("a b", HAND)


def test_what_cannot_be_written_in_any_way_is_a_question_mark(alone):
    assert alphabet._spelled("日a") == "?a"
    assert width_of("日", HAND) == width_of("?", HAND)


def test_letters_with_marks_fall_back_to_what_they_are_made_of(alone):
    assert alphabet._spelled("\uff46") == "f"
    assert alphabet._spelled("x\u200b") == "x"


@pytest.mark.parametrize("size", [10.0, 12.0, 13.0, 24.0, 31.5])
def test_widths_do_not_depend_on_the_scale(size):
    text = "the largest value on each map"
    assert width_of(text, Hand(size)) / size == pytest.approx(
        width_of(text, Hand(48)) / 48, rel=0.02
    )


def test_a_text_is_cut_where_its_room_ends():
    text = "block_13_expand_relu"
    room = width_of("block_13", HAND)
    shown = cut(text, HAND, room)
    assert shown.endswith("…")
    assert text.startswith(shown[:-1])
    assert width_of(shown, HAND) <= room
    assert cut(text, HAND, 1000) == text


def test_figures_of_a_list_end_below_one_another():
    hand = Hand(20, fixed=True)
    ends = [
        np.flatnonzero(np.asarray(mask_of(line, hand)).any(axis=0)).max()
        for line in ("a      11", "abc  1111")
    ]
    assert abs(int(ends[0]) - int(ends[1])) <= 1
