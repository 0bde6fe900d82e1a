"""SmoothGrad, guided and not: the mean gradient over one draw of noise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy_slices import NumpySlice, attributed, begun, linear, points_of

from actwidgets.core.attribution.registry import attribution_steps, method_named
from actwidgets.errors import DataError

BOTH = pytest.mark.parametrize("method", ["smooth_grad", "guided_smooth_grad"])


def _square(shape=(3, 4), n_samples=5, **options):
    rng = np.random.default_rng(1)
    slice_ = NumpySlice(
        rng.normal(size=(2, *shape)),
        function=lambda x: x**2,
        slope=lambda x: 2 * x,
        guided_slope=lambda x: 2 * np.maximum(x, 0),
        **options,
    )
    return slice_, points_of(rng.normal(size=(n_samples, *shape)))


@given(n_samples=st.integers(1, 9), sigma=st.floats(0, 2), seed=st.integers(0, 9))
def test_of_a_linear_model_it_is_the_gradient(n_samples, sigma, seed):
    slice_, points, weights = linear()
    found = attributed(
        slice_, points, "smooth_grad", n_samples=n_samples, sigma=sigma, seed=seed, target=1
    )
    np.testing.assert_allclose(found.values, np.broadcast_to(weights[1], found.values.shape))


def test_without_noise_it_is_the_gradient_and_the_guided_one_the_guided_gradient():
    slice_, points = _square()
    plain = attributed(slice_, points, "smooth_grad", sigma=0)
    np.testing.assert_array_equal(plain.values, attributed(slice_, points, "gradient").values)
    guided = attributed(slice_, points, "guided_smooth_grad", sigma=0)
    expected = slice_.gradients(points.take([0]), np.zeros(1, int), guided=True)[1][0]
    np.testing.assert_allclose(guided.values[:1], expected, rtol=1e-6)
    assert (guided.values != plain.values).any()


def test_noise_has_the_standard_deviation_asked_for_in_each_sample():
    slice_, points = _square((400,), n_samples=3)
    x = points.arrays[0] * [[1.0], [10.0], [0.0]]
    moved = points_of(x)
    found = attributed(slice_, moved, "smooth_grad", n_samples=1, sigma=0.2)
    with np.errstate(divide="ignore", invalid="ignore"):
        noise = found.values / (2 * slice_._weights[0][0]) - x
    np.testing.assert_allclose(noise[:2].std(axis=1), 0.2 * np.ptp(x[:2], axis=1), rtol=0.1)
    np.testing.assert_allclose(noise[2], 0, atol=1e-6)  # a constant sample has no range


@pytest.mark.parametrize("shape", [(1,), (2, 3)])
def test_a_sample_of_one_value_gets_noise_by_its_size_and_one_of_zeros_is_told(shape):
    slice_ = NumpySlice(np.ones((1, *shape)), function=lambda x: x**2, slope=lambda x: 2 * x)
    x = np.stack([np.full(shape, -3.0), np.zeros(shape)])
    found = attributed(slice_, points_of(x), "smooth_grad", n_samples=2000, sigma=0.5)
    one = attributed(slice_, points_of(x[:1]), "smooth_grad", n_samples=1, sigma=0.5)
    assert not np.isclose(one.values, -6.0).any()
    np.testing.assert_allclose(found.values[0], -6.0, atol=0.4)
    assert "Input 'input_0' is all 0 in 1 of 2 samples" in found.note
    assert one.note == ""


def test_it_is_the_mean_over_the_copies_and_the_score_is_that_of_the_sample():
    slice_, points = _square(n_samples=2)
    many = attributed(slice_, points, "smooth_grad", n_samples=400, sigma=0.3)
    plain = attributed(slice_, points, "gradient")
    ranges = np.ptp(points.arrays[0], axis=(1, 2), keepdims=True)
    error = (many.values - plain.values) / (2 * slice_._weights[0][0] * 0.3 * ranges)
    assert np.abs(error * np.sqrt(400)).max() < 4.5  # standard errors
    assert np.abs(error * np.sqrt(400)).mean() > 0.3
    np.testing.assert_allclose(many.scores, plain.scores)


@BOTH
@pytest.mark.parametrize("batch_size", [1, 4, 1000])
def test_noise_is_the_same_whatever_the_batch_size(method, batch_size):
    expected = attributed(*_square(), method, n_samples=6)
    found = attributed(*_square(batch_size=batch_size), method, n_samples=6)
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-6)
    np.testing.assert_allclose(found.scores, expected.scores)


@BOTH
def test_noise_of_a_sample_does_not_depend_on_the_others(method):
    slice_, points = _square()
    together = attributed(slice_, points, method, n_samples=6)
    alone = attributed(slice_, points.take([3]), method, n_samples=6)
    np.testing.assert_allclose(alone.values[0], together.values[3], rtol=1e-6)


def test_another_seed_is_other_noise_and_the_same_seed_the_same():
    slice_, points = _square()
    one, again, other = (
        attributed(slice_, points, "smooth_grad", n_samples=3, seed=seed).values
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, again)
    assert not (one == other).any()


def test_inputs_have_noise_of_their_own():
    slice_ = NumpySlice(np.ones((1, 6)), np.ones((1, 6)), slope=lambda x: x)
    x = np.random.default_rng(0).normal(size=(2, 6))
    found = attributed(slice_, points_of(x, x), "smooth_grad", n_samples=2).values
    assert not (found["input_0"] == found["input_1"]).any()


def test_progress_is_told_before_every_batch():
    slice_, points, _ = linear(n_samples=3, batch_size=4)
    way = attribution_steps(slice_, points, method_named("smooth_grad"), 0, {"n_samples": 2})
    assert list(way) == [(0, 9), (4, 9), (8, 9)]


@BOTH
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_samples": 0}, "n_samples must be a whole number of at least 1; got 0"),
        ({"sigma": -0.1}, "sigma must be a finite number of at least 0; got -0.1"),
        ({"sigma": np.nan}, "sigma must be a finite number of at least 0; got nan"),
        ({"sigma": "0.1"}, "sigma must be a finite number"),
        ({"seed": -1}, "seed must be a whole number of at least 0; got -1"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_runs(method, options, words):
    slice_, points, _ = linear()
    with pytest.raises(DataError, match=words):
        begun(slice_, points, method, **options)
    assert slice_.batch_sizes == []
