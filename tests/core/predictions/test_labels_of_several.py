"""Several labels a sample, and masks: counted as scikit-learn counts them."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from actwidgets.core.confusion import MultilabelConfusion, PixelCounter
from actwidgets.core.labels import mask_indices, multi_hot
from actwidgets.errors import DataError, SelectionError, ShapeError

NAMES = ("sky", "sea", "sand", "tree")
GENERATOR = np.random.default_rng(3)


def _labels(n_samples):
    truth = GENERATOR.random((n_samples, 4)) > [0.3, 0.5, 0.8, 1]  # no sample has the last
    said = np.where(GENERATOR.random((n_samples, 4)) > 0.3, truth, ~truth)
    said[:, 2] = False
    return truth, said


def _multilabel(truth, said):
    return MultilabelConfusion(truth, said, np.arange(len(truth)), NAMES, len(truth))


@pytest.mark.parametrize("n_samples", [1, 40])
def test_labels_are_counted_as_scikit_learn_counts_them(n_samples):
    truth, said = _labels(n_samples)
    found = _multilabel(truth, said)
    np.testing.assert_array_equal(found.counts, metrics.multilabel_confusion_matrix(truth, said))
    assert found.accuracy == metrics.accuracy_score(truth, said)
    expected = metrics.classification_report(
        truth, said, target_names=NAMES, output_dict=True, zero_division=0
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
    found = MultilabelConfusion(truth, said, np.array([10, 20, 30]), NAMES, 5)
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
    counter = PixelCounter(NAMES, 9)
    for rows in (slice(0, 4), slice(4, 5), slice(5, 9)):
        assert not counter.confusion().complete
        counter.add(given[rows], outputs[rows])
    found, true, said = counter.confusion(), masks.ravel(), outputs.argmax(-1).ravel()
    labels = range(4)
    np.testing.assert_array_equal(found.counts, metrics.confusion_matrix(true, said, labels=labels))
    expected = metrics.classification_report(
        true, said, labels=labels, target_names=NAMES, output_dict=True, zero_division=0
    )
    table = found.report.to_dataframe()
    for name in NAMES:
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
    counter = PixelCounter(NAMES, 3, budget_bytes=40)
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
