import numpy as np
import pytest

from actwidgets.core.histograms import (
    OVERLAP,
    bin_heights,
    histogram,
    outlines,
    round_ticks,
    shared_bins,
    spread_marks,
    tick_labels,
)


@pytest.fixture
def shared():
    return shared_bins([histogram([0.0, 1.0, 1.5, 3.5], 4), histogram([2.0, 2.5], 4)], 4)


def test_an_outline_goes_up_and_down_the_steps_and_stands_on_its_foot(shared):
    found = outlines(shared)
    assert found.x[0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert found.y[0].tolist() == [0, 1, 1, 2, 2, 0, 0, 1, 1, 0]
    assert found.y[1].tolist() == [0, 0, 0, 0, 0, 4, 4, 0, 0, 0]  # as if of four values
    assert found.top == 4
    assert found.x.dtype == found.y.dtype == np.float32


def test_rows_stand_one_above_the_other_the_first_on_top(shared):
    found = outlines(shared, rows=True)
    assert found.feet.tolist() == [1, 0]
    assert found.y[:, 0].tolist() == [1, 0]
    assert found.y[0].max() == pytest.approx(1 + OVERLAP / 2)
    assert found.y[1].max() == pytest.approx(OVERLAP)


def test_log_heights_tell_powers_of_ten_and_none_from_one():
    assert bin_heights([0, 1, 10, 1000], log=True).tolist() == [0, 1, 2, 4]
    assert bin_heights([0, 7]).tolist() == [0, 7]


def test_no_bins_are_no_points():
    found = outlines(shared_bins([histogram([]), histogram([np.nan])]), rows=True)
    assert found.x.shape == (2, 0)
    assert found.top == 1


def test_a_mark_lies_around_the_mean_and_goes_up_at_it():
    x, y = spread_marks([1.0, np.nan], [0.5, np.nan], [0.0, 2.0], 3)
    assert x[0].tolist() == [0.5, 1, 1, 1, 1.5]
    assert y[0].tolist() == [0, 0, 3, 0, 0]
    assert np.isnan(x[1]).all()


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.0, 421.0, [0, 100, 200, 300, 400]),
        (-0.7, 0.7, [-0.5, 0, 0.5]),
        (0.0, 1.0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (1.0, 1.0, []),
        (0.0, np.inf, []),
    ],
)
def test_ticks_are_round(low, high, ticks):
    assert round_ticks(low, high, 5).tolist() == pytest.approx(ticks)


@pytest.mark.parametrize(
    ("ticks", "labels"),
    [
        ([0, 0.5, 1.0], {"0": "0.0", "0.5": "0.5", "1": "1.0"}),
        ([-1000, 0, 1000], {"-1000": "-1,000", "0": "0", "1000": "1,000"}),
        ([0, 0.0002], {"0": "0.0000", "0.0002": "0.0002"}),
        ([0, 2e-9], {"0": "0", "2e-9": "2e-09"}),
        ([0.6000000000000001, 0.8], {"0.6000000000000001": "0.6", "0.8": "0.8"}),
        ([3.0], {"3": "3"}),
        ([], {}),
    ],
)
def test_ticks_are_written_with_the_decimals_that_they_need(ticks, labels):
    assert tick_labels(np.array(ticks, float)) == labels
