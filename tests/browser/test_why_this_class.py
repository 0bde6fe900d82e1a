"""Attributions: what the mouse and the keys change, and what changes them."""

import numpy as np
import pytest

SETUP = """
import ipywidgets, actwidgets as aw
from actwidgets.core.interventions.disturbance import Disturbance

data = aw.load_dataset("digits")
model = aw.demo_model()
session = aw.Session(
    model, data.x_test, data.y_test, class_names=data.class_names, samples=(0, 1, 2)
)
"""
CELL = """
view, lab = aw.AttributionMap(session, method="gradient"), aw.InputLab(session)
ipywidgets.VBox([view, lab])
"""
TILES = 0  # in the order of the page


@pytest.fixture(scope="module")
def page(lab):
    notebook = lab.new(SETUP, CELL, height=2200)
    notebook.run_all()
    _tiles(notebook).wait_for()
    return notebook


@pytest.fixture
def notebook(page):
    page.execute(
        "session.select(samples=(0, 1, 2), sample=0, disturbance=None, class_index=None)\n"
        "view.method, view.compare, view.panel = 'gradient', 'samples', ''\n"
        "view.target = 'predicted'\n"
        "view.opacity, view.settings = 0.6, {}"
    )
    page.page.wait_for_timeout(700)
    return page


def _tiles(notebook):
    return notebook.images().nth(TILES)


def _choose(notebook, label, option):
    """Choose from a list of the view."""
    row = notebook.page.locator(".widget-dropdown", has_text=label).first
    row.locator("select").select_option(option)


def _click(notebook, across, down=0.25):
    """Click at shares of the width and of the height of the tiles."""
    figure = _tiles(notebook)
    figure.scroll_into_view_if_needed()
    notebook.page.wait_for_timeout(500)
    box = figure.bounding_box()
    notebook.page.mouse.click(box["x"] + across * box["width"], box["y"] + down * box["height"])
    notebook.page.wait_for_timeout(600)


def test_the_lists_choose_method_and_class(notebook):
    before = notebook.pixels(_tiles(notebook))
    _choose(notebook, "method", "Integrated gradients")
    after = notebook.wait_for_other_pixels(before, _tiles(notebook))
    assert notebook.evaluate("view.method") == "integrated_gradients"
    assert "gap" in notebook.page.locator(".aw-labels").first.text_content()
    _choose(notebook, "for", "3")
    notebook.wait_for_other_pixels(after, _tiles(notebook))
    assert notebook.evaluate("[int(each) for each in view._tiles.tiles[0].attribution.target]") == [
        3,
        3,
        3,
    ]
    notebook.assert_no_errors()


def test_the_opacity_slider_fades_the_map(notebook):
    before = notebook.pixels(_tiles(notebook))
    notebook.drag("opacity", to=0.0)
    notebook.wait_for_other_pixels(before, _tiles(notebook))
    notebook.page.wait_for_timeout(500)
    assert notebook.evaluate("view.opacity") == 0
    inside = notebook.pixels(_tiles(notebook))[10:60, 10:60, :3].astype(int)
    assert (inside == inside[..., :1]).all()  # the digit, in grey
    notebook.assert_no_errors()


def test_a_click_chooses_the_sample_and_the_method(notebook):
    _click(notebook, 5 / 6)
    assert notebook.evaluate("session.sample") == 2
    before = notebook.pixels(_tiles(notebook))
    notebook.execute(
        "view.methods, view.compare = ('gradient', 'occlusion', 'grad_cam'), 'methods'"
    )
    notebook.wait_for_other_pixels(before, _tiles(notebook))
    _click(notebook, 3 / 6)
    assert notebook.evaluate("view.method") == "occlusion"
    notebook.assert_no_errors()


def test_the_input_lab_moves_the_maps(notebook):
    before = notebook.pixels(_tiles(notebook))
    notebook.drag("brightness", to=0.7)
    notebook.wait_for_other_pixels(before, _tiles(notebook))
    notebook.page.wait_for_timeout(500)
    wanted = notebook.evaluate(
        "float(aw.attribute(model, session._samples.disturbed((0,), session.disturbance), "
        "method='gradient').scores[0])"
    )
    assert notebook.evaluate("float(view._tiles.tiles[0].attribution.scores[0])") == pytest.approx(
        wanted, rel=1e-5
    )
    notebook.assert_no_errors()


def test_weights_that_change_change_the_maps(notebook):
    before = notebook.pixels(_tiles(notebook))
    notebook.execute(
        "kept = model.get_weights()\n"
        "model.set_weights([each[::-1] for each in kept[:1]] + kept[1:])\n"
        "session.refresh()"
    )
    after = notebook.wait_for_other_pixels(before, _tiles(notebook))
    notebook.execute("model.set_weights(kept)\nsession.refresh()")
    again = notebook.wait_for_other_pixels(after, _tiles(notebook))
    np.testing.assert_array_equal(again, before)
    notebook.assert_no_errors()


def test_panels_unfold_and_the_slider_walks_the_path(notebook):
    page = notebook.page
    page.get_by_role("button", name="along the path").click()
    page.wait_for_timeout(1200)
    assert "At 1.00 · x the score is" in page.locator(".aw-view").first.text_content()
    handle = page.locator(".widget-hslider", has_text="share of x").locator(".noUi-handle")
    handle.focus()
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(800)
    assert notebook.evaluate("view._panels.made['path'].slider.value") == 0.75
    assert "At 0.75 · x the score is" in page.locator(".aw-view").first.text_content()
    page.get_by_role("button", name="deletion and insertion").click()
    page.get_by_text("Area below the deletion curve").wait_for()
    page.get_by_role("button", name="random weights").click()
    page.get_by_text("With random weights in layer").wait_for()
    notebook.assert_no_errors()
