import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actwidgets.core.labels import checked_class_names, class_indices, count_classes
from actwidgets.errors import DataError


@given(st.lists(st.integers(0, 6), max_size=20))
def test_one_hot_and_indices_mean_the_same(indices):
    one_hot = np.eye(7)[np.array(indices, int)]
    for dtype in (bool, np.uint8, np.float32):
        assert class_indices(one_hot.astype(dtype), n_classes=7).tolist() == indices
    assert class_indices(indices, n_classes=7).tolist() == indices


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64, np.float16, np.float32])
@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_the_indices_are_a_copy(dtype, shape):
    y = np.array([2, 0, 1], dtype).reshape(shape)
    found = class_indices(y, n_classes=3)
    found[:] = 9
    assert y.ravel().tolist() == [2, 0, 1]


@pytest.mark.parametrize("y", [[], np.zeros((0, 1)), np.zeros((0, 3))])
def test_no_labels_are_no_error(y):
    found = class_indices(y, n_classes=3)
    assert found.shape == (0,)
    assert found.dtype == np.int64


def test_locked_and_backward_labels_are_read():
    y = np.array([0, 1, 2])[::-1]
    y.flags.writeable = False
    assert class_indices(y).tolist() == [2, 1, 0]


@pytest.mark.parametrize(("y", "shown"), [([0, 0.5], "0.5"), ([np.inf], "inf")])
@pytest.mark.filterwarnings("error")
def test_the_refusal_shows_the_number_and_nothing_else_is_said(y, shown):
    with pytest.raises(DataError, match=rf"got {shown}\. Targets"):
        class_indices(y)


@pytest.mark.parametrize(("y", "shown"), [([3j], "3j"), ([{}], "{}")])
def test_what_is_no_number_is_shown_as_given(y, shown):
    with pytest.raises(DataError, match=rf"got values like {shown}$"):
        class_indices(y)


@pytest.mark.parametrize("row", [[0, 0, 0], [1, 1, 0], [0, 2, 0], [1, 0.5, 0], [1, np.nan, 0]])
def test_a_row_without_exactly_one_one_is_not_one_hot(row):
    with pytest.raises(DataError, match="not one-hot"):
        class_indices([[0, 0, 1], row], n_classes=3)


def test_without_a_number_of_classes_any_index_is_taken():
    assert class_indices([0, 1000]).tolist() == [0, 1000]


def test_the_last_class_is_in_and_the_next_is_out():
    assert class_indices([4], n_classes=5).tolist() == [4]
    with pytest.raises(DataError, match=r"there are 4 classes: 0\.\.3"):
        class_indices([4], n_classes=4)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a", "b"], "3 classes need 3 class_names; got 2"),
        (["a", "b", "c", "d"], "got 4"),
        (["b", "a", "b"], "must differ; repeated: b"),
        (["a", 1, "c"], "must be text; number 1 is 1"),
        ([], "got 0"),
    ],
)
def test_class_names_that_do_not_name_the_classes_are_refused(names, words):
    with pytest.raises(DataError, match=words):
        checked_class_names(names, 3)


@pytest.mark.parametrize("names", [["a", "b"], ("a", "b"), np.array(["a", "b"])])
def test_class_names_may_be_any_sequence(names):
    assert checked_class_names(names, 2) == ("a", "b")


@pytest.mark.parametrize(
    ("n_outputs", "names", "wanted"),
    [(10, None, 10), (1, None, 2), (0, ("a", "b", "c"), 3), (0, None, 0), (10, ("a",), 10)],
)
def test_the_model_says_how_many_classes_there_are_and_names_where_it_does_not(
    n_outputs, names, wanted
):
    assert count_classes(n_outputs, names) == wanted


def test_true_and_false_are_two_classes_and_targets_are_none():
    assert class_indices([True, False, True], n_classes=2).tolist() == [1, 0, 1]
    with pytest.raises(DataError, match="of a regression are no classes: leave y out"):
        class_indices([0.3, 1.5])
