import io

import numpy as np
import pytest
from fakes import FakeProbe, messages, wiretap
from PIL import Image

from actwidgets.core.colormaps import FRAME_COLOUR, palette
from actwidgets.errors import LayerError
from actwidgets.session import Session
from actwidgets.views.kernel_grid import KernelGrid


class WithKernels(FakeProbe):
    """Kernels 2x3 of 6 channels and 20 units; weight = 10 channel + unit - 30."""

    def kernels(self, layer):
        if layer != "conv":
            raise LayerError(f"layer {layer!r} has <no> kernels")
        channel, unit = np.mgrid[:6, :20]
        return np.broadcast_to(10.0 * channel + unit - 30, (2, 3, 6, 20)).astype(np.float32)


@pytest.fixture
def session(data):
    return Session(WithKernels(), *data)


def _tile(grid, channel, unit):
    mosaic = grid._mosaic
    row, column = divmod(unit, mosaic.columns)
    top = int(mosaic.row_edges[channel * mosaic.rows_per_sample + row]) + mosaic.margin
    left = int(mosaic.column_edges[column]) + mosaic.margin
    picture = np.asarray(Image.open(io.BytesIO(grid._picture.image.image.value)).convert("RGB"))
    return picture[top : top + mosaic.tile_height, left : left + mosaic.tile_width]


def test_each_kernel_has_the_colour_of_its_weight_on_one_symmetric_scale(session):
    grid = KernelGrid(session)
    colours = palette("blue-red")
    assert "from -39 to 39" in grid._note.value
    assert "2×3, 6 to 20 channels" in grid._title.value
    for channel, unit in ((0, 1), (3, 1), (3, 19), (1, 7)):
        code = round((10 * channel + unit - 30 + 39) / 78 * 249)
        assert (_tile(grid, channel, unit) == colours[code]).all()


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
    assert tuple(corner) == tuple(FRAME_COLOUR)


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
