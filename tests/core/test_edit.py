import numpy as np
import pytest
from fakes import FakeProbe

from actwidgets.core.ablation import Edit, combined
from actwidgets.errors import DataError, LayerError, ShapeError


def _pair(edit):
    return edit.factor.tolist(), edit.offset.tolist()


def test_an_edit_keeps_copies_that_nobody_can_write_to():
    factor = np.array([1.0, 0.5])
    edit = Edit(factor, [0, 3])
    factor[0] = 9
    assert _pair(edit) == ([1.0, 0.5], [0.0, 3.0])
    assert edit.factor.dtype == edit.offset.dtype == np.float32
    assert edit.n_units == 2
    with pytest.raises(ValueError, match="read-only"):
        edit.factor[0] = 2


@pytest.mark.parametrize(
    ("factor", "offset", "error", "words"),
    [
        ([1, 2], [0], ShapeError, "2 factors and 1 offsets"),
        (1.0, 0.0, ShapeError, r"factor needs 1 axes \(unit\)"),
        ([1.0], [[0.0]], ShapeError, r"offset needs 1 axes \(unit\)"),
        ([1, np.nan], [0, 0], DataError, "factor must be finite; unit 1 has nan"),
        ([1, 1], [np.inf, 0], DataError, "offset must be finite; unit 0 has inf"),
        ([1e39], [0], DataError, "factor must be finite; unit 0 has inf"),
        (["a"], [0], DataError, "factor must hold numbers"),
    ],
)
def test_what_is_no_edit_is_refused(factor, offset, error, words):
    with pytest.raises(error, match=words):
        Edit(factor, offset)


def test_of_two_edits_the_second_is_of_what_the_first_gives():
    first, second = Edit([2, 0], [1, 5]), Edit([3, 10], [7, 0])  # 3 (2 v + 1) + 7; 10 · 5
    assert _pair(first.then(second)) == ([6.0, 0.0], [10.0, 50.0])
    both = combined({"a": first, "b": first}, {"a": second, "c": second})
    assert _pair(both["a"]) == ([6.0, 0.0], [10.0, 50.0])
    assert (both["b"], both["c"]) == (first, second)


def test_an_edit_of_another_number_of_units_cannot_follow():
    with pytest.raises(ShapeError, match="an edit of 1 units cannot follow one of 2"):
        Edit([1, 1], [0, 0]).then(Edit([1], [0]))


def test_a_probe_that_cannot_edit_says_so_but_for_no_edits():
    probe = FakeProbe()
    assert probe.edited({}) is probe
    with pytest.raises(LayerError, match="cannot run its model with the outputs of layers edited"):
        probe.edited({"a": Edit([1], [0])})
