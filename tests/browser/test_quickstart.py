"""The tutorial as a person uses it: real keys, a real mouse, real pixels."""

from pathlib import Path

import numpy as np
import pytest

QUICKSTART = Path(__file__).parents[2] / "notebooks" / "01_quickstart.ipynb"
INPUT, MAPS, GALLERY = 1, 2, 0  # places of the pictures on the page


@pytest.fixture(scope="module")
def notebook(lab):
    notebook = lab.open(QUICKSTART)
    notebook.run_all()
    notebook.execute("lower, session = session, app.session; session.wait()")
    return notebook


def _figure(notebook, place):
    image = notebook.images().nth(place)
    return image.locator("xpath=following-sibling::*").locator("svg:has(.heatmapcell)")


def _click_at(notebook, place, across, down):
    figure = _figure(notebook, place)
    figure.scroll_into_view_if_needed()
    notebook.settle()
    box = figure.bounding_box()
    notebook.page.mouse.click(box["x"] + across * box["width"], box["y"] + down * box["height"])


def test_every_cell_runs_and_nothing_complains(notebook):
    notebook.assert_no_errors()
    assert notebook.evaluate("app.error") == ""


def test_after_run_all_the_workbench_shows_what_the_text_says(notebook):
    shown = "[session.layer, list(session.samples), len(app.views['FeatureMapGrid']._units)]"
    assert notebook.evaluate(shown) == ["conv_1", [0], 16]
    below = notebook.evaluate("[lower.layer, list(lower.samples), lower.unit]")
    assert below == ["dense", [3, 5, 8], 4]
    notebook.execute("session.select(layer='conv_2', samples=(0,), unit=0)")


def test_dragging_the_slider_changes_the_maps_in_place(notebook):
    maps = notebook.images().nth(MAPS)
    before = notebook.pixels(maps)
    element = maps.element_handle()
    notebook.drag("sample", to=0.6)
    after = notebook.wait_for_other_pixels(before, maps)
    assert after.shape == before.shape
    assert element.evaluate("element => element.isConnected"), "the mark was made anew"
    notebook.wait_until("abs(session.sample / session.n_samples - 0.6) < 0.05")
    notebook.execute("import io; from PIL import Image; import numpy as np")

    def is_as_sent():
        sent = notebook.evaluate(
            "np.asarray(Image.open(io.BytesIO(app.views['FeatureMapGrid']._maps.image.value))"
            ".convert('RGBA')).tolist()"
        )
        shown = notebook.pixels(maps)
        return np.array_equal(shown[shown[..., 3] > 0], np.array(sent)[shown[..., 3] > 0])

    notebook.wait_until(is_as_sent)


def test_arrow_keys_walk_through_the_layers(notebook):
    names = notebook.evaluate("[layer.name for layer in session.layers]")
    notebook.execute("session.layer = 'conv_1'")
    notebook.settle()
    listed = notebook.page.locator(".aw-list select").first
    listed.scroll_into_view_if_needed()
    listed.click(position={"x": 60, "y": 10})
    notebook.wait_until("session.layer", names[0])
    notebook.settle()
    for name in names[1:4]:
        before = notebook.pixels(notebook.images().nth(MAPS))
        notebook.page.keyboard.press("ArrowDown")
        notebook.wait_for_other_pixels(before, notebook.images().nth(MAPS))
        notebook.wait_until("session.layer", name)


def test_a_click_in_the_gallery_chooses_a_sample(notebook):
    notebook.execute("session.select(layer='conv_2', samples=(0,))")
    notebook.settle()
    before = notebook.pixels(notebook.images().nth(INPUT))
    _click_at(notebook, GALLERY, 0.62, 0.15)  # third of the first row of four
    notebook.wait_until("session.sample", 2)
    notebook.wait_for_other_pixels(before, notebook.images().nth(INPUT))


def test_the_mouse_over_a_map_tells_its_unit_and_a_click_chooses_it(notebook):
    notebook.execute("session.select(layer='conv_2', samples=(2,), unit=0)")
    notebook.settle()
    figure = _figure(notebook, MAPS)
    figure.scroll_into_view_if_needed()
    box = figure.bounding_box()
    # 24 units in rows of eight: the third of the second row is unit 10
    notebook.page.mouse.move(box["x"] + 2.5 / 8 * box["width"], box["y"] + 1.5 / 3 * box["height"])
    notebook.page.get_by_text("sample 2, unit 10: mean").wait_for()
    _click_at(notebook, MAPS, 2.5 / 8, 1.5 / 3)
    notebook.wait_until("session.unit", 10)


def test_a_cell_of_the_matrix_chooses_a_class_and_the_threshold_repaints_it(notebook):
    notebook.execute("session.select(layer='dense', class_index=0, threshold=0.0); session.wait()")
    notebook.settle()
    cells = notebook.page.locator(":not(.aw-picture) > .bqplot .heatmapcell")
    cells.nth(34).scroll_into_view_if_needed()
    cells.nth(34).click()
    notebook.page.get_by_text("Nearest to 3").wait_for()
    notebook.wait_until("session.class_index", 3)
    colors = "cells => cells.map(cell => getComputedStyle(cell).fill)"
    means = cells.evaluate_all(colors)
    statistic = notebook.page.locator(".widget-dropdown:visible", has_text="statistic")
    statistic.last.locator("select").select_option("firing rate")
    notebook.wait_until(lambda: cells.evaluate_all(colors) != means)
    before = cells.evaluate_all(colors)
    notebook.drag("threshold", to=0.4)
    notebook.wait_until("session.threshold > 0")
    notebook.wait_until(lambda: cells.evaluate_all(colors) != before)
    readout = notebook.slider("threshold").locator(".widget-readout")
    # the last value of a drag is sent when the kernel has answered those before
    notebook.wait_until(
        lambda: float(readout.text_content()) == round(notebook.evaluate("session.threshold"), 2)
    )


def test_the_browser_does_not_round_a_threshold_set_from_python(notebook):
    notebook.execute("session.select(layer='dense', threshold=0.1234)")
    notebook.settle()
    assert notebook.evaluate("session.threshold") == 0.1234


def test_it_can_be_read_at_1000_pixels_and_in_the_dark(notebook):
    notebook.resize(1000, 900)
    notebook.theme("dark")
    notebook.settle()
    for figure in notebook.page.locator(".aw-picture > .bqplot svg:has(.heatmapcell)").all():
        box = figure.bounding_box()
        assert box["x"] + box["width"] <= 1000
    title = notebook.page.locator(".aw-title").first
    red, green, blue = (
        int(part) for part in title.evaluate("e => getComputedStyle(e).color.match(/\\d+/g)")[:3]
    )
    assert min(red, green, blue) > 150, "words are light on a dark page"
    notebook.theme("light")
    notebook.assert_no_errors()
