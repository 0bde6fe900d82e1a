"""Arrays, cache, paging, orders, outcomes, the table of predictions."""

import numpy as np
import pytest

from actwidgets.core.arrays import as_maps, finite_range, require_axes, to_unit_range
from actwidgets.core.cache import ArrayCache
from actwidgets.core.outcomes import filter_rows, predicted_classes
from actwidgets.core.paging import Page
from actwidgets.core.prediction_table import PredictionTable
from actwidgets.core.unit_order import unit_order
from actwidgets.errors import DataError, ShapeError


def test_the_message_names_the_axes():
    with pytest.raises(ShapeError, match=r"maps needs 2 axes \(row, column\).*\(3,\)"):
        require_axes([1, 2, 3], ("row", "column"), name="maps")


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ((5,), (5, 1, 1, 1)),
        ((5, 4), (5, 1, 1, 4)),
        ((5, 7, 4), (5, 7, 1, 4)),
        ((5, 2, 3, 4), (5, 2, 3, 4)),
        ((5, 9, 2, 3, 4), (5, 2, 3, 4)),
    ],
)
def test_every_rank_becomes_maps(shape, wanted):
    assert as_maps(np.zeros(shape)).shape == wanted


def test_six_axes_are_no_picture():
    with pytest.raises(ShapeError, match="6 axes"):
        as_maps(np.zeros((1,) * 6))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([2.0, 3.0, 4.0], [0, 0.5, 1]),
        ([5.0], [0]),
        ([7, 7, 7], [0, 0, 0]),
        ([0.0, np.nan, 1.0], [0, np.nan, 1]),
        ([0.0, np.inf, 1.0], [0, np.nan, 1]),
        ([], []),
        ([True, False], [1, 0]),
    ],
)
def test_odd_input_is_ordinary(given, expected):
    np.testing.assert_array_equal(to_unit_range(given), np.array(expected, np.float32))


def test_the_argument_is_left_alone():
    given = np.array([1.0, np.nan, 2.0], np.float32)
    to_unit_range(given)
    np.testing.assert_array_equal(given, np.array([1.0, np.nan, 2.0], np.float32))


def test_the_range_of_nothing_is_zero():
    assert finite_range([]) == finite_range([np.nan, np.inf]) == (0.0, 0.0)


def test_a_cache_forgets_what_was_used_longest_ago():
    cache, made = ArrayCache(100), []

    def get(key, size=40):
        return cache.get(key, lambda: (made.append(key), np.zeros(size, np.uint8))[1])

    get("a"), get("b"), get("a"), get("c")  # b goes
    assert cache.n_bytes == 80
    get("a"), get("b")
    assert made == ["a", "b", "c", "b"]
    get("large", 200), get("large", 200)
    assert made[-2:] == ["large", "large"], "what is over the budget is not kept"
    with pytest.raises(ValueError, match="read-only"):
        get("a")[0] = 1
    cache.clear()
    assert cache.n_bytes == 0


def test_pages_stop_at_both_ends():
    page = Page(9, size=8, count=20)
    assert (page.number, page.n_pages, page.rows) == (2, 3, slice(16, 20))
    assert (page.turned(1), page.turned(-1), page.turned(-9)) == (2, 1, 0)
    assert page.text("units") == "4 of 20 units, 17–20"
    assert page.span_text() == "17–20 of 20"
    assert Page(0, 8, 5).text("units") == "5 of 5 units"
    assert (Page(0, 8, 0).rows, Page(0, 8, 0).span_text()) == (slice(0, 0), "none")


def test_units_are_ordered_largest_first_and_nan_last():
    maps = np.zeros((1, 1, 2, 4))
    maps[0, 0] = [[1, 5, np.nan, 5], [2, 0, 9, 0]]
    assert unit_order(maps, "index").tolist() == [0, 1, 2, 3]
    assert unit_order(maps, "peak").tolist() == [1, 3, 0, 2]
    assert unit_order(maps, "mean").tolist() == [1, 3, 0, 2]
    with pytest.raises(DataError, match="there are index, mean, peak"):
        unit_order(maps, "size")


def test_a_single_output_predicts_by_a_half():
    assert predicted_classes([[0.2], [0.7], [0.5]]).tolist() == [0, 1, 0]
    assert predicted_classes([[0.2, 0.5, 0.3]]).tolist() == [1]


def test_filters_need_labels():
    with pytest.raises(DataError, match="only where y is given"):
        filter_rows(3, None, None, class_index=0)
    assert filter_rows(3, None, None).tolist() == [0, 1, 2]


def test_predictions_are_asked_for_once_per_row():
    asked = []

    def predict(rows):
        asked.append(rows.tolist())
        return rows[:, None] * np.ones(2)

    table = PredictionTable(600, 2)
    assert table.of([3, 1, 3], predict).tolist() == [[3, 3], [1, 1], [3, 3]]
    table.of([1, 2], predict)
    assert asked == [[1, 3], [2]]
    assert table.of(range(600), predict)[:, 0].tolist() == list(range(600))
    assert [len(rows) for rows in asked[2:]] == [256, 256, 85]
