"""Rows of `echo.py` that need no browser, each measured beside its floor in one process.

Only names that are public in both builds are used, and those of ipywidgets.
"""

import io
import random
import re
import subprocess
import sys
import tempfile
import time
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np

OURS, TF_EXPLAIN, XPLIQUE, NOTEBOOK = "this build", "tf-explain", "xplique", "notebook"
BATCH = 128


@dataclass
class Row:
    """What one process found: seconds, or a number of something, and the floor's.

    Attributes:
        name: As in the table.
        floor: The floor's value; None where the numbers stand for themselves.
        values: By column.
        unit: Of `floor` and `values`.
        ratios: Whether the table gives multiples of the floor, or the values beside it.
    """

    name: str
    floor: float | None
    values: dict[str, float]
    unit: str = "s"
    ratios: bool = True

    def as_json(self):
        return asdict(self)


def seconds(run, *args, clock=time.perf_counter):
    began_s = clock()
    run(*args)
    return clock() - began_s


def in_turns(ways, n_rounds, warm_up=2, every=None, pause_s=0.0, clock=time.perf_counter):
    """Median seconds of each way, in shuffled turns, so that all meet the same machine.

    Args:
        ways: By name: a function of the number of the round, the first of which is 0.
        n_rounds: How many count.
        warm_up: How many before do not.
        every: By name: a way that is timed in one round of so many.
        pause_s: Before each, as between two keys; threads fall asleep and caches cool meanwhile.
        clock: Tells the time.
    """
    taken, order, shuffle = {name: [] for name in ways}, list(ways), random.Random(0).shuffle
    for turn in range(n_rounds + warm_up):
        shuffle(order)  # what ran just before leaves the processor's caches warm or cold
        for name in order:
            if turn % (every or {}).get(name, 1) == 0:
                time.sleep(pause_s)
                taken[name].append((turn, seconds(ways[name], turn, clock=clock)))
    # What is timed seldom may have had no round but those of the warm-up.
    counted = {
        name: [taken_s for turn, taken_s in each if turn >= warm_up] or [each[-1][1]]
        for name, each in taken.items()
    }
    return {name: median(each) for name, each in counted.items()}


def row(name, taken, floor="floor", **options):
    """A `Row` of what `in_turns` gave, its ways being columns."""
    return Row(name, taken[floor], {way: s for way, s in taken.items() if way != floor}, **options)


# Models and samples


