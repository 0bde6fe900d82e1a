import numpy as np
import pytest
from real_data import require_data

from actwidgets.core.embedding import (
    Embedding,
    align,
    coarsening,
    even_rows,
    finite_rows,
    input_features,
    namer,
    pca,
    principal_plane,
    procrustes,
    two_features,
)
from actwidgets.errors import DataError, ShapeError
from actwidgets.views.point_cloud import (
    by_class,
    by_outcome,
    by_value,
    class_palette,
    most_frequent,
)


def _svd_scores(values):
    centered = values.astype(np.float64) - values.mean(axis=0, dtype=np.float64)
    left, singular, _ = np.linalg.svd(centered, full_matrices=False)
    return left[:, :2] * singular[:2], singular**2 / (singular**2).sum()


def _assert_equal_up_to_sign(scores, wanted):
    for column in range(2):
        sign = np.sign(scores[:, column] @ wanted[:, column])
        near = 1e-4 * np.abs(wanted).max()
        np.testing.assert_allclose(sign * scores[:, column], wanted[:, column], atol=near)


def _picture(points, rows=None, method="pca"):
    rows = np.arange(len(points)) if rows is None else np.asarray(rows)
    return Embedding(np.asarray(points, np.float32), rows, method, "input", "")


@pytest.mark.parametrize("n_features", [40, 1200])
def test_the_components_are_those_of_the_svd(n_features):
    random = np.random.default_rng(0)
    values = random.normal(size=(300, 6)) @ random.normal(size=(6, n_features)) + 50
    values += 0.1 * random.normal(size=values.shape)
    scores, shares = pca(values.astype(np.float32))
    wanted, wanted_shares = _svd_scores(values)
    _assert_equal_up_to_sign(scores, wanted)
    np.testing.assert_allclose(shares, wanted_shares[:2], rtol=1e-3)
    loadings = (values - values.mean(axis=0)).T @ scores  # of either sign, unless it is fixed
    assert (loadings[np.abs(loadings).argmax(axis=0), [0, 1]] > 0).all()


@pytest.mark.slow
def test_the_components_of_real_digits_are_those_of_the_svd():
    with np.load(require_data("mnist") / "mnist.npz") as data:
        pixels = data["x_test"][:1000].reshape(1000, -1).astype(np.float32) / 255
    scores, shares = pca(pixels)
    wanted, wanted_shares = _svd_scores(pixels)
    _assert_equal_up_to_sign(scores, wanted)
    np.testing.assert_allclose(shares, wanted_shares[:2], rtol=1e-4)


@pytest.mark.parametrize("n_features", [45, 65, 100, 114, 129])
def test_features_that_all_vary_alike_have_components_too(n_features):
    """All but one of the variances are equal: LAPACK's search for the largest finds too few."""
    features = np.eye(n_features, dtype=np.float32)
    scores, shares = pca(features, 3)
    np.testing.assert_allclose(shares, 1 / (n_features - 1), rtol=1e-4)
    products = scores.astype(np.float64).T @ scores
    np.testing.assert_allclose(products, np.eye(3), atol=1e-3)


def test_the_argument_is_left_alone_and_the_same_features_give_the_same_scores():
    values = np.random.default_rng(0).normal(size=(50, 1500)).astype(np.float32)
    before = values.copy()
    np.testing.assert_array_equal(pca(values)[0], pca(values)[0])
    np.testing.assert_array_equal(values, before)


@pytest.mark.parametrize(
    ("values", "n_alike"),
    [
        (np.full((5, 3), 7.0), 5),
        (np.full((37, 9), 0.1), 37),  # whose mean is rounded
        (np.ones((1, 4)), 1),
        (np.zeros((0, 4)), 0),
        (np.zeros((3, 0)), 3),
    ],
)
def test_what_does_not_vary_lies_in_one_place(values, n_alike):
    scores, shares = pca(values)
    np.testing.assert_array_equal(scores, np.zeros((n_alike, 2)))
    np.testing.assert_array_equal(shares, [0, 0])


def test_two_samples_and_one_feature_lie_on_a_line():
    scores, shares = pca([[0.0, 3.0], [0.0, 7.0]])
    np.testing.assert_allclose(np.abs(scores), [[2, 0], [2, 0]], atol=1e-6)
    np.testing.assert_allclose(shares, [1, 0], atol=1e-12)
    scores, _ = pca([[1.0], [2.0], [6.0]])
    np.testing.assert_allclose(np.abs(scores), [[2, 0], [1, 0], [3, 0]], atol=1e-6)


def test_very_large_values_stay_finite():
    values = np.array([[1e38, 0], [-1e38, 1], [3e38, 2]], np.float32)
    assert np.isfinite(pca(values)[0]).all()


def test_features_need_two_axes():
    with pytest.raises(ShapeError, match=r"features needs 2 axes \(sample, feature\)"):
        pca([1.0, 2.0])


def test_rows_with_nan_or_infinity_are_told():
    values = np.array([[0, 1], [np.nan, 1], [1, np.inf], [2, 2]])
    np.testing.assert_array_equal(finite_rows(values), [True, False, False, True])


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_planted_rotation_is_undone(mirrored):
    points = np.random.default_rng(1).normal(size=(40, 2)) * (3, 1)
    turn = np.array([[np.cos(2.0), -np.sin(2.0)], [np.sin(2.0), np.cos(2.0)]])
    if mirrored:
        turn = turn @ np.diag([1, -1])
    found = align(_picture(points @ turn + (5, -7)), to=_picture(points))
    np.testing.assert_allclose(found.points, points, atol=1e-5)


