"""What keeping a training takes: `python benchmarks/training_export.py [--small]`.

The run of the tf-explain post remade: CIFAR-10 (from $ACTWIDGETS_DATA, else fetched), convolutions
of 32, 64 ("visualization_layer") and 128 kernels, two dense layers, two epochs. First one fit with
every callback, for bytes on disk: each as a share of what tf-explain's own callback writes in the
same fit, and of the 126 MB that the post reports. Then shorter fits, bare and with one callback
each, in turn, for what a callback costs: medians of ratios to the bare fit of the same round.

tf-explain is no dependency: `uv run --no-sync --with tf-explain --with opencv-python-headless
python …`; where it is missing or fails, that is said.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import keras
from kernel_rows import TF_EXPLAIN, cifar_cnn

import actwidgets as aw
from actwidgets.export.tensorboard_callback import TensorBoardActivations
from actwidgets.recording.recorder import Recorder

LAYER = "visualization_layer"
REPORTED_BYTES = 126e6
N_IMAGES = 5  # of one class, as in tf-explain's documentation


def build():
    """The model of the post, which begins with the same weights each time."""
    keras.utils.set_random_seed(0)
    return cifar_cnn()


def makers(data):
    """For each way to keep a training, what makes its callback for a model and a folder."""
    x, y = data.x_test, data.y_test
    shown = (x[y == 0][:N_IMAGES], y[y == 0][:N_IMAGES])

    def ours(model, folder):
        return TensorBoardActivations(shown, [LAYER], folder)

    def recorder(model, folder):
        return Recorder(model, folder, *shown, layers=[LAYER]).callback

    def recorder_of_many(model, folder):
        return Recorder(model, folder, x, y, layers=[LAYER]).callback

    found = {
        "TensorBoardActivations": ours,
        f"Recorder, {N_IMAGES} images": recorder,
        "Recorder, 500 images": recorder_of_many,
    }
    try:
        from tf_explain.callbacks.activations_visualization import (
            ActivationsVisualizationCallback,
        )
    except ImportError as failure:
        print(f"tf-explain is left out: {failure}")
        return found

    def theirs(model, folder):
        return ActivationsVisualizationCallback(shown, [LAYER], folder)

    return found | {TF_EXPLAIN: theirs}


def fit(model, data, n_samples, n_epochs, callbacks):
    start = time.perf_counter()
    x, y = data.x_train[:n_samples], data.y_train[:n_samples]
    model.fit(x, y, batch_size=128, epochs=n_epochs, verbose=0, callbacks=callbacks)
    return time.perf_counter() - start


def n_bytes(folder):
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def tell_bytes(ways, data, n_samples, folder):
    model, made = build(), {}
    for name, make in list(ways.items()):
        try:
            made[name] = make(model, str(folder / name))
        except Exception as failure:  # noqa: BLE001 what others raise is told
            print(f"{name} fails: {failure}")
            del ways[name]
    try:
        fit(model, data, n_samples, 2, list(made.values()))
    except Exception as failure:  # noqa: BLE001 only tf-explain's can end a training
        print(f"{TF_EXPLAIN} ends the training: {failure}")
        made.pop(TF_EXPLAIN, None), ways.pop(TF_EXPLAIN, None)
        fit(model, data, n_samples, 2, list(made.values()))
    sizes = {name: n_bytes(folder / name) for name in made}
    print(f"\nbytes on disk after two epochs of {n_samples:,} images, {N_IMAGES} images shown")
    for name, size in sizes.items():
        line = f"  {name:24} {size / 1e3:8,.0f} kB  {size / REPORTED_BYTES:7.2%} of 126 MB"
        if sizes.get(TF_EXPLAIN):
            line += f"  {size / sizes[TF_EXPLAIN]:5.2f}x {TF_EXPLAIN}"
        error = getattr(made[name], "error", "")
        print(line + (f"  ({error})" if error else ""))


def tell_times(ways, data, n_samples, n_rounds, folder):
    ratios = {name: [] for name in ways}
    model = build()
    fit(model, data, n_samples, 1, [])  # traced, and warm
    for number in range(n_rounds):
        bare = fit(model, data, n_samples, 2, [])
        for name, make in ways.items():
            callback = make(model, str(folder / f"{name}-{number}"))
            ratios[name].append(fit(model, data, n_samples, 2, [callback]) / bare)
        again = fit(model, data, n_samples, 2, [])
        ratios.setdefault("bare, again", []).append(again / bare)
    print(f"\ntime of two epochs of {n_samples:,} images over the bare fit, {n_rounds} rounds")
    for name, each in ratios.items():
        print(f"  {name:24} {median(each):5.3f}   ({min(each):.3f} to {max(each):.3f})")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a few images, one round")
    parser.add_argument("--images", type=int, help="to train on, for the bytes")
    parser.add_argument("--timed", type=int, help="to train on, for the time")
    parser.add_argument("--rounds", type=int, help="how often each fit is timed")
    options = parser.parse_args()
    data = aw.load_dataset("cifar10")
    ways = makers(data)
    n_images = options.images or (1_000 if options.small else len(data.x_train))
    n_timed = options.timed or (1_000 if options.small else 10_000)
    n_rounds = options.rounds or (1 if options.small else 5)
    with tempfile.TemporaryDirectory(prefix="actwidgets-") as scratch:
        tell_bytes(ways, data, n_images, Path(scratch) / "bytes")
        tell_times(ways, data, n_timed, n_rounds, Path(scratch) / "times")


if __name__ == "__main__":
    main()
