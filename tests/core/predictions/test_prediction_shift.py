import numpy as np
import pytest

from actwidgets.core.predictions import prediction_shift
from actwidgets.errors import DataError, ShapeError


def test_few_classes_are_shown_in_their_order():
    shift = prediction_shift([0.1, 0.7, 0.2], [0.5, 0.25, 0.25], output="probability")
    assert shift.classes.tolist() == [0, 1, 2]
    assert shift.before.tolist() == [0.1, 0.7, 0.2]
    assert shift.now.tolist() == [0.5, 0.25, 0.25]
    assert (shift.predicted, shift.confidence) == ((1, 0), (0.7, 0.5))


def test_of_many_those_that_were_or_are_probable_and_the_true_one():
    before, now = np.full(1000, 1e-4), np.full(1000, 1e-4)
    before[[7, 900]], now[[7, 3]] = (0.6, 0.2), (0.1, 0.7)
    shift = prediction_shift(before, now, true_class=999, limit=4, output="probability")
    assert shift.classes.tolist() == [7, 900, 3, 999]
    assert shift.before.tolist() == [0.6, 0.2, 1e-4, 1e-4]
    assert shift.now.tolist() == [0.1, 1e-4, 0.7, 1e-4]
    assert (shift.n_classes, shift.predicted) == (1000, (7, 3))
    assert 999 not in prediction_shift(before, now, limit=4, output="probability").classes


def test_of_a_sigmoid_both_classes():
    shift = prediction_shift([0.25], [0.75], output="probability")
    assert shift.before.tolist() == [0.75, 0.25]
    assert (shift.predicted, shift.confidence) == ((0, 1), (0.75, 0.75))


def test_of_scores_their_softmax():
    shift = prediction_shift(np.log([0.2, 0.8]) + 5, np.log([0.6, 0.4]) - 5, output="logit")
    np.testing.assert_allclose(shift.before, [0.2, 0.8])
    np.testing.assert_allclose(shift.now, [0.6, 0.4])
    np.testing.assert_allclose(shift.confidence, [0.8, 0.6])


def test_what_is_not_a_number_is_said_to_be_none():
    shift = prediction_shift([0.2, 0.8], [np.nan, np.nan], output="probability")
    assert np.isnan(shift.now).all()
    assert shift.before.tolist() == [0.2, 0.8]
    assert np.isnan(shift.confidence[1])
    many = prediction_shift(np.full(20, 0.05), np.full(20, np.nan), limit=3, output="probability")
    assert many.classes.tolist() == [0, 1, 2]


def test_what_is_no_prediction_is_refused():
    with pytest.raises(DataError, match="held for values, not classes"):
        prediction_shift([3.0], [4.0], output="value")
    with pytest.raises(ShapeError, match="outputs needs 1 axes"):
        prediction_shift(np.zeros((1, 3)), np.zeros((1, 3)), output="logit")
    with pytest.raises(ShapeError, match="3 classes before and 2 now"):
        prediction_shift(np.zeros(3), np.zeros(2), output="logit")
