import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from actwidgets.errors import DataError, ShapeError
from actwidgets.images.colormap import (
    FRAME_COLOR,
    GAP,
    NAMES,
    NAN,
    NAN_COLOR,
    TOP,
    ValueRange,
    color_codes,
    palette,
    value_range,
)
from actwidgets.images.encode import (
    ContactSheet,
    fit,
    is_image,
    palette_png,
    rgb_png,
    rgba_png,
    text_pictures,
    to_rgb,
)


def _decoded(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ((None, 4, 6), True),
        ((None, 4, 6, 1), True),
        ((None, 4, 6, 3), True),
        ((None, 4, 6, 4), True),
        ((None, 4, 6, 2), False),
        ((None, 784), False),
        ((None, 2, 4, 6, 3), False),
    ],
)
def test_images_are_told_from_other_samples(shape, wanted):
    assert is_image(shape) is wanted


def test_three_channels_are_red_green_and_blue():
    pixel = np.array([0.0, 0.5, 1.0]).reshape(1, 1, 1, 3)
    assert to_rgb(pixel, 0, 1).ravel().tolist() == [0, 128, 255]


def test_of_four_channels_the_fourth_is_not_shown():
    pixel = np.array([0.0, 0.5, 1.0, 0.25]).reshape(1, 1, 1, 4)
    assert to_rgb(pixel, 0, 1).ravel().tolist() == [0, 128, 255]


@pytest.mark.parametrize("values", [[0.2, 0.6], [0.0, 0.2, 0.4, 0.6, 0.8]])
def test_other_numbers_of_channels_are_shown_as_their_mean(values):
    pixel = np.array(values).reshape(1, 1, 1, -1)
    assert to_rgb(pixel, 0, 1).ravel().tolist() == [102] * 3  # 0.4 of 255


def test_a_vector_is_a_row_of_gray_pixels():
    found = to_rgb([[0, 2, 4]], 0, 4)
    assert found.shape == (1, 1, 3, 3)
    assert found[0, 0].tolist() == [[0] * 3, [128] * 3, [255] * 3]


def test_an_image_that_is_not_square_keeps_rows_and_columns():
    image = np.zeros((1, 4, 6))
    image[0, 1, 5] = 1
    assert np.argwhere(to_rgb(image, 0, 1)[0, ..., 0]).tolist() == [[1, 5]]


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16, np.float64])
def test_every_dtype_is_shown_and_left_alone(dtype):
    given_ = np.array([0, 1], dtype).reshape(1, 1, 2, 1)[:, :, ::-1]
    given_.flags.writeable = False
    assert to_rgb(given_, 0, 1)[0, 0, :, 0].tolist() == [255, 0]


def test_a_constant_image_is_black_and_none_are_none():
    assert not to_rgb(np.full((1, 2, 3, 1), 7.0), 7, 7).any()
    assert to_rgb(np.zeros((0, 4, 6, 3)), 0, 1).shape == (0, 4, 6, 3)


def test_infinite_pixels_are_black_both_ways():
    assert to_rgb(np.array([[np.inf, -np.inf, 1.0]]), 0, 1)[0, 0, :, 0].tolist() == [0, 0, 255]


def test_a_small_picture_is_enlarged_by_whole_pixels():
    """4x6 in a box of 20x20: three times, 12x18, with 4 rows above and 1 column before."""
    picture = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
    box = fit(picture, 20, 20)
    shown = box[4:16, 1:19, :3]
    np.testing.assert_array_equal(shown, picture.repeat(3, axis=0).repeat(3, axis=1))
    assert box[4:16, 1:19, 3].all()
    assert (box[..., 3] > 0).sum() == 12 * 18


def test_a_large_picture_is_averaged():
    picture = np.zeros((8, 12, 3), np.uint8)
    picture[::2] = 100  # every other row
    box = fit(picture, 4, 6)
    assert (box[..., :3] == 50).all()
    assert (box[..., 3] == 255).all()


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 70), st.integers(1, 70))
@settings(deadline=None)
def test_a_picture_of_any_size_fits_any_box_in_its_proportions(rows, columns, height, width):
    box = fit(np.full((rows, columns, 3), 9, np.uint8), height, width)
    assert box.shape == (height, width, 4)
    shown = box[..., 3] > 0
    new_rows, new_columns = shown.any(axis=1).sum(), shown.any(axis=0).sum()
    assert shown.sum() == new_rows * new_columns
    scale = min(height / rows, width / columns)
    scale = int(scale) if scale >= 2 else scale
    assert new_rows == max(1, round(rows * scale))
    assert new_columns == max(1, round(columns * scale))
    top, left = shown.any(axis=1).argmax(), shown.any(axis=0).argmax()
    assert 0 <= height - new_rows - 2 * top <= 1, "in the middle"
    assert 0 <= width - new_columns - 2 * left <= 1, "in the middle"


