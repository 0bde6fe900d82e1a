"""Maps of a layer as one picture."""

import io

import numpy as np
import pytest
from PIL import Image

from actwidgets.errors import DataError, ShapeError
from actwidgets.images.colormap import GAP, NAN, TOP, palette
from actwidgets.images.tile_grid import map_sheet


def tile(sheet, sample, unit):
    """The pixels of one tile, by counting from the upper left corner."""
    mosaic = sheet.mosaic
    row, column = divmod(unit, mosaic.columns)
    height, width = mosaic.tile_height, mosaic.tile_width
    top = sample * (mosaic.block_height + mosaic.gap) + row * (height + 2) + 1
    left = column * (width + 2) + 1
    return sheet.codes[top : top + height, left : left + width]


def test_a_value_is_a_pixel():
    maps = np.arange(2 * 9 * 11 * 3, dtype=np.float32).reshape(2, 9, 11, 3)
    sheet = map_sheet(maps)
    assert (sheet.enlarged, sheet.averaged) == ((1, 1), 1)
    steps = TOP / maps.max()
    for sample in range(2):
        for unit in range(3):
            expected = (maps[sample, :, :, unit] * steps + 0.5).astype(np.uint8)
            np.testing.assert_array_equal(tile(sheet, sample, unit), expected)


def test_the_file_shows_the_same_colors():
    sheet = map_sheet(np.random.default_rng(0).normal(size=(1, 9, 9, 4)))
    picture = Image.open(io.BytesIO(sheet.png("inferno"))).convert("RGBA")
    pixels = np.asarray(picture)
    np.testing.assert_array_equal(pixels[..., 3], np.where(sheet.codes == GAP, 0, 255))
    seen = sheet.codes != GAP
    np.testing.assert_array_equal(pixels[seen][:, :3], palette("inferno")[sheet.codes[seen]])
    with pytest.raises(DataError, match="no colormap 'rainbow'"):
        sheet.png("rainbow")


@pytest.mark.parametrize(
    ("shape", "enlarged", "tile_size"),
    [
        ((2, 5), (8, 8), (8, 8)),  # a vector
        ((2, 3, 3, 5), (2, 2), (6, 6)),
        ((2, 40, 5), (12, 1), (12, 40)),  # a sequence
        ((2, 130, 60, 1), (1, 1), (44, 20)),  # averaged
        ((2, 3, 9, 9, 4), (1, 1), (9, 9)),  # a volume
    ],
)
def test_what_is_too_small_or_too_large_to_see(shape, enlarged, tile_size):
    sheet = map_sheet(np.ones(shape))
    assert sheet.enlarged == enlarged
    assert tile(sheet, 1, 0).shape == tile_size


def test_a_width_is_filled_and_not_exceeded():
    sheet = map_sheet(np.ones((1, 4, 4, 16)), width_px=600)
    assert 300 < sheet.mosaic.width <= 600


def test_units_beyond_the_limit_are_left_out_and_that_is_said():
    sheet = map_sheet(np.ones((1, 600)))
    assert sheet.mosaic.n_units == 512
    assert "the first 512 of 600 units" in str(sheet)
    assert "units" not in str(map_sheet(np.ones((1, 5))))


def test_values_that_are_not_finite_and_a_constant():
    maps = np.full((1, 9, 9, 1), np.nan)
    maps[0, 0, 0, 0] = 3.0
    sheet = map_sheet(maps)
    assert tile(sheet, 0, 0)[0, 0] == 0
    assert (tile(sheet, 0, 0).ravel()[1:] == NAN).all()


def test_an_output_without_values_is_refused():
    with pytest.raises(ShapeError, match=r"without values: its shape is \(1, 0, 0, 3\)"):
        map_sheet(np.ones((1, 0, 0, 3)))
