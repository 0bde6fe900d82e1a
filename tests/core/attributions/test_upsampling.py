import numpy as np
import pytest

from actwidgets.core.attribution.cam import interpolation, upsampled
from actwidgets.errors import ShapeError


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
