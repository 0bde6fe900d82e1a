"""Predicted values beside their targets."""

import numpy as np
import pytest
from sklearn import metrics

from actwidgets.core.predictions import value_scores
from actwidgets.errors import DataError, ShapeError

VALUES, TARGETS = np.array([[1.0], [4.0], [2.0]]), np.array([[2.0], [4.5], [0.0]])


def test_residuals_are_predicted_less_target():
    scores = value_scores(VALUES, TARGETS)
    np.testing.assert_array_equal(scores.residuals, [[-1.0], [-0.5], [2.0]])
    assert scores.mae == pytest.approx(3.5 / 3)
    assert scores.rmse == pytest.approx(np.sqrt((1 + 0.25 + 4) / 3))


def test_of_several_outputs_the_figures_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    targets = rng.normal(size=(20, 3))
    values = targets + rng.normal(size=(20, 3)) / 2
    scores = value_scores(values, targets)
    assert scores.mae == pytest.approx(metrics.mean_absolute_error(targets, values))
    assert scores.rmse == pytest.approx(np.sqrt(metrics.mean_squared_error(targets, values)))
    assert scores.r2 == pytest.approx(metrics.r2_score(targets, values))


def test_samples_are_sorted_by_what_was_predicted_and_by_how_far_it_is_off():
    scores = value_scores(VALUES, TARGETS)
    assert scores.order("row").tolist() == [0, 1, 2]
    assert scores.order("predicted").tolist() == [0, 2, 1]
    assert scores.order("target").tolist() == [2, 0, 1]
    assert scores.order("error").tolist() == [2, 0, 1]
    with pytest.raises(DataError, match="no order 'loss'"):
        scores.order("loss")


def test_without_targets_nothing_is_off():
    scores = value_scores(VALUES)
    assert scores.residuals is None
    assert np.isnan([scores.mae, scores.rmse, scores.r2]).all()
    with pytest.raises(DataError, match="no order by error: there are no targets"):
        scores.order("error")


def test_targets_that_do_not_vary_and_no_samples_have_no_share_of_variance():
    assert np.isnan(value_scores([[1.0], [2.0]], [[3.0], [3.0]]).r2)
    none = value_scores(np.zeros((0, 2)), np.zeros((0, 2)))
    assert np.isnan([none.mae, none.rmse, none.r2]).all()


def test_targets_of_another_shape_are_refused():
    with pytest.raises(ShapeError, match=r"values \(3, 1\) need targets as many; got \(2, 1\)"):
        value_scores(VALUES, TARGETS[:2])
