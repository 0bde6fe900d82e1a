"""A recorded training in the browser: dragged through, played, and side by side."""

import numpy as np
import pytest

TRAIN = """
import keras, tempfile, ipywidgets, actwidgets as aw
from actwidgets.recording.recorder import Recorder
from actwidgets.recording.replay import open_recording
from actwidgets.views.epoch_slider import EpochSlider

data = aw.load_dataset("digits")
keras.utils.set_random_seed(0)
model = keras.Sequential([
    keras.Input((8, 8, 1)),
    keras.layers.Conv2D(12, 3, activation="relu", name="conv"),
    keras.layers.Flatten(name="flatten"),
    keras.layers.Dense(16, activation="relu", name="dense"),
    keras.layers.Dense(10, activation="softmax", name="output"),
])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
folder = tempfile.mkdtemp()
recorder = Recorder(
    model, folder, data.x_train[:300], data.y_train[:300], class_names=data.class_names,
    every=("batches", 6),
)
model.fit(
    data.x_train, data.y_train, epochs=3, verbose=0, batch_size=64,
    validation_data=(data.x_test, data.y_test), callbacks=[recorder.callback],
)
recorder.close()
assert not recorder.error, recorder.error
recording = open_recording(folder)
"""
SLIDER = """
session = recording.session(layer="conv")
slider, grid = EpochSlider(session, interval_ms=150), aw.FeatureMapGrid(session)
ipywidgets.VBox([slider, grid])
"""


@pytest.fixture(scope="module")
def notebook(lab):
    notebook = lab.new(TRAIN, SLIDER, height=1400)
    notebook.run_all()
    return notebook


def _maps(notebook):
    return notebook.images().nth(1)


def test_dragging_shows_the_maps_of_the_time(notebook):
    last = notebook.pixels(_maps(notebook))
    assert notebook.evaluate("session.at == len(recording.snapshots) - 1")
    notebook.drag("epoch", to=0.0)
    notebook.wait_for_other_pixels(last, _maps(notebook))
    notebook.wait_until("session.at", 0)
    notebook.page.locator(".aw-title", has_text="before training").wait_for()
    notebook.settle()
    assert not np.array_equal(notebook.pixels(_maps(notebook)), last)
    notebook.drag("epoch", to=1.0)
    notebook.wait_until(lambda: np.array_equal(notebook.pixels(_maps(notebook)), last))
    notebook.assert_no_errors()


def test_play_runs_to_the_end_and_pauses(notebook):
    notebook.execute("session.at, slider.interval_ms = 0, 3000")  # not at the end too soon
    notebook.settle()
    before = notebook.pixels(_maps(notebook))
    play = notebook.page.locator(".widget-play button").first
    play.click()
    notebook.wait_for_other_pixels(before, _maps(notebook))
    play.click()
    notebook.wait_until("slider.playing", False)
    notebook.settle()  # whatever was on its way has come
    stopped = notebook.evaluate("session.at")
    assert stopped > 0
    notebook.settle(page_ms=4000)
    assert notebook.evaluate("session.at") == stopped
    notebook.execute("slider.interval_ms = 150")
    notebook.settle()
    play.click()
    notebook.wait_until("session.at == len(recording.snapshots) - 1")
    notebook.wait_until("slider.playing", False)
    notebook.assert_no_errors()


def test_with_loop_it_begins_anew(notebook):
    notebook.page.get_by_role("button", name="loop").click()
    play = notebook.page.locator(".widget-play button").first
    notebook.execute("seen = set(); session.observe(lambda change: seen.add(change.new), 'at')")
    play.click()
    notebook.wait_until("len(seen) == len(recording.snapshots)")
    play.click()
    notebook.assert_no_errors()


BESIDE = """() => {
  const titles = [...document.querySelectorAll('.aw-model')].map((e) => e.getBoundingClientRect())
    .filter((box) => box.width);
  const rows = new Set(titles.map((box) => Math.round(box.y)));
  const scrolled = [...document.querySelectorAll('.jp-OutputArea-output .jupyter-widgets')]
    .filter((e) => getComputedStyle(e).overflowX === 'auto' && e.scrollWidth > e.clientWidth + 1);
  return [titles.length, rows.size, scrolled.length];
}"""


@pytest.fixture(scope="module")
def side_by_side(lab):
    compared = (
        'both = aw.explore({"before": recording.session(0), "after": recording.session(-1)})\nboth'
    )
    notebook = lab.new(TRAIN, compared, width=1150, height=1400)
    notebook.run_all()
    return notebook


@pytest.mark.parametrize("page", ["layers", "predictions", "units"])
def test_two_epochs_lie_beside_one_another_on_a_narrow_page(side_by_side, page):
    side_by_side.execute(f'both.pages.turn_to("{page}")')
    side_by_side.page.wait_for_timeout(1500)
    # Two titles above the tabs, by the sliders, and two in the page.
    assert side_by_side.page.evaluate(BESIDE) == [4, 2, 0]
    side_by_side.assert_no_errors()
