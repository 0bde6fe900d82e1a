"""Tick, pass, attribution and fit of two checkouts: `python benchmarks/two_builds.py BASE [NEW]`.

Each runs in processes of its own, in turns: base, new, new, base, … In each process every way
is timed beside its floor, bare TensorFlow that does no more than the way must, and given in
multiples of that, so that a machine that is slower for a while is slower for both. Printed are
the medians over the processes and how far apart they lie. Only public names are used, and
those that both builds have. With `--cpu` it is the time of the processor that counts, all
threads together: on a machine that others use the time on the wall says little.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parents[1]
N_TICKS = 60
CPU = "TWO_BUILDS_CPU"  # set in the processes that are to count the time of the processor


def _seconds(run, *args):
    clock = time.process_time if CPU in os.environ else time.perf_counter
    began_s = clock()
    run(*args)
    return clock() - began_s


def _timed(ways, n_rounds, warm_up=2):
    """Seconds of each way, taken in turns: the lower quartile, as perturbations only add."""
    taken = {name: [] for name in ways}
    for turn in range(-warm_up, n_rounds):
        for name, way in ways.items():
            seconds = _seconds(way, turn + warm_up)
            if turn >= 0:
                taken[name].append(seconds)
    return {name: sorted(each)[len(each) // 4] for name, each in taken.items()}


def _ticks(aw, model, x, y):
    """A change of the sample on a layer that is compiled, and the same with all views."""
    import ipywidgets as w
    import keras
    import tensorflow as tf

    head = keras.Model(model.inputs, model.get_layer("conv_2").output)
    bare = tf.function(lambda images: head(images, training=False)).get_concrete_function(
        tf.TensorSpec((None, *x.shape[1:]), tf.float32)
    )
    label = w.Label()

    def floor(k):
        bare(tf.constant(x[k : k + 1])).numpy()
        label.value = f"{k}"

    session = aw.Session(model, x, y, layer="conv_2")
    grid = aw.FeatureMapGrid(session)
    app = aw.explore(model, x, y, layer="conv_2")
    for each in (session, app.session):
        each.wait()
        for k in range(100, 104):
            each.sample = k
            time.sleep(0.4)  # until what is made in the background is
    ways = {
        "floor": floor,
        "tick, one view": lambda k: setattr(session, "sample", k),
        "tick, explore()": lambda k: setattr(app.session, "sample", k),
    }
    found = _timed(ways, N_TICKS)
    for each in (app, grid, label):
        each.close()
    session.close()
    return found


def _first_touches(aw, x, y):
    """A change to a layer that nobody has looked at; over the eager pass of the whole model."""
    taken, floor = [], []
    for _ in range(3):
        model = aw.demo_model()
        session = aw.Session(model, x, y, layer="conv_1")
        grid = aw.FeatureMapGrid(session)
        session.wait()
        for layer in ("conv_2", "conv_4", "dense"):
            floor.append(_seconds(lambda m=model: m(x[:1], training=False).numpy()))
            taken.append(_seconds(setattr, session, "layer", layer))
        grid.close()
        session.close()
    return {"floor": median(floor), "tick, layer not seen before": median(taken)}


def _passes(aw, model, x, y):
    """Class profiles of all layers, over the bare forward pass to all of them."""
    import keras
    import tensorflow as tf

    heads = keras.Model(model.inputs, [each.output for each in model.layers])
    bare = tf.function(lambda images: heads(images, training=False)).get_concrete_function(
        tf.TensorSpec((None, *x.shape[1:]), tf.float32)
    )

    def floor(_):
        for start in range(0, len(x), 128):
            for each in bare(tf.constant(x[start : start + 128])):
                each.numpy()

    ways = {
        "floor": floor,
        "pass, class profiles": lambda _: aw.class_profiles(model, x, y, batch_size=128),
        "pass, predict": lambda _: aw.predict(model, x, batch_size=128),
    }
    return _timed(ways, 5, warm_up=1)


def _attributions(aw, model, x):
    """Warm maps of 8 samples, over a bare compiled gradient of them."""
    import tensorflow as tf

    @tf.function
    def gradient(images):
        with tf.GradientTape() as tape:
            tape.watch(images)
            score = tf.reduce_max(model(images, training=False), axis=1)
        return tape.gradient(score, images)

    few = x[:8]
    methods = ("gradient", "grad_cam", "integrated_gradients", "occlusion", "lrp")
    ways = {"floor": lambda _: gradient(tf.constant(few)).numpy()}
    ways |= {
        f"attribution, {name}": lambda _, name=name: aw.attribute(model, few, method=name)
        for name in methods
    }
    return _timed(ways, 8)


def _first_attribution(aw, x):
    """The first map of a model, which is read and traced for it; over tracing it bare."""
    import tensorflow as tf

    taken, floor = [], []
    for _ in range(3):
        model = aw.demo_model()
        spec = tf.TensorSpec((None, *x.shape[1:]), tf.float32)
        bare = tf.function(lambda images, m=model: m(images, training=False))
        floor.append(_seconds(bare.get_concrete_function, spec))
        taken.append(_seconds(lambda m=model: aw.attribute(m, x[:2], method="gradient")))
    return {"floor": median(floor), "attribution, the first of a model": median(taken)}


def _fits(aw, x, y):
    """A training that is watched, and one that is recorded, over the bare `fit`."""
    import keras

    def build():
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                keras.layers.Conv2D(32, 3, activation="relu", name="conv"),
                keras.layers.Conv2D(32, 3, activation="relu"),
                keras.layers.Flatten(),
                keras.layers.Dense(10, activation="softmax"),
            ]
        )
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(x[:64], y[:64], verbose=0)
        return model

    bare, watched, recorded = build(), build(), build()
    session = aw.Session(watched, x[:300], y[:300], layer="conv")
    views = aw.FeatureMapGrid(session), aw.TrainingMonitor(session)
    session.wait()

    def fit(model, *callbacks):
        model.fit(x, y, epochs=4, batch_size=32, verbose=0, callbacks=list(callbacks))

    with tempfile.TemporaryDirectory() as folder:

        def record(turn):
            recorder = aw.Recorder(recorded, Path(folder) / f"{turn}", x[:100], y[:100])
            fit(recorded, recorder.callback)
            recorder.close()

        ways = {
            "floor": lambda _: fit(bare),
            "fit, watched": lambda _: fit(watched, views[1].callback),
            "fit, recorded": record,
        }
        found = _timed(ways, 3, warm_up=1)
    for each in views:
        each.close()
    session.close()
    return found


def measure(only):
    """Multiples of the floor, by way, in this process."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import actwidgets as aw

    digits, model = aw.load_dataset("digits"), aw.demo_model()
    x, y = digits.x_train, digits.y_train
    groups = {
        "tick": lambda: (_ticks(aw, model, x[:200], y[:200]), _first_touches(aw, x[:200], y[:200])),
        "pass": lambda: (_passes(aw, model, x, y),),
        "attribution": lambda: (_attributions(aw, model, x), _first_attribution(aw, x)),
        "fit": lambda: (_fits(aw, x, y),),
    }
    found = {}
    for name, group in groups.items():
        if not only or name in only:
            for taken in group():
                floor = taken.pop("floor")
                found |= {way: (seconds / floor, seconds) for way, seconds in taken.items()}
    return found


