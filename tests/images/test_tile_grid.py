import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from actwidgets.errors import DataError, ShapeError
from actwidgets.images.colormap import FRAME, FRAME_COLOR, GAP, NAN, TOP, palette
from actwidgets.images.tile_grid import (
    BAR,
    MAX_TILE_PX,
    STRIP_PX,
    MatrixStrip,
    Mosaic,
    color_mosaic,
    enlarge,
    map_sheet,
    plan_mosaic,
    shrink,
)


def test_every_tile_lies_in_its_place():
    """Two samples of three units 2x3, two columns: four rows of tiles, with a gap between."""
    mosaic = Mosaic(2, 3, 2, 3, columns=2, margin=1, gap=2)
    codes = np.arange(2 * 2 * 3 * 3, dtype=np.uint8).reshape(2, 2, 3, 3)
    picture = mosaic.assemble(codes)
    assert picture.shape == (mosaic.height, mosaic.width) == (18, 10)
    for sample in range(2):
        for unit in range(3):
            row, column = divmod(unit, 2)
            top, left = sample * 10 + row * 4 + 1, column * 5 + 1
            np.testing.assert_array_equal(
                picture[top : top + 2, left : left + 3], codes[sample, :, :, unit]
            )
    covered = np.zeros_like(picture, bool)
    for top in (1, 5, 11, 15):
        covered[top : top + 2, 1:4] = True
    for top in (1, 11):
        covered[top : top + 2, 6:9] = True
    assert (picture[~covered] == GAP).all()


@given(st.integers(1, 4), st.integers(1, 40), st.integers(1, 9))
def test_the_edges_and_the_place_of_a_tile_agree(n_samples, n_units, columns):
    mosaic = Mosaic(n_samples, n_units, 3, 5, columns)
    assert len(mosaic.row_edges) == n_samples * mosaic.rows_per_sample + 1
    assert mosaic.row_edges[-1] == mosaic.height
    assert mosaic.column_edges[-1] == mosaic.width
    found = {
        mosaic.at(row, column)
        for row in range(len(mosaic.row_edges) - 1)
        for column in range(columns)
    }
    assert found - {None} == {(s, u) for s in range(n_samples) for u in range(n_units)}


@pytest.mark.parametrize("place", [(-1, 0), (0, 2), (1, 1), (4, 0), (0, -1)])
def test_beside_the_tiles_there_is_none(place):
    assert Mosaic(2, 3, 2, 3, columns=2).at(*place) is None


def test_a_frame_lies_around_its_tile_in_every_sample_and_on_no_value():
    mosaic = Mosaic(2, 3, 2, 3, columns=2)
    picture = mosaic.assemble(np.zeros((2, 2, 3, 3), np.uint8))
    before = picture.copy()
    mosaic.draw_frame(picture, 2)
    assert (picture[before == 0] == 0).all()
    assert (picture == FRAME).sum() == 2 * (4 * 5 - 2 * 3)


def test_codes_of_another_grid_are_refused():
    with pytest.raises(ShapeError, match=r"\(2, 2, 3, 3\); got \(2, 3, 2, 3\)"):
        Mosaic(2, 3, 2, 3, columns=2).assemble(np.zeros((2, 3, 2, 3), np.uint8))


def test_shrinking_averages_squares_and_what_is_left_at_the_borders():
    maps = np.arange(15, dtype=np.float32).reshape(1, 3, 5, 1)
    shown, factor = shrink(maps, 3)
    assert factor == 2
    assert shown[0, :, :, 0].tolist() == [[3, 5, 6.5], [10.5, 12.5, 14]]
    assert shrink(maps, 5) == (maps, 1)


def test_enlarging_repeats_rows_and_columns():
    assert (
        enlarge(np.array([[[[1], [2]]]], np.uint8), 3, 2)[0, :, :, 0].tolist() == [[1, 1, 2, 2]] * 3
    )


@given(
    st.integers(1, 12),
    st.integers(1, 128),
    st.integers(1, MAX_TILE_PX),
    st.integers(1, MAX_TILE_PX),
    st.integers(200, 900),
)
def test_a_plan_fits_the_width_whatever_the_maps(n_samples, n_units, height, width, width_px):
    plan = plan_mosaic(n_samples, n_units, height, width, width_px=width_px)
    assert plan.width_px <= width_px
    down, across = plan.enlarged
    assert plan.mosaic.tile_height == height * down
    assert plan.mosaic.tile_width == width * across
    if height > 1:
        assert max(plan.mosaic.tile_height, plan.mosaic.tile_width) * plan.zoom <= 2 * MAX_TILE_PX
    assert plan.mosaic.assemble(
        np.zeros((n_samples, plan.mosaic.tile_height, plan.mosaic.tile_width, n_units), np.uint8)
    ).shape == (plan.mosaic.height, plan.mosaic.width)


