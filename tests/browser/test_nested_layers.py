"""A model in a model, opened and closed with the mouse and walked through with the keys."""

import pytest

CELL = """
import numpy as np, actwidgets as aw
from actwidgets.core.layers import LayerInfo
from actwidgets.probe.base import Probe

class Nested(Probe):
    n_classes = 2
    layers = tuple(
        LayerInfo(name, "BatchNormalization", (None, 112, 112, 64), 64, 16_640)
        for name in ("net", *(f"net/conv{n}_block{n}_2_relu" for n in range(60)), "last")
    )
    def check(self, x): pass
    def activations(self, layers, x): raise NotImplementedError
    def predictions(self, x): raise NotImplementedError

session = aw.Session(Nested(), np.zeros((2, 3)))
picker = aw.LayerPicker(session, layout={"width": "330px"})
picker
"""


@pytest.fixture(scope="module")
def notebook(lab):
    notebook = lab.new(CELL)
    notebook.run_all()
    return notebook


@pytest.fixture
def listed(notebook):
    return notebook.page.locator(".aw-list select")


def test_the_mouse_opens_a_container_and_the_keys_walk_into_it(notebook, listed):
    assert listed.locator("option").count() == 2
    notebook.page.get_by_title("Open net").click()
    listed.locator("option").nth(61).wait_for(state="attached")
    listed.click(position={"x": 60, "y": 10})
    for _ in range(2):
        notebook.page.keyboard.press("ArrowDown")
    notebook.wait_until("session.layer", "net/conv1_block1_2_relu")
    notebook.execute("session.layer = 'net/conv58_block58_2_relu'")
    notebook.page.wait_for_function("document.querySelector('.aw-list select').scrollTop > 500")
    notebook.page.get_by_title("Close net").click()
    notebook.page.get_by_title("Open net").wait_for()
    assert notebook.evaluate("session.layer") == "net"
    assert listed.evaluate("list => [list.length, list.selectedIndex]") == [2, 0]
    notebook.assert_no_errors()


def test_the_longest_line_fits_beside_a_scroll_bar_at_330_pixels(notebook, listed):
    notebook.execute("picker.opened = ('net',)")
    listed.locator("option").nth(61).wait_for(state="attached")
    needed, room = listed.evaluate(
        """list => {
            const option = list.options[60], style = getComputedStyle(list);
            const pen = document.createElement('canvas').getContext('2d');
            pen.font = style.font;
            const padding = 2 * (parseFloat(style.paddingLeft)
                + parseFloat(getComputedStyle(option).paddingLeft));
            return [pen.measureText(option.text).width + padding + 15, list.offsetWidth - 2];
        }"""
    )
    assert needed <= room
