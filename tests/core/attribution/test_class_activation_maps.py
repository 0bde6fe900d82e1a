"""Class activation maps of a net whose gradients are known: means of maps, and weights."""

import numpy as np
import pytest
from pooled_slice import PooledSlice

from actwidgets.core.attribution.base import Inputs
from actwidgets.core.attribution.cam import interpolation, unit_weights, upsampled
from actwidgets.core.attribution.registry import attribution_steps, finished, method_named
from actwidgets.errors import DataError, LayerError, ShapeError

RNG = np.random.default_rng(5)
X = RNG.normal(size=(3, 4, 6, 2))
MIX = RNG.normal(size=(2, 5))
WEIGHTS = RNG.normal(size=(5, 3))
POINTS = Inputs((X,), ("x",))
N_POSITIONS = 2 * 3


def attributed(method, slice_=None, points=POINTS, target=None, **options):
    slice_ = slice_ or PooledSlice(MIX, WEIGHTS)
    return finished(attribution_steps(slice_, points, method_named(method), target, options))


def test_grad_cam_of_pooled_maps_is_cam_over_the_number_of_positions():
    slice_ = PooledSlice(MIX, WEIGHTS)
    found = attributed("grad_cam", slice_, target=[0, 1, 2], upsample=False)
    cam = np.einsum("nrck,nk->nrc", slice_.maps(POINTS), WEIGHTS.T)
    np.testing.assert_allclose(found.values, np.maximum(cam, 0) / N_POSITIONS, rtol=1e-6)
    assert (found.layer, found.method) == ("conv", "grad_cam")
    assert np.isnan(found.gap).all()


def test_grad_cam_plus_plus_of_pooled_maps_has_a_closed_form():
    # g = w / Z everywhere, so alpha = 1 / (2 + sum(A) w / Z) = 1 / (2 + w mean(A)), and the
    # weight of a unit is Z alpha max(w, 0) / Z.
    slice_ = PooledSlice(MIX, WEIGHTS)
    found = attributed("grad_cam_plus_plus", slice_, target=[2, 0, 1], upsample=False)
    maps, chosen = slice_.maps(POINTS), WEIGHTS.T[[2, 0, 1]]
    weights = np.maximum(chosen, 0) / (2 + chosen * maps.mean(axis=(1, 2)))
    wanted = np.maximum(np.einsum("nrck,nk->nrc", maps, weights), 0)
    np.testing.assert_allclose(found.values, wanted, rtol=1e-6)


def test_weights_of_grad_cam_plus_plus_where_gradients_differ_by_place():
    maps = np.array([[[1.0], [3.0]]])
    gradients = np.array([[[0.5], [-1.0]]])
    # sum(A) = 4: alpha = 0.25 / (2 * 0.25 + 4 * 0.125) = 1/4; the second place falls.
    np.testing.assert_allclose(unit_weights(maps, gradients), [[0.25 * 0.5]])


def test_a_denominator_of_zero_gives_no_weight():
    np.testing.assert_array_equal(unit_weights(np.array([[[-2.0]]]), np.array([[[1.0]]])), [[0]])
    np.testing.assert_array_equal(unit_weights(np.array([[[0.0]]]), np.array([[[0.0]]])), [[0]])


def _score_cam_by_hand(slice_, points, target, maps):
    """One map after the other, as the paper defines it."""
    wanted = np.zeros(maps.shape[:-1])
    for sample, chosen in enumerate(target):
        one = points.take([sample])
        blank = slice_.scores(one.moved([0 * one.arrays[0]]), "probability")[0, chosen]
        for unit in range(maps.shape[-1]):
            mask = upsampled(maps[sample : sample + 1, ..., unit], X.shape[1:3])[0]
            if np.ptp(mask) == 0:
                continue
            mask = (mask - mask.min()) / np.ptp(mask)
            masked = one.moved([one.arrays[0] * mask[:, :, None]])
            raised = slice_.scores(masked, "probability")[0, chosen] - blank
            wanted[sample] += raised * maps[sample, ..., unit]
    return np.maximum(wanted, 0)


def test_score_cam_is_the_sum_of_maps_by_their_increase_of_confidence():
    slice_ = PooledSlice(MIX, WEIGHTS)
    found = attributed("score_cam", slice_, target=[0, 1, 2], upsample=False)
    wanted = _score_cam_by_hand(slice_, POINTS, [0, 1, 2], slice_.maps(POINTS))
    np.testing.assert_allclose(found.values, wanted, rtol=1e-5, atol=1e-9)
    assert wanted.max() > 0