def _in_process(root, only, cpu):
    environment = os.environ | {"PYTHONPATH": str(root), "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment |= {CPU: "1"} if cpu else {}
    command = [sys.executable, __file__, str(root), "--here", "--only", *only]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{root} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _spread(values):
    return f"{min(values):.2f} to {max(values):.2f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", type=Path)
    parser.add_argument("new", type=Path, nargs="?", default=HERE)
    parser.add_argument("--rounds", type=int, default=4, help="processes of each build")
    parser.add_argument("--only", nargs="*", default=[], help="tick, pass, attribution, fit")
    parser.add_argument("--cpu", action="store_true", help="count the time of the processor")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        print(json.dumps(measure(options.only)))
        return
    builds = {"base": options.base.resolve(), "new": options.new.resolve()}
    found = {name: [] for name in builds}
    for turn in range(options.rounds):
        for name in list(builds) if turn % 2 == 0 else reversed(builds):
            found[name].append(_in_process(builds[name], options.only, options.cpu))
    print(f"{options.rounds} processes each; multiples of the floor, median (least to most)\n")
    print(f"{'':34} {'base':>24} {'new':>24} {'new / base':>11} {'ms':>17}")
    for way in found["base"][0]:
        over = {name: [each[way][0] for each in rounds] for name, rounds in found.items()}
        ms = {name: median(each[way][1] for each in rounds) for name, rounds in found.items()}
        told = {name: f"{median(each):.2f} ({_spread(each)})" for name, each in over.items()}
        ratio = median(over["new"]) / median(over["base"])
        took = f"{1000 * ms['base']:.1f} -> {1000 * ms['new']:.1f}"
        print(f"{way:34} {told['base']:>24} {told['new']:>24} {ratio:11.2f} {took:>17}")


if __name__ == "__main__":
    main()
