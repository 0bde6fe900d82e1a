"""The input lab: a slider and a patch under the mouse move picture, maps and prediction."""

import numpy as np
import pytest

SETUP = """
import ipywidgets, actwidgets as aw
from actwidgets.core.perturbation import Perturbation
from actwidgets.views.input_lab import InputLab

data = aw.load_dataset("digits")
session = aw.Session(
    aw.demo_model(), data.x_test, data.y_test, class_names=data.class_names, layer="conv_1"
)
"""
CELL = """
view, grid = InputLab(session), aw.FeatureMapGrid(session)
ipywidgets.VBox([view, grid])
"""
PICTURE, INPUT, MAPS = range(3)  # in the order of the page


@pytest.fixture(scope="module")
def page(lab):
    notebook = lab.new(SETUP, CELL, height=1600)
    notebook.run_all()
    notebook.page.locator(".bqplot .brushintsel .overlay").wait_for(state="attached")
    return notebook


@pytest.fixture
def notebook(page):
    page.execute("session.perturbation = None")
    page.settle()
    return page


def _told(notebook):
    return notebook.page.locator(".aw-says").text_content()


PATCH = "session.perturbation.patch"


def _drag(notebook, start, end, *, release=True, picture=None):
    """Press the mouse at a pixel `(row, column)` of the input and move to another."""
    figure = picture or notebook.images().nth(PICTURE)
    figure.scroll_into_view_if_needed()
    box = figure.bounding_box()
    rows, columns = notebook.evaluate("session.picture_shape")

    def place(row, column):
        return (
            box["x"] + column / columns * box["width"],
            box["y"] + row / rows * box["height"],
        )

    mouse = notebook.page.mouse
    mouse.move(*place(*start))
    mouse.down()
    mouse.move(*place(*end), steps=8)
    if release:
        mouse.up()


def _rectangle(notebook):
    """Where the rectangle lies: top, left, height and width in pixels of the input."""
    found = notebook.page.locator(".bqplot .brushintsel").evaluate(
        """brush => {
            const whole = brush.querySelector('.overlay').getBBox();
            const {x, y, width, height} = brush.querySelector('.selection').getBBox();
            return [y / whole.height, x / whole.width, height / whole.height, width / whole.width];
        }"""
    )
    rows, columns = notebook.evaluate("session.picture_shape")
    return np.array(found) * [rows, columns, rows, columns]


def _lies_at(notebook, wanted):
    return np.allclose(_rectangle(notebook), wanted, atol=0.02)


def test_the_brightness_slider_changes_picture_maps_and_input(notebook):
    before = [notebook.pixels(notebook.images().nth(place)) for place in (PICTURE, INPUT, MAPS)]
    notebook.drag("brightness", to=0.8)
    for place, pixels in zip((PICTURE, INPUT, MAPS), before, strict=True):
        notebook.wait_for_other_pixels(pixels, notebook.images().nth(place))
    notebook.wait_until("0.4 < session.perturbation.brightness < 0.8")

    def is_as_light():
        brightness = notebook.evaluate("session.perturbation.brightness")
        lightest = notebook.pixels(notebook.images().nth(PICTURE))[..., :3].min()
        return abs(int(lightest) - brightness * 255) <= 1

    notebook.wait_until(is_as_light)
    notebook.assert_no_errors()