@given(st.integers(1, 70), st.integers(2, 448))
def test_a_sequence_becomes_a_strip_that_fits(n_units, n_steps):
    plan = plan_mosaic(2, n_units, 1, n_steps, width_px=450)
    assert plan.width_px <= 450
    assert plan.enlarged[0] == plan.mosaic.tile_height == STRIP_PX
    assert plan.mosaic.columns in (1, 2, 4) or n_units == 3


def test_the_strips_of_a_sequence_fill_the_width():
    for n_steps, columns in ((12, 4), (40, 2), (300, 1)):
        plan = plan_mosaic(1, 32, 1, n_steps, width_px=460)
        assert plan.mosaic.columns == columns
        assert plan.width_px > 0.6 * 460


# --- colour mosaic ------------------------------------------------------------------------


def test_tiles_have_their_colors_and_what_lies_between_is_transparent():
    mosaic = Mosaic(n_samples=1, n_units=3, tile_height=2, tile_width=3, columns=2)
    colors = np.arange(2 * 3 * 3 * 3, dtype=np.uint8).reshape(1, 2, 3, 3, 3) + 200
    picture = color_mosaic(mosaic, colors)
    assert picture.shape == (mosaic.height, mosaic.width, 4)
    np.testing.assert_array_equal(picture[1:3, 6:9, :3], colors[0, :, :, 1])
    np.testing.assert_array_equal(picture[5:7, 1:4, :3], colors[0, :, :, 2])
    assert (picture[..., 3] == 255).sum() == 3 * 6  # codes of gap and frame are colors here
    assert not picture[picture[..., 3] == 0].any()


def test_the_frame_lies_around_the_tile():
    mosaic = Mosaic(n_samples=1, n_units=2, tile_height=1, tile_width=1, columns=2)
    picture = color_mosaic(mosaic, np.full((1, 1, 1, 2, 3), 255, np.uint8), framed=1)
    assert picture[1, 4].tolist() == [255, 255, 255, 255]
    box = picture[:, 3:].reshape(-1, 4).tolist()
    assert box.count([*FRAME_COLOR, 255]) == 8
    assert not picture[0, :3].any()


def test_colors_of_another_grid_are_refused():
    mosaic = Mosaic(n_samples=1, n_units=2, tile_height=1, tile_width=1, columns=2)
    with pytest.raises(ShapeError, match="takes codes of shape"):
        color_mosaic(mosaic, np.zeros((1, 1, 1, 3, 3), np.uint8))


# --- matrix strip -------------------------------------------------------------------------


def test_each_matrix_has_its_own_scale_and_its_bar():
    strip = MatrixStrip(3, 2)
    matrices = [np.array([[0, 1.0], [1, 0]]), np.array([[0, 9.0], [9, 0]]), np.full((2, 2), np.nan)]
    codes = strip.draw(matrices, [1.0, 4.0, np.nan], framed=1)
    assert codes.shape == (strip.height, strip.width) == (2 * strip.cell_height, 176)
    for tile, (far, length) in enumerate(((TOP, 18), (TOP, 72), (NAN, 0))):
        top, left = strip.corner(tile)
        assert codes[top, left] == (0 if tile < 2 else NAN)
        assert codes[top, left + strip.side - 1] == far
        bar = codes[top + strip.side + 6, left : left + strip.side]
        assert (bar == BAR).sum() == length
    top, left = strip.corner(1)
    assert codes[top - 1, left] == FRAME
    assert codes[-1, -1] == GAP  # the place beside the last tile is empty


def test_more_classes_than_pixels_are_thinned_out():
    codes = MatrixStrip(1, 1).draw([1 - np.eye(500)], [1.0], None)
    assert codes.shape == (122, 88)


def test_an_infinite_ratio_has_the_whole_bar():
    strip = MatrixStrip(2, 2)
    codes = strip.draw([np.zeros((2, 2))] * 2, [np.inf, 3.0], None)
    for tile in range(2):
        top, left = strip.corner(tile)
        assert (codes[top + strip.side + 6, left : left + strip.side] == BAR).all()


# --- map sheet ----------------------------------------------------------------------------


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


def test_infinite_values_of_a_large_map_are_averaged_without_a_warning():
    maps = np.ones((1, 2, 200, 1), np.float32)
    maps[0, :, 0, 0] = np.inf, -np.inf
    maps[0, :, 199, 0] = 3e38
    with np.errstate(all="raise"):
        found, factor = shrink(maps, 64)
    assert factor == 4
    assert np.isnan(found[0, 0, 0, 0])
    assert found[0, 0, 1, 0] == 1
    assert found[0, 0, -1, 0] == np.inf
