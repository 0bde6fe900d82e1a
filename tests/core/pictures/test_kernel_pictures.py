import numpy as np
import pytest

from actwidgets.errors import DataError, LayerError, ShapeError
from actwidgets.images.colormap import NAN_COLOR
from actwidgets.images.kernels import kernel_colors, kernel_pictures, modes_of


@pytest.fixture
def kernels():
    return np.random.default_rng(0).normal(size=(3, 5, 4, 6)).astype(np.float32)


def test_there_is_a_picture_for_each_channel_and_unit(kernels):
    pictures = kernel_pictures(kernels)
    assert pictures.shape == (4, 3, 5, 6)
    assert pictures.dtype == np.float32
    np.testing.assert_array_equal(pictures[2, :, :, 5], kernels[:, :, 2, 5])


def test_the_average_is_numpys_mean_over_input_channels(kernels):
    pictures = kernel_pictures(kernels, "average")
    np.testing.assert_array_equal(pictures, np.mean(kernels, axis=2)[None])
    alone = kernel_pictures(kernels[:, :, :1], "average")
    np.testing.assert_array_equal(alone, kernel_pictures(kernels[:, :, :1]))


def test_the_channels_of_rgb_are_the_weights_themselves(kernels):
    np.testing.assert_array_equal(
        kernel_pictures(kernels[:, :, :3], "RGB"), np.moveaxis(kernels[:, :, :3], 2, 0)
    )
    with pytest.raises(LayerError, match="RGB needs three input channels; these kernels have 4"):
        kernel_pictures(kernels, "RGB")


def test_volumes_keep_their_depth():
    kernels = np.arange(2 * 3 * 4 * 5 * 6.0).reshape(2, 3, 4, 5, 6)
    pictures = kernel_pictures(kernels)
    assert pictures.shape == (5, 2, 3, 4, 6)
    np.testing.assert_array_equal(pictures[3, 1, :, :, 2], kernels[1, :, :, 3, 2])
    assert kernel_pictures(kernels, "average").shape == (1, 2, 3, 4, 6)


def test_dense_weights_of_a_picture_are_rows_and_columns():
    weights = np.random.default_rng(1).normal(size=(784, 10))
    pictures = kernel_pictures(weights[None, None], input_shape=(28, 28))
    assert pictures.shape == (1, 28, 28, 10)
    np.testing.assert_array_equal(np.moveaxis(pictures[0], -1, 0), weights.T.reshape(10, 28, 28))


def test_dense_weights_behind_a_flattened_map_are_a_picture_for_each_channel():
    weights = np.random.default_rng(1).normal(size=(4 * 5 * 6, 7))
    pictures = kernel_pictures(weights[None, None], input_shape=(4, 5, 6))
    assert pictures.shape == (6, 4, 5, 7)
    maps = np.random.default_rng(2).normal(size=(4, 5, 6))  # row by row, as Flatten takes it
    sums = np.einsum("rci,ircu->u", maps, pictures)
    np.testing.assert_allclose(sums, maps.reshape(-1) @ weights)
    volumes = kernel_pictures(weights[None, None], input_shape=(2, 2, 5, 6))
    assert volumes.shape == (6, 2, 2, 5, 7)


def test_what_was_given_stays_as_it_was(kernels):
    before = kernels.copy()
    for mode in ("each channel", "average", "RGB"):
        kernel_colors(kernel_pictures(kernels[:, :, :3], mode)[[0, 0, 0]])
    np.testing.assert_array_equal(kernels, before)


@pytest.mark.parametrize(
    ("shape", "options", "error", "words"),
    [
        ((3, 3, 4), {}, ShapeError, r"in_channel, out_channel\); got shape \(3, 3, 4\)"),
        ((3, 3, 4, 5), {"mode": "mean"}, DataError, "no mode 'mean'; there are each channel, av"),
        ((1, 1, 12, 5), {"input_shape": (3, 5)}, ShapeError, r"\(3, 5\) is not .* of the 12 inp"),
        ((1, 1, 12, 5), {"input_shape": (12,)}, ShapeError, r"\(12,\) is not"),
        ((3, 4, 12, 5), {"input_shape": (3, 4)}, ShapeError, "for dense weights"),
    ],
)
def test_what_does_not_fit_is_refused(shape, options, error, words):
    with pytest.raises(error, match=words):
        kernel_pictures(np.ones(shape), **options)


@pytest.mark.parametrize(
    ("n_channels", "modes"),
    [
        (1, ("each channel",)),
        (2, ("each channel", "average")),
        (3, ("each channel", "average", "RGB")),
        (64, ("each channel", "average")),
    ],
)
def test_modes_that_would_show_the_same_are_not_offered(n_channels, modes):
    assert modes_of(n_channels) == modes


# --- colors -----------------------------------------------------------------------------


def _of(*weights):
    return np.array(weights, float).reshape(3, 1, 1, -1)


def test_colors_are_the_weights_mapped_linearly_with_gray_at_zero(kernels):
    pictures = kernel_pictures(kernels[:, :, :3], "RGB").astype(np.float64)
    colors = kernel_colors(pictures)
    reach = np.abs(pictures).max()
    wanted = (np.moveaxis(pictures, 0, -1) + reach) / (2 * reach) * 255
    assert colors.shape == (3, 5, 6, 3)
    assert colors.dtype == np.uint8
    np.testing.assert_allclose(colors, wanted, atol=0.5 + 1e-6)
    assert (colors == 0).any() or (colors == 255).any()


def test_zero_is_gray_and_the_ends_are_black_and_full():
    assert kernel_colors(_of(-2, 0, 2)).ravel().tolist() == [0, 128, 255]
    assert kernel_colors(_of(0, 0, 0)).ravel().tolist() == [128, 128, 128]


def test_a_range_given_holds_for_a_part_and_what_is_beyond_is_clipped():
    assert kernel_colors(_of(-1, 9, 1), reach=2.0).ravel().tolist() == [64, 255, 191]


def test_a_weight_that_is_not_finite_has_its_own_color_and_moves_no_scale():
    colors = kernel_colors(_of((1, 1, 1), (0, np.nan, np.inf), (-1, 0, 0)))
    assert colors[0, 0].tolist() == [[255, 128, 0], list(NAN_COLOR), list(NAN_COLOR)]
    lost = kernel_colors(_of(np.nan, np.nan, np.nan))
    assert lost.ravel().tolist() == list(NAN_COLOR)


def test_enormous_and_tiny_weights_are_mapped_alike():
    for scale in (1e-300, 1e300):
        assert kernel_colors(_of(-scale, 0, scale)).ravel().tolist() == [0, 128, 255]


def test_volumes_have_colors_and_no_units_have_none():
    assert kernel_colors(np.ones((3, 2, 4, 5, 6))).shape == (2, 4, 5, 6, 3)
    assert kernel_colors(np.ones((3, 4, 5, 0))).shape == (4, 5, 0, 3)
    with pytest.raises(ShapeError, match="three channels"):
        kernel_colors(np.ones((4, 2, 2, 1)))
