import ipywidgets as w
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actwidgets.views.controls import PageRange, on_user, setting


@given(st.integers(-50, 50), st.integers(1, 20), st.integers(0, 200))
def test_every_page_lies_inside_and_together_they_are_all(wanted, size, count):
    page = PageRange(wanted, size, count)
    assert 0 <= page.number < page.n_pages
    assert 0 <= page.rows.start <= page.rows.stop <= count
    shown = [
        row for n in range(page.n_pages) for row in range(count)[PageRange(n, size, count).rows]
    ]
    assert shown == list(range(count))
    assert page.turned(1) == min(page.number + 1, page.n_pages - 1)
    assert page.turned(-1) == max(page.number - 1, 0)


@pytest.mark.parametrize(
    ("page", "span", "text"),
    [
        (PageRange(1, 12, 985), "13–24 of 985", "12 of 985 units, 13–24"),
        (PageRange(0, 64, 512), "1–64 of 512", "64 of 512 units, 1–64"),
        (PageRange(0, 8, 1), "1–1 of 1", "1 of 1 units"),
        (PageRange(0, 8, 0), "none", "0 of 0 units"),
        (PageRange(0, 5000, 10_000), "1–5,000 of 10,000", "5,000 of 10,000 units, 1–5000"),
    ],
)
def test_what_is_on_show_is_said_in_words(page, span, text):
    assert page.span_text() == span
    assert page.text("units") == text


def test_a_last_page_exactly_full_has_none_behind_it():
    assert PageRange(0, 8, 16).n_pages == 2
    assert PageRange(0, 8, 17).n_pages == 3


def test_what_the_code_sets_is_no_act_of_the_user_however_deep_it_is_called():
    slider, chosen = w.IntSlider(), []
    on_user(slider, lambda change: chosen.append(change.new))
    with setting(slider):
        with setting(slider):
            slider.value = 1
        slider.value = 2
    slider.value = 3
    assert chosen == [3]
