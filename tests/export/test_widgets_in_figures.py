"""Widgets and bqplot's marks one by one, as matplotlib shows them."""

import logging

import bqplot as bq
import ipywidgets as w
import numpy as np
import pytest
from matplotlib.text import Text

from actwidgets.export import plots
from actwidgets.export.figure import figure_of
from actwidgets.export.html_text import THEMES, Style, color_of, cut, px, text_width
from actwidgets.export.plots import number_text
from actwidgets.images.encode import rgba_png
from actwidgets.views.picture import plain_figure
from actwidgets.views.point_cloud import PointCloud

SIZE = {"width": "100px", "height": "60px"}
RED, BLUE = (255, 0, 0), (0, 0, 255)


def shown(widget):
    """The texts of a widget's figure, in the order of reading."""
    figure = figure_of(widget)
    found = [each for each in figure.findobj(Text) if each.get_text()]
    places = {each: each.get_window_extent() for each in found}
    found.sort(key=lambda each: (-round(places[each].y0, -1), places[each].x0))
    return [each.get_text() for each in found]


def texts_of(value, **layout):
    return shown(w.HTML(value, layout=layout))


def drawn(*marks, axes=(), **options):
    """The axes of a figure with these marks, and its pixels."""
    figure = figure_of(plain_figure(marks, axes=list(axes), layout=SIZE, **options))
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    return figure.axes, pixels[10:-10, 10:-10]


def scales(low=0.0, high=10.0):
    return {
        "x": bq.LinearScale(min=low, max=high, allow_padding=False),
        "y": bq.LinearScale(min=low, max=high, allow_padding=False),
    }


def box_of(pixels, color):
    """Top, bottom, left and right of what has a color."""
    rows, columns = np.nonzero((pixels == color).all(axis=2))
    return rows.min(), rows.max() + 1, columns.min(), columns.max() + 1


# --- Widgets


def test_buttons_hints_and_what_is_hidden_are_left_out(caplog):
    text = w.HTML("<b>seen</b>")
    folded = w.VBox([w.HTML("folded")], layout={"height": "0px"})
    hidden, empty = w.HTML("hidden", layout={"display": "none"}), w.HTML("&nbsp;")
    sheet = w.HTML("<style>.a { color: red }</style>")
    mouse = w.HTML('<div class="aw-note aw-hint">drag</div>')
    button = w.Button(description="press")
    box = w.VBox([button, hidden, text, w.IntSlider(), folded, empty, sheet, mouse, w.Text("x")])
    assert shown(box) == ["seen"]
    assert not caplog.records


def test_what_is_chosen_is_one_line():
    row = w.HBox(
        [
            w.Dropdown(options=[("mean |difference|", 1), ("cosine", 2)], description="metric"),
            w.FloatSlider(0.25, description="threshold"),
            w.Checkbox(True, description="shared scale"),
            w.Checkbox(False, description="off"),
            w.Button(description="press"),
            w.Button(description="class cat  ×"),
        ]
    )
    assert shown(row) == ["metric: mean |difference| · threshold: 0.25 · shared scale · class cat"]


def test_what_nobody_knows_is_left_out_and_told_once(caplog, monkeypatch):
    class Strange(w.DOMWidget):
        pass

    class StrangeMark(bq.Mark):
        pass

    monkeypatch.setattr(plots, "_warned", set())
    strange = bq.Figure(marks=[StrangeMark(scales={})], layout=SIZE)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            figure_of(w.VBox([w.HTML("seen"), Strange(), strange]))
    assert [record.args for record in caplog.records] == [("Strange",), ("StrangeMark",)]


def test_a_list_shows_all_lines_and_of_very_many_those_around_the_chosen_one():
    options = [f"line {place}" for place in range(200)]
    assert shown(w.Select(options=options[:20], rows=3, value="line 9")) == options[:20]
    lines = shown(w.Select(options=options, rows=3, value="line 99"))
    assert lines == [*options[40:100], "60 of 200 lines"]


def test_boxes_lie_side_by_side_and_wrap():
    boxes = [w.VBox([w.HTML(each)], layout={"width": "300px"}) for each in "abcd"]
    row = w.Box(boxes, layout={"flex_flow": "row wrap"})
    places = {each.get_text(): each.get_window_extent()
              for each in figure_of(row, page_px=700).findobj(Text) if each.get_text()}  # fmt: skip
    assert places["a"].y0 == pytest.approx(places["b"].y0, abs=4)
    assert places["c"].y1 < places["a"].y0
    assert places["c"].x0 == pytest.approx(places["a"].x0, abs=2)


# --- Text


