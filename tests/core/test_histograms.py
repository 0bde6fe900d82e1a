import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from actwidgets.core.histograms import (
    BATCH,
    FEWEST,
    MOST,
    activation_histogram,
    histogram,
    shared_bins,
    subsample,
)
from actwidgets.errors import DataError
from actwidgets.views.charts import (
    OVERLAP,
    bin_heights,
    outlines,
    round_ticks,
    spread_marks,
    tick_labels,
)

anything = arrays.arrays(
    st.sampled_from([np.float32, np.float64, np.float16]),
    st.integers(0, 40),
    elements={"allow_nan": True, "allow_infinity": True, "allow_subnormal": True},
)
singles = arrays.arrays(
    np.float32, st.integers(1, 40), elements=st.floats(-(2.0**60), 2.0**60, width=32)
)
bin_counts = st.integers(4, 300)


def _finite(values):
    return values[np.isfinite(values)].astype(np.float64)


def _same_bins(one, other):
    assert (one.exponent, one.first) == (other.exponent, other.first)
    np.testing.assert_array_equal(one.counts, other.counts)


@given(anything, bin_counts)
def test_counts_are_those_of_numpy_over_the_same_edges(values, n_bins):
    found = histogram(values, n_bins)
    finite = _finite(values)
    assert found.n_values == values.size
    assert found.n_nan == np.isnan(values).sum()
    assert found.n_infinite == np.isinf(values).sum()
    assert found.n_finite == finite.size == found.counts.sum()
    assert len(found.counts) <= n_bins
    if finite.size:
        bins = np.searchsorted(found.edges, finite, side="right") - 1
        expected = np.bincount(bins, minlength=len(found.counts))
        np.testing.assert_array_equal(found.counts, expected)
        assert found.counts[[0, -1]].all()
        assert (found.min, found.max) == (finite.min(), finite.max())


@given(singles, bin_counts)
def test_the_bins_are_the_narrowest_that_cover_the_values(values, n_bins):
    found = histogram(values, n_bins)
    largest = max(abs(found.min), abs(found.max))
    if largest:
        width = 2.0 ** (found.exponent - 1)
        n_narrower = np.floor(found.max / width) - np.floor(found.min / width) + 1
        assert n_narrower > n_bins or largest / width >= 2.0**24


@given(singles)
def test_averages_are_those_of_numpy_in_float64(values):
    found, exact = histogram(values), values.astype(np.float64)
    scale = np.abs(exact).max()
    assert found.mean == pytest.approx(exact.mean(), abs=1e-14 * scale)
    assert found.std == pytest.approx(exact.std(), rel=1e-12, abs=1e-14 * scale)


@given(anything, bin_counts, st.integers(0, 2200))
def test_regrouped_is_what_wider_bins_would_have_counted(values, n_bins, wider):
    found = histogram(values, n_bins)
    exponent = min(found.exponent + wider, 1023)
    regrouped = found.regrouped(exponent)
    assert regrouped.exponent == exponent
    finite = _finite(values)
    if finite.size:
        edges = np.append(regrouped.edges[:-1], np.inf)
        expected = np.histogram(finite, edges)[0]
        np.testing.assert_array_equal(regrouped.counts, expected)
    assert (regrouped.n_nan, regrouped.n_values) == (found.n_nan, found.n_values)
    np.testing.assert_equal(
        (regrouped.mean, regrouped.std, regrouped.min, regrouped.max),
        (found.mean, found.std, found.min, found.max),
    )


@given(singles, singles, bin_counts)
def test_merged_is_the_histogram_of_all_values(left, right, n_bins):
    merged = histogram(left, n_bins).merged(histogram(right, n_bins), n_bins)
    whole = histogram(np.concatenate([left, right]), n_bins)
    _same_bins(merged, whole)
    assert (merged.min, merged.max, merged.n_values) == (whole.min, whole.max, whole.n_values)
    assert merged.min <= merged.mean <= merged.max
    scale = max(abs(whole.min), abs(whole.max))
    assert merged.mean == pytest.approx(whole.mean, abs=1e-13 * scale)
    assert merged.std == pytest.approx(whole.std, rel=1e-9, abs=1e-12 * scale)


