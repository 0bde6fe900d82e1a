"""A long pass watched, stopped and gone on with; the order of classes; the strip of layers."""

import pytest

SETUP = """
import numpy as np, ipywidgets, actwidgets as aw

data = aw.load_dataset("digits")
x, y = np.tile(data.x_test, (1500, 1, 1, 1)), np.tile(data.y_test, 1500)
session = aw.Session(aw.demo_model(), x, y, class_names=data.class_names, layer="dense")
"""
# The pass is not over before the tests say so, however slow the browser is.
ENDLESS = """
import itertools, threading
from contextlib import nullcontext

to_the_end, batches = threading.Event(), itertools.count()
session.context.queue._turn = lambda: nullcontext(to_the_end.is_set() or next(batches) < 100)
"""
CELL = """
grid = aw.FeatureMapGrid(session)
matrix = aw.ClassSimilarityMatrix(session, order="clustered")
tick = ipywidgets.IntSlider(description="tick", max=1000)
tick.observe(lambda change: session.select(sample=change.new), "value")
ipywidgets.VBox([tick, grid, matrix])
"""
STRIP = """
strip = aw.ClassSeparation(session)
strip
"""


@pytest.fixture(scope="module")
def notebook(lab):
    notebook = lab.new(SETUP, ENDLESS, CELL, height=2400)
    notebook.run_all()
    return notebook


def test_a_pass_is_stopped_and_gone_on_with_by_its_button(notebook):
    page = notebook.page
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Resume").wait_for()
    reading = "[session.reading.cancelled, session.reading.n_read]"
    cancelled, n_read = notebook.evaluate(reading)
    assert cancelled
    assert 0 < n_read < 675_000
    page.get_by_text(f"{n_read:,} of 675,000 samples so far").wait_for()
    notebook.settle()
    assert notebook.evaluate(reading) == [True, n_read]  # nobody reads on
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("button", name="Cancel").wait_for()
    notebook.assert_no_errors()


def test_the_slider_answers_while_the_pass_goes_on(notebook):
    assert notebook.evaluate("session.reading.under_way")
    before = notebook.pixels(notebook.images().nth(1))
    notebook.drag("tick", to=0.6)
    notebook.wait_for_other_pixels(before, notebook.images().nth(1))
    assert notebook.evaluate("session.reading.under_way")
    notebook.execute("to_the_end.set(); session.wait()")
    notebook.page.get_by_text("675,000 samples", exact=True).wait_for()
    notebook.page.get_by_role("button", name="Cancel").wait_for(state="hidden")
    notebook.assert_no_errors()


def test_a_click_in_the_clustered_matrix_chooses_the_class_that_stands_there(notebook):
    order = notebook.evaluate(
        "session.profiles().clustering('dense', 'mean', 'euclidean').order.tolist()"
    )
    names = notebook.page.locator(".bqplot .tick text")
    places = sorted(
        (names.nth(index).bounding_box()["y"], int(names.nth(index).text_content()))
        for index in range(names.count())
        if names.nth(index).text_content().isdigit()
    )
    assert [name for _, name in places[:10]] == order  # down; those across lie lower
    cells = notebook.page.locator(".bqplot .heatmapcell")
    boxes = [cells.nth(index).bounding_box() for index in range(cells.count())]
    boxes = [box for box in boxes if box and 31 < box["width"] < 60 and box["height"] > 33]
    first = min(boxes, key=lambda box: (box["y"], box["x"]))
    last = max(boxes, key=lambda box: (box["y"], box["x"]))
    for box, wanted in ((last, order[-1]), (first, order[0])):
        notebook.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        notebook.wait_until("session.class_index", wanted)
    notebook.assert_no_errors()


def test_a_click_on_the_strip_takes_all_views_to_that_layer(lab):
    notebook = lab.new(SETUP.replace("1500", "2"), CELL, STRIP, height=2400)
    notebook.run_all()
    notebook.execute("session.wait()")
    names = notebook.evaluate("strip._layers")
    figure = notebook.images().last
    figure.scroll_into_view_if_needed()
    notebook.settle()
    box = figure.bounding_box()
    notebook.page.mouse.click(box["x"] + 1.5 / len(names) * box["width"], box["y"] + 50)
    notebook.wait_until("[session.layer, strip._layers[1]]", [names[1], names[1]])
    notebook.page.get_by_text(f"Class similarity {names[1]}").wait_for()
    notebook.assert_no_errors()
