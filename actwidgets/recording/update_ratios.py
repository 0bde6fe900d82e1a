"""By how much a step changes the weights of each layer."""

from collections.abc import Mapping

import numpy as np

from actwidgets.core.arrays import Array
from actwidgets.core.training.norm import norm
from actwidgets.recording.subject import Subject
from actwidgets.recording.taking import weights_of


class UpdateRatios:
    """Measures single steps: the weights are copied only before those.

    Args:
        subject: The model and the layers looked at.

    Attributes:
        known: The norm of what the step added to the weights, over the norm that they had
            before, by layer. Moving averages are weights too.
    """

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._before: dict[str, Mapping[str, Array]] = {}
        self.known: Mapping[str, float] = {}

    def forget(self) -> None:
        """A new interval begins."""
        self._before, self.known = {}, {}

    def before_step(self) -> None:
        """Keep the weights."""
        self._before = self._weights()

    def after_step(self) -> None:
        """Measure what has been added, where the weights were kept before."""
        if not self._before:
            return
        before, self._before = self._before, {}
        self.known = {
            layer: _ratio(before[layer], after) for layer, after in self._weights().items()
        }

    def _weights(self) -> dict[str, Mapping[str, Array]]:
        probe, layers = self._subject.probe, self._subject.manifest.recorded
        found = {layer: weights_of(probe, layer) for layer in layers}
        return {layer: weights for layer, weights in found.items() if weights}


def _ratio(before: Mapping[str, Array], after: Mapping[str, Array]) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):  # of weights that are 0 or not finite
        return float(np.float64(norm(after, before)) / norm(before))