@pytest.mark.parametrize("batch_size", [1, 2, 7, 100])
def test_score_cam_is_the_same_in_chunks_of_any_size(batch_size):
    slice_ = PooledSlice(MIX, WEIGHTS, batch_size)
    found = attributed("score_cam", slice_)
    np.testing.assert_allclose(found.values, attributed("score_cam").values, rtol=1e-6)
    assert max(slice_.batches) <= max(batch_size, len(X))


class _OneFlat(PooledSlice):
    """The second unit is the same everywhere, high or not."""

    level = 0.0

    def maps(self, points):
        maps = super().maps(points)
        maps[..., 1] = self.level
        return maps


@pytest.mark.parametrize("level", [0.0, 9.0])
def test_a_flat_map_scores_nothing(level):
    class Slice(_OneFlat):
        pass

    Slice.level = level
    slice_, others = Slice(MIX, WEIGHTS), [0, 2, 3, 4]
    found = attributed("score_cam", slice_, target=0, upsample=False)
    maps = slice_.maps(POINTS)
    wanted = _score_cam_by_hand(slice_, POINTS, [0, 0, 0], maps[..., others])
    np.testing.assert_allclose(found.values, wanted, rtol=1e-5, atol=1e-9)
    n_flat = (np.ptp(maps, axis=(1, 2)) == 0).sum()
    run = attributed("score_cam", (watched := Slice(MIX, WEIGHTS)), target=0)
    assert sum(watched.batches) == 2 * len(run) + maps[:, 0, 0].size - n_flat  # none is run


def test_score_cam_scores_probabilities_whatever_is_asked_for():
    slice_ = PooledSlice(MIX, WEIGHTS)
    slice_.output = "probability"
    found = attributed("score_cam", slice_, target=1)
    np.testing.assert_array_equal(found.values, attributed("score_cam", target=1).values)
    np.testing.assert_allclose(found.scores, slice_.scores(POINTS)[:, 1])


def test_score_cam_of_few_units_says_so():
    slice_ = PooledSlice(MIX, WEIGHTS)
    found = attributed("score_cam", slice_, target=0, upsample=False, max_units=2)
    assert found.note == "2 of 5 units, those with the highest values, were looked at."
    maps = slice_.maps(POINTS)
    for sample in range(3):
        highest = np.argsort(maps[sample].max(axis=(0, 1)))[-2:]
        kept = np.zeros_like(maps[sample : sample + 1])
        kept[..., highest] = maps[sample : sample + 1][..., highest]
        wanted = _score_cam_by_hand(slice_, POINTS.take([sample]), [0], kept)
        np.testing.assert_allclose(found.values[sample], wanted[0], rtol=1e-5, atol=1e-9)
    assert attributed("score_cam", max_units=5).note == ""


@pytest.mark.parametrize("max_units", [0, -1, 2.5, "all"])
def test_a_number_of_units_that_cannot_be_is_refused(max_units):
    with pytest.raises(DataError, match="max_units must be a whole number above zero"):
        attributed("score_cam", max_units=max_units)


