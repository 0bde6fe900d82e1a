"""A model whose units are known: one carries the class, one is ignored, the rest are noise."""

import numpy as np

from actwidgets.core.layers import LayerInfo
from actwidgets.probe.base import Probe

N_UNITS = 6
CARRIES, IGNORED, DEAD = 1, 4, 5  # unit 4 says what unit 1 says, but nothing listens to it


class PlantedProbe(Probe):
    """Samples are the units' values; the predicted class is the sign of one unit.

    `edits` are counted, so that a test sees how often the model was run with units off.
    """

    n_classes = 2
    layers = (
        LayerInfo("<units>", "Dense", (None, N_UNITS), N_UNITS, 0),
        LayerInfo("maps", "Conv2D", (None, 2, 2, N_UNITS), N_UNITS, 0),
    )

    def __init__(self, edits=None, log=None):
        self.edits, self.log = edits or {}, [] if log is None else log

    def check(self, x):
        assert x.shape[1:] == (N_UNITS,)

    def activations(self, layers, x):
        values = np.asarray(x, np.float32)
        maps = values[:, None, None, :] * np.array([[0.5, 1.0], [1.0, 1.5]])[..., None]
        return {name: values if name == "<units>" else maps.astype(np.float32) for name in layers}

    def edited(self, edits):
        return PlantedProbe(edits, self.log)

    def predictions(self, x):
        values = np.asarray(x, np.float32)
        for edit in self.edits.values():
            self.log.append((len(x), np.flatnonzero(edit.factor == 0).tolist()))
            values = values * edit.factor + edit.offset
        is_second = values[:, CARRIES] > 0
        return np.stack([~is_second, is_second], axis=1).astype(np.float32)


def planted_samples(n_samples=300, seed=0):
    """Values `(sample, unit)` and the classes that units 1 and 4 tell."""
    random = np.random.default_rng(seed)
    labels = np.arange(n_samples) % 2
    x = random.normal(size=(n_samples, N_UNITS)).astype(np.float32)
    x[:, CARRIES] = np.where(labels == 1, 1, -1) * random.uniform(0.5, 2, n_samples)
    x[:, IGNORED] = x[:, CARRIES]
    x[:, DEAD] = 0
    return x, labels
