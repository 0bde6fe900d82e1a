import pytest

from actwidgets.core.layers import LayerInfo
from actwidgets.images.kernels import dense_input_shape


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
