"""Attributions: what the mouse and the keys change, and what changes them."""

import numpy as np
import pytest

SETUP = """
import ipywidgets, actwidgets as aw
from actwidgets.core.perturbation import Perturbation

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
        "session.select(samples=(0, 1, 2), sample=0, perturbation=None, class_index=None)\n"
        "view.method, view.compare, view.panel = 'gradient', 'samples', ''\n"
        "view.target = 'predicted'\n"
        "view.opacity, view.settings = 0.6, {}"
    )
    page.execute("session.attributions.wait()")
    page.settle()
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
    notebook.settle()
    box = figure.bounding_box()
    notebook.page.mouse.click(box["x"] + across * box["width"], box["y"] + down * box["height"])


def test_the_lists_choose_method_and_class(notebook):
    before = notebook.pixels(_tiles(notebook))
    _choose(notebook, "method", "Integrated gradients")
    notebook.wait_for_other_pixels(before, _tiles(notebook))
    notebook.wait_until("view.method", "integrated_gradients")
    labels = notebook.page.locator(".aw-labels").first
    notebook.wait_until(lambda: "gap" in labels.text_content())
    notebook.settle()
    after = notebook.pixels(_tiles(notebook))
    _choose(notebook, "target", "3")
    notebook.wait_for_other_pixels(after, _tiles(notebook))
    targets = "[int(each) for each in view._tiles.tiles[0].attribution.target]"
    notebook.wait_until(targets, [3, 3, 3])
    notebook.assert_no_errors()


def test_the_opacity_slider_fades_the_map(notebook):
    before = notebook.pixels(_tiles(notebook))
    notebook.drag("opacity", to=0.0)
    notebook.wait_for_other_pixels(before, _tiles(notebook))
    notebook.wait_until("view.opacity", 0)

    def is_gray():  # the digit alone
        inside = notebook.pixels(_tiles(notebook))[10:60, 10:60, :3].astype(int)
        return bool((inside == inside[..., :1]).all())

    notebook.wait_until(is_gray)
    notebook.assert_no_errors()


def test_a_click_chooses_the_sample_and_the_method(notebook):
    _click(notebook, 5 / 6)
    notebook.wait_until("session.sample", 2)
    notebook.settle()
    before = notebook.pixels(_tiles(notebook))
    notebook.execute(
        "view.methods, view.compare = ('gradient', 'occlusion', 'grad_cam'), 'methods'"
    )
    notebook.wait_for_other_pixels(before, _tiles(notebook))
    _click(notebook, 3 / 6)
    notebook.wait_until("view.method", "occlusion")
    notebook.assert_no_errors()


def test_the_input_lab_moves_the_maps(notebook):
    before = notebook.pixels(_tiles(notebook))
    notebook.drag("brightness", to=0.7)
    notebook.wait_for_other_pixels(before, _tiles(notebook))

    def are_of_the_picture_on_show():
        shown, wanted = notebook.evaluate(
            "[float(view._tiles.tiles[0].attribution.scores[0]), float(aw.attribute(model, "
            "session.context.samples.perturbed((0,), session.perturbation), "
            "method='gradient').scores[0])]"
        )
        return shown == pytest.approx(wanted, rel=1e-5)

    notebook.wait_until(are_of_the_picture_on_show)
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
    notebook.wait_for_other_pixels(after, _tiles(notebook))
    notebook.wait_until(lambda: np.array_equal(notebook.pixels(_tiles(notebook)), before))
    notebook.assert_no_errors()


def test_panels_unfold_and_the_slider_walks_the_path(notebook):
    page = notebook.page
    page.get_by_role("button", name="path from the baseline").click()
    page.get_by_text("At 1.00 · x the score is").wait_for()
    handle = page.locator(".widget-hslider", has_text="alpha").locator(".noUi-handle")
    handle.focus()
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    notebook.wait_until("view._panels.made['path'].slider.value", 0.75)
    page.get_by_text("At 0.75 · x the score is").wait_for()
    page.get_by_role("button", name="deletion and insertion").click()
    page.get_by_text("Area below the deletion curve").wait_for()
    page.get_by_role("button", name="randomization check").click()
    page.get_by_text("With random weights in layer").wait_for()
    notebook.assert_no_errors()