def small_cnn():
    """The Fashion CNN's size; "maps" gives 64 maps."""
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu", name="maps"),
            layers.Conv2D(64, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(32, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def cifar_cnn():
    """The network of the tf-explain post."""
    import keras

    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((32, 32, 3)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(64, 3, activation="relu", name="visualization_layer"),
            layers.Conv2D(128, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def noise(n_samples, *shape):
    """Samples and labels of ten classes; how long anything takes does not hang on them."""
    x = np.random.default_rng(0).random((n_samples, *shape), np.float32)
    return x, np.arange(n_samples) % 10


def bare_slice(model, layer):
    """The compiled function to a layer, that cannot be done without."""
    import keras
    import tensorflow as tf

    head = keras.Model(model.inputs, model.get_layer(layer).output)
    return tf.function(lambda images: head(images, training=False)).get_concrete_function(
        tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)
    )


def bare_pass(model, x):
    """The compiled forward pass over all samples in batches, as a function of nothing much."""
    import tensorflow as tf

    bare = bare_slice(model, model.layers[-1].name)

    def run(_=None):
        for start in range(0, len(x), BATCH):
            bare(tf.constant(x[start : start + BATCH])).numpy()

    return run


PALETTE = bytes(range(256)) * 3


def palette_png(maps):
    """Maps `(row, column, unit)` in one mosaic, as a palette PNG put together by hand."""
    low, high = maps.min(), maps.max()
    codes = ((maps - low) * (255 / max(high - low, 1e-9))).astype(np.uint8)
    n_rows, n_columns, n_units = codes.shape
    side = int(n_units**0.5)
    tiles = codes.transpose(2, 0, 1).reshape(side, -1, n_rows, n_columns)
    mosaic = tiles.transpose(0, 2, 1, 3).reshape(side * n_rows, -1)
    height, width = mosaic.shape
    lines = np.zeros((height, width + 1), np.uint8)  # each line begins with its filter, none
    lines[:, 1:] = mosaic

    def chunk(kind, data):
        crc = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + crc

    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    head = chunk(b"IHDR", size + b"\x08\x03\0\0\0") + chunk(b"PLTE", PALETTE)
    body = chunk(b"IDAT", zlib.compress(lines.tobytes(), 1))
    return b"\x89PNG\r\n\x1a\n" + head + body + chunk(b"IEND", b"")


# Other ways to the same


def notebook_maps(model, layer, x):
    """What people copy: the sliced model is made anew for every click, and 64 axes drawn."""
    import keras
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    def picture(k):
        head = keras.Model(model.inputs, model.get_layer(layer).output)
        maps = head.predict(x[k : k + 1], verbose=0)[0]
        figure = Figure(figsize=(10, 10))
        canvas = FigureCanvasAgg(figure)
        for axis, values in zip(figure.subplots(8, 8).flat, np.moveaxis(maps, -1, 0), strict=False):
            axis.imshow(values)
            axis.set_axis_off()
        file = io.BytesIO()
        canvas.print_png(file)
        return file.getvalue()

    return picture


def tf_explain_maps(model, layer, x):
    """Its grid of activations; None where it is not installed."""
    try:
        from tf_explain.core.activations import ExtractActivations
    except ImportError:
        return None
    return lambda k: ExtractActivations().explain((x[k : k + 1], None), model, [layer])


def peers_of_maps(model, layer, x):
    ways = {NOTEBOOK: notebook_maps(model, layer, x), TF_EXPLAIN: tf_explain_maps(model, layer, x)}
    return {name: way for name, way in ways.items() if way is not None and runs(way)}


def runs(way):
    """Whether another package's way works here; what it fails with is said."""
    try:
        way(0)
    except Exception as failure:  # noqa: BLE001  whatever another package fails with
        sys.stderr.write(f"{type(failure).__name__}: {failure}\n"[:200])
        return False
    return True


# Messages


def count(run, *args):
    """Messages and bytes that widgets send to the browser during a call."""
    from ipykernel.kernelapp import IPKernelApp

    session, sent = IPKernelApp.instance().kernel.session, []
    send = session.send

    def counted(stream, kind, content=None, *, buffers=None, ident=None, **rest):
        if isinstance(kind, str) and kind.startswith("comm_"):
            parts = session.serialize(session.msg(kind, content), ident)
            n_bytes = sum(memoryview(each).nbytes for each in buffers or ())
            sent.append(sum(map(len, parts)) + n_bytes)
        return send(stream, kind, content, buffers=buffers, ident=ident, **rest)

    session.send = counted
    try:
        run(*args)
    finally:
        session.send = send
    return len(sent), sum(sent)


def message_rows(name, counted):
    """Two rows: messages and bytes, from one pair or the medians of several."""
    numbers = zip(("messages", "bytes"), zip(*counted, strict=True), strict=True)
    return [
        Row(f"{name}: {unit}", None, {OURS: median(each)}, unit=unit, ratios=False)
        for unit, each in numbers
    ]


# Groups of rows


def ticks(aw, peers):
    """A change of `session.sample` until the last message is handed to the comm."""
    import tensorflow as tf

    x, y = noise(1001, 28, 28, 1)
    model = small_cnn()
    bare, tensors = bare_slice(model, "maps"), [tf.constant(each[None]) for each in x]
    session = aw.Session(model, x, y, layer="maps")
    aw.FeatureMapGrid(session, units_per_page=64)
    app = aw.explore(model, x, y, layer="maps")

    for each in (session, app.session):
        settle(each)
    ways = {
        "floor": lambda k: palette_png(bare(tensors[k]).numpy()[0]),
        "grid": lambda k: setattr(session, "sample", 1 + k),
        "workbench": lambda k: setattr(app.session, "sample", 1 + k),
    }
    others = peers_of_maps(model, "maps", x) if peers else {}
    seldom = dict.fromkeys(others, 30)
    taken = in_turns(ways | others, 120, every=seldom, warm_up=10, pause_s=0.03)
    floor = {"floor": taken["floor"]}
    theirs = {name: taken[name] for name in others}

    def counted(of):
        def run(k):
            of.sample = k
            time.sleep(0.5)  # what it puts off is its own too

        return [count(run, 500 + k) for k in range(6)]

    return [
        row("grid tick in the kernel, 64 maps", floor | {OURS: taken["grid"]} | theirs),
        row("workbench tick in the kernel, layers tab", floor | {OURS: taken["workbench"]}),
        *message_rows("grid tick", counted(session)),
        *message_rows("workbench tick", counted(app.session)),
    ]


def settle(session):
    """Wait until all that is made in the background is."""
    session.wait()
    for sample in range(900, 904):
        session.sample = sample
        time.sleep(0.4)
    session.wait()


def first_call():
    """Seconds of the first call of a `tf.function` of the model."""
    import tensorflow as tf

    model, x = small_cnn(), tf.zeros((1, 28, 28, 1))
    return seconds(tf.function(lambda images: model(images, training=False)), x)


def opening(aw, _peers):
    """`explore()`, and the first time that each tab is opened, over first calls."""
    x, y = noise(1001, 28, 28, 1)
    first_call()  # TensorFlow prepares itself
    floors, apps, taken = [first_call() for _ in range(3)], [], []

    def explore():
        apps.append(aw.explore(model, x, y, layer="maps"))

    for _ in range(3):
        model = small_cnn()
        taken.append(seconds(explore))
        apps[-1].session.wait()
        floors.append(first_call())
    model = small_cnn()
    counted = count(explore)
    floor = median(floors)
    rows = [
        Row("explore() returns, first in a process", floor, {OURS: taken[0]}),
        Row("explore() returns, again", floor, {OURS: median(taken[1:])}),
        *message_rows("explore()", [counted]),
    ]
    tabs = {}
    for app in apps[1:]:
        app.session.wait()
        for title in app.pages.titles[1:]:
            turned = []

            def turn(app=app, title=title, turned=turned):
                turned.append(seconds(app.pages.turn_to, title))
                app.session.wait()

            sent = count(turn)
            tabs.setdefault(title, []).append((turned[0], sent))
    for title, found in tabs.items():
        opened_s = median(each for each, _ in found)
        rows.append(Row(f"tab {title} opened, in the kernel", floor, {OURS: opened_s}))
        rows.append(message_rows(f"tab {title} opened", [sent for _, sent in found])[0])
    return rows


def resnet(aw, peers):
    """A layer of a large model: first touch and warm tick, in the kernel."""
    import keras
    import tensorflow as tf

    model, layer = keras.applications.ResNet50(weights=None), "conv4_block1_out"
    x, _ = noise(40, 224, 224, 3)
    first = tf.constant(x[:1])
    model(first, training=False)
    head = keras.Model(model.inputs, model.get_layer(layer).output)

    def trace():
        tf.function(lambda images: head(images, training=False))(first).numpy()

    def touch():
        session.layer = layer
        session.maps()

    traces, touches, theirs = [], [], {}
    for _ in range(3):
        session = aw.Session(model, x, layer="conv1_conv")
        touches.append(seconds(touch))
        session.wait()
        traces.append(seconds(trace))
    others = peers_of_maps(model, layer, x) if peers else {}
    theirs = {name: seconds(way, 1) for name, way in others.items()}
    bare = bare_slice(model, layer)

    def tick(k):
        session.sample = k
        session.maps()

    ways = {"floor": lambda k: bare(tf.constant(x[k : k + 1])).numpy(), OURS: tick}
    warm = in_turns(ways, 30, warm_up=5)
    return [
        Row("ResNet50, 224 px: first touch", median(traces), {OURS: median(touches)} | theirs),
        row("ResNet50, 224 px: warm tick", warm | theirs),
    ]


def passes(aw, peers):
    """Class profiles of all layers over the bare forward pass, in time of the processor."""
    import keras

    x, y = noise(10_000, 28, 28, 1)
    model = small_cnn()

    def notebook(_):
        for layer in model.layers:
            values = keras.Model(model.inputs, layer.output).predict(x, verbose=0)
            for index in range(10):
                (values[y == index] > 0).mean(axis=0)

    ways = {
        "floor": bare_pass(model, x),
        OURS: lambda _: aw.class_profiles(model, x, y, batch_size=BATCH),
    }
    ways["predict"] = lambda _: aw.predict(model, x, batch_size=BATCH)
    name = "class profiles of everything, all layers (CPU time)"
    taken = in_turns(ways, 3, warm_up=1, clock=time.process_time)
    predicted_s = taken.pop("predict")
    if peers:
        taken |= {NOTEBOOK: seconds(notebook, 0, clock=time.process_time)}
    return [row(name, taken), Row("predict (CPU time)", taken["floor"], {OURS: predicted_s})]


STEPS = 48


def integrated_gradients(aw, peers):
    """A warm map of one sample over the compiled forward and backward passes it needs."""
    import tensorflow as tf

    model = cifar_cnn()
    x, _ = noise(1, 32, 32, 3)
    target = int(model(x, training=False).numpy().argmax())
    points = tf.repeat(tf.constant(x), STEPS, axis=0)

    @tf.function
    def gradients(images):
        with tf.GradientTape() as tape:
            tape.watch(images)
            score = model(images, training=False)[:, target]
        return tape.gradient(score, images)

    options = {"method": "integrated_gradients", "steps": STEPS, "tolerance": None}
    ways = {
        "floor": lambda _: gradients(points).numpy(),
        OURS: lambda _: aw.attribute(model, x, target=target, **options),
    }
    if peers:
        ways |= {name: way for name, way in explainers(model, x, target) if runs(way)}
    return [row("integrated gradients", in_turns(ways, 30, warm_up=5))]


def explainers(model, x, target):
    """Other packages' integrated gradients, as far as they can be imported."""
    try:
        from tf_explain.core.integrated_gradients import IntegratedGradients
    except ImportError:
        pass
    else:
        explain = IntegratedGradients().explain
        yield TF_EXPLAIN, lambda _: explain((x, None), model, target, n_steps=STEPS)
    try:
        from xplique.attributions import IntegratedGradients as Xplique
    except ImportError:
        return
    explainer, one_hot = Xplique(model, steps=STEPS), np.eye(10, dtype=np.float32)[[target]]
    yield XPLIQUE, lambda _: explainer(x, one_hot)


def other_attributions(aw, _peers):
    """Warm maps of 8 samples over a bare compiled gradient; the first of a model over a trace."""
    import tensorflow as tf

    model, (x, _) = cifar_cnn(), noise(8, 32, 32, 3)

    @tf.function
    def gradient(images):
        with tf.GradientTape() as tape:
            tape.watch(images)
            score = tf.reduce_max(model(images, training=False), axis=1)
        return tape.gradient(score, images)

    methods = ("gradient", "grad_cam", "occlusion", "lrp")
    ways = {"floor": lambda _: gradient(tf.constant(x)).numpy()}
    ways |= {name: lambda _, name=name: aw.attribute(model, x, method=name) for name in methods}
    taken = in_turns(ways, 8)
    rows = [Row(f"attribution, {name}", taken["floor"], {OURS: taken[name]}) for name in methods]
    traces, firsts = [], []
    for _ in range(3):
        model = cifar_cnn()
        bare = tf.function(lambda images, model=model: model(images, training=False))
        spec = tf.TensorSpec((None, 32, 32, 3), tf.float32)
        traces.append(seconds(bare.get_concrete_function, spec))
        firsts.append(seconds(lambda model=model: aw.attribute(model, x[:2], method="gradient")))
    return [*rows, Row("first attribution of a model", median(traces), {OURS: median(firsts)})]


def fits(aw, _peers):
    """A training that is watched and recorded over the bare `fit`, in time of the processor.

    One sample is looked at for 16 that are trained on; of a user's 60,000 it is one for 60.
    """
    x, y = noise(4000, 32, 32, 3)
    looked_at = x[:250], y[:250]
    bare, watched = cifar_cnn(), cifar_cnn()
    session = aw.Session(watched, *looked_at, layer="visualization_layer")
    views = (aw.FeatureMapGrid(session), aw.SampleGallery(session), aw.ConfusionMatrix(session))
    monitor = aw.TrainingMonitor(session)
    session.wait()

    def fit(model, *callbacks):
        model.fit(x, y, epochs=1, batch_size=64, verbose=0, callbacks=list(callbacks))

    with tempfile.TemporaryDirectory() as folder:

        def recorded(turn):
            recorder = aw.Recorder(watched, Path(folder) / f"{turn}", *looked_at)
            fit(watched, monitor.callback, recorder.callback)
            recorder.close()

        taken = {"floor": [], OURS: []}
        for turn in range(-1, 2):
            clock = time.process_time
            found = {
                "floor": seconds(fit, bare, clock=clock),
                OURS: seconds(recorded, turn, clock=clock),
            }
            session.wait()  # passes go on when the training is over
            for name, taken_s in found.items():
                if turn >= 0:
                    taken[name].append(taken_s)
    for view in views:
        view.close()
    return [row("fit with monitor and recorder", {k: median(v) for k, v in taken.items()})]


def memory(_aw, _peers):
    """Peak memory, each in a process of its own."""
    found = {"floor": _peak("data"), OURS: _peak("explore")}
    return [row("peak memory, 10,000 images, every tab opened", found, unit="bytes")]


def _peak(what):
    command = [sys.executable, "-c", f"import kernel_rows; kernel_rows.print_peak({what!r})"]
    folder = str(Path(__file__).parent)
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder)
    return float(done.stdout.split()[-1])


def print_peak(what):
    """Load TensorFlow, data and model, or look at everything too; print the peak in bytes."""
    import tensorflow as tf

    x, y = noise(10_000, 32, 32, 3)
    model = cifar_cnn()
    tf.function(lambda images: model(images, training=False))(x[:BATCH]).numpy()
    if what == "explore":
        import actwidgets as aw

        app = aw.explore(model, x, y)
        app.session.wait()
        for title in app.pages.titles:
            app.pages.turn_to(title)
            app.session.wait()
            time.sleep(1)
    told = Path("/proc/self/status").read_text()  # ru_maxrss would count the parent's
    print(1024 * int(re.search(r"VmHWM:\s+(\d+) kB", told)[1]))


def flame_of_ticks(aw):
    """60 ticks of a workbench that has settled."""
    x, y = noise(1001, 28, 28, 1)
    app = aw.explore(small_cnn(), x, y, layer="maps")
    settle(app.session)

    def run():
        for sample in range(1, 61):
            app.session.sample = sample

    return run


def flame_of_explore(aw):
    """One `explore()` after another has been made."""
    x, y = noise(1001, 28, 28, 1)
    aw.explore(small_cnn(), x, y, layer="maps").session.wait()
    model = small_cnn()
    return lambda: aw.explore(model, x, y, layer="maps")


FLAMES = {"tick": flame_of_ticks, "explore": flame_of_explore}


def lab_ticks(aw, _peers):
    """A slider of the input lab, until pictures, maps and prediction are sent.

    The floor is what the model takes: bare passes to the layer and to the prediction.
    """
    import tensorflow as tf

    x, y = noise(1001, 28, 28, 1)
    model = small_cnn()
    last = model.layers[-1].name
    to_layer, to_end = bare_slice(model, "maps"), bare_slice(model, last)
    session = aw.Session(model, x, y, layer="maps")
    lab, grid = aw.InputLab(session), aw.FeatureMapGrid(session)
    settle(session)

    def floor(k):
        images = tf.constant(x[k : k + 1])
        to_layer(images).numpy(), to_end(images).numpy()

    def turn(description, step):
        slider = find_slider(lab, description)
        return lambda k: slider.set_state({"value": slider.min + step * (1 + k)})

    steps = {"brightness": 0.005, "noise": 0.002, "blur, px": 0.02, "rotation, °": 0.5}
    ways = {name: turn(name, step) for name, step in steps.items()}
    taken = in_turns({"floor": floor} | ways, 40, warm_up=5, pause_s=0.03)
    for view in (lab, grid):
        view.close()
    return [
        Row(f"tick of the input lab, {name}", taken["floor"], {OURS: taken[name]}) for name in steps
    ]


def find_slider(widget, description):
    """The slider so described among a widget's children."""
    if getattr(widget, "description", None) == description and hasattr(widget, "step"):
        return widget
    found = (find_slider(child, description) for child in getattr(widget, "children", ()))
    return next(filter(None, found), None)


GROUPS = {
    "tick": ticks,
    "lab": lab_ticks,
    "explore": opening,
    "resnet": resnet,
    "pass": passes,
    "attribution": integrated_gradients,
    "methods": other_attributions,
    "fit": fits,
    "memory": memory,
}
