import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from actwidgets.core.accumulators import N_TOP, TopSamples


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 120), st.integers(1, 40), st.integers(0, 99))
def test_streamed_they_are_those_of_a_stable_sort(n_samples, batch_size, seed):
    values = np.random.default_rng(seed).integers(-3, 4, (n_samples, 3)).astype(np.float32)
    values[values == -3] = np.nan
    top = TopSamples()
    for start in range(0, n_samples, batch_size):
        top.add(values[start : start + batch_size], start)
    for unit in range(3):
        column = values[:, unit]
        wanted = np.argsort(-np.nan_to_num(column, nan=-99), kind="stable")
        wanted = [row for row in wanted if not np.isnan(column[row])][:N_TOP]
        for rows, found in (top.of_unit(unit), TopSamples.of(column)):
            assert rows.tolist() == wanted
            np.testing.assert_array_equal(found, column[wanted])


def test_without_samples_there_are_none():
    assert TopSamples().of_unit(0)[0].tolist() == []
