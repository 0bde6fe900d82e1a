import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from actwidgets.core.histograms import subsample


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
