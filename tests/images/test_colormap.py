import numpy as np
import pytest

from actwidgets.images.colormap import FRAME, FRAME_COLOR, GAP, NAMES, NAN, TOP, css_color, palette


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("viridis", "#440154", "#fde725"),
        ("inferno", "#000004", "#fcffa4"),
        ("gray", "#000000", "#ffffff"),
        ("RdBu_r", "#053061", "#67001f"),
    ],
)
def test_a_map_runs_between_its_published_ends(name, low, high):
    colors = palette(name)
    assert css_color(tuple(colors[0])) == low
    assert css_color(tuple(colors[TOP])) == high


def test_every_map_there_is_has_its_ends_tested():
    assert set(NAMES) == {"viridis", "inferno", "gray", "RdBu_r"}


def test_the_middle_of_gray_is_gray_and_of_blue_red_is_nearly_white():
    assert palette("gray")[TOP // 2].tolist() == [127] * 3  # 124 of 249, of 255: 126.99
    assert palette("RdBu_r")[[TOP // 2, TOP // 2 + 1]].min() > 240


@pytest.mark.parametrize("name", NAMES)
def test_a_frame_and_what_is_not_a_number_differ_from_every_value(name):
    colors = palette(name).astype(int)
    assert tuple(colors[FRAME]) == FRAME_COLOR
    for code in (NAN, FRAME):
        assert np.abs(colors[: TOP + 1] - colors[code]).sum(axis=1).min() > 0


def test_the_codes_do_not_collide():
    assert len({TOP, NAN, FRAME, GAP}) == 4
    assert min(NAN, FRAME, GAP) > TOP


def test_gray_grows_with_the_value():
    assert (np.diff(palette("gray")[: TOP + 1, 0].astype(int)) > 0).all()
