import numpy as np
import pytest
import shown
from fakes import FakeProbe, messages, wiretap
from kernel_tiles import Several, pixels, shown_colors, tile

from actwidgets.core.layers import LayerInfo
from actwidgets.errors import LayerError
from actwidgets.images.colormap import FRAME_COLOR, NAN_COLOR, palette
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
    assert messages(wires) == [("Image", [])]  # the bytes apart


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


# --- kernel kinds -------------------------------------------------------------------------


def test_the_average_is_one_block_of_means(several):
    grid = KernelGrid(several, mode="average")
    means = several.kernels().mean(axis=2)
    assert f"mean over 3 input channels; colors from -{np.abs(means).max():.3g}" in (
        shown.text(grid)
    )
    assert "of 3 input channels" not in shown.text(grid)
    found = pixels(grid, 0, 5, (2, 3))
    assert np.abs(found - shown_colors(grid, means[..., 5])).max() <= 6  # the note is rounded
    shown.hover(grid, 0, 5)
    assert f"mean over 3 input channels, unit 5: {means[0, 0, 5]:.2f}" in shown.text(grid)


def test_three_channels_are_colors_with_gray_at_zero_on_one_scale(several):
    grid = KernelGrid(several, mode="RGB", units_per_page=8, normalize="per map")
    kernels = several.kernels()
    reach = np.abs(kernels).max()  # of all units, not of the page
    assert f"RGB: gray is 0, ±{reach:.3g}<" in shown.markup(grid)
    wanted = ((kernels[..., 5] / reach + 1) * 127.5 + 0.5).astype(int)
    np.testing.assert_array_equal(pixels(grid, 0, 5, (2, 3)), wanted)
    assert not shown.is_shown(grid, "normalize")
    assert "of 3 input channels" not in shown.text(grid)
    shown.hover(grid, 0, 5)
    blue = kernels[0, 0, 2, 5]
    assert "unit 5: red " in shown.text(grid)
    assert f"; blue {blue:.2f} " in shown.text(grid)


def test_the_chosen_unit_is_framed_in_colors_too(several):
    grid = KernelGrid(several, mode="RGB")
    shown.click(grid, 0, 3)
    assert several.unit == 3
    assert tuple(shown.tile(grid, 0, 3)[0, 0]) == tuple(FRAME_COLOR)
    picture = shown.picture(grid)
    assert picture[0, 0, 3] == 0


def test_modes_follow_the_layer_and_a_choice_comes_back_where_it_applies(several):
    grid = KernelGrid(several)
    assert shown.control(grid, "show").options == ("each channel", "average", "RGB")
    shown.take(grid, "show", 2)
    assert grid.mode == "RGB"
    several.layer = "series"
    assert shown.control(grid, "show").options == ("each channel", "average")
    assert shown.control(grid, "show").value == "each channel"
    assert shown.is_shown(grid, "normalize")
    several.layer = "gray"
    assert not shown.is_shown(grid, "show")
    several.layer = "pool"
    assert not shown.is_shown(grid, "show")
    several.layer = "color"
    assert (grid.mode, shown.control(grid, "show").value) == ("RGB", "RGB")
    assert shown.is_shown(grid, "show")
    assert "RGB: gray" in shown.text(grid)


# --- kinds of kernels --------------------------------------------------------------------


def test_the_slider_goes_through_the_depth_of_a_volume_on_one_scale(several):
    grid = KernelGrid(several)
    assert not shown.is_shown(grid, "kernel depth")
    several.layer = "volume"
    kernels = several.kernels()
    assert shown.is_shown(grid, "kernel depth")
    assert (
        shown.control(grid, "kernel depth").max,
        shown.control(grid, "kernel depth").value,
        grid.depth,
    ) == (3, 2, None)
    assert np.abs(kernels[2]).max() < 5
    before = shown.text(grid)
    assert f"to {np.abs(kernels).max():.3g}<" in shown.markup(grid)
    shown.choose(grid, "kernel depth", 0)
    assert grid.depth == 0
    assert shown.text(grid) == before
    found = pixels(grid, 1, 4, (2, 3))
    assert np.abs(found - shown_colors(grid, kernels[0, :, :, 1, 4])).max() <= 6
    shown.hover(grid, 1, 4)
    assert f"input channel 1, unit 4: {kernels[0, 0, 0, 1, 4]:.2f} " in shown.text(grid)
    several.layer = "color"
    assert not shown.is_shown(grid, "kernel depth")
    grid.depth = 99
    several.layer = "volume"
    assert shown.control(grid, "kernel depth").value == 3
    assert grid.error == ""


def test_sequences_are_strips(several):
    several.layer = "series"
    grid = KernelGrid(several)
    assert "6, 2 to 5 channels" in shown.text(grid)
    assert "time runs to the right" in shown.text(grid)
    found = pixels(grid, 1, 2, (1, 6))
    assert np.abs(found - shown_colors(grid, several.kernels()[:, :, 1, 2])).max() <= 6


def test_kernels_that_are_mixed_are_not_units(several):
    several.select(layer="separable", unit=2)
    grid = KernelGrid(several)
    picture = shown.picture(grid)[..., :3]
    assert not (picture == FRAME_COLOR).all(axis=2).any()
    assert "6 kernels of one channel" in shown.text(grid)
    assert "6 of 6 kernels" in shown.text(grid)
    assert "mixes them into its units" in shown.text(grid)
    shown.click(grid, 0, 5)  # the layer has no unit 5
    assert (several.unit, grid.error) == (2, "")
    shown.hover(grid, 0, 5)
    assert ">kernel 5: " in shown.markup(grid)


def test_dense_weights_behind_a_flattened_map_have_its_rows_and_columns(several):
    several.layer = "hidden"
    grid = KernelGrid(several)
    weights = several.kernels().reshape(2, 3, 4, 7)
    assert "24 to 7 units" in shown.text(grid)
    assert "each unit&#x27;s 24 weights as 2 x 3 x 4; colors from" in shown.markup(grid)
    assert "4 of 4 input channels" in shown.text(grid)
    found = pixels(grid, 3, 6, (2, 3))
    assert np.abs(found - shown_colors(grid, weights[:, :, 3, 6])).max() <= 6
    grid.mode = "average"
    assert "as 2 x 3 x 4; mean over 4 input channels; " in shown.text(grid)
    several.layer = "out"  # its inputs have no places
    assert "mean over 7 inputs; " in shown.text(grid)
    assert len(set(tile(grid, 0, 0).shape[:2])) == 1
    grid.mode = "each channel"
    shown.hover(grid, 1, 2)
    assert f"input 1, unit 2: {several.kernels()[0, 0, 1, 2]:.2f}<" in shown.markup(grid)


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
    assert "each unit&#x27;s 48 weights as 6 x 8; colors" in shown.markup(grid)
    wanted = session.kernels()[0, 0].T.reshape(9, 6, 8)[4]
    assert np.abs(pixels(grid, 0, 4, (6, 8)) - shown_colors(grid, wanted)).max() <= 6
    assert not shown.is_shown(grid, "show")
    assert "input channels" not in shown.text(grid)


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
        assert (tile(grid, 0, 0) == NAN_COLOR).all()
        assert not (tile(grid, 0, 1) == NAN_COLOR).all(axis=2).any()
    shown.hover(grid, 0, 0)
    assert "red nan nan" in shown.text(grid)
    assert grid.error == ""
