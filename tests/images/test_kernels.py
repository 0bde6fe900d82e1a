import numpy as np
import pytest

from actwidgets.core.layers import LayerInfo
from actwidgets.errors import DataError, LayerError, ShapeError
from actwidgets.images.colormap import NAN_COLOR
from actwidgets.images.kernels import (
    as_kernels,
    dense_input_shape,
    kernel_colors,
    kernel_pictures,
    modes_of,
)


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


# --- dense inputs -------------------------------------------------------------------------


def _layers(*lines):
    return [
        LayerInfo(name, kind, (None, *shape), shape[-1] or 1, 0) for name, kind, *shape in lines
    ]


def _shape(n_inputs, *lines, picture=(), name="dense"):
    return dense_input_shape(_layers(*lines), name, n_inputs, picture)


DENSE = ("dense", "Dense", 10)
FLAT = ("flatten", "Flatten", 96)


def test_flattened_pictures_have_rows_columns_and_channels():
    flat = ("flatten", "Flatten", 784)
    assert _shape(784, flat, DENSE, picture=(28, 28)) == (28, 28, 1)
    color = ("flatten", "Flatten", 3072)
    assert _shape(3072, color, DENSE, picture=(32, 32)) == (32, 32, 3)


def test_vectors_that_are_pictures_need_no_flattening():
    assert _shape(784, DENSE, ("out", "Dense", 3), picture=(28, 28)) == (28, 28, 1)


def test_layers_that_keep_the_order_of_values_do_not_matter():
    lines = [
        ("scale", "Rescaling", 4, 6),
        ("flatten", "Flatten", 24),
        ("drop", "Dropout", 24),
        ("norm", "BatchNormalization", 24),
    ]
    assert _shape(24, *lines, DENSE, picture=(4, 6)) == (4, 6, 1)
    conv = ("conv", "Conv2D", 2, 4, 3)
    drop = ("drop", "SpatialDropout2D", 2, 4, 3)
    assert _shape(24, conv, drop, *lines[1:], DENSE) == (2, 4, 3)


@pytest.mark.parametrize("kind", ["Flatten", "Reshape"])
def test_flattened_maps_have_their_rows_columns_and_channels(kind):
    flat = ("flatten", kind, 96)
    assert _shape(96, ("pool", "MaxPooling2D", 4, 6, 4), flat, DENSE) == (4, 6, 4)
    assert _shape(96, ("conv", "Conv1D", 12, 8), flat, DENSE) == (1, 12, 8)
    assert _shape(96, ("conv", "Conv3D", 2, 3, 4, 4), flat, DENSE) == (2, 3, 4, 4)
    assert _shape(96, ("lstm", "LSTM", 12, 8), flat, DENSE, picture=(12, 8)) == (1, 12, 8)


def test_only_the_layer_right_behind_the_flattening_has_pictures():
    lines = [("conv", "Conv2D", 2, 4, 3), ("flatten", "Flatten", 24), DENSE, ("out", "Dense", 3)]
    assert _shape(24, *lines) == (2, 4, 3)
    assert _shape(10, *lines, name="out", picture=(2, 5)) is None
    same = [*lines[:2], ("dense", "Dense", 24), ("out", "Dense", 3)]
    assert _shape(24, *same, name="out") is None


