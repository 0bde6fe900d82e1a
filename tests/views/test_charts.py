import base64

import bqplot as bq
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from actwidgets.views.charts import class_figure, exact, fit_axis, ticks
from actwidgets.views.picture import Picture
from actwidgets.views.unit_importance import ROW_PX, MeasureBars


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 2.3, [0, 0.5, 1, 1.5, 2, 2.5]),
        (0.0, 30.0, [0, 10, 20, 30]),
        (0.14, 1.0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (-3.0, 7.0, [-4, -2, 0, 2, 4, 6, 8]),
        (2.0, 2.0, [1, 1.5, 2, 2.5, 3]),
    ],
)
def test_they_are_round_and_enclose_the_range(low, high, expected):
    np.testing.assert_allclose(ticks(low, high), expected)


@given(st.floats(-1e30, 1e30), st.floats(1e-12, 1e30), st.integers(1, 12))
def test_any_range_is_enclosed_by_a_few(low, width, count):
    high = low + width
    assume(width > 1e-9 * abs(low))  # else there are too few floats between
    found = ticks(low, high, count)
    tolerance = 1e-6 * (found[1] - found[0])
    assert found[0] <= low + tolerance
    assert found[-1] >= high - tolerance
    assert 2 <= len(found) <= 2.5 * count + 3


def test_what_is_not_finite_has_ticks_too():
    np.testing.assert_allclose(ticks(np.nan, np.inf)[[0, -1]], [0, 1])


def test_an_axis_writes_the_round_numbers_and_reaches_a_little_further():
    axis = bq.Axis(scale=exact())
    for numbers in ([0.0, 5.0, 10.0], [-20.0, 0.0, 20.0]):
        fit_axis(axis, np.array(numbers), 0.1, 0.2)
        assert axis.tick_values.tolist() == numbers
        length = numbers[-1] - numbers[0]
        ends = numbers[0] - 0.1 * length, numbers[-1] + 0.2 * length
        assert (axis.scale.min, axis.scale.max) == pytest.approx(ends)


def test_names_lie_flat_where_the_classes_on_show_leave_room():
    scales = {"x": bq.OrdinalScale(), "y": exact()}
    size = {"width_px": 560, "height_share": 0.5}
    names = [f"c{index}" for index in range(100)]
    some, every = (class_figure([], scales, names, n_shown=n, **size) for n in (10, None))
    assert some.fig_margin["bottom"] < every.fig_margin["bottom"]


def test_the_same_words_in_another_color_are_painted_again():
    picture = Picture(with_words=True)
    for color in ("red", "gray"):
        picture.set_words([(1, 2)], ["coat"], [color])
        assert picture.words.colors == [color]
    picture.close()


def test_a_picture_is_sent_as_an_address_that_holds_all_of_it():
    picture, png = Picture(), b"\x89PNG and more"
    assert picture.image.get_state(["value"]) == {"value": b""}
    picture.show(png)
    state = picture.image.get_state()
    assert state["format"] == "url"
    head, body = bytes(state["value"]).split(b",")
    assert (head, base64.b64decode(body)) == (b"data:image/png;base64", png)
    assert picture.image.get_state(drop_defaults=True)["format"] == "url"  # a saved page has it
    assert bytes(picture.image.value) == png
    picture.close()


# --- measure bars -------------------------------------------------------------------------


def test_words_stand_in_the_middle_of_their_rows():
    bars = MeasureBars(2, 760, lambda row: None)
    for n_rows in (4, 30, 1):
        panel = 0.0, np.linspace(0.9, 0.1, n_rows), ["0.5"] * n_rows
        bars.show([f"unit {row}" for row in range(n_rows)], 0, [panel] * 2)
        middles = (np.arange(n_rows) + 0.5) / n_rows
        np.testing.assert_allclose(bars.names.y, middles)
        np.testing.assert_allclose(bars.figures.y, np.tile(middles, 2))
        assert bars._figure.layout.height == f"{n_rows * ROW_PX}px"
    assert not bars.names.scales["y"].allow_padding
    bars.close()
