"""What one tick costs beside its floor: `python -m benchmarks.tick`.

A tick is a change of `session.sample` until the last message is handed to the comm. Its floor
is the bare compiled forward pass to that layer, called with a tensor, plus one bare
ipywidgets echo. All are timed in one run, in turn and in shuffled order, on samples not seen
before; machines differ, so read the ratios. The notebook's way builds a `keras.Model` per
change, calls `predict` and draws an axes per unit with matplotlib (`uv run --with matplotlib`).
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import io
import random
import time
from statistics import median

import ipywidgets as w
import keras
import numpy as np
import tensorflow as tf

import actwidgets as aw
from tests import fashion_cnn
from tests.fakes import wiretap
from tests.real_data import data_folder

try:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
except ImportError:
    Figure = None

MAX_AXES = 64
SLOW_EVERY = 8  # the slow ways are timed in one round of so many


def _bare_slice(model, layer, x):
    """The floor: a concrete function to the layer and one tensor per sample, made beforehand."""
    head = keras.Model(model.inputs, model.get_layer(layer).output)
    run = tf.function(lambda images: head(images, training=False)).get_concrete_function(
        tf.TensorSpec((None, *x.shape[1:]), tf.float32)
    )
    tensors = [tf.constant(x[k : k + 1]) for k in range(len(x))]
    return lambda k: run(tensors[k]).numpy()


def _setter(thing, trait, make=int):
    return lambda k: setattr(thing, trait, make(k))


class _Clock:
    """Times ways in turn, and makes sure that those which should send something do."""

    def __init__(self, ways, silent, slow):
        self.ways, self.silent, self.slow = ways, silent, slow
        self.wires = wiretap()

    def medians_ms(self, n_rounds, warm_up=3):
        seconds = {name: [] for name in self.ways}
        order, shuffle = list(self.ways), random.Random(0).shuffle
        for round_index in range(-warm_up, n_rounds):
            shuffle(order)  # what ran just before leaves the processor's caches warm or cold
            for name in order:
                if name in self.slow and round_index % SLOW_EVERY:
                    continue
                taken = self._time(self.ways[name], round_index + warm_up + 1, name)
                if round_index >= 0:
                    seconds[name].append(taken)
        return {name: 1000 * median(taken) for name, taken in seconds.items()}

    def _time(self, way, k, name):
        start = time.perf_counter()
        way(k)
        taken = time.perf_counter() - start
        sent = any(wire.sent for wire in self.wires.values())
        assert sent or name in self.silent, f"{name} sent nothing"
        for wire in self.wires.values():
            wire.sent.clear()
        return taken


def _notebook(model, layer, x):
    def picture(k):
        head = keras.Model(model.inputs, model.get_layer(layer).output)
        maps = head.predict(x[k : k + 1], verbose=0)[0]
        figure = Figure(figsize=(10, 10))
        canvas = FigureCanvasAgg(figure)
        if maps.ndim == 1:
            figure.subplots().imshow(maps[None])
        else:
            shown = np.moveaxis(maps, -1, 0)[:MAX_AXES]
            side = int(np.ceil(np.sqrt(len(shown))))
            axes = figure.subplots(side, side).flat
            for one, values in zip(axes, shown, strict=False):
                one.imshow(values)
                one.set_xticks([])
                one.set_yticks([])
        canvas.print_png(io.BytesIO())

    return picture


def _compare(title, model, x, y, layer, n_rounds):
    x, y = x[: n_rounds + 8], y[: n_rounds + 8]
    run, label = _bare_slice(model, layer, x), w.Label()
    session = aw.Session(model, x, y, layer=layer)
    grid = aw.FeatureMapGrid(session)
    app, dragged = (aw.explore(model, x, y, layer=layer) for _ in range(2))
    for each in (app, dragged):
        each.session.wait()
    slider = dragged.views["SampleGallery"]._slider
    echo = _setter(label, "value", str)
    ways = {
        "bare compiled slice": run,
        "bare echo": echo,
        "floor: slice + echo": lambda k: (run(k), echo(-k)),
        "FeatureMapGrid tick": _setter(session, "sample"),
        "explore(), its slider": lambda k: slider.set_state({"value": k}),
        "explore(), from Python": _setter(app.session, "sample"),
        "model.predict alone": lambda k: model.predict(x[k : k + 1], verbose=0),
    }
    if Figure is not None:
        ways["the notebook's way"] = _notebook(model, layer, x)
    silent = {"bare compiled slice", "model.predict alone", "the notebook's way"}
    ms = _Clock(ways, silent, silent - {"bare compiled slice"}).medians_ms(n_rounds)
    shape = "x".join(str(length) for length in session.layer_info.output_shape[1:])
    for widget in (app, dragged, grid, label):
        widget.close()
    session.close()

    print(f"\n{title}, {layer} ({shape})")
    print(f"  {'':22} {'x slice':>9} {'x floor':>9} {'x grid tick':>12} {'(ms)':>10}")
    for name, taken in ms.items():
        ratios = (
            taken / ms[unit]
            for unit in ("bare compiled slice", "floor: slice + echo", "FeatureMapGrid tick")
        )
        print(f"  {name:22} {{:9.2f}} {{:9.2f}} {{:12.2f}} {taken:10.2f}".format(*ratios))


def _fashion(path):
    """The Fashion CNN and images for it; how long it takes does not hang on its weights."""
    folder = data_folder()
    if folder is None:
        rng = np.random.default_rng(0)
        x, y = rng.random((1000, 28, 28, 1), np.float32), np.arange(1000) % 10
        print("No real data found: the Fashion CNN is timed on noise.")
    else:
        data = aw.load_dataset("fashion_mnist", path=folder)
        x, y = data.x_test, data.y_test
    if path is None:
        print("No --fashion-model given: the Fashion CNN is timed untrained.")
        return fashion_cnn.build(), x, y
    return keras.saving.load_model(path, compile=False), x, y


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=64, help="rounds per layer")
    parser.add_argument("--fashion-model", help="file made by `python -m tests.fashion_cnn`")
    options = parser.parse_args()
    if Figure is None:
        print("matplotlib is not installed: the notebook's way is left out.")
    digits = aw.load_dataset("digits")
    demo = aw.demo_model()
    fashion, x, y = _fashion(options.fashion_model)
    for layer in ("conv_1", "conv_4", "dense"):
        _compare("digits demo model", demo, digits.x_test, digits.y_test, layer, options.rounds)
    for layer in ("conv_2", "conv_4", "dense"):
        _compare("Fashion CNN", fashion, x, y, layer, options.rounds)


if __name__ == "__main__":
    main()
