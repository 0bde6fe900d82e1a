"""Sliders while `fit` is running in the same kernel: nobody has touched anything before."""

import random
import sys
import time

import numpy as np
import pytest

SETUP = """
import keras, numpy as np, actwidgets as aw
from actwidgets.probe.fingerprint import fingerprint
keras.utils.set_random_seed(0)
data = aw.load_dataset("digits")
model = keras.Sequential([
    keras.Input((8, 8, 1)),
    keras.layers.Conv2D(32, 3, padding="same", activation="relu", name="conv_1"),
    keras.layers.Conv2D(32, 3, padding="same", activation="relu", name="conv_2"),
    keras.layers.Flatten(),
    keras.layers.Dense(256, activation="relu", name="dense"),
    keras.layers.Dense(10, activation="softmax", name="out"),
])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
session = aw.Session(model, data.x_test, data.y_test, layer="conv_2")
between_steps, seen = {fingerprint(model)}, []

class Noting(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        between_steps.add(fingerprint(model))

    def on_train_end(self, logs=None):
        between_steps.add(fingerprint(model))
"""
VIEWS = """
import ipywidgets
monitor, gallery = aw.TrainingMonitor(session), aw.SampleGallery(session)
grid = aw.FeatureMapGrid(session, width_px=400)
outputs_of = grid._outputs

def outputs(selection):
    with session.context.probe.step_gate.read_lock():
        before = fingerprint(model)
        found = outputs_of(selection)
        seen.append((before, fingerprint(model)))
    return found

grid._outputs = outputs
told = ipywidgets.Label()
session.observe(lambda change: setattr(told, "value", f"chosen: {change.new}"), "sample")
ipywidgets.VBox([told, monitor, ipywidgets.HBox([gallery, grid])])
"""
FIT = """
history = model.fit(data.x_train, data.y_train, batch_size=64, epochs=10_000, verbose=0,
                    callbacks=[Noting(), monitor.callback])
"""
MAPS, N_MOVES = 2, 100


@pytest.fixture(scope="module")
def notebook(lab):
    notebook = lab.new(SETUP, VIEWS, width=1100, height=1000)
    notebook.run_all()
    notebook.start(FIT)
    notebook.page.get_by_text("training: epoch").wait_for()
    return notebook


def _move(notebook, to, before):
    """Drag the slider, and tell how long it took until other pixels were there."""
    notebook.drag("sample", to=to, steps=1, release=False)
    begun_s = time.monotonic()
    notebook.page.mouse.up()
    after = notebook.wait_for_other_pixels(before, notebook.images().nth(MAPS), limit_s=60)
    return after, time.monotonic() - begun_s


def test_the_very_first_touch_is_answered_while_fit_goes_on(notebook):
    before = notebook.pixels(notebook.images().nth(MAPS))
    readout = notebook.slider("sample").locator(".widget-readout")
    number = readout.inner_text()
    _move(notebook, 0.7, before)
    notebook.wait_until(lambda: readout.inner_text() != number)
    notebook.page.get_by_text(f"chosen: {readout.inner_text()}").wait_for()
    assert notebook.is_running()


def test_a_hundred_random_moves_show_no_torn_frame(notebook):
    chance, took = random.Random(0), []
    pixels = notebook.pixels(notebook.images().nth(MAPS))
    at = 0.7
    for _ in range(N_MOVES):
        at = (at + chance.uniform(0.1, 0.9)) % 1  # never where it stands
        pixels, seconds = _move(notebook, at, pixels)
        took.append(seconds)
    assert notebook.is_running()
    median, most = 1000 * np.median(took), 1000 * max(took)
    sys.stderr.write(f"slider to pixels during fit: median {median:.0f} ms, most {most:.0f} ms\n")
    notebook.page.get_by_role("button", name="Stop").click()
    notebook.page.get_by_text("stopped: epoch").wait_for()
    notebook.page.wait_for_function("() => !window.running")
    torn = "sum(before != after or before not in between_steps for before, after in seen)"
    assert notebook.evaluate(f"[len(seen) > {N_MOVES}, {torn}]") == [True, 0]
    assert notebook.evaluate("[monitor.error, grid.error, gallery.error]") == ["", "", ""]
    notebook.assert_no_errors()


def test_the_last_picture_is_that_of_the_last_weights(notebook):
    notebook.settle()
    shown = notebook.pixels(notebook.images().nth(MAPS))
    notebook.execute("session.refresh(); import io; from PIL import Image")
    sent = notebook.evaluate(
        "np.asarray(Image.open(io.BytesIO(grid._maps.image.value)).convert('RGBA')).tolist()"
    )
    np.testing.assert_array_equal(shown[shown[..., 3] > 0], np.array(sent)[shown[..., 3] > 0])
    assert notebook.evaluate("[monitor.state, len(history.epoch) < 10_000]") == ["stopped", True]
