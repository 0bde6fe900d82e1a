"""What becomes of a method's result, and what is refused before it is begun."""

import numpy as np
import pytest
from pooled_slice import LinearSlice

from actwidgets.core.attribution.base import Method, MethodResult, Option
from actwidgets.core.attribution.registry import (
    METHODS,
    attribution_methods,
    attribution_steps,
    finished,
    method_named,
)
from actwidgets.errors import DataError, ShapeError

LEFT = np.array([[1.0, -2.0, 0.0], [0.5, 3.0, 1.0]])
RIGHT = np.array([[2.0, 0.0, 1.0]])
X = np.array([[1.0, 1.0], [2.0, -1.0], [0.0, 4.0], [3.0, 3.0]])
Z = np.array([[1.0], [0.0], [-1.0], [2.0]])


def attributed(method="gradient", arrays=(X,), slice_=None, target=None, **options):
    slice_ = slice_ or LinearSlice(LEFT, RIGHT if len(arrays) > 1 else None)
    method = method if isinstance(method, Method) else method_named(method)
    return finished(attribution_steps(slice_, slice_.points(*arrays), method, target, options))


def test_the_gradient_of_a_linear_model_is_its_weights():
    found = attributed(target=[0, 1, 2, 1])
    np.testing.assert_array_equal(found.values, LEFT.T[[0, 1, 2, 1]])
    np.testing.assert_array_equal(np.asarray(found), found.values)
    np.testing.assert_array_equal(found.scores, (X @ LEFT)[range(4), [0, 1, 2, 1]])
    assert (found.values.dtype, found.scores.dtype) == (np.float32, np.float64)
    assert (found.method, found.output, found.layer, found.note) == ("gradient", "logit", "", "")
    assert len(found) == 4


def test_gradient_times_input_sums_to_the_score():
    found = attributed("gradient_x_input", target=2)
    np.testing.assert_allclose(found.values.sum(axis=1), (X @ LEFT)[:, 2])


def test_several_inputs_have_a_map_each_by_name():
    found = attributed(arrays=(X, Z), target=0)
    assert [*found.values] == ["x", "z"]
    np.testing.assert_array_equal(found.values["z"], np.full((4, 1), 2))
    with pytest.raises(ShapeError, match=r"one map for each of x, z: take one of \.values"):
        np.asarray(found)


def test_without_a_target_each_sample_is_asked_about_its_prediction():
    found = attributed()
    np.testing.assert_array_equal(found.target, (X @ LEFT).argmax(axis=1))
    assert found.target.dtype == np.int64


def test_a_score_that_is_not_a_number_is_not_the_largest():
    x = X.copy()
    slice_ = LinearSlice(LEFT, bias=np.array([np.nan, 0.0, 0.0]))
    np.testing.assert_array_equal(attributed(arrays=(x,), slice_=slice_).target, [1, 2, 1, 1])


@pytest.mark.parametrize("target", [1, np.int8(1), [1, 1, 1, 1], np.full(4, 1, np.uint8)])
def test_one_class_or_one_for_each(target):
    np.testing.assert_array_equal(attributed(target=target).target, [1, 1, 1, 1])


@pytest.mark.parametrize(
    ("target", "kind", "told"),
    [
        (3, DataError, "target 3 is outside the classes 0..2"),
        (-1, DataError, "target -1 is outside the classes 0..2"),
        ([0, 1, 7, 0], DataError, "target 7 is outside the classes 0..2"),
        (1.0, DataError, "target must be class indices; got values of type float64"),
        ([0.0, 1.0, 2.0, 0.0], DataError, "class indices; got values of type float64"),
        ("coat", DataError, "target must be class indices; got values of type <U4"),
        (True, DataError, "target must be class indices; got values of type bool"),
        ([0, 1], ShapeError, r"one for each of 4 samples; got shape \(2,\)"),
        ([[0], [1], [2], [0]], ShapeError, r"one for each of 4 samples; got shape \(4, 1\)"),
    ],
)
def test_a_target_that_cannot_be_is_refused(target, kind, told):
    with pytest.raises(kind, match=told):
        attributed(target=target)


def test_a_method_or_an_option_that_there_is_not_is_refused():
    with pytest.raises(DataError, match=r"no method 'grad_camp'; there are gradient, .*grad_cam"):
        attributed("grad_camp")
    with pytest.raises(DataError, match="method 'gradient' has no option steps; it has none"):
        attributed(steps=5)
    with pytest.raises(DataError, match="no option size; it has upsample, max_units"):
        attributed("score_cam", size=5)


def test_options_are_told_with_those_by_default():
    def run(slice_, points, target, *, steps, seed):
        yield 0, 1
        return MethodResult(points.arrays, np.zeros(len(points)), gap=np.arange(4), note="Done.")

    method = Method("own", "Own", run, "", "", options=(Option("steps", 5), Option("seed", 0)))
    found = attributed(method, target=0, steps=7)
    assert found.options == {"steps": 7, "seed": 0}
    assert found.note == "Done."
    np.testing.assert_array_equal(found.gap, [0, 1, 2, 3])


def test_samples_whose_map_holds_no_number_are_told():
    x = np.tile(X, (3, 1))
    x[[0, 2, 5, 7, 9, 11], 0] = np.nan
    found = attributed("gradient_x_input", arrays=(x,), target=0)
    assert found.note == (
        "The map holds values that are not numbers for 6 of 12 samples (0, 2, 5, 7, 9, …)."
    )


def test_a_gradient_that_is_nowhere_a_number_is_refused():
    with pytest.raises(DataError, match="not a number anywhere: the input or a weight is NaN"):
        attributed(slice_=LinearSlice(np.full_like(LEFT, np.nan)), target=0)


def test_no_samples_give_no_maps():
    found = attributed(arrays=(X[:0],))
    assert found.values.shape == (0, 2)
    assert len(found) == 0


def test_every_method_says_what_it_is():
    assert [each.name for each in attribution_methods()] == [*METHODS]
    for method in attribution_methods():
        assert method.title
        assert method.tells.endswith(".")
        assert "arXiv" in method.source or "20" in method.source
        assert method.settings({}).keys() == {option.name for option in method.options}


def test_guided_backprop_says_that_it_is_no_reason_for_the_class():
    assert (
        "hardly depends on the class, nor on the weights" in method_named("guided_backprop").tells
    )


def test_a_sample_that_is_not_finite_is_told_where_its_map_hides_it():
    x = X.copy()
    x[1, 0], x[3, 1] = np.nan, np.inf
    found = attributed(arrays=(x,), target=0)
    assert np.isfinite(found.values).all()
    assert found.note.startswith("2 of 4 samples (1, 3) hold values that are not finite")


def test_shown_at_the_end_of_a_cell_it_is_one_line():
    assert repr(attributed(target=0)) == (
        "Attribution(4 samples, method='gradient', values of shape (4, 2), output='logit')"
    )
