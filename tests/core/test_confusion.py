"""The confusion matrix and the report against scikit-learn's own, and cells by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from actwidgets.core.confusion import (
    ConfusedPair,
    MultilabelConfusion,
    PixelCounter,
    classification_report,
    confusion,
)
from actwidgets.core.labels import mask_indices, multi_hot
from actwidgets.errors import DataError, SelectionError, ShapeError

NAMES = ("shirt", "coat", "bag", "none")
LABELS = np.array([0, 0, 0, 1, 1, 2, 0])
PREDICTED = np.array([0, 1, 1, 1, 0, 2, 2])


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60))
def test_counts_shares_and_report_are_scikit_learns(pairs):
    labels, predicted = np.array(pairs).T
    found = confusion(labels, predicted, NAMES)
    classes = range(4)
    wanted = metrics.confusion_matrix(labels, predicted, labels=classes)
    np.testing.assert_array_equal(found.counts, wanted)
    for by, normalize in (("row", "true"), ("column", "pred"), ("all", "all")):
        shares = metrics.confusion_matrix(labels, predicted, labels=classes, normalize=normalize)
        np.testing.assert_allclose(np.nan_to_num(found.normalized(by)), shares, rtol=1e-12)
    table = found.report.to_dataframe()
    theirs = metrics.classification_report(
        labels, predicted, labels=classes, target_names=NAMES, output_dict=True, zero_division=0
    )
    for name in (*NAMES, "macro avg", "weighted avg"):
        if name in theirs:
            for column, value in theirs[name].items():
                assert table.loc[name, column] == pytest.approx(value, abs=1e-12)
    assert found.report.accuracy == metrics.accuracy_score(labels, predicted)
    assert table.loc["accuracy", "f1-score"] == found.accuracy


def test_cells_rows_and_columns_hold_the_rows_of_the_data():
    found = confusion(LABELS, PREDICTED, NAMES, rows=LABELS * 0 + np.arange(10, 17), n_samples=50)
    assert found.samples(0, 1) == (11, 12)
    assert found.samples(true=1) == (13, 14)
    assert found.samples(predicted=2) == (15, 16)
    assert len(found.samples()) == 7
    assert not found.complete


def test_the_worst_pairs_come_first_and_the_diagonal_never():
    found = confusion(LABELS, PREDICTED, NAMES)
    assert found.worst_pairs() == (
        ConfusedPair(0, 1, 2, 0.5),
        ConfusedPair(0, 2, 1, 0.25),
        ConfusedPair(1, 0, 1, 0.5),
    )
    assert len(found.worst_pairs(1)) == 1
    assert confusion([1, 2], [1, 2], NAMES).worst_pairs() == ()


def test_a_class_stands_with_those_it_is_mixed_up_with():
    found = confusion(LABELS, PREDICTED, NAMES)
    assert found.mixed_up(1, 2).tolist() == [1, 0]
    assert found.mixed_up(2, 3).tolist() == [2, 0, 1]
    assert found.mixed_up(None, 4).tolist() == [0, 1, 2, 3]


def test_mistakes_of_both_kinds_count_and_classes_without_any_stay_in_order():
    found = confusion([1, 2, 3, 3], [0, 0, 0, 0], NAMES)
    assert found.mixed_up(None, 4).tolist() == [0, 3, 1, 2]
    names, classes = tuple(map(str, range(300))), np.arange(300)
    is_even = classes % 2 == 0  # each is taken for the class behind it, which is then no better
    found = confusion(classes, np.where(is_even, classes + 1, classes), names)
    assert found.mixed_up(None, 300).tolist() == list(range(300))
    assert found.mixed_up(7, 300).tolist() == [7, 6, *range(6), *range(8, 300)]


def test_an_unseen_class_has_no_share_and_no_samples_are_no_error():
    found = confusion(LABELS, PREDICTED, NAMES)
    assert np.isnan(found.normalized("row")[3]).all()
    assert found.report.support[3] == 0
    nothing = confusion([], [], NAMES)
    assert nothing.counts.sum() == 0
    assert np.isnan(nothing.accuracy)
    assert np.isnan(nothing.report.macro.f1)
    assert nothing.report.to_dataframe().shape == (7, 4)


def test_one_hot_labels_are_labels_and_the_frame_has_names():
    found = confusion(np.eye(4)[LABELS], PREDICTED, NAMES)
    assert found.to_dataframe().loc["shirt", "coat"] == 2
    assert set(found.to_dataframe().dtypes.map(str)) == {"int64"}
    assert found.to_dataframe("row").loc["coat", "shirt"] == 0.5


def test_what_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match="got 7, 2 and 7"):
        confusion(LABELS, [0, 1], NAMES)
    with pytest.raises(DataError, match="y holds 4, but there are 4 classes"):
        confusion([4], [0], NAMES)
    with pytest.raises(DataError, match="no way 'diagonal' to normalize"):
        confusion(LABELS, PREDICTED, NAMES).normalized("diagonal")


def test_a_thousand_classes_are_counted():
    labels = np.arange(3000) % 1000
    report = classification_report(labels, labels[::-1], tuple(map(str, range(1000))))
    assert report.support.tolist() == [3] * 1000
    assert report.accuracy == np.mean(labels == labels[::-1])


def test_a_cell_goes_by_name_or_index_and_a_class_that_is_none_is_refused():
    found = confusion(LABELS, PREDICTED, NAMES)
    assert found.samples("shirt", "coat") == found.samples(0, 1) == (1, 2)
    for wrong in ("hat", 4, -1):
        with pytest.raises(SelectionError, match=r"no class .*index in 0\.\.3"):
            found.samples(true=wrong)


# --- labels of several --------------------------------------------------------------------


LABEL_NAMES = ("sky", "sea", "sand", "tree")
GENERATOR = np.random.default_rng(3)


def _labels(n_samples):
    truth = GENERATOR.random((n_samples, 4)) > [0.3, 0.5, 0.8, 1]  # no sample has the last
    said = np.where(GENERATOR.random((n_samples, 4)) > 0.3, truth, ~truth)
    said[:, 2] = False
    return truth, said


def _multilabel(truth, said):
    return MultilabelConfusion(truth, said, np.arange(len(truth)), LABEL_NAMES, len(truth))


@pytest.mark.parametrize("n_samples", [1, 40])
def test_labels_are_counted_as_scikit_learn_counts_them(n_samples):
    truth, said = _labels(n_samples)
    found = _multilabel(truth, said)
    np.testing.assert_array_equal(found.counts, metrics.multilabel_confusion_matrix(truth, said))
    assert found.accuracy == metrics.accuracy_score(truth, said)
    expected = metrics.classification_report(
        truth, said, target_names=LABEL_NAMES, output_dict=True, zero_division=0
    )
    table = found.report.to_dataframe()
    assert table.index.tolist() == [*expected]
    for name, figures in expected.items():
        for column, figure in figures.items():
            assert table.loc[name, column] == pytest.approx(figure), (name, column)


def test_without_samples_there_is_nothing_to_share_out():
    found = _multilabel(np.zeros((0, 4), bool), np.zeros((0, 4), bool))
    assert np.isnan(found.accuracy)
    assert found.counts.sum() == 0
    assert found.report.macro.f1 == 0


def test_the_samples_of_a_cell_are_those_of_that_label():
    truth = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]], bool)
    said = np.array([[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]], bool)
    found = MultilabelConfusion(truth, said, np.array([10, 20, 30]), LABEL_NAMES, 5)
    assert found.samples("sky", True, False) == (20,)
    assert found.samples(1, None, True) == (10, 20)
    assert found.samples("sea", False) == (10, 30)
    assert not found.complete
    assert found.to_dataframe().loc["sea"].tolist() == [1, 1, 0, 1]
    with pytest.raises(SelectionError, match="no class 'sun'"):
        found.samples("sun")


@pytest.mark.parametrize(
    "y",
    [
        [[1, 0, 1], [0, 0, 0]],
        np.array([[True, False], [True, True]]),
        pd.DataFrame({"a": [1, 0], "b": [1.0, 0.0]}),
    ],
)
def test_zeros_and_ones_are_several_labels(y):
    found = multi_hot(y)
    assert found.dtype == bool
    np.testing.assert_array_equal(found, np.asarray(y).astype(bool))


@pytest.mark.parametrize(
    "y",
    [[0, 1], [[1, 0], [0, 1]], [[0.5, 1], [1, 1]], [[2, 0], [1, 1]], [[1], [0]], ["a", "b"], []],
)
def test_these_are_not_several_labels(y):
    assert multi_hot(y) is None


def _masks(n_samples):
    masks = GENERATOR.integers(0, 3, (n_samples, 5, 7))
    outputs = GENERATOR.random((n_samples, 5, 7, 4)).astype(np.float32)
    return masks, outputs


@pytest.mark.parametrize("one_hot", [False, True])
def test_pixels_streamed_are_counted_as_those_of_the_whole(one_hot):
    masks, outputs = _masks(9)
    given = np.eye(4)[masks] if one_hot else masks[..., None]
    counter = PixelCounter(LABEL_NAMES, 9)
    for rows in (slice(0, 4), slice(4, 5), slice(5, 9)):
        assert not counter.confusion().complete
        counter.add(given[rows], outputs[rows])
    found, true, said = counter.confusion(), masks.ravel(), outputs.argmax(-1).ravel()
    labels = range(4)
    np.testing.assert_array_equal(found.counts, metrics.confusion_matrix(true, said, labels=labels))
    expected = metrics.classification_report(
        true,
        said,
        labels=labels,
        target_names=LABEL_NAMES,
        output_dict=True,
        zero_division=0,
    )
    table = found.report.to_dataframe()
    for name in LABEL_NAMES:
        for column, figure in expected[name].items():
            assert table.loc[name, column] == pytest.approx(figure)
    iou = metrics.jaccard_score(true, said, labels=labels, average=None, zero_division=0)
    np.testing.assert_allclose(found.report.iou, iou)
    assert table.loc["macro avg", "iou"] == pytest.approx(iou.mean())
    assert found.accuracy == pytest.approx(metrics.accuracy_score(true, said))
    assert found.complete
    behind = [row for row in range(9) if ((masks[row] == 1) & (outputs[row].argmax(-1) == 2)).any()]
    assert found.samples("sea", "sand") == tuple(behind)
    assert found.samples("tree") == ()


def test_one_output_a_pixel_tells_two_classes_apart():
    counter = PixelCounter(("ground", "road"), 1)
    outputs = np.array([[[[-1.0], [0.2], [3.0], [np.nan]]]])
    counter.add(np.array([[[0, 1, 0, 1]]]), outputs, threshold=0.0)
    found = counter.confusion()
    assert found.counts.tolist() == [[1, 1], [1, 1]]
    assert found.n_nan == 1


def test_samples_are_not_told_by_cell_beyond_the_budget():
    masks, outputs = _masks(3)
    counter = PixelCounter(LABEL_NAMES, 3, budget_bytes=40)
    counter.add(masks, outputs)
    assert counter.confusion().present is None
    assert counter.confusion().samples("sky") == ()
    assert counter.confusion().counts.sum() == masks.size


def test_masks_that_do_not_fit_are_refused():
    masks, outputs = _masks(2)
    with pytest.raises(ShapeError, match=r"each position of the output \(5, 7\); got \(5, 6\)"):
        mask_indices(masks[:, :, :6], outputs.shape[:-1], 4)
    with pytest.raises(DataError, match="y holds 2, but there are 2 classes"):
        mask_indices(masks, outputs.shape[:-1], 2)