def test_a_patch_is_drawn_and_moved_with_the_mouse_and_everything_follows(notebook):
    before = [notebook.pixels(notebook.images().nth(place)) for place in (PICTURE, INPUT, MAPS)]
    told = _told(notebook)
    _drag(notebook, (1.1, 1.9), (5.2, 6.1), release=False)
    notebook.wait_until(PATCH, [1, 2, 4, 4])
    for place, pixels in zip((PICTURE, INPUT, MAPS), before, strict=True):
        notebook.wait_for_other_pixels(pixels, notebook.images().nth(place))
    notebook.wait_until(lambda: "→" in _told(notebook))
    assert _told(notebook).startswith(told)
    notebook.page.mouse.up()
    notebook.wait_until(lambda: _lies_at(notebook, [1, 2, 4, 4]))  # whole pixels
    drawn = notebook.pixels(notebook.images().nth(MAPS))
    _drag(notebook, (3, 4), (5, 3))
    notebook.wait_until(PATCH, [3, 1, 4, 4])
    notebook.wait_until(lambda: _lies_at(notebook, [3, 1, 4, 4]))
    notebook.wait_for_other_pixels(drawn, notebook.images().nth(MAPS))

    def is_gray():
        pixels = notebook.pixels(notebook.images().nth(PICTURE))[3:7, 1:5, :3].astype(int)
        return bool((abs(pixels - 128) <= 1).all())

    notebook.wait_until(is_gray)
    notebook.assert_no_errors()


def test_dragging_beside_it_draws_another_and_a_click_takes_it_away(notebook):
    _drag(notebook, (0, 0), (3, 2))
    notebook.wait_until(PATCH, [0, 0, 3, 2])
    _drag(notebook, (5, 4), (7, 7))
    notebook.wait_until(PATCH, [5, 4, 2, 3])
    _drag(notebook, (1, 1), (1, 1))
    notebook.wait_until(PATCH, None)
    notebook.wait_until(lambda: "→" not in _told(notebook))
    notebook.assert_no_errors()


def test_the_prediction_can_be_pushed_over(notebook):
    notebook.execute("session.perturbation = Perturbation(rotation=180, brightness=0.4)")
    scores = notebook.evaluate(
        "[float(session.predictions([session.sample]).max()), "
        "int(session.predicted_classes([session.sample])[0]), "
        "float(session.scores().confidence[0]), int(session.scores().predicted[0])]"
    )
    told = f"{scores[1]} {scores[0]:.2f} → {scores[3]} {scores[2]:.2f}"
    notebook.wait_until(lambda: _told(notebook), told)
    notebook.settle()
    bars = notebook.page.locator(".aw-bars td b")
    widths = [bars.nth(index).bounding_box()["width"] for index in range(bars.count())]
    assert int(np.argmax(widths)) == scores[3]
    notebook.assert_no_errors()


def test_what_python_sets_moves_sliders_and_rectangle_and_reset_takes_all_back(notebook):
    notebook.execute("session.perturbation = Perturbation(noise=0.25, patch=(2, 3, 4, 5))")
    notebook.wait_until(lambda: _lies_at(notebook, [2, 3, 4, 5]))
    noise = notebook.slider("noise").locator(".widget-readout")
    notebook.wait_until(noise.text_content, "25.0%")
    notebook.page.get_by_role("button", name="Reset").click()
    notebook.wait_until("session.perturbation == Perturbation()")
    notebook.page.locator(".bqplot .brushintsel .selection").wait_for(state="hidden")
    notebook.wait_until(noise.text_content, "0.0%")
    notebook.assert_no_errors()


def test_a_patch_is_where_the_mouse_was_after_the_page_was_loaded_with_its_tab_hidden(lab):
    """bqplot measures what the mouse draws on when it is made, and a hidden tab has no size."""
    notebook = lab.new(SETUP, "app = aw.explore(session)\napp", height=1600)
    notebook.run_all()
    tab = notebook.page.get_by_role("tab", name="interventions")
    tab.click()
    notebook.page.locator(".aw-patch .brushintsel .overlay").wait_for(state="attached")
    notebook.page.get_by_role("tab", name="layers").click()
    notebook.settle()
    notebook.reload()
    tab.click()
    notebook.page.locator(".aw-patch").scroll_into_view_if_needed()
    notebook.settle()
    notebook.page.wait_for_timeout(1000)  # it is measured a moment after it is shown
    picture = notebook.page.locator(".aw-patch img")
    _drag(notebook, (1.1, 1.9), (5.2, 6.1), picture=picture)
    notebook.wait_until(PATCH, [1, 2, 4, 4])
    notebook.close()
