import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actwidgets.errors import ShapeError
from actwidgets.images.colormap import FRAME, GAP
from actwidgets.images.tile_grid import MAX_TILE_PX, STRIP_PX, Mosaic, enlarge, plan_mosaic, shrink


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
