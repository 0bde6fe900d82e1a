"""A classifier under the mouse: every click is followed by all the other views, and back."""

import io
import re

import numpy as np
import pytest
from PIL import Image

SETUP = """
import ipywidgets, numpy as np, actwidgets as aw

data = aw.load_dataset("digits")
session = aw.Session(
    aw.demo_model(), data.x_test, data.y_test, class_names=data.class_names, layer="conv_1"
)
session.profiles(), session.confusion()
"""
CELL = """
chips, matrix = aw.SelectionBar(session), aw.ConfusionMatrix(session)
gallery, maps = aw.SampleGallery(session), aw.FeatureMapGrid(session)
boxes = aw.UnitBoxPlot(session)
kernels, table = aw.KernelGrid(session), aw.PredictionTable(session)
ablation, counts = aw.UnitAblation(session), aw.ClassCounts(session)
classes, clustered = (aw.ClassSimilarityMatrix(session, order=o) for o in ("class", "clustered"))
upper = ipywidgets.HBox([ipywidgets.VBox([matrix, table]), ipywidgets.VBox([gallery, maps])])
ipywidgets.VBox([chips, upper, ipywidgets.HBox([boxes, kernels]), ablation, counts,
    ipywidgets.HBox([classes, clustered])])
"""


@pytest.fixture(scope="module")
def notebook(lab):
    notebook = lab.new(SETUP, CELL, width=1700, height=3200)
    notebook.run_all()
    notebook.execute("session.wait()")
    return notebook


def _picture(notebook, view):
    """The pixels of the last picture in a view, found by its title."""
    return notebook.pixels(_view(notebook, view).locator(".aw-picture > img").last)


def _view(notebook, title):
    heading = notebook.page.locator(".aw-title", has_text=re.compile(rf"^\s*{title}"))
    return notebook.page.locator(".aw-view", has=heading).first


def _click(notebook, figure, x, y):
    figure.scroll_into_view_if_needed()
    notebook.settle()
    figure.click(position={"x": x, "y": y})


def _changes(notebook, view, before):
    notebook.wait_until(lambda: not np.array_equal(before, _picture(notebook, view)))


def test_a_cell_of_the_confusion_matrix_is_followed_by_gallery_maps_and_boxes(notebook):
    maps, gallery = _picture(notebook, "Feature maps"), _picture(notebook, r"Samples(?! by)")
    pair = 8, 8  # mistakes are too few for a choice of several samples
    n_classes = len(notebook.evaluate("list(session.class_names)"))
    cells = _view(notebook, "Confusion matrix").locator(".heatmapcell")
    assert cells.count() == (n_classes + 1) ** 2
    wanted = notebook.evaluate(f"list(session.confusion().samples({pair[0]}, {pair[1]}))")
    places = [cells.nth(index).bounding_box() for index in range(cells.count())]
    rows = sorted({round(place["y"]) for place in places})
    columns = sorted({round(place["x"]) for place in places})
    wanted_place = columns[pair[1]], rows[pair[0]]
    found = [(round(place["x"]), round(place["y"])) for place in places]
    clicked = cells.nth(found.index(wanted_place))
    clicked.click()
    notebook.wait_until("list(session.samples)", wanted)
    line = _view(notebook, "Confusion matrix").locator(".bqplot .curve path.line")
    notebook.wait_until(lambda: line.is_visible())
    notebook.settle()
    box = "e => { const b = e.getBoundingClientRect(); return [b.x, b.y, b.width, b.height]; }"
    np.testing.assert_allclose(line.evaluate(box), clicked.evaluate(box), atol=1)
    _changes(notebook, "Feature maps", maps)
    _changes(notebook, "Samples", gallery)
    told = f"{len(wanted)} selected of"
    notebook.page.get_by_text(told).wait_for()
    dots = _view(notebook, r"Unit \d+ by class").locator(".dot_grp, .object_grp .dot")
    notebook.page.get_by_text(f"dots: {len(wanted)} selected samples").wait_for()
    notebook.wait_until(lambda: dots.count() >= len(wanted))


def test_selection_bar_take_it_back(notebook):
    before = _picture(notebook, r"Samples(?! by)")
    notebook.page.locator("button.aw-chip", has_text="true 8 → predicted 8 (41)").click()
    notebook.wait_until("len(session.samples)", 1)
    _changes(notebook, "Samples", before)
    notebook.page.get_by_text("selected of").wait_for(state="detached")


def test_python_chooses_samples_as_a_click_does(notebook):
    before = _picture(notebook, "Feature maps")
    notebook.execute("session.samples = [3, 5, 8]")
    _changes(notebook, "Feature maps", before)
    notebook.page.get_by_text("3 selected of").wait_for()
    notebook.page.get_by_text("3 samples: 3, 5, 8").wait_for()


def test_a_click_on_a_map_is_followed_by_box_plot_and_kernel_and_one_on_a_kernel_back(notebook):
    kernels = _picture(notebook, "Kernels")
    _click(notebook, _view(notebook, "Feature maps").locator(".bqplot").last, 300, 12)
    notebook.wait_until("session.unit > 0")
    unit = notebook.evaluate("session.unit")
    notebook.page.get_by_text(f"Unit {unit} by class").wait_for()
    _changes(notebook, "Kernels", kernels)
    maps = _picture(notebook, "Feature maps")
    _click(notebook, _view(notebook, "Kernels").locator(".bqplot").first, 8, 8)
    notebook.wait_until("session.unit", 0)
    notebook.page.get_by_text("Unit 0 by class").wait_for()
    _changes(notebook, "Feature maps", maps)


