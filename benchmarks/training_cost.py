"""What watching and recording cost a training, over the bare `fit` in the same run.

    uv run python benchmarks/training_cost.py [--small]

The network of the tf-explain post on CIFAR-10 (`ACTWIDGETS_DATA`), default settings, views
beside the monitor. The ways take turns, one after another in each round, so that a machine
that grows slower does so for all. Of each the fastest round counts, as what perturbs a machine
only adds; the medians stand beside it.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import actwidgets as aw


def build():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.Conv2D(64, 3, activation="relu", name="visualization_layer"),
            keras.layers.Conv2D(128, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def watched(model, data):
    session = aw.Session(model, data.x_test[:2000], data.y_test[:2000], layer="visualization_layer")
    views = aw.FeatureMapGrid(session), aw.SampleGallery(session), aw.ConfusionMatrix(session)
    session.wait()
    return session, aw.TrainingMonitor(session), views


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--small", action="store_true")
    small = options.parse_args().small
    n_samples, n_epochs, n_rounds = (2000, 1, 2) if small else (10_000, 2, 3)
    data = aw.load_dataset("cifar10")
    x, y = data.x_train[:n_samples], data.y_train[:n_samples]
    models = {name: build() for name in ("bare fit", "monitor", "recorder", "both")}
    monitors = {name: watched(models[name], data) for name in ("monitor", "both")}
    for model in models.values():  # compiled before anything is measured
        model.fit(x[:64], y[:64], verbose=0)
    taken = {name: [] for name in models}
    shares, recorded = [], []
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(n_rounds):
            for name, model in models.items():
                callbacks, recorder = [], None
                if name in monitors:
                    callbacks.append(monitors[name][1].callback)
                if name in ("recorder", "both"):
                    path = Path(folder, f"{name}-{turn}")
                    recorder = aw.Recorder(model, path, data.x_test, data.y_test)
                    callbacks.append(recorder.callback)
                begun_s = time.perf_counter()
                model.fit(x, y, epochs=n_epochs, batch_size=64, verbose=0, callbacks=callbacks)
                taken[name].append(time.perf_counter() - begun_s)
                if recorder is not None:
                    recorder.close()
                    recorded.append(recorder.seconds / taken[name][-1])
                if name in monitors:
                    shares.append(monitors[name][1].spent_share)
                    monitors[name][0].wait()  # passes go on when the training is over
    floor = taken["bare fit"]
    print(f"{n_samples:,} images, {n_epochs} epochs, {n_rounds} rounds; over bare fit:")
    for name, seconds in taken.items():
        fastest, medians = min(seconds) / min(floor), np.median(seconds) / np.median(floor)
        rounds = ", ".join(f"{each:.1f}" for each in seconds)
        print(f"{name:10} {fastest:.3f} (medians {medians:.3f}): {rounds} s")
    print(f"the monitor says of itself: {np.median(shares):.1%}")
    print(f"the recorder says of itself: {np.median(recorded):.1%}")


if __name__ == "__main__":
    main()
