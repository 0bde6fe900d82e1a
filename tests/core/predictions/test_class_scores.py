"""Confidence, margin and loss of whatever a model puts out."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import log_loss

from actwidgets.core.output_kind import OutputKind
from actwidgets.core.predictions import class_scores
from actwidgets.errors import DataError, ShapeError

SIGMOIDS = OutputKind("probability", "sigmoid", (3,))
PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4], [0.0, 1.0, 0.0]])


def test_of_probabilities_by_hand_and_by_scikit_learn():
    scores = class_scores(PROBABILITIES, [0, 2, 0], output="probability")
    assert scores.kind == "probabilities"
    np.testing.assert_allclose(scores.confidence, [0.7, 0.4, 1.0])
    np.testing.assert_allclose(scores.margin, [0.5, 0.1, 1.0])
    assert scores.loss[:2].mean() == pytest.approx(
        log_loss([0, 2], PROBABILITIES[:2], labels=[0, 1, 2])
    )
    assert scores.loss[2] == pytest.approx(-np.log(1e-7))
    assert scores.predicted.tolist() == [0, 2, 1]


def test_what_the_outputs_are_does_not_depend_on_the_samples_that_are_asked_about():
    """The first of these logits alone could be a probability, all of them could not."""
    logits = np.array([[0.9, 0.1], [0.2, 0.5], [-3.0, 4.0]])
    whole = class_scores(logits, output="logit")
    for n_samples in (1, 2, 3):
        part = class_scores(logits[:n_samples], output="logit")
        np.testing.assert_array_equal(part.confidence, whole.confidence[:n_samples])
        assert part.kind == "scores"
    assert whole.confidence[0] == pytest.approx(1 / (1 + np.exp(-0.8)))
    assert class_scores(logits[:1], output="probability").confidence[0] == 0.9
    with pytest.raises(TypeError, match="output"):
        class_scores(logits)


def test_one_logit_tells_two_classes_from_zero_on():
    """Logits of issue 15: all of class 1, though the half of them is below 0.5."""
    logits = np.array([[0.4], [0.3], [0.15], [0.6]], np.float32)
    scores = class_scores(logits, [1, 1, 1, 1], output="logit")
    assert scores.predicted.tolist() == [1, 1, 1, 1]
    chances = 1 / (1 + np.exp(-logits[:, 0].astype(float)))
    np.testing.assert_allclose(scores.values, np.stack([1 - chances, chances], axis=1), rtol=1e-6)
    np.testing.assert_allclose(scores.confidence, chances, rtol=1e-6)
    np.testing.assert_allclose(scores.loss, -np.log(chances), rtol=1e-6)
    far = class_scores([[-800.0], [50.0]], [1, 0], output="logit")  # where 1 - p is nothing
    np.testing.assert_allclose(far.loss, [800.0, 50.0])


def test_scores_of_a_hinge_loss_have_classes_and_no_probability():
    hinge = OutputKind("logit", "margin", (1,))
    scores = class_scores([[-0.5], [0.25]], [0, 1], output=hinge)
    assert scores.predicted.tolist() == [0, 1]
    np.testing.assert_allclose(scores.margin, [1.0, 0.5])
    assert np.isnan([*scores.confidence, *scores.loss]).all()
    assert scores.kind == "margins"


def test_labels_that_do_not_exclude_each_other_are_never_softmaxed():
    each = OutputKind("logit", "sigmoid", (3,))
    scores = class_scores([[2.0, 1.0, -3.0]], output=each)
    wanted = 1 / (1 + np.exp(-np.array([2.0, 1.0, -3.0])))
    np.testing.assert_allclose(scores.values[0], wanted)
    assert scores.confidence[0] == pytest.approx(wanted[0])
    assert scores.kind == "shares"


def test_values_are_no_classes():
    with pytest.raises(DataError, match="held for values, not classes"):
        class_scores([[3.0, 4.0]], output="value")
    with pytest.raises(DataError, match='output_is must be "logit", "probability" or "value"'):
        class_scores([[3.0, 4.0]], output="logits")


def test_the_least_sure_and_the_worst_come_first():
    scores = class_scores(PROBABILITIES, [0, 2, 0], output="probability")
    assert scores.order("confidence").tolist() == [1, 0, 2]
    assert scores.order("margin").tolist() == [1, 0, 2]
    assert scores.order("loss").tolist() == [2, 1, 0]
    assert scores.order("row").tolist() == [0, 1, 2]
    with pytest.raises(DataError, match="no order 'name'"):
        scores.order("name")


def test_scores_are_told_from_their_softmax_and_shown_as_they_are():
    logits = np.array([[2.0, -1.0, 0.5], [100.0, 0.0, -100.0]])
    scores = class_scores(logits, [0, 1], output="logit")
    assert scores.kind == "scores"
    np.testing.assert_array_equal(scores.values, logits)
    np.testing.assert_allclose(scores.confidence, softmax(logits, axis=1).max(axis=1))
    np.testing.assert_allclose(scores.loss, -np.log(softmax(logits, axis=1)[[0, 1], [0, 1]]))


def test_shares_that_do_not_sum_to_one_are_divided_by_their_sum_for_the_loss():
    scores = class_scores([[0.9, 0.9, 0.0], [0.5, 0.0, 0.0]], [0, 0], output=SIGMOIDS)
    assert scores.kind == "shares"
    np.testing.assert_allclose(scores.loss, [np.log(2), 0.0], atol=1e-12)
    np.testing.assert_allclose(scores.confidence, [0.9, 0.5])


def test_a_sigmoid_tells_of_both_classes():
    scores = class_scores(np.array([[0.9], [0.2]], np.float32), [1, 1], output="probability")
    np.testing.assert_allclose(scores.values, [[0.1, 0.9], [0.8, 0.2]], atol=1e-7)
    assert scores.predicted.tolist() == [1, 0]
    np.testing.assert_allclose(scores.loss, [-np.log(0.9), -np.log(0.2)], atol=1e-6)


def test_nan_is_not_known_and_comes_last():
    scores = class_scores([[np.nan, 0.5], [0.4, 0.6]], [0, 0], output="probability")
    assert np.isnan([scores.confidence[0], scores.margin[0], scores.loss[0]]).all()
    assert scores.order("loss").tolist() == [1, 0]
    assert scores.order("confidence").tolist() == [1, 0]


def test_a_class_that_is_masked_has_no_probability():
    masked = np.array([[2.0, 1.0, -np.inf], [0.0, -np.inf, 3.0]])
    for rows in ([0], [0, 1]):  # also where no sample is finite
        scores = class_scores(masked[rows], np.array([1, 1])[rows], output="logit")
        assert scores.kind == "scores"
        np.testing.assert_allclose(scores.confidence, softmax(masked[rows], axis=1).max(axis=1))
    np.testing.assert_allclose(scores.loss, [np.log(1 + np.e), np.inf])


def test_plus_infinity_is_not_known():
    scores = class_scores([[np.inf, 1.0], [2.0, 1.0]], [1, 0], output="logit")
    assert np.isnan([scores.confidence[0], scores.margin[0], scores.loss[0]]).all()
    assert scores.kind == "scores"
    single = class_scores([[np.inf], [0.2]], output="probability")
    assert np.isnan(single.confidence).tolist() == [True, False]


def test_labels_are_read_as_everywhere_else():
    found = class_scores(PROBABILITIES, np.eye(3)[[0, 2, 0]], output="probability")
    np.testing.assert_array_equal(
        found.loss, class_scores(PROBABILITIES, [0, 2, 0], output="probability").loss
    )
    with pytest.raises(ShapeError, match="3 samples need as many labels; got 1"):
        class_scores(PROBABILITIES, [0], output="probability")
    with pytest.raises(DataError, match="y holds -1"):
        class_scores(PROBABILITIES, [0, 1, -1], output="probability")


def test_without_labels_there_is_no_loss_and_one_axis_is_refused():
    assert np.isnan(class_scores(PROBABILITIES, output="probability").loss).all()
    assert class_scores(np.zeros((0, 3)), output="logit").confidence.shape == (0,)
    with pytest.raises(ShapeError, match="sample, class"):
        class_scores([0.1, 0.9], output="logit")