def test_a_tile_switches_a_unit_off_and_matrix_and_accuracy_follow(notebook):
    notebook.execute("session.layer = 'dense'")
    notebook.page.get_by_text("32 of 32 units").first.wait_for()
    _click(notebook, _view(notebook, "Unit ablation").locator(".bqplot").first, 13, 13)
    notebook.wait_until("[list(each.units) for each in session.ablations]", [[0]])
    notebook.page.get_by_text("with ablated units").wait_for()
    notebook.page.get_by_text("1 unit ablated in this layer").wait_for()
    notebook.page.locator("button.aw-chip", has_text="unit 0 off").click()
    notebook.wait_until("len(session.ablations)", 0)
    notebook.page.get_by_text("0 units ablated in this layer").wait_for()


def test_a_line_of_the_table_is_the_sample_in_focus(notebook):
    notebook.execute("session.samples = [3, 5, 8]")
    notebook.page.get_by_text("▸ 3").wait_for()
    _click(notebook, _view(notebook, "Predictions").locator(".bqplot").first, 60, 40 + 20 + 10)
    notebook.wait_until("session.sample", 5)
    notebook.page.get_by_text("▸ 5").wait_for()
    assert notebook.evaluate("list(session.samples)") == [3, 5, 8]


def test_a_bar_chooses_the_class_and_nothing_failed(notebook):
    bars = _view(notebook, "Samples by class").locator(".bqplot rect.bar")
    assert bars.count() == 10
    bars.nth(4).click()
    notebook.wait_until("session.class_index", 4)
    errors = (
        "[each.error for each in (chips, matrix, gallery, maps, boxes, kernels, table, ablation)]"
    )
    assert set(notebook.evaluate(errors)) == {""}
    notebook.assert_no_errors()


def _names_down(notebook, view):
    """What stands at the left of a matrix, from top to bottom."""
    ticks = view.locator(".bqplot .tick text")
    found = [
        (ticks.nth(i).bounding_box(), ticks.nth(i).text_content()) for i in range(ticks.count())
    ]
    leftmost = min(box["x"] + box["width"] for box, _ in found)
    return [
        text
        for box, text in sorted(found, key=lambda each: each[0]["y"])
        if box["x"] + box["width"] < leftmost + 8
    ]


def _shot(view):
    return np.asarray(Image.open(io.BytesIO(view.screenshot())).convert("RGB")).astype(int)


def _same(one, other):
    return one.shape == other.shape and (abs(one - other).max(axis=2) > 40).mean() < 0.002


def test_what_the_mouse_told_goes_as_it_leaves(notebook):
    notebook.execute("session.select(layer='conv_1', samples=(3,), class_index=None)")
    view = _view(notebook, "Confusion matrix")
    cells = view.locator(".heatmapcell")
    cells.nth(40).hover()
    told = view.get_by_text(re.compile(r"^\d+ samples? of .* predicted as"))
    told.wait_for()
    notebook.page.mouse.move(5, 5)
    told.wait_for(state="detached")
    maps = _view(notebook, "Feature maps")
    figure = maps.locator(".bqplot").last
    figure.scroll_into_view_if_needed()
    figure.hover(position={"x": 100, "y": 12})
    maps.get_by_text("sample 3, unit").wait_for()
    notebook.execute("session.sample = 5")  # the mouse stays where it is
    maps.get_by_text("sample 5, unit").wait_for()
    notebook.page.mouse.move(5, 5)
    maps.get_by_text(re.compile(r"^sample \d+, unit")).wait_for(state="detached")


def test_no_label_has_null_for_a_tooltip(notebook):
    labels = notebook.page.locator(".aw-view .widget-label")
    titles = labels.evaluate_all("all => all.filter(e => e.textContent).map(e => e.title)")
    assert titles
    assert "null" not in titles


def test_after_a_reload_every_figure_looks_as_before(notebook):
    wanted = ("Confusion matrix", "Class similarity", r"Unit \d+ by class", "Unit ablation")
    wanted += ("Samples by class", "Predictions", "Kernels", "Feature maps", r"Samples(?! by)")
    notebook.execute("session.select(layer='dense', samples=(3, 5, 8), class_index=None)")
    notebook.execute("session.wait()")
    notebook.page.mouse.move(5, 5)
    notebook.settle(1500)
    before = {title: _shot(_view(notebook, title)) for title in wanted}
    clustered = notebook.page.locator(".aw-view", has_text="Class similarity").last
    before_clustered = _shot(clustered)
    down = [str(digit) for digit in range(10)]
    assert _names_down(notebook, _view(notebook, "Confusion matrix")) == [*down, "precision"]
    notebook.reload()
    _view(notebook, "Confusion matrix").wait_for()
    notebook.settle(2500)
    assert _names_down(notebook, _view(notebook, "Confusion matrix")) == [*down, "precision"]
    assert _names_down(notebook, _view(notebook, "Class similarity")) == down
    changed = [title for title in wanted if not _same(before[title], _shot(_view(notebook, title)))]
    assert changed == []
    assert _same(before_clustered, _shot(clustered))
    cells = _view(notebook, "Confusion matrix").locator(".heatmapcell")
    cells.nth(0).wait_for()
    notebook.assert_no_errors()
