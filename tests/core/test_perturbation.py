"""What each perturbation does to pixels, beside a plain way of doing it."""

import numpy as np
import pytest
from scipy import ndimage

from actwidgets.core.perturbation import UNDISTURBED, Perturbation, patch_between, perturb
from actwidgets.errors import DataError, ShapeError

RNG = np.random.default_rng(7)
SHAPES = [(1, 9, 9, 1), (3, 6, 10, 3), (2, 11, 4, 1), (1, 1, 1, 1)]
ALL = Perturbation(0.1, 1.2, 0.1, 0.7, 20, 1.5, -2, (1, 1, 2, 3))


def _images(shape=(2, 8, 8, 3), dtype=np.float64):
    return RNG.random(shape).astype(dtype)


# --- nothing done ------------------------------------------------------------------------


def test_without_a_perturbation_the_images_themselves_come_back():
    images = _images()
    for neutral in (UNDISTURBED, Perturbation(seed=3), Perturbation(patch_value=1.0)):
        assert neutral.is_identity
        assert perturb(images, neutral, 0, 1) is images


@pytest.mark.parametrize("name", ["brightness", "noise", "blur", "rotation", "shift_down"])
def test_whatever_is_set_changes_something(name):
    one = Perturbation(**{name: 0.5})
    assert not one.is_identity
    assert not np.array_equal(perturb(_images(), one, 0, 1), _images())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, np.int16, bool])
def test_shape_and_dtype_stay_and_the_images_are_not_written_to(shape, dtype):
    images = (_images(shape) * (255 if dtype in (np.uint8, np.int16) else 1)).astype(dtype)
    before = images.copy()
    found = perturb(images, ALL, 0, 255 if dtype in (np.uint8, np.int16) else 1)
    assert (found.shape, found.dtype) == (shape, np.dtype(dtype))
    np.testing.assert_array_equal(images, before)


# --- light and noise ---------------------------------------------------------------------


def test_brightness_adds_a_share_of_the_range():
    images = _images() * 4 - 2
    found = perturb(images, Perturbation(brightness=0.25), -2, 2)
    np.testing.assert_allclose(found, np.minimum(images + 1, 2))
    found = perturb(images, Perturbation(brightness=-0.25), -2, 2)
    np.testing.assert_allclose(found, np.maximum(images - 1, -2))


def test_contrast_stretches_about_the_middle_of_the_range():
    images = np.array([-2.0, -1.0, 0.0, 0.5, 2.0]).reshape(1, 1, 5, 1)
    found = perturb(images, Perturbation(contrast=3), -2, 2)
    assert found.ravel().tolist() == [-2.0, -2.0, 0.0, 1.5, 2.0]
    assert not perturb(images, Perturbation(contrast=0), -2, 2).any()  # gray all over
    shifted = perturb(images + 5, Perturbation(contrast=0.5), 3, 7)
    assert shifted.ravel().tolist() == [4.0, 4.5, 5.0, 5.25, 6.0]


def test_contrast_comes_before_brightness():
    found = perturb(np.full((1, 1, 1, 1), 0.6), Perturbation(contrast=2, brightness=0.1), 0, 1)
    assert found.item() == pytest.approx(0.8)  # not 0.5 + 2 * (0.7 - 0.5)


def test_whole_numbers_are_rounded_and_kept_in_their_range():
    images = np.array([0, 100, 101, 250], np.uint8).reshape(1, 1, 4, 1)
    found = perturb(images, Perturbation(brightness=0.1), 0, 255)  # by 25.5
    assert found.ravel().tolist() == [26, 126, 126, 255]  # halves to the even one


def test_of_true_and_false_what_is_above_a_half_is_true():
    images = np.array([True, False, False, False]).reshape(1, 1, 4, 1)
    found = perturb(images, Perturbation(shift_right=0.4), 0, 1)
    assert found.ravel().tolist() == [True, False, False, False]  # 1, 0.4, 0, 0


def test_noise_has_the_standard_deviation_asked_for_and_a_seed():
    images = np.full((1, 200, 300, 1), 5.0)
    found = perturb(images, Perturbation(noise=0.05), 0, 10) - images
    assert found.std() == pytest.approx(0.5, rel=0.02)
    assert abs(found.mean()) < 0.01
    again = perturb(images, Perturbation(noise=0.05), 0, 10) - images
    np.testing.assert_array_equal(found, again)
    other = perturb(images, Perturbation(noise=0.05, seed=1), 0, 10) - images
    assert abs(np.corrcoef(found.ravel(), other.ravel())[0, 1]) < 0.02
    twice = perturb(images, Perturbation(noise=0.1), 0, 10) - images
    np.testing.assert_allclose(twice, 2 * found)  # a slider brings out the same grain


def test_every_sample_has_the_noise_that_it_has_alone():
    images = np.full((4, 5, 6, 2), 0.5)
    together = perturb(images, Perturbation(noise=0.1), 0, 1)
    alone = perturb(images[2:3], Perturbation(noise=0.1), 0, 1)
    np.testing.assert_array_equal(together[2:3], alone)


