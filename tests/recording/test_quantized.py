import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from actwidgets.recording.store import quantize

ANY = st.floats(width=32, allow_nan=True, allow_infinity=True, allow_subnormal=True)
COMMON = st.floats(-4, 4, width=32)


def tables(elements):
    shapes = arrays.array_shapes(min_dims=2, max_dims=4, min_side=0, max_side=6)
    return arrays.arrays(np.float32, shapes, elements=elements)


@given(tables(ANY) | tables(COMMON))
def test_no_value_is_further_off_than_the_error_says(values):
    quantized = quantize(values)
    found, finite = quantized.values, np.isfinite(values)
    assert found.dtype == quantized.error.dtype == np.float32
    assert quantized.codes.dtype == np.uint8
    assert found.shape == values.shape
    error = np.broadcast_to(quantized.error, values.shape).astype(np.float64)
    off = abs(found.astype(np.float64) - np.where(finite, values, 0))
    assert (off[finite] <= error[finite]).all()


@given(tables(ANY) | tables(COMMON))
def test_zero_stays_zero_and_no_sign_changes(values):
    found = quantize(values).values
    known = ~np.isnan(values)
    np.testing.assert_array_equal(np.sign(found[known]), np.sign(values[known]))


@given(tables(ANY))
def test_nan_and_infinities_come_back(values):
    found = quantize(values).values
    odd = ~np.isfinite(values)
    np.testing.assert_array_equal(found[odd], values[odd])
    assert np.isfinite(found[~odd]).all()


@given(tables(ANY))
def test_a_second_time_changes_nothing_more_than_the_error(values):
    once = quantize(values)
    again = quantize(once.values)
    finite = np.isfinite(values)
    off = abs(again.values.astype(np.float64) - np.where(finite, once.values, 0))
    assert (off[finite] <= np.broadcast_to(again.error, values.shape)[finite]).all()


def test_each_unit_has_steps_of_its_own():
    values = np.linspace(0, 1, 253, dtype=np.float32)[:, None] * [1, 1000]
    quantized = quantize(values)
    np.testing.assert_allclose(quantized.step, [1 / 252, 1000 / 252], rtol=2**-14)
    np.testing.assert_array_equal(quantized.codes[:, 0], np.arange(253))


def test_the_error_is_half_a_step_away_from_zero():
    values = np.random.default_rng(0).uniform(5, 6, (1000, 1)).astype(np.float32)
    quantized = quantize(values)
    assert quantized.error[0] == pytest.approx(1 / 252 / 2, rel=0.01)
    assert abs(quantized.values - values).max() > 0.4 / 252


@pytest.mark.parametrize("value", [0.0, -3.7, 1e-45, 3.4e38])
def test_equal_values_are_kept_exactly(value):
    values = np.full((3, 2), value, np.float32)
    quantized = quantize(values)
    np.testing.assert_array_equal(quantized.values, values)
    np.testing.assert_array_equal(quantized.error, [0, 0])


def test_the_whole_range_of_float32_is_taken():
    values = np.array([[-3.4e38], [0], [1e-38], [3.4e38]], np.float32)
    found = quantize(values).values
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(np.sign(found), np.sign(values))


@pytest.mark.parametrize("shape", [(0, 4), (0,), (3, 0), (2, 0, 5)])
def test_no_values_are_no_codes(shape):
    assert quantize(np.zeros(shape)).values.shape == shape
