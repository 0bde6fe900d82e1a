"""Rows of `echo.py` in a real browser, beside a bare slider-to-label echo in the same notebook."""

import statistics
import sys
import tempfile
from pathlib import Path

from kernel_rows import NOTEBOOK, OURS, Row
from playwright.sync_api import sync_playwright

import actwidgets

# Of the build that is measured; not as `tests.…`, since tf-explain brings a package of that name.
sys.path.append(str(Path(actwidgets.__file__).parents[1] / "tests"))

from browser.lab import CHROMIUM_OPTIONS, Lab, Server
from setup_browser import find_browser

KEYS, SLOW_KEYS, WARM_UP, PAUSE_MS = 30, 2, 2, 60
DRAG_STEPS, STEP_MS = 60, 50
BLOCKS, KEYS_IN_BLOCK, READING_MS = 3, 12, 400
TITLES = {
    "grid": "grid",
    "workbench": "workbench",
    "lab": "input lab",
    "canvas": "grid on a canvas (prototype)",
}
SILENCE_MS = 2000  # after so long without a change everything is painted

ECHO = """
import ipywidgets as w

echo_slider, echo_label = w.IntSlider(description="echo", max=1000), w.Label("0")
echo_label.add_class("echo-label")
echo_slider.observe(lambda change: setattr(echo_label, "value", str(change.new)), "value")
w.VBox([echo_slider, echo_label])
"""
MODEL = f"""
import sys
import tensorflow as tf, ipywidgets as w
sys.path.append({str(Path(__file__).parent)!r})
import kernel_rows
model, (x, y) = kernel_rows.small_cnn(), kernel_rows.noise(1001, 28, 28, 1)
"""
GRID = """
import actwidgets as aw
session = aw.Session(model, x, y, layer="maps")
grid = aw.FeatureMapGrid(session, units_per_page=64)
grid.add_class("ours")
tick_slider = w.IntSlider(description="ours", max=1000)
tick_slider.observe(lambda change: session.select(sample=change.new), "value")
w.VBox([tick_slider, grid])
"""
LAB = """
lab = aw.InputLab(aw.Session(model, x, y, layer="maps"))
lab.add_class("lab")
lab
"""
BENCH = """
import actwidgets as aw
app = aw.explore(model, x, y, layer="maps")
app.pages.add_class("bench")
app
"""
CANVAS = """
from canvas_prototype import CanvasGrid
canvas_session = aw.Session(model, x, y, layer="maps")
canvas = CanvasGrid(canvas_session, units_per_page=64)
canvas.add_class("on-canvas")
canvas_slider = w.IntSlider(description="canvas", max=1000)
canvas_slider.observe(lambda change: canvas_session.select(sample=change.new), "value")
w.VBox([canvas_slider, canvas])
"""
NOTEBOOK_WAY = """
import io
import matplotlib
matplotlib.use("agg")
draw_png = kernel_rows.notebook_maps(model, "maps", x)
old_slider, picture = w.IntSlider(description="notebook", max=1000), w.Image()
old_slider.observe(lambda change: setattr(picture, "value", draw_png(change.new)), "value")
box = w.VBox([old_slider, picture])
box.add_class("notebook-way")
box
"""
WIDGETS = """
box = w.VBox([w.Label(str(number)) for number in range(100)])  # a layout each: 200 models
box.add_class("widgets")
box
"""
SOURCE = """
const source = (element) => element instanceof HTMLCanvasElement
    ? element.dataset.drawn ?? element.toDataURL()
    : element.href?.baseVal ?? element.src ?? element.textContent;
const press = (handle) => handle.dispatchEvent(new KeyboardEvent(
    'keydown', {key: 'ArrowRight', bubbles: true, cancelable: true}));
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
"""
TICK = f"""async ([handle, target]) => {{
    {SOURCE}
    const element = document.querySelector(target);
    const before = source(element);
    const start = performance.now();
    press(handle);
    while (source(element) === before) {{
        if (performance.now() - start > 60000) throw new Error('nothing changed');
        await sleep(0);
    }}
    if (element.textContent !== source(element) && !(element instanceof HTMLCanvasElement)) {{
        const image = element instanceof HTMLImageElement
            ? element : Object.assign(new Image(), {{src: source(element)}});
        await image.decode();
    }}
    return performance.now() - start;
}}"""
# The frame after the change, or after the picture is loaded: a label waits for one, too.
FRAME = f"""async ([handle, target]) => {{
    {SOURCE}
    const element = document.querySelector(target);
    const before = source(element);
    const kinds = {{attributes: true, childList: true, characterData: true, subtree: true}};
    const change = new Promise((resolve) => new MutationObserver((_, observer) => {{
        if (source(element) !== before) {{
            observer.disconnect();
            resolve();
        }}
    }}).observe(element, kinds));
    const start = performance.now();
    press(handle);
    await Promise.race([change, sleep(60000)]);
    if (source(element) === before) throw new Error('nothing changed');
    if (element instanceof SVGImageElement || element.complete === false)
        await new Promise((resolve) => element.addEventListener('load', resolve, {{once: true}}));
    await new Promise(requestAnimationFrame);
    await sleep(0);
    return performance.now() - start;
}}"""
# Which picture a key changes: the largest, however it comes to the page.
MARK = f"""async ([handle, box, id]) => {{
    {SOURCE}
    const pictures = [...document.querySelectorAll(box + ' :is(svg image, img, canvas)')];
    const before = pictures.map(source);
    press(handle);
    await sleep(3000);
    const area = (element) => element.getBoundingClientRect().width
        * element.getBoundingClientRect().height;
    const changed = pictures.filter((element, index) => source(element) !== before[index]);
    if (!changed.length) throw new Error('no picture changed in ' + box);
    changed.sort((a, b) => area(b) - area(a))[0].id = id;
}}"""
DRAG = f"""async ([handle, target, n_steps, step_ms]) => {{
    {SOURCE}
    const element = document.querySelector(target);
    let seen = source(element), n_drawn = 0, drawn = 0, stepped = 0, n_steps_made = 0;
    const start = performance.now();
    while (n_steps_made < n_steps || performance.now() - Math.max(drawn, stepped) < 1500) {{
        if (n_steps_made < n_steps && performance.now() >= start + n_steps_made * step_ms) {{
            press(handle);
            stepped = performance.now();
            n_steps_made += 1;
        }}
        if (source(element) !== seen) {{
            seen = source(element);
            drawn = performance.now();
            n_drawn += 1;
        }}
        await sleep(0);
    }}
    return [n_drawn / n_steps, drawn - stepped];
}}"""
WATCH = """() => {
    window.changed = performance.now();
    const inOutput = ({target}) => (target.closest ?? target.parentElement?.closest)
        && (target.closest ? target : target.parentElement).closest('.jp-OutputArea');
    new MutationObserver((records) => {
        if (records.some(inOutput)) window.changed = performance.now();
    }).observe(document.body,
        {subtree: true, childList: true, attributes: true, characterData: true});
}"""
RUN_CELL = """index => {
    window.notebook.content.activeCellIndex = index;
    window.began = performance.now();
    window.ran = false;
    const end = () => { window.ran = true; };
    window.jupyterapp.commands.execute('notebook:run-cell').then(end, end);
}"""
TURN = """label => {
    const tab = [...document.querySelectorAll('.bench .lm-TabBar-tab')]
        .find((each) => each.textContent.trim() === label);
    window.began = performance.now();
    window.ran = true;
    for (const kind of ['pointerdown', 'pointerup'])
        tab.dispatchEvent(new PointerEvent(kind, {bubbles: true, cancelable: true, button: 0,
            clientX: tab.getBoundingClientRect().x + 5,
            clientY: tab.getBoundingClientRect().y + 5}));
}"""
PAINTED = """async (silence_ms) => {
    while (!window.ran || performance.now() - Math.max(window.changed, window.began) < silence_ms)
        await new Promise((resolve) => setTimeout(resolve, 50));
    return window.changed - window.began;
}"""


