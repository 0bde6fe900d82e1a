"""Profiles against plain loops, and merged against whole, on whatever hypothesis draws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actwidgets.core.class_profiles import add_batch, empty_profiles, with_threshold
from actwidgets.core.unit_moments import peaks
from actwidgets.errors import DataError, LayerError

NAMES = ("shirt", "coat", "bag")
STATISTICS = ("firing_rate", "mean", "std", "min", "max")


def _profiles(values, labels, **options):
    return add_batch(empty_profiles(NAMES, **options), {"layer": values}, labels)


@st.composite
def _data(draw):
    """Activations with ties, zeros, NaN and classes without samples."""
    shape = (draw(st.integers(1, 24)), *draw(st.sampled_from([(), (2, 3), (1, 1), (4,)])), 2)
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    values = rng.choice(
        np.array([-1.5, 0, 0.25, 1, 3, np.nan]), size=shape, p=[0.2, 0.2, 0.2, 0.2, 0.15, 0.05]
    ).astype(np.float32)
    return values, rng.integers(0, draw(st.integers(1, 3)), shape[0])


@settings(deadline=None, max_examples=60)
@given(_data(), st.sampled_from(["any", "mean"]), st.sampled_from([-2.0, 0.0, 0.25]))
def test_every_statistic_is_that_of_a_plain_loop(data, reduce, threshold):
    values, labels = data
    profiles = _profiles(values, labels, reduce=reduce, threshold=threshold)
    for index in range(3):
        mine = [sample.reshape(-1, 2) for sample in values[labels == index].astype(np.float64)]
        assert profiles.counts[index] == len(mine)
        for unit in range(2):
            found = {name: getattr(profiles, name)["layer"][index, unit] for name in STATISTICS}
            if not mine:
                assert np.isnan(list(found.values())).all()
                continue
            maps = [sample[:, unit] for sample in mine]
            fires = [
                (m > threshold).any() if reduce == "any" else (m > threshold).mean() for m in maps
            ]
            assert found["firing_rate"] == pytest.approx(np.mean(fires), abs=1e-12)
            means = [np.nanmean(m) for m in maps if not np.isnan(m).all()]
            known = np.concatenate(maps)
            known = known[~np.isnan(known)]
            assert profiles.n_nan["layer"][index, unit] == sum(np.isnan(m).sum() for m in maps)
            if means:
                wanted = np.mean(means), np.std(means), known.min(), known.max()
            else:
                wanted = (np.nan,) * 4
            np.testing.assert_allclose(list(found.values())[1:], wanted, atol=1e-12)


@settings(deadline=None, max_examples=60)
@given(_data(), st.randoms(use_true_random=False), st.sampled_from(["any", "mean"]))
def test_any_split_in_any_order_gives_the_same_profiles(data, random, reduce):
    values, labels = data
    whole = _profiles(values, labels, reduce=reduce)
    rows = list(range(len(labels)))
    random.shuffle(rows)
    cut = random.randrange(len(rows) + 1)
    parts = [
        _profiles(values[part], labels[part], reduce=reduce) for part in (rows[:cut], rows[cut:])
    ]
    random.shuffle(parts)
    merged = parts[0].merge(parts[1])
    np.testing.assert_array_equal(merged.counts, whole.counts)
    for name in ("firing_rate", "min", "max", "n_nan"):
        np.testing.assert_array_equal(getattr(merged, name)["layer"], getattr(whole, name)["layer"])
    for name in ("mean", "std"):
        np.testing.assert_allclose(
            getattr(merged, name)["layer"], getattr(whole, name)["layer"], atol=1e-12
        )


@settings(deadline=None, max_examples=40)
@given(_data(), st.sampled_from([-2.0, 0.25, 1.0, 5.0]))
def test_another_threshold_needs_no_second_pass(data, threshold):
    values, labels = data
    moved = with_threshold(_profiles(values, labels), "layer", peaks(values), labels, threshold)
    again = _profiles(values, labels, threshold=threshold)
    np.testing.assert_array_equal(moved.firing_rate["layer"], again.firing_rate["layer"])
    assert moved.threshold == threshold


def test_a_value_at_the_threshold_does_not_fire():
    profiles = _profiles(np.array([[0.5], [0.6]]), np.array([0, 0]), threshold=0.5)
    assert profiles.firing_rate["layer"][0, 0] == 0.5


def test_infinity_fires_and_is_the_largest():
    profiles = _profiles(np.array([[np.inf], [-np.inf]]), np.array([0, 0]))
    assert profiles.firing_rate["layer"][0, 0] == 0.5
    assert profiles.max["layer"][0, 0] == np.inf


def test_variance_survives_a_large_mean():
    values = 1e6 + np.random.default_rng(0).normal(size=(1000, 1))
    profiles = empty_profiles(NAMES)
    for part in np.split(values, 100):
        profiles = add_batch(profiles, {"layer": part}, np.zeros(10, int))
    assert profiles.std["layer"][0, 0] == pytest.approx(values.std(), rel=1e-6)


def test_profiles_that_differ_do_not_merge():
    one, other = (_profiles(np.ones((1, 2)), np.array([0]), threshold=t) for t in (0, 1))
    with pytest.raises(DataError, match=r"different threshold do not merge: 0\.0, 1\.0"):
        one.merge(other)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda p: p.similarity("conv9"), LayerError, "they hold layer"),
        (lambda p: p.similarity("layer", statistic="mode"), DataError, "there are firing_rate"),
        (lambda p: p.similarity("layer", metric="taxi"), DataError, "there are mean_abs_diff"),
        (lambda p: empty_profiles(NAMES, reduce="all"), DataError, "must be 'any' or 'mean'"),
        (lambda p: empty_profiles(NAMES, threshold=np.nan), DataError, "NaN"),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does(call, error, words):
    with pytest.raises(error, match=words):
        call(_profiles(np.ones((1, 2)), np.array([0])))


def test_the_peak_of_a_volume_is_that_of_all_its_positions():
    volume = np.zeros((1, 3, 2, 2, 1), np.float32)
    volume[0, 0, 1, 1, 0] = 5
    assert peaks(volume).tolist() == [[5]]


def test_shares_of_maps_of_different_size_do_not_merge():
    parts = [
        _profiles(np.ones((1, size, size, 2)), np.array([0]), reduce="mean") for size in (2, 3)
    ]
    with pytest.raises(DataError, match="layer has 4, 9"):
        parts[0].merge(parts[1])
