from dataclasses import replace

import numpy as np
import pytest

from actwidgets.images.colormap import FRAME_COLOR, GAP, NAN_COLOR, TOP
from actwidgets.images.heatmap import (
    HEAD_PX,
    LINE_PX,
    ProbabilitySheet,
    as_planes,
    classes_within,
    color_limits,
    map_on_picture,
    of_one_size,
    overlay,
    sheet_within,
    shown_classes,
    shrunk,
    tile_sheet,
)

RANDOM = np.random.default_rng(0)


def _values(*shape):
    return RANDOM.normal(size=(2, *shape)).astype(np.float32)


@pytest.mark.parametrize(
    ("shape", "picture", "channels", "summed", "wanted"),
    [
        ((), (), True, (), (1, 1)),
        ((5,), (), True, (), (1, 5)),
        ((12,), (3, 4), True, (), (3, 4)),
        ((5,), (3, 4), True, (), (1, 5)),
        ((7, 3), (), True, 2, (1, 7)),
        ((7, 3), (), False, (), (7, 3)),
        ((7, 3), (7, 3), True, (), (7, 3)),
        ((6, 8, 3), (6, 8), True, 3, (6, 8)),
        ((6, 8, 12), (), True, 1, (8, 12)),
        ((16, 16, 12), (), True, 3, (16, 16)),
        ((3, 8, 8), (), True, 1, (8, 8)),
        ((9, 8, 4), (), False, 1, (8, 4)),
        ((5, 6, 8, 2), (), True, (1, 4), (6, 8)),
    ],
)
def test_axes_that_are_no_position_are_summed_over(shape, picture, channels, summed, wanted):
    values = _values(*shape)
    found = as_planes(values, picture, "signed", channels=channels)
    sums = values.sum(axis=summed) if summed != () else values
    np.testing.assert_allclose(found, sums.reshape(2, *wanted), rtol=1e-5)


def test_vectors_of_colors_are_summed_at_each_place():
    values = _values(24)
    found = as_planes(values, (3, 4), "signed")
    np.testing.assert_allclose(found, values.reshape(2, 3, 4, 2).sum(axis=-1))


def test_sizes_are_summed_whatever_their_signs():
    values = np.array([[[[1.0, -1.0]]]], np.float32)
    assert as_planes(values, (1, 1), "absolute")[0, 0, 0] == 2
    assert as_planes(values, (1, 1), "signed")[0, 0, 0] == 0


def test_the_map_that_goes_on_the_picture_is_taken():
    vector, picture, coarse = _values(3), _values(6, 8, 1), _values(3, 4)
    found, fits = map_on_picture({"meta": vector, "image": picture}, (6, 8))
    assert (found is picture, fits) == (True, True)
    found, fits = map_on_picture({"meta": vector}, (6, 8))
    assert (found is vector, fits) == (True, False)
    assert map_on_picture(coarse, (6, 8))[1]
    assert map_on_picture(_values(96), (6, 8))[1]
    assert not map_on_picture(picture, ())[1]


def test_planes_of_several_sizes_are_drawn_in_that_of_the_largest():
    fine, coarse = np.arange(8.0).reshape(1, 2, 4), np.array([[[1.0, 2.0]]])
    found = of_one_size([fine, coarse])
    assert found[0] is fine
    np.testing.assert_array_equal(found[1], [[[1, 1, 2, 2]] * 2])


def test_rows_of_places_are_high_enough_to_be_seen():
    (found,) = of_one_size([np.arange(512.0).reshape(1, 1, 512)])
    assert found.shape == (1, 64, 512)
    np.testing.assert_array_equal(found[0, 63], np.arange(512))
    (found,) = of_one_size([np.zeros((1, 1, 3))])
    assert found.shape == (1, 1, 3)


def test_colors_end_where_all_but_the_outliers_lie():
    planes = np.zeros((2, 10, 100))
    planes[0] = np.linspace(-1, 1, 1000).reshape(10, 100)
    planes[0, 0, 0] = 1000
    planes[1, 5, 5] = -3  # nearly all are 0: the largest counts
    np.testing.assert_allclose(color_limits(planes, shared=False), [0.99, 3], atol=0.01)
    assert len(set(color_limits(planes, shared=True))) == 1


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_colors_of_nothing_have_an_end_too(value):
    np.testing.assert_array_equal(color_limits(np.full((2, 3, 3), value), shared=False), [1, 1])