@pytest.mark.parametrize("name", NAMES)
def test_a_browser_sees_the_color_of_every_code_and_no_gap(name):
    codes = np.arange(256, dtype=np.uint8).reshape(8, 32)
    pixels = _decoded(palette_png(codes, palette(name))).reshape(256, 4)
    np.testing.assert_array_equal(pixels[:GAP, :3], palette(name)[:GAP])
    assert (pixels[:GAP, 3] == 255).all()
    assert pixels[GAP, 3] == 0


def test_codes_that_lie_backward_in_memory_are_encoded_as_they_read():
    codes = np.arange(12, dtype=np.uint8).reshape(3, 4)[::-1, ::2].T
    codes.flags.writeable = False
    pixels = _decoded(palette_png(codes, palette("gray")))
    np.testing.assert_array_equal(pixels[..., :3], palette("gray")[codes])


def test_a_png_of_pixels_holds_them():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 4), dtype=np.uint8)
    np.testing.assert_array_equal(_decoded(rgba_png(pixels[:, ::-1])), pixels[:, ::-1])


@pytest.mark.parametrize("alike", [(), (0, 1), (1, 2), (0, 2), (0, 1, 2)])
def test_a_png_without_alpha_is_what_was_given_whichever_channels_are_alike(alike):
    """Where all are, it is a gray one."""
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)
    pixels[..., alike] = pixels[..., list(alike[:1])]
    png = rgb_png(pixels)
    np.testing.assert_array_equal(_decoded(png)[..., :3], pixels)
    assert Image.open(io.BytesIO(png)).mode == ("L" if len(alike) == 3 else "RGB")


SHEET = ContactSheet(3, 2, picture_px=10, cell_width_px=18, cell_height_px=30)


def test_a_sheet_is_as_large_as_its_cells():
    assert (SHEET.height_px, SHEET.width_px) == (60, 54)
    assert SHEET.row_edges.tolist() == [0, 30, 60]
    assert SHEET.column_edges.tolist() == [0, 18, 36, 54]


