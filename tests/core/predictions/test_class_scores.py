"""Confidence, margin and loss of whatever a model puts out."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import log_loss

from actwidgets.core.predictions.class_scores import class_scores
from actwidgets.errors import DataError, ShapeError

PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4], [0.0, 1.0, 0.0]])


def test_of_probabilities_by_hand_and_by_scikit_learn():
    scores = class_scores(PROBABILITIES, [0, 2, 0])
    assert scores.kind == "probabilities"
    np.testing.assert_allclose(scores.confidence, [0.7, 0.4, 1.0])
    np.testing.assert_allclose(scores.margin, [0.5, 0.1, 1.0])
    assert scores.loss[:2].mean() == pytest.approx(
        log_loss([0, 2], PROBABILITIES[:2], labels=[0, 1, 2])
    )
    assert scores.loss[2] == pytest.approx(-np.log(1e-7))
    assert scores.predicted.tolist() == [0, 2, 1]


def test_probabilities_of_half_precision_are_probabilities():
    exact = np.random.default_rng(0).dirichlet(np.ones(1000), 20).astype(np.float32)
    bfloat16 = (exact.view(np.uint32) & 0xFFFF0000).view(np.float32)  # cut off: twice as far
    for values in (exact, exact.astype(np.float16), (exact + bfloat16) / 2):
        assert class_scores(values).kind == "probabilities"
    assert class_scores(exact * 0.99).kind == "shares"


def test_the_least_sure_and_the_worst_come_first():
    scores = class_scores(PROBABILITIES, [0, 2, 0])
    assert scores.order("confidence").tolist() == [1, 0, 2]
    assert scores.order("margin").tolist() == [1, 0, 2]
    assert scores.order("loss").tolist() == [2, 1, 0]
    assert scores.order("row").tolist() == [0, 1, 2]
    with pytest.raises(DataError, match="no order 'name'"):
        scores.order("name")


def test_scores_are_told_from_their_softmax_and_shown_as_they_are():
    logits = np.array([[2.0, -1.0, 0.5], [100.0, 0.0, -100.0]])
    scores = class_scores(logits, [0, 1])
    assert scores.kind == "scores"
    np.testing.assert_array_equal(scores.values, logits)
    np.testing.assert_allclose(scores.confidence, softmax(logits, axis=1).max(axis=1))
    np.testing.assert_allclose(scores.loss, -np.log(softmax(logits, axis=1)[[0, 1], [0, 1]]))


def test_shares_that_do_not_sum_to_one_are_divided_by_their_sum_for_the_loss():
    scores = class_scores([[0.9, 0.9, 0.0], [0.5, 0.0, 0.0]], [0, 0])
    assert scores.kind == "shares"
    np.testing.assert_allclose(scores.loss, [np.log(2), 0.0], atol=1e-12)
    np.testing.assert_allclose(scores.confidence, [0.9, 0.5])


def test_a_sigmoid_tells_of_both_classes():
    scores = class_scores(np.array([[0.9], [0.2]], np.float32), [1, 1])
    np.testing.assert_allclose(scores.values, [[0.1, 0.9], [0.8, 0.2]], atol=1e-7)
    assert scores.predicted.tolist() == [1, 0]
    np.testing.assert_allclose(scores.loss, [-np.log(0.9), -np.log(0.2)], atol=1e-6)
    with pytest.raises(DataError, match=r"goes from -3 to 0\.5"):
        class_scores([[0.5], [-3.0]])


def test_nan_is_not_known_and_comes_last():
    scores = class_scores([[np.nan, 0.5], [0.4, 0.6]], [0, 0])
    assert np.isnan([scores.confidence[0], scores.margin[0], scores.loss[0]]).all()
    assert scores.order("loss").tolist() == [1, 0]
    assert scores.order("confidence").tolist() == [1, 0]


def test_a_class_that_is_masked_has_no_probability():
    masked = np.array([[2.0, 1.0, -np.inf], [0.0, -np.inf, 3.0]])
    for rows in ([0], [0, 1]):  # also where no sample is finite
        scores = class_scores(masked[rows], np.array([1, 1])[rows])
        assert scores.kind == "scores"
        np.testing.assert_allclose(scores.confidence, softmax(masked[rows], axis=1).max(axis=1))
    np.testing.assert_allclose(scores.loss, [np.log(1 + np.e), np.inf])


def test_plus_infinity_is_not_known():
    scores = class_scores([[np.inf, 1.0], [2.0, 1.0]], [1, 0])
    assert np.isnan([scores.confidence[0], scores.margin[0], scores.loss[0]]).all()
    assert scores.kind == "scores"
    with pytest.raises(DataError, match=r"goes from 0\.2 to inf"):
        class_scores([[np.inf], [0.2]])


def test_labels_are_read_as_everywhere_else():
    found = class_scores(PROBABILITIES, np.eye(3)[[0, 2, 0]])
    np.testing.assert_array_equal(found.loss, class_scores(PROBABILITIES, [0, 2, 0]).loss)
    with pytest.raises(ShapeError, match="3 samples need as many labels; got 1"):
        class_scores(PROBABILITIES, [0])
    with pytest.raises(DataError, match="y holds -1"):
        class_scores(PROBABILITIES, [0, 1, -1])


def test_without_labels_there_is_no_loss_and_one_axis_is_refused():
    assert np.isnan(class_scores(PROBABILITIES).loss).all()
    assert class_scores(np.zeros((0, 3))).confidence.shape == (0,)
    with pytest.raises(ShapeError, match="sample, class"):
        class_scores([0.1, 0.9])
