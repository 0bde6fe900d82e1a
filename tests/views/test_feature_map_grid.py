import bqplot as bq
import ipywidgets as w
import numpy as np
import pytest
import shown
import traitlets as t
from fakes import FakeProbe, messages, wiretap

from actwidgets.core.ablation import Ablation
from actwidgets.core.layers import LayerInfo
from actwidgets.core.perturbation import Perturbation
from actwidgets.images.colormap import FRAME_COLOR, NAN_COLOR, palette
from actwidgets.session.session import Session
from actwidgets.views.feature_map_grid import FeatureMapGrid

MAPS = 1  # the picture after that of the inputs


def _tile(grid, sample, unit, n_units=20):
    """The colors of one tile within its margin, by its place on the page."""
    row, column = divmod(unit, _n_columns(grid))
    row += sample * -(-n_units // _n_columns(grid))
    return shown.tile(grid, row, column)[1:-1, 1:-1]


def _n_rows(grid):
    return len(shown.edges(grid)[0]) - 1


def _n_columns(grid):
    return len(shown.edges(grid)[1]) - 1


def test_each_tile_has_the_color_of_its_units_value(session):
    session.samples = (3, 6)
    grid = FeatureMapGrid(session)
    colors = palette("viridis")
    # values run from 3 (sample 3, unit 0) to 120 (sample 6, unit 19)
    for sample, value in enumerate((3, 6)):
        for unit in (0, 7, 19):
            code = round((value * (unit + 1) - 3) / 117 * 249)
            assert (_tile(grid, sample, unit)[..., :3] == colors[code]).all()


def test_the_three_scales(session):
    session.sample = 3
    grid = FeatureMapGrid(session, normalize="per map")
    assert (_tile(grid, 0, 19)[..., :3] == palette("viridis")[0]).all()  # constant: dark
    assert "own scale" in shown.text(grid)
    grid.normalize = "symmetric"
    assert "from -60 to 60" in shown.text(grid)
    grid.normalize = "per layer"
    assert "from 3 to 60" in shown.text(grid)


def test_a_tick_is_one_pass_and_one_message_per_mark_and_picture(session, probe):
    FeatureMapGrid(session)
    wires, probe.calls[:] = wiretap(), []
    session.sample = 4
    assert probe.calls == [(("conv",), 1)]
    sent = [name for name, _ in messages(wires)]
    assert sent.count("Image") == 2  # one message a picture
    assert [(name, traits) for name, traits in messages(wires) if name != "Image"] == [
        ("HTML", ["value"])  # the range that the colors span
    ]
    for wire in wires.values():
        wire.sent.clear()
    session.select(class_index=1, threshold=0.3)
    assert messages(wires) == []


def test_units_are_paged_and_counted(session):
    grid = FeatureMapGrid(session, units_per_page=8)
    assert "8 of 20 units, 1–8" in shown.text(grid)
    assert shown.control(grid, "previous page").disabled
    shown.press(grid, "next page")
    shown.press(grid, "next page")
    assert "4 of 20 units, 17–20" in shown.text(grid)
    assert shown.control(grid, "next page").disabled
    assert not shown.control(grid, "previous page").disabled
    session.layer = "dense"
    assert "5 of 5 units" in shown.text(grid)


def test_sorting_by_peak_puts_the_strongest_unit_first(session):
    session.sample = 3
    grid = FeatureMapGrid(session, order="peak", units_per_page=4)
    shown.hover(grid, 0, 1)
    assert "unit 18" in shown.text(grid)  # units count up, so the last is the strongest


def test_the_mouse_over_a_map_tells_unit_and_values(session):
    session.sample = 3
    grid = FeatureMapGrid(session)
    shown.hover(grid, 1, 2)
    assert "sample 3, unit 10: mean 33, peak 33 at row 0, column 0" in shown.text(grid)


def test_what_the_mouse_was_over_is_not_told_of_the_cells_of_another_layer(session):
    grid = FeatureMapGrid(session)
    shown.hover(grid, 0, 2)
    session.sample = 3
    assert "sample 3, unit 2" in shown.readout(grid), "the same cells"
    session.layer = "dense"
    assert shown.readout(grid) == ""


def test_the_inputs_stand_beside_the_first_row_of_their_maps_on_every_page(session):
    session.samples = (0, 1)
    grid = FeatureMapGrid(session)
    grid.units_per_page = 4
    other = FeatureMapGrid(session, units_per_page=4)
    np.testing.assert_array_equal(shown.picture(grid), shown.picture(other))


def test_beside_maps_stand_the_inputs_that_their_layer_sees(data):
    class OfTwo(FakeProbe):
        layers = tuple(LayerInfo(name, "Conv2D", (None, 4, 6, 20), 20, 9) for name in "ab")

        def check(self, x):
            pass

        def activations(self, layers, x):
            return super().activations(layers, x["left"])

        def predictions(self, x):
            return super().predictions(x["left"])

        def inputs_of(self, layer):
            return ("left",) if layer == "a" else ("right",)

    x, y = data
    session = Session(OfTwo(), {"left": x, "right": x[:, ::-1]}, y, layer="a", sample=20)
    grid = FeatureMapGrid(session)
    before = shown.picture(grid)
    session.layer = "b"
    assert not np.array_equal(shown.picture(grid), before)
    np.testing.assert_array_equal(shown.picture(grid), shown.picture(FeatureMapGrid(session)))


def test_a_click_chooses_the_unit_and_frames_it(session):
    session.samples = (3, 6)
    grid = FeatureMapGrid(session)
    frame_before = (shown.picture(grid, MAPS)[..., :3] == FRAME_COLOR).all(axis=-1)
    rows = -(-20 // _n_columns(grid))
    shown.click(grid, rows, 5)
    assert (session.sample, session.unit) == (6, 5)
    frame = (shown.picture(grid, MAPS)[..., :3] == FRAME_COLOR).all(axis=-1)
    assert frame.any()
    assert not (frame & frame_before).any()


def test_a_click_beside_the_maps_changes_nothing(session):
    grid = FeatureMapGrid(session)
    before = session.selection
    shown.click(grid, 99, 0)
    shown.click(grid, 2, 7)  # unit 23
    assert session.selection == before


def test_not_a_number_has_a_color_of_its_own(data):
    class Broken(FakeProbe):
        def activations(self, layers, x):
            outputs = {
                name: values.copy() for name, values in super().activations(layers, x).items()
            }
            outputs["conv"][:, 0, 0, 2] = np.nan
            return outputs

    grid = FeatureMapGrid(Session(Broken(), *data, sample=3))
    assert (_tile(grid, 0, 2)[0, 0, :3] == NAN_COLOR).all()
    assert not (_tile(grid, 0, 2)[-1, -1, :3] == NAN_COLOR).all()
    shown.hover(grid, 0, 2)
    assert "peak 9 at row 0, column 1; 1 values are not a number" in shown.text(grid)


def test_an_empty_output_is_nothing_to_show_rather_than_a_failure(session):
    grid = FeatureMapGrid(session)
    session.layer = "empty"
    assert grid.error == ""
    assert "nothing to show for empty" in shown.text(grid)
    session.layer = "conv"
    assert shown.is_shown(grid, bq.Figure)


@pytest.mark.expects_error
def test_a_layer_that_fails_keeps_the_last_picture(session, probe):
    grid = FeatureMapGrid(session)
    before = shown.picture(grid, MAPS)
    probe.fails_on = ("dense",)
    session.layer = "dense"
    assert grid.error == "could not draw: nothing finite in <maps>"
    np.testing.assert_array_equal(shown.picture(grid, MAPS), before)
    session.layer = "conv"
    assert grid.error == ""


def test_new_weights_are_seen_after_refresh(session, probe):
    grid = FeatureMapGrid(session)
    session.sample = 3
    before = shown.text(grid)
    probe.activations = lambda layers, x: {
        name: values * 2 for name, values in FakeProbe().activations(layers, x).items()
    }
    session.refresh()
    assert "from 6 to 120" in shown.text(grid)
    assert shown.text(grid) != before


# --- perturbed and many samples ----------------------------------------------------------


def test_a_perturbation_changes_maps_and_inputs_in_one_tick(session, probe):
    session.samples = (3, 6)
    grid = FeatureMapGrid(session)
    wires, probe.calls[:] = wiretap(), []
    session.perturbation = Perturbation(brightness=0.5)  # by 14.5 of 0..29
    assert probe.calls == [(("conv",), 2)]
    sent = [name for name, _ in messages(wires)]
    assert sent.count("Image") == 2
    assert sent.count("HTML") == 1
    code = round((20.5 * 10 - 17.5) / (20.5 * 20 - 17.5) * 249)
    assert (_tile(grid, 1, 9)[..., :3] == palette("viridis")[code]).all()
    assert "from 17.5 to 410" in shown.text(grid)
    levels = np.unique(shown.picture(grid)[..., 0])
    seen = np.unique(session.pictures()[..., 0])
    assert set(seen) <= set(levels)  # the pictures as they are perturbed
    for wire in wires.values():
        wire.sent.clear()
    session.perturbation = Perturbation(brightness=0.5)
    assert messages(wires) == []


def test_ablated_units_are_seen(data):
    class Ablated(FakeProbe):
        def edited(self, edits):
            found = FakeProbe()
            found.activations = lambda layers, x: {
                name: values * edits[name].factor.astype(np.float32) if name in edits else values
                for name, values in FakeProbe().activations(layers, x).items()
            }
            return found

    session = Session(Ablated(), *data, sample=3)
    grid = FeatureMapGrid(session)
    assert "from 3 to 60" in shown.text(grid)
    session.ablations = (Ablation("conv", (19,)),)
    assert "from 0 to 57" in shown.text(grid)


def test_of_many_samples_the_first_are_drawn_and_counted(session, probe):
    session.samples = tuple(range(29, -1, -1))
    probe.calls.clear()
    grid = FeatureMapGrid(session)
    assert probe.calls == [(("conv",), 8)]
    assert _n_rows(grid) == 8 * -(-20 // _n_columns(grid))
    assert "8 of 30 samples" in shown.text(grid)
    shown.hover(grid, 7 * -(-20 // _n_columns(grid)), 0)
    assert "sample 22, unit 0" in shown.text(grid)
    session.perturbation = Perturbation(brightness=0.1)
    assert _n_rows(grid) == 8 * -(-20 // _n_columns(grid))
    grid.max_samples = 40
    assert "samples" not in shown.text(grid)
    assert _n_rows(grid) == 30 * -(-20 // _n_columns(grid))


def test_an_option_that_does_not_exist_is_refused(session):
    with pytest.raises(t.TraitError, match="normalize"):
        FeatureMapGrid(session, normalize="by eye")


# --- sequences and volumes ---------------------------------------------------------------


class OtherRanks(FakeProbe):
    """A sequence whose values are its steps, and a volume whose values are its slices."""

    layers = (
        LayerInfo("words", "LSTM", (None, 9, 3), 3, 0),
        LayerInfo("scan", "Conv3D", (None, 5, 4, 6, 2), 2, 0),
        LayerInfo("flat", "Conv3D", (None, 3, 4, 6, 2), 2, 0),
        LayerInfo("score", "Lambda", (None,), 1, 0),
    )

    def activations(self, layers, x):
        self.calls.append((tuple(layers), len(x)))
        found = {}
        for info in self.layers:
            values = np.zeros((len(x), *info.output_shape[1:]), np.float32)
            if values.ndim > 1:
                values += np.arange(values.shape[1]).reshape(-1, *[1] * (values.ndim - 2))
            found[info.name] = values
        return {name: found[name] for name in layers}


@pytest.fixture
def ranks(data):
    return Session(OtherRanks(), *data, layer="words")


def test_a_sequence_is_a_strip_in_which_time_runs_to_the_right(ranks):
    grid = FeatureMapGrid(ranks)
    tile = _tile(grid, 0, 2, n_units=3)
    assert (tile == tile[:1]).all()
    colors, width = palette("viridis"), tile.shape[1] // 9
    for step in range(9):
        assert (tile[0, step * width] == colors[round(step / 8 * 249)]).all()
    assert "time runs to the right" in shown.text(grid)
    shown.hover(grid, 0, 1)
    assert "unit 1: mean 4, peak 8 at step 8" in shown.text(grid)


def test_of_a_volume_the_slider_chooses_the_slice_without_another_pass(ranks):
    ranks.layer = "scan"
    grid = FeatureMapGrid(ranks)
    assert (
        shown.is_shown(grid, "depth"),
        shown.control(grid, "depth").max,
        shown.control(grid, "depth").value,
    ) == (True, 4, 2)
    assert "from 2 to 2" in shown.text(grid)
    before = len(ranks.model.calls)
    wires = wiretap()
    shown.choose(grid, "depth", 4)
    assert "from 4 to 4" in shown.text(grid)
    assert len(ranks.model.calls) == before
    assert [name for name, _ in messages(wires)].count("IntSlider") <= 1
    ranks.layer = "flat"  # has fewer slices: the last one
    assert (shown.control(grid, "depth").max, shown.control(grid, "depth").value, grid.error) == (
        2,
        2,
        "",
    )
    ranks.layer = "scan"
    assert shown.control(grid, "depth").value == 4
    grid.depth = None
    assert shown.control(grid, "depth").value == 2
    ranks.layer = "words"
    assert not shown.is_shown(grid, "depth")


def test_a_scalar_is_one_cell(ranks):
    ranks.layer = "score"
    grid = FeatureMapGrid(ranks)
    assert grid.error == ""
    assert "1 of 1 units" in shown.text(grid)


def test_it_turns_to_the_page_of_a_unit_that_is_chosen_elsewhere(session):
    grid = FeatureMapGrid(session, units_per_page=8)
    session.unit = 17
    assert grid.page == 2
    assert "17–20" in shown.text(grid)
    grid.page = 0  # by hand: it stays
    session.sample = 3
    assert grid.page == 0
    session.unit = 18
    assert grid.page == 2
    assert FeatureMapGrid(session, units_per_page=8, page=1).page == 1


class _AnyShape(FakeProbe):
    def check(self, x):
        pass


@pytest.mark.parametrize(
    ("shape", "n_pixels", "margin"),
    [
        ((6, 8), (6, 8), "14px 4px 14px 4px"),  # enlarged tenfold by the page
        ((4, 2), (4, 2), "2px 23px 2px 23px"),
        ((86, 43), (86, 43), "1px 23px 1px 22px"),
        ((129, 43), (86, 29), "1px 30px 1px 29px"),
        ((30, 60), (43, 86), "22px 1px 23px 1px"),
    ],
)
def test_the_input_of_one_sample_fills_its_square_from_the_middle(shape, n_pixels, margin):
    rng = np.random.default_rng(0)
    x = rng.random((3, *shape, 1), np.float32)
    x[0, 0, :2, 0] = 0, 1  # black and white
    session = Session(_AnyShape(), x, samples=(1,))
    grid = FeatureMapGrid(session)
    inputs = shown.part(grid, w.Image)
    assert shown.picture(grid).shape[:2] == n_pixels
    assert inputs.layout.margin == margin
    sides = [int(each.removesuffix("px")) for each in margin.split()]
    size = [int(each.removesuffix("px")) for each in (inputs.layout.height, inputs.layout.width)]
    assert [size[0] + sides[0] + sides[2], size[1] + sides[1] + sides[3]] == [88, 88]
    if n_pixels == shape:
        np.testing.assert_allclose(shown.picture(grid)[..., 0] / 255, x[1, ..., 0], atol=0.01)


def test_inputs_are_sent_again_only_where_they_differ(session):
    grid = FeatureMapGrid(session)
    wires = wiretap()
    session.unit = 3
    sent = messages(wires)
    assert [kind for kind, _ in sent].count("Image") == 1  # the maps
    assert "Layout" not in [kind for kind, _ in sent]
    before = shown.picture(grid)
    session.samples = (4, 9)
    assert shown.picture(grid).shape != before.shape
    assert not grid.error
