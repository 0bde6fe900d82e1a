"""What class profiles cost over the bare forward pass: `python benchmarks/profile_pass.py`.

CPU time of a pass over 30,000 images of Fashion-MNIST, over that of the bare compiled
forward pass over the same batches in the same run; beside it the notebook's way and keeping
all activations. `--memory` prints peak memory over generated streams of 10^4 to 10^6 images.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import actwidgets as aw
from actwidgets.core.class_profiles import ProfileBuilder, ProfileSpec
from actwidgets.probe.keras_probe import KerasProbe
from tests import fashion_cnn
from tests.real_data import data_folder

BATCH = 128
FIRING = ("firing_rate",)


class Stream:
    """Images made up batch by batch: nothing of them stays in memory."""

    def __init__(self, n_samples):
        self.n_samples = n_samples

    def __iter__(self):
        random = np.random.default_rng(0)
        for start in range(0, self.n_samples, BATCH):
            n = min(BATCH, self.n_samples - start)
            yield random.random((n, 28, 28, 1), np.float32), random.integers(0, 10, n)


def _cpu(run):
    start = time.process_time()
    run()
    return time.process_time() - start


def _floor(model, x):
    bare = tf.function(lambda batch: model(batch, training=False), autograph=False)
    bare = bare.get_concrete_function(tf.TensorSpec((None, *x.shape[1:]), tf.float32))

    def floor():
        for start in range(0, len(x), BATCH):
            bare(tf.constant(x[start : start + BATCH])).numpy()

    floor()  # TensorFlow optimizes a graph when it is first run
    return floor


def _ways(model, x, y):
    """Ours: name to a function without arguments; each traces the model anew."""
    layers = [info.name for info in aw.layers(model)]
    many = np.random.default_rng(0).integers(0, 1000, len(x))
    names = [f"class {index}" for index in range(1000)]

    def profiles(**options):
        return lambda: aw.class_profiles(model, x, y, batch_size=BATCH, **options)

    def with_classes(class_names, labels, *gathered):
        """The same loop with labels that this model does not tell apart."""

        def run():
            wanted = ProfileSpec(statistics=gathered)
            builder, probe = ProfileBuilder(class_names, wanted), KerasProbe(model)
            low = wanted.wants("min", "max")
            for start in range(0, len(x), BATCH):
                rows = slice(start, start + BATCH)
                builder.add(probe.summaries(layers, x[rows], low=low), labels[rows])

        return run

    plain = ("mean", "std", "min", "max")
    return {
        "bare forward pass": _floor(model, x),
        "all layers, everything": profiles(),
        "all layers, everything, shares of positions": profiles(reduce="mean"),
        "all layers, firing rates only": profiles(statistics=FIRING),
        "one dense layer, everything": profiles(layers=["dense"]),
        "one dense layer, firing rates only": profiles(layers=["dense"], statistics=FIRING),
        "all layers, firing rates only, 10 classes": with_classes(names[:10], many % 10, *FIRING),
        "all layers, firing rates only, 1,000 classes": with_classes(names, many, *FIRING),
        "all layers, no histograms, 10 classes": with_classes(names[:10], many % 10, *plain),
        "all layers, no histograms, 1,000 classes": with_classes(names, many, *plain),
    }


def _peers(model, x, y):
    """How it is done today."""

    def kept():
        for values in aw.activations(model, x, batch_size=BATCH).values():
            flat = values.reshape(len(values), -1, values.shape[-1])
            for index in range(10):
                mine = flat[y == index]
                (mine.max(axis=1) > 0).mean(axis=0)
                mine.mean(axis=1).mean(axis=0)

    def notebook(layers):
        def run():
            for layer in layers:
                part = keras.Model(model.inputs, model.get_layer(layer).output)
                values = part.predict(x, verbose=0)
                for index in range(10):
                    (values[y == index] > 0).mean(axis=0)

        return run

    return {
        "bare forward pass": _floor(model, x),
        "notebook's way, one layer": notebook(["dense"]),
        "notebook's way, all layers": notebook([info.name for info in aw.layers(model)]),
        "all activations kept, then firing and mean": kept,
    }


def _time(model, x, y, rounds):
    print("CPU time over the bare forward pass over the same batches; median, least over least")
    _compare(_ways(model, x, y), rounds, len(x))
    few = slice(0, 5_000)
    _compare(_peers(model, x[few], y[few]), 1, 5_000)


def _compare(ways, rounds, n_samples):
    spent = {name: [] for name in ways}
    if rounds > 1:
        ways["bare forward pass"]()
    for _ in range(rounds):
        for name, run in ways.items():
            spent[name].append(_cpu(run))
    floor = statistics.median(spent["bare forward pass"])
    least = min(spent["bare forward pass"])
    print(f"{n_samples:,} images in batches of {BATCH}, {rounds} rounds")
    for name, times in spent.items():
        print(f"  {name:46} {statistics.median(times) / floor:6.2f} {min(times) / least:6.2f}")


def _peak_megabytes(n_samples, way):
    """Peak memory of a process of its own that reads a stream of so many images."""
    arguments = [sys.executable, __file__, "--child", str(n_samples), way]
    done = subprocess.run(arguments, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def _child(n_samples, way):
    model = fashion_cnn.build()
    stream = Stream(n_samples)
    if way == "profiles":
        aw.class_profiles(model, stream)
    elif way == "forward":
        model_pass = tf.function(model, autograph=False)
        for batch, _ in stream:
            model_pass(batch)
    else:
        aw.activations(model, stream)
    told = Path("/proc/self/status").read_text()  # ru_maxrss would count the parent's
    print(int(re.search(r"VmHWM:\s+(\d+) kB", told)[1]) / 1024)


def _memory(sizes):
    print("peak memory of a process that reads a generated stream, MB")
    for n_samples in sizes:
        told = [f"profiles {_peak_megabytes(n_samples, 'profiles'):6.0f}",
                f"bare forward pass {_peak_megabytes(n_samples, 'forward'):6.0f}"]  # fmt: skip
        if n_samples <= 10_000:
            told.append(f"all activations kept {_peak_megabytes(n_samples, 'activations'):6.0f}")
        print(f"  {n_samples:9,} images: {', '.join(told)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="file made by `python -m tests.fashion_cnn`")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", action="store_true", help="measure peak memory instead")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        _child(int(options.child[0]), options.child[1])
        return
    if options.memory:
        _memory((10_000, 100_000, 1_000_000))
        return
    folder = data_folder()
    if folder is None:
        sys.exit("set ACTWIDGETS_DATA to a folder that holds fashion_mnist.npz")
    data = aw.load_dataset("fashion_mnist", path=folder)
    model = fashion_cnn.build()
    if options.model:
        model = keras.saving.load_model(options.model, compile=False)
    _time(model, data.x_train[:30_000], data.y_train[:30_000], options.rounds)


if __name__ == "__main__":
    main()
