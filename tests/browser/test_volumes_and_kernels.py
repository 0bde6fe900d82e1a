"""Models in models, volumes and kernels as a person meets them: a mouse, keys, pixels."""

import numpy as np
import pytest

SETUP = """
import keras, numpy as np, actwidgets as aw

layers = keras.layers
body = keras.Sequential([
    keras.Input((10, 12, 14, 1)),
    layers.Conv3D(3, 3, activation="relu", name="inner"),
    layers.Conv3D(6, 3, activation="relu", name="deeper"),
], name="body")
model = keras.Sequential([
    keras.Input((10, 12, 14, 1)), body,
    layers.GlobalMaxPooling3D(name="pool"), layers.Dense(3, name="classes"),
])
x = np.random.default_rng(0).random((12, 10, 12, 14, 1))
session = aw.Session(model, x, np.arange(12) % 3, layer="body/inner")
"""
CELL = """
import ipywidgets
grid, picker, kernels = aw.FeatureMapGrid(session), aw.LayerPicker(session), aw.KernelGrid(session)
ipywidgets.VBox([picker, grid, kernels])
"""
MAPS, KERNELS = 1, 2  # behind the picture of the input


@pytest.fixture(scope="module")
def notebook(lab):
    notebook = lab.new(SETUP, CELL)
    notebook.run_all()
    return notebook


def _lines(notebook):
    options = notebook.page.locator(".aw-list select option")
    return [text.replace("\u00a0", " ").split()[:2] for text in options.all_inner_texts()]


def test_the_depth_slider_shows_another_slice(notebook):
    maps = notebook.images().nth(MAPS)
    before = notebook.pixels(maps)
    notebook.drag("depth", to=1.0)
    notebook.wait_for_other_pixels(before, maps)
    notebook.wait_until("grid.depth", 7)
    notebook.assert_no_errors()


def test_a_sub_model_is_opened_and_closed_and_walked_through_by_keys(notebook):
    assert _lines(notebook)[:3] == [["▾", "body"], ["inner", "Conv3D"], ["deeper", "Conv3D"]]
    notebook.page.get_by_title("Close body", exact=True).click()
    notebook.page.get_by_title("Open body", exact=True).wait_for()
    assert notebook.evaluate("session.layer") == "body"
    assert [line[0] for line in _lines(notebook)] == ["▸", "pool", "classes"]
    notebook.page.get_by_title("Open body", exact=True).click()
    notebook.page.get_by_title("Close body", exact=True).wait_for()
    notebook.page.locator(".aw-list select").focus()
    notebook.page.keyboard.press("ArrowDown")
    notebook.wait_until("session.layer", "body/inner")
    notebook.assert_no_errors()


def test_a_click_on_a_kernel_chooses_its_unit_everywhere(notebook):
    notebook.execute("session.select(layer='body/deeper', unit=0)")
    notebook.settle()
    beside = notebook.images().nth(KERNELS).locator("xpath=following-sibling::*")
    figure = beside.locator("svg:has(.heatmapcell)")
    figure.scroll_into_view_if_needed()
    wanted = notebook.evaluate("int(kernels._picture.figure.layout.width[:-2])")
    notebook.wait_until(lambda: figure.bounding_box()["width"], wanted)
    notebook.settle()
    box = figure.bounding_box()
    before = notebook.pixels(notebook.images().nth(MAPS))
    notebook.page.mouse.click(box["x"] + 3.5 / 6 * box["width"], box["y"] + box["height"] / 8)
    after = notebook.wait_for_other_pixels(before, notebook.images().nth(MAPS))
    notebook.wait_until("session.unit", 3)
    assert not np.array_equal(before, after)
    notebook.page.get_by_text("nothing to show").wait_for(state="hidden")
    notebook.execute("session.layer = 'pool'")
    notebook.page.get_by_text(
        "nothing to show for pool: layer 'pool' (GlobalMaxPooling3D)"
    ).wait_for()
    assert notebook.evaluate("kernels.error") == ""
    notebook.assert_no_errors()


def test_kernels_are_averaged_colored_and_walked_through_by_hand(notebook):
    notebook.execute("session.select(layer='body/deeper', unit=0)")
    page, image = notebook.page, notebook.images().nth(KERNELS)
    page.get_by_text("3 of 3 input channels").wait_for()
    modes = page.locator(".widget-dropdown", has=page.get_by_text("show", exact=True))
    before = notebook.pixels(image)
    modes.locator("select").select_option(label="average")
    page.get_by_text("mean over 3 input channels").wait_for()
    average = notebook.wait_for_other_pixels(before, image)
    assert average.shape[0] < before.shape[0]
    modes.locator("select").select_option(label="RGB")
    page.get_by_text("RGB: gray is 0, ±").wait_for()
    notebook.wait_for_other_pixels(average, image)
    notebook.execute(
        "from actwidgets.images.kernels import kernel_colors, kernel_pictures\n"
        "told = kernel_colors(kernel_pictures(session.kernels(), 'RGB'))[2, 1, 1, 5].tolist()"
    )
    middle = notebook.pixels(image)
    notebook.drag("kernel depth", to=1.0)
    notebook.wait_for_other_pixels(middle, image)
    notebook.wait_until("kernels.depth", 2)
    notebook.settle()
    last = notebook.pixels(image)
    height, width = last.shape[0], last.shape[1] // 6
    assert last[height // 2, 5 * width + width // 2].tolist() == [*notebook.evaluate("told"), 255]
    notebook.assert_no_errors()
