"""The norm of arrays as one vector."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actwidgets.core.arrays import CHUNK, norm

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
