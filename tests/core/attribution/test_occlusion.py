"""Occlusion of models in which it is known what a patch is worth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy_slices import NumpySlice, attributed, begun, linear, points_of

from actwidgets.core.attribution.occlusion import patches_of
from actwidgets.core.attribution.registry import attribution_steps, method_named
from actwidgets.errors import DataError, ShapeError


def _by_hand(slice_, x, patch, stride, fill):
    """Occlusion of images `(sample, row, column, channel)`, one patch after the other."""
    n_rows, n_columns = x.shape[1:3]
    sums, counts = np.zeros(x.shape[:3]), np.zeros(x.shape[1:3])
    rows = sorted({min(row, n_rows - patch[0]) for row in range(0, n_rows, stride[0])})
    columns = sorted({min(c, n_columns - patch[1]) for c in range(0, n_columns, stride[1])})
    whole = slice_.scores(points_of(x))[:, 0]
    for row in rows:
        for column in columns:
            part = np.s_[:, row : row + patch[0], column : column + patch[1]]
            hidden = x.copy()
            hidden[part] = fill
            drop = whole - slice_.scores(points_of(hidden))[:, 0]
            sums[part] += drop[:, None, None]
            counts[part[1:]] += 1
    return np.repeat((sums / counts)[..., None], x.shape[-1], axis=-1)


@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple),
    fill=st.floats(-2, 2),
    seed=st.integers(0, 9),
)
def test_a_linear_model_loses_weight_times_what_the_fill_takes_away(shape, fill, seed):
    slice_, points, weights = linear(shape, seed=seed, batch_size=200)
    found = attributed(slice_, points, "occlusion", patch=[1] * len(shape), fill=fill)
    np.testing.assert_allclose(
        found.values, weights[0] * (points.arrays[0] - fill), rtol=1e-4, atol=1e-5
    )


def test_a_patch_of_a_linear_model_loses_the_sum_over_what_it_hides():
    slice_, points, weights = linear((4, 6, 3))
    found = attributed(slice_, points, "occlusion", patch=2, stride=2, fill=0.5)
    lost = (weights[0] * (points.arrays[0] - 0.5)).reshape(5, 2, 2, 3, 2, 3).sum(axis=(2, 4, 5))
    expected = np.broadcast_to(
        lost.repeat(2, axis=1).repeat(2, axis=2)[..., None], found.values.shape
    )
    np.testing.assert_allclose(found.values, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.scores, slice_.scores(points)[:, 0])


@pytest.mark.parametrize(
    ("shape", "patch", "stride"),
    [
        ((8, 24, 1), (2, 6), (1, 3)),  # the default
        ((8, 24, 3), (3, 5), (2, 5)),  # neither divides
        ((7, 5, 2), (7, 5), (1, 1)),
        ((5, 9, 1), (2, 4), (2, 3)),
    ],
)
def test_overlaps_are_averaged_and_every_value_is_covered(shape, patch, stride):
    rng = np.random.default_rng(0)
    slice_ = NumpySlice(rng.normal(size=(2, *shape)), function=np.tanh, batch_size=40)
    points = points_of(rng.normal(size=(3, *shape)))
    found = attributed(slice_, points, "occlusion", patch=patch, stride=stride, fill=0.25)
    expected = _by_hand(slice_, points.arrays[0], patch, stride, 0.25)
    np.testing.assert_allclose(found.values, expected, rtol=1e-5, atol=1e-6)


def test_by_default_a_patch_is_a_quarter_of_each_side_and_patches_overlap_by_half():
    _, points, _ = linear((8, 24, 1), n_samples=1)
    found = patches_of(points, 0)
    assert found[:2] == [(slice(0, 2), slice(0, 6)), (slice(0, 2), slice(3, 9))]
    assert found[-1] == (slice(6, 8), slice(18, 24))
    assert len(found) == 7 * 7
    assert len(patches_of(points_of(np.zeros((1, 12))), 0)) == 12  # of features one at a time


@given(side=st.integers(1, 30), data=st.data())
def test_patches_cover_every_place_and_none_lies_beyond_the_edge(side, data):
    patch = data.draw(st.integers(1, side))
    stride = data.draw(st.integers(1, patch))
    points = points_of(np.zeros((1, side, side, 1)))
    covered = np.zeros((side, side), int)
    for rows, columns in patches_of(points, 0, patch, stride):
        assert rows.stop - rows.start == columns.stop - columns.start == patch
        assert rows.start >= 0
        assert rows.stop <= side
        covered[rows, columns] += 1
    assert covered.min() >= 1


@pytest.mark.parametrize(
    ("shape", "sides", "axes"),
    [
        ((12,), (12,), None),  # features
        ((12,), (12,), ("time",)),
        ((9, 5), (9,), ("time", "feature")),  # whatever its proportions
        ((5, 9), (5,), ("time", "feature")),
        ((8, 12), (8, 12), None),  # an image without channels
        ((40, 5), (40, 5), ("row", "column")),
        ((3, 8, 6), (8, 6), ("channel", "row", "column")),
        ((4, 4, 4, 2), (4, 4, 4), None),  # a volume
    ],
)
def test_patches_lie_along_all_axes_but_the_channels(shape, sides, axes):
    slice_, points, _ = linear(shape, n_samples=2, batch_size=300)
    points = points.with_axes({} if axes is None else {"": axes})
    patches = patches_of(points, 0, 1)
    assert len(patches) == np.prod(sides)
    found = attributed(slice_, points, "occlusion", patch=1, fill=0.0)
    assert found.values.shape == (2, *shape)
    if len(sides) < len(shape):
        axis = 1 if axes is not None and axes[0] == "channel" else -1
        assert (found.values == found.values.take([0], axis=axis)).all()


def test_what_an_embedding_makes_is_a_sequence():
    points = points_of(np.zeros((1, 6, 8)), others=[np.zeros((1, 6), int)])
    assert len(patches_of(points, 0, 1)) == 6


def test_of_several_inputs_one_is_hidden_at_a_time():
    slice_ = NumpySlice(np.full((1, 3), 2.0), np.full((1, 4), 5.0))
    points = points_of(np.ones((2, 3)), np.ones((2, 4)))
    found = attributed(slice_, points, "occlusion", fill=0).values
    np.testing.assert_allclose(found["input_0"], 2)
    np.testing.assert_allclose(found["input_1"], 5)
    wide = attributed(slice_, points, "occlusion", fill=0, patch={"input_1": 4}).values
    np.testing.assert_allclose(wide["input_0"], 2)
    np.testing.assert_allclose(wide["input_1"], 20)


def test_the_fill_is_the_mean_of_each_channel_unless_it_is_said():
    slice_, points, weights = linear((4, 4, 2), batch_size=50)
    x = points.arrays[0]
    found = attributed(slice_, points, "occlusion", patch=(1, 1, 1))
    expected = weights[0] * (x - x.mean(axis=(1, 2), keepdims=True))
    np.testing.assert_allclose(found.values, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(1,), (5,), (1, 13), (1, 1, 4), (1, 2, 1, 3)])
def test_features_are_not_hidden_behind_themselves(shape):
    """Their own mean is themselves where there is one place, and without a meaning where not."""
    slice_, points, weights = linear(shape, batch_size=50)
    options = {"fill": 0, "patch": [1] * len(shape)} if shape[1:2] == (2,) else {}
    found = attributed(slice_, points, "occlusion", **options)
    np.testing.assert_allclose(found.values, weights[0] * points.arrays[0], rtol=1e-4, atol=1e-5)
    assert found.note == ""


def test_a_channel_that_is_the_same_all_over_is_hidden_by_zero():
    slice_, _, weights = linear((2, 3, 2), n_samples=1, batch_size=50)
    x = np.random.default_rng(1).normal(size=(1, 2, 3, 2))
    x[..., 1] = 0.75
    found = attributed(slice_, points_of(x), "occlusion", patch=(1, 1, 1))
    fill = np.array([x[..., 0].mean(), 0.0])
    np.testing.assert_allclose(found.values, weights[0] * (x - fill), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("fill", ["mean", "blur"])
def test_a_fill_that_hides_a_value_behind_itself_is_told(fill):
    slice_, points, _ = linear((1,), n_samples=3)
    found = attributed(slice_, points, "occlusion", fill=fill)
    assert not found.values.any()
    assert "For 3 of 3 samples the fill is all of input 'input_0' itself" in found.note


def test_the_samples_themselves_are_left_as_they_are():
    slice_, points, _ = linear()
    before = points.arrays[0].copy()
    attributed(slice_, points, "occlusion")
    np.testing.assert_array_equal(points.arrays[0], before)


@pytest.mark.parametrize("batch_size", [1, 3, 1000])
def test_the_batch_size_changes_nothing(batch_size):
    expected = attributed(*linear()[:2], "occlusion", patch=2)
    found = attributed(*linear(batch_size=batch_size)[:2], "occlusion", patch=2)
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.scores, expected.scores)


def test_progress_is_told_before_every_batch():
    slice_, points, _ = linear((4,), n_samples=3, batch_size=4)
    way = attribution_steps(slice_, points, method_named("occlusion"), 0, {"patch": 2, "stride": 2})
    assert list(way) == [(0, 9), (4, 9), (8, 9)]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"patch": 5}, ShapeError, r"patch \(5, 5\) is larger than input 'input_0', which is \(4"),
        ({"patch": (2, 7)}, ShapeError, r"patch \(2, 7\) is larger than .* is \(4, 6\)"),
        ({"patch": 0}, DataError, "patch must be a whole number of at least 1; got 0"),
        ({"patch": 1.5}, DataError, "patch must be a whole number of at least 1; got 1.5"),
        ({"patch": (1,)}, ShapeError, r"patch must have 2 lengths, or 3 where .* got \(1,\)"),
        ({"patch": 2, "stride": 3}, DataError, r"stride \(3, 3\) leaves gaps between patches of"),
        ({"stride": 0}, DataError, "stride must be a whole number of at least 1; got 0"),
        ({"stride": (1, 1, 1)}, ShapeError, "stride must have 2 lengths, as the patch"),
        ({"patch": {"x": 1}}, DataError, "no input x; this model has input_0"),
        ({"fill": "black"}, DataError, "fill must be a number, .* got 'black'"),
        ({"fill": np.zeros(3)}, ShapeError, "fill must have the shape of a sample"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_runs(options, error, words):
    slice_, points, _ = linear()
    with pytest.raises(error, match=words):
        begun(slice_, points, "occlusion", **options)
    assert slice_.batch_sizes == []
