import numpy as np
import pytest

from actwidgets.core.predictions import OUTCOMES, filter_rows, needs_predictions, predicted_classes
from actwidgets.errors import DataError

LABELS = np.array([0, 1, 1, 0, 2])
PREDICTIONS = np.eye(3)[[0, 1, 0, 2, 2]]  # right, right, wrong, wrong, right


@pytest.mark.parametrize(
    ("class_index", "outcome", "wanted"),
    [
        (None, "all", [0, 1, 2, 3, 4]),
        (None, "right", [0, 1, 4]),
        (None, "wrong", [2, 3]),
        (1, "all", [1, 2]),
        (1, "right", [1]),
        (1, "wrong", [2]),
        (2, "wrong", []),
    ],
)
def test_class_and_outcome_are_filtered_together(class_index, outcome, wanted):
    found = filter_rows(5, LABELS, PREDICTIONS, class_index=class_index, outcome=outcome)
    assert found.tolist() == wanted


def test_class_zero_is_a_class():
    assert filter_rows(5, LABELS, None, class_index=0).tolist() == [0, 3]


def test_right_and_wrong_of_a_single_output_go_by_a_half():
    predictions = [[0.9], [0.1], [0.5]]
    labels = np.array([1, 1, 0])
    found = filter_rows(3, labels, predictions, outcome="right", output="probability")
    assert found.tolist() == [0, 2]


def test_an_outcome_there_is_not_is_refused_rather_than_taken_for_wrong():
    with pytest.raises(DataError, match="no outcome 'correct'; there are all, right, wrong"):
        filter_rows(5, LABELS, PREDICTIONS, outcome="correct")


def test_an_outcome_without_predictions_is_refused_rather_than_left_out():
    with pytest.raises(DataError, match="'wrong' only where predictions are given"):
        filter_rows(5, LABELS, None, outcome="wrong")


def test_an_outcome_without_labels_is_refused():
    with pytest.raises(DataError, match="only where y is given"):
        filter_rows(5, None, PREDICTIONS, outcome="right")


def test_only_a_filter_by_outcome_needs_predictions():
    assert [needs_predictions(outcome) for outcome in OUTCOMES] == [False, True, True]


@pytest.mark.parametrize(
    ("predictions", "wanted"),
    [([[1, 1]], [0]), ([[-np.inf, 0]], [1]), (np.zeros((0, 3)), []), (np.zeros((0, 1)), [])],
)
def test_of_equal_outputs_the_first_class_is_predicted_and_none_of_none(predictions, wanted):
    found = predicted_classes(predictions, output="probability")
    assert found.tolist() == wanted
    assert found.dtype == np.int64
