import numpy as np
import pytest
import shown
from fakes import FakeProbe, messages, wiretap
from kernel_tiles import Several, tile

from actwidgets.errors import LayerError
from actwidgets.images.colormap import FRAME_COLOR, palette
from actwidgets.session.session import Session
from actwidgets.views.kernel_grid import KernelGrid
from actwidgets.views.picture import Picture


class WithKernels(FakeProbe):
    """Kernels 2x3 of 6 channels and 20 units; weight = 10 channel + unit - 30."""

    def kernels(self, layer):
        if layer != "conv":
            raise LayerError(f"layer {layer!r} has <no> kernels")
        channel, unit = np.mgrid[:6, :20]
        return np.broadcast_to(10.0 * channel + unit - 30, (2, 3, 6, 20)).astype(np.float32)


@pytest.fixture
def several(data):
    return Session(Several(), *data)


@pytest.fixture
def session(data):
    return Session(WithKernels(), *data)


def test_each_kernel_has_the_color_of_its_weight_on_one_symmetric_scale(session):
    grid = KernelGrid(session)
    colors = palette("RdBu_r")
    assert "from -39 to 39" in shown.text(grid)
    assert "2×3, 6 to 20 channels" in shown.text(grid)
    for channel, unit in ((0, 1), (3, 1), (3, 19), (1, 7)):
        code = round((10 * channel + unit - 30 + 39) / 78 * 249)
        assert (tile(grid, channel, unit) == colors[code]).all()


def test_channels_and_units_are_shown_in_pages_on_the_same_scale(session):
    grid = KernelGrid(session, units_per_page=8)
    assert "4 of 6 input channels, 1–4" in shown.text(grid)
    shown.press(grid, "next page")
    shown.press(grid, "next page", 1)
    assert (grid.channel_page, grid.page) == (1, 1)
    assert "from -39 to 39" in shown.text(grid)
    shown.hover(grid, 1, 3)
    assert "input channel 5, unit 11: 31.00 31.00 31.00 / 31.00" in shown.text(grid)


def test_a_click_chooses_the_unit_and_it_is_framed(session):
    grid = KernelGrid(session)
    shown.click(grid, 0, 5)
    assert session.unit == 5
    assert tuple(shown.tile(grid, 0, 5)[0, 0]) == tuple(FRAME_COLOR)


def test_a_layer_without_kernels_shows_nothing_and_is_no_error(session):
    grid = KernelGrid(session)
    session.layer = "dense"
    assert grid.error == ""
    assert "nothing to show for dense: layer &#x27;dense&#x27; has &lt;no&gt;" in shown.markup(grid)
    session.layer = "conv"
    assert "from -39" in shown.text(grid)


def test_a_probe_without_weights_shows_nothing(probe, data):
    grid = KernelGrid(Session(probe, *data))
    assert grid.error == ""
    assert "nothing to show" in shown.text(grid)


def test_another_sample_sends_nothing(session):
    KernelGrid(session)
    wires = wiretap()
    session.sample = 4
    assert messages(wires) == []


# --- pages -------------------------------------------------------------------------------


def test_choosing_a_unit_elsewhere_turns_to_its_page_and_turning_pages_stays(several):
    grid = KernelGrid(several, units_per_page=16)
    several.unit = 40
    assert grid.page == 2
    shown.press(grid, "previous page")
    assert grid.page == 1
    several.sample = 3
    several.refresh()
    grid.cmap = "gray"
    assert grid.page == 1
    several.unit = 41
    assert grid.page == 2
    several.layer = "gray"
    assert (several.unit, grid.page) == (0, 0)


def test_a_grid_opens_where_the_chosen_unit_is_unless_told_otherwise(several):
    several.unit = 70
    assert KernelGrid(several, units_per_page=16).page == 4
    assert KernelGrid(several, units_per_page=16, page=1).page == 1


def test_a_unit_on_another_page_is_painted_once(several, monkeypatch):
    grid = KernelGrid(several, units_per_page=16)
    painted = []
    picture = shown.part(grid, Picture)
    show = picture.show
    monkeypatch.setattr(picture, "show", lambda png: (painted.append(png), show(png)))
    several.unit = 40
    assert len(painted) == 1
    several.unit = 41
    assert len(painted) == 2


def test_another_unit_on_the_page_sends_its_picture_only(several):
    KernelGrid(several, mode="RGB")
    wires = wiretap()
    several.unit = 1
    assert messages(wires) == [("Image", []), ("Image", ["image"])]  # the bytes apart


def test_what_is_read_under_the_mouse_is_of_the_kernels_on_show(several):
    grid = KernelGrid(several)
    shown.hover(grid, 0, 1)
    several.unit = 1
    before = shown.readout(grid)
    assert "unit 1: " in before
    several.layer = "gray"
    after = shown.readout(grid)
    assert after != before
    shown.hover(grid, 0, 1)
    assert after in ("", shown.readout(grid))