def test_entities_are_letters_and_tags_are_none():
    assert texts_of("a &lt;b&gt; &amp; c") == ["a <b> & c"]
    assert texts_of("a  <!-- note -->\n b") == ["a b"]


def test_titles_are_bold_and_their_details_are_not():
    figure = figure_of(w.HTML('<div class="aw-title">Kernels <span>conv $x$</span></div>'))
    found = {each.get_text(): each for each in figure.findobj(Text)}
    assert found["Kernels"].get_weight() == "bold"
    assert found["conv $x$"].get_weight() == "normal"
    assert not found["conv $x$"].get_parse_math()
    ends = [found[name].get_window_extent() for name in ("Kernels", "conv $x$")]
    assert 2 < ends[1].x0 - ends[0].x1 < 9


def test_text_wraps_where_there_is_no_room_and_a_long_word_is_cut():
    words = "one two three four five six seven eight nine ten"
    lines = texts_of(words, width="90px")
    assert len(lines) > 2
    assert " ".join(lines) == words
    (long,) = texts_of("a" * 200, width="80px")
    assert long.endswith("…")
    assert text_width(long, Style()) <= 81


def test_a_text_is_cut_to_its_room():
    style = Style(10)
    assert cut("abc", style, 500) == "abc"
    short = cut("a very long name", style, 40)
    assert short.endswith("…")
    assert text_width(short, style) <= 41


def test_cells_of_a_table_stand_in_columns():
    table = (
        '<table class="aw-table"><tr><th></th><th>mean</th></tr>'
        "<tr><th>shirt</th><td>1</td></tr><tr><th>coat</th><td>22</td></tr></table>"
    )
    figure = figure_of(w.HTML(table))
    places = {each.get_text(): each.get_window_extent() for each in figure.findobj(Text)}
    ends = [places[each].x1 for each in ("mean", "1", "22")]
    assert np.ptp(ends) < 3
    assert places["mean"].y0 > places["1"].y0 > places["22"].y0


def test_a_bar_is_as_wide_as_its_share():
    row = '<tr><th>a</th><td><b style="width:{}%;background:#ff0000"></b></td><td>1</td></tr>'
    widths = []
    for share in (25, 100):
        figure = figure_of(
            w.HTML(f'<table class="aw-bars">{row.format(share)}</table>', layout={"width": "300px"})
        )
        figure.canvas.draw()
        pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]
        widths.append((pixels == RED).all(axis=2).any(axis=0).sum())
    assert widths[1] == pytest.approx(4 * widths[0], abs=3)


def test_a_legend_has_its_colors_and_a_ramp_is_a_colorbar():
    legend = (
        '<div class="aw-legend"><span><i style="background: #ff0000"></i>two words</span>'
        '<span>0 <i style="background: linear-gradient(90deg, rgb(255,0,0), #0000ff)"></i> 1</span>'
        "</div>"
    )
    figure = figure_of(w.HTML(legend))
    assert any("two\xa0words" in each.get_text() for each in figure.findobj(Text))
    (axes,) = figure.axes
    ramp = axes.images[0].cmap
    assert axes.get_label() == "colorbar"
    assert ramp(0.0)[:3] == (1, 0, 0)
    assert ramp(1.0)[:3] == (0, 0, 1)
    figure.canvas.draw()
    assert (np.asarray(figure.canvas.buffer_rgba())[..., :3] == RED).all(axis=2).sum() > 60


@pytest.mark.parametrize("value", ["", "&nbsp;", "<style>.a{}</style>", "<img hidden src='x'>"])
def test_what_has_no_words_takes_no_room(value):
    assert texts_of(value) == []
    assert figure_of(w.HTML(value)).get_size_inches().max() * 96 <= 21


@pytest.mark.parametrize(
    "value",
    ["<div", "</b>x", "<table><tr>x", "<b><i>x</b></i>", "<td>x", "a<br>b", "<table></table>"],
)
def test_markup_that_is_not_closed_is_drawn_all_the_same(value):
    assert figure_of(w.VBox([w.HTML("above"), w.HTML(value)]))


def test_lengths_and_colors():
    assert (px("12px"), px("50%", 80), px(".5"), px("auto")) == (12, 40, 0.5, None)
    dark = THEMES["dark"]
    assert color_of("var(--jp-ui-font-color2, #616161)", dark) == dark.faint
    assert color_of("rgba(255, 0, 0, .5)", dark) == (1, 0, 0, 0.5)
    assert color_of("no color", dark)[3] == 0


# --- Marks


