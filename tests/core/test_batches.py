import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actwidgets.core.batches import count_samples, is_arrays, iterate, join, parts, take
from actwidgets.errors import DataError, ShapeError

X = np.arange(14.0).reshape(7, 2)
Y = np.arange(7)


class _Again:
    """Batches that can be read as often as one likes."""

    def __init__(self, *batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)


def _generator():
    yield X


@given(st.integers(0, 30), st.integers(1, 40))
def test_batches_of_any_size_put_together_are_the_whole(n_samples, batch_size):
    x, y = np.arange(n_samples * 3).reshape(n_samples, 3), np.arange(n_samples)
    batches = list(iterate(x, y, batch_size=batch_size))
    assert len(batches) == -(-n_samples // batch_size)
    assert all(len(inputs) == len(labels) for inputs, labels in batches)
    assert [label for _, labels in batches for label in labels] == y.tolist()
    assert [row for inputs, _ in batches for row in inputs.tolist()] == x.tolist()


def test_arrays_are_cut_without_a_copy():
    (batch, labels), *_ = iterate(X, batch_size=3)
    assert np.shares_memory(batch, X)
    assert labels is None


def test_a_generator_is_refused_with_the_reason_and_what_to_give():
    with pytest.raises(DataError, match=r"empty the second time.*\(inputs, labels\) batches"):
        next(iterate(_generator()))


def test_what_the_refusal_of_a_generator_recommends_is_taken():
    """A list of arrays would be several inputs; a list of pairs is a list of batches."""
    batches = list(iterate([(X[:4], Y[:4]), (X[4:], Y[4:])]))
    np.testing.assert_array_equal(join([inputs for inputs, _ in batches]), X)
    assert [labels.tolist() for _, labels in batches] == [[0, 1, 2, 3], [4, 5, 6]]


def test_a_re_iterable_is_read_from_the_start_each_time():
    x = _Again(X[:4], X[4:])
    assert [len(batch) for batch, _ in iterate(x)] == [len(batch) for batch, _ in iterate(x)]


def test_sample_weights_in_a_batch_are_left_out():
    (inputs, labels), *more = iterate(_Again((X, Y, np.ones(7))))
    np.testing.assert_array_equal(inputs, X)
    np.testing.assert_array_equal(labels, Y)
    assert not more


def test_a_batch_of_inputs_alone_in_a_tuple_has_no_labels():
    assert next(iterate(_Again((X,))))[1] is None


def test_labels_given_beside_pairs_are_the_ones_used():
    assert next(iterate(_Again((X, Y)), Y + 10))[1].tolist() == (Y + 10).tolist()


def test_batches_of_several_inputs_keep_their_structure():
    for batch in ({"a": X, "b": X[:, 0]}, [X, X[:, 0]]):
        (found, labels), *_ = iterate(_Again((batch, Y)))
        assert type(found) is type(batch)
        assert count_samples(found) == len(labels) == 7


def test_plain_numbers_in_a_batch_become_an_array():
    (found, _), *_ = iterate(_Again([[1, 2], [3, 4]]))
    assert found.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("y", [Y.tolist(), tuple(Y), Y])
def test_labels_may_be_any_sequence(y):
    assert [labels.tolist() for _, labels in iterate(X, y, batch_size=4)] == [
        [0, 1, 2, 3],
        [4, 5, 6],
    ]


def test_a_dict_of_lists_is_refused_by_what_it_holds():
    with pytest.raises(DataError, match=r"dict of arrays by input; got \{'a': 'list'\}"):
        list(iterate({"a": [1, 2]}))


def test_single_values_are_no_batches():
    with pytest.raises(ShapeError, match="a batch needs a sample axis"):
        list(iterate([1, 2]))
    with pytest.raises(ShapeError, match="x needs a sample axis"):
        list(iterate(np.array(1.0)))


def test_nothing_to_read_is_no_batch():
    assert list(iterate(X[:0])) == []
    assert list(iterate(_Again())) == []
    with pytest.raises(ShapeError, match="x has 0 samples and y has 7"):
        list(iterate(_Again(), Y))


def test_rows_are_taken_from_every_input():
    assert take(X, [6, 0]).tolist() == [[12, 13], [0, 1]]
    assert take([X, Y], slice(2))[1].tolist() == [0, 1]
    assert take({"a": X, "b": Y}, [3])["b"].tolist() == [3]


def test_the_parts_come_in_order():
    assert [len(part) for part in parts({"b": X, "a": Y[:2]})] == [7, 2]
    assert parts((X, Y))[1] is Y
    assert parts(X)[0] is X


@pytest.mark.parametrize("x", [[], {}, [1, 2], {"a": 1}, "abc", 3])
def test_these_are_no_arrays(x):
    assert not is_arrays(x)