def test_of_no_planes_there_are_no_ends():
    assert color_limits(np.zeros((0, 3, 3)), shared=True).shape == (0,)


GRAY = np.full((1, 1, 3, 3), 90, np.uint8)
PLANE = np.array([[[0.0, 1.0, -1.0]]])


def test_half_opaque_colors_cover_by_the_size_of_the_value():
    found = overlay(GRAY, PLANE, np.ones(1), opacity=0.5)[0, 0].astype(int)
    np.testing.assert_array_equal(found[0], [90, 90, 90])
    alone = overlay(None, PLANE, np.ones(1))[0, 0].astype(int)
    np.testing.assert_array_equal(found[1:], alone[1:])
    assert found[1][0] > found[1][2]  # red speaks for it
    assert found[2][2] > found[2][0]


@pytest.mark.parametrize(("opacity", "share"), [(0.0, 0.0), (0.25, 0.5), (0.75, 1.0), (1.0, 1.0)])
def test_opacity_goes_from_the_picture_to_the_plane(opacity, share):
    found = overlay(GRAY, PLANE, np.ones(1), opacity=opacity)[0, 0].astype(int)
    alone = overlay(None, PLANE, np.ones(1))[0, 0].astype(int)
    np.testing.assert_allclose(found[1], 90 + share * (alone[1] - 90), atol=1)
    of_zero = max(0.0, 2 * opacity - 1)
    np.testing.assert_allclose(found[0], 90 + of_zero * (alone[0] - 90), atol=1)


def test_beyond_the_limit_colors_are_those_of_the_limit():
    plane = np.array([[[5.0, 2.0, -np.inf, -2.0]]])
    found = overlay(None, plane, np.full(1, 2.0))[0, 0]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[2], found[3])


def test_what_is_not_a_number_has_a_color_of_its_own():
    plane = np.array([[[np.nan, 1.0, 0.0]]])
    for opacity in (0.0, 0.5, 1.0):
        found = overlay(GRAY, plane, np.ones(1), opacity=opacity)
        np.testing.assert_array_equal(found[0, 0, 0], NAN_COLOR)
        assert tuple(found[0, 0, 2]) != tuple(NAN_COLOR)


def test_absolute_colors_are_dark_at_zero_whatever_the_sign():
    found = overlay(None, np.array([[[0.0, 1.0]]]), np.ones(1), coloring="absolute")[0, 0]
    assert found[0].sum() < 60 < found[1].sum()


def test_coarse_planes_are_spread_over_the_picture():
    picture = np.zeros((1, 4, 6, 3), np.uint8)
    plane = np.array([[[1.0, 0.0], [0.0, -1.0]]])
    found = overlay(picture, plane, np.ones(1))[0].astype(int)
    assert found.shape == (4, 6, 3)
    assert (found[:2, :3, 0] > 0).all()
    assert (found[:2, 3:] == 0).all()
    assert (found[2:, 3:, 2] > 0).all()


def test_colors_become_gray_by_their_luminance():
    green = np.zeros((1, 1, 1, 3), np.uint8)
    green[..., 1] = 255
    found = overlay(green, np.zeros((1, 1, 1)), np.ones(1))[0, 0, 0]
    np.testing.assert_array_equal(found, [150, 150, 150])


@pytest.mark.parametrize(
    ("n_tiles", "size", "enlarged", "zoom", "columns", "rows"),
    [
        (8, (28, 28), 5, 1, 4, 2),
        (3, (28, 28), 5, 1, 3, 1),
        (1, (224, 224), 1, 1, 1, 1),
        (8, (6, 8), 9, 2, 4, 2),
        (2, (4, 1000), 1, 1, 1, 2),
        (0, (28, 28), 5, 1, 1, 1),
    ],
)
def test_tiles_are_laid_out_in_rows_that_fit(n_tiles, size, enlarged, zoom, columns, rows):
    sheet = tile_sheet(n_tiles, *size, tile_px=144, width_px=660)
    assert (sheet.enlarged, sheet.zoom, sheet.columns, sheet.rows) == (
        enlarged,
        zoom,
        columns,
        rows,
    )
    assert (sheet.height, sheet.width) == (size[0] * enlarged, size[1] * enlarged)
    assert sheet.size_px[1] <= 660 or sheet.columns == 1
    assert sheet.cell[0] * zoom >= sheet.height * zoom + sheet.words_px


