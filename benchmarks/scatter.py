"""10,000 points in a real browser: first paint, hover and lasso, beside a bare echo.

    uv run --with jupyter-scatter python benchmarks/scatter.py

Ours, bqplot's own Scatter, and jupyter-scatter where it is installed, take turns with a bare
slider-to-label echo in the same run. First paint: from a slider's key, by way of the kernel that
makes the widget, until the points are on the page and two frames have passed. Hover: from the
mouse over a point until the kernel has written its number into a label. Lasso: from letting go
of the mouse until the kernel has written how many points are inside. Prints ratios to the echo.
"""

import importlib.util
import statistics
import sys

from browser_rows import ECHO, TICK, in_browser

ROUNDS, HOVERS = 4, 10
LIMIT_MS = 15_000

POINTS = """
import numpy as np, traitlets

random = np.random.default_rng(0)
centers = random.normal(size=(10, 2)) * 4
points = (centers[np.arange(10_000) % 10] + random.normal(size=(10_000, 2))).astype("f4")
classes = np.arange(10_000) % 10
hovered, chosen = w.Label("none"), w.Label("none")
hovered.add_class("hovered"), chosen.add_class("chosen")
n_told = 0

def tell(label, value):  # always another text
    global n_told
    n_told += 1
    label.value = f"{value} ({n_told})"

def button(name, make):
    slider, box = w.IntSlider(description=name, max=1000), w.VBox([], layout={"height": "420px"})
    box.add_class(f"box-{name}")
    def key(change):
        for old in box.children:
            old.close()
        box.children = (make(),) if change.new % 2 else ()
    slider.observe(key, "value")
    return w.VBox([slider, box])
"""
OURS = """
from actwidgets.views.point_cloud import by_class
from actwidgets.views.point_cloud import CHOSEN, PointCloud

def ours():
    def choose(rows, adds):
        mask = np.zeros(10_000, np.uint8)
        mask[rows] = CHOSEN
        cloud.emphasize(mask)
        tell(chosen, len(rows))
    cloud = PointCloud(
        on_choose=choose, on_clear=lambda: None,
        on_hover=lambda point: (cloud.show_card(point, b"", ("",)), tell(hovered, point)),
        width_px=400, height_px=400,
    )
    colors = by_class(classes, 10)
    cloud.show(points)
    cloud.color(colors.codes, colors.palette)
    return cloud
"""
BQPLOT = """
import bqplot as bq
from bqplot.interacts import LassoSelector

def bqplot():
    scales = {"x": bq.LinearScale(), "y": bq.LinearScale(), "color": bq.ColorScale()}
    marks = bq.Scatter(
        x=points[:, 0], y=points[:, 1], color=classes.astype(float), scales=scales,
        default_size=9, unselected_style={"opacity": 0.2},
    )
    marks.on_hover(lambda _, event: tell(hovered, event["data"]["index"]))
    marks.observe(lambda change: tell(chosen, np.size(change.new)), "selected")
    global use_lasso  # which lies above the points: they are not hovered over then
    lasso = LassoSelector(marks=[marks])
    use_lasso = lambda: setattr(figure, "interaction", lasso)
    figure = bq.Figure(
        marks=[marks],
        layout={"width": "400px", "height": "400px", "min_width": "0px"},
        fig_margin={"top": 10, "bottom": 10, "left": 10, "right": 10},
    )
    return figure
"""
PEER = """
import jscatter, pandas

frame = pandas.DataFrame({"x": points[:, 0], "y": points[:, 1], "kind": classes.astype(str)})

def peer():
    scatter = jscatter.Scatter(
        data=frame, x="x", y="y", color_by="kind", width=400, height=400, axes=False
    )
    scatter.mouse("lasso")
    scatter.widget.observe(lambda change: tell(hovered, change.new), "hovering")
    scatter.widget.observe(lambda change: tell(chosen, len(change.new)), "selection")
    return scatter.widget
"""
SHOW = "w.VBox([w.HBox([hovered, chosen]), {}])"
# Whether a box holds all points.
PAINTED = {
    "ours": "box => box.querySelector('canvas[data-painted=\"10000\"]')",
    "bqplot": "box => box.querySelectorAll('.dot_grp, .object_grp').length >= 10000",
    "peer": """box => [...box.querySelectorAll('canvas')].some((canvas) => {
        const context = canvas.width && canvas.getContext('2d');
        return context && context.getImageData(0, 0, canvas.width, canvas.height).data
            .some((value, at) => at % 4 === 3 && value);
    })""",
}
FIRST_PAINT = """async ([handle, name, painted, limit]) => {
    const has_all = eval(painted), box = document.querySelector(`.box-${name}`);
    const key = () => handle.dispatchEvent(new KeyboardEvent(
        'keydown', {key: 'ArrowRight', bubbles: true, cancelable: true}));
    const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
    const start = performance.now();
    key();
    while (!has_all(box)) {
        if (performance.now() - start > limit) return null;
        await new Promise((resolve) => setTimeout(resolve, 0));
    }
    await frame(); await frame();
    return performance.now() - start;
}"""
ARM = """([event, label]) => {
    const target = document.querySelector(label);
    window.begun = window.answered = null;
    const note = () => { window.begun = performance.now(); };
    window.addEventListener(event, note, {capture: true, once: true});
    const watcher = new MutationObserver(() => {
        window.answered = performance.now();
        watcher.disconnect();
    });
    watcher.observe(target, {childList: true, subtree: true, characterData: true});
}"""
WAIT = """async (limit) => {
    const start = performance.now();
    while (window.begun === null || window.answered === null) {
        if (performance.now() - start > limit) return null;
        await new Promise((resolve) => setTimeout(resolve, 0));
    }
    return window.answered - window.begun;
}"""


