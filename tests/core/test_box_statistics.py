import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from actwidgets.core.box_statistics import OUTLIERS, box_statistics, sketched_box_statistics
from actwidgets.core.profile_builder import ProfileBuilder
from actwidgets.core.sample_summary import summarise


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
            assert np.isnan([*boxes.fives[index], boxes.low[index], boxes.high[index]]).all()
            continue
        first, _, third = wanted = np.percentile(mine, [25, 50, 75])
        np.testing.assert_allclose(boxes.fives[index, 1:4], wanted)
        inside = mine[np.abs(mine - (first + third) / 2) <= 2 * (third - first) + 1e-9]
        if len(inside):
            np.testing.assert_allclose(boxes.fives[index, [0, 4]], [inside.min(), inside.max()])
        assert (boxes.low[index], boxes.high[index]) == (mine.min(), mine.max())
        assert boxes.n_outliers[index] == len(mine) - len(inside)
        assert len(boxes.outliers[index]) == min(boxes.n_outliers[index], OUTLIERS)


@settings(deadline=None, max_examples=60)
@given(_data())
def test_sketched_quartiles_are_within_the_error_told(data):
    values, labels = data
    builder = ProfileBuilder(("a", "b", "c", "d"))
    builder.add({"layer": summarise(values[:, None])}, labels)
    boxes = sketched_box_statistics(builder.profiles().sums["layer"], 0)
    for index in range(4):
        mine = values[(labels == index) & ~np.isnan(values)]
        assert boxes.counts[index] == len(mine)
        if len(mine):
            wanted = np.percentile(mine, [25, 50, 75], method="lower")
            assert (np.abs(boxes.fives[index, 1:4] - wanted) <= boxes.error + 1e-6).all()
            assert boxes.high[index] == mine.max()