def in_browser(measure):
    """What `measure(lab)` returns, with JupyterLab in a real browser."""
    browser_path = find_browser()
    if browser_path is None:
        sys.exit("no browser; run tests/setup_browser.py first")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = Server(Path(folder) / "lab")
        try:
            browser = playwright.chromium.launch(
                executable_path=browser_path, args=list(CHROMIUM_OPTIONS)
            )
            found = measure(Lab(server, browser))
            browser.close()
        finally:
            server.stop()
    return found


def handle_of(notebook, description):
    """The handle of a slider, which takes keys."""
    return notebook.slider(description).locator(".noUi-handle").element_handle()


def mark(notebook, description, box, name):
    """Give the largest picture in a box that a slider's key changes an id, and return its selector.

    Whether it is a mark, an image or a canvas.
    """
    notebook.page.evaluate(MARK, [handle_of(notebook, description), box, name])
    return f"#{name}"


def key_times(notebook, ways, rounds, warm_up=WARM_UP, pause_ms=PAUSE_MS, until=TICK):
    """Milliseconds from a slider's key to what it changes, way by way in turn.

    Args:
        notebook: Where the sliders are.
        ways: By name: the slider's description, a selector of what changes, and, where there
            are fewer than `rounds`, how many times.
        rounds: How many times.
        warm_up: Rounds before, which do not count.
        pause_ms: Between two keys.
        until: What ends a key's time: the decoded picture, or the frame with it.
    """
    times = {name: [] for name in ways}
    for number in range(rounds + warm_up):
        for name, (description, target, *fewer) in ways.items():
            if number < warm_up + (fewer[0] if fewer else rounds):
                taken = notebook.page.evaluate(until, [handle_of(notebook, description), target])
                notebook.page.wait_for_timeout(pause_ms)
                if number >= warm_up:
                    times[name].append(taken)
    notebook.assert_no_errors()
    return times


