"""What units tell of the class, under the mouse: the button measures, a row chooses its unit."""

import pytest

SETUP = """
import actwidgets as aw
from actwidgets.views.unit_importance import UnitImportance

data = aw.load_dataset("digits")
session = aw.Session(
    aw.demo_model(), data.x_test, data.y_test, class_names=data.class_names, layer="dense"
)
"""
CELL = "view = UnitImportance(session, by='mutual_information')\nview"


@pytest.fixture(scope="module")
def notebook(lab):
    notebook = lab.new(SETUP, CELL, height=1400)
    notebook.run_all()
    return notebook


def test_the_button_measures_and_bars_are_as_long_as_their_values(notebook):
    notebook.page.get_by_role("button", name="Measure").click()
    notebook.wait_until("session.importance.known() is not None")
    notebook.execute("session.importance.wait()")
    notebook.settle(page_ms=1500)  # the bars grow to their length
    values = notebook.evaluate(
        "session.importance.known().mutual_information[view._shown].tolist()"
    )
    bars = notebook.page.locator(".aw-measures svg g:has(> .bargroup)")
    boxes = bars.nth(2).locator("rect.bar")  # behind the bands and the forest
    lengths = [boxes.nth(row).bounding_box()["width"] for row in range(len(values))]
    words = notebook.page.locator(".aw-measures svg text")
    apart = []
    for row in (0, 15, 29):  # what is written stands beside its bar, from top to bottom
        bar, word = boxes.nth(row).bounding_box(), words.nth(row).bounding_box()
        apart.append(bar["y"] + bar["height"] / 2 - word["y"] - word["height"] / 2)
    assert max(apart) - min(apart) < 1.5
    assert len(values) == 30
    for length, value in zip(lengths, values, strict=True):
        assert abs(length - value * max(lengths) / max(values)) < 2
    notebook.assert_no_errors()


@pytest.mark.parametrize(("row", "across"), [(2, 0.97), (7, 0.35), (29, 0.03)])
def test_a_click_anywhere_on_a_row_chooses_its_unit(notebook, row, across):
    figure = notebook.page.locator(".aw-measures .bqplot")
    figure.scroll_into_view_if_needed()
    notebook.settle()
    box = figure.bounding_box()
    height = box["height"] / 30
    figure.click(position={"x": across * box["width"], "y": (row + 0.5) * height})
    notebook.wait_until("session.unit", notebook.evaluate(f"int(view._shown[{row}])"))
    notebook.assert_no_errors()