def test_pictures_lie_row_by_row_in_their_cells():
    pictures = [np.full((10, 10, 3), 10 * (k + 1), np.uint8) for k in range(5)]
    sheet = SHEET.compose(pictures, [0] * 5)
    for place, (row, column) in enumerate([(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]):
        top, left = row * 30 + 4, column * 18 + 4
        assert (sheet[top : top + 10, left : left + 10, 0] == 10 * (place + 1)).all()
    assert (sheet[..., 3] > 0).sum() == 5 * 100


def test_a_frame_is_as_wide_as_asked_and_leaves_a_line_free():
    sheet = SHEET.compose([np.zeros((10, 10, 3), np.uint8)], [2])
    line = sheet[9, :18]  # through the middle of the picture at 4 to 14
    framed = [x for x in range(18) if tuple(line[x]) == (*FRAME_COLOR, 255)]
    assert framed == [1, 2, 15, 16]
    assert [x for x in range(18) if not line[x, 3]] == [0, 3, 14, 17]


def test_an_empty_sheet_is_transparent():
    assert not SHEET.compose([], []).any()
    assert not SHEET.compose([None] * 6, [3] * 6).any()


def test_texts_are_written_out():
    pictures = text_pictures(["red coat", b"blue shirt", ""])
    assert pictures.shape == (3, 60, 60, 3)
    assert (pictures[2] == 255).all()
    assert (pictures[:2] < 128).any(axis=(1, 2, 3)).all()
    assert (pictures[0] != pictures[1]).any()


# --- colour codes -------------------------------------------------------------------------


MAPS = np.array([[[[0.0, 10.0], [4.0, 10.0]], [[8.0, 10.0], [2.0, 10.0]]]], np.float32)


def test_one_scale_for_all_maps():
    codes = color_codes(MAPS, value_range(MAPS, "per layer"))
    assert codes[0, :, :, 0].tolist() == [[0, 100], [199, 50]]
    assert (codes[..., 1] == TOP).all()


def test_a_scale_for_each_map_makes_a_constant_map_dark():
    span = value_range(MAPS, "per map")
    codes = color_codes(MAPS, span)
    assert codes[0, :, :, 0].tolist() == [[0, 125], [TOP, 62]]
    assert (codes[..., 1] == 0).all()
    assert str(span) == "each map on its own scale"


def test_a_symmetric_scale_puts_zero_in_the_middle():
    maps = np.array([-2.0, 0.0, 1.0]).reshape(1, 1, 3, 1)
    span = value_range(maps, "symmetric")
    assert (span.low, span.high) == (-2, 2)
    assert color_codes(maps, span).ravel().tolist() == [0, 125, 187]


@pytest.mark.parametrize("lost", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("normalize", ["per layer", "per map", "symmetric"])
def test_what_is_not_finite_has_a_code_of_its_own_and_moves_no_scale(lost, normalize):
    maps = MAPS.copy()
    maps[0, 0, 0, 1] = lost
    codes = color_codes(maps, value_range(maps, normalize))
    assert codes[0, 0, 0, 1] == NAN
    wanted = color_codes(MAPS, value_range(MAPS, normalize))
    np.testing.assert_array_equal(np.delete(codes.ravel(), 1), np.delete(wanted.ravel(), 1))


def test_nothing_but_nan_is_no_error():
    maps = np.full((1, 2, 2, 1), np.nan)
    assert (color_codes(maps, value_range(maps, "per map")) == NAN).all()
    assert value_range(maps, "per layer") == ValueRange(0, 0)


def test_an_unknown_scale_is_refused():
    with pytest.raises(DataError, match="there are per layer, per map, symmetric"):
        value_range(MAPS, "by eye")


@pytest.mark.parametrize("name", NAMES)
def test_a_palette_has_the_same_meanings_in_every_map(name):
    colors = palette(name)
    assert colors.shape == (256, 3)
    assert tuple(colors[NAN]) == NAN_COLOR
    assert len({tuple(color) for color in colors[: TOP + 1]}) > 200
    with pytest.raises(ValueError, match="read-only"):
        colors[0] = 1


def test_the_ends_of_the_gray_map_are_black_and_white():
    assert palette("gray")[[0, TOP]].tolist() == [[0, 0, 0], [255, 255, 255]]
    with pytest.raises(DataError, match="there are viridis"):
        palette("jet")


def test_the_png_has_the_palettes_colors_and_nothing_in_the_gaps():
    codes = np.array([[0, 100, TOP], [NAN, GAP, 7]], np.uint8)
    png = palette_png(codes, palette("viridis"))
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))
    assert pixels.shape == (2, 3, 4)
    np.testing.assert_array_equal(pixels[0, :, :3], palette("viridis")[codes[0]])
    assert pixels[..., 3].tolist() == [[255, 255, 255], [255, 0, 255]]


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ((2, 4, 6, 1), (2, 4, 6, 3)),
        ((2, 4, 6, 3), (2, 4, 6, 3)),
        ((2, 4, 6, 4), (2, 4, 6, 3)),
        ((2, 4, 6, 7), (2, 4, 6, 3)),
        ((2, 4, 6), (2, 4, 6, 3)),
        ((2, 5), (2, 1, 5, 3)),
    ],
)
def test_samples_of_every_kind_become_colors(shape, wanted):
    assert to_rgb(np.zeros(shape), 0, 1).shape == wanted


def test_black_is_low_white_is_high_and_nan_is_black():
    samples = np.array([0.0, 0.5, 1.0, np.nan, 9.0]).reshape(1, 1, 5, 1)
    assert to_rgb(samples, 0, 1)[0, 0, :, 0].tolist() == [0, 128, 255, 0, 255]
    assert to_rgb(np.array([[[[0], [255]]]], np.uint8), 0, 255)[0, 0, :, 0].tolist() == [0, 255]


def test_a_picture_keeps_its_proportions_in_the_middle_of_its_box():
    pixels = np.full((4, 6, 3), 200, np.uint8)
    box = fit(pixels, 20, 20)
    rows, columns = np.nonzero(box[..., 3])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 15, 1, 18)
    assert fit(np.full((40, 60, 3), 200, np.uint8), 20, 20)[..., 3].any(axis=1).sum() == 13


def test_a_contact_sheet_frames_what_is_chosen_and_leaves_places_empty():
    sheet = ContactSheet(2, 1, picture_px=10, cell_width_px=18, cell_height_px=30)
    picture = np.full((5, 5, 3), 9, np.uint8)
    pixels = sheet.compose([picture, None], [2, 0])
    assert pixels.shape == (30, 36, 4)
    assert (pixels[4:14, 4:14, :3] == 9).all()
    assert tuple(pixels[1, 1]) == (*FRAME_COLOR, 255)
    assert not pixels[:, 18:].any()


def test_a_frame_of_a_wrong_number_of_pictures_is_refused():
    with pytest.raises(ValueError, match="zip"):
        ContactSheet(2, 1).compose([None], [0, 0])
    assert issubclass(ShapeError, ValueError)