def test_bars_stand_at_their_values_grouped_or_stacked_or_lie():
    across = bq.OrdinalScale(domain=["a", "b"])
    y = bq.LinearScale(min=0, max=10, allow_padding=False)
    options = {"x": ["a", "b"], "padding": 0.0, "colors": ["red", "blue"]}
    options["scales"] = {"x": across, "y": y}
    (axes,), pixels = drawn(bq.Bars(y=[5.0, 10.0], **options))
    assert [bar.get_height() for bar in axes.patches] == [5, 10]
    assert box_of(pixels, RED) == (30, 60, 0, 50)
    (axes,), pixels = drawn(bq.Bars(y=[[4.0, 1.0], [6.0, 2.0]], type="stacked", **options))
    assert [bar.get_y() for bar in axes.patches] == [0, 0, 4, 1]
    assert box_of(pixels, BLUE)[:2] == (0, 54)
    (axes,), _ = drawn(bq.Bars(y=[[4.0, -1.0], [6.0, -2.0], [-3.0, 5.0]], **options))
    tops = [(bar.get_y(), bar.get_y() + bar.get_height()) for bar in axes.patches]
    assert tops == [(0, 4), (0, -1), (4, 10), (-1, -3), (0, -3), (0, 5)]
    (axes,), _ = drawn(bq.Bars(y=[[4.0, 1.0], [6.0, 2.0]], type="grouped", **options))
    assert [bar.get_x() for bar in axes.patches] == [-0.5, 0.5, 0, 1]
    (axes,), pixels = drawn(bq.Bars(y=[2.0, 10.0], orientation="horizontal", **options))
    assert [bar.get_width() for bar in axes.patches] == [2, 10]
    assert box_of(pixels, RED) == (30, 60, 0, 20)


def test_a_line_keeps_its_points_and_its_gaps():
    y = [5, 5, np.nan, 5, 5]
    line = bq.Lines(x=[0, 4, 5, 6, 10], y=y, colors=["red"], scales=scales(), stroke_width=2)
    (axes,), pixels = drawn(line)
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), y)
    assert (pixels[30, 10] == RED).all()
    assert (pixels[30, 50] == 255).all()


def test_an_outline_is_filled():
    x, y = [[0, 0, 10, 10]], [[0, 5, 5, 0]]
    line = bq.Lines(x=x, y=y, fill="inside", fill_colors=["red"], colors=["red"], scales=scales())
    _, pixels = drawn(line)
    assert (pixels[40:58, 5:95] == RED).all()
    assert (pixels[:25] == 255).all()


def test_points_lie_at_their_values_and_on_earlier_marks():
    box = bq.Bars(x=[2.0], y=[9.5], scales=scales(), colors=["blue"])
    points = bq.Scatter(x=[2.0], y=[9.0], colors=["red"], default_size=60, scales=box.scales)
    axes, pixels = drawn(box, points)
    assert len(axes) == 1  # one `Axes` for a pair of scales
    top, bottom, left, right = box_of(pixels, RED)
    assert abs((left + right) / 2 - 20) <= 1
    assert abs((top + bottom) / 2 - 6) <= 1


def test_cells_have_the_color_of_their_value_and_nothing_has_its_own():
    cells = bq.GridHeatMap(
        color=np.array([[0.0, 1.0], [np.nan, 0.5]]),
        row=["top", "bottom"],
        column=["left", "right"],
        scales={
            "row": bq.OrdinalScale(reverse=True),
            "column": bq.OrdinalScale(),
            "color": bq.ColorScale(colors=["white", "red"], min=0, max=1),
        },
        display_format=".1f",
        font_style={"font-size": "1px"},
    )
    (axes,), pixels = drawn(cells)
    assert (pixels[:30, :50] == 255).mean() > 0.9
    assert box_of(pixels, RED) == (0, 30, 50, 100)
    assert (pixels[50, 10] == (200, 200, 200)).all()
    assert [each.get_text() for each in axes.texts] == ["0.0", "1.0", "–", "0.5"]


def test_colors_may_have_a_middle_of_their_own():
    cells = bq.GridHeatMap(
        color=np.array([[-1.0, 0.0, 4.0]] * 2),
        row=["a", "b"],
        column=["c", "d", "e"],
        scales={
            "row": bq.OrdinalScale(),
            "column": bq.OrdinalScale(),
            "color": bq.ColorScale(colors=["red", "white", "blue"], min=-1, mid=0, max=4),
        },
    )
    (axes,), _ = drawn(cells)
    image = axes.images[0]
    shades = image.cmap(image.norm([-1.0, 0.0, 4.0]))[:, :3]
    np.testing.assert_allclose(shades, [(1, 0, 0), (1, 1, 1), (0, 0, 1)], atol=0.01)


