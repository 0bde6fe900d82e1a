"""What a tick of an ablation costs: `python benchmarks/ablation_tick.py`.

A tick is a new value of the scale slider until the last message is handed to the comm, with
`UnitAblation` alone on show, and with the confusion matrix beside it. Its floor is the bare
compiled forward pass over the samples that the tick predicted; what is left is predicted in the
background. Then the same in a real browser, from the slider's key to the decoded maps, beside a
bare slider-to-label echo in the same run (`--kernel` leaves that out). Read the ratios.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np
from browser_rows import ECHO, in_browser, key_times, mark, report
from edited_tick import _floor

import actwidgets as aw
from actwidgets.core.ablation import Ablation

KEYS, WARM_UP = 40, 5
SETUP = """
import ipywidgets as w, actwidgets as aw
data = aw.load_dataset("digits")
session = aw.Session(
    aw.demo_model(), data.x_test, data.y_test, class_names=data.class_names, layer="conv_1"
)
session.confusion()
ablation, maps = aw.UnitAblation(session), aw.FeatureMapGrid(session)
maps.add_class("ours")
session.select(ablations=(aw.Ablation("conv_1", tuple(range(16))),))
w.VBox([ablation, maps])
"""


def _milliseconds(act, rounds):
    taken = []
    for number in range(rounds + 3):
        begun = time.perf_counter()
        act(number)
        if number >= 3:
            taken.append(1000 * (time.perf_counter() - begun))
    return statistics.median(taken)


def _compare(title, model, x, y, layer, rounds):
    names = tuple(str(index) for index in range(10))
    session = aw.Session(model, x, y, class_names=names, layer=layer)
    view = aw.UnitAblation(session)
    session.select(ablations=(Ablation(layer, (1,)),))
    session.wait()
    told = []

    def tick(number):
        session.cancel()  # what the tick before left to the background
        view.scale = 0.05 + number % 40 / 20
        told.append(session.results.prediction_pass(session.ablations).n_read)

    ms = _milliseconds(tick, rounds)
    n_told = int(statistics.median(told))
    matrix = aw.ConfusionMatrix(session)
    with_matrix = _milliseconds(tick, rounds)
    session.cancel()
    session.wait()
    bare = _floor(model, np.ascontiguousarray(x[:n_told], np.float32))
    floor = _milliseconds(lambda _: bare(), rounds)
    print(f"  {title:28} {n_told:7,} of {len(x):6,} {ms / floor:8.2f} {with_matrix / floor:14.2f}")
    print(f"  {'':28} {'':17} {ms:8.1f} {with_matrix:14.1f} {floor:9.1f} ms")
    for each in (view, matrix):
        each.close()
    session.close()


def _in_browser(lab):
    notebook = lab.new(ECHO, SETUP, height=1600)
    notebook.run_all()
    notebook.page.wait_for_timeout(3000)
    ways = {
        "bare echo, slider to label": ("echo", ".echo-label"),
        "scale, to the maps": ("scale", mark(notebook, "scale", ".ours", "our-maps")),
    }
    report(key_times(notebook, ways, KEYS, WARM_UP))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--kernel", action="store_true", help="without the browser")
    options = parser.parse_args()
    digits = aw.load_dataset("digits")
    print(f"  {'':28} {'samples a tick':>17} {'x floor':>8} {'with matrix':>14} {'floor':>9}")
    _compare("digits demo", aw.demo_model(), digits.x_test, digits.y_test, "dense", options.rounds)
    folder = os.environ.get("ACTWIDGETS_MODELS")
    if folder:
        mnist, cifar = aw.load_dataset("mnist"), aw.load_dataset("cifar10")
        dense = aw.load_model(Path(folder) / "MNIST_dense128.h5")
        flat = np.squeeze(mnist.x_test)
        _compare("MNIST, 784-128-10", dense, flat, mnist.y_test, "dense_0", options.rounds)
        cnn = aw.load_model(Path(folder) / "CIFAR-10_CNN5.h5")
        for layer in ("conv_0", "dense_0"):
            title = f"CIFAR-10 CNN, {layer}"
            _compare(title, cnn, cifar.x_test, cifar.y_test, layer, options.rounds)
    return 0 if options.kernel else in_browser(_in_browser)


if __name__ == "__main__":
    sys.exit(main())
