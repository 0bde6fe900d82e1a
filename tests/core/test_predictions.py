"""Confidence, margin and loss of whatever a model puts out."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn import metrics
from sklearn.metrics import log_loss

from actwidgets.core.output_kind import OutputKind
from actwidgets.core.predictions import (
    OUTCOMES,
    PredictionTable,
    class_counts,
    class_scores,
    filter_rows,
    needs_predictions,
    predicted_classes,
    prediction_shift,
    value_scores,
)
from actwidgets.errors import DataError, ShapeError
from actwidgets.session.results import STEP, PredictionPass, spread

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


# --- outcomes -----------------------------------------------------------------------------


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


# --- prediction pass ----------------------------------------------------------------------


def test_what_is_known_is_not_predicted_again_and_the_rest_is_step_by_step():
    asked = []

    def predict(rows):
        asked.extend(rows.tolist())
        return np.stack([rows, -rows], axis=1)

    wanted = PredictionPass(PredictionTable(STEP + 40, 2), predict)
    wanted.predictions([3, STEP + 10])
    assert (wanted.n_read, wanted.table.known.tolist()) == (2, [3, STEP + 10])
    wanted.step()
    assert wanted.n_read == STEP + 2
    assert not wanted.complete
    wanted.step()
    assert wanted.complete
    assert sorted(asked) == list(range(STEP + 40))
    np.testing.assert_array_equal(wanted.predictions([7]), [[7, -7]])


def test_steps_of_a_fast_model_grow_up_to_a_limit_and_those_of_a_slow_one_do_not(monkeypatch):
    def sizes():
        asked = []
        predict = lambda rows: asked.append(len(rows)) or np.zeros((len(rows), 2))  # noqa: E731
        wanted = PredictionPass(PredictionTable(20 * STEP, 2), predict)
        for _ in range(4):
            wanted.step()
        return asked

    monkeypatch.setattr("actwidgets.session.results.LARGEST_STEP", 4 * STEP)
    monkeypatch.setattr("actwidgets.session.results.FAST_S", np.inf)
    assert sizes() == [STEP, 2 * STEP, 4 * STEP, 4 * STEP]
    monkeypatch.setattr("actwidgets.session.results.FAST_S", 0.0)
    assert sizes() == [STEP] * 4


def test_rows_are_spread_evenly_and_differ():
    assert spread(5, 10).tolist() == [0, 1, 2, 3, 4]
    assert spread(101, 3).tolist() == [0, 50, 100]
    assert len(set(spread(1001, 1000).tolist())) == 1000


# --- prediction shift ---------------------------------------------------------------------


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


# --- prediction table ---------------------------------------------------------------------


def test_predictions_are_asked_for_once_per_row():
    asked = []

    def predict(rows):
        asked.append(rows.tolist())
        return rows[:, None] * np.ones(2)

    table = PredictionTable(600, 2)
    assert table.of([3, 1, 3], predict).tolist() == [[3, 3], [1, 1], [3, 3]]
    table.of([1, 2], predict)
    assert asked == [[1, 3], [2]]
    assert table.of(range(600), predict)[:, 0].tolist() == list(range(600))
    assert [len(rows) for rows in asked[2:]] == [256, 256, 85]


# --- value scores -------------------------------------------------------------------------


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


# --- class counts -------------------------------------------------------------------------


def test_every_class_is_counted_the_absent_too():
    assert class_counts([2, 0, 2], 4).tolist() == [1, 0, 2, 0]
    assert class_counts(np.eye(3)[[0, 0, 1]], 3).tolist() == [2, 1, 0]
    assert class_counts([], 2).tolist() == [0, 0]
    with pytest.raises(DataError, match="y holds 4"):
        class_counts([4], 4)
