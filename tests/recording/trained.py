"""A fake model that is trained: its outputs and weights grow with every step."""

import numpy as np
from fakes import FakeProbe

from actwidgets.errors import LayerError
from actwidgets.training.events import TrainingMoment


class TrainedProbe(FakeProbe):
    """Everything is multiplied by `scale`; a step adds a tenth of what it was at first."""

    def __init__(self):
        super().__init__()
        self.scale = 1.0

    def activations(self, layers, x):
        return {name: each * self.scale for name, each in super().activations(layers, x).items()}

    def weights(self, layer):
        shapes = {"conv": (3, 3, 1, 20), "dense": (20, 5)}
        if layer not in shapes:
            return {}
        return {"kernel": np.ones(shapes[layer], np.float32) * np.float32(self.scale)}

    def kernels(self, layer):
        if layer != "conv":
            raise LayerError(f"layer {layer!r} has no kernels")
        return np.full((3, 3, 1, 20), self.scale, np.float32)


def images(n_samples=30):
    x = np.zeros((n_samples, 6, 8, 1), np.float32)
    x[:, 0, 0, 0] = np.arange(n_samples) - 2
    return x, np.arange(n_samples) % 2


def train(recorder, probe, *, epochs=2, steps=3, first=0, known=True, until=None):
    """Tell a recorder of a training as Keras would.

    Args:
        steps: Of each epoch; one number for all, or one for each.
        known: Whether the number of steps is.
        until: The step at which it is interrupted.
    """
    size = steps if known else None
    lengths = steps if isinstance(steps, tuple) else epochs * (steps,)
    recorder.begins(TrainingMoment(n_epochs=epochs, n_steps=size))
    done = 0
    for epoch in range(first, epochs):
        for step in range(lengths[epoch]):
            recorder.before_step(TrainingMoment(epoch, done, epochs, size, step))
            if done == until:
                return
            probe.scale += 0.1
            done += 1
            metrics = {"loss": 1 / done}
            recorder.after_step(TrainingMoment(epoch, done, epochs, size, step + 1, metrics))
        recorder.after_epoch(TrainingMoment(epoch + 1, done, epochs, size, 0, {"loss": 1 / done}))
    recorder.ends(TrainingMoment(epochs, done, epochs, size))
