"""How faithful each method is: `python -m benchmarks.faithfulness_table`.

Deletion and insertion of 200 images of CIFAR-10 that nobody trained on, with CIFAR-10_CNN5.h5 in
ACTWIDGETS_MODELS, for every method there is; beside it, as floors, a random map and two that
know nothing of the model: the edges of the image, and its middle first. A method at the level
of a floor has told nothing. A map that compares the sample with a baseline is judged fairly
where that baseline is what is filled in: integrated gradients from black are at the level of a
random map where the mean is filled in, and from the mean or the blurred image far from it.
Single pixels taken out by a noisy map are noise that the network has never seen, so compare
deletion among methods of the same grain. The last but one column is the randomization check:
how alike the map stays when the last layer is random.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from scipy.ndimage import sobel

import actwidgets as aw
from actwidgets.core.attribution.base import Attribution
from actwidgets.errors import ActwidgetsError
from actwidgets.probe.attribute import faithfulness, randomization_check

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from real_data import require_data, require_model

OPTIONS = {"integrated_gradients": {"tolerance": 0.05}}
MORE = {  # rows besides one for each method
    "integrated, from mean": ("integrated_gradients", {"tolerance": 0.05, "baseline": "mean"}),
    "integrated, from blurred": ("integrated_gradients", {"tolerance": 0.05, "baseline": "blur"}),
}
STEPS = 32
N_CHECKED = 20  # images of the randomization check


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=200)
    n_images = parser.parse_args().images
    model = aw.load_model(require_model("CIFAR-10_CNN5.h5"))
    with np.load(require_data("cifar10") / "cifar10.npz") as arrays:
        x = arrays["x_test"][:n_images].astype(np.float32) / 255
    target = aw.predict(model, x).argmax(axis=1)
    print(f"{n_images} images; mean ± standard error of the area under the curve")
    header = "", "deletion (low)", "insertion (high)", "stays alike", "took"
    print("{:24s}{:>18s}{:>18s}{:>13s}{:>8s}".format(*header))
    for name, values in _floors(x).items():
        _tell(name, model, x, Attribution(values, np.nan, target, np.nan, name), "", 0)
    rows = {each.name: (each.name, OPTIONS.get(each.name, {})) for each in aw.attribution_methods()}
    for label, (method, options) in (rows | MORE).items():
        begin = time.perf_counter()
        try:
            found = aw.attribute(model, x, target, method, **options)
        except (ActwidgetsError, NotImplementedError) as refused:
            print(f"{label:24s}{str(refused)[:70]}")
            continue
        took = time.perf_counter() - begin
        check = randomization_check(
            model, x[:N_CHECKED], target[:N_CHECKED], method, n_layers=1, **options
        )
        alike = f"{np.nanmean(check.similarity[1]):.2f}" + (" !" if check.insensitive else "  ")
        _tell(label, model, x, found, alike, took)


def _floors(x):
    """Maps that know nothing of the model."""
    gray = x.mean(axis=-1)
    edges = np.hypot(sobel(gray, axis=1), sobel(gray, axis=2))
    return {
        "(random)": np.random.default_rng(0).normal(size=gray.shape),
        "(edges)": edges,
        "(middle first)": np.broadcast_to(_nearness(gray.shape[1:]), gray.shape),
    }


def _nearness(shape):
    rows, columns = np.indices(shape)
    return -np.hypot(rows - shape[0] / 2 + 0.5, columns - shape[1] / 2 + 0.5)


def _tell(name, model, x, attribution, alike, took):
    cells = []
    for kind in ("deletion", "insertion"):
        areas = faithfulness(model, x, attribution, kind, steps=STEPS).auc
        error = areas.std(ddof=1) / np.sqrt(len(areas))
        cells.append(f"{areas.mean():.3f} ± {error:.3f}")
    seconds = f"{took:.1f} s" if took else ""
    print(f"{name:24s}{cells[0]:>18s}{cells[1]:>18s}{alike:>13s}{seconds:>8s}", flush=True)


if __name__ == "__main__":
    main()
