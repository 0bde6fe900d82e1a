"""Stand-ins that tests use: a probe without a model, and a comm that keeps what is sent."""

import threading
from contextlib import nullcontext

import numpy as np
from ipywidgets.widgets.widget import _instances
from recorded_training import MemoryRecording

import actwidgets as aw
from actwidgets.core.attribution.base import Inputs
from actwidgets.core.layers import LayerInfo
from actwidgets.core.output_kind import OutputKind
from actwidgets.probe.base import Probe
from actwidgets.recording.replay import RecordedSession

# By where they come from: asking for every public name would import Keras.
VIEWS = [name for name, home in aw._HOMES.items() if home.startswith("views.")]


def view_of(name, session):
    """One of `VIEWS`; an epoch slider is of a recording, and two layers need two sessions."""
    if name == "EpochSlider":
        return aw.EpochSlider(RecordedSession(MemoryRecording()))
    view = getattr(aw, name)
    return view(session, session) if name == "LayerSimilarity" else view(session)


class FakeProbe(Probe):
    """A model of 6x8 images with a convolution of 20 units, a dense layer of 5 and 3 classes.

    The value of unit u at every position is the sample's first pixel times (u + 1).
    """

    n_classes = 3
    layers = (
        LayerInfo("conv", "Conv2D", (None, 4, 6, 20), 20, 200),
        LayerInfo("dense", "Dense", (None, 5), 5, 105),
        LayerInfo("empty", "Cropping2D", (None, 0, 0, 20), 20, 0),
    )

    def __init__(self):
        self.calls = []
        self.fails_on = ()
        self.slice = LinearSlice()

    @property
    def output_kind(self):
        """Of the predictions below; of others that a test makes it is told by their values."""
        if self.n_classes != 3 or type(self).predictions is not FakeProbe.predictions:
            return None
        return OutputKind("probability", "softmax", (3,), "it ends in a softmax", "graph")

    def check(self, x):
        assert x.shape[1:] == (6, 8, 1)

    def activations(self, layers, x):
        self.calls.append((tuple(layers), len(x)))
        if set(self.fails_on) & set(layers):
            raise FloatingPointError("nothing finite in <maps>")
        first = np.asarray(x)[:, 0, 0, 0]
        return {
            info.name: np.broadcast_to(
                first.reshape(-1, *[1] * (len(info.output_shape) - 1))
                * np.arange(1, info.n_units + 1),
                (len(x), *info.output_shape[1:]),
            ).astype(np.float32)
            for info in self.layers
            if info.name in layers
        }

    def score_function(self, layer, output, *, memory_budget_bytes):
        self.slice.layer, self.slice.output = layer or "conv", output
        return self.slice

    def weights(self, layer):
        n_units = {"conv": 20, "dense": 5}.get(layer, 0)
        kernel = np.linspace(-1, 1, 9 * n_units, dtype=np.float32).reshape(3, 3, 1, n_units)
        return {"kernel": kernel, "bias": np.zeros(n_units, np.float32)} if n_units else {}

    def predictions(self, x):
        self.calls.append((("",), len(x)))
        classes = (np.asarray(x)[:, 0, 0, 0].round().astype(int)) % 3
        return np.eye(3, dtype=np.float32)[classes]


