"""What it costs to look into a large model: `python benchmarks/any_model.py`.

For a layer near the input, in the middle and at the end of ResNet50, EfficientNetB0 and a small
ViT (weights=None): the first touch, beside a plain `tf.function` over a hand-built slice, and the
warm tick, beside the bare concrete function; the notebook's way (`keras.Model` and `predict` per
change) and tf-explain in the same run (`uv run --with tf-explain --with opencv-python-headless`).
Machines differ, so read the ratios.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import contextlib
import io
import random
import time
from statistics import median

import keras
import numpy as np
import tensorflow as tf

import actwidgets as aw
from actwidgets.probe.keras_probe import KerasProbe

try:
    from tf_explain.core.activations import ExtractActivations
except ImportError:
    ExtractActivations = None

layers = keras.layers


class Patches(layers.Layer):
    """Adds an embedding of its position to each patch."""

    def __init__(self, n_patches, units, **options):
        super().__init__(**options)
        self.project = layers.Dense(units, name="project")
        self.position = layers.Embedding(n_patches, units, name="position")
        self.n_patches = n_patches

    def call(self, x):
        return self.project(x) + self.position(keras.ops.arange(self.n_patches))


def small_vit(size=96, patch=8, units=64, n_blocks=6):
    """A vision transformer of the usual form, small."""
    n_patches = (size // patch) ** 2
    inputs = keras.Input((size, size, 3))
    x = layers.Conv2D(units, patch, patch, name="patches")(inputs)
    x = layers.Reshape((n_patches, units), name="row")(x)
    x = Patches(n_patches, units, name="embedded")(x)
    for index in range(n_blocks):
        normed = layers.LayerNormalization(name=f"norm_{index}")(x)
        mixed = layers.MultiHeadAttention(4, units // 4, name=f"attention_{index}")(normed, normed)
        x = layers.Add(name=f"added_{index}")([x, mixed])
        hidden = layers.Dense(2 * units, activation="gelu", name=f"hidden_{index}")(x)
        x = layers.Add(name=f"block_{index}")([x, layers.Dense(units, name=f"out_{index}")(hidden)])
    pooled = layers.GlobalAveragePooling1D(name="pool")(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax", name="classes")(pooled))


MODELS = {
    "ResNet50": (
        lambda: keras.applications.ResNet50(weights=None),
        ("conv1_conv", "conv4_block1_out", "predictions"),
    ),
    "EfficientNetB0": (
        lambda: keras.applications.EfficientNetB0(weights=None),
        ("stem_conv", "block4a_expand_conv", "predictions"),
    ),
    "small ViT": (small_vit, ("patches", "block_2", "classes")),
}


def _timed(way):
    start = time.perf_counter()
    way()
    return 1000 * (time.perf_counter() - start)


def _slice(model, layer):
    head = keras.Model(model.inputs, model.get_layer(layer).output)
    return tf.function(lambda x: head(x, training=False))


def _first_touches(model, layer, x, n_rounds):
    """Everything is made anew in each round; the order is shuffled."""
    tensor = tf.constant(x)

    def touched():
        probe = KerasProbe(model, warm=True)
        taken = _timed(lambda: probe.activations((layer,), x))
        probe.close()
        probe.wait()
        return taken

    def listed_and_touched():
        probes = []

        def both():
            probes.append(KerasProbe(model, warm=True))
            probes[0].activations((layer,), x)

        taken = _timed(both)
        probes[0].close()
        probes[0].wait()
        return taken

    ways = {
        "touch": touched,
        "list all layers + touch": listed_and_touched,
        "tf.function": lambda: _timed(lambda: _slice(model, layer)(tensor).numpy()),
        "notebook's way": lambda: _timed(lambda: _notebook(model, layer, x)),
    }
    if ExtractActivations is not None:
        ways["tf-explain"] = lambda: _timed(lambda: _tf_explain(model, layer, x))
    return _medians(ways, n_rounds)


def _warm(model, layer, samples, n_rounds):
    probe = KerasProbe(model, warm=True)
    probe.activations((layer,), samples[0])
    probe.wait()
    function = _slice(model, layer)
    bare = function.get_concrete_function(tf.TensorSpec((None, *samples[0].shape[1:])))
    turn = {"k": 0}

    def sample():
        turn["k"] += 1
        return samples[turn["k"] % len(samples)]

    def timed(way):
        def run():
            x = sample()
            return _timed(lambda: way(x))

        return run

    ways = {
        "tick": timed(lambda x: probe.activations((layer,), x)),
        "bare": timed(lambda x: bare(tf.constant(x)).numpy()),
        "tf.function": timed(lambda x: function(tf.constant(x)).numpy()),
    }
    _medians(ways, 3)
    found = _medians(ways, n_rounds)
    slow = {"notebook's way": timed(lambda x: _notebook(model, layer, x))}
    if ExtractActivations is not None:
        slow["tf-explain"] = timed(lambda x: _tf_explain(model, layer, x))
    return found | _medians(slow, 3)


def _notebook(model, layer, x):
    keras.Model(model.inputs, model.get_layer(layer).output).predict(x, verbose=0)


def _tf_explain(model, layer, x):
    if model.get_layer(layer).output.ndim != 4:
        return  # it reads maps only
    with contextlib.redirect_stdout(io.StringIO()):
        ExtractActivations().explain((x, None), model, layer)


def _medians(ways, n_rounds):
    taken = {name: [] for name in ways}
    for _ in range(n_rounds):
        for name in random.Random(len(taken)).sample(list(ways), len(ways)):
            taken[name].append(ways[name]())
    return {name: median(values) for name, values in taken.items()}


def _ratios(found, floor):
    return "  ".join(
        f"{name} {value / found[floor]:.2f}" if value > 0.05 else f"{name} –"
        for name, value in found.items()
        if name != floor
    )


def _all_layers(model):
    """A compiled slice for every layer, beside one plain trace of the whole model."""
    spec = tf.TensorSpec((None, *model.inputs[0].shape[1:]))

    def ours():
        probe = KerasProbe(model)
        for info in probe.layers:
            probe._extractor._traced(()).trace.function((info.name,))
        return probe

    ways = {
        "all": lambda: _timed(ours),
        "one trace": lambda: _timed(
            lambda: tf.function(lambda x: model(x, training=False)).get_concrete_function(spec)
        ),
        "one first call": lambda: _timed(
            lambda: tf.function(lambda x: model(x, training=False))(tf.zeros((1, *spec.shape[1:])))
        ),
    }
    return _medians(ways, 3), len(aw.layers(model))


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--touches", type=int, default=5)
    options = parser.parse_args()
    for name, (build, chosen) in MODELS.items():
        model = build()
        shape = model.inputs[0].shape[1:]
        samples = [np.random.default_rng(k).random((1, *shape), np.float32) for k in range(8)]
        model(samples[0])
        print(f"\n{name}: {len(aw.layers(model))} layers")
        for layer in chosen:
            first = _first_touches(model, layer, samples[0], options.touches)
            warm = _warm(model, layer, samples, options.rounds)
            print(f"  {layer}")
            print(f"    first touch {first['touch']:.0f} ms; over tf.function: ", end="")
            print(_ratios(first, "tf.function"))
            print(f"    warm tick {warm['tick']:.1f} ms; over the bare slice: ", end="")
            print(_ratios(warm, "bare"), flush=True)
        found, n_layers = _all_layers(model)
        print(
            f"  slices of all {n_layers} layers: {found['all'] / 1000:.1f} s = "
            f"{found['all'] / found['one trace']:.1f} plain traces, "
            f"{found['all'] / found['one first call']:.1f} first calls of tf.function"
        )


if __name__ == "__main__":
    main()
