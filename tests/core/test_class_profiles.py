"""Profiles against plain loops, and merged against whole, on whatever hypothesis draws."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from actwidgets.core import class_profiles, files
from actwidgets.core.accumulators import N_TOP, TopSamples, summarize
from actwidgets.core.class_distances import expected_by_chance, fisher_ratio, nearest_pairs
from actwidgets.core.class_profiles import (
    OUTLIERS,
    SELECTIVE_FROM,
    ClassProfiles,
    ProfileBuilder,
    ProfileSpec,
    box_statistics,
    find_units,
    selectivity,
    sketched_box_statistics,
)
from actwidgets.errors import DataError, LayerError, ShapeError

NAMES = ("shirt", "coat", "bag")
STATISTICS = ("firing_rate", "mean", "std", "min", "max")


def _profiles(values, labels, batch_size=None, **options):
    wanted = ProfileSpec(**options)
    builder = ProfileBuilder(NAMES, wanted)
    for start in range(0, len(values), batch_size or max(len(values), 1)):
        rows = slice(start, start + (batch_size or len(values)))
        summary = summarize(values[rows], wanted.positions_above)
        builder.add({"layer": summary}, np.asarray(labels)[rows])
    return builder.profiles()


@st.composite
def _data(draw):
    """Activations with ties, zeros, NaN and classes without samples."""
    shape = (draw(st.integers(1, 24)), *draw(st.sampled_from([(), (2, 3), (1, 1), (4,)])), 2)
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    values = rng.choice(
        np.array([-1.5, 0, 0.25, 1, 3, np.nan]), size=shape, p=[0.2, 0.2, 0.2, 0.2, 0.15, 0.05]
    ).astype(np.float32)
    return values, rng.integers(0, draw(st.integers(1, 3)), shape[0])


def _assert_same(found, wanted):
    """Counts equal, sums of float64 equal to rounding."""
    np.testing.assert_array_equal(found.counts, wanted.counts)
    for name in ("firing_rate", "min", "max", "n_nan"):
        np.testing.assert_array_equal(getattr(found, name)["layer"], getattr(wanted, name)["layer"])
    for name in ("mean", "std"):
        np.testing.assert_allclose(
            getattr(found, name)["layer"], getattr(wanted, name)["layer"], atol=1e-12
        )
    for mine, theirs in zip(found.histogram("layer"), wanted.histogram("layer"), strict=True):
        np.testing.assert_array_equal(mine, theirs)


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
            counts, edges = profiles.histogram("layer")
            peaks = [np.nanmax(m) for m in maps if not np.isnan(m).all()]
            for place, n_inside in enumerate(counts[index, unit]):
                low, high = edges[place : place + 2]
                assert n_inside == sum(low < peak <= high for peak in peaks)
            assert counts[index, unit].sum() == len(peaks)


@settings(deadline=None, max_examples=60)
@given(_data(), st.integers(1, 9), st.sampled_from(["any", "mean"]))
def test_the_size_of_the_batches_makes_no_difference(data, batch_size, reduce):
    values, labels = data
    whole = _profiles(values, labels, reduce=reduce)
    _assert_same(_profiles(values, labels, batch_size, reduce=reduce), whole)


@settings(deadline=None, max_examples=60)
@given(_data(), st.randoms(use_true_random=False), st.sampled_from(["any", "mean"]))
def test_any_split_in_any_order_gives_the_same_profiles(data, random, reduce):
    values, labels = data
    whole = _profiles(values, labels, reduce=reduce)
    rows = list(range(len(labels)))
    random.shuffle(rows)
    cut, other = sorted(random.choices(range(1, len(rows) + 1), k=2))
    parts = [rows[:cut], rows[cut:other], rows[other:]]
    parts = [_profiles(values[part], labels[part], reduce=reduce) for part in parts if part]
    random.shuffle(parts)
    merged = parts[0]
    for part in parts[1:]:
        merged = merged.merge(part)
    _assert_same(merged, whole)


@settings(deadline=None, max_examples=40)
@given(_data(), st.sampled_from([-2.0, 0.25, 1.0, 5.0]))
def test_another_threshold_needs_no_second_pass(data, threshold):
    values, labels = data
    profiles, again = _profiles(values, labels), _profiles(values, labels, threshold=threshold)
    exact = profiles.at_peaks({"layer": summarize(values).max}, labels, threshold)
    np.testing.assert_array_equal(exact.firing_rate["layer"], again.firing_rate["layer"])
    assert exact.threshold == threshold
    # All of these thresholds are edges of bins, so that histograms are exact too.
    moved = profiles.at_threshold(threshold)
    np.testing.assert_array_equal(moved.firing_rate["layer"], again.firing_rate["layer"])
    assert moved.firing_error == 0


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 300), st.floats(-4, 4), st.integers(0, 99))
def test_a_threshold_between_edges_is_off_by_no_more_than_told(n_samples, threshold, seed):
    values = np.random.default_rng(seed).normal(size=(n_samples, 3)).astype(np.float32)
    labels = np.arange(n_samples) % 3
    moved = _profiles(values, labels).at_threshold(threshold)
    wanted = _profiles(values, labels, threshold=threshold)
    off = np.abs(moved.firing_rate["layer"] - wanted.firing_rate["layer"])
    assert np.nanmax(off) <= moved.firing_error + 1e-12


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 300), st.floats(0, 1), st.integers(0, 99))
def test_a_quantile_lies_between_the_limits_told(n_samples, share, seed):
    values = np.random.default_rng(seed).normal(size=(n_samples, 3)).astype(np.float32) * 5
    labels = np.arange(n_samples) % 2
    estimate, low, high = _profiles(values, labels).quantile("layer", share)
    for index in range(min(n_samples, 2)):
        wanted = np.quantile(values[labels == index], share, axis=0, method="lower")
        assert (low[index] < wanted).all()
        assert (wanted <= high[index]).all()
        assert ((low[index] <= estimate[index]) & (estimate[index] <= high[index])).all()
        assert (high[index] - low[index] <= np.maximum(np.abs(wanted) / 4, 2.0**-11)).all()
    assert np.isnan(estimate[2]).all()


def test_a_value_at_the_threshold_does_not_fire():
    profiles = _profiles(np.array([[0.5], [0.6]]), np.array([0, 0]), threshold=0.5)
    assert profiles.firing_rate["layer"][0, 0] == 0.5


def test_infinity_fires_and_is_the_largest():
    profiles = _profiles(np.array([[np.inf], [-np.inf]]), np.array([0, 0]))
    assert profiles.firing_rate["layer"][0, 0] == 0.5
    assert profiles.max["layer"][0, 0] == np.inf


def test_variance_survives_a_large_mean():
    values = 1e6 + np.random.default_rng(0).normal(size=(1000, 1))
    profiles = _profiles(values, np.zeros(1000, int), batch_size=10)
    assert profiles.std["layer"][0, 0] == pytest.approx(values.std(), rel=1e-6)


def test_what_is_merged_with_a_part_is_a_part():
    builder = ProfileBuilder(NAMES)
    builder.add({"layer": summarize(np.ones((1, 2)))}, np.array([0]))
    part, whole = builder.profiles(complete=False), builder.profiles()
    assert whole.merge(whole).complete
    assert not whole.merge(part).complete
    assert not part.merge(whole).complete


def test_profiles_that_differ_do_not_merge():
    one, other = (_profiles(np.ones((1, 2)), np.array([0]), threshold=t) for t in (0, 1))
    with pytest.raises(DataError, match=r"different threshold do not merge: 0\.0, 1\.0"):
        one.merge(other)
    some = _profiles(np.ones((1, 2)), np.array([0]), statistics=("mean",))
    with pytest.raises(DataError, match="hold firing_rate, mean, std, min, max, histogram and"):
        one.merge(some)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda p: p.similarity("conv9"), LayerError, "they hold layer"),
        (lambda p: p.similarity("layer", statistic="mode"), DataError, "there are firing_rate"),
        (lambda p: p.similarity("layer", metric="taxi"), DataError, "there are mean_abs_diff"),
        (lambda p: p.fisher_ratio("layer", ("hat", "bag")), DataError, "no class 'hat'; there are"),
        (lambda p: p.quantile("layer", 2), DataError, r"in 0\.\.1; got 2"),
        (lambda p: ProfileSpec(reduce="all"), DataError, "must be 'any' or 'mean'"),
        (lambda p: ProfileSpec(threshold=np.nan), DataError, "NaN"),
        (lambda p: ProfileSpec(statistics=("mode",)), DataError, "no statistic 'mode'; there are"),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does(call, error, words):
    with pytest.raises(error, match=words):
        call(_profiles(np.ones((1, 2)), np.array([0])))


def test_what_was_not_gathered_says_so():
    profiles = _profiles(np.ones((3, 2)), np.arange(3), statistics=("firing_rate",))
    assert profiles.gathered("layer") == ("firing_rate",)
    for call, words in (
        (lambda: profiles.mean, "gathered without mean; they hold firing_rate"),
        (lambda: profiles.max, "gathered without max"),
        (lambda: profiles.similarity("layer", metric="overlap"), "no histograms"),
    ):
        with pytest.raises(DataError, match=words):
            call()


def test_histograms_of_very_many_classes_and_units_are_kept_only_on_request():
    labels, values = np.array([0]), np.ones((1, 30_000))
    assert "histogram" not in _profiles(values, labels).gathered("layer")
    asked = _profiles(values, labels, statistics=("histogram",))
    assert asked.gathered("layer") == ("firing_rate", "histogram")


def test_the_peak_of_a_volume_is_that_of_all_its_positions():
    volume = np.zeros((1, 3, 2, 2, 1), np.float32)
    volume[0, 0, 1, 1, 0] = 5
    assert summarize(volume).max.tolist() == [[5]]


def test_shares_of_maps_of_different_size_do_not_add_up():
    parts = [
        _profiles(np.ones((1, size, size, 2)), np.array([0]), reduce="mean") for size in (2, 3)
    ]
    with pytest.raises(DataError, match="layer has 4, 9"):
        parts[0].merge(parts[1])
    wanted = ProfileSpec(reduce="mean")
    builder = ProfileBuilder(NAMES, wanted)
    builder.add({"layer": summarize(np.ones((1, 2, 2, 2)), 0.0)}, np.array([0]))
    with pytest.raises(ShapeError, match="has 9 positions in this batch, 4 before"):
        builder.add({"layer": summarize(np.ones((1, 3, 3, 2)), 0.0)}, np.array([0]))


def test_a_batch_that_does_not_fit_changes_nothing():
    builder = ProfileBuilder(NAMES)
    good = {name: summarize(np.ones((1, 2))) for name in ("layer", "other")}
    builder.add(good, np.array([0]))
    with pytest.raises(ShapeError, match="'other' has 5 units in this batch, 2 before"):
        builder.add(good | {"other": summarize(np.ones((1, 5)))}, np.array([1]))
    assert builder.profiles().counts.tolist() == [1, 0, 0]
    assert builder.profiles().sums["layer"].counts.tolist() == [1, 0, 0]


def test_jensen_shannon_is_that_of_scipy_averaged_over_units():
    values = np.random.default_rng(1).normal(size=(60, 4)).astype(np.float32)
    profiles = _profiles(values, np.arange(60) % 2)  # the third class has no samples
    found = profiles.similarity("layer", metric="jensen_shannon")
    counts, _ = profiles.histogram("layer")
    wanted = np.mean([jensenshannon(counts[0, u], counts[1, u], base=2) for u in range(4)])
    assert found[0, 1] == pytest.approx(wanted, abs=1e-12)
    assert found[1, 0] == found[0, 1]
    assert found[0, 0] == 0
    assert np.isnan(found[2]).all()
    shares = profiles.sums["layer"].bins.shares()
    overlap = np.minimum(shares[0], shares[1]).sum(axis=1).mean()
    assert profiles.similarity("layer", metric="overlap")[0, 1] == pytest.approx(1 - overlap)


def test_fisher_ratio_is_between_over_within_scatter():
    random = np.random.default_rng(2)
    values, labels = random.normal(size=(90, 3)), np.arange(90) % 3
    values[labels == 2] += 4
    profiles = _profiles(values, labels)
    for classes in (None, ("shirt", "coat"), (0, 2)):
        rows = {None: (0, 1, 2), ("shirt", "coat"): (0, 1), (0, 2): (0, 2)}[classes]
        mine = [values[labels == index] for index in rows]
        middle = np.concatenate(mine).mean(axis=0)
        between = sum(len(part) * ((part.mean(axis=0) - middle) ** 2).sum() for part in mine)
        within = sum(((part - part.mean(axis=0)) ** 2).sum() for part in mine)
        assert profiles.fisher_ratio("layer", classes) == pytest.approx(between / within, rel=1e-6)
    assert np.isnan(_profiles(values, np.zeros(90, int)).fisher_ratio("layer"))


def test_fisher_ratio_of_single_samples_is_not_known():
    values = np.random.default_rng(5).normal(size=(6, 3))
    assert np.isnan(_profiles(values[:3], np.arange(3)).fisher_ratio("layer"))
    assert np.isfinite(_profiles(values, np.arange(6) % 3).fisher_ratio("layer"))


@pytest.mark.parametrize("sizes", [(2, 2, 2), (3, 9, 0, 30), (100, 100)])
def test_fisher_ratio_of_classes_that_do_not_differ_is_what_chance_gives(sizes):
    random = np.random.default_rng(8)
    labels, n_units = np.repeat(np.arange(len(sizes)), sizes), 4000
    values = random.normal(size=(len(labels), n_units))
    mean, std = np.full((2, len(sizes), n_units), np.nan)
    for index in set(labels.tolist()):
        mean[index] = values[labels == index].mean(axis=0)
        std[index] = values[labels == index].std(axis=0)
    weights = np.repeat(np.array(sizes)[:, None], n_units, axis=1)
    assert fisher_ratio(mean, std, weights) == pytest.approx(expected_by_chance(sizes), rel=0.1)


def test_chance_without_two_samples_of_a_class_or_without_two_classes():
    assert expected_by_chance([1, 1, 0]) == np.inf
    assert np.isnan(expected_by_chance([5, 0]))
    assert expected_by_chance([2, 2, 2]) == pytest.approx(2 / 3)


def test_maps_of_which_a_position_is_dark_are_not_always_active():
    values = np.ones((6, 4, 5, 2), np.float32)
    values[3, 2, 2, 1] = 0
    findings = _profiles(values, np.arange(6) % 3).unit_findings("layer")
    assert [(each.unit, each.kind) for each in findings] == [(0, "always active")]


def test_a_planted_dead_an_always_active_and_a_selective_unit_are_found():
    random = np.random.default_rng(3)
    values, labels = random.uniform(0, 1, size=(300, 4)), np.arange(300) % 3
    values[:, 1] = 0
    values[:, 2] += 1
    values[:, 3] = np.where(labels == 1, values[:, 3] + 1, 0)
    values[0, 0] = 0
    dead, always, selective = _profiles(values, labels).unit_findings("layer")
    assert (dead.unit, dead.kind, dead.n_samples, dead.bound) == (1, "dead", 300, 0.01)
    assert (always.unit, always.kind) == (2, "always active")
    assert (selective.unit, selective.kind, selective.class_index) == (3, "selective", 1)
    assert selective.selectivity == 1


def test_clustering_puts_like_beside_like():
    values = np.array([[0.0, 0], [5, 5], [0.1, 0]] * 3)
    tree = _profiles(values, np.arange(9) % 3).clustering("layer", "mean", "euclidean")
    assert sorted(tree.order.tolist()) == [0, 1, 2]
    assert abs(list(tree.order).index(0) - list(tree.order).index(2)) == 1
    assert tree.joins.shape == (2, 4, 2)
    assert tree.joins[0, :, 1].max() == pytest.approx(0.1)
    # Average linkage: the last join is as high as its two distances are on average.
    matrix = _profiles(values, np.arange(9) % 3).similarity("layer", "mean", "euclidean")
    assert tree.joins[1, :, 1].max() == pytest.approx((matrix[0, 1] + matrix[1, 2]) / 2)
    lonely = _profiles(values[:2], [0, 1]).clustering("layer", "mean", "euclidean")
    assert lonely.order.tolist()[2] == 2  # no samples: last, and not in the tree
    assert len(lonely.joins) == 1


def test_a_table_has_a_row_for_each_class_and_unit():
    values = np.arange(8.0).reshape(4, 2)
    table = _profiles(values, [0, 1, 0, 1]).to_dataframe("layer")
    assert list(table) == [
        "class", "unit", "count", "firing_rate", "mean", "std", "min", "max", "n_nan"
    ]  # fmt: skip
    row = table[(table["class"] == "coat") & (table["unit"] == 1)].iloc[0]
    assert (row["count"], row["firing_rate"], row["mean"], row["max"]) == (2, 1, 5, 7)
    assert len(table) == 6


def test_nearest_pairs_are_those_of_a_sorted_list():
    matrix = np.abs(np.subtract.outer(*[np.array([0.0, 5, 6, 20, 21.5])] * 2))
    matrix[4] = matrix[:, 4] = np.nan
    assert nearest_pairs(matrix, 3).tolist() == [[1, 2], [0, 1], [0, 2]]
    assert len(nearest_pairs(matrix, 99)) == 6


# --- box statistics -----------------------------------------------------------------------


@st.composite
def _box_data(draw):
    n_samples = draw(st.integers(1, 200))
    random = np.random.default_rng(draw(st.integers(0, 999)))
    values = random.standard_t(2, n_samples).astype(np.float32)
    values[random.random(n_samples) < 0.05] = np.nan
    return values, random.integers(0, 3, n_samples)


@settings(deadline=None, max_examples=60)
@given(_box_data())
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
@given(_box_data())
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
@given(_box_data())
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


# --- top samples --------------------------------------------------------------------------


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


# --- unit findings ------------------------------------------------------------------------


@st.composite
def _units_data(draw):
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
@given(_units_data(), st.sampled_from([0.0, 0.25, 2.0]))
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


# --- profile files ------------------------------------------------------------------------


@pytest.fixture
def profiles():
    builder = ProfileBuilder(("<b>shirt</b>", "coat", "bag"))
    values = np.random.default_rng(0).normal(size=(20, 3, 2, 4)).astype(np.float32)
    values[3, 0, 0, 1] = np.nan
    summaries = {"block/conv": summarize(values), "dense": summarize(values[:, 0, 0, :3])}
    builder.add(summaries, np.arange(20) % 2)
    return builder.profiles()


def test_what_is_saved_comes_back_and_merges(profiles, tmp_path):
    path = tmp_path / "profiles of mine"
    profiles.save(path)
    found = ClassProfiles.load(path)
    assert found.layers == profiles.layers
    assert found.class_names == profiles.class_names
    for name in ("firing_rate", "mean", "std", "min", "max", "n_nan"):
        for layer in profiles.layers:
            np.testing.assert_array_equal(
                getattr(found, name)[layer], getattr(profiles, name)[layer]
            )
    for layer in profiles.layers:
        np.testing.assert_array_equal(found.histogram(layer)[0], profiles.histogram(layer)[0])
        np.testing.assert_array_equal(found.histogram(layer)[1], profiles.histogram(layer)[1])
    assert found.merge(profiles).n_samples == 40
    assert os.listdir(tmp_path) == [path.name]


def test_profiles_of_no_layers_are_saved_too(tmp_path):
    ProfileBuilder(("a", "b")).profiles().save(tmp_path / "none.npz")
    assert ClassProfiles.load(tmp_path / "none.npz").layers == ()


def test_a_name_that_promises_another_format_is_refused(profiles, tmp_path):
    with pytest.raises(DataError, match=r"are written as NPZ; got '.*a.csv': give '.*a.npz'"):
        profiles.save(tmp_path / "a.csv")
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_cut_off_is_refused_wherever_it_is_cut(profiles, tmp_path):
    path = tmp_path / "whole.npz"
    profiles.save(path)
    whole = path.read_bytes()
    for length in (0, 3, 100, len(whole) // 2, len(whole) - 30, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match="cut off, damaged or of something else"):
            ClassProfiles.load(path)


def test_a_damaged_byte_is_found(profiles, tmp_path):
    path = tmp_path / "whole.npz"
    profiles.save(path)
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 3] ^= 255
    path.write_bytes(damaged)
    with pytest.raises(DataError, match="damaged"):
        ClassProfiles.load(path)


def _with_header(path, **changes):
    header = {"format": class_profiles.KIND.format, "version": 1} | changes
    np.savez(path, **{files.HEADER: np.frombuffer(json.dumps(header).encode(), np.uint8)})


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda path: np.savez(path, weights=np.ones(3)), "holds no class profiles"),
        (lambda path: np.savez(path, x=np.array([{}], dtype=object)), "holds no class profiles"),
        (lambda path: np.save(path, np.ones(3)), "holds one array"),
        (lambda path: path.write_text("PK\x03\x04 or not"), "cannot be read"),
        (lambda path: _with_header(path, version=2), "version 2, and this actwidgets reads up"),
        (lambda path: _with_header(path, format="a recording"), "holds 'a recording'"),
        (lambda path: _with_header(path), "cannot be read"),
        (lambda path: None, "there is no file"),
    ],
)
def test_a_foreign_file_is_refused(write, words, tmp_path):
    path = tmp_path / "file.npz"
    write(path)
    found = next(tmp_path.glob("*"), path)  # numpy adds a suffix of its own
    with pytest.raises(DataError, match=words):
        ClassProfiles.load(found)


def test_a_full_disk_leaves_the_file_that_was_there(profiles, tmp_path, monkeypatch):
    path = tmp_path / "profiles.npz"
    profiles.save(path)
    before = path.read_bytes()

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(DataError, match=r"cannot be written to .*No space left on device"):
        profiles.save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


def test_the_file_is_put_in_its_place_in_one_step(profiles, tmp_path, monkeypatch):
    path = tmp_path / "profiles.npz"
    path.write_bytes(b"before")

    def interrupted(*_args):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(DataError, match="cannot be written"):
        profiles.save(path)
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == [path.name]


def test_a_folder_that_is_not_there_is_named(profiles, tmp_path):
    with pytest.raises(DataError, match="cannot be written to"):
        profiles.save(tmp_path / "no such folder" / "profiles.npz")