def test_alignment_goes_by_the_samples_that_both_show_and_scales_nothing():
    points = np.random.default_rng(2).normal(size=(30, 2))
    turned = _picture(2 * points[10:, ::-1], np.arange(10, 30))
    found = align(turned, to=_picture(points[:20], np.arange(20)))
    common = found.points[:10]
    np.testing.assert_allclose(
        common - common.mean(0), 2 * (points[10:20] - points[10:20].mean(0)), atol=1e-5
    )
    np.testing.assert_array_equal(found.rows, np.arange(10, 30))


def test_pictures_without_a_common_sample_and_raw_features_stay_as_they_are():
    one, other = _picture([[0, 1], [2, 3]], [0, 1]), _picture([[5, 5], [6, 7]], [2, 3])
    assert align(one, to=other) is one
    raw = _picture([[0, 1], [2, 3]], [0, 1], "features")
    assert align(raw, to=one) is raw
    assert align(_picture(np.zeros((3, 2))), to=_picture(np.ones((3, 2)))).points.shape == (3, 2)


def test_rows_are_evenly_spread():
    np.testing.assert_array_equal(even_rows(10, 4), [0, 2, 5, 7])
    np.testing.assert_array_equal(even_rows(3, 2000), [0, 1, 2])
    assert len(even_rows(0, 5)) == 0
    assert len(np.unique(even_rows(60_000, 10_000))) == 10_000
    for wrong in (0, 10_001):
        with pytest.raises(DataError, match=r"n_points must be in 1\.\.10,000"):
            even_rows(10, wrong)


def test_the_second_feature_is_not_a_copy_of_the_first():
    random = np.random.default_rng(0)
    first, second = random.normal(size=(2, 100)) * [[5], [1]]
    values = np.stack([np.zeros(100), first, 0.9 * first, second], axis=1)
    assert two_features(values) == (1, 3)
    assert two_features(values[:, :1]) == (0, 0)
    assert two_features(np.array([[np.nan, 1.0], [np.inf, 2.0]])) == (1, 0)


def test_a_large_input_becomes_coarser_until_it_fits():
    shape = (7, 9, 3)
    assert coarsening(shape, 10, 10 * 4 * 189) == 1
    assert coarsening(shape, 10, 10 * 4 * 188) == 2
    images = np.arange(2 * 189, dtype=np.uint8).reshape(2, *shape)
    blocks = input_features(images, 2)
    assert blocks.shape == (2, 3 * 4 * 3)
    np.testing.assert_allclose(blocks[0, :3], images[0, :2, :2].mean(axis=(0, 1)))
    assert input_features(images, 100).shape == (2, 3)
    assert coarsening((100,), 10, 10 * 4 * 50) == 2
    np.testing.assert_array_equal(input_features(np.arange(6).reshape(2, 3), 2), [[0, 2], [3, 5]])


def test_pixels_are_called_by_row_and_column():
    assert namer((6, 8, 1))(11) == "pixel 11 (row 1, column 3)"
    assert namer((6, 8, 3))(26) == "pixel 26 (row 1, column 0, channel 2)"
    assert namer((5,))(3) == "number 3"


def test_ten_classes_have_ten_colors_that_every_reader_tells_apart():
    palette = class_palette(10)
    for lacking in (np.eye(3), *_DICHROMACIES):
        seen = _oklab(palette / 255, lacking)
        distances = np.linalg.norm(seen[:, None] - seen, axis=2) + np.eye(10)
        assert distances.min() > 0.1  # of Tableau's ten 0.007


def test_colors_follow_class_outcome_and_value():
    assert by_class(np.array([0, 1003]), 2000).codes.tolist() == [0, 1003 - 4 * 250]
    assert len(class_palette(2000)) == 250
    outcome = by_outcome(np.array([1, 2, 0]), np.array([1, 0, 0]))
    assert (outcome.codes.tolist(), outcome.rising) == ([0, 1, 0], True)
    values = by_value(np.array([0.0, 2.0, np.nan, 4.0]))
    assert values.codes.tolist() == [0, 125, 250, 249]
    assert (values.low, values.high) == (0.0, 4.0)
    assert by_value(np.full(3, 5.0)).codes.tolist() == [0, 0, 0]
    assert by_value(np.zeros(0)).codes.shape == (0,)


def test_the_legend_names_the_classes_of_most_points():
    assert most_frequent(np.array([4, 4, 2, 2, 2, 0]), 6, 2) == [2, 4]
    assert most_frequent(np.zeros(0, int), 3, 2) == [0, 1]


# G. Machado 2009: what is left to a reader without red, green or blue cones, on linear light.
_DICHROMACIES = (
    np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
)


def _oklab(colors, lacking):
    light = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    cones = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    lab = np.array(
        [
            [0.2104542553, 0.793617785, -0.0040720468],
            [1.9779984951, -2.428592205, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.808675766],
        ]
    )
    return np.cbrt(np.clip(light @ lacking.T, 0, 1) @ cones.T) @ lab.T


# --- alignment ----------------------------------------------------------------------------


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
