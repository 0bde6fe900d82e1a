import io
import re

import numpy as np
import pytest
from fakes import FakeProbe, messages, wiretap
from PIL import Image

from actwidgets.core.colormaps import FRAME_COLOUR, NAN_COLOUR, palette
from actwidgets.core.layer_info import LayerInfo
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


# --- ways to show input channels ---------------------------------------------------------


SHAPES = {
    "colour": (2, 3, 3, 100),
    "grey": (2, 3, 1, 5),
    "volume": (4, 2, 3, 2, 5),
    "series": (1, 6, 2, 5),
    "separable": (2, 3, 1, 6),
    "hidden": (1, 1, 24, 7),
    "out": (1, 1, 7, 3),
}


class Several(FakeProbe):
    """A layer of every kind that has kernels of its own; seeded weights."""

    layers = (
        LayerInfo("colour", "Conv2D", (None, 4, 6, 100), 100, 0),
        LayerInfo("grey", "Conv2D", (None, 4, 6, 5), 5, 0),
        LayerInfo("volume", "Conv3D", (None, 2, 2, 2, 5), 5, 0),
        LayerInfo("series", "Conv1D", (None, 4, 5), 5, 0),
        LayerInfo("separable", "SeparableConv2D", (None, 4, 6, 5), 5, 0),
        LayerInfo("pool", "MaxPooling2D", (None, 2, 3, 4), 4, 0),
        LayerInfo("flatten", "Flatten", (None, 24), 24, 0),
        LayerInfo("hidden", "Dense", (None, 7), 7, 0),
        LayerInfo("out", "Dense", (None, 3), 3, 0),
    )

    def kernels(self, layer):
        if layer not in SHAPES:
            raise LayerError("no kernels")
        generator = np.random.default_rng(len(layer))
        return generator.normal(size=SHAPES[layer]).astype(np.float32)


@pytest.fixture
def several(data):
    return Session(Several(), *data)


def _shown(widget):
    return widget.layout.display is None


def _colours(grid, weights):
    """Colours of `(row, column)` weights on the symmetric scale that the note tells."""
    reach = float(re.search(r"colours from \S+ to ([\d.]+)", grid._note.value)[1])
    codes = ((weights + reach) / (2 * reach) * 249 + 0.5).astype(int).clip(0, 249)
    return palette("blue-red")[codes].astype(int)


