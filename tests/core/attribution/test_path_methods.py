"""Integrated and interior gradients of models whose path integral is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy_slices import NumpySlice, attributed, begun, linear, points_of

from actwidgets.core.attribution.registry import attribution_steps, method_named
from actwidgets.errors import DataError, ShapeError

SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)


def _cubic(*weights, **options):
    return NumpySlice(
        *weights, function=lambda x: x**3, slope=lambda x: 3 * x**2, bias=0.7, **options
    )


def _kinked(shape=(3, 4), n_samples=4, **options):
    """max(x, 0.3): its slope jumps somewhere on the way."""
    rng = np.random.default_rng(2)
    slice_ = NumpySlice(
        rng.normal(size=(2, *shape)),
        function=lambda x: np.maximum(x, 0.3),
        slope=lambda x: (x > 0.3).astype(float),
        **options,
    )
    return slice_, points_of(rng.normal(size=(n_samples, *shape)))


def _sums(values, n_samples):
    values = values.values() if isinstance(values, dict) else [values]
    return sum(np.asarray(each, np.float64).reshape(n_samples, -1).sum(axis=1) for each in values)


@given(shape=SHAPES, seed=st.integers(0, 99))
def test_integrated_gradients_of_a_linear_model_are_exact(shape, seed):
    slice_, points, weights = linear(shape, seed=seed)
    found = attributed(slice_, points, "integrated_gradients", steps=1, baseline=0.25)
    expected = weights[0] * (points.arrays[0] - 0.25)
    np.testing.assert_allclose(found.values, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.gap, 0, atol=1e-9)


@pytest.mark.parametrize("n_samples", [1, 3])
def test_what_is_no_number_goes_along_with_every_step_of_its_sample(n_samples):
    slice_ = linear((2,), batch_size=4)[0]
    gradients, numbers = slice_.gradients, []

    def gradients_at(points, target):
        assert len(points.others[0]) == len(points.arrays[0])
        numbers.extend(points.others[0][:, 0])
        return gradients(points, target)

    slice_.gradients = gradients_at
    rows = np.arange(1, n_samples + 1)
    points = points_of(np.ones((n_samples, 2)) * rows[:, None], others=[rows[:, None]])
    attributed(slice_, points, "integrated_gradients", steps=5)
    assert numbers == np.repeat(rows, 7).tolist()


@pytest.mark.slow
@given(shape=SHAPES, seed=st.integers(0, 99), baseline=st.floats(-2, 2))
def test_integrated_gradients_of_a_cubic_model_are_its_path_integral(shape, seed, baseline):
    rng = np.random.default_rng(seed)
    weights, x = rng.normal(size=(2, *shape)), rng.normal(size=(3, *shape))
    found = attributed(
        _cubic(weights),
        points_of(x),
        "integrated_gradients",
        target=1,
        steps=200,
        tolerance=None,
        baseline=baseline,
    )
    expected = weights[1] * (x**3 - baseline**3)
    np.testing.assert_allclose(found.values, expected, rtol=1e-3, atol=1e-3)
    # What the midpoint rule misses of a cubic is known: (x - x')³ / (4 n²) of each value.
    missed = (weights[1] * (x - baseline) ** 3).reshape(3, -1).sum(axis=1) / (4 * 200**2)
    np.testing.assert_allclose(found.gap, -missed, rtol=1e-6, atol=1e-10)


def test_the_gap_is_the_sum_less_the_change_of_the_score():
    slice_, points = _kinked()
    found = attributed(slice_, points, "integrated_gradients", steps=3, tolerance=None)
    start = points.moved([np.zeros_like(points.arrays[0])])
    change = slice_.scores(points)[:, 0] - slice_.scores(start)[:, 0]
    np.testing.assert_allclose(found.gap, _sums(found.values, 4) - change, atol=1e-6)
    assert (np.abs(found.gap) > 1e-3).any()  # three steps do not meet the kinks
    np.testing.assert_allclose(found.scores, slice_.scores(points)[:, 0])


def test_only_samples_above_the_tolerance_are_refined_and_all_get_under_it():
    slice_, points = _kinked(n_samples=7)
    coarse = attributed(slice_, points, "integrated_gradients", steps=4, tolerance=None)
    asked_at_first = sum(slice_.batch_sizes)
    change = coarse.path.scores[:, -1] - coarse.path.scores[:, 0]
    is_open = np.abs(coarse.gap) > 0.05 * np.abs(change)
    assert 0 < is_open.sum() < 7
    slice_.batch_sizes.clear()
    fine = attributed(
        slice_, points, "integrated_gradients", steps=4, tolerance=0.05, max_steps=4 * 3**6
    )
    assert (np.abs(fine.gap) <= 0.05 * np.abs(change)).all()
    assert fine.note == ""
    np.testing.assert_array_equal(fine.values[~is_open], coarse.values[~is_open])
    assert not (fine.values[is_open] == coarse.values[is_open]).all(axis=(1, 2)).any()
    second_round = sum(slice_.batch_sizes) - asked_at_first
    assert second_round % 8 == 0  # of twelve steps four were known
    assert len(fine.path.alphas) == 4 + 2  # the grid that all samples have in common


def test_refined_steps_are_those_of_a_finer_grid():
    slice_, points = _kinked(n_samples=2)
    refined = attributed(slice_, points, "integrated_gradients", steps=5, tolerance=0, max_steps=45)
    whole = attributed(slice_, points, "integrated_gradients", steps=45, tolerance=None)
    np.testing.assert_allclose(refined.values, whole.values, rtol=1e-6)
    np.testing.assert_allclose(refined.path.alphas, whole.path.alphas, atol=1e-15)
    np.testing.assert_allclose(refined.path.scores, whole.path.scores, atol=1e-12)
    np.testing.assert_allclose(refined.path.gradient_norms, whole.path.gradient_norms)


def test_the_note_says_which_samples_stayed_above_the_tolerance():
    slice_, points = _kinked(n_samples=7)
    found = attributed(
        slice_, points, "integrated_gradients", steps=2, tolerance=1e-7, max_steps=20
    )
    assert "of 7 samples (0, 1, 2, 3, 4, …) the values' sum misses" in found.note
    assert "after 18 steps" in found.note
    exactly = attributed(slice_, points, "integrated_gradients", steps=2, tolerance=None)
    assert exactly.note == ""


def test_a_sample_at_its_baseline_gets_zeros_and_no_refining():
    slice_, points = _kinked(n_samples=1)
    found = attributed(slice_, points, "integrated_gradients", baseline=points.arrays[0])
    assert not found.values.any()
    assert found.gap == 0
    assert "For 1 of 1 samples the baseline is all of input 'input_0' itself" in found.note
    assert len(found.path.alphas) == 34


def test_a_number_of_steps_that_is_given_is_kept_and_what_it_misses_is_told():
    slice_, points = _kinked(n_samples=3)
    found = attributed(slice_, points, "integrated_gradients", steps=2)
    assert sum(slice_.batch_sizes) == 3 * (2 + 2)  # and the two ends
    assert found.n_steps.tolist() == [2, 2, 2]
    assert "misses the change of the score by more than 0.01 of it after the given 2" in found.note


def test_without_a_number_of_steps_the_tolerance_and_the_most_steps_bound_them():
    slice_, points = _kinked(n_samples=3)
    refined = attributed(slice_, points, "integrated_gradients")
    change = refined.path.scores[:, -1] - refined.path.scores[:, 0]
    assert (np.abs(refined.gap) <= 0.01 * np.abs(change)).all()
    assert refined.n_steps.max() > 32
    slice_.batch_sizes.clear()
    found = attributed(slice_, points, "integrated_gradients", max_steps=9, tolerance=1e-9)
    assert sum(slice_.batch_sizes) == 3 * (9 + 2)
    assert "after 9 steps" in found.note
    assert found.n_steps.tolist() == [9, 9, 9]


def test_what_rounding_leaves_is_no_reason_to_refine():
    slice_, points, _ = linear((40,))
    points = points.moved([points.arrays[0].astype(np.float32)])
    found = attributed(slice_, points, "integrated_gradients", tolerance=0)
    assert (found.gap != 0).any()
    assert (len(found.path.alphas), found.note) == (34, "")


def test_no_samples_give_no_values():
    slice_, points, _ = linear(n_samples=0)
    for method in ("integrated_gradients", "interior_gradients", "smooth_grad", "occlusion"):
        assert attributed(slice_, points, method).values.shape == (0, 4, 6, 3)


def test_a_path_meets_both_ends_and_tells_scores_and_norms_there():
    slice_, points, weights = linear((3,), n_samples=2)
    found = attributed(slice_, points, "integrated_gradients", steps=4, tolerance=None, target=1)
    np.testing.assert_allclose(found.path.alphas, [0, 1 / 8, 3 / 8, 5 / 8, 7 / 8, 1])
    full = points.arrays[0] @ weights[1]
    np.testing.assert_allclose(found.path.scores, full[:, None] * found.path.alphas, atol=1e-12)
    np.testing.assert_allclose(found.path.gradient_norms, np.linalg.norm(weights[1]))


def test_norms_run_over_all_inputs_and_each_has_its_values():
    slice_ = NumpySlice(np.full((1, 2), 3.0), np.full((1, 3), 4.0))
    points = points_of(np.ones((2, 2)), np.ones((2, 3)))
    found = attributed(slice_, points, "integrated_gradients", steps=1)
    np.testing.assert_allclose(found.path.gradient_norms, np.sqrt(2 * 9 + 3 * 16))
    assert {name: each.tolist() for name, each in found.values.items()} == {
        "input_0": [[3, 3]] * 2,
        "input_1": [[4, 4, 4]] * 2,
    }


@pytest.mark.parametrize(
    "baseline",
    [
        lambda x: 0.5,
        lambda x: np.full(x.shape[1:], 0.5),
        lambda x: np.full(x.shape, 0.5),
        lambda x: np.full((1, *x.shape[1:]), 0.5),
        lambda x: [np.full(x.shape[1:], 0.5)],
        lambda x: {"input_0": 0.5},
        lambda x: np.full(x.shape[1:], 0.5).tolist(),
    ],
)
def test_a_baseline_may_be_given_in_several_ways(baseline):
    slice_, points, weights = linear((2, 3))
    given = baseline(points.arrays[0])
    found = attributed(slice_, points, "integrated_gradients", baseline=given)
    np.testing.assert_allclose(found.values, weights[0] * (points.arrays[0] - 0.5), atol=1e-6)


def test_each_input_may_have_a_baseline_of_its_own():
    slice_ = NumpySlice(np.ones((1, 2)), np.ones((1, 3)))
    points = points_of(np.ones((2, 2)), np.ones((2, 3)))
    for baseline in ([None, 0.25], {"input_0": 0, "input_1": np.full(3, 0.25)}):
        found = attributed(slice_, points, "integrated_gradients", baseline=baseline)
        np.testing.assert_allclose(found.values["input_0"], 1)
        np.testing.assert_allclose(found.values["input_1"], 0.75)


def test_the_mean_and_the_blurred_sample_are_baselines():
    slice_, points, weights = linear((8, 8, 2))
    x = points.arrays[0]
    found = attributed(slice_, points, "integrated_gradients", baseline="mean")
    means = x.mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(found.values, weights[0] * (x - means), atol=1e-5)
    blurred = attributed(slice_, points, "integrated_gradients", baseline="blur")
    start = x - blurred.values / weights[0]
    np.testing.assert_allclose(start.mean(), x.mean(), atol=0.2)
    assert np.abs(np.diff(start, axis=1)).mean() < 0.5 * np.abs(np.diff(x, axis=1)).mean()


@given(alphas=st.lists(st.floats(0.01, 1), min_size=1, max_size=6))
def test_interior_gradients_are_the_sample_times_the_mean_gradient_over_the_alphas(alphas):
    rng = np.random.default_rng(0)
    weights, x = rng.normal(size=(2, 3)), rng.normal(size=(4, 3))
    found = attributed(_cubic(weights), points_of(x), "interior_gradients", alphas=alphas)
    expected = x * np.mean([3 * weights[0] * (alpha * x) ** 2 for alpha in alphas], axis=0)
    np.testing.assert_allclose(found.values, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found.path.alphas, alphas)
    scores = [0.7 + ((alpha * x) ** 3) @ weights[0] for alpha in alphas]
    np.testing.assert_allclose(found.path.scores, np.transpose(scores), atol=1e-12)
    change = (x**3) @ weights[0]
    np.testing.assert_allclose(found.gap, expected.sum(axis=1) - change, atol=1e-9)


def test_interior_gradients_at_the_sample_itself_are_gradient_x_input():
    slice_, points = _kinked()
    here = attributed(slice_, points, "interior_gradients", alphas=[1])
    there = attributed(slice_, points, "gradient_x_input")
    np.testing.assert_array_equal(here.values, there.values)


def test_interior_gradients_on_the_steps_of_integrated_gradients_are_these():
    slice_, points = _kinked()
    integrated = attributed(slice_, points, "integrated_gradients", steps=9, tolerance=None)
    interior = attributed(slice_, points, "interior_gradients", alphas=integrated.path.alphas[1:-1])
    np.testing.assert_allclose(interior.values, integrated.values, rtol=1e-6)
    np.testing.assert_allclose(interior.gap, integrated.gap, atol=1e-9)


def test_interior_gradients_go_up_to_the_sample_in_even_steps():
    slice_, points, _ = linear()
    found = attributed(slice_, points, "interior_gradients", steps=4)
    np.testing.assert_array_equal(found.path.alphas, [0.25, 0.5, 0.75, 1])


@pytest.mark.parametrize("method", ["integrated_gradients", "interior_gradients"])
@pytest.mark.parametrize("batch_size", [1, 3, 1000])
def test_the_batch_size_changes_nothing(method, batch_size):
    expected = attributed(*_kinked(), method, steps=6)
    found = attributed(*_kinked(batch_size=batch_size), method, steps=6)
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-6)
    np.testing.assert_allclose(found.path.scores, expected.path.scores, rtol=1e-12)


@pytest.mark.parametrize("method", ["integrated_gradients", "interior_gradients"])
def test_progress_is_told_before_every_batch(method):
    slice_, points, _ = linear(n_samples=3, batch_size=4)
    way = attribution_steps(slice_, points, method_named(method), 0, {"steps": 2})
    assert list(way) == [(0, 12), (4, 12), (8, 12)]


@pytest.mark.parametrize(
    ("method", "options", "words"),
    [
        ("integrated_gradients", {"steps": 0}, "steps must be a whole number of at least 1; got 0"),
        ("integrated_gradients", {"steps": -3}, "steps must be .* got -3"),
        ("integrated_gradients", {"steps": 2.5}, "steps must be a whole number .* got 2.5"),
        ("integrated_gradients", {"steps": True}, "steps must be a whole number .* got True"),
        (
            "integrated_gradients",
            {"steps": 64, "max_steps": 32, "tolerance": 0.1},
            "at least steps, which is 64",
        ),
        ("integrated_gradients", {"tolerance": -0.1}, "tolerance must be .* of at least 0"),
        ("integrated_gradients", {"baseline": "gray"}, '"mean" or "blur" or an array; got \'gray'),
        ("integrated_gradients", {"baseline": np.nan}, "baseline must be a finite number; got nan"),
        ("integrated_gradients", {"baseline": [[[np.inf] * 3] * 6] * 4}, "finite numbers only"),
        ("integrated_gradients", {"baseline": {"x": 0}}, "one entry for each of input_0; got x"),
        ("interior_gradients", {"steps": 0}, "steps must be a whole number of at least 1; got 0"),
        ("interior_gradients", {"alphas": [0.0, 0.5]}, "above 0 and at most 1; got 0 among"),
        ("interior_gradients", {"alphas": [0.5, 1.5]}, "above 0 and at most 1; got 1.5 among"),
        ("interior_gradients", {"alphas": [np.nan]}, "above 0 and at most 1; got nan among"),
        ("interior_gradients", {"alphas": []}, "must be a list of numbers"),
        ("interior_gradients", {"alphas": 0.5}, "must be a list of numbers"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_runs(method, options, words):
    slice_, points, _ = linear()
    with pytest.raises(DataError, match=words):
        begun(slice_, points, method, **options)
    assert slice_.batch_sizes == []


def test_a_baseline_of_another_shape_is_refused():
    slice_, points, _ = linear()
    with pytest.raises(ShapeError, match=r"shape of a sample \(4, 6, 3\) or of all .* got \(4, 6"):
        begun(slice_, points, "integrated_gradients", baseline=np.zeros((4, 6)))
    both = points_of(np.ones((2, 2)), np.ones((2, 3)))
    two = NumpySlice(np.ones((1, 2)), np.ones((1, 3)))
    with pytest.raises(ShapeError, match="one array for each of input_0, input_1"):
        begun(two, both, "integrated_gradients", baseline=np.zeros(2))
    with pytest.raises(ShapeError, match="one entry for each of input_0, input_1; got 3"):
        begun(two, both, "integrated_gradients", baseline=[0, 0, 0])
