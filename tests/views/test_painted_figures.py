"""bqplot's figures, painted: values lie where the browser puts them."""

import io

import bqplot as bq
import ipywidgets as w
import numpy as np
import pytest
from PIL import Image

from actwidgets.views._picture import plain_figure
from actwidgets.views._point_cloud import PointCloud
from actwidgets.views.painting.clouds import places_px
from actwidgets.views.painting.paint import paint
from actwidgets.views.painting.scales import Reach, colour_scale, tick_texts, ticks

SIZE = {"width": "100px", "height": "60px"}
EDGE = 6 + 2  # of the paper, and the margin of a figure
RED, BLUE = (255, 0, 0), (0, 0, 255)


def painted(*marks, axes=(), **options):
    """The pixels of a figure of 100 x 60, without what is around it."""
    figure = plain_figure(marks, axes=list(axes), layout=SIZE, **options)
    shown = np.asarray(Image.open(io.BytesIO(paint(figure))).convert("RGB"))
    return shown[EDGE : EDGE + 60, EDGE : EDGE + 100]


def scales(low=0.0, high=10.0):
    return {
        "x": bq.LinearScale(min=low, max=high, allow_padding=False),
        "y": bq.LinearScale(min=low, max=high, allow_padding=False),
    }


def box_of(shown, colour):
    """Top, bottom, left and right of what has a colour."""
    rows, columns = np.nonzero((shown == colour).all(axis=2))
    return rows.min(), rows.max() + 1, columns.min(), columns.max() + 1


def test_a_bar_reaches_from_its_base_to_its_value():
    bars = bq.Bars(
        x=["a", "b"],
        y=[5.0, 10.0],
        padding=0.5,
        colors=["red", "blue"],
        scales={"x": bq.OrdinalScale(), "y": bq.LinearScale(min=0, max=10, allow_padding=False)},
    )
    shown = painted(bars)
    assert box_of(shown, RED) == (30, 60, 13, 37)
    assert box_of(shown, BLUE)[0] == 0
    assert 48 <= np.count_nonzero((shown[59] != 255).any(axis=1)) <= 52


def test_bars_stand_upon_one_another_or_beside():
    options = {
        "x": ["a"],
        "y": [[4.0], [6.0]],
        "colors": ["red", "blue"],
        "padding": 0.0,
        "scales": {"x": bq.OrdinalScale(), "y": bq.LinearScale(min=0, max=10)},
    }
    stacked = painted(bq.Bars(type="stacked", **options))
    assert box_of(stacked, RED) == (36, 60, 0, 100)
    assert box_of(stacked, BLUE) == (0, 36, 0, 100)
    grouped = painted(bq.Bars(type="grouped", **options))
    assert box_of(grouped, RED) == (36, 60, 0, 50)
    assert box_of(grouped, BLUE) == (24, 60, 50, 100)


def test_bars_that_lie_begin_at_the_bottom():
    bars = bq.Bars(
        x=["low", "high"],
        y=[2.0, 10.0],
        orientation="horizontal",
        padding=0.0,
        colors=["red", "blue"],
        scales={"x": bq.OrdinalScale(), "y": bq.LinearScale(min=0, max=10)},
    )
    shown = painted(bars)
    assert box_of(shown, RED) == (30, 60, 0, 20)
    assert box_of(shown, BLUE) == (0, 30, 0, 100)


def test_a_line_goes_where_its_points_are_and_leaves_out_what_is_not_a_number():
    line = bq.Lines(
        x=[0, 4, 5, 6, 10], y=[5, 5, np.nan, 5, 5], colors=["red"], scales=scales(), stroke_width=2
    )
    shown = painted(line)
    assert (shown[30, 10] == RED).all()
    assert (shown[30, 90] == RED).all()
    assert (shown[30, 50] == 255).all()
    assert (shown[20] == 255).all()


def test_a_dashed_line_has_gaps():
    line = bq.Lines(
        x=[0, 10], y=[5, 5], colors=["red"], scales=scales(), stroke_width=2, line_style="dashed"
    )
    drawn = (painted(line)[30] != 255).any(axis=1)
    assert 45 <= drawn.sum() <= 60


def test_what_lies_below_a_line_is_filled():
    line = bq.Lines(
        x=[0, 10],
        y=[5, 5],
        fill="bottom",
        fill_colors=["red"],
        fill_opacities=[1.0],
        colors=["red"],
        scales=scales(),
    )
    shown = painted(line)
    assert (shown[40:58, 5:95] == RED).all()
    assert (shown[:25] == 255).all()


def test_points_lie_at_their_values_the_second_scale_upwards():
    points = bq.Scatter(
        x=[2.0], y=[9.0], colors=["red"], default_size=60, scales=scales(), stroke_width=0
    )
    top, bottom, left, right = box_of(painted(points), RED)
    assert abs((left + right) / 2 - 20) <= 1
    assert abs((top + bottom) / 2 - 6) <= 1


def test_cells_have_the_colour_of_their_value_and_nothing_has_its_own():
    cells = bq.GridHeatMap(
        color=np.array([[0.0, 1.0], [np.nan, 0.5]]),
        row=["top", "bottom"],
        column=["left", "right"],
        null_color="blue",
        stroke="rgba(0,0,0,0)",
        scales={
            "row": bq.OrdinalScale(reverse=True),
            "column": bq.OrdinalScale(),
            "color": bq.ColorScale(colors=["white", "red"], min=0, max=1),
        },
    )
    shown = painted(cells)
    assert (shown[:30, :50] == 255).all()
    assert box_of(shown, RED) == (0, 30, 50, 100)
    assert box_of(shown, BLUE) == (30, 60, 0, 50)
    assert (shown[45, 75] == (255, 128, 128)).all()