class LinearSlice:
    """The score of class c is the sum of (c + 1) · weights · x, its maps are 2x2 of 2 units."""

    layer, output, n_targets, batch_size, guided_note = "conv", "logit", 3, 4, ""
    weights = np.arange(48, dtype=np.float32).reshape(6, 8, 1) / 48 - 0.5

    def __init__(self):
        self.calls = []
        self.fails = None

    def points(self, x):
        return Inputs((np.asarray(x, np.float32),), ("image",))

    def scores(self, points, output=None):
        one = (points.arrays[0] * self.weights).sum(axis=(1, 2, 3))
        scores = one[:, None] * np.arange(1, 4)
        if (output or self.output) == "probability":
            scores = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        return scores

    def gradients(self, points, target, *, guided=False):
        self.calls.append(len(points))
        if self.fails is not None:
            raise self.fails
        scores = np.take_along_axis(self.scores(points), target[:, None], 1)[:, 0]
        return scores, ((target + 1)[:, None, None, None] * self.weights[None],)

    def position_axes(self):
        return {"image": (1, 2)}

    def maps(self, points):
        return np.ones((len(points), 2, 2, 2), np.float32)

    def map_gradients(self, points, target):
        scores, _ = self.gradients(points, target)
        return scores, self.maps(points), self.maps(points)

    def relevance(self, points, target, rules):
        scores, gradients = self.gradients(points, target)
        return scores, tuple(x * g for x, g in zip(points.arrays, gradients, strict=True))


class SlowProbe(FakeProbe):
    """Waits, or fails, where it is asked in the background; `behind` is what it was asked there."""

    def __init__(self, go=None):
        super().__init__()
        self.go, self.failure, self.behind = go or threading.Event(), None, []

    def edited(self, edits):
        return type(self)(self.go)

    def predictions(self, x):
        self._wait(())
        return super().predictions(x)

    def activations(self, layers, x):
        self._wait(tuple(layers))
        return super().activations(layers, x)

    def _wait(self, layers):
        if threading.current_thread().name == "actwidgets tasks":
            self.behind.append(layers)
            assert self.go.wait(60)
            if self.failure:
                raise self.failure


class Wire:
    """A comm that keeps which traits each update message held, in the place of a widget's own.

    It has the id of the other: by that ipywidgets keeps, and forgets, the widget.
    """

    kernel = object()

    def __init__(self, widget):
        self.comm_id, self.sent = widget.model_id, []

    def on_msg(self, _):
        pass

    def send(self, data=None, buffers=None, **_):
        if data["method"] == "update":
            self.sent.append(sorted(data["state"]))

    def close(self, *_, **__):
        pass


def begin_when_waited_for(work, monkeypatch):
    """Have background work begin nothing before somebody waits for it, however long that is.

    Args:
        work: A session, or a part of it that works in the background.
        monkeypatch: Of the test.
    """
    queue = work.context.queue
    awaited, wait = threading.Event(), queue.wait

    def let_go_and_wait(*args, **options):
        awaited.set()
        wait(*args, **options)

    monkeypatch.setattr(queue, "_turn", lambda: nullcontext(awaited.is_set()))
    monkeypatch.setattr(queue, "wait", let_go_and_wait)


def hold_back(work):
    """Keep background work from beginning; return a function that lets it.

    Args:
        work: As of `begin_when_waited_for`.
    """
    queue = work.context.queue
    turn, queue._turn = queue._turn, lambda: nullcontext(False)
    return lambda: setattr(queue, "_turn", turn)


def report(work, progress):
    """Tell how far background work is, as its queue does between steps."""
    work._report(progress)


def look_again(session):
    """Have a session compare the weights anew, as it does after a while."""
    session.results._looked_s -= 1.0


def keep_moving(gallery, monkeypatch):
    """Have a gallery's slider not come to rest until the function that this returns is called."""
    queue, waiting = gallery.session.context.queue, set()
    monkeypatch.setattr(queue, "call_later", lambda _delay_s, call: waiting.add(call))
    monkeypatch.setattr(queue, "is_put_off", waiting.__contains__)

    def rest():
        while waiting:
            waiting.pop()()

    return rest


def open_widgets():
    """Every widget that was made and not closed, by its id."""
    return dict(_instances)


def wiretap():
    """Put a comm of its own on every open widget; return them by widget."""
    wires = {}
    for widget in open_widgets().values():
        widget.comm = wires[widget] = Wire(widget)
    return wires


def messages(wires):
    """What was sent since `wiretap`: (class name, traits) per message, state echoes included."""
    return sorted(
        (type(widget).__name__, traits) for widget, wire in wires.items() for traits in wire.sent
    )
