import numpy as np
import pytest

from actwidgets.core.embedding import Embedding, align, pca, principal_plane, procrustes
from actwidgets.errors import DataError


def picture(points, rows=None, method="pca"):
    rows = np.arange(len(points)) if rows is None else np.asarray(rows)
    return Embedding(np.asarray(points, np.float32), rows, method, "layer", "")


def distances(points):
    return np.linalg.norm(points[:, None] - points[None], axis=-1)


@pytest.mark.parametrize("seed", range(5))
def test_a_picture_that_was_turned_mirrored_and_moved_comes_back(seed):
    generator = np.random.default_rng(seed)
    points = generator.normal(0, 3, (20, 2))
    turn, _ = np.linalg.qr(generator.normal(0, 1, (2, 2)))
    other = picture(points @ turn + generator.normal(0, 5, 2))
    np.testing.assert_allclose(align(other, picture(points)).points, points, atol=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_a_motion_keeps_all_distances(seed):
    generator = np.random.default_rng(seed)
    one, other = (picture(generator.normal(0, 3, (15, 2))) for _ in range(2))
    moved = procrustes(one, other).moved(one)
    np.testing.assert_allclose(distances(moved.points), distances(one.points), atol=1e-4)


def test_the_samples_that_both_show_are_laid_upon_each_other():
    points = np.array([[0, 0], [4, 0], [0, 1], [9, 9]], float)
    turned = points @ np.array([[0, 1], [-1, 0]], float) + 7
    moved = align(picture(turned[1:], [1, 2, 3]), picture(points[:3], [0, 1, 2]))
    np.testing.assert_allclose(moved.points[:2], points[1:3], atol=1e-5)


def test_two_raw_features_keep_their_axes():
    one, other = picture([[0, 1], [2, 3]], method="features"), picture([[5, 5], [6, 9]])
    np.testing.assert_array_equal(align(one, other).points, one.points)


def test_a_plane_of_its_own_samples_shows_what_the_components_do():
    values = np.random.default_rng(0).normal(0, 1, (50, 6)) * [5, 3, 1, 1, 1, 1]
    points, share = principal_plane(values, "one", "").points_of(values)
    scores, shares = pca(values)
    np.testing.assert_allclose(np.abs(points), np.abs(scores), atol=1e-3)
    assert share == pytest.approx(shares.sum())


def test_the_same_features_are_at_the_same_place_in_it_at_any_time():
    generator = np.random.default_rng(0)
    plane = principal_plane(generator.normal(0, 1, (50, 6)), "one", "")
    values = generator.normal(0, 1, (50, 6))
    first, _ = plane.points_of(values)
    np.testing.assert_array_equal(plane.points_of(values.copy())[0], first)
    nudged, _ = plane.points_of(values + 1e-4)
    assert np.abs(nudged - first).max() < 1e-3


def test_the_sign_of_an_axis_does_not_hang_on_the_order_of_samples():
    values = np.random.default_rng(0).normal(0, 1, (50, 6)) * [5, 3, 1, 1, 1, 1]
    plane, other = (principal_plane(each, "one", "") for each in (values, values[::-1]))
    np.testing.assert_allclose(plane.axes, other.axes, atol=1e-9)


@pytest.mark.parametrize(
    "values",
    [np.ones((7, 3)), np.zeros((1, 3)), np.zeros((0, 3)), np.full((4, 3), np.nan)],
    ids=["constant", "one sample", "none", "NaN"],
)
def test_without_variance_all_points_are_in_the_middle(values):
    plane = principal_plane(values, "none", "")
    points, share = plane.points_of(np.ones((2, 3)))
    np.testing.assert_array_equal(points, np.zeros((2, 2)))
    assert share == 0


def test_one_feature_lies_on_a_line():
    points, share = principal_plane(np.arange(5.0)[:, None], "one", "").points_of(
        np.arange(5.0)[:, None]
    )
    np.testing.assert_allclose(points, np.stack([np.arange(5) - 2, np.zeros(5)], axis=1))
    assert share == pytest.approx(1)


def test_other_features_than_the_plane_has_are_refused():
    plane = principal_plane(np.eye(4), "one", "")
    with pytest.raises(DataError, match="4 features; got 3"):
        plane.points_of(np.eye(3))
