"""A slider's key to the decoded pixel, in a real browser, beside a bare slider-to-label echo.

    uv run --group bench python -m benchmarks.browser_tick

Each round presses a key once on each slider, so that all of them see the same machine. The
notebook's way is what people copy: a new `keras.Model` and `predict` for every change, and 64
matplotlib axes. Prints ratios to the echo.
"""

import statistics
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.browser.lab import CHROMIUM_OPTIONS, Lab, Server
from tests.setup_browser import find_browser

ROUNDS, SLOW_ROUNDS, WARM_UP = 100, 8, 5

ECHO = """
import ipywidgets as w

echo_slider, echo_label = w.IntSlider(description="echo", max=1000), w.Label("0")
echo_label.add_class("echo-label")
echo_slider.observe(lambda change: setattr(echo_label, "value", str(change.new)), "value")
w.VBox([echo_slider, echo_label])
"""
MODEL = """
import keras, actwidgets as aw

keras.utils.set_random_seed(0)
layers = keras.layers
model = keras.Sequential([
    layers.Input((28, 28, 1)),
    layers.Conv2D(32, 3, activation="relu"), layers.Conv2D(32, 3, activation="relu"),
    layers.MaxPooling2D(),
    layers.Conv2D(64, 3, activation="relu", name="maps"), layers.Conv2D(64, 3, activation="relu"),
    layers.GlobalAveragePooling2D(), layers.Dense(32, activation="relu"),
    layers.Dense(10, activation="softmax"),
])
import numpy as np
x = np.random.default_rng(0).random((1001, 28, 28, 1), np.float32)
"""
OURS = """
session = aw.Session(model, x, layer="maps")
grid = aw.FeatureMapGrid(session, units_per_page=64)
grid.add_class("ours")
tick_slider = w.IntSlider(description="ours", max=1000)
tick_slider.observe(lambda change: session.select(sample=change.new), "value")
w.VBox([tick_slider, grid])
"""
BENCH = """
app = aw.explore(model, x, np.arange(1001) % 10, layer="maps")
app.add_class("bench")
app
"""
NOTEBOOK = """
import io
import matplotlib
matplotlib.use("agg")
import matplotlib.pyplot as plt

def draw(change):
    part = keras.Model(model.inputs, model.get_layer("maps").output)
    maps = part.predict(x[change.new : change.new + 1], verbose=0)
    figure, axes = plt.subplots(8, 8, figsize=(8, 8))
    for unit, axis in enumerate(axes.flat):
        axis.imshow(maps[0, :, :, unit])
        axis.axis("off")
    file = io.BytesIO()
    figure.savefig(file, format="png")
    plt.close(figure)
    picture.value = file.getvalue()

old_slider, picture = w.IntSlider(description="notebook", max=1000), w.Image()
picture.add_class("notebook-picture")
old_slider.observe(draw, "value")
w.VBox([old_slider, picture])
"""
TICK = """async ([handle, target]) => {
    const element = document.querySelector(target);
    const source = () => element.href?.baseVal ?? element.src ?? element.textContent;
    const before = source();
    const start = performance.now();
    handle.dispatchEvent(new KeyboardEvent(
        'keydown', {key: 'ArrowRight', bubbles: true, cancelable: true}));
    while (source() === before) {
        if (performance.now() - start > 60000) throw new Error('nothing changed');
        await new Promise((resolve) => setTimeout(resolve, 0));
    }
    if (element.textContent !== source()) {
        const image = new Image();
        image.src = source();
        await image.decode();
    }
    return performance.now() - start;
}"""
MAPS = ".aw-picture > img, .bqplot svg:has(image) image"  # the latter in builds before


def main():
    """Measure and print; return the exit code."""
    return in_browser(lambda lab: _report(_measure(lab)))


def in_browser(measure):
    """Call `measure(lab)` with JupyterLab in a real browser; return the exit code."""
    browser_path = find_browser()
    if browser_path is None:
        sys.stderr.write("no browser; run tests/setup_browser.py first\n")
        return 1
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = Server(Path(folder) / "lab")
        try:
            browser = playwright.chromium.launch(
                executable_path=browser_path, args=list(CHROMIUM_OPTIONS)
            )
            measure(Lab(server, browser))
            browser.close()
        finally:
            server.stop()
    return 0


def key_times(notebook, ways, rounds, warm_up, pause_ms=100):
    """Milliseconds from a slider's key to what it changes, way by way in turn.

    Args:
        notebook: Where the sliders are.
        ways: By name: the slider's description, a selector of what changes, and, where there
            are fewer than `rounds`, how many times.
        rounds: How many times.
        warm_up: Rounds before, which do not count.
        pause_ms: Between two keys.
    """
    times = {name: [] for name in ways}
    for number in range(rounds + warm_up):
        for name, (description, target, *fewer) in ways.items():
            if number < warm_up + (fewer[0] if fewer else rounds):
                handle = notebook.slider(description).locator(".noUi-handle").element_handle()
                taken = notebook.page.evaluate(TICK, [handle, target])
                notebook.page.wait_for_timeout(pause_ms)
                if number >= warm_up:
                    times[name].append(taken)
    notebook.assert_no_errors()
    return times


def _measure(lab):
    notebook = lab.new(ECHO, MODEL, OURS, BENCH, NOTEBOOK, height=3000)
    notebook.run_all()
    page = notebook.page
    page.wait_for_timeout(5000)  # the background pass of the workbench
    page.evaluate(f"document.querySelectorAll('.ours {MAPS}')[1].id = 'ours-maps'")
    page.evaluate(f"document.querySelectorAll('.bench {MAPS}')[2].id = 'bench-maps'")
    ways = {
        "bare echo, slider to label": ("echo", ".echo-label"),
        "FeatureMapGrid, 64 maps": ("ours", "#ours-maps"),
        "explore, the whole workbench": ("sample", "#bench-maps"),
        "the notebook's way, 64 axes": ("notebook", ".notebook-picture", SLOW_ROUNDS),
    }
    return key_times(notebook, ways, ROUNDS, WARM_UP, pause_ms=60)


def _report(times):
    # The server waits some 40 ms for an acknowledgement now and then, whatever is sent, so
    # that times have two peaks; between them a median jumps, and the mean does not.
    echo = next(iter(times.values()))
    for name, taken in times.items():
        by_median = statistics.median(taken) / statistics.median(echo)
        by_mean = statistics.fmean(taken) / statistics.fmean(echo)
        low, median, high = statistics.quantiles(taken, n=4)
        sys.stdout.write(
            f"{name:30} {by_mean:6.2f} x the echo by means, {by_median:6.2f} by medians   "
            f"({median:.0f} ms; quartiles {low:.0f} to {high:.0f}; n={len(taken)})\n"
        )


if __name__ == "__main__":
    sys.exit(main())
