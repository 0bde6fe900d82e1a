import io

import numpy as np
import pytest
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
from actwidgets.images.encode import ContactSheet, fit, palette_png, to_rgb

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
