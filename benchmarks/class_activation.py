"""The class-activation notebook at full length: `python benchmarks/class_activation.py`.

Trains its model on all of Fashion-MNIST (or loads it, `--model FILE`), then compares the class
profiles of the 10,000 test images with the notebook's own loops and tells which classes the
units of "dense" find alike.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import sys
import time

import keras
import numpy as np

import actwidgets as aw
from tests import fashion_cnn
from tests.real_data import data_folder

SHOES = ("Sandal", "Sneaker", "Ankle boot")
TOPS = ("T-shirt/top", "Pullover", "Coat", "Shirt", "Dress")
LAYER = "dense"


def _model(path, data):
    if path is not None:
        return keras.saving.load_model(path, compile=False)
    model = fashion_cnn.build()
    fashion_cnn.train(model, data.x_train, data.y_train, verbose=2)
    return model


def _nearest(profiles, name):
    """The other classes from the nearest on, each with its distance."""
    names = profiles.class_names
    index = names.index(name)
    distances = profiles.similarity(LAYER)[index]
    return [(names[other], distances[other]) for other in profiles.ranking(LAYER)[index][1:]]


def _tell(profiles, group, limit):
    for name in group:
        told = ", ".join(
            f"{other}{'*' if other in group else ''} {distance:.3f}"
            for other, distance in _nearest(profiles, name)[:limit]
        )
        print(f"  {name:12} {told}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="file made by `python -m tests.fashion_cnn`")
    options = parser.parse_args()
    folder = data_folder()
    if folder is None:
        sys.exit("set ACTWIDGETS_DATA to a folder that holds fashion_mnist.npz")
    data = aw.load_dataset("fashion_mnist", path=folder)
    model = _model(options.model, data)
    x, y = data.x_test, data.y_test
    print(f"test accuracy {fashion_cnn.accuracy(model, x, y):.4f} (needed: 0.88)")

    start = time.perf_counter()
    profiles = aw.class_profiles(model, x, y, layers=[LAYER], class_names=data.class_names)
    ours = time.perf_counter() - start
    start = time.perf_counter()
    shares = fashion_cnn.notebook_firing_share(model, x, y, layer=LAYER)
    loops = time.perf_counter() - start
    distances = fashion_cnn.notebook_distance(shares)
    print(f"profiles of {len(x):,} images: the notebook's loops take {loops / ours:.2f}x as long")
    for what, found, wanted in (
        ("firing rate", profiles.firing_rate[LAYER], shares),
        ("distance", profiles.similarity(LAYER), distances),
    ):
        difference = np.abs(found - np.asarray(wanted)).max()
        print(f"largest difference of {what:11} to the notebook's: {difference:.1e}")

    print("\nThe three classes nearest to each shoe (* another shoe)")
    _tell(profiles, SHOES, 3)
    print("\nThe ranking of each top, all classes (* another top)")
    _tell(profiles, TOPS, 9)


if __name__ == "__main__":
    main()