def report(times):
    """Print what `key_times` found, in multiples of its first way."""
    echo = next(iter(times.values()))
    for name, taken in times.items():
        by_median = statistics.median(taken) / statistics.median(echo)
        by_mean = statistics.fmean(taken) / statistics.fmean(echo)
        low, median, high = statistics.quantiles(taken, n=4)
        sys.stdout.write(
            f"{name:30} {by_mean:6.2f} x the echo by means, {by_median:6.2f} by medians   "
            f"({median:.0f} ms; quartiles {low:.0f} to {high:.0f}; n={len(taken)})\n"
        )


def keys(_aw, peers):
    """Key to decoded pixel, by means, and a drag.

    A server without the extension waits 40 ms for an acknowledgement now and then, whatever is
    sent, so that times have two peaks; between them a median jumps, and the mean does not. Each
    build has the server of its demo: the extension of this one makes the echo shorter, too, so
    that the times themselves are told beside the ratios.
    """
    return in_browser(lambda lab: _keys(lab, peers))


def _keys(lab, peers):
    cells = [MODEL, ECHO, GRID, BENCH, LAB, *([CANVAS, NOTEBOOK_WAY] if peers else [])]
    notebook = lab.new(*cells, height=4000)
    notebook.run_all()
    notebook.page.wait_for_timeout(5000)  # the background pass of the workbench
    ways = {
        "floor": ("echo", ".echo-label"),
        "grid": ("ours", mark(notebook, "ours", ".ours", "ours-maps")),
        "workbench": ("sample", mark(notebook, "sample", ".bench", "bench-maps")),
        "lab": ("brightness", mark(notebook, "brightness", ".lab", "lab-picture")),
    }
    if peers:
        ways["canvas"] = ("canvas", mark(notebook, "canvas", ".on-canvas", "canvas-maps"))
        old = mark(notebook, "notebook", ".notebook-way", "old-maps")
        ways[NOTEBOOK] = ("notebook", old, SLOW_KEYS)
    times = key_times(notebook, ways, KEYS)
    mean_s = {name: statistics.fmean(taken) / 1000 for name, taken in times.items()}
    floor = mean_s["floor"]
    old = {"grid": {NOTEBOOK: mean_s[NOTEBOOK]}} if peers else {}
    shown = {name: title for name, title in TITLES.items() if name in ways}
    rows = [
        Row(f"key to pixel, {title}", floor, {OURS: mean_s[name]} | old.get(name, {}))
        for name, title in shown.items()
    ]
    by_frame = {name: way for name, way in ways.items() if name in ("floor", *shown)}
    framed = {
        name: statistics.fmean(taken) / 1000
        for name, taken in key_times(notebook, by_frame, KEYS, until=FRAME).items()
    }
    for name, title in shown.items():
        titled = f"key to the frame with it, {title}"
        rows.append(Row(titled, framed["floor"], {OURS: framed[name]}))
    rows.append(Row("the same in time: key to label, echo", None, {OURS: floor}, ratios=False))
    for name, title in shown.items():
        titled = f"the same in time: {title}"
        rows.append(Row(titled, None, {OURS: mean_s[name]}, ratios=False))
    dragged = [name for name in shown if name != "lab"]
    drags = {name: _drag(notebook, *ways[name]) for name in ("floor", *dragged)}
    for name in dragged:
        (echo_share, echo_s), (share, stale_s) = drags["floor"], drags[name]
        title = f"drag of {DRAG_STEPS} steps, {shown[name]}"
        shares = {"unit": "of the steps", "ratios": False}
        rows.append(Row(f"{title}: share drawn", echo_share, {OURS: share}, **shares))
        rows.append(Row(f"{title}: staleness of the last", echo_s, {OURS: stale_s}))
    notebook.assert_no_errors()
    return rows


