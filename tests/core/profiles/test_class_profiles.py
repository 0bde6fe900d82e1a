"""Profiles against plain loops, and merged against whole, on whatever hypothesis draws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from actwidgets.core.accumulators import summarize
from actwidgets.core.class_distances import expected_by_chance, fisher_ratio, nearest_pairs
from actwidgets.core.class_profiles import ProfileBuilder, ProfileSpec
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
