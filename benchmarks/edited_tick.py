"""What it costs to move a unit's slider: `python benchmarks/edited_tick.py`.

A tick makes an edit of one layer with new factors and reads the prediction of all samples in
one batch. Its floor is the bare compiled forward pass of the same model over the same array.
Both are timed in one run, in turn and in shuffled order; beside them the plain prediction of
the probe, and the first tick of all, which traces. Machines differ, so read the ratios. Needs
`ACTWIDGETS_MODELS` and `ACTWIDGETS_DATA`.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import random
import time
from statistics import median

import numpy as np
import tensorflow as tf

import actwidgets as aw
from actwidgets.core.ablation import Edit
from actwidgets.probe.keras_probe import KerasProbe
from tests.real_data import data_folder, require_model

CASES = (
    ("MNIST_dense128.h5", "mnist", 10_000),
    ("CIFAR-10_CNN5.h5", "cifar10", 1_000),
    ("CIFAR-10_CNN5.h5", "cifar10", 1),
)


def _timed(way):
    start = time.perf_counter()
    way()
    return 1000 * (time.perf_counter() - start)


def _floor(model, x):
    """A concrete function of the whole model, handed the same array."""
    run = tf.function(lambda images: model(images, training=False)).get_concrete_function(
        tf.TensorSpec((None, *x.shape[1:]), tf.float32)
    )
    return lambda: run(tf.constant(x)).numpy()


def _tick(probe, info, x):
    """New factors each time, as a slider gives them."""
    numbers = np.random.default_rng(0)

    def tick():
        factor = np.ones(info.n_units)
        factor[numbers.integers(info.n_units)] = numbers.random()
        probe.edited({info.name: Edit(factor, np.zeros(info.n_units))}).predictions(x)

    return tick


def _taken(ways, n_rounds):
    taken = {name: [] for name in ways}
    for round_ in range(n_rounds):
        for name in random.Random(round_).sample(list(ways), len(ways)):
            taken[name].append(_timed(ways[name]))
    return taken


def _measure(file_name, data, n_samples, n_rounds):
    model = aw.load_model(require_model(file_name))
    images = aw.load_dataset(data, data_folder()).x_test[:n_samples]
    shape = model.inputs[0].shape[1:]
    x = np.ascontiguousarray(images.reshape(n_samples, *shape), np.float32)
    probe = KerasProbe(model)
    bare, plain = _floor(model, x), lambda: probe.predictions(x)
    print(f"\n{file_name}, {n_samples:,} samples: over the bare forward pass (least over least)")
    for info in probe.layers:
        tick = _tick(probe, info, x)
        first = _timed(tick)
        ways = {"bare": bare, "plain": plain, "edited": tick}
        _taken(ways, 3)
        found = _taken(ways, n_rounds)
        middle, least = (
            {name: function(times) for name, times in found.items()} for function in (median, min)
        )
        print(f"  {info.name:18} bare {middle['bare']:6.2f} ms", end="")
        for name in ("plain", "edited"):
            ratios = middle[name] / middle["bare"], least[name] / least["bare"]
            print(f"   {name} {ratios[0]:.2f} ({ratios[1]:.2f})", end="")
        print(f"   first tick {first / middle['bare']:.1f}", flush=True)


def main():
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    options = parser.parse_args()
    for file_name, data, n_samples in CASES:
        _measure(file_name, data, n_samples, options.rounds)


if __name__ == "__main__":
    main()