def test_the_sheet_holds_each_tile_at_its_place_and_a_frame_about_one():
    sheet = replace(tile_sheet(3, 32, 32, tile_px=64, width_px=320), least_px=100)
    assert (sheet.columns, sheet.rows, sheet.enlarged, sheet.zoom) == (2, 2, 2, 1)
    tiles = np.stack([np.full((32, 32, 3), 50 * each, np.uint8) for each in (1, 2, 3)])
    found = sheet.compose(tiles, framed=1)
    height, width = sheet.cell
    assert found.shape == (height * 2, width * 2, 4)
    for place, value in enumerate((50, 100, 150)):
        top, left = (place // 2) * height + 3, (place % 2) * width + 18
        tile = found[top : top + 64, left : left + 64]
        assert (tile == [value, value, value, 255]).all()
    assert (found[3, width + 16] == [*FRAME_COLOR, 255]).all()
    assert (found[1 : 3 + 64 + 2, width + 16 : width + 18, 3] == 255).all()
    assert not found[:, :18].any()  # between the tiles it is transparent
    assert not found[height:, width:].any()


def test_large_pictures_are_shrunk_and_small_ones_stay():
    large = np.full((2, 224, 112, 3), 7, np.uint8)
    found = shrunk(large, 144)
    assert found.shape == (2, 144, 72, 3)
    assert (found == 7).all()
    small = large[:, :10, :5]
    assert shrunk(small, 10) is small
    assert shrunk(np.zeros((1, 500, 1, 3), np.uint8), 50).shape == (1, 50, 1, 3)


# --- probability sheet --------------------------------------------------------------------


def test_cells_lie_where_their_middles_say():
    sheet = ProbabilitySheet(n_lines=2, n_classes=3)
    shares = np.array([[0.0, 0.5, 1.0], [np.nan, 2.0, -1.0]])
    codes = sheet.codes(shares)
    assert codes.shape == (sheet.height_px, sheet.width_px)
    found = [
        [codes[int(sheet.middle(line)), int(sheet.class_middle(place))] for place in range(3)]
        for line in range(2)
    ]
    assert found == [[0, round(TOP / 2), TOP], [GAP, TOP, 0]]
    assert (codes[:HEAD_PX] == GAP).all()
    assert (codes[:, -sheet.right_px :] == GAP).all()
    right, below = sheet.left_px + sheet.class_px - 1, HEAD_PX + LINE_PX - 1
    assert (codes[HEAD_PX:, right] == GAP).all()  # between two classes, and two lines
    assert (codes[below] == GAP).all()
    assert np.diff(sheet.row_edges).tolist() == [HEAD_PX, LINE_PX, LINE_PX]
    assert len(sheet.column_edges) == 6
    assert sheet.column_edges[-1] == sheet.width_px


def test_of_many_classes_those_that_hold_most_have_a_column():
    values = np.zeros((2, 30))
    values[0, 20], values[1, 3], values[1, 9] = 0.9, 0.4, np.nan
    assert shown_classes(values, limit=2).tolist() == [3, 20]
    assert shown_classes(values[:, :5]).tolist() == [0, 1, 2, 3, 4]
    assert len(shown_classes(np.zeros((0, 30)))) == 12


def test_of_scores_below_zero_the_largest_have_a_column():
    values = np.full((2, 30), -9.0)
    values[0, 20], values[1, 3], values[1, 9], values[0, 5] = -0.1, -2.0, np.nan, -np.inf
    assert shown_classes(values, limit=2).tolist() == [3, 20]


def test_of_very_many_classes_so_many_have_a_column_that_confidence_and_loss_have_room():
    assert classes_within(678, 1000) == 12
    sheet = sheet_within(678, 20, 12)
    assert sheet.right_px == 144
    assert sheet.width_px <= 678
    assert classes_within(560, 1000) == 9
    assert sheet_within(560, 20, 9).width_px <= 560
    assert classes_within(560, 10) == 10  # all of them, rather than the words beside them
    assert sheet_within(560, 20, 10).right_px == 0
    assert classes_within(330, 1000) == 6
