"""The randomization check, on a model of which it is known what its weights do to the map."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy_slices import NumpySlice, linear, points_of

from actwidgets.core.attribution.evaluation import (
    RandomizationCheck,
    map_similarity,
    randomization_steps,
)
from actwidgets.core.attribution.registry import finished, method_named
from actwidgets.errors import DataError, ModelError

SHAPE = (12, 12, 2)


class RandomSlice(NumpySlice):
    """Each layer that is randomized draws the weights anew; `kept` of them stay."""

    fixed = ()

    def __init__(self, weights, stages=("top", "bottom"), kept=0.0):
        super().__init__(weights)
        self.stages, self._trained, self._kept = stages, weights, kept
        self.told, self._weights = [], [np.full_like(weights, np.nan)]

    def reset(self):
        self.told.append("reset")
        self._weights = [self._trained]

    def randomize(self, layer):
        self.told.append(layer)
        drawn = np.random.default_rng(len(self.told)).normal(size=self._trained.shape)
        self._weights = [self._kept * self._trained + (1 - self._kept) * drawn]


def _checked(kept, method="gradient", **options):
    slice_, points, weights = linear(SHAPE)
    random = RandomSlice(weights, kept=kept)
    found = finished(randomization_steps(slice_, random, points, method_named(method), **options))
    return found, random


def test_a_map_that_follows_the_weights_is_sensitive():
    found, random = _checked(kept=0)
    assert random.told == ["reset", "top", "bottom"]
    assert found.stages == ("", "top", "bottom")
    np.testing.assert_array_equal(found.similarity[0], 1)
    assert found.similarity.shape == (3, 5)
    assert found.similarity[1:].max() < 0.3
    assert not found.insensitive
    assert "random weights in layer 'top' the map changes, as it should" in found.sentence


def test_nothing_is_said_of_a_map_where_the_random_weights_reach_no_score():
    found, _ = _checked(kept=1)
    np.testing.assert_array_equal(found.reached, [True, False, False])
    assert not found.insensitive
    assert "Random weights in layer 'top' change no score of these samples" in found.sentence


def test_layers_whose_weights_stay_are_named_and_refused_where_there_are_no_others():
    slice_, points, weights = linear(SHAPE)
    random = RandomSlice(weights)
    random.fixed = ("layer 'saved' (TFSMLayer)",)
    found = finished(randomization_steps(slice_, random, points, method_named("gradient")))
    assert "layer 'saved' (TFSMLayer) cannot be exchanged: they stayed" in found.sentence
    random.stages = ()
    with pytest.raises(ModelError, match=r"the weights of layer 'saved' .* cannot be exchanged"):
        finished(randomization_steps(slice_, random, points, method_named("gradient")))


def test_a_map_that_stays_as_it_was_is_insensitive_and_the_sentence_says_so():
    found, _ = _checked(kept=0.8)
    assert 0.9 < found.similarity[1].mean() < 0.995
    assert found.insensitive
    assert "'top' the map hardly changes (similarity 0.9" in found.sentence
    assert "it shows the input more than what the model has learned" in found.sentence


def test_it_is_the_layer_nearest_to_the_output_that_tells():
    similarity = np.array([[1.0, 1], [0.2, 0.3], [0.9, 0.9]])
    assert not RandomizationCheck("m", ("", "top", "low"), similarity, np.zeros(2)).insensitive
    similarity[1] = 0.8, np.nan
    assert RandomizationCheck("m", ("", "top", "low"), similarity, np.zeros(2)).insensitive
    similarity[1] = np.nan
    unknown = RandomizationCheck("m", ("", "top", "low"), similarity, np.zeros(2))
    assert not unknown.insensitive
    assert "cannot be compared" in unknown.sentence


def test_the_class_stays_that_of_the_model():
    slice_, points, weights = linear(SHAPE, n_targets=6)
    found = finished(
        randomization_steps(slice_, RandomSlice(weights), points, method_named("gradient"))
    )
    np.testing.assert_array_equal(found.target, slice_.scores(points).argmax(axis=1))
    # With the classes that the random model would predict, stage 0 would not be 1 for all.
    opposite = RandomSlice(weights)
    opposite.scores = lambda points, output=None: -NumpySlice.scores(opposite, points, output)
    again = finished(randomization_steps(slice_, opposite, points, method_named("gradient")))
    np.testing.assert_array_equal(again.similarity[0], 1)


def test_the_uppermost_layers_alone_may_be_checked():
    found, random = _checked(kept=0, n_layers=1)
    assert (found.stages, random.told) == (("", "top"), ["reset", "top"])
    with pytest.raises(DataError, match="n_layers must be a whole number of at least 1; got 0"):
        _checked(kept=0, n_layers=0)


def test_progress_runs_over_all_stages():
    slice_, points, weights = linear(SHAPE)
    steps = randomization_steps(slice_, RandomSlice(weights), points, method_named("gradient"))
    assert list(steps) == [(0, 4), (1, 4), (2, 4), (3, 4)]


def test_a_model_without_weights_is_refused():
    slice_, points, weights = linear(SHAPE)
    with pytest.raises(ModelError, match="no layer of this model has a matrix of weights"):
        next(
            randomization_steps(slice_, RandomSlice(weights, ()), points, method_named("gradient"))
        )


def test_several_inputs_are_compared_one_by_one():
    weights = [np.random.default_rng(place).normal(size=(2, 9)) for place in range(2)]
    slice_, random = NumpySlice(*weights), NumpySlice(*weights)
    random.stages, random.fixed, random.reset = ("half",), (), lambda: None
    random.randomize = lambda layer: random._weights.__setitem__(0, weights[0][:, ::-1] ** 2)
    points = points_of(np.ones((3, 9)), np.ones((3, 9)))
    found = finished(randomization_steps(slice_, random, points, method_named("gradient"), 0))
    one = map_similarity(weights[0][:1], weights[0][:1, ::-1] ** 2, 1)
    np.testing.assert_allclose(found.similarity[1], (one[0] + 1) / 2)


# --- how alike two maps look ------------------------------------------------------------


def _maps(seed, shape=(3, 12, 16)):
    return np.random.default_rng(seed).normal(size=shape)


@given(factor=st.floats(0.1, 10), sign=st.sampled_from([-1, 1]))
def test_scale_and_sign_make_no_difference(factor, sign):
    one = _maps(0)
    np.testing.assert_allclose(map_similarity(one, sign * factor * one, 2), 1, atol=1e-9)


def test_equal_maps_are_alike_unrelated_ones_are_not_and_noisy_ones_lie_between():
    one, other = _maps(0), _maps(1)
    assert (map_similarity(one, one, 2) == 1).all()
    assert np.abs(map_similarity(one, other, 2)).max() < 0.3
    between = map_similarity(one, one + 0.3 * other, 2)
    assert ((between > 0.6) & (between < 0.97)).all()
    np.testing.assert_allclose(map_similarity(one, other, 2), map_similarity(other, one, 2))


def test_structural_similarity_by_hand():
    """Vectors have one window: (2ab + c)(2cov + d) / ((a² + b² + c)(var + var + d))."""
    one, other = np.array([[0, 1, 0, 1.0]]), np.array([[0, 1, 1, 1.0]])
    a, b, c, d = 0.5, 0.75, 1e-4, 9e-4
    covariance, variances = 0.5 - a * b, (0.5 - a * a) + (0.75 - b * b)
    by_hand = (2 * a * b + c) * (2 * covariance + d) / ((a * a + b * b + c) * (variances + d))
    np.testing.assert_allclose(map_similarity(one, other, 1), by_hand)


def test_channels_are_summed_in_size():
    one = np.stack([_maps(0), _maps(1)], axis=-1)
    flipped = one[..., ::-1] * [1, -1]
    np.testing.assert_allclose(map_similarity(one, flipped, 2), 1, atol=1e-9)
    assert (map_similarity(one, one[..., :1] * [1, 0], 2) < 0.95).all()


def test_a_flat_map_is_like_a_flat_one_alone_and_nan_like_none():
    one, flat = _maps(0), np.zeros((3, 12, 16))
    assert map_similarity(flat, flat, 2).tolist() == [1, 1, 1]
    assert np.isnan(map_similarity(flat, flat + 1, 2)).all()  # there is nothing to compare
    assert map_similarity(one, flat, 2).tolist() == [0, 0, 0]
    broken = one.copy()
    broken[1, 2, 3] = np.nan
    assert np.isnan(map_similarity(one, broken, 2)).tolist() == [False, True, False]
    assert np.isnan(map_similarity(broken, one, 2)).tolist() == [False, True, False]


def test_lines_and_volumes_can_be_compared():
    for shape in ((2, 30), (2, 30, 4), (2, 6, 6, 6), (2, 8, 1, 3)):
        one = _maps(0, shape)
        n_places = max(len(shape) - 2, 1)
        np.testing.assert_allclose(map_similarity(one, -2 * one, n_places), 1, atol=1e-9)