def test_an_explicit_domain_says_the_order_whatever_the_direction():
    scale = bq.OrdinalScale(domain=["c", "a", "b"], reverse=True)
    reach = Reach(scale, [], 30, 0)
    assert [reach(each) for each in "cab"] == [25, 15, 5]
    assert np.isnan(reach("unknown"))


def test_a_reversed_scale_runs_the_other_way():
    reach = Reach(bq.LinearScale(min=0, max=10, reverse=True), [], 0, 100)
    assert reach(0) == 100
    assert reach(10) == 0


def test_a_scale_without_ends_spans_its_values():
    reach = Reach(bq.LinearScale(), [np.array([3.0, np.nan]), np.array([7.0])], 0, 100)
    assert (reach(3), reach(5), reach(7)) == (0, 50, 100)
    assert Reach(bq.LinearScale(), [], 0, 100)(0.5) == 50


def test_colours_may_have_a_middle_of_their_own():
    look = colour_scale(bq.ColorScale(colors=["red", "white", "blue"], min=-1, mid=0, max=4), [])
    assert look(-1)[:3] == RED
    assert look(0)[:3] == (255, 255, 255)
    assert look(4)[:3] == BLUE
    assert look(99)[:3] == BLUE


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        (0, 10, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"]),
        (0.47, 0.83, ["0.5", "0.55", "0.6", "0.65", "0.7", "0.75", "0.8"]),
        (-20, 20, ["\u221220", "\u221215", "\u221210", "\u22125", "0", "5", "10", "15", "20"]),
        (3.0, 3.0, ["3"]),
    ],
)
def test_ticks_are_round_and_told_shortly(low, high, texts):
    assert tick_texts(ticks(low, high), None) == texts


def test_ticks_that_are_given_are_told_in_full():
    assert tick_texts([0.0, 0.25, 0.5, 0.75, 1.0], None) == ["0", "0.25", "0.5", "0.75", "1"]


def test_an_axis_writes_its_ticks_outside_the_plot():
    line = bq.Lines(x=[0, 10], y=[5, 5], colors=["red"], scales=scales(), stroke_width=2)
    margin = {"top": 10, "bottom": 20, "left": 30, "right": 10}
    axes = [
        bq.Axis(scale=line.scales["x"], num_ticks=2, grid_lines="none"),
        bq.Axis(scale=line.scales["y"], side="left", num_ticks=2, grid_lines="none"),
    ]
    figure = plain_figure([line], axes=axes, margin=margin, layout=SIZE)
    shown = np.asarray(Image.open(io.BytesIO(paint(figure))).convert("RGB"))
    shown = shown[EDGE : EDGE + 60, EDGE : EDGE + 100]
    assert (shown[45:58, 25:95] < 200).any()
    assert (shown[5:45, 8:24] < 200).any()
    assert box_of(shown, RED)[2:] == (31, 90)  # the line of the axis lies on its first pixel


def test_what_lies_beyond_the_plot_is_not_drawn():
    points = bq.Scatter(x=[50.0], y=[5.0], colors=["red"], scales=scales(), default_size=400)
    assert (painted(points) == 255).all()


@pytest.mark.parametrize("values", [[], [np.nan], [np.inf]])
def test_marks_without_values_draw_nothing(values):
    marks = [
        bq.Lines(x=values, y=values, scales=scales()),
        bq.Scatter(x=values, y=values, scales=scales()),
        bq.Bars(x=["a"] * len(values), y=values, scales={**scales(), "x": bq.OrdinalScale()}),
        bq.Label(x=values, y=values, text=["word"] * len(values), scales=scales()),
    ]
    assert (painted(*marks) == 255).all()


def cloud(points, **options):
    made = PointCloud(
        on_choose=lambda *_: None, on_clear=lambda: None, on_hover=lambda _: None, **options
    )
    made.show(np.array(points, np.float32))
    return made


def test_a_cloud_keeps_its_proportions_unless_it_fills():
    points = [(0, 0), (2, 1)]
    kept = places_px(cloud(points, width_px=228, height_px=128))
    np.testing.assert_allclose(kept, [(14, 114), (214, 14)])
    square = places_px(cloud(points, width_px=128, height_px=128))
    np.testing.assert_allclose(square, [(14, 89), (114, 39)])
    filled = places_px(cloud(points, width_px=128, height_px=128, fill=True))
    np.testing.assert_allclose(filled, [(14, 114), (114, 14)])


def test_chosen_points_stand_out():
    made = cloud([(0, 0), (1, 1), (0, 1)], width_px=128, height_px=128)
    made.colour(np.array([0, 1, 1]), np.array([RED, BLUE]))
    made.emphasise(np.array([1, 2, 0]))
    shown = np.asarray(Image.open(io.BytesIO(paint(w.VBox([made])))).convert("RGB")).astype(int)
    at = [tuple((np.array(place) + EDGE).astype(int)) for place in places_px(made)]
    chosen, focus, dim = (shown[row, column] for column, row in at)
    assert chosen[0] > 230 > 30 > chosen[1]
    assert focus[2] > 230 > 30 > focus[0]
    assert dim[0] > 200
    assert (shown < 60).all(axis=2).any()  # a ring around the one in focus
