"""A slider's key to the decoded pixel while all layers are profiled in the background.

    uv run python -m benchmarks.browser_pass

Blocks of keys with the pass under way and with the pass cancelled take turns, so that both see
the same machine. Between two keys the reader has time to begin its next batch: a key meets a
forward pass of the reader, not its waiting. Prints ratios to the idle median.
"""

import statistics
import sys

from benchmarks.browser_tick import MAPS, MODEL, TICK, in_browser

BLOCKS, KEYS, PAUSE_MS = 6, 20, 400
VIEWS = """
import ipywidgets as w

x = np.random.default_rng(0).random((400_000, 28, 28, 1), np.float32)
session = aw.Session(model, x, np.arange(len(x)) % 10, layer="maps")
session.cancel()
grid = aw.FeatureMapGrid(session, units_per_page=64)
grid.add_class("ours")
tick_slider = w.IntSlider(description="ours", max=1000)
tick_slider.observe(lambda change: session.select(sample=change.new), "value")
strip = aw.ClassSeparation(session)
session.cancel()
w.VBox([tick_slider, grid, strip])
"""


def main():
    """Measure and print; return the exit code."""
    return in_browser(lambda lab: _report(*_measure(lab)))


def _measure(lab):
    notebook = lab.new(MODEL, VIEWS, height=2000)
    notebook.run_all()
    page = notebook.page
    page.wait_for_timeout(2000)
    page.evaluate(f"document.querySelectorAll('.ours {MAPS}')[0].id = 'ours-maps'")
    handle = notebook.slider("ours").locator(".noUi-handle").element_handle()

    def keys():
        taken = []
        for _ in range(KEYS):
            taken.append(page.evaluate(TICK, [handle, "#ours-maps"]))
            page.wait_for_timeout(PAUSE_MS)
        return taken

    keys()  # slices are made
    idle, busy, read = [], [], []
    for _ in range(BLOCKS):
        idle += keys()
        notebook.execute("session.resume()")
        page.wait_for_timeout(500)
        before = notebook.evaluate("session.reading.n_read")
        busy += keys()
        notebook.execute("session.cancel()")
        read.append(notebook.evaluate("session.reading.n_read") - before)
    notebook.assert_no_errors()
    return idle, busy, read


def _report(idle, busy, read):
    floor = statistics.median(idle)
    for name, taken in (("idle", idle), ("during the pass", busy)):
        median, late = statistics.median(taken), statistics.quantiles(taken, n=20)[-1]
        sys.stdout.write(
            f"{name:16} median {median / floor:5.2f}  95th percentile {late / floor:5.2f}   "
            f"({median:.0f} and {late:.0f} ms; n={len(taken)})\n"
        )
    sys.stdout.write(f"samples read in each busy block: {', '.join(map(str, read))}\n")


if __name__ == "__main__":
    sys.exit(main())