def _pixels(grid, block, unit, shape):
    """A tile with its enlargement undone: one pixel for each weight."""
    tile = _tile(grid, block, unit)
    return tile[:: tile.shape[0] // shape[0], :: tile.shape[1] // shape[1]].astype(int)


def test_the_average_is_one_block_of_means(several):
    grid = KernelGrid(several, mode="average")
    means = several.kernels().mean(axis=2)
    assert f"mean over 3 input channels; colours from -{np.abs(means).max():.3g}" in (
        grid._note.value
    )
    assert not _shown(grid._channel_pager)
    found = _pixels(grid, 0, 5, (2, 3))
    assert np.abs(found - _colours(grid, means[..., 5])).max() <= 6  # the note is rounded
    grid._on_user_hover(0, 5)
    assert f"mean over 3 input channels, unit 5: {means[0, 0, 5]:.2f}" in grid._readout.value


def test_three_channels_are_colours_with_grey_at_zero_on_one_scale(several):
    grid = KernelGrid(several, mode="RGB", units_per_page=8)
    kernels = several.kernels()
    reach = np.abs(kernels).max()  # of all units, not of the page
    assert f"RGB: grey is 0, ±{reach:.3g}<" in grid._note.value
    wanted = ((kernels[..., 5] / reach + 1) * 127.5 + 0.5).astype(int)
    np.testing.assert_array_equal(_pixels(grid, 0, 5, (2, 3)), wanted)
    assert not _shown(grid._scales)
    assert not _shown(grid._channel_pager)
    grid._on_user_hover(0, 5)
    blue = kernels[0, 0, 2, 5]
    assert "unit 5: red " in grid._readout.value
    assert f"; blue {blue:.2f} " in grid._readout.value


def test_the_chosen_unit_is_framed_in_colours_too(several):
    grid = KernelGrid(several, mode="RGB")
    grid._on_user_click(0, 3)
    assert several.unit == 3
    picture = np.asarray(Image.open(io.BytesIO(grid._picture.image.image.value)))
    left = int(grid._mosaic.column_edges[3])
    assert picture[0, left].tolist() == [*FRAME_COLOUR, 255]
    assert picture[0, 0, 3] == 0


def test_modes_follow_the_layer_and_a_choice_comes_back_where_it_applies(several):
    grid = KernelGrid(several)
    assert grid._modes.options == ("each channel", "average", "RGB")
    grid._modes.set_state({"index": 2})
    assert grid.mode == "RGB"
    several.layer = "series"
    assert grid._modes.options == ("each channel", "average")
    assert grid._modes.value == "each channel"
    assert _shown(grid._scales)
    several.layer = "grey"
    assert not _shown(grid._modes)
    several.layer = "pool"
    assert not _shown(grid._controls)
    several.layer = "colour"
    assert (grid.mode, grid._modes.value) == ("RGB", "RGB")
    assert _shown(grid._controls)
    assert "RGB: grey" in grid._note.value


# --- kinds of kernels --------------------------------------------------------------------


def test_the_slider_goes_through_the_depth_of_a_volume_on_one_scale(several):
    grid = KernelGrid(several)
    assert not _shown(grid._slices)
    several.layer = "volume"
    kernels = several.kernels()
    assert _shown(grid._slices)
    assert (grid._slices.max, grid._slices.value, grid.depth) == (3, 2, None)
    before = grid._note.value
    assert f"to {np.abs(kernels).max():.3g}<" in before
    grid._slices.set_state({"value": 0})
    assert grid.depth == 0
    assert grid._note.value == before
    found = _pixels(grid, 1, 4, (2, 3))
    assert np.abs(found - _colours(grid, kernels[0, :, :, 1, 4])).max() <= 6
    grid._on_user_hover(1, 4)
    assert f"input channel 1, unit 4: {kernels[0, 0, 0, 1, 4]:.2f} " in grid._readout.value
    several.layer = "colour"
    assert not _shown(grid._slices)
    grid.depth = 99
    several.layer = "volume"
    assert grid._slices.value == 3
    assert grid.error == ""


def test_sequences_are_strips(several):
    several.layer = "series"
    grid = KernelGrid(several)
    assert "6, 2 to 5 channels" in grid._title.value
    assert "time runs to the right" in grid._note.value
    found = _pixels(grid, 1, 2, (1, 6))
    assert np.abs(found - _colours(grid, several.kernels()[:, :, 1, 2])).max() <= 6


def test_kernels_that_are_mixed_are_not_units(several):
    several.select(layer="separable", unit=2)
    grid = KernelGrid(several)
    picture = np.asarray(Image.open(io.BytesIO(grid._picture.image.image.value)).convert("RGB"))
    assert not (picture == FRAME_COLOUR).all(axis=2).any()
    assert "6 kernels of one channel" in grid._title.value
    assert "6 of 6 kernels" in grid._unit_pager.words.value
    assert "mixes them into its units" in grid._note.value
    grid._on_user_click(0, 5)  # the layer has no unit 5
    assert (several.unit, grid.error) == (2, "")
    grid._on_user_hover(0, 5)
    assert ">kernel 5: " in grid._readout.value


def test_dense_weights_behind_a_flattened_map_have_its_rows_and_columns(several):
    several.layer = "hidden"
    grid = KernelGrid(several)
    weights = several.kernels().reshape(2, 3, 4, 7)
    assert "24 to 7 units" in grid._title.value
    assert "each unit&#x27;s 24 weights as 2 x 3 x 4; colours from" in grid._note.value
    assert "4 of 4 input channels" in grid._channel_pager.words.value
    found = _pixels(grid, 3, 6, (2, 3))
    assert np.abs(found - _colours(grid, weights[:, :, 3, 6])).max() <= 6
    grid.mode = "average"
    assert "as 2 x 3 x 4; mean over 4 input channels; " in grid._note.value
    several.layer = "out"  # its inputs have no places
    assert "mean over 7 inputs; " in grid._note.value
    assert grid._mosaic.tile_height == grid._mosaic.tile_width
    grid.mode = "each channel"
    grid._on_user_hover(1, 2)
    assert f"input 1, unit 2: {several.kernels()[0, 0, 1, 2]:.2f}<" in grid._readout.value


def test_dense_weights_of_the_models_input_are_pictures_of_its_size(data):
    class Flat(FakeProbe):
        layers = (
            LayerInfo("flatten", "Flatten", (None, 48), 48, 0),
            LayerInfo("hidden", "Dense", (None, 9), 9, 0),
        )

        def kernels(self, layer):
            return np.random.default_rng(0).normal(size=(1, 1, 48, 9)).astype(np.float32)

    session = Session(Flat(), *data, layer="hidden")
    grid = KernelGrid(session)
    assert "each unit&#x27;s 48 weights as 6 x 8; colours" in grid._note.value
    wanted = session.kernels()[0, 0].T.reshape(9, 6, 8)[4]
    assert np.abs(_pixels(grid, 0, 4, (6, 8)) - _colours(grid, wanted)).max() <= 6
    assert not _shown(grid._modes)
    assert not _shown(grid._channel_pager)


# --- pages -------------------------------------------------------------------------------


def test_choosing_a_unit_elsewhere_turns_to_its_page_and_turning_pages_stays(several):
    grid = KernelGrid(several, units_per_page=16)
    several.unit = 40
    assert grid.page == 2
    grid._unit_pager.back.click()
    assert grid.page == 1
    several.sample = 3
    several.refresh()
    grid.colours = "grey"
    assert grid.page == 1
    several.unit = 41
    assert grid.page == 2
    several.layer = "grey"
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


def test_what_was_read_under_the_mouse_goes_with_the_kernels(several):
    grid = KernelGrid(several)
    grid._on_user_hover(0, 1)
    several.unit = 1
    assert "unit 1: " in grid._readout.value
    several.layer = "grey"
    assert grid._readout.value == "&nbsp;"


def test_weights_that_are_not_numbers_are_seen(data):
    class Broken(Several):
        def kernels(self, layer):
            weights = super().kernels(layer)
            weights[..., 0] = np.nan
            return weights

    session = Session(Broken(), *data)
    grid = KernelGrid(session)
    for mode in ("each channel", "average", "RGB"):
        grid.mode = mode
        assert (_tile(grid, 0, 0) == NAN_COLOUR).all()
        assert not (_tile(grid, 0, 1) == NAN_COLOUR).all(axis=2).any()
    grid._on_user_hover(0, 0)
    assert "red nan nan" in grid._readout.value
    assert grid.error == ""
