"""What a tick of the input lab costs: `python -m benchmarks.lab_tick`.

A tick is a new value of a slider until the last message is handed to the comm, with the lab and
the feature maps on show: a perturbed picture, maps, and a prediction. Its floor is what the model
itself takes: the bare compiled forward pass to the layer, and the one to the prediction. Then the
same in a real browser, from the slider's key to the decoded pixel of the maps, beside a bare
slider-to-label echo in the same run (`--kernel` leaves that out). Machines differ; read the ratios.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import sys

import ipywidgets as w

import actwidgets as aw
from actwidgets.core.perturbation import Perturbation
from actwidgets.views.feature_map_grid import FeatureMapGrid
from actwidgets.views.input_lab import InputLab
from benchmarks.browser_tick import ECHO, MAPS, MODEL, _report, in_browser, key_times
from benchmarks.tick import _bare_slice, _Clock, _fashion, _setter

KEYS, WARM_UP = 60, 5
VIEWS = """
from actwidgets.views.input_lab import InputLab

session = aw.Session(model, x, layer="maps")
lab, grid = InputLab(session), aw.FeatureMapGrid(session, units_per_page=64)
lab.add_class("lab")
grid.add_class("ours")
w.VBox([lab, grid])
"""


def _compare(title, model, x, y, layer, n_rounds):
    last = model.layers[-1].name
    to_layer, to_end = _bare_slice(model, layer, x), _bare_slice(model, last, x)
    session, label = aw.Session(model, x, y, layer=layer), w.Label()
    lab = InputLab(session)
    grid = FeatureMapGrid(session)
    echo = _setter(label, "value", str)
    lone_session = aw.Session(model, x, y, layer=layer)
    lone = InputLab(lone_session)

    def turn(slider, step):
        return lambda k: slider.set_state({"value": step * k})

    def place(k):
        session.perturbation = Perturbation(patch=(k % 20, k // 20, 8, 8))

    ways = {
        "bare forward pass": to_end,
        "floor: maps, prediction": lambda k: (to_layer(k), to_end(k)),
        "bare echo": echo,
        "brightness": turn(lab._sliders["brightness"], 0.001),
        "noise": turn(lab._sliders["noise"], 0.001),
        "blur": turn(lab._sliders["blur"], 0.01),
        "rotation": turn(lab._sliders["rotation"], 0.5),
        "patch": place,
        "lab without maps, noise": turn(lone._sliders["noise"], 0.001),
    }
    silent = {"bare forward pass", "floor: maps, prediction"}
    ms = _Clock(ways, silent, set()).medians_ms(n_rounds)
    for widget in (lab, grid, lone, label):
        widget.close()
    for each in (session, lone_session):
        each.close()
    print(f"\n{title}, {layer}")
    print(f"  {'':26} {'x forward pass':>15} {'x floor':>9} {'(ms)':>9}")
    for name, taken in ms.items():
        bare, floor = ms["bare forward pass"], ms["floor: maps, prediction"]
        print(f"  {name:26} {taken / bare:15.2f} {taken / floor:9.2f} {taken:9.2f}")


def _in_browser(lab):
    notebook = lab.new(ECHO, MODEL, VIEWS, height=2400)
    notebook.run_all()
    page = notebook.page
    page.wait_for_timeout(3000)
    page.evaluate(f"document.querySelectorAll('.ours {MAPS}')[1].id = 'ours-maps'")
    page.evaluate(f"document.querySelectorAll('.lab {MAPS}')[0].id = 'lab-picture'")
    ways = {
        "bare echo, slider to label": ("echo", ".echo-label"),
        "brightness, to the picture": ("brightness", "#lab-picture"),
        "rotation, to 64 maps": ("rotation, °", "#ours-maps"),
    }
    _report(key_times(notebook, ways, KEYS, WARM_UP))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=64, help="rounds per layer")
    parser.add_argument("--fashion-model", help="file made by `python -m tests.fashion_cnn`")
    parser.add_argument("--kernel", action="store_true", help="without the browser")
    options = parser.parse_args()
    digits = aw.load_dataset("digits")
    fashion, x, y = _fashion(options.fashion_model)
    n_samples = options.rounds + 8
    for title, model, images, labels, layer in (
        ("digits demo model", aw.demo_model(), digits.x_test, digits.y_test, "conv_1"),
        ("Fashion CNN", fashion, x, y, "conv_2"),
        ("Fashion CNN", fashion, x, y, "conv_4"),
    ):
        _compare(title, model, images[:n_samples], labels[:n_samples], layer, options.rounds)
    return 0 if options.kernel else in_browser(_in_browser)


if __name__ == "__main__":
    sys.exit(main())
