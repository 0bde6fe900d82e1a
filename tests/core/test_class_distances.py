import numpy as np
import pytest
from scipy.spatial.distance import cdist

from actwidgets.core.class_distances import METRICS, distances, ranking
from actwidgets.errors import DataError

ROWS = np.array([[0.0, 1.0, 0.5], [1.0, 1.0, 0.0], [0.2, 0.0, 0.4]])


def test_mean_abs_diff_is_the_sum_over_units_divided_by_their_number():
    matrix = distances(ROWS)
    assert matrix[0, 1] == pytest.approx((1 + 0 + 0.5) / 3, abs=1e-15)
    assert matrix[0, 2] == pytest.approx((0.2 + 1 + 0.1) / 3, abs=1e-15)


@pytest.mark.parametrize(
    ("metric", "scipys", "factor"),
    [
        ("mean_abs_diff", "cityblock", 1 / 3),
        ("euclidean", "euclidean", 1),
        ("cosine", "cosine", 1),
        ("correlation", "correlation", 1),
    ],
)
def test_distances_are_scipys(metric, scipys, factor):
    wanted = cdist(ROWS, ROWS, scipys) * factor
    np.testing.assert_allclose(distances(ROWS, metric), wanted, atol=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_a_distance_is_symmetric_and_zero_to_itself(metric):
    matrix = distances(np.random.default_rng(0).random((7, 5)), metric)
    np.testing.assert_array_equal(matrix, matrix.T)
    assert (np.diag(matrix) == 0).all()


@pytest.mark.parametrize("metric", METRICS)
def test_a_class_without_values_has_no_distances_and_spoils_no_others(metric):
    rows = ROWS.copy()
    rows[1] = np.nan
    matrix = distances(rows, metric)
    assert np.isnan(matrix[1]).all()
    assert np.isnan(matrix[:, 1]).all()
    assert matrix[0, 2] == distances(ROWS, metric)[0, 2]


@pytest.mark.parametrize(("metric", "row"), [("cosine", [0, 0, 0]), ("correlation", [2, 2, 2])])
def test_a_class_without_a_direction_is_not_near_to_anything(metric, row):
    rows = np.vstack([ROWS, row]).astype(float)
    given = rows.copy()
    assert np.isnan(distances(rows, metric)[3]).all()
    np.testing.assert_array_equal(rows, given)


def test_no_active_class_at_all_is_no_error():
    assert np.isnan(distances(np.zeros((3, 4)), "cosine")).all()
    assert distances(np.zeros((3, 4))).tolist() == np.zeros((3, 3)).tolist()


def test_a_ranking_begins_with_itself_and_ties_go_to_the_lower_index():
    matrix = np.array([[0, 0, 2, 1], [0, 0, 1, 1], [2, 1, 0, np.nan], [1, 1, np.nan, 0]])
    assert ranking(matrix).tolist() == [[0, 1, 3, 2], [1, 0, 2, 3], [2, 1, 0, 3], [3, 0, 1, 2]]


def test_an_unknown_metric_is_answered_with_those_there_are():
    with pytest.raises(DataError, match="no metric 'taxi'; there are mean_abs_diff, cosine"):
        distances(ROWS, "taxi")
