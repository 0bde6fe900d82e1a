"""Stand-ins that tests use: a probe without a model, and a comm that keeps what is sent."""

import numpy as np
from ipywidgets.widgets.widget import _instances

from actwidgets.core.layer_info import LayerInfo


class FakeProbe:
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

    def predictions(self, x):
        self.calls.append((("",), len(x)))
        classes = (np.asarray(x)[:, 0, 0, 0].round().astype(int)) % 3
        return np.eye(3, dtype=np.float32)[classes]


class Wire:
    """A comm that keeps which traits each update message held."""

    kernel, comm_id = object(), "wire"

    def __init__(self):
        self.sent = []

    def on_msg(self, _):
        pass

    def send(self, data=None, buffers=None, **_):
        if data["method"] == "update":
            self.sent.append(sorted(data["state"]))

    def close(self, *_, **__):
        pass


def open_widgets():
    """Every widget that was made and not closed, by its id."""
    return dict(_instances)


def wiretap():
    """Put a comm of its own on every open widget; return them by widget."""
    wires = {}
    for widget in open_widgets().values():
        widget.comm = wires[widget] = Wire()
    return wires


def messages(wires):
    """What was sent since `wiretap`: (class name, traits) per message, state echoes included."""
    return sorted(
        (type(widget).__name__, traits) for widget, wire in wires.items() for traits in wire.sent
    )
