import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actwidgets.core.class_profiles import SELECTIVE_FROM, find_units, selectivity


@st.composite
def _data(draw):
    """Values `(sample, unit)` of which some units are silent, and labels without class 3."""
    random = np.random.default_rng(draw(st.integers(0, 9999)))
    n_samples = draw(st.integers(1, 60))
    values = np.maximum(random.normal(size=(n_samples, 6)) * random.integers(0, 4, 6), 0)
    labels = random.integers(0, 3, n_samples)
    values[:, 4] *= labels == 1
    values[:, 5] += 0.5
    return values, labels


def _found(values, labels, threshold=0.0):
    classes = range(4)
    counts = np.bincount(labels, minlength=4)
    fired = np.array([(values[labels == c] > threshold).sum(axis=0) for c in classes])
    nothing = np.full(values.shape[1], np.nan)
    mean = np.array([values[labels == c].mean(axis=0) if counts[c] else nothing for c in classes])
    return find_units(fired, counts, mean, threshold), mean


@settings(deadline=None, max_examples=80)
@given(_data(), st.sampled_from([0.0, 0.25, 2.0]))
def test_findings_are_those_of_a_plain_loop(data, threshold):
    values, labels = data
    findings, mean = _found(values, labels, threshold)
    fires = values > threshold
    of_kind = {
        kind: [each.unit for each in findings if each.kind == kind]
        for kind in ("dead", "always active", "selective")
    }
    assert of_kind["dead"] == np.flatnonzero(~fires.any(axis=0)).tolist()
    assert of_kind["always active"] == np.flatnonzero(fires.all(axis=0)).tolist()
    wanted = set()
    for unit in range(values.shape[1]):
        known = {c: mean[c, unit] for c in range(4) if not np.isnan(mean[c, unit])}
        if len(known) < 2 or not any(known.values()) or not fires[:, unit].any():
            continue
        best = max(known, key=known.get)
        rest = np.mean([value for c, value in known.items() if c != best])
        index = (known[best] - rest) / (known[best] + rest)
        if index >= SELECTIVE_FROM:
            wanted.add((unit, best, round(index, 9)))
    selective = [each for each in findings if each.kind == "selective"]
    assert {(e.unit, e.class_index, round(e.selectivity, 9)) for e in selective} == wanted
    indices = [each.selectivity for each in selective]
    assert indices == sorted(indices, reverse=True)


@pytest.mark.parametrize(("n_samples", "bound"), [(1, 1.0), (2, 1.0), (30, 0.1), (10_000, 0.0003)])
def test_the_bound_is_three_over_n_and_no_more_than_one(n_samples, bound):
    counts, mean = np.array([n_samples, 0]), np.array([[0.0], [np.nan]])
    (found,) = find_units(np.zeros((2, 1), int), counts, mean, 0.0)
    assert (found.kind, found.n_samples) == ("dead", n_samples)
    assert found.bound == pytest.approx(bound)


def test_without_samples_nothing_is_found():
    assert find_units(np.zeros((2, 3), int), np.zeros(2, int), np.full((2, 3), np.nan), 0.0) == ()


def test_selectivity_is_not_told_of_one_class_of_silence_or_of_negative_activity():
    nan = np.nan
    assert np.isnan(selectivity(np.array([[1.0, 2.0], [nan, nan]]))[0]).all()
    index, favorite = selectivity(np.array([[0.0, -1.0, nan, 3.0], [0.0, 2.0, 1.0, 1.0]]))
    assert np.isnan(index[:3]).all()
    assert (index[3], favorite[3]) == (0.5, 0)


def test_a_map_is_always_active_where_all_its_positions_are_not_where_one_is():
    fired, counts = np.array([[4, 4, 4], [3, 3, 2]]), np.array([4, 3])
    lowest = np.array([[0.1, 0.1, 0.1], [0.2, 0.0, 0.1]])
    mean = np.ones((2, 3))
    findings = find_units(fired, counts, mean, 0.0, lowest)
    assert [(each.unit, each.kind) for each in findings] == [(0, "always active")]
    # at a threshold that float32 cannot hold, values are compared as they are in a batch
    lowest[:, 0] = np.float32(0.1)
    assert not find_units(fired, counts, mean, 0.1, lowest)
    nobody = np.array([[0.1, 0.1, 0.1], [np.nan] * 3])  # the second class has no samples
    findings = find_units(np.array([[4, 4, 3], [0, 0, 0]]), np.array([4, 0]), mean, 0.0, nobody)
    assert [each.unit for each in findings] == [0, 1]