def test_images_of_one_value_have_no_range_to_brighten():
    images = np.full((1, 4, 4, 1), 3.0)
    found = perturb(images, Perturbation(brightness=0.5, noise=0.5, contrast=0), 3, 3)
    np.testing.assert_array_equal(found, images)


# --- blur --------------------------------------------------------------------------------


def test_blur_is_a_gaussian_of_so_many_pixels_in_space_only():
    images = _images((2, 12, 9, 3))
    found = perturb(images, Perturbation(blur=1.3), 0, 1)
    for sample in range(2):
        for channel in range(3):
            wanted = ndimage.gaussian_filter(images[sample, :, :, channel], 1.3, mode="nearest")
            np.testing.assert_allclose(found[sample, :, :, channel], wanted)


def test_blur_spreads_a_spot_and_loses_nothing_of_it():
    images = np.zeros((1, 41, 41, 1))
    images[0, 20, 20] = 1
    found = perturb(images, Perturbation(blur=2), 0, 1)[0, :, :, 0]
    assert found.sum() == pytest.approx(1)
    rows = np.arange(41) - 20
    assert (found.sum(axis=1) * rows**2).sum() == pytest.approx(4, rel=0.01)  # the variance


# --- position ----------------------------------------------------------------------------


@pytest.mark.parametrize("side", [1, 6, 7])
def test_a_quarter_turn_is_numpys_and_counter_clockwise(side):
    images = _images((2, side, side, 3))
    for quarters in (1, 2, 3, -1):
        found = perturb(images, Perturbation(rotation=90 * quarters), 0, 1)
        np.testing.assert_array_equal(found, np.rot90(images, quarters, axes=(1, 2)))


def test_four_quarter_turns_are_none():
    images = found = _images((1, 5, 5, 1))
    for _ in range(4):
        found = perturb(found, Perturbation(rotation=90), 0, 1)
    np.testing.assert_array_equal(found, images)
    np.testing.assert_array_equal(perturb(images, Perturbation(rotation=360), 0, 1), images)


def test_a_half_turn_of_a_picture_that_is_not_square():
    images = _images((1, 4, 7, 1))
    found = perturb(images, Perturbation(rotation=180), 0, 1)
    np.testing.assert_array_equal(found, images[:, ::-1, ::-1])


def test_turning_is_about_the_middle_and_between_pixels_it_is_bilinear():
    images = _images((1, 9, 9, 1))
    found = perturb(images, Perturbation(rotation=33), 0, 1)
    assert found[0, 4, 4, 0] == pytest.approx(images[0, 4, 4, 0])
    wanted = ndimage.rotate(images[0, :, :, 0], 33, reshape=False, order=1, mode="nearest")
    np.testing.assert_allclose(found[0, :, :, 0], wanted, atol=1e-7)


@pytest.mark.parametrize(("down", "right"), [(2, 0), (-1, 0), (0, 3), (0, -2), (1, -4), (50, 0)])
def test_a_shift_by_whole_pixels_repeats_the_edge(down, right):
    images = _images((2, 6, 9, 3))
    rows = np.clip(np.arange(6) - down, 0, 5)
    columns = np.clip(np.arange(9) - right, 0, 8)
    found = perturb(images, Perturbation(shift_down=down, shift_right=right), 0, 1)
    np.testing.assert_array_equal(found, images[:, rows][:, :, columns])


def test_half_a_pixel_is_the_mean_of_two():
    images = _images((1, 3, 4, 1))
    found = perturb(images, Perturbation(shift_right=0.5), 0, 1)
    np.testing.assert_allclose(found[:, :, 1:], (images[:, :, 1:] + images[:, :, :-1]) / 2)


def test_what_is_turned_is_shifted_afterwards():
    images = _images((1, 7, 7, 1))
    found = perturb(images, Perturbation(rotation=90, shift_down=2), 0, 1)
    turned = np.rot90(images, axes=(1, 2))
    np.testing.assert_array_equal(found[:, 2:], turned[:, :-2])


# --- the patch ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "patch",
    [
        *((0, 0, 1, 1), (2, 3, 2, 4), (0, 0, 6, 9)),
        *(
            (-2, -1, 4, 3),
            (4, 7, 10, 10),
            (-5, 2, 5, 3),
            (-9, 2, 4, 3),
            (2, -13, 3, 4),
            (6, 0, 2, 2),
            (0, 9, 3, 3),
        ),
    ],
)
def test_a_patch_hides_its_pixels_and_no_other(patch):
    images = _images((2, 6, 9, 3)) * 4 - 2
    found = perturb(images, Perturbation(patch=patch, patch_value=0.25), -2, 2)
    top, left, height, width = patch
    for row in range(6):
        for column in range(9):
            inside = top <= row < top + height and left <= column < left + width
            wanted = -1.0 if inside else images[:, row, column]
            np.testing.assert_array_equal(found[:, row, column], np.broadcast_to(wanted, (2, 3)))


