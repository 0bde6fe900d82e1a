import numpy as np
import pytest

from actwidgets.core.pictures.colormaps import (
    FRAME,
    FRAME_COLOUR,
    GAP,
    NAMES,
    NAN,
    TOP,
    css_colour,
    palette,
)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("viridis", "#440154", "#fde725"),
        ("inferno", "#000004", "#fcffa4"),
        ("grey", "#000000", "#ffffff"),
        ("blue-red", "#053061", "#67001f"),
    ],
)
def test_a_map_runs_between_its_published_ends(name, low, high):
    colours = palette(name)
    assert css_colour(tuple(colours[0])) == low
    assert css_colour(tuple(colours[TOP])) == high


def test_every_map_there_is_has_its_ends_tested():
    assert set(NAMES) == {"viridis", "inferno", "grey", "blue-red"}


def test_the_middle_of_grey_is_grey_and_of_blue_red_is_nearly_white():
    assert palette("grey")[TOP // 2].tolist() == [127] * 3  # 124 of 249, of 255: 126.99
    assert palette("blue-red")[[TOP // 2, TOP // 2 + 1]].min() > 240


@pytest.mark.parametrize("name", NAMES)
def test_a_frame_and_what_is_not_a_number_differ_from_every_value(name):
    colours = palette(name).astype(int)
    assert tuple(colours[FRAME]) == FRAME_COLOUR
    for code in (NAN, FRAME):
        assert np.abs(colours[: TOP + 1] - colours[code]).sum(axis=1).min() > 0


def test_the_codes_do_not_collide():
    assert len({TOP, NAN, FRAME, GAP}) == 4
    assert min(NAN, FRAME, GAP) > TOP


def test_grey_grows_with_the_value():
    assert (np.diff(palette("grey")[: TOP + 1, 0].astype(int)) > 0).all()
