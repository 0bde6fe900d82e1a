import io

import numpy as np
import pytest
from fakes import FakeProbe, messages, wiretap
from kernel_tiles import Several, tile
from PIL import Image

from actwidgets.errors import LayerError
from actwidgets.images.colormap import FRAME_COLOR, palette
from actwidgets.session.session import Session
from actwidgets.views.controls import note
from actwidgets.views.kernel_grid import KernelGrid


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
    assert "from -39 to 39" in grid._note.value
    assert "2×3, 6 to 20 channels" in grid._title.value
    for channel, unit in ((0, 1), (3, 1), (3, 19), (1, 7)):
        code = round((10 * channel + unit - 30 + 39) / 78 * 249)
        assert (tile(grid, channel, unit) == colors[code]).all()


def test_channels_and_units_are_shown_in_pages_on_the_same_scale(session):
    grid = KernelGrid(session, units_per_page=8)
    assert "4 of 6 input channels, 1–4" in grid._channel_pager.words.value
    grid._channel_pager.forth.click()
    grid._unit_pager.forth.click()
    assert (grid.channel_page, grid.page) == (1, 1)
    assert "from -39 to 39" in grid._note.value
    grid._on_user_hover(1, 3)
    assert "input channel 5, unit 11: 31.00 31.00 31.00 / 31.00" in grid._readout.value


def test_a_click_chooses_the_unit_and_it_is_framed(session):
    grid = KernelGrid(session)
    grid._on_user_click(0, 5)
    assert session.unit == 5
    mosaic = grid._mosaic
    picture = np.asarray(Image.open(io.BytesIO(grid._picture.image.image.value)).convert("RGB"))
    row, column = divmod(5, mosaic.columns)
    corner = picture[int(mosaic.row_edges[row]), int(mosaic.column_edges[column])]
    assert tuple(corner) == tuple(FRAME_COLOR)


def test_a_layer_without_kernels_shows_nothing_and_is_no_error(session):
    grid = KernelGrid(session)
    session.layer = "dense"
    assert grid.error == ""
    assert "nothing to show for dense: layer &#x27;dense&#x27; has &lt;no&gt;" in grid._note.value
    grid._on_user_hover(0, 0)
    grid._on_user_click(0, 0)
    session.layer = "conv"
    assert "from -39" in grid._note.value


def test_a_probe_without_weights_shows_nothing(probe, data):
    grid = KernelGrid(Session(probe, *data))
    assert grid.error == ""
    assert "nothing to show" in grid._note.value


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
    grid._unit_pager.back.click()
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
    show = grid._picture.show
    monkeypatch.setattr(grid._picture, "show", lambda png: (painted.append(png), show(png)))
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
    grid._on_user_hover(0, 1)
    several.unit = 1
    before = grid._readout.value
    assert "unit 1: " in before
    several.layer = "gray"
    assert grid._readout.value != before
    assert grid._readout.value in ("&nbsp;", note(grid._tell_cell(0, 1)))
