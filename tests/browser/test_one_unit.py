"""One unit under the mouse: a box chooses a class, a picture a sample, a line a unit."""

import pytest

SETUP = """
import ipywidgets, numpy as np, actwidgets as aw

data = aw.load_dataset("digits")
session = aw.Session(
    aw.demo_model(), data.x_test, data.y_test, class_names=data.class_names, layer="dense"
)
session.profiles()
"""
CELL = """
boxes, top, units = aw.UnitBoxPlot(session), aw.TopSamples(session), aw.UnitTable(session)
alike = aw.LayerSimilarity(session)
ipywidgets.VBox([boxes, top, units, alike])
"""


@pytest.fixture(scope="module")
def notebook(lab):
    notebook = lab.new(SETUP, CELL, height=2400)
    notebook.run_all()
    notebook.execute("session.wait()")
    return notebook


def test_boxes_lie_where_the_quartiles_are_and_a_click_chooses_the_class(notebook):
    page = notebook.page
    boxes = page.locator(".bqplot rect.box")
    assert boxes.count() == 10
    heights = [boxes.nth(index).bounding_box()["height"] for index in range(10)]
    fives = notebook.evaluate("session.unit_boxes().fives.tolist()")
    wanted = [five[3] - five[1] for five in fives]
    scale = max(heights) / max(wanted)
    for height, quartiles in zip(heights, wanted, strict=True):
        assert abs(height - quartiles * scale) < 2.5
    tallest = heights.index(max(heights))
    boxes.nth(tallest).click()
    notebook.wait_until("session.class_index", tallest)
    notebook.wait_until(page.locator(".aw-table tr.aw-chosen th").text_content, str(tallest))
    notebook.assert_no_errors()


def test_a_click_on_a_picture_chooses_the_sample(notebook):
    figure = notebook.images().nth(0)
    figure.scroll_into_view_if_needed()
    notebook.settle()
    box = figure.bounding_box()
    notebook.page.mouse.click(box["x"] + box["width"] * 2.5 / 8, box["y"] + 30)
    notebook.wait_until("session.sample == int(session.top_samples()[0][2])")
    notebook.assert_no_errors()


def test_a_line_chooses_the_unit_for_all_views(notebook):
    lines = notebook.page.locator(".aw-list select option")
    assert lines.count() > 0
    notebook.page.locator(".aw-list select").select_option(index=lines.count() - 1)
    unit = notebook.evaluate("units._findings[-1].unit")
    notebook.wait_until("session.unit", unit)
    notebook.page.get_by_text(f"Unit {unit} by class").wait_for()
    notebook.page.get_by_text(f"Top samples of unit {unit}").wait_for()
    notebook.assert_no_errors()


def test_a_click_on_a_cell_of_the_layers_takes_all_views_there(notebook):
    figure = notebook.images().last
    figure.scroll_into_view_if_needed()
    notebook.settle()
    box = figure.bounding_box()
    first = notebook.evaluate("alike._table.layers[0]")
    notebook.page.mouse.click(box["x"] + box["width"] - 20, box["y"] + 15)
    notebook.wait_until("session.layer", first)
    notebook.assert_no_errors()