def test_an_axis_has_its_ticks_its_names_and_its_label():
    line = bq.Lines(x=[0, 10], y=[0.5, 0.25], colors=["red"], scales=scales(0, 10))
    left = bq.LinearScale(min=0, max=1)
    line.scales = {"x": line.scales["x"], "y": left}
    axes = [
        bq.Axis(scale=line.scales["x"], label="epoch_$", num_ticks=3, grid_lines="none"),
        bq.Axis(
            scale=left,
            orientation="vertical",
            tick_values=[0.0, 0.5, 1.0],
            tick_labels={"0": "none", "1": "a rather long name"},
            tick_format=".0%",
        ),
    ]
    margin = {"top": 10, "bottom": 20, "left": 45, "right": 10}
    (plot,), _ = drawn(line, axes=axes, margin=margin)
    assert [each.get_text() for each in plot.get_xticklabels()] == ["0", "5", "10"]
    names = [each.get_text() for each in plot.get_yticklabels()]
    assert names[:2] == ["none", "50%"]
    assert names[2].endswith("…")
    assert plot.get_xlabel() == "epoch_$"
    assert not plot.xaxis.label.get_parse_math()


def test_scales_without_ends_span_their_values_and_may_be_reversed():
    points = bq.Scatter(
        x=[3.0, np.nan, 7.0],
        y=[1.0, 1.0, 1.0],
        scales={"x": bq.LinearScale(reverse=True), "y": bq.LinearScale()},
    )
    (axes,), _ = drawn(points)
    assert axes.get_xlim() == (7, 3)
    assert axes.get_ylim() == (0.5, 1.5)


def test_numbers_are_those_of_d3():
    assert [number_text(0.47, ".2g"), number_text(-3, "~g"), number_text(0.5, ".0%")] == [
        *("0.47", "\u22123", "50%")
    ]
    assert [number_text(np.nan, None), number_text(0.1 + 0.2, None)] == ["–", "0.3"]


@pytest.mark.parametrize("values", [[], [np.nan], [np.inf]])
def test_marks_without_values_draw_nothing(values):
    marks = [
        bq.Lines(x=values, y=values, scales=scales()),
        bq.Scatter(x=values, y=values, scales=scales()),
        bq.Bars(x=["a"] * len(values), y=values, scales={**scales(), "x": bq.OrdinalScale()}),
        bq.Label(x=values, y=values, text=["word"] * len(values), scales=scales()),
    ]
    _, pixels = drawn(*marks)
    assert (pixels == 255).all()


# --- Clouds of points


def cloud(points, **options):
    made = PointCloud(
        on_choose=lambda *_: None, on_clear=lambda: None, on_hover=lambda _: None, **options
    )
    made.show(np.array(points, np.float32))
    return made


def places_px(widget, points):
    """Where points lie, from the left and from the top of the cloud."""
    figure = figure_of(widget)
    (axes,) = figure.axes
    places = axes.transData.transform(points) - axes.bbox.min
    return np.column_stack([places[:, 0], axes.bbox.height - places[:, 1]])


def test_a_cloud_keeps_its_proportions_unless_it_fills():
    points = [(0, 0), (2, 1)]
    kept = places_px(cloud(points, width_px=228, height_px=128), points)
    np.testing.assert_allclose(kept, [(14, 114), (214, 14)], atol=0.01)
    square = places_px(cloud(points, width_px=128, height_px=128), points)
    np.testing.assert_allclose(square, [(14, 89), (114, 39)], atol=0.01)
    filled = places_px(cloud(points, width_px=128, height_px=128, fill=True), points)
    np.testing.assert_allclose(filled, [(14, 114), (114, 14)], atol=0.01)
    assert figure_of(cloud([]))


def test_chosen_points_stand_out():
    points = [(0, 0), (1, 1), (0, 1)]
    made = cloud(points, width_px=128, height_px=128)
    made.color(np.array([0, 1, 1]), np.array([RED, BLUE]))
    made.emphasize(np.array([1, 2, 0]))
    figure = figure_of(made)
    faint, strong, ring = figure.axes[0].collections
    np.testing.assert_array_equal(strong.get_offsets(), points[:2])
    np.testing.assert_allclose(strong.get_facecolors()[:, :3], [(1, 0, 0), (0, 0, 1)])
    assert faint.get_alpha() < 0.2 < 0.9 < strong.get_alpha()
    np.testing.assert_array_equal(ring.get_offsets(), points[1:2])


def test_a_picture_widget_is_shown_pixel_by_pixel():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    pixels = np.dstack([pixels, np.full((4, 6), 255, np.uint8)])
    figure = figure_of(w.Image(value=rgba_png(pixels), width="60"))
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), pixels)
    figure.canvas.draw()
    drawn = np.asarray(figure.canvas.buffer_rgba())[10:-10, 10:-10]
    np.testing.assert_array_equal(drawn, pixels.repeat(10, axis=0).repeat(10, axis=1))
