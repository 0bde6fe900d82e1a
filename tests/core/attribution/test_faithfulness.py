"""Insertion and deletion curves of models in which each place is worth a known amount."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy_slices import NumpySlice, linear, points_of

from actwidgets.core.attribution.evaluation import Faithfulness, faithfulness
from actwidgets.core.attribution.registry import finished
from actwidgets.errors import DataError, ShapeError

WORTH = np.array([3.0, -1.0, 2.0, 0.5])


def _model(**options):
    """Class 1 is told by four values of one sample, all 1; class 0 by none."""
    return NumpySlice(np.stack([np.zeros(4), WORTH]), **options), points_of(np.ones((1, 4)))


def _curve(slice_, points, *values, target=1, **options):
    return finished(faithfulness(slice_, points, np.full(len(points), target), values, **options))


def _probability(*scores):
    return 1 / (1 + np.exp(-np.asarray(scores)))


def test_deletion_takes_away_what_is_ranked_highest_first():
    found = _curve(*_model(), WORTH[None], fill=0, steps=4)
    np.testing.assert_allclose(found.shares, [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(found.scores[0], _probability(4.5, 1.5, -0.5, -1, 0))


def test_insertion_brings_what_is_ranked_highest_first():
    found = _curve(*_model(), WORTH[None], kind="insertion", fill=0, steps=4)
    np.testing.assert_allclose(found.scores[0], _probability(0, 3, 5, 5.5, 4.5))


def test_the_area_is_that_under_the_curve_by_trapezoids():
    found = Faithfulness("deletion", np.array([0, 0.5, 1]), np.array([[1.0, 0.5, 0]]), np.zeros(1))
    np.testing.assert_allclose(found.auc, [0.5])
    uneven = Faithfulness("deletion", np.array([0, 0.2, 1]), np.array([[1.0, 0, 0]]), np.zeros(1))
    np.testing.assert_allclose(uneven.auc, [0.1])
    real = _curve(*_model(), WORTH[None], fill=0, steps=4)
    np.testing.assert_allclose(real.auc, [np.trapezoid(real.scores[0], real.shares)])


@given(order=st.permutations(range(4)))
def test_no_map_is_more_faithful_to_a_linear_model_than_its_weights(order):
    best, worst = _curve(*_model(), WORTH[None], fill=0), _curve(*_model(), -WORTH[None], fill=0)
    other = _curve(*_model(), np.array([order], float), fill=0)
    assert best.auc[0] <= other.auc[0] <= worst.auc[0]


def test_places_of_equal_value_go_in_reading_order_and_nan_last():
    points = points_of(np.ones((1, 4)))
    weights = np.array([[0, 0, 0, 0], [1.0, 10, 100, 1000]])
    found = _curve(
        NumpySlice(weights / 500), points, np.array([[2.0, np.nan, 2, 5]]), fill=0, steps=4
    )
    np.testing.assert_allclose(
        found.scores[0], _probability(*(np.array([1111, 111, 110, 10, 0]) / 500))
    )


def test_a_map_that_is_the_same_everywhere_goes_in_reading_order():
    weights = np.zeros((2, 30, 10))
    weights[1, :15] = 0.01
    found = _curve(
        NumpySlice(weights), points_of(np.ones((1, 30, 10))), np.zeros((1, 30, 10)), fill=0, steps=4
    )
    np.testing.assert_allclose(found.scores[0], _probability(1.5, 0.75, 0, 0, 0))


def test_a_map_without_a_number_has_no_curve():
    slice_, points = _model()
    both = points.take([0, 0])
    found = _curve(slice_, both, np.array([[np.nan] * 4, WORTH]), fill=0)
    assert np.isnan(found.auc).tolist() == [True, False]


def test_channels_are_summed_with_their_signs_and_go_together():
    x = np.ones((1, 8, 4, 2))
    weights = np.zeros((2, 8, 4, 2))
    weights[1, 0, 0] = 1, 2
    values = np.zeros(x.shape)
    values[0, 0, 0] = 5, -4  # one: the highest sum, and not the highest value
    values[0, 0, 1] = 0.5, 0.4
    found = _curve(NumpySlice(weights), points_of(x), values, fill=0, steps=32)
    np.testing.assert_allclose(found.scores[0, :2], _probability(3, 0))


def test_a_map_without_channels_will_do():
    slice_, points, _ = linear((8, 4, 2), n_targets=2)
    values = np.random.default_rng(0).normal(size=(5, 8, 4))
    one = _curve(slice_, points, values)
    other = _curve(slice_, points, np.stack([values, 0 * values], axis=-1))
    np.testing.assert_array_equal(one.scores, other.scores)


def test_places_of_several_inputs_are_ranked_together():
    slice_ = NumpySlice(np.array([[0.0, 0], [1, 4]]), np.array([[0.0], [2]]))
    points = points_of(np.ones((1, 2)), np.ones((1, 1)))
    found = _curve(slice_, points, np.array([[1.0, 4]]), np.array([[2.0]]), fill=0, steps=3)
    np.testing.assert_allclose(found.scores[0], _probability(7, 3, 1, 0))


def test_deletion_leaves_the_mean_and_insertion_begins_with_the_blurred_sample():
    slice_, points, _ = linear((8, 8, 1), n_samples=2)
    values = np.random.default_rng(0).normal(size=points.arrays[0].shape)
    x = points.arrays[0]
    mean = points.moved([np.broadcast_to(x.mean(axis=(1, 2), keepdims=True), x.shape)])
    deleted = _curve(slice_, points, values)
    np.testing.assert_allclose(deleted.scores[:, -1], slice_.scores(mean, "probability")[:, 1])
    np.testing.assert_allclose(deleted.scores[:, 0], slice_.scores(points, "probability")[:, 1])
    inserted = _curve(slice_, points, values, kind="insertion")
    np.testing.assert_allclose(inserted.scores[:, -1], deleted.scores[:, 0])
    assert not np.isclose(inserted.scores[:, 0], deleted.scores[:, -1]).any()
    as_asked = _curve(slice_, points, values, kind="insertion", fill="mean")
    np.testing.assert_allclose(as_asked.scores[:, 0], deleted.scores[:, -1])


@pytest.mark.parametrize("kind", ["deletion", "insertion"])
@pytest.mark.parametrize("shape", [(1,), (3,), (1, 4)])
def test_features_are_deleted_and_not_put_in_the_place_of_themselves(kind, shape):
    slice_ = NumpySlice(np.stack([np.zeros(shape), np.ones(shape)]))
    x = np.full((1, *shape), 2.0)
    found = _curve(slice_, points_of(x), x, kind=kind, steps=9)
    n = int(np.prod(shape))
    logits = 2.0 * np.arange(n + 1)
    wanted = 1 / (1 + np.exp(-(logits[::-1] if kind == "deletion" else logits)))
    np.testing.assert_allclose(found.scores[0], wanted)
    assert found.note == ""
    same = _curve(slice_, points_of(x), x, kind=kind, fill="mean")
    assert "the fill is all of input 'input_0' itself" in same.note


def test_fewer_places_than_steps_make_fewer_steps():
    assert _curve(*_model(), WORTH[None], steps=100).shares.tolist() == [0, 0.25, 0.5, 0.75, 1]
    seven = NumpySlice(np.ones((2, 7))), points_of(np.ones((1, 7)))
    assert (_curve(*seven, np.zeros((1, 7)), steps=4).shares * 7).round(9).tolist() == [
        0,
        2,
        4,
        5,
        7,
    ]
    assert _curve(*_model(), WORTH[None], steps=1).shares.tolist() == [0, 1]


@pytest.mark.parametrize("batch_size", [1, 3, 1000])
@pytest.mark.parametrize("kind", ["deletion", "insertion"])
def test_the_batch_size_changes_nothing(kind, batch_size):
    slice_, points, _ = linear()
    values = np.random.default_rng(0).normal(size=points.arrays[0].shape)
    expected = _curve(slice_, points, values, kind=kind)
    found = _curve(linear(batch_size=batch_size)[0], points, values, kind=kind)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-12)


def test_progress_is_told_before_every_batch():
    slice_, points = _model(batch_size=2)
    steps = faithfulness(slice_, points, np.array([1]), (WORTH[None],), steps=4)
    assert list(steps) == [(0, 5), (2, 5), (4, 5)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kind": "removal"}, 'kind must be "deletion" or "insertion"; got \'removal\''),
        ({"steps": 0}, "steps must be a whole number of at least 1; got 0"),
        ({"fill": "gray"}, "fill must be a number, .* got 'gray'"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_runs(options, words):
    slice_, points = _model()
    with pytest.raises(DataError, match=words):
        next(faithfulness(slice_, points, np.array([1]), (WORTH[None],), **options))
    assert slice_.batch_sizes == []


@pytest.mark.parametrize("shape", [(1, 3), (2, 4), (1,), (1, 4, 1)])
def test_a_map_of_another_shape_is_refused(shape):
    slice_, points = _model()
    with pytest.raises(ShapeError, match=r"map of 'input_0' must have .*\(1, 4\).* got \("):
        next(faithfulness(slice_, points, np.array([1]), (np.zeros(shape),)))
    with pytest.raises(ShapeError, match="a map for each of input_0; got 2"):
        next(faithfulness(slice_, points, np.array([1]), (np.zeros((1, 4)),) * 2))