def test_score_cam_tells_how_far_it_is_before_each_batch():
    slice_ = PooledSlice(MIX, WEIGHTS, batch_size=4)
    steps = attribution_steps(slice_, POINTS, method_named("score_cam"))
    told = [*steps]
    telling = (np.ptp(slice_.maps(POINTS), axis=(1, 2)) > 0).sum()
    n_batches = -(-telling // 4)
    assert told[0] == (0, 1)
    assert told[1:] == [(done, n_batches + 1) for done in range(1, n_batches + 1)]


@pytest.mark.parametrize("method", ["grad_cam", "grad_cam_plus_plus", "score_cam"])
def test_maps_are_brought_to_the_size_of_the_input_and_none_is_below_zero(method):
    small = attributed(method, target=1, upsample=False).values
    large = attributed(method, target=1).values
    assert small.shape == (3, 2, 3)
    assert large.shape == (3, 4, 6)
    np.testing.assert_allclose(large, upsampled(small, [4, 6]), rtol=1e-5, atol=1e-7)
    assert small.min() >= 0
    assert small.max() > 0
    assert not method_named(method).signed


class _Guided(PooledSlice):
    def gradients(self, points, target, *, guided=False):
        assert guided
        return np.zeros(len(points)), tuple(np.ones_like(each) for each in points.arrays)


def test_guided_grad_cam_is_the_guided_gradient_times_the_map():
    found = attributed("guided_grad_cam", _Guided(MIX, WEIGHTS), target=1).values
    wanted = attributed("grad_cam", target=1).values
    assert found.shape == X.shape
    np.testing.assert_allclose(found, np.repeat(wanted[..., None], 2, axis=-1))


# --- over which inputs -------------------------------------------------------------------

GRAY = RNG.normal(size=(3, 8, 12))
TURNED = RNG.normal(size=(3, 2, 12, 8))
FACTS = RNG.normal(size=(3, 7))
SEVERAL = Inputs((X, FACTS, GRAY, TURNED), ("x", "facts", "gray", "turned"))
AXES = {"x": (1, 2), "gray": (1, 2), "turned": (3, 2)}  # of the last, columns come before rows


@pytest.mark.parametrize("method", ["grad_cam", "score_cam"])
def test_there_is_a_map_for_each_input_that_it_lies_over(method):
    found = attributed(method, PooledSlice(MIX, WEIGHTS, axes=AXES), SEVERAL, target=0).values
    assert {name: each.shape for name, each in found.items()} == {
        "x": (3, 4, 6),
        "gray": (3, 8, 12),
        "turned": (3, 12, 8),
    }
    np.testing.assert_allclose(found["turned"], found["gray"].swapaxes(1, 2), rtol=1e-5)


def test_a_product_has_the_axes_of_each_input():
    slice_ = _Guided(MIX, WEIGHTS, axes=AXES)
    found = attributed("guided_grad_cam", slice_, SEVERAL, target=0).values
    assert [*found] == ["x", "gray", "turned"]
    plain = attributed("grad_cam", slice_, SEVERAL, target=0).values
    np.testing.assert_allclose(found["turned"], np.stack([plain["turned"]] * 2, axis=1))


def test_score_cam_hides_every_input_that_the_map_lies_over_and_no_other():
    seen = []

    class Seeing(PooledSlice):
        def scores(self, points, output=None):
            seen.append(points)
            return super().scores(points, output)

    attributed("score_cam", Seeing(MIX, WEIGHTS, axes=AXES), SEVERAL, target=0)
    blank, masked = seen[1], seen[2]
    assert not any(blank.arrays[place].any() for place in (0, 2, 3))
    np.testing.assert_array_equal(blank.arrays[1], FACTS)
    assert masked.arrays[1][0].tolist() == FACTS[0].tolist()
    share = masked.arrays[2][0] / GRAY[0]
    assert (share.min(), share.max()) == (0, pytest.approx(1))
    np.testing.assert_allclose(masked.arrays[3][0, 1] / TURNED[0, 1], share.T, atol=1e-12)


def test_without_upsampling_there_is_one_map_however_many_inputs_there_are():
    slice_ = PooledSlice(MIX, WEIGHTS, axes=AXES)
    found = attributed("grad_cam", slice_, SEVERAL, target=0, upsample=False)
    assert found.values.shape == (3, 2, 3)


@pytest.mark.parametrize(
    ("method", "advice"),
    [
        ("grad_cam", "ask for upsample=False"),
        ("grad_cam_plus_plus", "ask for upsample=False"),
        ("score_cam", "name another layer"),
        ("guided_grad_cam", "name another layer"),
    ],
)
def test_a_layer_whose_maps_lie_over_no_input_is_refused(method, advice):
    slice_ = PooledSlice(MIX, WEIGHTS, axes={})
    with pytest.raises(LayerError, match=f"layer 'conv' lie over no input.*{advice}"):
        attributed(method, slice_, target=0)
    assert slice_.batches == []  # before anything is run


@pytest.mark.parametrize("upsample", [True, False])
@pytest.mark.parametrize("method", ["grad_cam", "grad_cam_plus_plus", "score_cam"])
def test_a_layer_without_positions_is_refused_before_anything_is_run(method, upsample):
    class Vector(PooledSlice):
        def position_axes(self):
            raise LayerError("no spatial axes")

    slice_ = Vector(MIX, WEIGHTS)
    with pytest.raises(LayerError, match="no spatial axes"):
        attributed(method, slice_, target=0, upsample=upsample)
    assert slice_.batches == []


def test_its_own_maps_can_still_be_had():
    slice_ = PooledSlice(MIX, WEIGHTS, axes={})
    assert attributed("grad_cam", slice_, upsample=False).values.shape == (3, 2, 3)


# --- odd values --------------------------------------------------------------------------


def test_a_map_that_is_not_a_number_stays_none_and_is_told():
    x = X.copy()
    x[1, 0, 0, 0] = np.nan
    points = Inputs((x,), ("x",))
    for method in ("grad_cam", "grad_cam_plus_plus", "score_cam"):
        found = attributed(method, points=points, target=0, upsample=False)
        assert np.isnan(found.values[1, 0, 0])
        assert np.isfinite(found.values[[0, 2]]).all()
        assert found.note == "The map holds values that are not numbers for 1 of 3 samples (1)."


def test_no_samples_give_no_maps():
    for method in ("grad_cam", "grad_cam_plus_plus", "score_cam"):
        found = attributed(method, points=POINTS.take(np.arange(0)), target=0)
        assert found.values.shape == (0, 4, 6)


def test_halves_are_added_up_in_single_precision():
    class Halves(PooledSlice):
        def map_gradients(self, points, target):
            score, maps, gradients = super().map_gradients(points, target)
            return score, maps.astype(np.float16), gradients.astype(np.float16)

    slice_ = Halves(1000 * MIX, WEIGHTS)
    found = attributed("grad_cam", slice_, target=0, upsample=False)
    _, maps, gradients = slice_.map_gradients(POINTS, np.zeros(3, int))
    weights = gradients.astype(float).mean(axis=(1, 2))
    wanted = np.maximum(np.einsum("nrck,nk->nrc", maps.astype(float), weights), 0)
    np.testing.assert_allclose(found.values, wanted, rtol=1e-5)


def test_score_cam_tells_of_samples_in_which_every_map_is_flat():
    flat = np.concatenate([np.ones_like(X[:1]), X[1:]])
    found = attributed("score_cam", points=Inputs((flat,), ("x",)))
    assert not found.values[0].any()
    assert "For 1 of 3 samples every map of the layer is the same at all places" in found.note


# --- upsampling ---------------------------------------------------------------------------


def test_two_places_become_four():
    # The middles of four quarters lie at -1/4, 1/4, 3/4 and 5/4 of the way between two middles.
    found = upsampled(np.array([[0.0, 4.0]]), [4])
    np.testing.assert_array_equal(found, [[0, 1, 3, 4]])


def test_four_places_become_two_without_smoothing():
    np.testing.assert_array_equal(upsampled(np.array([[0.0, 4.0, 8.0, 0.0]]), [2]), [[2, 4]])


def test_a_ramp_stays_one_between_the_first_and_the_last_middle():
    found = upsampled(np.arange(3.0)[None], [12])[0]
    np.testing.assert_allclose(found[2:-2], (np.arange(2, 10) + 0.5) / 4 - 0.5)
    np.testing.assert_allclose(found[[0, 1, -2, -1]], [0, 0, 2, 2])


@pytest.mark.parametrize(("n_given", "n_wanted"), [(1, 5), (5, 1), (3, 7), (7, 3), (4, 4)])
def test_shares_sum_to_one(n_given, n_wanted):
    shares = interpolation(n_given, n_wanted)
    assert shares.shape == (n_wanted, n_given)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert shares.min() >= 0


def test_each_axis_is_brought_to_its_own_size():
    maps = np.add.outer(10 * np.arange(2.0), np.arange(3.0))[None]
    found = upsampled(maps, [4, 3])
    assert found.shape == (1, 4, 3)
    np.testing.assert_array_equal(found[0, :, 0], [0, 2.5, 7.5, 10])
    np.testing.assert_array_equal(found[0, 0], [0, 1, 2])


def test_axes_behind_the_positions_stay_as_they_are():
    maps = np.random.default_rng(0).random((2, 3, 4, 5)).astype(np.float32)
    found = upsampled(maps, [6, 8])
    assert (found.shape, found.dtype) == ((2, 6, 8, 5), np.float32)
    for unit in range(5):
        np.testing.assert_allclose(found[..., unit], upsampled(maps[..., unit], [6, 8]), rtol=1e-6)


def test_volumes_and_maps_of_one_place():
    assert upsampled(np.ones((2, 2, 3, 4)), [4, 3, 8]).shape == (2, 4, 3, 8)
    np.testing.assert_array_equal(upsampled(np.array([[[7.0]]]), [2, 3]), np.full((1, 2, 3), 7))


def test_what_cannot_be_is_refused():
    with pytest.raises(ShapeError, match=r"\(2, 3\) have no 2 position axes"):
        upsampled(np.ones((2, 3)), [4, 4])
    with pytest.raises(ShapeError, match="0 places to 4"):
        upsampled(np.ones((2, 0)), [4])
