"""A recording in memory: three classes that a convolution and a dense layer learn to part."""

from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace

import numpy as np

from actwidgets.core.accumulators import summarize
from actwidgets.core.class_profiles import ProfileBuilder
from actwidgets.core.layers import LayerInfo
from actwidgets.errors import LayerError

N_SAMPLES, N_MAPS, N_CLASSES = 60, 8, 3
LAYERS = (
    LayerInfo("conv", "Conv2D", (None, 4, 6, 12), 12, 200),
    LayerInfo("dense", "Dense", (None, 5), 5, 105),
    LayerInfo("output", "Dense", (None, 3), 3, 18),
)


@dataclass(frozen=True)
class Moment:
    """What `SnapshotInfo` tells."""

    index: int
    epoch: float
    step: int
    metrics: dict = field(default_factory=dict)
    seconds: float = 0.0
    file: str = ""
    n_bytes: int = 1


class MemoryRecording:
    """Has the methods of a `Recording`, and counts how often each is asked."""

    path, class_names, output = "memory", ("cat", "<b>dog</b>", "owl"), None

    def __init__(self, n_moments=4, *, labeled=True):
        self.refused = {}
        self.layers = LAYERS
        self.n_samples = N_SAMPLES
        self.manifest = SimpleNamespace(
            n_classes=N_CLASSES, image_shape=None, head=None, input_names=(), input_axes={}
        )
        generator = np.random.default_rng(0)
        self.labels = np.arange(N_SAMPLES) % N_CLASSES if labeled else None
        self.targets = None
        self.x = generator.uniform(0, 1, (N_SAMPLES, 6, 8, 1)).astype(np.float32)
        self.calls = []
        self.snapshots = tuple(
            Moment(
                2 * at, at / 2, 10 * at, {"loss": 1 / (at + 1), "<i>acc</i>": at / 10} if at else {}
            )
            for at in range(n_moments)
        )
        self.outputs = [self._outputs(at) for at in range(n_moments)]

    def _outputs(self, at):
        generator = np.random.default_rng(at)
        classes = np.arange(N_SAMPLES) % N_CLASSES
        conv = generator.normal(0, 1, (N_SAMPLES, 4, 6, 12)) + classes[:, None, None, None] * at
        dense = generator.normal(0, 1, (N_SAMPLES, 5)) + np.eye(5)[classes] * 3 * at
        scores = generator.normal(0, 1, (N_SAMPLES, 3)) + np.eye(3)[classes] * 2 * at
        shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        found = {"conv": conv, "dense": dense, "output": shares}
        return {name: values.astype(np.float32) for name, values in found.items()}

    def refresh(self):
        """Nothing else changes it."""

    def still(self):
        return nullcontext()

    def activations(self, layer, at=-1, rows=None):
        self.calls.append(("activations", layer, at))
        kept = self.outputs[at][layer][:N_MAPS]
        return kept if rows is None else kept[list(rows)]

    def summaries(self, layer, at=-1):
        self.calls.append(("summaries", layer, at))
        return summarize(self.outputs[at][layer])

    def predictions(self, at=-1):
        self.calls.append(("predictions", at))
        return self.outputs[at]["output"]

    def profiles(self, at=-1):
        self.calls.append(("profiles", at))
        return self._profiles(at)

    @cache  # noqa: B019
    def _profiles(self, at):
        builder = ProfileBuilder(self.class_names)
        builder.add({name: summarize(each) for name, each in self.outputs[at].items()}, self.labels)
        return builder.profiles()

    def kernels(self, layer, at=-1):
        if layer != "conv":
            raise LayerError(f"layer {layer!r} has no kernels in this recording")
        return np.random.default_rng(at % len(self.snapshots)).normal(0, 1, (3, 3, 1, 12))
