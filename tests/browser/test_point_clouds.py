"""Samples as points under the mouse: a lasso and a box choose them, a card shows one."""

import pytest

SETUP = """
import numpy as np, actwidgets as aw
from actwidgets.views.embedding_scatter import EmbeddingScatter

data = aw.load_dataset("digits")
session = aw.Session(
    aw.demo_model(), data.x_test, data.y_test, class_names=data.class_names, layer="dense"
)
def places(side):  # in pixels, as the canvas lays them out: one scale, in the middle
    points = np.frombuffer(side.cloud.points, "<f4").reshape(-1, 2)
    low, high = points.min(axis=0), points.max(axis=0)
    scale = (340 - 28) / (high - low).max()
    return 170 + (points - (low + high) / 2) * (scale, -scale)
"""
CELL = "view = EmbeddingScatter(session)\nview"
# The kernel's own reckoning of what lies within a triangle.
INSIDE = """
def inside(corners):
    a, b, c = np.array(corners, float)
    spots = places(view.layer)
    side = lambda p, q: (q[0]-p[0])*(spots[:,1]-p[1]) - (q[1]-p[1])*(spots[:,0]-p[0])
    signs = np.stack([side(a, b), side(b, c), side(c, a)])
    return ((signs > 0).all(axis=0) | (signs < 0).all(axis=0)).nonzero()[0].tolist()
"""


@pytest.fixture(scope="module")
def notebook(lab):
    notebook = lab.new(SETUP, CELL, height=1300)
    notebook.run_all()
    notebook.execute("session.embeddings.wait()")
    notebook.execute(INSIDE)
    notebook.page.wait_for_function(
        "() => [...document.querySelectorAll('.aw-cloud canvas[data-painted]')]"
        ".filter((canvas) => Number(canvas.dataset.painted) > 0).length === 2"
    )
    return notebook


@pytest.fixture
def cloud(notebook):
    """The right cloud, with one sample in focus; its place on the page."""
    notebook.execute("session.select(sample=0, samples=(0,)); view.gesture = 'lasso'")
    canvas = notebook.page.locator(".aw-lasso").nth(1)
    canvas.scroll_into_view_if_needed()
    notebook.settle()
    return canvas.bounding_box()


def _drag(notebook, cloud, corners):
    mouse = notebook.page.mouse
    x, y = cloud["x"], cloud["y"]
    mouse.move(x + corners[0][0], y + corners[0][1])
    mouse.down()
    for right, down in corners[1:]:
        mouse.move(x + right, y + down, steps=8)
    mouse.up()


def test_a_lasso_chooses_the_samples_inside_it(notebook, cloud):
    corners = [[20, 20], [330, 40], [120, 320]]
    wanted = notebook.evaluate(f"view.layer.shown.rows[inside({corners})].tolist()")
    assert len(wanted) > 10
    _drag(notebook, cloud, corners)
    notebook.wait_until("len(session.samples) > 1")
    chosen = set(notebook.evaluate("session.samples"))
    assert len(chosen ^ set(wanted)) <= 2  # on the edge
    notebook.wait_until("bool((np.frombuffer(view.input.cloud.mask, 'u1') > 0).sum() > 10)")
    notebook.page.keyboard.press("Escape")
    notebook.wait_until("len(session.samples) == 1")
    notebook.assert_no_errors()


def test_a_box_chooses_too_and_shift_adds(notebook, cloud):
    notebook.execute("view.gesture = 'box'")
    notebook.settle()
    halves = [[[2, 2], [170, 338]], [[338, 338], [170.5, 2]]]
    _drag(notebook, cloud, halves[0])
    notebook.wait_until("len(session.samples) > 1")
    chosen = set(notebook.evaluate("session.samples"))
    left = "view.layer.shown.rows[places(view.layer)[:, 0] < 170].tolist()"
    assert len(chosen ^ set(notebook.evaluate(left))) <= 2
    notebook.page.keyboard.down("Shift")
    _drag(notebook, cloud, halves[1])
    notebook.page.keyboard.up("Shift")
    notebook.wait_until(f"len(session.samples) > {len(chosen)}")
    assert len(notebook.evaluate("session.samples")) >= 0.98 * notebook.evaluate(
        "len(view.layer.shown.rows)"
    )
    notebook.assert_no_errors()


def test_the_mouse_over_a_point_shows_its_card(notebook, cloud):
    page = notebook.page
    notebook.settle()
    right, down = notebook.evaluate("places(view.layer)[7].tolist()")
    page.mouse.move(cloud["x"] + 1, cloud["y"] + 1)
    page.mouse.move(cloud["x"] + right, cloud["y"] + down, steps=3)
    card = page.locator(".aw-card").nth(1)
    card.wait_for(state="visible")
    point = int(page.locator(".aw-lasso").nth(1).get_attribute("data-hovered"))
    row = notebook.evaluate(f"int(view.layer.shown.rows[{point}])")
    assert f"sample {row:,}" in card.inner_text()
    assert f"is {notebook.evaluate(f'data.class_names[data.y_test[{row}]]')}" in card.inner_text()
    assert card.locator("img").evaluate("(image) => image.naturalWidth") == 84
    page.mouse.click(cloud["x"] + right, cloud["y"] + down)
    notebook.wait_until(f"session.samples == ({row},)")
    page.mouse.move(cloud["x"] - 40, cloud["y"] - 40)
    card.wait_for(state="hidden")
    notebook.assert_no_errors()


def test_the_arrow_keys_go_from_point_to_point_and_enter_chooses(notebook, cloud):
    canvas = notebook.page.locator(".aw-lasso").nth(1)
    canvas.focus()
    canvas.press("ArrowLeft")
    assert canvas.get_attribute("data-hovered") == "0"
    canvas.press("ArrowRight")
    point = int(canvas.get_attribute("data-hovered"))
    assert point > 0
    assert notebook.evaluate(f"bool(np.diff(places(view.layer)[[0, {point}], 0])[0] > 0)")
    canvas.press("Enter")
    notebook.wait_until(f"session.sample == int(view.layer.shown.rows[{point}])")
    assert notebook.page.evaluate("document.activeElement.className") == "aw-lasso"
    notebook.assert_no_errors()