def _drag(notebook, description, target):
    """The share of steps that are drawn, and seconds from the last step to its picture."""
    found = []
    for _ in range(3):
        handle = handle_of(notebook, description)
        found.append(notebook.page.evaluate(DRAG, [handle, target, DRAG_STEPS, STEP_MS]))
    shares, stale_ms = zip(*found, strict=True)
    return statistics.median(shares), statistics.median(stale_ms) / 1000


def painting(_aw, _peers):
    """From running the cell, or from opening a tab, until nothing on the page changes any more."""
    return in_browser(_painting)


def _painting(lab):
    notebook = lab.new(MODEL, WIDGETS, BENCH, height=2000)
    page = notebook.page
    page.evaluate(WATCH)

    def painted_s(script, argument):
        page.evaluate(script, argument)
        return page.evaluate(PAINTED, SILENCE_MS) / 1000

    painted_s(RUN_CELL, 0)
    floor = painted_s(RUN_CELL, 1)
    rows = [Row("run cell, everything painted", floor, {OURS: painted_s(RUN_CELL, 2)})]
    for title in ("predictions", "units", "attributions", "interventions", "training"):
        opened_s = painted_s(TURN, title)
        rows.append(Row(f"tab {title} opened, painted", floor, {OURS: opened_s}))
    notebook.assert_no_errors()
    return rows


def during_pass(_aw, _peers):
    """A key while all layers are read in the background, over one while nothing is.

    Blocks of keys take turns. Between two keys the reader has time to begin its next batch: a
    key meets a forward pass of the reader, not its waiting.
    """
    return in_browser(_during_pass)


READING = """
import actwidgets as aw
x, y = kernel_rows.noise(400_000, 28, 28, 1)
session = aw.Session(model, x, y, layer="maps")
session.cancel()
grid = aw.FeatureMapGrid(session, units_per_page=64)
grid.add_class("ours")
tick_slider = w.IntSlider(description="ours", max=1000)
tick_slider.observe(lambda change: session.select(sample=change.new), "value")
strip = getattr(aw, "ClassSeparation", None) or aw.LayerStrip  # of every layer
views = w.VBox([tick_slider, grid, strip(session)])
session.cancel()
views
"""


def _during_pass(lab):
    notebook = lab.new(MODEL, READING, height=2000)
    notebook.run_all()
    page = notebook.page
    page.wait_for_timeout(2000)
    target = mark(notebook, "ours", ".ours", "ours-maps")

    def block():
        ways = {"key": ("ours", target)}
        return key_times(notebook, ways, KEYS_IN_BLOCK, 0, READING_MS)["key"]

    block()  # slices are made
    idle, busy = [], []
    for _ in range(BLOCKS):
        idle += block()
        notebook.execute("session.resume()")
        page.wait_for_timeout(500)
        busy += block()
        notebook.execute("session.cancel()")
    late = [statistics.quantiles(each, n=20)[-1] / 1000 for each in (idle, busy)]
    middle = [statistics.median(each) / 1000 for each in (idle, busy)]
    return [
        Row("key during a pass over a key without", middle[0], {OURS: middle[1]}),
        Row("the same, 95th percentiles", late[0], {OURS: late[1]}),
    ]


GROUPS = {"keys": keys, "paint": painting, "busy": during_pass}