def test_the_patch_lies_over_everything_else():
    found = perturb(_images((2, 6, 9, 3)), ALL, 0, 1)
    assert (found[:, 1:3, 1:4] == 0.5).all()


def test_beside_the_patch_values_outside_the_range_stay():
    images = np.array([-9.0, 0.5, 9.0]).reshape(1, 1, 3, 1)
    found = perturb(images, Perturbation(patch=(0, 1, 1, 1), patch_value=1), 0, 1)
    assert found.ravel().tolist() == [-9.0, 1.0, 9.0]
    lit = perturb(images, Perturbation(brightness=0.1), 0, 1)
    assert lit.ravel().tolist() == [0.0, 0.6, 1.0]


def test_a_rectangle_becomes_whole_pixels_within_the_picture():
    assert patch_between((1.6, 4.4), (0.4, 2.6), (6, 9)) == (2, 0, 3, 2)
    assert patch_between((4.4, 1.6), (2.6, 0.4), (6, 9)) == (2, 0, 3, 2)
    assert patch_between((2.2, 2.3), (8.9, 9.0), (6, 9)) == (2, 8, 1, 1)
    assert patch_between((-3, 20), (-3, 20), (6, 9)) == (0, 0, 6, 9)


def test_a_rectangle_that_is_moved_keeps_its_size():
    for start in np.linspace(0, 3, 61):
        assert patch_between((start, start + 3), (start, start + 2.4), (9, 9))[2:] == (3, 2)


# --- not a number ------------------------------------------------------------------------


def test_a_pixel_that_is_not_a_number_stays_one_and_in_its_sample():
    images = np.zeros((2, 7, 7, 1))
    images[1, 2, 3] = np.nan
    for one, wanted in [
        (Perturbation(brightness=0.1, contrast=2, noise=0.1), {(2, 3)}),
        (Perturbation(shift_down=1, shift_right=-2), {(3, 1)}),
        (Perturbation(rotation=90), {(3, 2)}),
        (Perturbation(shift_down=0.5), {(2, 3), (3, 3)}),
        (Perturbation(patch=(1, 2, 3, 3)), set()),
    ]:
        found = np.isnan(perturb(images, one, 0, 1))[..., 0]
        assert not found[0].any()
        assert {(int(row), int(column)) for row, column in np.argwhere(found[1])} == wanted


def test_a_pixel_that_is_not_a_number_is_not_taken_where_it_has_no_share():
    images = np.zeros((1, 7, 7, 1))
    images[0, 3, 4] = images[0, 4, 3] = np.nan  # beside the middle, which stays in its place
    found = np.isnan(perturb(images, Perturbation(rotation=45), 0, 1))[0, :, :, 0]
    assert found.any()
    assert not found[3, 3]


@pytest.mark.filterwarnings("error")
def test_infinities_end_at_the_range_without_a_warning():
    images = np.array([-np.inf, 0.5, np.inf]).reshape(1, 1, 3, 1)
    found = perturb(images, Perturbation(brightness=0.1), 0, 1)
    assert found.ravel().tolist() == [0.0, 0.6, 1.0]
    moved = perturb(images, Perturbation(shift_right=1), 0, 1)
    assert moved.ravel().tolist() == [-np.inf, -np.inf, 0.5]


# --- refusals and equality ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"brightness": np.nan}, "brightness must be a finite number; got nan"),
        ({"rotation": np.inf}, "rotation must be a finite"),
        ({"blur": "much"}, "blur must be a number; got 'much'"),
        ({"contrast": -0.1}, "contrast must be 0 or more; got -0.1"),
        ({"noise": -1}, "noise must be 0 or more"),
        ({"blur": -1}, "blur must be 0 or more"),
        ({"patch_value": 1.5}, r"patch_value must be in 0\.\.1; got 1.5"),
        ({"patch": (0, 0, 0, 3)}, "a pixel or more"),
        ({"patch": (0, 0, 3)}, "whole pixels"),
        ({"patch": (0.5, 0, 3, 3)}, "whole pixels"),
        ({"patch": 4}, "whole pixels; got 4"),
        ({"seed": -1}, "seed must be a whole number of 0 or more; got -1"),
        ({"seed": 0.5}, "seed must be a whole number"),
    ],
)
def test_what_cannot_be_done_is_refused(given, words):
    with pytest.raises(DataError, match=words):
        Perturbation(**given)


def test_images_without_a_channel_axis_are_refused():
    with pytest.raises(ShapeError, match="images needs 4 axes"):
        perturb(np.zeros((2, 4, 4)), ALL, 0, 1)


def test_equal_perturbations_are_one_key_whatever_their_numbers_came_from():
    one = Perturbation(brightness=np.float64(0.5), patch=np.array([1, 2, 3, 4]), seed=np.int64(2))
    other = Perturbation(brightness=0.5, patch=[1, 2, 3, 4], seed=2)
    assert one == other
    assert {one: "kept"}[other] == "kept"
    assert repr(one) == repr(other)