@given(anything, anything)
def test_odd_values_are_merged_too(left, right):
    merged = histogram(left).merged(histogram(right))
    whole = histogram(np.concatenate([left.astype(np.float64), right.astype(np.float64)]))
    _same_bins(merged, whole)
    assert (merged.n_nan, merged.n_infinite) == (whole.n_nan, whole.n_infinite)
    assert merged.n_values == whole.n_values


@given(st.lists(anything, max_size=4), bin_counts)
def test_shared_bins_count_every_histogram_exactly(many, n_bins):
    found = shared_bins([histogram(values) for values in many], n_bins)
    assert found.counts.shape == (len(many), len(found.edges) - 1)
    assert found.counts.shape[1] <= n_bins
    edges = found.edges.copy()
    edges[-1] = np.inf if len(edges) > 1 else edges[-1]
    for values, counts in zip(many, found.counts, strict=True):
        finite = _finite(values)
        if finite.size:
            np.testing.assert_array_equal(counts, np.histogram(finite, edges)[0])
        else:
            assert not counts.any()


def test_a_histogram_worked_out_by_hand():
    found = histogram([-1.0, -0.25, 0.0, 0.5, 0.5, 0.99], n_bins=4)
    assert found.exponent == -1
    assert found.first == -2
    assert found.edges.tolist() == [-1.0, -0.5, 0.0, 0.5, 1.0]
    assert found.counts.tolist() == [1, 1, 1, 3]
    assert found.counts.dtype == np.int64


def test_nothing_is_no_bins():
    for values in ([], [np.nan, np.inf, np.inf]):
        found = histogram(values)
        assert len(found.counts) == 0
        assert math.isnan(found.mean)
        assert math.isnan(found.max)
        assert (found.n_nan, found.n_infinite) == ((1, 2) if values else (0, 0))
    assert shared_bins([histogram([])]).counts.shape == (1, 0)
    assert shared_bins([]).counts.shape == (0, 0)


def test_equal_values_are_one_bin_and_have_their_own_mean():
    for value in (0.0, 0.1, -1e-45, 5e-324, 3e38):
        found = histogram(np.full(1000, value))
        assert found.counts.tolist() == [1000]
        assert (found.mean, found.std) == (value, 0.0)


def test_a_mean_is_never_beyond_all_values():
    low, high = 0.6459721981904619, 0.645972198190462
    found = histogram([*[high] * 38, low])
    assert np.mean([*[high] * 38, low]) > high  # as rounding has it
    assert found.mean <= high


def test_a_tiny_negative_value_stays_below_zero_beside_a_huge_one():
    found = histogram([-5e-324, 1e300], n_bins=4)
    assert found.first == -1
    assert found.counts[0] == 1


def test_the_largest_range_of_floats_is_four_bins():
    largest = np.finfo(np.float64).max
    assert histogram([-largest, largest], n_bins=4).counts.tolist() == [1, 0, 0, 1]


def test_more_values_than_one_chunk_are_all_counted():
    values = np.random.default_rng(3).normal(size=200_001).astype(np.float32)
    found = histogram(values)
    assert found.counts.sum() == 200_001
    assert found.mean == pytest.approx(values.mean(dtype=np.float64), rel=1e-12)
    assert found.std == pytest.approx(values.std(dtype=np.float64), rel=1e-12)


def test_values_are_not_modified():
    values = np.array([1.0, np.nan, -2.0], np.float32)
    values.flags.writeable = False
    histogram(values)


def test_too_few_bins_are_refused():
    with pytest.raises(DataError, match="n_bins must be at least 4; got 3"):
        histogram([1.0], n_bins=3)
    with pytest.raises(DataError, match="n_bins must be at least 4; got 3"):
        shared_bins([], n_bins=3)


