"""CKA against its definition, and its sums against CKA of everything at once."""

import copy
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actwidgets.core.cka import CkaSums, cka, position_means
from actwidgets.errors import DataError, LayerError, ShapeError
from actwidgets.session.profiles import RepresentationPass

sizes = st.tuples(st.integers(6, 40), st.integers(1, 60), st.integers(1, 60))
seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=40, deadline=None)
CLOSE = {"rtol": 0, "atol": 1e-9}


def pair(n_samples, n_features, n_other, seed, dtype=np.float64):
    """Two representations that share something, away from zero."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(n_samples, n_features)) + 3
    b = np.tanh(a @ rng.normal(size=(n_features, n_other))) + rng.normal(size=(n_samples, n_other))
    return a.astype(dtype), (b - 7).astype(dtype)


def song(a, b):
    """Theorem 3 of Song et al. 2012, term by term, on Gram matrices of uncentered rows."""

    def hsic(k, m):
        n = len(k)
        k, m, ones = k - np.diag(np.diag(k)), m - np.diag(np.diag(m)), np.ones(n)
        totals = (ones @ k @ ones) * (ones @ m @ ones) / ((n - 1) * (n - 2))
        return np.trace(k @ m) + totals - 2 / (n - 2) * (ones @ k @ m @ ones)

    k, m = a @ a.T, b @ b.T
    return hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))


def biased(a, b):
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    norm = np.linalg.norm
    return norm(a.T @ b) ** 2 / (norm(a.T @ a) * norm(b.T @ b))


def batches(outputs, cuts):
    edges = [0, *sorted(cuts), len(next(iter(outputs.values())))]
    for start, stop in itertools.pairwise(edges):
        yield {name: values[start:stop] for name, values in outputs.items()}


def summed(outputs, cuts=(), **options):
    sums = CkaSums(tuple(outputs), **options)
    for batch in batches(outputs, cuts):
        sums.add(batch)
    return sums


@few
@given(sizes, seeds)
def test_it_is_the_definition_whichever_form_is_cheaper(shape, seed):
    a, b = pair(*shape, seed)
    np.testing.assert_allclose(cka(a, b), song(a, b), **CLOSE)
    wide = np.concatenate([b, np.full((len(b), 5000), 4.0)], axis=1)  # now by Gram matrices
    np.testing.assert_allclose(cka(a, wide), cka(a, b), **CLOSE)


@few
@given(sizes, seeds)
def test_it_is_1_of_a_representation_with_itself_and_symmetric(shape, seed):
    a, b = pair(*shape, seed)
    assert cka(a, a) == pytest.approx(1, abs=1e-9)
    assert cka(a, b) == pytest.approx(cka(b, a), abs=1e-12)


@few
@given(sizes, seeds, st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_rotating_scaling_and_moving_change_nothing(shape, seed, scale, offset):
    a, b = pair(*shape, seed)
    rotation, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(shape[1], shape[1])))
    assert cka(scale * a @ rotation + offset, b) == pytest.approx(cka(a, b), abs=1e-8)


def test_stretching_some_features_changes_it():
    a, _ = pair(40, 6, 1, 0)
    assert cka(a * [1, 1, 1, 1, 1, 30], a) < 0.8


def test_unrelated_representations_are_near_0_where_the_biased_form_is_not():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 64, 512))
    assert biased(a, b) > 0.8
    assert abs(cka(a, b)) < 0.1
    many = [cka(*rng.normal(size=(2, 16, 64))) for _ in range(50)]
    assert abs(np.mean(many)) < 0.05
    assert min(many) < 0  # told as it is


def test_it_is_never_more_than_1_but_for_rounding():
    rng = np.random.default_rng(1)
    assert max(abs(cka(*rng.normal(size=(2, 4, 2)))) for _ in range(200)) < 1 + 1e-6


def test_further_axes_are_features_and_a_vector_is_one():
    a, b = pair(12, 24, 1, 2)
    assert cka(a.reshape(12, 2, 3, 4), b[:, 0]) == cka(a, b)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int32, np.uint8, bool])
def test_it_is_computed_in_float64_whatever_comes_in(dtype):
    a, b = pair(30, 7, 50, 3)
    a, b = np.maximum(4 * a - 12, 0).astype(dtype), np.maximum(4 * b + 28, 0).astype(dtype)
    assert isinstance(cka(a, b), float)
    assert cka(a, b) == cka(a.astype(np.float64), b.astype(np.float64))


@pytest.mark.parametrize("size", [1e-150, 1e-30, 1e30, 1e150])
def test_very_large_and_very_small_values_are_values(size):
    a, b = pair(20, 5, 8, 4)
    assert cka(a * size, b) == pytest.approx(cka(a, b), abs=1e-12)


def constant(n_features):
    return np.full((20, n_features), 0.1)


def in_one_sample(n_features):
    return np.eye(20)[3][:, None] * 1.7 + constant(n_features)


@pytest.mark.parametrize("without", [constant, in_one_sample])
@pytest.mark.parametrize("n_features", [0, 1, 3, 300])
def test_without_variance_there_is_none(without, n_features):
    a, flat = np.random.default_rng(5).normal(size=(20, 4)), without(n_features)
    assert np.isnan(cka(a, flat))
    assert np.isnan(cka(flat, flat))
    for budget in (2**30, 0):
        table = summed({"a": a, "flat": flat}, (3, 11), memory_budget_bytes=budget).table()
        np.testing.assert_array_equal(np.isnan(table.values), [[False, True], [True, True]])


def test_arguments_are_left_as_they_are():
    a, b = pair(9, 3, 4, 6)
    given_a, given_b = a.copy(), b.copy()
    cka(a, b)
    summed({"a": a, "b": b}, (4,))
    np.testing.assert_array_equal(a, given_a)
    np.testing.assert_array_equal(b, given_b)


ONES = np.ones((5, 2))


@pytest.mark.parametrize(
    ("a", "b", "error", "words"),
    [
        (ONES, ONES[:4], ShapeError, "a has 5 samples and b has 4"),
        (ONES[:3], ONES[:3], DataError, "at least 4 samples; got 3"),
        (ONES[:0], ONES[:0], DataError, "at least 4 samples; got 0"),
        (ONES, np.where([[0, 1]], np.nan, ONES), DataError, "b must be finite; 5 of its 10"),
        (np.where(np.eye(5, 2), np.inf, 0), ONES, DataError, "a must be finite; 2 of its 10"),
        (ONES * 1j, ONES, DataError, "a must hold real numbers; got dtype complex128"),
        (ONES, ONES.astype(str), DataError, "b must hold real numbers; got dtype <U"),
        (1.0, ONES, ShapeError, "a needs a sample axis"),
    ],
)
def test_what_cannot_be_compared_is_refused(a, b, error, words):
    with pytest.raises(error, match=words):
        cka(a, b)


@few
@given(sizes, seeds, st.data())
def test_streamed_it_is_the_same_in_any_split_and_merged_in_any_order(shape, seed, data):
    a, b = pair(*shape, seed, np.float32)
    outputs = {"a": a, "b": b, "c": np.maximum(b, -7)}
    cuts = data.draw(st.lists(st.integers(0, len(a)), max_size=8), label="cuts")
    whole = [[cka(row, column) for column in outputs.values()] for row in outputs.values()]
    table = summed(outputs, cuts).table()
    np.testing.assert_allclose(table.values, whole, **CLOSE)
    np.testing.assert_array_equal(table.values, table.values.T)
    assert not table.estimated.any()
    parts = [summed(batch) for batch in batches(outputs, cuts)]
    merged = CkaSums(tuple(outputs))
    for index in data.draw(st.permutations(range(len(parts))), label="order"):
        merged = parts[index].merge(merged)
    assert merged.n_samples == len(a)
    np.testing.assert_allclose(merged.table().values, whole, **CLOSE)


def test_batches_far_from_one_another_and_from_zero_cost_no_figures():
    a, b = pair(60, 5, 9, 7)
    a[20:] += 1e3
    b[:20] -= 1e4
    outputs = {"a": a + 1e6, "b": b}
    for cuts in ((20,), (1, 2, 20, 30)):
        found = summed(outputs, cuts).table().values[0, 1]
        assert found == pytest.approx(cka(a, b), abs=1e-10)


def test_two_models_are_told_apart_though_their_layers_have_the_same_names():
    a, b = pair(30, 4, 6, 8)
    mine, theirs = {"in": a, "out": b}, {"out": a[:, :2], "in": b, "extra": b + a[:, :1]}
    sums = CkaSums(("in", "out"), ("out", "in", "extra"))
    for mine_batch, theirs_batch in zip(batches(mine, (11,)), batches(theirs, (11,)), strict=True):
        sums.add(mine_batch, theirs_batch)
    table = sums.table()
    assert (table.layers, table.other_layers) == (("in", "out"), ("out", "in", "extra"))
    assert table.values.shape == table.estimated.shape == (2, 3)
    for i, row in enumerate(mine.values()):
        for j, column in enumerate(theirs.values()):
            assert table.values[i, j] == pytest.approx(cka(row, column), abs=1e-10)


def test_beyond_the_budget_pairs_with_the_widest_layers_are_estimated():
    rng = np.random.default_rng(9)
    a = rng.normal(size=(1000, 10))
    wide = np.tanh(a @ rng.normal(size=(10, 80))) + 0.3 * rng.normal(size=(1000, 80))
    outputs = {"wide": wide, "a": a, "b": np.maximum(a, 0)}
    table = summed(outputs, range(100, 1000, 100), memory_budget_bytes=8 * 80**2).table()
    np.testing.assert_array_equal(table.estimated, np.eye(3)[0] + np.eye(3)[:, :1] > 0)
    whole = np.array([[cka(x, y) for y in outputs.values()] for x in outputs.values()])
    np.testing.assert_allclose(table.values[1:, 1:], whole[1:, 1:], **CLOSE)
    np.testing.assert_allclose(table.values, whole, atol=0.03)
    np.testing.assert_allclose(np.diag(table.values), 1, atol=1e-9)
    np.testing.assert_array_equal(table.values, table.values.T)


def test_the_estimate_is_the_average_of_the_unbiased_hsic():
    """Unrelated layers average to 0 over minibatches, which the biased HSIC does not."""
    a, b = np.random.default_rng(10).normal(size=(2, 3000, 200))
    table = summed({"a": a, "b": b}, range(32, 3000, 32), memory_budget_bytes=0).table()
    assert abs(table.values[0, 1]) < 0.02


@pytest.mark.parametrize("n_samples", [4, 31, 32, 63, 64, 65, 700])
@pytest.mark.parametrize("size", [1, 3, 50, 1000])
def test_every_sample_counts_in_an_estimate_however_small_the_batches(n_samples, size):
    a, b = pair(n_samples, 5, 70, 11, np.float32)
    cuts = range(size, n_samples, size)
    table = summed({"a": a, "b": b}, cuts, memory_budget_bytes=0).table()
    assert table.n_samples == n_samples
    if n_samples < 64:  # one minibatch
        np.testing.assert_allclose(table.values[0, 1], cka(a, b), **CLOSE)
    else:
        assert table.values[0, 1] == pytest.approx(cka(a, b), abs=0.1)
    parts = [summed(batch, memory_budget_bytes=0) for batch in batches({"a": a, "b": b}, (3,))]
    merged = parts[0].merge(parts[1]).table()
    assert merged.values[0, 1] == pytest.approx(cka(a, b), abs=0.1)


def test_a_layer_wider_than_is_read_at_once():
    a, b = pair(10, 4, 70_000, 12)
    table = summed({"a": a, "b": b}).table()
    assert table.estimated.tolist() == [[False, True], [True, True]]
    np.testing.assert_allclose(table.values[0, 1], cka(a, b), **CLOSE)


def test_asking_changes_nothing_and_merging_leaves_both_as_they_were():
    a, b = pair(90, 3, 6, 13)
    for budget in (2**20, 0):
        first, second = (
            summed(batch, memory_budget_bytes=budget) for batch in batches({"a": a, "b": b}, (50,))
        )
        before = copy.deepcopy(first).table().values, copy.deepcopy(second).table().values
        first.merge(second).add({"a": a, "b": b})
        np.testing.assert_array_equal(first.table().values, before[0])
        np.testing.assert_array_equal(second.table().values, before[1])
        empty = CkaSums(("a", "b"), memory_budget_bytes=budget)
        np.testing.assert_array_equal(empty.merge(first).table().values, before[0])


def test_batches_that_do_not_fit_are_refused_and_change_nothing():
    a, b = pair(20, 3, 6, 14)
    sums = summed({"a": a, "b": b})
    before = sums.table().values
    for outputs, error, words in (
        ({"a": a}, LayerError, "no layer 'b' in this batch; it has a"),
        ({"a": a, "b": b[:7]}, ShapeError, "same samples; 'a' has 20, 'b' has 7"),
        ({"a": a, "b": b[:, :5]}, ShapeError, "'b' had 6 features per sample before and has 5"),
        ({"a": a, "b": b * np.nan}, DataError, "layer 'b' must be finite; 120 of its 120"),
    ):
        with pytest.raises(error, match=words):
            sums.add(outputs)
    with pytest.raises(DataError, match="of one model: give outputs only"):
        sums.add({"a": a, "b": b}, {"a": a})
    with pytest.raises(DataError, match="of two models: give outputs and other_outputs"):
        CkaSums(("a",), ("b",)).add({"a": a})
    with pytest.raises(DataError, match="layer 'a' of the other model must be finite"):
        CkaSums(("a",), ("a",)).add({"a": a}, {"a": a * np.inf})
    np.testing.assert_array_equal(sums.table().values, before)


def test_sums_that_do_not_belong_together_do_not_merge():
    a, b = pair(20, 3, 6, 15)
    sums = summed({"a": a, "b": b})
    with pytest.raises(DataError, match="different layers do not merge"):
        sums.merge(CkaSums(("b", "a")))
    with pytest.raises(DataError, match="different memory_budget_bytes"):
        sums.merge(CkaSums(("a", "b"), memory_budget_bytes=0))
    with pytest.raises(ShapeError, match="'a' had 3 features"):
        sums.merge(summed({"a": b, "b": b}))


def test_there_is_no_table_of_too_few_samples_or_of_no_layers():
    with pytest.raises(DataError, match="at least 4 samples; got 3"):
        summed({"a": ONES[:3]}).table()
    with pytest.raises(DataError, match="at least 4 samples; got 0"):
        CkaSums(("a",)).table()
    with pytest.raises(DataError, match="at least one layer"):
        CkaSums(())
    with pytest.raises(DataError, match="b is there twice"):
        CkaSums(("b", "a", "b"))


def test_the_mean_over_positions_leaves_samples_and_units():
    maps = np.arange(48, dtype=np.float32).reshape(2, 3, 2, 4)
    np.testing.assert_array_equal(position_means(maps), maps.reshape(2, 6, 4).mean(axis=1))
    np.testing.assert_array_equal(position_means(maps[:, 0, 0]), maps[:, 0, 0])
    assert position_means(np.arange(5)).shape == (5, 1)
    assert np.isnan(position_means(np.array([[[np.inf], [-np.inf]]]))).all()


# --- representation pass ------------------------------------------------------------------


RANDOM = np.random.default_rng(0)
VALUES = {"a": RANDOM.normal(size=(300, 5)), "b": RANDOM.normal(size=(300, 7))}
VALUES["c"] = VALUES["a"] @ np.linalg.qr(RANDOM.normal(size=(5, 5)))[0]


def _outputs(layers, rows):
    return {name: VALUES[name][rows.start : rows.stop] for name in layers}


def _finished(**options):
    reading = RepresentationPass(
        ("a", "b", "c"), _outputs, n_samples=300, budget_bytes=2**20, **options
    )
    while not reading.complete:
        reading.step()
    return reading


def test_step_by_step_it_is_the_cka_of_all():
    reading = _finished()
    table = reading.table()
    for row, mine in enumerate(table.layers):
        for column, other in enumerate(table.other_layers):
            wanted = cka(VALUES[mine], VALUES[other])
            assert table.values[row, column] == pytest.approx(wanted, abs=1e-10)
    assert table.values[0, 2] == pytest.approx(1)  # a rotation
    reading.step()  # nothing more to read
    assert reading.n_read == 300


def test_of_fewer_than_four_samples_there_is_no_table():
    reading = RepresentationPass(("a",), _outputs, n_samples=3, budget_bytes=2**20)
    reading.step()
    assert reading.complete
    assert reading.table() is None


def test_columns_may_be_another_models():
    table = _finished(other_layers=("b",), other_outputs=_outputs).table()
    assert table.values.shape == (3, 1)
    assert table.values[1, 0] == pytest.approx(1)


def test_a_layer_with_nan_is_left_out_however_late_it_comes(monkeypatch):
    broken = VALUES["b"].copy()
    broken[290, 0] = np.nan
    monkeypatch.setitem(VALUES, "b", broken)
    reading = _finished()
    assert reading.left_out == ("b",)
    assert reading.table().layers == ("a", "c")
    assert reading.table().n_samples == 300
    monkeypatch.setitem(VALUES, "a", broken)
    monkeypatch.setitem(VALUES, "c", broken)
    with pytest.raises(DataError, match="every layer puts out NaN"):
        _finished()
