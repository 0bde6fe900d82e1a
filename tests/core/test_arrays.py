import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actwidgets.core.arrays import CHUNK, as_maps, finite_range, norm, require_axes, to_unit_range
from actwidgets.errors import ShapeError

HUGE = 1e300  # more than float32 holds


def test_the_right_number_of_axes_passes_the_values_on():
    given = np.ones((2, 3))
    assert require_axes(given, ("row", "column")) is given
    assert require_axes([[1, 2]], ("row", "column")).tolist() == [[1, 2]]


def test_maps_are_a_view_of_the_same_values():
    for shape in [(3,), (3, 2), (3, 4, 2), (3, 4, 5, 2), (3, 7, 4, 5, 2)]:
        given = np.zeros(shape)
        assert np.shares_memory(as_maps(given), given)


def test_of_a_volume_the_middle_slice_is_shown():
    volume = np.arange(5).reshape(1, 5, 1, 1, 1)
    assert as_maps(volume).ravel().tolist() == [2]
    assert as_maps(volume, depth=4).ravel().tolist() == [4]
    with pytest.raises(ShapeError, match=r"slice 5 is outside 0\.\.4"):
        as_maps(volume, depth=5)


def test_time_runs_to_the_right():
    sequence = np.arange(6).reshape(1, 3, 2)
    assert as_maps(sequence)[0, :, :, 1].tolist() == [[1, 3, 5]]


def test_a_single_number_is_no_layer_output():
    with pytest.raises(ShapeError, match="0 axes"):
        as_maps(3.0)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16, np.float32, np.float64])
def test_the_range_is_the_same_in_every_dtype(dtype):
    assert finite_range(np.array([0, 1, 1], dtype)) == (0.0, 1.0)


def test_the_range_leaves_out_what_is_not_finite():
    assert finite_range([np.nan, 3, -2, np.inf, -np.inf]) == (-2.0, 3.0)


def test_given_ends_of_the_range_clip_what_lies_beyond():
    assert to_unit_range([-1, 0, 1, 2, 9], low=0, high=2).tolist() == [0, 0, 0.5, 1, 1]


def test_where_one_end_is_given_the_other_is_that_of_the_values():
    assert to_unit_range([1, 2, 5], low=-3).tolist() == [0.5, 0.625, 1]
    assert to_unit_range([1, 2, 5], high=3).tolist() == [0, 0.5, 1]


def test_a_range_that_runs_backwards_is_dark():
    assert to_unit_range([1, 2], low=5, high=3).tolist() == [0, 0]


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.float16, np.float64])
def test_scaling_gives_float32_whatever_came(dtype):
    scaled = to_unit_range(np.array([0, 1], dtype))
    assert scaled.dtype == np.float32
    assert scaled.tolist() == [0, 1]


@pytest.mark.filterwarnings("error")
def test_what_float32_does_not_hold_is_still_finite():
    assert to_unit_range([0, HUGE / 2, HUGE]).tolist() == [0, 0.5, 1]


def test_backward_and_locked_arrays_are_scaled_too():
    given = np.arange(6.0)[::-2]  # 5, 3, 1
    given.flags.writeable = False
    assert to_unit_range(given).tolist() == [1, 0.5, 0]


# --- norm ---------------------------------------------------------------------------------


random = np.random.default_rng(0)


@given(st.integers(1, 3 * CHUNK), st.sampled_from([np.float16, np.float32, np.float64]))
def test_arrays_are_one_vector(size, dtype):
    values = random.normal(size=size).astype(dtype)
    parts = {"one": values[: size // 2].reshape(1, -1), "other": values[size // 2 :]}
    expected = np.linalg.norm(values.astype(np.float64))
    assert norm(parts) == pytest.approx(expected, rel=1e-12)


def test_what_has_been_added_is_told_in_float64():
    before = random.normal(size=(3, CHUNK)).astype(np.float32)
    after = np.nextafter(before, np.float32(9))  # the least that a step can add
    expected = np.linalg.norm((after.astype(np.float64) - before).ravel())
    assert norm({"kernel": after}, {"kernel": before}) == pytest.approx(expected, rel=1e-12)


def test_large_float32s_do_not_overflow():
    assert norm({"kernel": np.full(4, 1e30, np.float32)}) == pytest.approx(2e30)


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_what_is_not_finite_is_told(odd):
    found = norm({"kernel": np.array([1.0, odd])})
    np.testing.assert_equal(found, odd)


def test_infinity_that_stays_is_not_known():
    values = {"kernel": np.array([1.0, np.inf])}
    assert math.isnan(norm(values, values))


def test_nothing_has_no_norm():
    assert math.isnan(norm({}))