def test_narrower_bins_are_refused():
    with pytest.raises(DataError, match=r"exponent -1\) cannot be told apart .* got exponent -2"):
        histogram([0.0, 0.5, 1.5], n_bins=4).regrouped(-2)


def test_shared_bins_of_equal_values_can_be_seen_and_drawn_in_float32():
    for value in (0.0, 0.7, -3e4):
        shared = shared_bins([histogram([value])])
        assert shared.counts.tolist() == [[1]]
        assert shared.edges[0] <= value < shared.edges[1]
        assert abs(value) / 64 <= shared.edges[1] - shared.edges[0] <= max(abs(value) / 16, 0.02)
    close = shared_bins([histogram([1.0, 1.0 + 2e-7])])
    assert np.unique(close.edges.astype(np.float32)).size == close.edges.size


def test_some_histograms_are_told_over_the_bins_of_all():
    several = [histogram(np.linspace(0, reach, 100)) for reach in (1, 8, 2)]
    shared = shared_bins(several)
    some = shared.only([2, 0])
    np.testing.assert_array_equal(some.edges, shared.edges)
    np.testing.assert_array_equal(some.counts, shared.counts[[2, 0]])


# --- evenly -------------------------------------------------------------------------------


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 200))
def test_no_more_than_the_limit_and_all_where_they_are_few(rows, units, limit):
    values = np.arange(rows * units).reshape(rows, units)
    found = subsample(values, limit)
    assert 1 <= len(found) <= limit
    if values.size <= limit:
        assert len(found) == values.size


def test_all_units_are_among_them():
    values = np.tile(np.arange(10), (200, 1))
    assert set(subsample(values, 100)) == set(range(10))


def test_nothing_is_nothing():
    assert subsample(np.zeros((0, 3)), 5).shape == (0,)


# --- outlines -----------------------------------------------------------------------------


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


# --- activation counts --------------------------------------------------------------------


@pytest.fixture
def runs():
    return []


@pytest.fixture
def read(runs):
    """Layers that put out the number of the row, so many times."""
    sizes = {"wide": (400, 400, 2), "narrow": (3,), "none": (0, 4)}

    def read(layers, rows):
        runs.append((tuple(layers), rows))
        return {
            name: np.broadcast_to(
                rows.reshape(-1, *[1] * len(sizes[name])), (len(rows), *sizes[name])
            )
            for name in layers
        }

    return read


def test_a_layer_is_run_until_a_million_of_its_values_came_together(read):
    rows = np.random.default_rng(0).permutation(5000)
    found = activation_histogram(read, ["wide", "narrow"], rows)
    assert found["wide"].n_samples == FEWEST
    assert found["narrow"].n_samples == MOST
    for name, n_values in (("wide", 320_000), ("narrow", 3)):
        counted = found[name].histogram
        taken = rows[: found[name].n_samples]
        assert counted.n_values == len(taken) * n_values
        assert counted.mean == pytest.approx(taken.mean())
        assert counted.std == pytest.approx(taken.std())


def test_rows_are_read_in_ascending_order_and_no_more_than_a_batch_at_a_time(read, runs):
    activation_histogram(read, ["narrow"], np.random.default_rng(0).permutation(200))
    assert sorted(np.concatenate([rows for _, rows in runs])) == list(range(200))
    for _, rows in runs:
        assert (np.diff(rows) > 0).all()
        assert len(rows) <= BATCH


def test_layers_that_have_enough_are_run_no_more(read, runs):
    activation_histogram(read, ["wide", "narrow"], np.arange(100))
    assert runs[0][0] == ("wide", "narrow")
    assert all(layers == ("narrow",) for layers, _ in runs[1:])


def test_an_empty_output_has_an_empty_histogram(read):
    found = activation_histogram(read, ["none"], np.arange(3))["none"]
    assert (found.histogram.n_values, found.n_samples) == (0, 3)
