import numpy as np
import pytest
from fakes import FakeProbe

from actwidgets.core.ablation import Ablation, Edit, combined, edit_of
from actwidgets.errors import DataError, LayerError, SelectionError, ShapeError


def _pair(edit):
    return edit.factor.tolist(), edit.offset.tolist()


def test_units_are_switched_off_and_the_others_left_alone():
    assert _pair(edit_of(Ablation("conv", (2, 0)), 4)) == ([0, 1, 0, 1], [0, 0, 0, 0])


def test_units_are_scaled():
    assert _pair(edit_of(Ablation("conv", (1,), scale=-0.5), 2)) == ([1, -0.5], [0, 0])


@pytest.mark.parametrize("scale", [0.0, 0.25, 1.0, 2.0])
def test_with_means_the_distance_from_the_mean_is_scaled(scale):
    means, values = np.array([3.0, -2.0]), np.array([5.0, 4.0])
    edit = edit_of(Ablation("conv", (1,), scale, "mean"), 2, means)
    found = edit.factor * values + edit.offset
    np.testing.assert_allclose(found, [5, -2 + scale * (4 - -2)], rtol=1e-6)


def test_means_of_units_left_alone_may_be_nan():
    edit = edit_of(Ablation("conv", (0,), fill="mean"), 2, [4.0, np.nan])
    assert _pair(edit) == ([0, 1], [4, 0])


def test_without_units_nothing_is_altered():
    assert _pair(edit_of(Ablation("conv", ()), 2)) == ([1, 1], [0, 0])


def test_ablations_are_compared_by_value_and_may_be_keys():
    one = Ablation("conv", [np.int64(3), 1], 0, "mean")
    assert one == Ablation("conv", (3, 1), 0.0, "mean")
    assert {one: "kept"}[Ablation("conv", (3, 1), fill="mean")] == "kept"
    assert one.units == (3, 1)
    assert [type(each) for each in (*one.units, one.scale)] == [int, int, float]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("conv", (1, 2, 1)), SelectionError, r"units must differ; got \(1, 2, 1\)"),
        (("conv", (0, -1)), SelectionError, "whole number of 0 or more; got -1"),
        (("conv", (0.5,)), SelectionError, "whole number of 0 or more; got 0.5"),
        (("conv", (True,)), SelectionError, "whole number of 0 or more; got True"),
        (("conv", 3), SelectionError, "units must be several indices; got 3"),
        (("conv", "12"), SelectionError, "units must be several indices; got '12'"),
        (("conv", (1,), np.nan), DataError, "scale must be finite; got nan"),
        (("conv", (1,), -np.inf), DataError, "scale must be finite; got -inf"),
        (("conv", (1,), "all"), DataError, "scale must be a number; got 'all'"),
        (("conv", (1,), 0.0, "median"), DataError, "'zero' or 'mean'; got 'median'"),
        (("", (1,)), DataError, "layer must be the name of a layer; got ''"),
    ],
)
def test_what_is_no_ablation_is_refused(arguments, error, words):
    with pytest.raises(error, match=words):
        Ablation(*arguments)


@pytest.mark.parametrize(
    ("n_units", "means", "error", "words"),
    [
        (2, [1, 1], SelectionError, r"unit 2 is outside 0\.\.1 of layer 'conv'"),
        (3, None, DataError, "the means of layer 'conv' are needed"),
        (3, [1, 1], ShapeError, "layer 'conv' has 3 units; got means of 2"),
        (3, [1, 1, np.nan], DataError, "unit 2 of layer 'conv' cannot be filled.* it is nan"),
        (3, [[1, 1, 1]], ShapeError, "means needs 1 axes"),
    ],
)
def test_an_ablation_that_does_not_fit_the_layer_is_refused(n_units, means, error, words):
    with pytest.raises(error, match=words):
        edit_of(Ablation("conv", (2,), fill="mean"), n_units, means)


# --- edit ---------------------------------------------------------------------------------


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