def main():
    """Measure and print; return the exit code."""
    return in_browser(lambda lab: _report(_measure(lab)))


def _ways():
    ways = {"ours": OURS, "bqplot": BQPLOT}
    if importlib.util.find_spec("jscatter"):
        ways["peer"] = PEER
    else:
        sys.stdout.write("jupyter-scatter is not installed: run with `uv run --with`\n")
    return ways


def _measure(lab):
    ways = _ways()
    boxes = ", ".join(f"button('{name}', {name})" for name in ways)
    notebook = lab.new(ECHO, POINTS, *ways.values(), SHOW.format(boxes), height=2600)
    notebook.run_all()
    page = notebook.page
    times = {(name, what): [] for name in ways for what in ("first paint", "hover", "lasso")}
    echo = []
    for _ in range(ROUNDS):
        for _ in range(5):
            handle = notebook.slider("echo").locator(".noUi-handle").element_handle()
            echo.append(page.evaluate(TICK, [handle, ".echo-label"]))
        for name in ways:
            handle = notebook.slider(name).locator(".noUi-handle").element_handle()
            asked = [handle, name, PAINTED[name], LIMIT_MS]
            times[name, "first paint"].append(page.evaluate(FIRST_PAINT, asked))
            page.wait_for_timeout(500)
            times[name, "hover"] += _hovers(page, name)
            if name == "bqplot":
                notebook.execute("use_lasso()")
                page.wait_for_timeout(500)
            times[name, "lasso"].append(_lasso(page, name))
            page.wait_for_timeout(300)
            notebook.slider(name).locator(".noUi-handle").press("ArrowRight")  # empty again
            page.wait_for_timeout(800)
    sys.stdout.writelines(f"on the page: {error}\n" for error in notebook.page_errors[:3])
    return echo, times


def _area(page, name):
    """The widest canvas or figure of a box: a peer has small ones for its legend besides."""
    found = page.locator(f".box-{name}").locator("canvas, svg")
    found.first.scroll_into_view_if_needed()
    return max((each.bounding_box() for each in found.all()), key=lambda box: box["width"])


def _hovers(page, name):
    """Over the middle of the crowd, where there is a point under every place."""
    box, taken = _area(page, name), []
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for number in range(HOVERS):
        page.mouse.move(box["x"] + 2, box["y"] + 2)
        page.wait_for_timeout(250)
        page.evaluate(ARM, ["mousemove", ".hovered"])
        page.mouse.move(x + 7 * (number % 5) - 14, y + 7 * (number // 5) - 14)
        taken.append(page.evaluate(WAIT, 1000))
        page.wait_for_timeout(100)
    return taken


def _lasso(page, name):
    box, mouse = _area(page, name), page.mouse
    corners = [(0.2, 0.2), (0.8, 0.25), (0.75, 0.8), (0.2, 0.75), (0.2, 0.22)]
    places = [(box["x"] + a * box["width"], box["y"] + b * box["height"]) for a, b in corners]
    mouse.move(*places[0])
    mouse.down()
    for place in places[1:]:
        mouse.move(*place, steps=6)
    page.wait_for_timeout(400)
    page.evaluate(ARM, ["mouseup", ".chosen"])
    mouse.up()
    return page.evaluate(WAIT, 10_000)


def _report(measured):
    echo, times = measured
    floor = statistics.median(echo)
    sys.stdout.write(f"bare echo, slider to label: {floor:.0f} ms (n={len(echo)})\n")
    for (name, what), taken in times.items():
        known = [each for each in taken if each is not None]
        lost = f", {len(taken) - len(known)} without an answer" if len(known) < len(taken) else ""
        if len(known) < 2:
            sys.stdout.write(f"{name:8} {what:12} no answer{lost}\n")
            continue
        low, median, high = statistics.quantiles(known, n=4)
        sys.stdout.write(
            f"{name:8} {what:12} {median / floor:6.2f} x the echo   "
            f"({median:.0f} ms; quartiles {low:.0f} to {high:.0f}; n={len(known)}{lost})\n"
        )


if __name__ == "__main__":
    sys.exit(main())
