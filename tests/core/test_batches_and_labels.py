import numpy as np
import pytest

from actwidgets.core.batches import iterate, join
from actwidgets.core.labels import checked_class_names, class_indices
from actwidgets.core.samples import Samples
from actwidgets.errors import DataError, ShapeError

X = np.arange(14.0).reshape(7, 2)
Y = np.arange(7)


class _Sequence:
    """What a PyDataset looks like: batches by number."""

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return X[index * 3 : index * 3 + 3], Y[index * 3 : index * 3 + 3]


class _Again:
    """Batches that can be read as often as one likes."""

    def __iter__(self):
        return iter([X[:4], X[4:]])


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_arrays_come_in_batches_and_lose_nothing(size):
    batches = list(iterate(X, Y, batch_size=size))
    np.testing.assert_array_equal(join([x for x, _ in batches]), X)
    np.testing.assert_array_equal(np.concatenate([y for _, y in batches]), Y)
    assert [len(y) for _, y in batches][:-1] == [size] * (len(batches) - 1)


def test_lists_and_dicts_of_arrays_are_cut_together():
    for x in ([X, X[:, 0]], {"a": X, "b": X[:, 0]}):
        batches = [batch for batch, _ in iterate(x, batch_size=5)]
        assert type(batches[0]) is type(x)
        assert len(join(batches)) == 2


def test_a_sequence_of_batches_brings_its_labels():
    batches = list(iterate(_Sequence()))
    assert [len(x) for x, _ in batches] == [3, 3, 1]
    np.testing.assert_array_equal(np.concatenate([y for _, y in batches]), Y)


def test_labels_beside_a_re_iterable_go_along_with_it():
    assert [y.tolist() for _, y in iterate(_Again(), Y)] == [[0, 1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    ("x", "y", "error", "words"),
    [
        (X, Y[:3], ShapeError, "7 samples and y has 3"),
        (_Again(), Y[:5], ShapeError, "y has 5 labels, and x goes on"),
        (_Again(), np.arange(9), ShapeError, "7 samples and y has 9"),
        ([X, X[:3]], None, ShapeError, "equally many samples; got 3, 7"),
        (iter([X]), None, DataError, "one-shot iterator"),
        (3, None, DataError, "must be an array"),
    ],
)
def test_what_does_not_fit_is_refused(x, y, error, words):
    with pytest.raises(error, match=words):
        list(iterate(x, y))


def test_a_batch_size_of_nothing_is_refused():
    with pytest.raises(DataError, match="at least 1; got 0"):
        list(iterate(X, batch_size=0))


@pytest.mark.parametrize(
    "given", [[2, 0, 1], [[2], [0], [1]], np.eye(3)[[2, 0, 1]], np.array([2.0, 0.0, 1.0])]
)
def test_labels_of_every_form_are_the_same_indices(given):
    found = class_indices(given, n_classes=3)
    assert found.tolist() == [2, 0, 1]
    assert found.dtype == np.int64


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ([0, 3], DataError, r"y holds 3, but there are 3 classes: 0\.\.2"),
        ([-1], DataError, "y holds -1"),
        ([0.5], DataError, "whole class indices; got .*0.5"),
        ([np.nan], DataError, "whole class indices"),
        (["a"], DataError, "class indices; got values like .*'a'"),
        (np.eye(4), ShapeError, "4 columns for 3 classes"),
        (np.full((2, 3), 1 / 3), DataError, "not one-hot"),
        (np.zeros((2, 3, 4)), ShapeError, r"got shape \(2, 3, 4\)"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_labels_that_are_none_are_refused(given, error, words):
    with pytest.raises(error, match=words):
        class_indices(given, n_classes=3)


def test_class_names_default_to_their_numbers():
    assert checked_class_names(None, 3) == ("0", "1", "2")
    with pytest.raises(DataError, match="got the text 'abc'"):
        checked_class_names("abc", 3)


def test_of_a_stream_the_first_samples_are_kept_with_their_labels():
    samples = Samples(_Sequence(), None, n_classes=7, max_samples=5)
    assert len(samples) == 5
    assert samples.labels.tolist() == [0, 1, 2, 3, 4]
    assert Samples(_Again(), Y, n_classes=7, max_samples=6).labels.tolist() == [0, 1, 2, 3, 4, 5]


def test_samples_of_a_class_come_in_order():
    samples = Samples(X, [0, 1, 0, 1, 1, 0, 1], n_classes=3)
    assert samples.of_class(1, 3) == (1, 3, 4)
    assert samples.of_class(2, 3) == ()


def test_the_image_among_several_inputs_is_what_is_pictured():
    x = {"vector": X, "image": np.ones((7, 4, 6, 3))}
    assert Samples(x, None, n_classes=2).pictures([0, 3]).shape == (2, 4, 6, 3)