def test_layers_of_a_sub_model_follow_what_lies_before_it():
    lines = [
        ("rescale", "Rescaling", 10, 12, 1),
        ("body", "Sequential", 96),
        ("body/conv", "Conv2D", 4, 6, 4),
        ("body/flatten", "Flatten", 96),
        ("drop", "Dropout", 96),
        DENSE,
    ]
    assert _shape(96, *lines) == (4, 6, 4)
    inner = [
        ("conv", "Conv2D", 4, 6, 4),
        ("head", "Sequential", 10),
        ("head/flatten", "Flatten", 96),
        ("head/dense", "Dense", 10),
    ]
    assert _shape(96, *inner, name="head/dense") == (4, 6, 4)


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([("conv", "Conv2D", 4, 6, 3), FLAT, DENSE], id="other number of values"),
        pytest.param([("conv", "Conv2D", None, None, 4), FLAT, DENSE], id="size not known"),
        pytest.param(
            [("conv", "Conv2D", 4, 6, 4), ("pool", "Mean", 96), DENSE], id="no flattening"
        ),
        pytest.param([("conv", "Conv2D", 4, 6, 4), FLAT, FLAT, DENSE], id="flattened twice"),
        pytest.param([("conv", "Conv2D", 4, 6, 4), DENSE], id="not flattened"),
        pytest.param([("a:1", "Split", 4, 6, 4), FLAT, DENSE], id="one of several outputs"),
        pytest.param(
            [("conv", "Conv2D", 4, 6, 4), FLAT, ("dense", "Dense", 4, 10)], id="over positions"
        ),
        pytest.param(
            [("conv", "Conv2D", 4, 6, 4), ("drop", "Dropout", 2, 12, 4), FLAT, DENSE],
            id="no chain",
        ),
        pytest.param([("conv", "Conv2D", 4, 6, 4), FLAT, ("dense", "EinsumDense", 10)], id="kind"),
        pytest.param([("conv", "Conv2D", 4, 6, 4), FLAT, ("other", "Dense", 10)], id="no layer"),
    ],
)
def test_in_doubt_there_is_no_shape(lines):
    assert _shape(96, *lines, picture=(7, 7)) is None


def test_channels_in_front_are_left_alone():
    first = LayerInfo("conv", "Conv2D", (None, 4, 4, 6), 4, 0, unit_axis=1)
    assert dense_input_shape([first, *_layers(FLAT, DENSE)], "dense", 96) is None


@pytest.mark.parametrize("picture", [(), (5, 5), (0, 4), (96,)])
def test_pictures_of_another_size_are_not_the_input(picture):
    assert _shape(96, FLAT, DENSE, picture=picture) is None


def test_where_ways_join_the_input_could_be_another_and_only_the_shape_of_all_maps_is_sure():
    join = ("join", "Concatenate", 20)
    assert _shape(64, DENSE, join, picture=(8, 8)) is None
    conv, pool = ("conv", "Conv2D", 4, 6, 4), ("pool", "MaxPooling2D", 4, 6, 4)
    other = ("other", "Conv2D", 2, 3, 16)
    assert _shape(96, conv, pool, FLAT, DENSE, join) == (4, 6, 4)
    assert _shape(96, other, pool, FLAT, DENSE) == (4, 6, 4)
    assert _shape(96, other, pool, FLAT, DENSE, join) is None
    assert _shape(96, other, FLAT, pool, ("again", "Flatten", 96), DENSE) is None


# --- kernels ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "given", "wanted"),
    [
        ("Dense", (7, 5), (1, 1, 7, 5)),
        ("Conv1D", (3, 2, 8), (1, 3, 2, 8)),
        ("Conv2D", (3, 4, 2, 8), (3, 4, 2, 8)),
        ("Conv3D", (2, 3, 4, 2, 8), (2, 3, 4, 2, 8)),
        ("Conv2DTranspose", (3, 4, 8, 2), (3, 4, 2, 8)),
        ("DepthwiseConv2D", (3, 4, 5, 2), (3, 4, 1, 10)),
        ("SeparableConv1D", (3, 5, 2), (1, 3, 1, 10)),
    ],
)
def test_every_kind_has_rows_columns_input_and_output_channels(kind, given, wanted):
    weights = np.arange(np.prod(given)).reshape(given)
    assert as_kernels(weights, kind).shape == wanted


def test_a_depthwise_unit_is_its_channel_times_the_multiplier():
    weights = np.arange(2 * 3).reshape(1, 1, 2, 3)  # channel 1, second of three: 1 * 3 + 1
    assert as_kernels(weights, "DepthwiseConv2D")[0, 0, 0, 4] == weights[0, 0, 1, 1]


def test_a_layer_without_kernels_is_refused():
    with pytest.raises(LayerError, match="layers of type LSTM have no kernels"):
        as_kernels(np.ones((3, 4)), "LSTM")
