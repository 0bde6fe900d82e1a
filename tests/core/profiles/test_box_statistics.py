import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actwidgets.core.accumulators import (
    OUTLIERS,
    box_statistics,
    sketched_box_statistics,
    summarize,
)
from actwidgets.core.class_profiles import ProfileBuilder


@st.composite
def _data(draw):
    n_samples = draw(st.integers(1, 200))
    random = np.random.default_rng(draw(st.integers(0, 999)))
    values = random.standard_t(2, n_samples).astype(np.float32)
    values[random.random(n_samples) < 0.05] = np.nan
    return values, random.integers(0, 3, n_samples)


@settings(deadline=None, max_examples=60)
@given(_data())
def test_quartiles_are_numpys_and_whiskers_end_at_values(data):
    values, labels = data
    boxes = box_statistics(values, labels, 4)
    for index in range(4):
        mine = values[(labels == index) & ~np.isnan(values)].astype(np.float64)
        assert boxes.counts[index] == len(mine)
        if not len(mine):
            assert np.isnan([*boxes.fives[index], boxes.min[index], boxes.max[index]]).all()
            continue
        first, _, third = wanted = np.percentile(mine, [25, 50, 75])
        np.testing.assert_allclose(boxes.fives[index, 1:4], wanted)
        inside = mine[np.abs(mine - (first + third) / 2) <= 2 * (third - first) + 1e-9]
        if len(inside):
            np.testing.assert_allclose(boxes.fives[index, [0, 4]], [inside.min(), inside.max()])
        assert (boxes.min[index], boxes.max[index]) == (mine.min(), mine.max())
        assert boxes.n_outliers[index] == len(mine) - len(inside)
        assert len(boxes.outliers[index]) == min(boxes.n_outliers[index], OUTLIERS)


@settings(deadline=None, max_examples=60)
@given(_data())
def test_sketched_quartiles_are_within_the_error_told(data):
    values, labels = data
    builder = ProfileBuilder(("a", "b", "c", "d"))
    builder.add({"layer": summarize(values[:, None])}, labels)
    boxes = sketched_box_statistics(builder.profiles().sums["layer"], 0)
    for index in range(4):
        mine = values[(labels == index) & ~np.isnan(values)]
        assert boxes.counts[index] == len(mine)
        if len(mine):
            wanted = np.percentile(mine, [25, 50, 75], method="lower")
            assert (np.diff(boxes.fives[index]) >= 0).all()
            assert boxes.min[index] == mine.min()
            assert (np.abs(boxes.fives[index, 1:4] - wanted) <= boxes.error + 1e-6).all()
            assert boxes.max[index] == mine.max()


@pytest.mark.parametrize("value", [-0.919, 0.385, 0.0, 591.0])
def test_sketched_boxes_of_one_value_are_that_value(value):
    builder = ProfileBuilder(("a",))
    builder.add({"layer": summarize(np.full((9, 1), value, np.float32))}, np.zeros(9, int))
    boxes = sketched_box_statistics(builder.profiles().sums["layer"], 0)
    np.testing.assert_allclose(boxes.fives, np.full((1, 5), np.float32(value)))


@settings(deadline=None, max_examples=30)
@given(_data())
def test_sketched_boxes_of_maps_lie_below_their_largest_value(data):
    values, labels = data
    maps = np.stack([values, values - 1], axis=1)[:, :, None]
    builder = ProfileBuilder(("a", "b", "c", "d"))
    builder.add({"layer": summarize(maps)}, labels)
    boxes = sketched_box_statistics(builder.profiles().sums["layer"], 0)
    known = boxes.counts > 0
    assert (np.diff(boxes.fives[known], axis=1) >= 0).all()
    assert (boxes.fives[known, 4] <= boxes.max[known]).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("values", [[1, 2, 3, np.inf], [np.inf] * 3, [-np.inf, 1, np.inf], []])
def test_infinities_are_values_and_warn_of_nothing(values):
    boxes = box_statistics(values, np.zeros(len(values), int), 1)
    assert boxes.counts.tolist() == [len(values)]
    if values:
        assert (boxes.min[0], boxes.max[0]) == (min(values), max(values))
    assert len(boxes.outliers[0]) == boxes.n_outliers[0]
